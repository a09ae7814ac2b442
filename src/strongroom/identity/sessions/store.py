# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ sessions."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from strongroom.db.pool import ReadOnly, Record, Transaction
from strongroom.db.queries import load_queries
from strongroom.identity.sessions.decisions import IDLE
from strongroom.identity.sessions.model import Holder, Rotation, Session
from strongroom.kernel.ids import MerchantId, PersonId, SessionId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role

_QUERIES: Final = load_queries("strongroom.identity.sessions")


def _session(row: Record) -> Session:
    return Session(
        SessionId(row["session_id"]),
        MerchantId(row["merchant_id"]),
        PersonId(row["person_id"]),
        Mode(row["mode"]),
        tuple(row["methods"]),
        row["dpop_thumbprint"],
        row["started_at"],
        row["stepped_up_at"],
        row["used_at"],
        row["ends_at"],
        row["ended_at"],
        row["ended_reason"],
    )


async def insert(tx: Transaction, session: Session, refresh_hash: bytes) -> None:
    """Add a session that begins now."""
    await tx.run(
        _QUERIES["insert_session"],
        session.merchant,
        session.session,
        session.person,
        session.mode,
        list(session.methods),
        session.dpop_thumbprint,
        refresh_hash,
        session.started_at,
        session.ends_at,
    )


async def hold_person(tx: Transaction, merchant: MerchantId, person: PersonId) -> None:
    """Let no other transaction begin or end this person's sessions until this one has ended."""
    await tx.row(_QUERIES["hold_person"], merchant, person)


async def merchant_of(read: ReadOnly, session: SessionId) -> MerchantId | None:
    """Return whose a presented session is, before a tenant is known; sees nothing else."""
    await read.row(_QUERIES["present_session"], session)
    row = await read.row(_QUERIES["tenant_of_session"], session)
    return None if row is None else MerchantId(row["merchant_id"])


async def for_change(
    tx: Transaction, session: SessionId
) -> tuple[Session, Rotation, Holder] | None:
    """Return a session of the stated tenant, and hold it."""
    row = await tx.row(_QUERIES["session_for_change"], session)
    if row is None:
        return None
    return (
        _session(row),
        Rotation(row["refresh_hash"], row["previous_hash"], row["salt"]),
        Holder(Role(row["role"]), row["active"]),
    )


async def rotate(
    tx: Transaction,
    session: SessionId,
    rotation: Rotation,
    now: datetime,
) -> None:
    """Put the successor in a refresh token's place."""
    await tx.run(
        _QUERIES["rotate_refresh"],
        session,
        rotation.refresh_hash,
        rotation.previous_hash,
        rotation.salt,
        now,
    )


async def step_up(
    tx: Transaction, session: SessionId, methods: Collection[str], now: datetime
) -> None:
    """Note that a second factor was shown, and all methods that were."""
    await tx.run(_QUERIES["step_up_session"], session, sorted(methods), now)


async def end(tx: Transaction, session: SessionId, reason: str, now: datetime) -> Session | None:
    """End a session that is open and return it, or None."""
    row = await tx.row(_QUERIES["end_session"], session, reason, now)
    return None if row is None else _session(row)


async def open_of(tx: Transaction, merchant: MerchantId, person: PersonId) -> Sequence[SessionId]:
    """Return a person's open sessions, and hold them."""
    rows = await tx.rows(_QUERIES["open_sessions_of_person"], merchant, person)
    return [SessionId(row["session_id"]) for row in rows]


async def page(
    read: ReadOnly,
    merchant: MerchantId,
    person: PersonId | None,
    *,
    now: datetime,
    after: str,
    limit: int,
) -> Sequence[Session]:
    """Return open sessions, the newest first."""
    rows = await read.rows(
        _QUERIES["list_sessions"], merchant, person or "", now, now - IDLE, after, limit
    )
    return [_session(row) for row in rows]


async def by_id(read: ReadOnly, merchant: MerchantId, session: SessionId) -> Session | None:
    """Return one session of a tenant."""
    row = await read.row(_QUERIES["session_by_id"], merchant, session)
    return None if row is None else _session(row)


async def remove_past(tx: Transaction) -> int:
    """Remove what ended more than a day ago; return how many."""
    return await tx.run(_QUERIES["remove_past_sessions"])
