// What pages cannot do without a script: tokens from links, passkeys, and the end of a session. It writes text, never HTML,
// and keeps nothing.
"use strict";

// A link of a mail holds its token behind "#": put it into the form and take it out of the address.
for (const field of document.querySelectorAll("[data-from-fragment]")) {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    field.value = token;
    history.replaceState(null, "", location.pathname);
  }
}

const passkeys = "PublicKeyCredential" in window && "parseRequestOptionsFromJSON" in PublicKeyCredential;
if (passkeys) {
  for (const form of document.querySelectorAll("[data-needs-passkeys]")) form.hidden = false;
}

for (const form of document.querySelectorAll("[data-passkey]")) {
  const state = document.querySelector("[data-passkey-state]");
  const ask = async () => {
    try {
      const options = JSON.parse(form.dataset.passkey).publicKey;
      const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
      const credential = await navigator.credentials.get({ publicKey });
      form.elements.credential.value = JSON.stringify(credential.toJSON());
      form.submit();
    } catch {
      state.textContent = "That did not work. You can ask again, or choose another way.";
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  if (passkeys) ask();
}

for (const form of document.querySelectorAll("[data-passkey-new]")) {
  const state = document.querySelector("[data-passkey-state]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const options = JSON.parse(form.dataset.passkeyNew).publicKey;
      const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
      const credential = await navigator.credentials.create({ publicKey });
      form.elements.credential.value = JSON.stringify(credential.toJSON());
      form.submit();
    } catch {
      state.textContent = "That did not work. You can try again.";
    }
  });
}

// A puzzle before a login: a number such that SHA-256 of "puzzle:number" begins with enough zero bits. In parts, so that the
// page goes on.
const sha256 = (() => {
  const primes = [];
  for (let n = 2; primes.length < 64; n += 1) if (primes.every((p) => n % p)) primes.push(n);
  const part = (x) => ((x - Math.floor(x)) * 0x1_0000_0000) | 0;
  const K = Int32Array.from(primes, (p) => part(Math.cbrt(p)));
  const H = Int32Array.from(primes.slice(0, 8), (p) => part(Math.sqrt(p)));
  const w = new Int32Array(64);
  // Of ASCII, at most two blocks; its first word is all that counts here.
  return (text) => {
    const blocks = (text.length + 72) >> 6;
    const bytes = new DataView(new ArrayBuffer(blocks * 64));
    for (let i = 0; i < text.length; i += 1) bytes.setUint8(i, text.charCodeAt(i));
    bytes.setUint8(text.length, 0x80);
    bytes.setUint32(blocks * 64 - 4, text.length * 8);
    const h = H.slice();
    for (let block = 0; block < blocks; block += 1) {
      for (let i = 0; i < 64; i += 1) {
        if (i < 16) {
          w[i] = bytes.getInt32(block * 64 + i * 4);
        } else {
          const [a, b] = [w[i - 15], w[i - 2]];
          const s0 = ((a >>> 7) | (a << 25)) ^ ((a >>> 18) | (a << 14)) ^ (a >>> 3);
          const s1 = ((b >>> 17) | (b << 15)) ^ ((b >>> 19) | (b << 13)) ^ (b >>> 10);
          w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
        }
      }
      let [a, b, c, d, e, f, g, i] = h;
      for (let n = 0; n < 64; n += 1) {
        const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
        const t1 = (i + s1 + ((e & f) ^ (~e & g)) + K[n] + w[n]) | 0;
        const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
        const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        [i, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
      }
      [a, b, c, d, e, f, g, i].forEach((word, n) => (h[n] = (h[n] + word) | 0));
    }
    return h[0];
  };
})();

for (const form of document.querySelectorAll("[data-puzzle]")) {
  const puzzle = form.dataset.puzzle;
  const bits = atob(puzzle.slice(0, 4).replaceAll("-", "+").replaceAll("_", "/")).charCodeAt(1);
  const button = form.querySelector("button");
  button.disabled = true;
  const PART = 2000;
  const go_on = (from) => {
    for (let number = from; number < from + PART; number += 1) {
      if (Math.clz32(sha256(`${puzzle}:${number}`)) >= bits) {
        form.elements.answer.value = number;
        button.disabled = false;
        return;
      }
    }
    setTimeout(go_on, 0, from + PART);
  };
  go_on(0);
}

// The end of a session, by the server's clock. To ask is no use of the session; only the person's "stay" is.
for (const dialog of document.querySelectorAll("[data-clock]")) {
  const shown = dialog.querySelector("[data-seconds]");
  const WARN_SECONDS = 60;
  const ASK_SECONDS = 30;
  let end = 0;
  const take = (idle, left) => {
    end = performance.now() + 1000 * Math.min(idle, left);
  };
  const gone = () => {
    document.body.replaceChildren();
    location.replace("/login?refused=session_ended");
  };
  const look = async () => {
    try {
      const answer = await fetch("/api/v1/auth/session", { cache: "no-store" });
      if (answer.status === 401) return gone();
      const clock = await answer.json();
      take(clock.idle_seconds, clock.left_seconds);
    } catch {
      // Without the network nothing is known: the clock of before goes on.
    }
  };
  const tick = () => {
    const seconds = Math.ceil((end - performance.now()) / 1000);
    shown.textContent = String(Math.max(0, seconds));
    if (seconds <= 0) return void look();
    if (seconds <= WARN_SECONDS && !dialog.open) dialog.showModal();
    if (seconds > WARN_SECONDS && dialog.open) dialog.close();
  };
  take(Number(dialog.dataset.idle), Number(dialog.dataset.left));
  setInterval(tick, 1000);
  setInterval(look, ASK_SECONDS * 1000);
  addEventListener("pageshow", look);
}
