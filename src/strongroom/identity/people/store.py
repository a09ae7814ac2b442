# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ people, invitations and password hashes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from strongroom.db.pool import ReadOnly, Transaction
from strongroom.db.queries import load_queries
from strongroom.identity.people.model import (
    Invitation,
    InvitationReason,
    KeptPasswords,
    NewPassword,
    Person,
    PersonStatus,
)
from strongroom.identity.people.password_policy import PASSWORDS_REMEMBERED
from strongroom.kernel.ids import InvitationId, MerchantId, PersonId
from strongroom.kernel.principal import Role

_QUERIES: Final = load_queries("strongroom.identity.people")


def person_of(row: Mapping[str, Any]) -> Person:
    """Read a row of identity.person."""
    return Person(
        PersonId(row["person_id"]),
        MerchantId(row["merchant_id"]),
        row["email"],
        row["name"],
        Role(row["role"]),
        PersonStatus(row["status"]),
        row["created_by"],
        row["created_at"],
        row["last_used_at"],
    )


def _invitation(row: Mapping[str, Any]) -> Invitation:
    return Invitation(
        InvitationId(row["invitation_id"]),
        MerchantId(row["merchant_id"]),
        PersonId(row["person_id"]),
        InvitationReason(row["reason"]),
        row["created_by"],
        row["created_at"],
        row["expires_at"],
        row["used_at"],
        row["withdrawn_at"],
    )


class PeopleTable:
    """Finds people (`ports.People`)."""

    async def by_email(self, read: ReadOnly, email: str) -> Person | None:
        """Return whoever has this address (any letter case), before a tenant is known."""
        address = email.lower()
        await read.row(_QUERIES["present_email"], address)
        row = await read.row(_QUERIES["person_by_email"], address)
        return None if row is None else person_of(row)

    async def by_presented_id(self, read: ReadOnly, person: PersonId) -> Person | None:
        """Return whoever has this id, before a tenant is known."""
        await read.row(_QUERIES["present_person"], person)
        row = await read.row(_QUERIES["person_by_id"], person)
        return None if row is None else person_of(row)

    async def of(self, read: ReadOnly, merchant: MerchantId, person: PersonId) -> Person | None:
        """Return a tenant's person."""
        row = await read.row(_QUERIES["person_of"], merchant, person)
        return None if row is None else person_of(row)

    async def used(self, tx: Transaction, person: Person, now: datetime) -> None:
        """Note that somebody logged in, for the review of unused access."""
        await tx.run(_QUERIES["use_person"], person.merchant, person.person_id, now)


async def lock_person(
    tx: Transaction, merchant: MerchantId, person: PersonId
) -> tuple[Person, PersonStatus | None] | None:
    """Return a tenant's person and what they were before a suspension; nobody else changes them until the end."""
    row = await tx.row(_QUERIES["lock_person"], merchant, person)
    if row is None:
        return None
    before = row["suspended_from"]
    return person_of(row), None if before is None else PersonStatus(before)


async def lock_admins(tx: Transaction, merchant: MerchantId) -> Sequence[PersonId]:
    """Return a tenant's active admins, who stay so until the end of this transaction."""
    return [PersonId(row["person_id"]) for row in await tx.rows(_QUERIES["lock_admins"], merchant)]


async def wait_for_turn(tx: Transaction) -> None:
    """Let one transaction at a time look for the first administrator."""
    await tx.row(_QUERIES["wait_for_turn"])


async def list_people(
    read: ReadOnly, merchant: MerchantId, after: str, rows: int
) -> Sequence[Person]:
    """Return a page of a tenant's people, oldest first."""
    return [
        person_of(row) for row in await read.rows(_QUERIES["list_people"], merchant, after, rows)
    ]


async def insert_person(tx: Transaction, person: Person) -> None:
    """Add somebody who is invited. Raises ConstraintBroken where the address is taken."""
    await tx.run(
        _QUERIES["insert_person"],
        person.merchant,
        person.person_id,
        person.email,
        person.name,
        person.role,
        person.created_by,
        person.created_at,
    )


async def update_person(
    tx: Transaction, person: Person, suspended_from: PersonStatus | None = None
) -> None:
    """Keep a person's role and status."""
    await tx.run(
        _QUERIES["update_person"],
        person.merchant,
        person.person_id,
        person.role,
        person.status,
        suspended_from,
    )


async def insert_invitation(tx: Transaction, invitation: Invitation, link_hash: bytes) -> None:
    """Add a set-up link."""
    await tx.run(
        _QUERIES["insert_invitation"],
        invitation.merchant,
        invitation.invitation_id,
        invitation.person_id,
        invitation.reason,
        link_hash,
        invitation.created_by,
        invitation.created_at,
        invitation.expires_at,
    )


async def withdraw_invitations(
    tx: Transaction, person: Person, now: datetime
) -> Sequence[InvitationId]:
    """End a person's open link; return which it was."""
    rows = await tx.rows(_QUERIES["withdraw_invitations"], person.merchant, person.person_id, now)
    return [InvitationId(row["invitation_id"]) for row in rows]


async def withdraw_admins(
    tx: Transaction, merchant: MerchantId, now: datetime
) -> Sequence[tuple[Person, InvitationId]]:
    """End the open links of a tenant's admins who have not set up; return whose they were."""
    rows = await tx.rows(_QUERIES["withdraw_admins"], merchant, now)
    return [(person_of(row), InvitationId(row["invitation_id"])) for row in rows]


async def invitation_of(
    read: ReadOnly, merchant: MerchantId, invitation: InvitationId
) -> Invitation | None:
    """Return a tenant's invitation."""
    row = await read.row(_QUERIES["invitation_of"], merchant, invitation)
    return None if row is None else _invitation(row)


async def list_invitations(
    read: ReadOnly, merchant: MerchantId, after: str, rows: int
) -> Sequence[Invitation]:
    """Return a page of a tenant's invitations, oldest first."""
    found = await read.rows(_QUERIES["list_invitations"], merchant, after, rows)
    return [_invitation(row) for row in found]


async def invitation_by_link(
    read: ReadOnly, link_hash: bytes
) -> tuple[MerchantId, InvitationId, PersonId] | None:
    """Return whose a link is; sees nothing else, because the transaction states the hash."""
    await read.row(_QUERIES["present_link"], link_hash.hex())
    return _whose(await read.row(_QUERIES["invitation_by_link"], link_hash))


async def invitation_by_ticket(
    read: ReadOnly, ticket_hash: bytes, now: datetime
) -> tuple[MerchantId, InvitationId, PersonId] | None:
    """Return whose a ticket is that holds now."""
    await read.row(_QUERIES["present_ticket"], ticket_hash.hex())
    return _whose(await read.row(_QUERIES["invitation_by_ticket"], ticket_hash, now))


def _whose(row: Mapping[str, Any] | None) -> tuple[MerchantId, InvitationId, PersonId] | None:
    if row is None:
        return None
    return (
        MerchantId(row["merchant_id"]),
        InvitationId(row["invitation_id"]),
        PersonId(row["person_id"]),
    )


async def open_invitation(
    tx: Transaction,
    merchant: MerchantId,
    invitation: InvitationId,
    *,
    ticket_hash: bytes,
    ticket_expires_at: datetime,
    now: datetime,
    openings_max: int,
) -> datetime | None:
    """Give the newest ticket of a link that holds; return until when it does, or None."""
    row = await tx.row(
        _QUERIES["open_invitation"],
        merchant,
        invitation,
        ticket_hash,
        ticket_expires_at,
        now,
        openings_max,
    )
    return None if row is None else row["ticket_expires_at"]


async def use_invitation(
    tx: Transaction, person: Person, ticket_hash: bytes, now: datetime
) -> InvitationId | None:
    """Use up the link whose newest ticket this is; None when it does not hold."""
    row = await tx.row(
        _QUERIES["use_invitation"], person.merchant, person.person_id, ticket_hash, now
    )
    return None if row is None else InvitationId(row["invitation_id"])


async def kept_passwords(read: ReadOnly, person: Person | None) -> KeptPasswords:
    """Return the newest hashes of a person. Nobody is looked for as somebody is, and not found."""
    merchant, person_id = ("", "") if person is None else (person.merchant, person.person_id)
    rows = await read.rows(_QUERIES["kept_passwords"], merchant, person_id, PASSWORDS_REMEMBERED)
    hashes = [(row["password_hash"], row["key_version"]) for row in rows]
    return KeptPasswords(
        person,
        rows[0]["password_id"] if rows else None,
        next((each for each, row in zip(hashes, rows, strict=True) if row["holds"]), None),
        tuple(hashes),
    )


async def end_password(tx: Transaction, person: Person) -> None:
    """End the password that holds."""
    await tx.run(_QUERIES["end_password"], person.merchant, person.person_id)


async def insert_password(tx: Transaction, new: NewPassword, now: datetime) -> bool:
    """Keep a new password and forget the oldest; tell whether nobody else had set one meanwhile."""
    person = new.person
    kept = await tx.run(
        _QUERIES["insert_password"],
        person.merchant,
        person.person_id,
        new.password_hash,
        new.key_version,
        now,
        new.after,
    )
    if kept:
        await tx.run(
            _QUERIES["forget_passwords"], person.merchant, person.person_id, PASSWORDS_REMEMBERED
        )
    return bool(kept)
