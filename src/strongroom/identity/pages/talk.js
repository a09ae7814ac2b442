// SPDX-License-Identifier: Apache-2.0
// How the pages talk to the API: requests, the session of this tab, and the browser's passkeys.
// Tokens live in sessionStorage, which ends with the tab, and never in localStorage or a cookie.

const KEPT = "strongroom.session";
// An access token that ends this soon is refreshed before it is used.
const AHEAD_MS = 30_000;

/** The API's refusal, with its problem's code and sentence. */
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail || "That did not work. Try again in a moment.");
    this.status = status;
    this.code = problem.code || "unknown";
  }
}

/** Send a request. Resolves to the decoded body, or null where there is none; rejects with a Refusal. */
export async function call(method, path, body, token) {
  const headers = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (token) headers.authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      referrerPolicy: "no-referrer",
    });
  } catch {
    throw new Refusal(0, { code: "away", detail: "Strongroom does not answer. Check your connection and try again." });
  }
  const text = await answer.text();
  let decoded = null;
  try {
    decoded = text === "" ? null : JSON.parse(text);
  } catch {
    decoded = null; // a proxy's page; the status says enough
  }
  if (!answer.ok) throw new Refusal(answer.status, decoded || {});
  return decoded;
}

// --- the session of this tab -----------------------------------------------------------------------------

/** Keep a session's tokens in this tab; a step-up's answer leaves the refresh token as it was. */
export function keep(tokens) {
  const before = session() || {};
  const kept = {
    access: tokens.access_token,
    until: Date.now() + tokens.expires_in * 1000,
    refresh: tokens.refresh_token || before.refresh,
  };
  sessionStorage.setItem(KEPT, JSON.stringify(kept));
}

export function session() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT));
  } catch {
    return null;
  }
}

export function forget() {
  sessionStorage.removeItem(KEPT);
}

let refreshing = null;

/** Refresh the session, once however many ask; whoever has none any more logs in again. */
function refreshed() {
  refreshing ||= call("POST", "/v1/session/refresh", { refresh_token: session()?.refresh || "none" })
    .then(keep)
    .catch((error) => {
      if (error.status !== 401) throw error;
      forget();
      location.assign("/login");
      return new Promise(() => {}); // the page is being left
    })
    .finally(() => {
      refreshing = null;
    });
  return refreshing;
}

/** Send a request as the person who is logged in here. */
export async function asMe(method, path, body) {
  if (!session() || session().until - Date.now() < AHEAD_MS) await refreshed();
  try {
    return await call(method, path, body, session().access);
  } catch (error) {
    if (error.status !== 401 || error.code !== "unauthenticated") throw error;
    await refreshed();
    return call(method, path, body, session().access);
  }
}

// --- passkeys ----------------------------------------------------------------------------------------------

export const havePasskeys = "PublicKeyCredential" in window && "credentials" in navigator;

function bytes(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
}

function text(buffer) {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

const named = (descriptors) => (descriptors || []).map((each) => ({ ...each, id: bytes(each.id) }));

/** Ask an authenticator for a new passkey; return it in the standard's JSON form. */
export async function makePasskey(options) {
  const made = await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      user: { ...options.user, id: bytes(options.user.id) },
      excludeCredentials: named(options.excludeCredentials),
    },
  });
  return {
    id: made.id,
    rawId: text(made.rawId),
    type: made.type,
    response: {
      clientDataJSON: text(made.response.clientDataJSON),
      attestationObject: text(made.response.attestationObject),
      transports: made.response.getTransports?.() || [],
    },
    clientExtensionResults: made.getClientExtensionResults(),
    authenticatorAttachment: made.authenticatorAttachment,
  };
}

/** Ask an authenticator for a proof; return it in the standard's JSON form. */
export async function usePasskey(options) {
  const shown = await navigator.credentials.get({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      allowCredentials: named(options.allowCredentials),
    },
  });
  return {
    id: shown.id,
    rawId: text(shown.rawId),
    type: shown.type,
    response: {
      clientDataJSON: text(shown.response.clientDataJSON),
      authenticatorData: text(shown.response.authenticatorData),
      signature: text(shown.response.signature),
      userHandle: shown.response.userHandle ? text(shown.response.userHandle) : null,
    },
    authenticatorAttachment: shown.authenticatorAttachment,
  };
}

// --- what a page says ----------------------------------------------------------------------------------------

export const at = (id) => document.getElementById(id);

/** Say in one sentence what went wrong. */
export function sentence(error) {
  if (error instanceof Refusal) return error.message;
  if (error?.name === "NotAllowedError") return "No passkey was used: it was cancelled, took too long, or there is none here.";
  if (error?.name === "InvalidStateError") return "This authenticator has a passkey for you already.";
  if (error?.name === "SecurityError") return "Passkeys do not work at this address. Open the console by its own name.";
  return "That did not work. Try again in a moment.";
}

/** Do something for a button or form: it is busy meanwhile, and what goes wrong is said in the live region. */
export async function doing(element, work, errorAt = at("error")) {
  const buttons = element.tagName === "BUTTON" ? [element] : element.querySelectorAll("button");
  const focused = document.activeElement; // a button that is disabled loses the focus
  for (const each of buttons) each.disabled = true;
  errorAt.textContent = "";
  at("said").textContent = "";
  try {
    await work();
  } catch (error) {
    errorAt.textContent = sentence(error);
  } finally {
    for (const each of buttons) each.disabled = false;
    // Nothing that is seen has it: the page's body, or what stood in a dialog that was closed.
    if (!document.activeElement?.offsetParent) focused?.focus();
  }
}

/** Show one of several parts of a page, and put the focus where it goes on. */
export function show(part, parts) {
  for (const each of parts) each.hidden = each !== part;
  const first = part.querySelector("input:not([hidden]):not([readonly]), button, a");
  first?.focus();
}

/** Check that a form's fields are filled in; mark and focus the first that is not. */
export function filled(form, errorAt = at("error")) {
  for (const field of form.querySelectorAll("input")) field.removeAttribute("aria-invalid");
  const wrong = form.querySelector("input:invalid");
  if (!wrong) return true;
  wrong.setAttribute("aria-invalid", "true");
  const label = form.querySelector(`label[for="${wrong.id}"]`)?.textContent || "This field";
  errorAt.textContent = wrong.validity.valueMissing ? `${label} is missing.` : `${label} is not valid.`;
  wrong.focus();
  return false;
}

const whenText = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
export const when = (moment) => whenText.format(new Date(moment));
