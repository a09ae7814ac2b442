// SPDX-License-Identifier: Apache-2.0
// Sets a new person up, or one who was reset: opens the link that stands behind the #, then a passkey, or a password and
// an authenticator app. The link is taken out of the address bar before anything else, and is never sent but in a body.

import { at, call, doing, filled, havePasskeys, makePasskey, sentence, show } from "./talk.js";

const parts = ["choose", "passkey-form", "password-form", "totp-form", "recovery", "done"].map(at);
let ticket = null;
let needs = [];

function say(title, sentenceBelow, part) {
  at("title").textContent = title;
  at("who").textContent = sentenceBelow;
  show(part, parts);
}

function finish() {
  ticket = null;
  say("You are set up", "Log in with what you have just made.", at("done"));
}

async function open() {
  const link = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  if (link === "") {
    at("who").textContent = "";
    at("error").textContent = "There is no link here. Open the one that you were given, whole.";
    return;
  }
  try {
    const opened = await call("POST", "/v1/setup", { link });
    ticket = opened.ticket;
    needs = opened.needs;
    at("account").value = opened.email;
    const rules = opened.password;
    at("rules").textContent =
      `At least ${rules.characters_min} characters` + (rules.letter_and_digit ? ", with a letter and a digit." : ".");
    const passkeys = havePasskeys && needs.some((each) => each.includes("passkey"));
    at("choose-passkey").hidden = !passkeys;
    say(`Welcome, ${opened.name}`, `${opened.email} · ${opened.role} · ${opened.tenant}. How do you want to log in?`, at("choose"));
  } catch (error) {
    at("who").textContent = "";
    at("error").textContent = sentence(error);
  }
}

at("choose-passkey").addEventListener("click", () =>
  say("Make a passkey", "Your browser asks for your device's PIN, finger or face, or for a security key.", at("passkey-form")),
);
at("choose-password").addEventListener("click", () =>
  say("Choose a password", "Next comes the authenticator app.", at("password-form")),
);
for (const each of document.querySelectorAll("[data-back]")) {
  each.addEventListener("click", () => {
    at("error").textContent = "";
    say("Set up your account", "How do you want to log in?", at("choose"));
  });
}

at("passkey-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!filled(at("passkey-form"))) return;
  doing(at("passkey-form"), async () => {
    const asked = await call("POST", "/v1/setup/passkey/options", { ticket });
    const credential = await makePasskey(asked.public_key);
    await call("POST", "/v1/setup/passkey", { ticket, name: at("passkey-name").value, credential });
    finish();
  });
});

at("password-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!filled(at("password-form"))) return;
  if (at("password").value !== at("again").value) {
    at("again").setAttribute("aria-invalid", "true");
    at("error").textContent = "The two passwords are not the same.";
    at("again").focus();
    return;
  }
  doing(at("password-form"), async () => {
    await call("POST", "/v1/setup/password", { ticket, password: at("password").value });
    at("password").value = "";
    at("again").value = "";
    const enrolment = await call("POST", "/v1/setup/totp", { ticket });
    at("qr").src = `data:image/png;base64,${enrolment.qr_png}`;
    at("secret").textContent = enrolment.secret;
    say("Add your authenticator app", "", at("totp-form"));
  });
});

at("totp-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!filled(at("totp-form"))) return;
  doing(at("totp-form"), async () => {
    const body = { ticket, code: at("code").value.replace(/\s/g, "") };
    const confirmed = await call("POST", "/v1/setup/totp/confirm", body);
    at("qr").removeAttribute("src");
    at("secret").textContent = "";
    if (!confirmed.recovery_codes) {
      finish();
      return;
    }
    at("codes").replaceChildren(
      ...confirmed.recovery_codes.map((code) => {
        const item = document.createElement("li");
        item.textContent = code;
        return item;
      }),
    );
    say("Keep your recovery codes", "", at("recovery"));
  });
});

at("copy").addEventListener("click", () =>
  doing(at("copy"), async () => {
    await navigator.clipboard.writeText([...at("codes").children].map((each) => each.textContent).join("\n"));
    at("said").textContent = "Copied.";
  }),
);
at("kept").addEventListener("click", () => {
  at("codes").replaceChildren();
  at("said").textContent = "";
  finish();
});

open();
// A second link opened in the same tab changes only what stands behind the #.
addEventListener("hashchange", () => {
  if (location.hash !== "") location.reload();
});
