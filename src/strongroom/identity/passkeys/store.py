# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ passkeys and challenges. Of a challenge that is out, only its hash is kept."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from strongroom.crypto.digest import sha256
from strongroom.crypto.random import random_bytes
from strongroom.db.pool import ReadOnly, Transaction
from strongroom.db.queries import load_queries
from strongroom.identity.passkeys.model import (
    CHALLENGE_BYTES,
    CHALLENGE_SECONDS,
    Bound,
    Passkey,
    Purpose,
    Registered,
)
from strongroom.identity.people.model import Person
from strongroom.kernel.ids import MerchantId, PasskeyId, PersonId, SessionId

_QUERIES: Final = load_queries("strongroom.identity.passkeys")
_ACTIVE: Final = "active"


def _passkey(row: Mapping[str, Any]) -> Passkey:
    return Passkey(
        PasskeyId(row["passkey_id"]),
        MerchantId(row["merchant_id"]),
        PersonId(row["person_id"]),
        row["credential_id"],
        row["public_key"],
        row["sign_count"],
        row["aaguid"],
        row["attestation"],
        tuple(row["transports"]),
        row["backup_eligible"],
        row["backed_up"],
        row["name"],
        row["created_at"],
        row["last_used_at"],
    )


async def insert(
    tx: Transaction,
    person: Person,
    passkey: PasskeyId,
    made: Registered,
    name: str,
    now: datetime,
) -> Passkey:
    """Add a passkey. Raises ConstraintBroken where the credential is somebody's already."""
    await tx.run(
        _QUERIES["insert_passkey"],
        person.merchant,
        person.person_id,
        passkey,
        made.credential_id,
        made.public_key,
        made.sign_count,
        made.aaguid,
        made.attestation,
        list(made.transports),
        made.backup_eligible,
        made.backed_up,
        name,
        now,
    )
    return Passkey(
        passkey,
        person.merchant,
        person.person_id,
        made.credential_id,
        made.public_key,
        made.sign_count,
        made.aaguid,
        made.attestation,
        made.transports,
        made.backup_eligible,
        made.backed_up,
        name,
        now,
        None,
    )


async def lock_person(tx: Transaction, merchant: MerchantId, person: PersonId) -> None:
    """Be the only one who adds or removes a factor of a person, until the transaction ends."""
    await tx.row(_QUERIES["lock_person"], merchant, person)


async def of_person(read: ReadOnly, merchant: MerchantId, person: PersonId) -> Sequence[Passkey]:
    """Return a person's passkeys, oldest first."""
    rows = await read.rows(_QUERIES["passkeys_of_person"], merchant, person)
    return [_passkey(row) for row in rows]


async def count(read: ReadOnly, merchant: MerchantId, person: PersonId) -> int:
    """Return how many passkeys a person has."""
    row = await read.row(_QUERIES["count_passkeys"], merchant, person)
    return 0 if row is None else int(row["count"])


async def owner_of_credential(
    read: ReadOnly, credential: bytes
) -> tuple[MerchantId, PersonId] | None:
    """Return whose a credential is, before a tenant is known."""
    await read.row(_QUERIES["present_credential"], credential.hex())
    row = await read.row(_QUERIES["owner_of_credential"], credential)
    return None if row is None else (MerchantId(row["merchant_id"]), PersonId(row["person_id"]))


async def for_use(tx: Transaction, merchant: MerchantId, credential: bytes) -> Passkey | None:
    """Return a tenant's passkey, locked for one use."""
    row = await tx.row(_QUERIES["passkey_for_use"], merchant, credential)
    return None if row is None else _passkey(row)


async def used(
    tx: Transaction, passkey: Passkey, sign_count: int, now: datetime, *, backed_up: bool
) -> None:
    """Keep what a use changed."""
    await tx.run(
        _QUERIES["passkey_used"],
        passkey.merchant,
        passkey.passkey_id,
        sign_count,
        backed_up,
        now,
    )


async def rename(
    tx: Transaction, merchant: MerchantId, person: PersonId, passkey: PasskeyId, name: str
) -> Passkey | None:
    """Give a passkey another name; None where the person has no such passkey."""
    row = await tx.row(_QUERIES["rename_passkey"], merchant, person, passkey, name)
    return None if row is None else _passkey(row)


async def delete(
    tx: Transaction, merchant: MerchantId, person: PersonId, passkey: PasskeyId
) -> bool:
    """End a passkey; tell whether there was one."""
    return await tx.run(_QUERIES["delete_passkey"], merchant, person, passkey) > 0


async def delete_all(tx: Transaction, merchant: MerchantId, person: PersonId) -> int:
    """End every passkey of a person; return how many there were."""
    return await tx.run(_QUERIES["delete_passkeys_of_person"], merchant, person)


async def new_challenge(tx: Transaction, bound: Bound, now: datetime) -> bytes:
    """Return a challenge that may be answered once, within five minutes, by whom it is bound to.

    A person's newest challenge for a purpose replaces the one before.
    """
    challenge = random_bytes(CHALLENGE_BYTES)
    await tx.run(
        _QUERIES["drop_challenges"],
        bound.merchant,
        bound.person,
        bound.purpose,
        bound.session,
        now,
    )
    await tx.run(
        _QUERIES["put_challenge"],
        bound.merchant,
        sha256(challenge),
        bound.purpose,
        bound.person,
        bound.session,
        now + timedelta(seconds=CHALLENGE_SECONDS),
    )
    return challenge


async def take_challenge(tx: Transaction, challenge: bytes, bound: Bound, now: datetime) -> bool:
    """Take a challenge back; tell whether it was out, is in time and is bound to exactly this."""
    row = await tx.row(_QUERIES["take_challenge"], bound.merchant, sha256(challenge))
    if row is None or row["expires_at"] <= now:
        return False
    person, session = row["person_id"], row["session_id"]
    given_for = Bound(
        Purpose(row["purpose"]),
        bound.merchant,
        None if person is None else PersonId(person),
        None if session is None else SessionId(session),
    )
    return given_for == bound


async def is_merchant_active(read: ReadOnly, merchant: MerchantId) -> bool:
    """Tell whether a tenant is active; the platform, which has no row, always is."""
    row = await read.row(_QUERIES["merchant_status"], merchant)
    return row is None or row["status"] == _ACTIVE
