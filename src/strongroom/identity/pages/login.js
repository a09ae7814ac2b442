// SPDX-License-Identifier: Apache-2.0
// Logs in: by a passkey, or by a password and then a code.

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

at("other-code").addEventListener("click", () => askFor(recovery ? "app" : "recovery"));
at("back").addEventListener("click", startAgain);
at("mode-form").addEventListener("submit", (event) => event.preventDefault());

if (!havePasskeys) {
  at("by-passkey").hidden = true;
  at("or").hidden = true;
}
