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
