// SPDX-License-Identifier: Apache-2.0
// Logs in: by a passkey, by a password and then a code, or by an account at the person's company.

import { at, call, doing, filled, havePasskeys, keep, show, usePasskey } from "./talk.js";

const parts = [at("first"), at("code-form")];
let handle = null;
let recovery = false;

const mode = () => new FormData(at("mode-form")).get("mode");

function enter(tokens) {
  keep(tokens);
  location.assign("/account");
}

function startAgain() {
  handle = null;
  at("password").value = "";
  at("code").value = "";
  at("title").textContent = "Log in";
  show(at("first"), parts);
}

/** Ask for a code of the app, or for a recovery code. */
function askFor(kind) {
  recovery = kind === "recovery";
  at("code-label").textContent = recovery ? "Recovery code" : "Code from your authenticator app";
  at("code").inputMode = recovery ? "text" : "numeric";
  at("code").value = "";
  at("other-code").textContent = recovery ? "Use the app instead" : "Use a recovery code";
  at("code").focus();
}

at("passkey").addEventListener("click", () =>
  doing(at("passkey"), async () => {
    const asked = await call("POST", "/v1/login/passkey/options");
    const credential = await usePasskey(asked.public_key);
    enter(await call("POST", "/v1/login/passkey", { mode: mode(), credential }));
  }),
);

at("password-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!filled(at("password-form"))) return;
  doing(at("password-form"), async () => {
    const body = { email: at("email").value.trim(), password: at("password").value, mode: mode() };
    handle = (await call("POST", "/v1/login", body)).handle;
    at("password").value = "";
    at("title").textContent = "One more step";
    show(at("code-form"), parts);
    askFor("app");
  });
});

at("code-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!filled(at("code-form"))) return;
  doing(at("code-form"), async () => {
    const path = recovery ? "/v1/login/recovery" : "/v1/login/totp";
    const code = recovery ? at("code").value.trim() : at("code").value.replace(/\s/g, "");
    enter(await call("POST", path, { handle, code }));
  });
});

// --- a company's account: the browser goes there and comes back to this page -------------------------------------

const AWAY = "strongroom.company";

at("company").addEventListener("click", () => {
  if (at("email").value === "" || !at("email").checkValidity()) {
    at("error").textContent = "Type your e-mail address first: it says which company.";
    at("email").focus();
    return;
  }
  doing(at("company"), async () => {
    const redirect = location.origin + location.pathname;
    const body = { email: at("email").value.trim(), mode: mode(), redirect };
    const started = await call("POST", "/v1/sso/start", body);
    if (!/^https?:\/\//.test(started.authorization_url)) throw new Error("no address of a page");
    sessionStorage.setItem(AWAY, started.ticket); // whoever brings the answer must show it
    location.assign(started.authorization_url);
  });
});

/** Finish what was begun before the browser left, with what it was sent back with. */
function comeBack() {
  const said = new URLSearchParams(location.search);
  const ticket = sessionStorage.getItem(AWAY);
  if (!said.has("state")) return;
  history.replaceState(null, "", location.pathname);
  sessionStorage.removeItem(AWAY);
  if (!ticket || !said.has("code")) {
    at("error").textContent = "Your company's account did not log you in.";
    return;
  }
  doing(at("company"), async () => {
    const body = { state: said.get("state"), code: said.get("code"), ticket };
    if (said.has("iss")) body.iss = said.get("iss");
    enter(await call("POST", "/v1/sso/finish", body));
  });
}

at("other-code").addEventListener("click", () => askFor(recovery ? "app" : "recovery"));
at("back").addEventListener("click", startAgain);
at("mode-form").addEventListener("submit", (event) => event.preventDefault());

if (!havePasskeys) {
  at("by-passkey").hidden = true;
  at("or").hidden = true;
}

comeBack();
