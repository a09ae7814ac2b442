# SPDX-License-Identifier: Apache-2.0
"""What is there when a run is over, read from both sides; and every checker over it. Apart from the workload."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import canary
import money
from simulation.ground import Ground
from simulation.till import Memory
from strongroom.db.logins import Domain

_PAYMENTS: Final = """
select p.*, (select a.attempt_id from payments.attempt a
              where a.merchant_id = p.merchant_id and a.payment_id = p.payment_id
                and a.operation in ('authorize', 'sale') and a.outcome = 'approved') as authorization
  from payments.payment p
"""
_EVENTS: Final = "select merchant_id, event_id, type, payload from webhooks.event order by event_id"
_DELIVERIES: Final = "select delivery_id, status from webhooks.delivery"


@dataclass(slots=True)
class Books:
    """Both sides, and what was heard in between."""

    payments: list[dict[str, Any]]
    attempts: list[dict[str, Any]]
    refunds: list[dict[str, Any]]
    postings: list[dict[str, Any]]
    events: list[dict[str, Any]]
    deliveries: list[dict[str, Any]]
    notices: list[dict[str, Any]]
    journal: Sequence[Any]
    sums: Mapping[str, Any]
    memory: Memory
    #: Connections whose processor cannot be asked.
    by_notice: Sequence[str] = ()
    #: Merchants that listen, and what each of them took.
    taken: Mapping[str, Counter[str]] = field(default_factory=dict)


async def read_books(ground: Ground, memory: Memory) -> Books:
    """Read both sides."""
    control = ground.simulated.control
    return Books(
        payments=await ground.look(Domain.CORE, _PAYMENTS),
        attempts=await ground.look(Domain.CORE, "select * from payments.attempt"),
        refunds=await ground.look(Domain.CORE, "select * from payments.refund"),
        postings=await ground.look(Domain.CORE, "select * from payments.posting"),
        events=await ground.look(Domain.CORE, _EVENTS),
        deliveries=await ground.look(Domain.CORE, _DELIVERIES),
        notices=await ground.look(Domain.CORE, "select * from webhooks.notice"),
        journal=await control.journal(),
        sums=money.sums_of(await control.books()),
        memory=memory,
    )


def found_in(books: Books) -> dict[str, list[str]]:
    """Run every checker over the books; return what each found."""
    payments, attempts, journal = books.payments, books.attempts, books.journal
    payment_of = {each["attempt_id"]: each["payment_id"] for each in attempts}
    reversed_ = {
        payment_of.get(entry.reference, "") for entry in journal if entry.kind in money.REVERSED
    }
    told = [_as_told(each) for each in books.events]
    listening = [each for each in books.events if each["merchant_id"] in books.taken]
    taken: Counter[str] = Counter()
    for each in books.taken.values():
        taken += each
    return {
        "money": [
            *money.impossible(payments),
            *money.overasked(payments, attempts),
            *money.differences(payments, books.sums),
            *money.misposted(payments, books.postings, books.sums),
            *money.refused(books.sums),
            *money.recounted(payments, attempts),
            *money.refunds_apart(books.refunds, attempts),
            *(f"discrepancy: {each['payment_id']}" for each in payments if each["discrepancy"]),
        ],
        "once": [
            *money.doubled(attempts, journal),
            *money.live_authorizations(attempts, journal),
            *money.ordered_once(payments),
        ],
        "truth": [
            *money.contradictions(attempts, journal),
            *money.unsettled(attempts, journal, books.by_notice),
        ],
        "acknowledged": [
            *money.acknowledged(books.memory.told, payments, attempts, books.refunds, journal),
            *books.memory.surprises,
        ],
        "order": [*money.out_of_order(told), *money.gone_back(books.memory.seen, reversed_)],
        "told": [
            *money.untold([each["event_id"] for each in listening], taken, books.deliveries),
            *(
                f"{e['notice_id']} was not dealt with"
                for e in books.notices
                if e["state"] == "kept"
            ),
        ],
    }


def _as_told(event: Mapping[str, Any]) -> dict[str, Any]:
    payment = json.loads(event["payload"])["data"]["payment"]
    return {
        "type": event["type"],
        "payment": payment["id"],
        "updated_at": payment["updated_at"],
    }


async def canaries(ground: Ground) -> list[str]:
    """Say where the number that some customers paid with is found: tables, files, logs, the processor's folder."""
    wanted = canary.Canary(canary.NUMBER, canary.CVC)
    await ground.databases.server.run("checkpoint")
    found: list[str] = []
    for domain in Domain:
        found += await wanted.in_tables(ground.databases.administrator(domain))
    return found + await asyncio.to_thread(wanted.in_folder, ground.folder)
