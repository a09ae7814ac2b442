# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of people, invitations and setting up."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from strongroom.identity.people.inviting import EMAIL_CHARACTERS_MAX, NAME_CHARACTERS_MAX
from strongroom.identity.people.model import Invitation, NewInvitation, Opened, Person
from strongroom.identity.people.password_policy import (
    PASSWORD_CHARACTERS_MAX,
    PASSWORD_CHARACTERS_MIN,
)
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.region import REGION_PATTERN

RoleWord = Literal["admin", "auditor", "developer", "operator"]
Email = Annotated[str, Meta(min_length=3, max_length=EMAIL_CHARACTERS_MAX)]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
#: Wide enough for any spelling that NFC makes shorter; the policy says the rest.
Password = Annotated[str, Meta(min_length=1, max_length=PASSWORD_CHARACTERS_MAX * 4)]
SecretText = Annotated[str, Meta(min_length=1, max_length=300)]


class InvitationIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who shall be invited."""

    email: Email
    name: Name
    role: RoleWord


class RoleIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's new role."""

    role: RoleWord


class AdminIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new merchant's first admin."""

    email: Email
    name: Name


class MerchantIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new merchant."""

    name: Name
    admin: AdminIn
    region: (
        Annotated[
            str,
            Meta(
                pattern=REGION_PATTERN,
                description="Where its cards rest, for ever. Default: this installation's.",
            ),
        ]
        | None
    ) = None


class LinkIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A set-up link: whole, or what stands behind its `#`."""

    link: Annotated[str, Meta(min_length=1, max_length=2_000)]


class SetupPasswordIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A first password."""

    ticket: SecretText
    password: Password


class PasswordIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new password of one's own."""

    current: Password
    new: Password


class PersonOut(msgspec.Struct, frozen=True):
    """Somebody who may log in, or is invited to."""

    id: str
    object: str
    #: Null for people of the platform.
    merchant: str | None
    email: str
    name: str
    role: str
    status: str
    created_by: str
    created_at: str
    last_used_at: str | None


class PeopleOut(msgspec.Struct, frozen=True):
    """A page of people, oldest first."""

    data: Sequence[PersonOut]
    has_more: bool
    next_cursor: str | None


class InvitationOut(msgspec.Struct, frozen=True):
    """An invitation, without its link but for the one answer that made it."""

    id: str
    object: str
    person: str
    reason: str
    status: str
    created_by: str
    created_at: str
    expires_at: str
    #: The set-up link, shown once.
    link: str | None = None


class InvitationsOut(msgspec.Struct, frozen=True):
    """A page of invitations, oldest first."""

    data: Sequence[InvitationOut]
    has_more: bool
    next_cursor: str | None


class NewMerchantOut(msgspec.Struct, frozen=True):
    """A merchant just made, and the invitation of its first admin."""

    id: str
    object: str
    name: str
    status: str
    region: str | None
    created_at: str
    invitation: InvitationOut


class PasswordRulesOut(msgspec.Struct, frozen=True):
    """What a password of this person must have."""

    characters_min: int
    characters_max: int
    letter_and_digit: bool


class SetupOut(msgspec.Struct, frozen=True):
    """Who sets up here, what they need, and the ticket for the next steps."""

    object: str
    email: str
    name: str
    role: str
    tenant: str
    #: Each of these is enough: a password with one-time codes, or a passkey.
    needs: Sequence[Sequence[str]]
    password: PasswordRulesOut
    #: Takes the place of the link from here on; the one before no longer holds.
    ticket: str
    ticket_expires_at: str


class OwnOut(msgspec.Struct, frozen=True):
    """Who is logged in, and what they may do in this mode."""

    object: str
    person: PersonOut
    tenant: str
    mode: str
    permissions: Sequence[str]
    #: RFC 8176 words of how they logged in.
    methods: Sequence[str]
    #: Whether a second factor was shown within the last five minutes.
    stepped_up: bool


def person_out(person: Person) -> PersonOut:
    """Print a person."""
    return PersonOut(
        person.person_id,
        "person",
        person.tenant,
        person.email,
        person.name,
        person.role,
        person.status,
        person.created_by,
        rfc3339(person.created_at),
        rfc3339(person.last_used_at) if person.last_used_at else None,
    )


def invitation_out(invitation: Invitation, now: datetime, link: str | None = None) -> InvitationOut:
    """Print an invitation."""
    return InvitationOut(
        invitation.invitation_id,
        "invitation",
        invitation.person_id,
        invitation.reason,
        invitation.state(now),
        invitation.created_by,
        rfc3339(invitation.created_at),
        rfc3339(invitation.expires_at),
        link,
    )


def new_invitation_out(new: NewInvitation) -> InvitationOut:
    """Print an invitation just made, with its link."""
    return invitation_out(new.invitation, new.invitation.created_at, new.link.expose())


def setup_out(opened: Opened, *, letter_and_digit: bool) -> SetupOut:
    """Print what whoever opened a link is told."""
    person = opened.person
    return SetupOut(
        "setup",
        person.email,
        person.name,
        person.role,
        opened.tenant_name,
        (("password", "totp"), ("passkey",)),
        PasswordRulesOut(PASSWORD_CHARACTERS_MIN, PASSWORD_CHARACTERS_MAX, letter_and_digit),
        opened.ticket.expose(),
        rfc3339(opened.ticket_expires_at),
    )
