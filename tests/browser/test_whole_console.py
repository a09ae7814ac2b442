# SPDX-License-Identifier: Apache-2.0
"""The pages before the whole product, nothing stood in for: from an invitation to a reset, in a real browser."""

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import pyotp
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from approving import two_admins
from browser.conftest import Tab, tab_at
from database import Databases
from members import ACT
from oidc_provider import CLIENT, SECRET, oidc_provider
from peer import Sent, answer
from service import Service, running
from strongroom.identity.people.model import Person, PersonWish
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.principal import Role

PASSWORD: Final = "seven grey herons over the creek 7"
_numbers: Final = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def clock() -> SteppedClock:
    return SteppedClock(datetime.now(UTC))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def whole(
    chromium: Browser,
    databases: Databases,
    clock: SteppedClock,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Service]:
    """Lend everything, listening over TLS."""
    async with running(databases, tmp_path_factory.mktemp("whole"), clock=clock) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="session")
async def here(chromium: Browser, whole: Service) -> AsyncIterator[Tab]:
    async with tab_at(chromium, whole.settings.console_url) as lent:
        yield lent


async def invited(whole: Service, name: str) -> tuple[Person, str]:
    """Invite an administrator of a merchant of their own; return the link."""
    merchant = (await whole.tenant()).merchant
    wish = PersonWish(merchant, f"grace{next(_numbers)}@shop.example", name, Role.ADMIN)
    made = await whole.desk.people.invite(wish, ACT)
    return made.person, made.link.expose()


async def test_with_a_passkey_and_nothing_else(
    whole: Service, here: Tab, clock: SteppedClock
) -> None:
    person, link = await invited(whole, "Grace Hopper")
    page = here.page
    await page.goto(link)
    await page.get_by_role("button", name="A passkey").click()
    await page.get_by_role("button", name="Make the passkey").click()
    await page.get_by_role("heading", name="You are set up").wait_for()
    await page.get_by_role("link", name="Log in").click()
    await page.get_by_role("button", name="Use a passkey").click()
    await page.get_by_role("heading", name="Grace Hopper").wait_for()
    await page.get_by_text(f"{person.email} · admin · Corner Shop · live mode").wait_for()
    await page.get_by_role("button", name="Remove My passkey").click()
    await page.get_by_role("alert").filter(has_text="could not log in any more").wait_for()

    await here.authenticator_added(transport="usb")
    await page.get_by_role("button", name="Add a passkey").click()
    await page.get_by_label("Name of the new passkey").fill("key in the safe")
    await page.get_by_role("button", name="Make the passkey").click()
    await page.get_by_text("key in the safe", exact=True).wait_for()

    clock.step(
        timedelta(minutes=6)
    )  # the access token has ended, and what was shown is too long ago
    await page.get_by_role("button", name="Remove My passkey").click()
    await page.get_by_role("dialog").get_by_role("button", name="Use a passkey").click()
    await page.get_by_role("status").filter(has_text="logs nobody in any more").wait_for()
    assert await page.locator("#passkeys > li").count() == 1
    await page.get_by_role("button", name="Log out").click()
    await page.wait_for_url("**/login")

    await page.goto(link)
    await page.get_by_role("alert").filter(has_text="link").wait_for()


async def test_with_a_password_an_app_and_then_a_passkey(
    whole: Service, here: Tab, clock: SteppedClock
) -> None:
    person, link = await invited(whole, "Annie Easley")
    page = here.page
    await page.goto(link)
    await page.get_by_role("button", name="A password and").click()
    await page.get_by_label("New password").fill(PASSWORD)
    await page.get_by_label("The same again").fill(PASSWORD)
    await page.get_by_role("button", name="Set the password").click()
    await page.get_by_alt_text("QR code").wait_for()
    app = pyotp.TOTP((await page.locator("#secret").inner_text()).replace(" ", ""))
    await page.get_by_label("Code from the app").fill(app.at(clock.now()))
    await page.get_by_role("button", name="Confirm").click()
    await page.get_by_role("heading", name="Keep your recovery codes").wait_for()
    recovery = await page.locator("#codes > li").first.inner_text()
    await page.get_by_role("button", name="I have kept them").click()
    await page.get_by_role("link", name="Log in").click()

    clock.step(timedelta(seconds=31))  # each code is taken once
    await type_password(here, person)
    await page.get_by_label("Code from your authenticator app").fill(app.at(clock.now()))
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_role("heading", name="Annie Easley").wait_for()
    await page.get_by_text("10 recovery codes left").wait_for()
    await page.get_by_role("button", name="Add a passkey").click()
    await page.get_by_label("Name of the new passkey").fill("my laptop")
    await page.get_by_role("button", name="Make the passkey").click()
    await page.get_by_text("my laptop", exact=True).wait_for()

    clock.step(timedelta(minutes=6))
    await page.get_by_role("button", name="New recovery codes").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Or a code").fill(app.at(clock.now()))
    await dialog.get_by_role("button", name="Use the code").click()
    await page.get_by_role("status").filter(has_text="your new recovery codes").wait_for()
    assert recovery not in await page.locator("#codes").inner_text()
    recovery = await page.locator("#codes > li").first.inner_text()
    await page.get_by_role("button", name="Log out").click()
    await page.wait_for_url("**/login")

    await type_password(here, person)
    await page.get_by_role("button", name="Use a recovery code").click()
    await page.get_by_label("Recovery code").fill(recovery)
    await page.get_by_label("Recovery code").press("Enter")
    await page.get_by_text("9 recovery codes left").wait_for()
    await page.get_by_role("button", name="Remove my laptop").wait_for()
    await page.get_by_role("button", name="Log out").click()
    await page.wait_for_url("**/login")

    await page.get_by_role("button", name="Use a passkey").click()
    await page.get_by_role("heading", name="Annie Easley").wait_for()
    await whole.desk.people.reset(person.merchant, person.person_id, ACT)
    await page.goto("/login")
    await page.get_by_role("button", name="Use a passkey").click()
    await page.get_by_role("alert").filter(has_text="The passkey was not accepted").wait_for()


async def test_with_an_account_at_a_company(whole: Service, here: Tab, clock: SteppedClock) -> None:
    """The browser really goes to the provider, which sends it back to the login page."""
    person, _ = await invited(whole, "Katherine Johnson")
    two = await two_admins(whole, person.merchant)
    redirect = f"{whole.settings.console_url}/login"
    async with oidc_provider(clock) as provider:
        provider.claims = {"sub": "katherine", "email": person.email, "email_verified": True}

        async def serve(sent: Sent, writer: Any) -> bytes:
            if not sent.target.startswith("/authorize?"):
                return await provider.serve(sent, writer)
            back = urlencode(provider.visited(provider.issuer + sent.target))
            return answer(b"", 302, f"location: {redirect}?{back}\r\n")

        provider.listening.behaviour = serve
        made = await two.done(
            "/v1/providers",
            {
                "name": "Corner Shop accounts",
                "issuer": provider.issuer,
                "client_id": CLIENT,
                "client_secret": SECRET,
                "domains": ["shop.example"],
                "redirects": [redirect],
                "required_amr": ["mfa"],
                "creates_people": False,
            },
        )
        assert made.status_code == 201, made.text
        await here.page.goto("/login")
        await here.page.get_by_label("E-mail address").fill(person.email)
        await here.page.get_by_role("button", name="Use your company's account").click()
        await here.page.get_by_role("heading", name="Katherine Johnson").wait_for()
        assert len(provider.redeemed) == 1


async def type_password(here: Tab, person: Person) -> None:
    await here.page.get_by_label("E-mail address").fill(person.email)
    await here.page.get_by_label("Password").fill(PASSWORD)
    await here.page.get_by_role("button", name="Continue").click()
