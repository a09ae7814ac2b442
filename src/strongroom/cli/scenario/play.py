# SPDX-License-Identifier: Apache-2.0
"""Plays the chapters one after the other. A chapter that breaks is a failed check, and the next one is played."""

import itertools
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from strongroom.cli.scenario.client import Client, Ledger, make_http, trust
from strongroom.cli.scenario.folder import DemoFolder, MerchantKeys
from strongroom.cli.scenario.host import Ready
from strongroom.cli.scenario.places import Places
from strongroom.cli.scenario.report import Report
from strongroom.cli.scenario.story import Party, Story
from strongroom.config import Settings
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.errors import StrongroomError

#: Synthetic cards beside those of the load, for the other chapters.
SPARE_CARDS: Final = 200


@dataclass(frozen=True, slots=True)
class _Wires:
    http: httpx.AsyncClient
    ready: Ready
    ledger: Ledger

    def party(self, known: MerchantKeys) -> Party:
        at_vault = Client(self.http, self.ready.vault, known.text("sk"), self.ledger)
        return Party(
            known.merchant,
            known.name,
            at_vault,
            at_vault.with_key(known.text("pk")),
            Client(self.http, self.ready.gateway, known.text("sk"), self.ledger),
        )


@asynccontextmanager
async def told(
    settings: Settings,
    folder: DemoFolder,
    report: Report,
    ready: Ready,
    places: Places,
    cards_wanted: int,
) -> AsyncIterator[Story]:
    """Make a story with open clients; stop in the end what its chapters started."""
    authority = settings.state / "tls" / "ca.pem"
    ledger = Ledger()
    shop, market = folder.merchants()
    first_of_all, first = folder.reserve_serials(cards_wanted + SPARE_CARDS)
    async with make_http(trust(authority)) as http, AsyncExitStack() as stack:
        wires = _Wires(http, ready, ledger)
        party = wires.party(shop)
        yield Story(
            settings=settings,
            folder=folder,
            report=report,
            ledger=ledger,
            shop=party,
            market=wires.party(market),
            live=party.secret.with_key(shop.text("live")),
            stranger=party.secret.with_key(None),
            begun=SystemClock().now(),
            cards=cards_wanted,
            vault=ready.vault,
            gateway=ready.gateway,
            webhooks=ready.webhooks,
            console=ready.console,
            places=places,
            authority=authority,
            stack=stack,
            first_serial=first_of_all,
            serials=itertools.count(first),
        )


Play = Callable[[Story], Awaitable[None]]


def _chapters(story: Story) -> list[tuple[str, Play]]:
    # What these import is not wanted before the first token.
    from strongroom.cli.scenario import (
        audit_log,
        books,
        cards,
        challenge,
        connect,
        deduplication,
        idempotency,
        load,
        notices,
        payments,
        payments_load,
        search,
        tokens,
        unknown,
    )

    return [
        (cards.TITLE, cards.play),
        (idempotency.TITLE, idempotency.play),
        (deduplication.TITLE, deduplication.play),
        (tokens.TITLE, tokens.play),
        (load.TITLE.format(cards=story.cards), load.play),
        (connect.TITLE, connect.play),
        (payments.TITLE, payments.play),
        (challenge.TITLE, challenge.play),
        (unknown.TITLE, unknown.play),
        (notices.TITLE, notices.play),
        (payments_load.TITLE, payments_load.play),
        (books.TITLE, books.play),
        (audit_log.TITLE, audit_log.play),
        (search.TITLE, search.play),
    ]


async def scenario(story: Story) -> None:
    """Play every chapter."""
    for title, play in _chapters(story):
        with story.report.chapter(title):
            try:
                await play(story)
            except* Exception as errors:  # noqa: BLE001 - whatever broke it, it is said, and the run goes on
                said = sorted({_said(error) for error in _leaves(errors)})
                story.report.check("the chapter is played to its end", "it broke off", said)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


def _said(error: BaseException) -> str:
    """Say what broke: our own errors hold no values; of others the class and the line, as their text might."""
    if isinstance(error, StrongroomError):
        return f"{error.code}: {error.detail}"
    places = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "strongroom" in frame.filename
    ]
    where = f" at {Path(places[-1].filename).name}:{places[-1].lineno}" if places else ""
    return type(error).__name__ + where
