# SPDX-License-Identifier: Apache-2.0
"""Chapter 12: the processor's journal and our books, compared attempt by attempt, to the last minor unit.

The journal is what really happened; it was written by another process. `compared` is pure, and is shown to bite.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from msgspec.structs import replace

from strongroom.cli.scenario.client import trust
from strongroom.cli.scenario.lanes import open_lanes, printed
from strongroom.cli.scenario.notices import FORGED
from strongroom.cli.scenario.paying import SETTLED_SECONDS_MAX, money
from strongroom.cli.scenario.story import Story
from strongroom.cli.scenario.till import Till
from strongroom.kernel.clock import rfc3339

if TYPE_CHECKING:
    from strongroom.simulator import Entry, PaymentTotals

TITLE: Final = "12 · Two sets of books"
SUMS: Final = ("authorized", "captured", "voided", "refunded")
#: What moves money, by the operation of ours that asks for it.
_WORDS: Final = {
    "authorize": "authorized",
    "sale": "captured",
    "capture": "captured",
    "void": "voided",
    "refund": "refunded",
}
_UNDONE: Final = {"capture_failed": "captured", "refund_failed": "refunded"}
_LANES: Final = 8
_STEP_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Ours:
    """Our books: every payment of a connection, and every attempt, as the API prints them."""

    payments: Sequence[Mapping[str, Any]]
    attempts: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Theirs:
    """The processor's books: its journal, and its sums of each payment."""

    journal: "Sequence[Entry]"
    payments: "Sequence[PaymentTotals]"


def compared(ours: Ours, theirs: Theirs) -> list[str]:
    """Return in what the two differ: attempts with lines of the journal, then the sums of each payment."""
    found: list[str] = []
    happened = _happened(theirs.journal)
    for attempt in ours.attempts:
        lines = happened.pop(attempt["id"], [])
        wanted = []
        if (
            attempt["outcome"] == "approved" and attempt["operation"] in _WORDS
        ):  # a verification moves nothing
            settled = attempt["settled_amount"]
            amount = attempt["amount"] if settled is None else settled
            wanted = [(_WORDS[attempt["operation"]], amount, attempt["currency"])]
        if lines != wanted:
            found.append(f"{attempt['id']}: the journal has {_said(lines)}, we {_said(wanted)}")
    found += [f"{reference}: no attempt of ours" for reference in happened]
    sums = {each.reference: each for each in theirs.payments}
    payment_of = {
        each["payment"]: each["id"]
        for each in ours.attempts
        if each["outcome"] == "approved" and each["operation"] in ("authorize", "sale")
    }
    for payment in ours.payments:
        total = sums.get(payment_of.get(payment["id"], ""))
        for name in SUMS:
            there = 0 if total is None else getattr(total, name)
            here = payment["balances"][name]
            if here != there:
                found.append(f"{payment['id']}: {name} is {there} there and {here} here")
    return found


def _happened(journal: "Sequence[Entry]") -> dict[str, list[tuple[str, int, str]]]:
    """Return what moved money and was not undone, by our reference."""
    happened: dict[str, list[tuple[str, int, str]]] = defaultdict(list)
    for line in journal:
        if line.kind in _WORDS.values():
            happened[line.reference].append((line.kind, line.amount, line.currency))
        elif line.kind in _UNDONE:
            happened[line.reference].remove((_UNDONE[line.kind], line.amount, line.currency))
    return happened


def _said(lines: Sequence[tuple[str, int, str]]) -> str:
    return ", ".join(f"{kind} {amount} {currency}" for kind, amount, currency in lines) or "nothing"


async def play(story: Story) -> None:
    """Play it."""
    till = story.till
    story.report.note("every webhook is waited for, in both directions; then each side is asked")
    begun = perf_counter()
    with story.report.busy("waiting until nothing is on its way …"):
        told = await till.control.until_told(seconds=SETTLED_SECONDS_MAX)
        waiting = await _settled(story, till)
    differences = [f"{waiting} payments are still processing"] if waiting else []
    differences += [f"{told.given_up} were given up"] if told.given_up else []
    story.report.check(
        "nothing is on its way any more",
        f"{told.delivered:,} notices taken, {perf_counter() - begun:.1f} s",
        differences,
    )
    journal = await till.control.journal(account=till.account)
    books = await till.control.books(account=till.account)
    theirs = Theirs(journal, books.payments)
    begun = perf_counter()
    ours = await _ours(story, till)
    story.attempts |= {each["id"] for each in ours.attempts}
    story.report.check(
        f"{len(ours.attempts):,} attempts, {len(journal):,} lines in the journal",
        f"one by one the same, {perf_counter() - begun:.1f} s",
        compared(ours, theirs),
    )
    _sums(story, ours, theirs)
    _bites(story, ours, theirs)
    await _heard(story, till)


async def _settled(story: Story, till: Till) -> int:
    """Wait until nothing of this run is unknown; return how many payments still are."""
    end = perf_counter() + SETTLED_SECONDS_MAX
    while True:
        page = await story.shop.gateway.get("/v1/payments?status=processing&limit=100")
        waiting = sum(1 for each in page["data"] or () if each["connection"] == till.connection)
        if not waiting or perf_counter() > end:
            return waiting
        await asyncio.sleep(_STEP_SECONDS)


async def _ours(story: Story, till: Till) -> Ours:
    """Ask the gateway for every payment of this run, and for the attempts of each."""
    at = story.shop.gateway
    begun = quote(rfc3339(story.begun))
    payments: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await at.get(f"/v1/payments?limit=100&created_from={begun}{cursor}")
        payments += [each for each in page["data"] or () if each["connection"] == till.connection]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    attempts: list[dict[str, Any]] = []
    lanes = await open_lanes(story.gateway, trust(story.authority), _LANES)
    waiting = iter(payments)

    async def ask(lane: Any) -> None:
        for payment in waiting:
            path = f"/v1/payments/{payment['id']}/attempts"
            reply = await lane.ask(printed(story.gateway, "GET", path, at.key or ""))
            story.ledger.keep(reply.head, reply.body)
            attempts.extend(reply.json["data"])

    try:
        await asyncio.gather(*map(ask, lanes))
    finally:
        for lane in lanes:
            lane.close()
    return Ours(payments, attempts)


def _sums(story: Story, ours: Ours, theirs: Theirs) -> None:
    """All of the money, by currency."""
    here, there = _totals(ours.payments), Counter[tuple[str, str]]()
    for each in theirs.payments:
        for name in SUMS:
            there[each.currency, name] += getattr(each, name)
    for currency in sorted({currency for currency, _ in there | here}):
        for name in SUMS:
            ours_is, theirs_is = here[currency, name], there[currency, name]
            if not ours_is and not theirs_is:
                continue
            story.report.check(
                f"{currency} {name}",
                f"{money(theirs_is, currency)} there, {money(ours_is, currency)} here",
                [] if ours_is == theirs_is else [f"they differ by {ours_is - theirs_is}"],
            )


def _totals(payments: Sequence[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    sums: Counter[tuple[str, str]] = Counter()
    for payment in payments:
        for name in SUMS:
            sums[payment["currency"], name] += payment["balances"][name]
    return sums


def _bites(story: Story, ours: Ours, theirs: Theirs) -> None:
    """A comparison that finds nothing shows nothing, unless it would find something: on copies."""
    at = next(n for n, line in enumerate(theirs.journal) if line.kind == "captured")
    line = theirs.journal[at]
    altered = [*theirs.journal]
    altered[at] = replace(line, amount=line.amount - 1)
    for what, journal in (
        ("one minor unit less in a copy of the journal", altered),
        ("one line less in it", [*theirs.journal[:at], *theirs.journal[at + 1 :]]),
        ("one line twice in it", [*theirs.journal, line]),
    ):
        found = compared(ours, Theirs(journal, theirs.payments))
        wanted = len(found) == 1 and line.reference in found[0]
        story.report.check(
            what, "found, and nothing else", [] if wanted else [f"{len(found)} differences found"]
        )


async def _heard(story: Story, till: Till) -> None:
    """Every event that there is was heard by the merchant, once."""
    shop, events = till.shop, set[str]()
    cursor = ""
    begun = rfc3339(story.begun)
    while True:
        page = await story.shop.gateway.get(f"/v1/events?limit=100{cursor}")
        recent = [each["id"] for each in page["data"] or () if each["timestamp"] >= begun]
        events |= set(recent)
        if not page["has_more"] or not recent:
            break
        cursor = f"&cursor={page['next_cursor']}"
    await shop.until(lambda: events <= shop.heard.keys(), seconds=SETTLED_SECONDS_MAX)
    unknown = len(shop.heard.keys() - events)
    differences = [f"{unknown} that we do not know of"] if unknown else []
    if shop.refused != FORGED:
        differences.append(f"{shop.refused} did not verify, {FORGED} of them forged")
    story.report.check(
        f"{len(events):,} events, each heard by the merchant",
        f"{shop.deliveries:,} deliveries, {shop.again} repeats, {shop.refused} forged",
        differences,
    )
