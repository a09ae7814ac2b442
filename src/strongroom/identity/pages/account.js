// SPDX-License-Identifier: Apache-2.0
// One's own account: passkeys, authenticator app, recovery codes, sessions. What is sensitive asks for a step-up first.

import { asMe, at, doing, filled, forget, havePasskeys, keep, makePasskey, sentence, session, usePasskey, when } from "./talk.js";

// --- stepping up ---------------------------------------------------------------------------------------------

/** Ask for a second factor; resolves to whether one was shown. */
function stepUp() {
  const dialog = at("step-up");
  at("step-up-error").textContent = "";
  at("step-up-code").value = "";
  at("step-up-passkey").hidden = !havePasskeys;
  dialog.showModal();
  return new Promise((resolve) => {
    const end = (shown) => {
      controller.abort();
      dialog.close();
      resolve(shown);
    };
    const controller = new AbortController();
    const on = (element, kind, work) => element.addEventListener(kind, work, { signal: controller.signal });
    const prove = (element, work) =>
      doing(
        element,
        async () => {
          keep(await work());
          end(true);
        },
        at("step-up-error"),
      );
    on(at("step-up-passkey"), "click", () =>
      prove(at("step-up-passkey"), async () => {
        const asked = await asMe("POST", "/v1/step-up/passkey/options");
        const credential = await usePasskey(asked.public_key);
        return asMe("POST", "/v1/step-up/passkey", { credential });
      }),
    );
    on(at("step-up-form"), "submit", (event) => {
      event.preventDefault();
      const code = at("step-up-code").value.replace(/\s/g, "");
      prove(at("step-up-form"), () => asMe("POST", "/v1/step-up/totp", { code }));
    });
    on(at("step-up-cancel"), "click", () => end(false));
    on(dialog, "cancel", () => end(false));
  });
}

class Cancelled extends Error {}

/** Send a request; where it needs a step-up, ask for that and send it once more. */
async function sensitive(method, path, body) {
  try {
    return await asMe(method, path, body);
  } catch (error) {
    if (error.code !== "step_up_needed") throw error;
    if (!(await stepUp())) throw new Cancelled();
    return asMe(method, path, body);
  }
}

/** Do something, and say what came of it; who cancels a step-up is told nothing. */
function act(element, work, said) {
  return doing(element, async () => {
    try {
      await work();
      at("said").textContent = said;
    } catch (error) {
      if (!(error instanceof Cancelled)) throw error;
    }
  });
}

// --- passkeys --------------------------------------------------------------------------------------------------

function passkeyRow(passkey) {
  const row = at("passkey-row").content.cloneNode(true).firstElementChild;
  const part = (name) => row.querySelector(`[data-${name}]`);
  const field = row.querySelector("input");
  part("name").textContent = passkey.name;
  part("synced").hidden = !passkey.backed_up;
  part("used").textContent =
    `Added ${when(passkey.created_at)} · ` + (passkey.last_used_at ? `last used ${when(passkey.last_used_at)}` : "not used yet");
  field.id = `name-${passkey.id}`;
  part("label").htmlFor = field.id;
  part("rename").setAttribute("aria-label", `Rename ${passkey.name}`);
  part("remove").setAttribute("aria-label", `Remove ${passkey.name}`);
  const edit = (open) => {
    part("form").hidden = !open;
    part("shown").hidden = open;
    (open ? field : part("rename")).focus();
  };
  part("rename").addEventListener("click", () => {
    field.value = passkey.name;
    edit(true);
  });
  part("cancel").addEventListener("click", () => edit(false));
  part("form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!filled(part("form"))) return;
    act(part("form"), async () => {
      await asMe("POST", `/v1/own/passkeys/${passkey.id}`, { name: field.value });
      await showPasskeys();
    }, "The passkey has its new name.");
  });
  part("remove").addEventListener("click", () =>
    act(part("remove"), async () => {
      await sensitive("DELETE", `/v1/own/passkeys/${passkey.id}`);
      await Promise.all([showPasskeys(), showSessions()]);
      at("add").focus();
    }, `${passkey.name} logs nobody in any more, and your other sessions have ended.`),
  );
  return row;
}

async function showPasskeys() {
  const own = (await asMe("GET", "/v1/own/passkeys")).data;
  at("passkeys").replaceChildren(...own.map(passkeyRow));
  at("passkeys").hidden = own.length === 0;
  at("no-passkeys").hidden = own.length > 0;
}

function adding(open) {
  at("add-form").hidden = !open;
  at("add").hidden = open;
  at("add-name").value = "";
  (open ? at("add-name") : at("add")).focus();
}

at("add").addEventListener("click", () => adding(true));
at("add-form").querySelector("[data-cancel]").addEventListener("click", () => adding(false));
at("add-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!filled(at("add-form"))) return;
  act(at("add-form"), async () => {
    const asked = await sensitive("POST", "/v1/own/passkeys/options");
    const credential = await makePasskey(asked.public_key);
    await sensitive("POST", "/v1/own/passkeys", { name: at("add-name").value, credential });
    await showPasskeys();
    adding(false);
  }, "The passkey is added. From now on it logs you in.");
});

// --- authenticator app and recovery codes ------------------------------------------------------------------------

function showCodes(codes) {
  at("codes").hidden = !codes;
  at("codes").replaceChildren(
    ...(codes || []).map((code) => {
      const item = document.createElement("li");
      item.textContent = code;
      return item;
    }),
  );
}

async function showFactors() {
  const { totp, recovery_codes: codes } = await asMe("GET", "/v1/own/factors");
  at("app").textContent = totp.active ? `In use since ${when(totp.since)}.` : "None. With a password, its codes are your second factor.";
  at("set-up-app").textContent = totp.active ? "Use another" : "Set up";
  at("remove-app").hidden = !totp.active;
  at("recovery-row").hidden = !totp.active;
  at("recovery").textContent = `${codes.left} recovery codes left.`;
}

function enrolling(open) {
  at("app-form").hidden = !open;
  at("set-up-app").hidden = open;
  at("app-code").value = "";
  if (!open) {
    at("qr").removeAttribute("src");
    at("secret").textContent = "";
  }
  (open ? at("app-code") : at("set-up-app")).focus();
}

at("set-up-app").addEventListener("click", () =>
  act(at("set-up-app"), async () => {
    const enrolment = await sensitive("POST", "/v1/own/totp");
    at("qr").src = `data:image/png;base64,${enrolment.qr_png}`;
    at("secret").textContent = enrolment.secret;
    enrolling(true);
  }, ""),
);
at("app-form").querySelector("[data-cancel]").addEventListener("click", () => enrolling(false));
at("app-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!filled(at("app-form"))) return;
  act(at("app-form"), async () => {
    const code = at("app-code").value.replace(/\s/g, "");
    const confirmed = await sensitive("POST", "/v1/own/totp/confirm", { code });
    enrolling(false);
    showCodes(confirmed.recovery_codes);
    await showFactors();
  }, "The app is in use.");
});
at("remove-app").addEventListener("click", () =>
  act(at("remove-app"), async () => {
    await sensitive("DELETE", "/v1/own/totp");
    showCodes(null);
    await showFactors();
  }, "The app is no longer a factor of yours."),
);
at("new-codes").addEventListener("click", () =>
  act(at("new-codes"), async () => {
    showCodes((await sensitive("POST", "/v1/own/recovery-codes")).codes);
    await showFactors();
  }, "These are your new recovery codes; the old ones have ended. They are not shown again."),
);

// --- password ------------------------------------------------------------------------------------------------------

function changing(open) {
  at("password-form").hidden = !open;
  at("change-password").hidden = open;
  at("current").value = "";
  at("new").value = "";
  (open ? at("current") : at("change-password")).focus();
}

at("change-password").addEventListener("click", () => changing(true));
at("password-form").querySelector("[data-cancel]").addEventListener("click", () => changing(false));
at("password-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!filled(at("password-form"))) return;
  act(at("password-form"), async () => {
    await sensitive("POST", "/v1/own/password", { current: at("current").value, new: at("new").value });
    changing(false);
    await showSessions();
  }, "The password is changed, and your other sessions have ended.");
});

// --- sessions ------------------------------------------------------------------------------------------------------

const HOW = { hwk: "passkey", otp: "code", pwd: "password", sso: "company account" };

function sessionRow(each) {
  const row = at("session-row").content.cloneNode(true).firstElementChild;
  const part = (name) => row.querySelector(`[data-${name}]`);
  const how = each.methods.map((word) => HOW[word]).filter(Boolean).join(" and ");
  part("started").textContent = `Since ${when(each.started_at)}`;
  part("current").hidden = !each.current;
  part("more").textContent = `${how} · last used ${when(each.used_at)}`;
  part("end").hidden = each.current;
  part("end").setAttribute("aria-label", `End the session since ${when(each.started_at)}`);
  part("end").addEventListener("click", () =>
    act(part("end"), async () => {
      await sensitive("POST", `/v1/sessions/${each.id}/end`);
      await showSessions();
      at("sessions-title").focus();
    }, "The session has ended."),
  );
  return row;
}

async function showSessions() {
  const mine = (await asMe("GET", "/v1/sessions")).data.filter((each) => !me || each.person === me);
  at("sessions").replaceChildren(...mine.map(sessionRow));
}

at("log-out").addEventListener("click", () =>
  doing(at("log-out"), async () => {
    try {
      await asMe("POST", "/v1/session/end");
    } finally {
      forget();
      location.assign("/login");
    }
  }),
);

// --- the page ----------------------------------------------------------------------------------------------------

let me = null;

async function open() {
  if (!session()) {
    location.replace("/login");
    return;
  }
  try {
    const own = await asMe("GET", "/v1/own");
    me = own.person.id;
    at("account").value = own.person.email;
    at("title").textContent = own.person.name;
    at("who").textContent = `${own.person.email} · ${own.person.role} · ${own.tenant} · ${own.mode} mode`;
    at("add").hidden = !havePasskeys;
    await Promise.all([showPasskeys(), showFactors(), showSessions()]);
  } catch (error) {
    at("error").textContent = sentence(error);
  }
}

open();
