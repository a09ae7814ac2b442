# SPDX-License-Identifier: Apache-2.0
"""The pages where people sign in, in a real browser with a virtual authenticator."""

from base64 import b64decode
from typing import Any

import pytest
from playwright.async_api import expect

from browser.conftest import Console, Tab
from browser.stand_ins import CODE, CODES, LINK, PASSWORD
from soft_authenticator import b64
from strongroom.identity.people.model import Person, PersonStatus


async def log_in_with_password(tab: Tab, person: Person, *, mode: str = "Test") -> None:
    page = tab.page
    await page.goto("/login")
    await page.get_by_role("radio", name=mode).check()
    await page.get_by_label("E-mail address").fill(person.email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Continue").click()
    await page.get_by_label("Code from your authenticator app").fill(CODE)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url("**/account")
    await page.get_by_role("heading", name=person.name).wait_for()


async def add_passkey(tab: Tab, name: str) -> None:
    page = tab.page
    await page.get_by_role("button", name="Add a passkey").click()
    await page.get_by_label("Name of the new passkey").fill(name)
    await page.get_by_role("button", name="Make the passkey").click()
    await page.get_by_text(name, exact=True).wait_for()


async def log_out(tab: Tab) -> None:
    await tab.page.get_by_role("button", name="Log out").click()
    await tab.page.wait_for_url("**/login")


async def log_in_with_passkey(tab: Tab) -> None:
    await tab.page.goto("/login")
    await tab.page.get_by_role("button", name="Use a passkey").click()


async def says(tab: Tab, text: str) -> None:
    await tab.page.get_by_role("alert").filter(has_text=text).first.wait_for()


async def test_register_log_in_and_have_two(console: Console, tab: Tab) -> None:
    person = await console.person()
    await log_in_with_password(tab, person)
    await add_passkey(tab, "my laptop")
    (made,) = await tab.credentials()
    assert made["isResidentCredential"]
    assert made["rpId"] == "localhost"
    await log_out(tab)
    await log_in_with_passkey(tab)
    await tab.page.wait_for_url("**/account")
    await tab.page.get_by_role("heading", name=person.name).wait_for()
    await tab.authenticator_removed()
    await tab.authenticator_added(transport="usb")
    await add_passkey(tab, "key in the safe")
    assert await tab.page.locator("#passkeys > li").count() == 2
    console.stand.with_app.add(person.person_id)
    await tab.page.reload()
    await tab.page.get_by_text("my laptop", exact=True).wait_for()
    await tab.page.get_by_text("recovery codes left").wait_for()
    await tab.picture("account")
    await log_out(tab)
    await log_in_with_passkey(tab)
    await tab.page.wait_for_url("**/account")


async def test_an_authenticator_is_registered_once(console: Console, tab: Tab) -> None:
    await log_in_with_password(tab, await console.person())
    await add_passkey(tab, "my laptop")
    await tab.page.get_by_role("button", name="Add a passkey").click()
    await tab.page.get_by_label("Name of the new passkey").fill("again")
    await tab.page.get_by_role("button", name="Make the passkey").click()
    await says(tab, "has a passkey for you already")


async def test_what_is_sensitive_asks_for_a_step_up(console: Console, tab: Tab) -> None:
    person = await console.person()
    await log_in_with_password(tab, person)
    await add_passkey(tab, "my laptop")
    await add_passkey_on_another(tab, "other")
    age(console)
    await tab.page.get_by_role("button", name="Remove other").click()
    await tab.page.get_by_role("dialog").wait_for()
    await tab.picture("step-up")
    await tab.page.get_by_role("dialog").get_by_role("button", name="Use a passkey").click()
    await tab.page.get_by_role("status").filter(has_text="logs nobody in any more").wait_for()
    assert await tab.page.locator("#passkeys > li").count() == 1


async def add_passkey_on_another(tab: Tab, name: str) -> None:
    """Add a passkey of a second authenticator, which stays plugged in beside the first."""
    first = tab.authenticator
    await tab.authenticator_added(transport="usb", hasUserVerification=True)
    await add_passkey(tab, name)
    tab.authenticator = first


def age(console: Console) -> None:
    """Let every session's proof be older than five minutes."""
    for held in console.ground.sessions.held.values():
        held.proven_at = held.proven_at.replace(year=held.proven_at.year - 1)


async def test_a_step_up_by_code_and_one_that_is_cancelled(console: Console, tab: Tab) -> None:
    await log_in_with_password(tab, await console.person())
    age(console)
    await tab.page.get_by_role("button", name="Set up").click()
    dialog = tab.page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Cancel").click()
    await dialog.wait_for(state="hidden")
    await tab.page.get_by_role("button", name="Set up").click()
    await dialog.get_by_label("Or a code").fill("000000")
    await dialog.get_by_role("button", name="Use the code").click()
    await dialog.get_by_role("alert").filter(has_text="refused").wait_for()
    await dialog.get_by_label("Or a code").fill(CODE)
    await dialog.get_by_role("button", name="Use the code").click()
    await tab.page.get_by_alt_text("QR code").wait_for()
    await tab.page.get_by_label("Code from the app").fill(CODE)
    await tab.page.get_by_role("button", name="Confirm").click()
    await tab.page.get_by_text(CODES[0]).wait_for()


async def test_a_step_up_by_a_passkey_of_somebody_else_is_refused(
    console: Console, tab: Tab
) -> None:
    """The browser offers only one's own; an authenticator without one of those has nothing to show."""
    other = await console.person("Grace Hopper")
    await log_in_with_password(tab, other)
    await add_passkey(tab, "of Grace")
    await log_out(tab)
    person = await console.person()
    await console.ground.enrolled(person, console.ground.authenticator())
    await log_in_with_password(tab, person)
    age(console)
    await tab.page.get_by_role("button", name="Add a passkey").click()
    await tab.page.get_by_label("Name of the new passkey").fill("no")
    await tab.page.get_by_role("button", name="Make the passkey").click()
    dialog = tab.page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Use a passkey").click()
    await dialog.get_by_role("alert").filter(has_text="No passkey was used").wait_for()


async def test_whoevers_passkey_it_is_logs_in(console: Console, tab: Tab) -> None:
    """Two people on one machine, each with an authenticator of their own."""
    for name in ("Ada Lovelace", "Grace Hopper"):
        person = await console.person(name)
        await tab.authenticator_removed()
        await tab.authenticator_added()
        await log_in_with_password(tab, person)
        await add_passkey(tab, "my key")
        await log_out(tab)
        await log_in_with_passkey(tab)
        await tab.page.get_by_role("heading", name=name).wait_for()


async def test_an_authenticator_that_is_gone_logs_nobody_in(console: Console, tab: Tab) -> None:
    await log_in_with_password(tab, await console.person())
    await add_passkey(tab, "my laptop")
    await log_out(tab)
    await tab.authenticator_removed()
    await tab.authenticator_added()
    await log_in_with_passkey(tab)
    await says(tab, "No passkey was used")


async def test_a_passkey_that_was_removed_logs_nobody_in(console: Console, tab: Tab) -> None:
    person = await console.person()
    console.ground.others.sufficient.add(person.person_id)
    await log_in_with_password(tab, person)
    await add_passkey(tab, "my laptop")
    await tab.page.get_by_role("button", name="Remove my laptop").click()
    await tab.page.get_by_text("None yet").wait_for()
    await log_out(tab)
    await log_in_with_passkey(tab)
    await says(tab, "The passkey was not accepted")


async def test_the_last_factor_stays(console: Console, tab: Tab) -> None:
    await log_in_with_password(tab, await console.person())
    await add_passkey(tab, "my laptop")
    await tab.page.get_by_role("button", name="Remove my laptop").click()
    await says(tab, "you could not log in any more")


async def test_an_authenticator_that_does_not_verify_its_user_is_refused(
    console: Console, tab: Tab
) -> None:
    person = await console.person()
    await log_in_with_password(tab, person)
    await add_passkey(tab, "my laptop")
    await log_out(tab)
    await tab.user_verified(verified=False)
    await log_in_with_passkey(tab)
    await says(tab, "No passkey was used")


async def test_a_page_that_asks_for_less_gets_no_session(console: Console, tab: Tab) -> None:
    """A script that lets user verification be left out: the browser obeys it, and the server does not."""
    person = await console.person()
    await log_in_with_password(tab, person)
    await add_passkey(tab, "my laptop")
    await log_out(tab)
    await tab.authenticator_removed_keeping(transport="usb", hasUserVerification=False)
    (held,) = await tab.credentials()
    # Named by its id: a browser hides a passkey from whoever neither names it nor has its user verified.
    answer = await tab.page.evaluate(ASKS_FOR_LESS, b64(b64decode(held["credentialId"])))
    assert answer == {"status": 401, "code": "passkey_not_accepted"}
    (*_, record) = await console.ground.records("identity.login.failed")
    assert record["details"]["reason"] == "user_not_verified"


ASKS_FOR_LESS = """async (id) => {
    const { call, usePasskey } = await import("/pages/talk.js");
    const asked = (await call("POST", "/v1/login/passkey/options")).public_key;
    const credential = await usePasskey(
        { ...asked, userVerification: "discouraged", allowCredentials: [{ type: "public-key", id }] });
    try { await call("POST", "/v1/login/passkey", { mode: "test", credential }); }
    catch (error) { return { status: error.status, code: error.code }; }
}"""


async def test_somebody_suspended_is_refused(console: Console, tab: Tab) -> None:
    person = await console.person()
    await log_in_with_password(tab, person)
    await add_passkey(tab, "my laptop")
    await log_out(tab)
    await console.ground.set_status(person, PersonStatus.SUSPENDED)
    await log_in_with_passkey(tab)
    await says(tab, "The passkey was not accepted")


async def test_a_passkey_is_renamed(console: Console, tab: Tab) -> None:
    await log_in_with_password(tab, await console.person())
    await add_passkey(tab, "my laptop")
    await tab.page.get_by_role("button", name="Rename my laptop").click()
    await tab.page.get_by_label("Other name").fill("old <b>laptop</b>")
    await tab.page.get_by_role("button", name="Save").click()
    await tab.page.get_by_text("old <b>laptop</b>", exact=True).wait_for()


async def test_wrong_codes_are_said_and_fields_are_named(console: Console, tab: Tab) -> None:
    person, page = await console.person(), tab.page
    await page.goto("/login")
    await tab.picture("login")
    await page.get_by_role("button", name="Continue").click()
    await says(tab, "E-mail address is missing.")
    assert await page.evaluate("document.activeElement.id") == "email"
    await page.get_by_label("E-mail address").fill("ada")
    await page.get_by_label("Password").fill("wrong")
    await page.get_by_role("button", name="Continue").click()
    await says(tab, "E-mail address is not valid.")
    await tab.picture("login-error")
    await page.get_by_label("E-mail address").fill(person.email)
    await page.get_by_role("button", name="Continue").click()
    await page.get_by_label("Code from your authenticator app").fill(CODE)
    await tab.picture("login-code")
    await page.get_by_role("button", name="Log in").click()
    await says(tab, "The login was refused")
    await page.get_by_role("button", name="Start again").click()
    assert await page.get_by_label("Password").input_value() == ""


async def test_a_recovery_code_logs_in(console: Console, tab: Tab) -> None:
    person, page = await console.person(), tab.page
    await page.goto("/login")
    await page.get_by_label("E-mail address").fill(person.email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_label("Password").press("Enter")
    await page.get_by_role("button", name="Use a recovery code").click()
    await page.get_by_label("Recovery code").fill(CODES[0])
    await page.get_by_label("Recovery code").press("Enter")
    await page.wait_for_url("**/account")


@pytest.mark.parametrize("code", [CODE, "000000"])
async def test_a_companys_account_logs_in(console: Console, tab: Tab, code: str) -> None:
    person, page = await console.person(), tab.page
    console.stand.company_code = code
    await page.goto("/login")
    await page.get_by_role("button", name="Use your company's account").click()
    await says(tab, "Type your e-mail address first")
    await page.get_by_label("E-mail address").fill(person.email)
    await page.get_by_role("button", name="Use your company's account").click()
    if code == CODE:
        await page.get_by_role("heading", name=person.name).wait_for()
    else:
        await says(tab, "The login was refused")
    assert "code=" not in page.url, "what the provider said stands in no address bar"


async def test_what_nobody_began_here_is_not_finished(console: Console, tab: Tab) -> None:
    """Somebody else's answer of a provider, as a link: it would log the reader in as them."""
    await tab.page.goto(f"/login?state=s&code={CODE}&iss=https%3A%2F%2Fidp.example")
    await says(tab, "did not log you in")


async def test_a_password_is_changed(console: Console, tab: Tab) -> None:
    await log_in_with_password(tab, await console.person())
    await tab.page.get_by_role("button", name="Change", exact=True).click()
    for current, said in (("wrong", "refused"), (PASSWORD, "The password is changed")):
        await tab.page.get_by_label("Current password").fill(current)
        await tab.page.get_by_label("New password").fill("another battery 8")
        await tab.page.get_by_role("button", name="Change the password").click()
        await tab.page.get_by_text(said).wait_for()


async def test_everything_works_without_a_mouse(console: Console, tab: Tab) -> None:
    person, page = await console.person(), tab.page
    await page.goto("/login")
    await page.keyboard.press("Tab")
    await page.keyboard.press("ArrowRight")  # live → test
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.id") == "passkey"
    await page.keyboard.press("Tab")
    await page.keyboard.type(person.email)
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Code from your authenticator app")).to_be_focused()
    await page.keyboard.type(CODE)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/account")
    await page.get_by_text("test mode").wait_for()
    # What was pressed has the focus again when it is done, so that nobody begins at the top of the page.
    age(console)
    await page.get_by_role("button", name="Set up").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(page.get_by_role("button", name="Set up")).to_be_focused()


async def test_a_new_person_sets_up_a_passkey(console: Console, tab: Tab) -> None:
    person, page = await console.invited(), tab.page
    await page.goto(f"/setup#{LINK}")
    await page.get_by_role("heading", name="Welcome, Grace Hopper").wait_for()
    assert page.url == f"{console.url}/setup", "the link stands in the address bar no more"
    await tab.picture("setup")
    await page.get_by_role("button", name="A passkey").click()
    await page.get_by_role("button", name="Make the passkey").click()
    await page.get_by_role("heading", name="You are set up").wait_for()
    assert console.ground.tickets.finished[-1] == person.person_id
    await console.ground.set_status(person, PersonStatus.ACTIVE)
    await page.get_by_role("link", name="Log in").click()
    await page.get_by_role("button", name="Use a passkey").click()
    await page.wait_for_url("**/account")
    await page.get_by_role("heading", name="Grace Hopper").wait_for()


async def test_a_new_person_sets_up_a_password_and_an_app(console: Console, tab: Tab) -> None:
    await console.invited()
    page = tab.page
    await page.goto(f"/setup#{LINK}")
    await page.get_by_role("button", name="A password and").click()
    await page.get_by_label("New password").fill(PASSWORD)
    await page.get_by_label("The same again").fill("another")
    await tab.picture("setup-password")
    await page.get_by_role("button", name="Set the password").click()
    await says(tab, "not the same")
    await page.get_by_label("The same again").fill(PASSWORD)
    await page.get_by_role("button", name="Set the password").click()
    await page.get_by_alt_text("QR code").wait_for()
    assert await page.evaluate("document.getElementById('qr').naturalWidth") > 100
    await tab.picture("setup-app")
    await page.get_by_label("Code from the app").fill(CODE)
    await page.get_by_role("button", name="Confirm").click()
    await page.get_by_role("heading", name="Keep your recovery codes").wait_for()
    assert await page.locator("#codes > li").count() == 10
    await tab.picture("setup-codes")
    await page.get_by_role("button", name="I have kept them").click()
    await page.get_by_role("heading", name="You are set up").wait_for()
    assert await page.locator("#codes > li").count() == 0


@pytest.mark.parametrize(
    ("fragment", "said"), [("", "There is no link here"), ("#link_wrong", "refused")]
)
async def test_a_link_that_does_not_hold_is_said(
    console: Console, tab: Tab, fragment: str, said: str
) -> None:
    console.stand.invited = None
    await tab.page.goto(f"/setup{fragment}")
    await says(tab, said)


async def test_tokens_are_kept_in_the_tab_only(console: Console, tab: Tab) -> None:
    await log_in_with_password(tab, await console.person())
    kept: dict[str, Any] = await tab.page.evaluate(
        "({ local: Object.keys(localStorage), tab: Object.keys(sessionStorage), cookie: document.cookie })"
    )
    assert kept == {"local": [], "tab": ["strongroom.session"], "cookie": ""}
    assert await tab.context.cookies() == []
    await log_out(tab)
    assert await tab.page.evaluate("sessionStorage.length") == 0
    await tab.page.goto("/account")
    await tab.page.wait_for_url("**/login")


async def test_a_session_that_ended_leads_back_to_the_login(console: Console, tab: Tab) -> None:
    await log_in_with_password(tab, await console.person())
    # What the page asks for at first it has: else that would lead to the login, before anything is clicked.
    await tab.page.wait_for_load_state("networkidle")
    for held in console.ground.sessions.held.values():
        held.ended = held.ended or "ended_by_admin"
    await tab.page.get_by_role("button", name="Add a passkey").click()
    await tab.page.get_by_label("Name of the new passkey").fill("late")
    await tab.page.get_by_role("button", name="Make the passkey").click()
    await tab.page.wait_for_url("**/login")


async def test_an_access_token_that_ran_out_is_refreshed(console: Console, tab: Tab) -> None:
    await log_in_with_password(tab, await console.person())
    for held in console.ground.sessions.held.values():
        held.access.clear()
    await tab.page.reload()
    await tab.page.get_by_role("heading", name="Ada Lovelace").wait_for()


async def test_other_sessions_are_seen_and_ended(console: Console, tab: Tab) -> None:
    person = await console.person()
    await console.ground.session(person)
    await log_in_with_password(tab, person)
    await tab.page.get_by_role("button", name="End the session").click()
    await tab.page.get_by_role("status").filter(has_text="The session has ended").wait_for()
    assert await tab.page.locator("#sessions > li").count() == 1
    ended = [held.ended for held in console.ground.sessions.held.values() if held.person == person]
    assert sorted(map(str, ended)) == ["None", "ended_by_person"]


async def test_nothing_foreign_runs_or_is_loaded(console: Console, tab: Tab) -> None:
    """Injected script, style, picture, frame and request: the page's policy stops each."""
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    await tab.page.goto("/login")
    await tab.page.wait_for_load_state("networkidle")
    assert all(url.startswith(console.url) for url in asked), asked
    broken: list[str] = await tab.page.evaluate(INJECTS)
    tab.complaints.clear()  # the browser names each
    assert set(broken) >= {
        "script-src-elem",
        "style-src-elem",
        "img-src",
        "frame-src",
        "connect-src",
    }
    assert await tab.page.evaluate("window.injected === undefined")


INJECTS = """async () => {
    const broken = [];
    document.addEventListener("securitypolicyviolation", (event) => broken.push(event.effectiveDirective));
    const put = (tag, fields) => document.body.append(Object.assign(document.createElement(tag), fields));
    try { put("script", { textContent: "window.injected = 1" }); } catch { broken.push("script-src-elem"); }
    put("style", { textContent: "body { display: none }" });
    put("img", { src: "https://evil.example/a.png" });
    put("iframe", { src: "https://evil.example/" });
    await fetch("https://evil.example/").catch(() => null);
    await new Promise((resolve) => setTimeout(resolve, 200));
    return broken;
}"""


async def test_every_field_has_a_name_and_every_page_one_heading(
    console: Console, tab: Tab
) -> None:
    await log_in_with_password(tab, await console.person())
    await add_passkey(tab, "my laptop")
    for path in ("/account", "/login", "/setup"):
        await tab.page.goto(path)
        found: dict[str, Any] = await tab.page.evaluate(NAMES)
        assert found["unnamed"] == [], path
        assert found["headings"] == 1, path
        assert found["language"] == "en"
        assert found["alerts"] >= 1, path


NAMES = """() => ({
    unnamed: [...document.querySelectorAll("input, button, a")]
        .filter((each) => !each.hidden)
        .filter((each) => !(each.labels?.length || each.textContent.trim() || each.getAttribute("aria-label")))
        .map((each) => each.outerHTML),
    headings: document.querySelectorAll("h1").length,
    language: document.documentElement.lang,
    alerts: document.querySelectorAll("[role=alert]").length,
})"""
