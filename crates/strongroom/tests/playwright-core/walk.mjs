// Walks through the pages as a person would, in a real browser with a virtual authenticator.
// node walk.mjs URL OUTBOX CHROMIUM OPERATOR [--issuer=URL] [PICTURES]; OPERATOR is what `operator add --json` printed.
import { createHash, createHmac } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { chromium } from "playwright-core";

const [issuer] = process.argv.filter((word) => word.startsWith("--issuer="));
const [url, outbox, executablePath, printed, pictures] = process.argv.slice(2).filter((word) => word !== issuer);
const operator = JSON.parse(printed);
const PASSWORD = "quilt-harbour-lantern-58-osprey";
const MAIL_MS = 20_000;

const assert = (right, what) => {
  if (!right) throw new Error(what);
};

// The browser believes this one key, and no other certificate that its system does not know.
const key = await new Promise((resolve, reject) => {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port, rejectUnauthorized: false }, () => {
    const der = socket.getPeerX509Certificate().publicKey.export({ type: "spki", format: "der" });
    socket.end();
    resolve(createHash("sha256").update(der).digest("base64"));
  });
  socket.on("error", reject);
});
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"];
const quiet = ["--disable-background-networking", "--disable-component-update"];
const browser = await chromium.launch({
  executablePath,
  args: [...flags, ...quiet, `--ignore-certificate-errors-spki-list=${key}`],
});

// What a page may not do: say something on the console that is not a refused form, or break its policy.
const broken = [];
const open = async (options = {}) => {
  const context = await browser.newContext({ viewport: { width: 900, height: 760 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on("pageerror", (error) => broken.push(`${page.url()}: ${error.message}`));
  page.on("console", (line) => {
    const refused = line.text().includes("Failed to load resource");
    if (line.type() === "error" && !refused) broken.push(`${page.url()}: ${line.text()}`);
  });
  return { context, page };
};

let number = 0;
const seen = async (page, name) => {
  // A heading may be there before the style sheet is.
  await page.waitForLoadState("load");
  await contrast(page, name);
  if (pictures) {
    mkdirSync(pictures, { recursive: true });
    const file = `${String((number += 1)).padStart(2, "0")}-${name}.png`;
    await page.screenshot({ path: join(pictures, file), fullPage: true });
  }
};

// WCAG 2.2, 1.4.3: 4.5 to 1 for every text that is shown, and 24 pixels for whatever is pressed (2.5.8).
const contrast = async (page, name) => {
  const poor = await page.evaluate(() => {
    const channel = (value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    };
    const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const behind = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const colour = numbers(getComputedStyle(at).backgroundColor);
        if (colour.length < 4 || colour[3] > 0) return colour;
      }
      return [255, 255, 255];
    };
    const found = [];
    for (const element of document.body.querySelectorAll("*")) {
      const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
      if (!text || !element.checkVisibility() || element.matches(".skip")) continue;
      const [a, b] = [light(numbers(getComputedStyle(element).color)), light(behind(element))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < 4.5) found.push(`${element.tagName} ${element.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
    }
    for (const element of document.querySelectorAll("button, input:not([type=hidden]):not([type=radio])")) {
      if (element.checkVisibility() && element.getBoundingClientRect().height < 24) found.push(`${element.outerHTML} is small`);
    }
    for (const input of document.querySelectorAll("input:not([type=hidden])")) {
      if (!input.labels?.length) found.push(`${input.outerHTML} has no label`);
    }
    return found;
  });
  assert(!poor.length, `${name}: ${poor.join("; ")}`);
};

const token = async (email, text) => {
  for (const end = Date.now() + MAIL_MS; Date.now() < end; await new Promise((done) => setTimeout(done, 50))) {
    const files = existsSync(outbox) ? readdirSync(outbox).filter((file) => file.endsWith(".eml")) : [];
    for (const file of files) {
      const mail = readFileSync(join(outbox, file), "utf8");
      if (mail.includes(`To: ${email}`) && mail.includes(text)) return mail.match(/^Token: (\S+)/m)[1];
    }
  }
  throw new Error(`no mail with ${text}`);
};

// RFC 6238, by another hand than the server's.
const code = (secret) => {
  const bits = [...secret].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const bytes = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const mac = createHmac("sha1", bytes).update(counter).digest();
  const at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, "0");
};

const press = async (page, words) => {
  await Promise.all([page.waitForLoadState("load"), page.getByRole("button", { name: words }).click()]);
};
const heading = async (page, words) => {
  await page.getByRole("heading", { level: 1, name: words }).waitFor();
};
const cookies = async (context) => Object.fromEntries((await context.cookies()).map((cookie) => [cookie.name, cookie]));

async function customer() {
  const { context, page } = await open();
  const email = "walker@example.com";
  await page.goto(`${url}/`);
  await heading(page, "Log in");
  await seen(page, "login");
  await page.getByRole("link", { name: "Open a login" }).click();
  // By the keyboard alone: every field is reached in the order in which it is read.
  await page.locator("#full_name").focus();
  await page.keyboard.type("Walker <b>Example</b>");
  await page.keyboard.press("Tab");
  await page.keyboard.type(email);
  await page.keyboard.press("Tab");
  await page.keyboard.type("passwordpassword");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor();
  await seen(page, "register-refused");
  await page.locator("#password").fill(PASSWORD);
  await press(page, "Open the login");
  await heading(page, "Look into your mail");
  await seen(page, "register-sent");
  await page.goto(`${url}/verify-email#token=${await token(email, "/verify-email")}`);
  assert(!page.url().includes("token"), "the token stays in the address");
  await page.locator("#password").fill(PASSWORD);
  await seen(page, "verify");
  await press(page, "Confirm");
  await page.getByRole("status").waitFor();
  await page.locator("#email").fill(email);
  await page.locator("#password").fill("not the password at all");
  await page.locator("#password").press("Enter");
  await page.getByRole("alert").waitFor();
  await seen(page, "login-refused");
  const before = await cookies(context);
  await page.locator("#email").fill(email);
  await page.locator("#password").fill(PASSWORD);
  await page.locator("#password").press("Enter");
  await heading(page, "Welcome, Walker <b>Example</b>");
  await seen(page, "home");
  const session = (await cookies(context))["__Host-sid"];
  assert(!before["__Host-sid"] && session.httpOnly && session.secure && session.sameSite === "Strict", "the cookie");
  assert((await page.evaluate(() => localStorage.length + sessionStorage.length + document.cookie.length)) === 0, "kept");

  // A passkey, bound and used as the second step, and then alone.
  const cdp = await context.newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true };
  await cdp.send("WebAuthn.addVirtualAuthenticator", { options });
  await page.getByRole("link", { name: "Your passkeys" }).click();
  await heading(page, "Your passkeys");
  await seen(page, "passkeys-none");
  await press(page, "Add a passkey");
  await heading(page, "Add a passkey");
  await page.locator("#name").fill("Phone");
  await seen(page, "passkey-new");
  await press(page, "Go on");
  await page.getByText("Phone", { exact: true }).waitFor();
  await seen(page, "passkeys-one");
  await page.goto(`${url}/`);
  const bound = (await cookies(context))["__Host-sid"].value;
  const answer = page.waitForResponse((response) => response.url().endsWith("/logout"));
  await press(page, "Log out");
  const out = await (await answer).headersArray();
  assert(out.some(({ name, value }) => name.toLowerCase() === "clear-site-data" && value.includes("cache")), "logout clears nothing");
  await page.getByText("You are logged out").waitFor();
  await seen(page, "logged-out");
  await page.goBack();
  await page.goto(`${url}/`);
  await heading(page, "Log in");
  await page.locator("#email").fill(email);
  await page.locator("#password").fill(PASSWORD);
  await page.locator("#password").press("Enter");
  await heading(page, "Second step");
  await seen(page, "second");
  await press(page, "passkey");
  await heading(page, "Welcome");
  const next = (await cookies(context))["__Host-sid"].value;
  assert(next !== bound && next !== session.value, "the session kept its name");
  await press(page, "Log out");
  await press(page, "Log in with a passkey");
  await heading(page, "Welcome");

  // The warning before the end, by the server's clock: the browser's clock is told that the time is nearly over.
  // Not before the page has asked for the end: it would count from the later time.
  await page.waitForLoadState("networkidle");
  await page.evaluate(() => {
    const real = performance.now.bind(performance);
    performance.now = () => real() + 1000 * (14 * 60 + 30);
  });
  await page.getByRole("dialog").waitFor();
  await seen(page, "idle-warning");
  await press(page, "Stay logged in");
  await heading(page, "Welcome");
  await devices(page);
  if (issuer) await other_way_in(page);
  await context.close();
  return email;
}

// A name for this device needs a fresh proof, by the passkey that is bound.
async function devices(page) {
  await page.getByRole("link", { name: "Your devices" }).click();
  await heading(page, "Your devices");
  await page.getByText("this one").waitFor();
  await seen(page, "devices");
  await page.getByLabel(/^Another name for/).fill("Kitchen <i>tablet</i>");
  await press(page, "Name it");
  await heading(page, "Prove again that it is you");
  await seen(page, "step-up");
  await press(page, "Use your passkey");
  await heading(page, "Welcome");
  await page.getByRole("link", { name: "Your devices" }).click();
  await page.getByLabel(/^Another name for/).fill("Kitchen <i>tablet</i>");
  await press(page, "Name it");
  await page.getByText("Kitchen <i>tablet</i>", { exact: true }).waitFor();
  await page.goto(`${url}/`);
}

// To the certified issuer and back; then it is a way in, and can be taken away again.
async function other_way_in(page) {
  await page.getByRole("link", { name: "Other ways in" }).click();
  await heading(page, "Other ways in");
  await seen(page, "issuers-none");
  await press(page, "Add certified");
  await heading(page, "Go to certified");
  await seen(page, "issuer-go");
  await page.getByRole("link", { name: "Go on to certified" }).click();
  await page.locator("[name=login]").fill("walker-elsewhere");
  await page.locator("[name=password]").fill("x");
  await press(page, /sign/i);
  await press(page, /continue/i);
  await heading(page, "Welcome");
  await page.getByRole("link", { name: "Other ways in" }).click();
  await page.getByText("walker-elsewhere@example.com").waitFor();
  await seen(page, "issuers-one");
  await press(page, "Take certified away");
  await page.getByText("You log in here alone").waitFor();
  await page.goto(`${url}/`);
  await heading(page, "Welcome");
}

// Without a script everything but passkeys and links' tokens works.
async function without_script(email) {
  const { context, page } = await open({ javaScriptEnabled: false });
  await page.goto(`${url}/forgot-password`);
  await page.locator("#email").fill(email);
  await page.locator("#email").press("Enter");
  await page.goto(`${url}/reset-password`);
  await page.locator("#token").fill(await token(email, "/reset-password"));
  await page.locator("#password").fill(`${PASSWORD}-new`);
  await page.locator("#password").press("Enter");
  await page.getByRole("status").waitFor();
  await page.locator("#email").fill(email);
  await page.locator("#password").fill(`${PASSWORD}-new`);
  await page.locator("#password").press("Enter");
  await page.getByRole("heading", { name: "Second step" }).waitFor();
  await context.close();
}

async function operators_first_login() {
  const { context, page } = await open();
  await page.goto(`${url}/login`);
  await page.locator("#email").fill(operator.email);
  await page.locator("#password").fill(operator.password);
  await page.locator("#password").press("Enter");
  await heading(page, "Second step");
  await page.locator("#code").fill(code(new URL(operator.totp_uri).searchParams.get("secret")));
  await page.locator("#code").press("Enter");
  await heading(page, "Choose your own password");
  await seen(page, "first-password");
  await page.locator("#password").fill("short");
  await page.evaluate(() => document.querySelector("#password").removeAttribute("minlength"));
  await page.locator("#password").press("Enter");
  await page.getByRole("alert").waitFor();
  await page.locator("#password").fill(`operator-${PASSWORD}`);
  await page.locator("#password").press("Enter");
  await heading(page, "Set up your authenticator");
  await seen(page, "first-factor");
  const secret = (await page.locator("code.key").textContent()).trim();
  await page.locator("#code").fill(code(secret));
  await page.locator("#code").press("Enter");
  await heading(page, "Welcome");
  await context.close();
}

async function dark_and_narrow() {
  const { context, page } = await open({ viewport: { width: 320, height: 640 }, colorScheme: "dark" });
  for (const path of ["login", "register", "forgot-password", "reset-password", "verify-email", "email-change"]) {
    await page.goto(`${url}/${path}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    assert(!wide, `${path} is wider than a telephone`);
    await seen(page, `dark-${path}`);
  }
  await context.close();
}

const email = await customer();
await without_script(email);
await operators_first_login();
await dark_and_narrow();
await browser.close();
assert(!broken.length, broken.join("\n"));
console.log("walked");
