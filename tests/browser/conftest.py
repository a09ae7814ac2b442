# SPDX-License-Identifier: Apache-2.0
"""A console that listens over TLS, and Debian's Chromium in front of it; without Chromium these tests skip, counted."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, CDPSession, Page, async_playwright

from browser.stand_ins import ROUTES, TICKET, StandIn
from database import Databases
from missing_tools import missing
from people_ground import PeopleGround, people_ground
from service import free_ports
from strongroom.identity.pages import api as pages_api
from strongroom.identity.people.model import Person, PersonStatus

ARGUMENTS: Final = (
    "--no-sandbox --headless --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --ignore-certificate-errors"
).split()
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
#: Where pictures of the pages go when somebody wants to look at them.
PICTURES: Final = os.environ.get("BROWSER_PICTURES")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """Lend one browser to the session."""
    program = shutil.which("chromium")
    if program is None:
        missing("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        await browser.close()


@dataclass
class Console:
    """A console that listens, with people whose password and code are the stand-ins'."""

    ground: PeopleGround
    stand: StandIn

    @property
    def url(self) -> str:
        return self.ground.origin

    async def person(self, name: str = "Ada Lovelace", **more: Any) -> Person:
        person = await self.ground.person(name=name, **more)
        self.stand.by_email[person.email] = person
        return person

    async def invited(self, name: str = "Grace Hopper") -> Person:
        person = await self.ground.person(name=name, status=PersonStatus.INVITED)
        self.stand.invited = person
        self.ground.tickets.tickets[TICKET] = person
        return person


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def console(
    chromium: Browser, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Console]:
    """Lend a console that listens on this machine's name."""
    (port,) = free_ports(1)
    stands: list[StandIn] = []

    def state(sessions: Any) -> dict[str, Any]:
        stands.append(StandIn(sessions))
        return {"stand": stands[0]}

    async with people_ground(
        databases,
        tmp_path_factory.mktemp("console"),
        more_routes=[*pages_api.ROUTES, *ROUTES],
        more_state=state,
        port=port,
        console_origin=f"https://localhost:{port}",
    ) as ground:
        yield Console(ground, stands[0])


@dataclass
class Tab:
    """A tab of a browser that has an authenticator, and what it complained about."""

    page: Page
    context: BrowserContext
    devtools: CDPSession
    complaints: list[str]
    authenticator: str = ""

    async def authenticator_added(self, **options: Any) -> str:
        """Plug an authenticator in; it answers without anybody touching it."""
        answer = await self.devtools.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2",
                    "transport": "internal",
                    "hasResidentKey": True,
                    "hasUserVerification": True,
                    "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                    **options,
                }
            },
        )
        self.authenticator = str(answer["authenticatorId"])
        return self.authenticator

    async def authenticator_removed(self) -> None:
        await self.devtools.send(
            "WebAuthn.removeVirtualAuthenticator", {"authenticatorId": self.authenticator}
        )

    async def authenticator_removed_keeping(self, **options: Any) -> None:
        """Change the authenticator for another that holds the same passkeys."""
        kept = await self.credentials()
        await self.authenticator_removed()
        await self.authenticator_added(**options)
        for credential in kept:
            await self.devtools.send(
                "WebAuthn.addCredential",
                {"authenticatorId": self.authenticator, "credential": credential},
            )

    async def user_verified(self, *, verified: bool) -> None:
        await self.devtools.send(
            "WebAuthn.setUserVerified",
            {"authenticatorId": self.authenticator, "isUserVerified": verified},
        )

    async def credentials(self) -> list[dict[str, Any]]:
        answer = await self.devtools.send(
            "WebAuthn.getCredentials", {"authenticatorId": self.authenticator}
        )
        return list(answer["credentials"])

    async def picture(self, name: str) -> None:
        """Keep a picture of the page, light and dark, where somebody wants to look at it."""
        if PICTURES is None:
            return
        for scheme in SCHEMES:
            await self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await self.page.screenshot(path=Path(PICTURES) / f"{name}-{scheme}.png", full_page=True)
        await self.page.emulate_media(color_scheme="light", reduced_motion="no-preference")


@asynccontextmanager
async def tab_at(chromium: Browser, url: str) -> AsyncIterator[Tab]:
    """Lend a fresh tab with an authenticator; a page that breaks its own policy, or throws, fails its test."""
    context = await chromium.new_context(
        base_url=url, ignore_https_errors=True, viewport={"width": 1000, "height": 800}
    )
    page = await context.new_page()
    page.set_default_timeout(30_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type == "error" and "Failed to load resource" not in message.text
            else None
        ),
    )
    devtools = await context.new_cdp_session(page)
    await devtools.send("WebAuthn.enable", {"enableUI": False})
    lent = Tab(page, context, devtools, complaints)
    await lent.authenticator_added()
    try:
        yield lent
    finally:
        await context.close()
    assert complaints == []


@pytest_asyncio.fixture(loop_scope="session")
async def tab(chromium: Browser, console: Console) -> AsyncIterator[Tab]:
    """Lend a tab at the console whose other parts are stand-ins."""
    async with tab_at(chromium, console.url) as lent:
        yield lent
