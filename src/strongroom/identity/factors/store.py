# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ authenticator apps and recovery codes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from strongroom.db.pool import ReadOnly, Transaction
from strongroom.db.queries import load_queries
from strongroom.identity.factors.model import SealedTotp
from strongroom.identity.people.model import Person
from strongroom.kernel.ids import MerchantId, PersonId

_QUERIES: Final = load_queries("strongroom.identity.factors")
State = Literal["pending", "active"]


async def hold_person(tx: Transaction, merchant: MerchantId, person: str) -> None:
    """Let nobody else change this person's factors until the transaction ends."""
    await tx.row(_QUERIES["hold_person"], merchant, person)


async def totp_of(
    read: ReadOnly, merchant: MerchantId, person: str, state: State
) -> SealedTotp | None:
    """Return an authenticator app."""
    row = await read.row(_QUERIES["totp_of"], merchant, person, state)
    if row is None:
        return None
    return SealedTotp(
        MerchantId(row["merchant_id"]),
        PersonId(row["person_id"]),
        row["sealed_secret"],
        row["key_version"],
        row["last_step"],
        row["created_at"],
    )


async def put_pending_totp(tx: Transaction, totp: SealedTotp) -> None:
    """Keep one that is being set up, in place of any that was."""
    await tx.run(_QUERIES["remove_totp"], totp.merchant, totp.person, "pending")
    await tx.run(
        _QUERIES["put_pending_totp"],
        totp.merchant,
        totp.person,
        totp.sealed,
        totp.key_version,
        totp.last_step,
        totp.created_at,
    )


async def remove_totp(tx: Transaction, person: Person, state: State) -> bool:
    """Remove one; tell whether there was one."""
    return await tx.run(_QUERIES["remove_totp"], person.merchant, person.person_id, state) > 0


async def activate_totp(tx: Transaction, totp: SealedTotp, step: int) -> bool:
    """Put the one being set up in place of the one in use; tell whether it was still being set up."""
    await tx.run(_QUERIES["remove_totp"], totp.merchant, totp.person, "active")
    changed = await tx.run(_QUERIES["activate_totp"], totp.merchant, totp.person, step, totp.sealed)
    return changed > 0


async def take_totp_step(tx: Transaction, merchant: MerchantId, person: str, step: int) -> bool:
    """Use up a step's code; tell whether it could still be used."""
    return await tx.run(_QUERIES["take_totp_step"], merchant, person, step) > 0


async def replace_recovery_codes(
    tx: Transaction, person: Person, hashes: Sequence[bytes], now: datetime
) -> None:
    """Put new codes in place of all old ones."""
    await remove_recovery_codes(tx, person)
    await tx.run(
        _QUERIES["insert_recovery_codes"], person.merchant, person.person_id, list(hashes), now
    )


async def remove_recovery_codes(tx: Transaction, person: Person) -> int:
    """End every code; return how many rows that were."""
    return await tx.run(_QUERIES["remove_recovery_codes"], person.merchant, person.person_id)


async def use_recovery_code(
    tx: Transaction, merchant: MerchantId, person: str, code_hash: bytes, now: datetime
) -> bool:
    """Use a code up; tell whether it held."""
    return await tx.run(_QUERIES["use_recovery_code"], merchant, person, code_hash, now) > 0


async def recovery_codes_left(read: ReadOnly, person: Person) -> tuple[int, datetime | None]:
    """Return how many codes still hold, and when they were made."""
    row = await read.row(_QUERIES["recovery_codes_left"], person.merchant, person.person_id)
    return (0, None) if row is None else (row["codes_left"], row["made_at"])
