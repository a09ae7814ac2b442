# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ break-glass, reviews and their items."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from strongroom.db.pool import ReadOnly, Transaction
from strongroom.db.queries import load_queries
from strongroom.identity.access.model import (
    REVIEW_EVERY,
    Decision,
    Due,
    Glass,
    Item,
    Review,
    Subject,
    SubjectKind,
)
from strongroom.identity.people.model import Person
from strongroom.identity.people.store import person_of
from strongroom.identity.store import permissions_of
from strongroom.identity.tenants import GROUP
from strongroom.kernel.ids import MerchantId, SessionId
from strongroom.kernel.mode import Mode

_QUERIES: Final = load_queries("strongroom.identity.access")


def _glass(row: Mapping[str, Any]) -> Glass:
    return Glass(
        row["break_glass_id"],
        MerchantId(row["merchant_id"]),
        Mode(row["mode"]),
        row["person_id"],
        SessionId(row["session_id"]),
        permissions_of(row["permissions"]),
        row["reason"],
        row["started_at"],
        row["expires_at"],
        row["extended_at"],
        row["ended_at"],
        row["ended_by"],
    )


async def insert_glass(tx: Transaction, new: Glass) -> None:
    """Add extra permissions. Raises ConstraintBroken where the person has some already."""
    await tx.run(
        _QUERIES["insert_glass"],
        new.merchant,
        new.glass_id,
        new.mode,
        new.person,
        new.session,
        sorted(new.permissions),
        new.reason,
        new.started_at,
        new.expires_at,
    )


async def glass_by_id(read: ReadOnly, merchant: MerchantId, glass: str) -> Glass | None:
    """Return one."""
    row = await read.row(_QUERIES["glass_by_id"], merchant, glass)
    return None if row is None else _glass(row)


async def glasses(
    read: ReadOnly,
    merchant: MerchantId,
    mode: Mode,
    *,
    before: str | None,
    limit: int,
    of: str | None,
) -> Sequence[Glass]:
    """Return a page, newest first; `of` is the person whose alone are wanted."""
    rows = await read.rows(_QUERIES["list_glasses"], merchant, mode, before, limit, of)
    return [_glass(row) for row in rows]


async def active_glass(
    read: ReadOnly, merchant: MerchantId, person: str, session: str, now: datetime
) -> Glass | None:
    """Return what a session has now."""
    row = await read.row(_QUERIES["active_glass"], merchant, person, session, now)
    return None if row is None else _glass(row)


async def extend_glass(tx: Transaction, glass: Glass, now: datetime, until: datetime) -> bool:
    """Let it last longer; tell whether it could."""
    return await tx.run(_QUERIES["extend_glass"], glass.merchant, glass.glass_id, now, until) == 1


async def end_glass(tx: Transaction, glass: Glass, now: datetime, actor: str) -> bool:
    """End it; tell whether it was open."""
    return await tx.run(_QUERIES["end_glass"], glass.merchant, glass.glass_id, now, actor) == 1


async def tenants_with_past_glasses(read: ReadOnly, now: datetime) -> Sequence[MerchantId]:
    """Return whose break-glass is over and not ended, some at a time."""
    await read.row(_QUERIES["be_expiry_job"])
    rows = await read.rows(_QUERIES["tenants_with_past_glasses"], now, GROUP)
    return [MerchantId(row["merchant_id"]) for row in rows]


async def end_past_glasses(
    tx: Transaction, merchants: Sequence[MerchantId], now: datetime, actor: str
) -> Sequence[Glass]:
    """End what is over; return it."""
    rows = await tx.rows(_QUERIES["end_past_glasses"], list(merchants), now, actor)
    return [_glass(row) for row in rows]


async def glasses_since(read: ReadOnly, merchant: MerchantId, since: datetime) -> Sequence[Glass]:
    """Return every one since a moment."""
    return [_glass(row) for row in await read.rows(_QUERIES["glasses_since"], merchant, since)]


async def suspend_unused(
    tx: Transaction, merchants: Sequence[MerchantId], used_before: datetime
) -> Sequence[Person]:
    """Suspend people who were last seen before a moment; return them."""
    rows = await tx.rows(_QUERIES["suspend_unused"], list(merchants), used_before)
    return [person_of(row) for row in rows]


async def people(read: ReadOnly, merchant: MerchantId) -> Sequence[Mapping[str, Any]]:
    """Return everybody who may log in."""
    return await read.rows(_QUERIES["people_with_access"], merchant)


async def keys(read: ReadOnly, merchant: MerchantId, now: datetime) -> Sequence[Mapping[str, Any]]:
    """Return every key that holds."""
    return await read.rows(_QUERIES["keys_with_access"], merchant, now)


async def services(read: ReadOnly, merchant: MerchantId) -> Sequence[Mapping[str, Any]]:
    """Return every service that holds."""
    return await read.rows(_QUERIES["services_with_access"], merchant)


# --- reviews ------------------------------------------------------------------------------------------


def _review(row: Mapping[str, Any]) -> Review:
    return Review(
        row["review_id"],
        MerchantId(row["merchant_id"]),
        row["started_by"],
        row["started_at"],
        row["closed_at"],
        row["items"],
        row["undecided"],
    )


def _item(row: Mapping[str, Any]) -> Item:
    return Item(
        Subject(
            row["subject"],
            SubjectKind(row["kind"]),
            row["person_id"],
            row["description"],
            permissions_of(row["permissions"]),
            row["made_at"],
            row["last_used_at"],
        ),
        row["unused"],
        row["email"],
        Decision(row["decision"]) if row["decision"] else None,
        row["decided_by"],
        row["decided_at"],
    )


async def insert_review(tx: Transaction, new: Review) -> None:
    """Begin a review. Raises ConstraintBroken where one is open."""
    await tx.run(
        _QUERIES["insert_review"], new.merchant, new.review_id, new.started_by, new.started_at
    )


async def insert_item(tx: Transaction, review: Review, item: Item) -> None:
    """Add what is to be decided on."""
    about = item.subject
    await tx.run(
        _QUERIES["insert_item"],
        review.merchant,
        review.review_id,
        about.subject,
        about.kind,
        about.person,
        about.description,
        sorted(about.permissions),
        about.made_at,
        about.last_used_at,
        item.unused,
    )


async def reviews(read: ReadOnly, merchant: MerchantId) -> Sequence[Review]:
    """Return a tenant's reviews, newest first."""
    return [_review(row) for row in await read.rows(_QUERIES["list_reviews"], merchant)]


async def review_by_id(read: ReadOnly, merchant: MerchantId, review: str) -> Review | None:
    """Return one."""
    row = await read.row(_QUERIES["review_by_id"], merchant, review)
    return None if row is None else _review(row)


async def lock_review(tx: Transaction, merchant: MerchantId, review: str) -> bool:
    """Keep other decisions on an open review away; tell whether it is open."""
    return await tx.row(_QUERIES["lock_review"], merchant, review) is not None


async def items(
    read: ReadOnly, merchant: MerchantId, review: str, *, after: str, limit: int
) -> Sequence[Item]:
    """Return a page of a review's items."""
    rows = await read.rows(_QUERIES["list_items"], merchant, review, after, limit)
    return [_item(row) for row in rows]


async def item_by_subject(
    read: ReadOnly, merchant: MerchantId, review: str, subject: str
) -> Item | None:
    """Return one item."""
    row = await read.row(_QUERIES["item_by_subject"], merchant, review, subject)
    return None if row is None else _item(row)


async def decide_item(
    tx: Transaction,
    merchant: MerchantId,
    review: str,
    subject: str,
    decision: Decision,
    *,
    actor: str,
    now: datetime,
) -> bool:
    """Keep a reviewer's word; tell whether there was none."""
    touched = await tx.run(_QUERIES["decide_item"], merchant, review, subject, decision, actor, now)
    return touched == 1


async def close_review(tx: Transaction, merchant: MerchantId, review: str, now: datetime) -> bool:
    """Close a review if nothing is left to decide; tell whether that was so."""
    return await tx.run(_QUERIES["close_review"], merchant, review, now) == 1


async def due(read: ReadOnly, merchants: Sequence[MerchantId]) -> Sequence[Due]:
    """Return when each of these tenants is to be reviewed next."""
    rows = await read.rows(_QUERIES["last_reviews"], list(merchants))
    return [
        Due(
            MerchantId(row["merchant_id"]),
            row["closed_at"],
            (row["closed_at"] or row["since"]) + REVIEW_EVERY,
        )
        for row in rows
    ]
