# SPDX-License-Identifier: Apache-2.0
"""The steps that end in a set-up link, inside a transaction of somebody else: withdraw the old one, make the new one.

Also what a name and an address are. Nothing is sent: whoever invites hands the link over.
"""

import re
from datetime import datetime, timedelta
from typing import Final

from strongroom.audit import Action, Recorder
from strongroom.crypto.ids import new_id
from strongroom.db.errors import ConstraintBroken
from strongroom.db.pool import Transaction
from strongroom.identity.people import store
from strongroom.identity.people.errors import EmailTaken
from strongroom.identity.people.links import hash_of, link_of, new_link_secret
from strongroom.identity.people.model import (
    Act,
    Invitation,
    InvitationReason,
    NewInvitation,
    Person,
    PersonStatus,
    PersonWish,
)
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import InvitationId, MerchantId, PersonId
from strongroom.kernel.invariant import invariant
from strongroom.kernel.principal import Role
from strongroom.kernel.secret import Secret

LINK_SECONDS: Final = 86_400
NAME_CHARACTERS_MAX: Final = 100
EMAIL_CHARACTERS_MAX: Final = 254
#: What people's addresses look like (RFC 5321 §4.1.2 without quoted names); whether somebody reads it, nobody here
#: can know. ASCII only: letters that look alike would make two people of one.
_EMAIL: Final = re.compile(
    r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+"
)


class Inviter:
    """Makes and withdraws set-up links, each with its record."""

    def __init__(self, hash_key: Secret[bytes], recorder: Recorder, console_url: str) -> None:
        self._hash_key = hash_key
        self._recorder = recorder
        self._console_url = console_url

    async def add(self, tx: Transaction, wish: PersonWish, act: Act, now: datetime) -> Person:
        """Add somebody who cannot log in yet.

        Raises:
            Invalid: the name or the address cannot be one.
            EmailTaken: somebody has the address, here or at another tenant: which, is not said.
        """
        invariant(wish.role is not Role.SERVICE, "a machine is not invited")
        person = Person(
            PersonId(new_id("usr")),
            wish.merchant,
            read_email(wish.email),
            read_name(wish.name),
            wish.role,
            PersonStatus.INVITED,
            act.actor,
            now,
            None,
        )
        try:
            await store.insert_person(tx, person)
        except ConstraintBroken:
            raise EmailTaken from None
        await self.record(
            tx,
            Action.IDENTITY_PERSON_CREATED,
            person,
            act,
            now,
            details={"role": person.role.value},
        )
        return person

    async def invite(
        self, tx: Transaction, person: Person, reason: InvitationReason, act: Act, now: datetime
    ) -> NewInvitation:
        """Give a person a link, the only one that holds."""
        await self.withdraw(tx, person, act, now)
        secret = new_link_secret()
        invitation = Invitation(
            InvitationId(new_id("inv")),
            person.merchant,
            person.person_id,
            reason,
            act.actor,
            now,
            now + timedelta(seconds=LINK_SECONDS),
            None,
            None,
        )
        await store.insert_invitation(tx, invitation, hash_of(self._hash_key, secret))
        await self.record(
            tx,
            Action.IDENTITY_INVITATION_CREATED,
            person,
            act,
            now,
            thing=invitation.invitation_id,
            details={
                "lifetime_seconds": LINK_SECONDS,
                "reason": reason.value,
                "role": person.role.value,
            },
        )
        return NewInvitation(invitation, person, link_of(self._console_url, secret))

    async def withdraw(self, tx: Transaction, person: Person, act: Act, now: datetime) -> int:
        """End a person's open link, if there is one; return how many ended."""
        ended = await store.withdraw_invitations(tx, person, now)
        for invitation in ended:
            await self.record(
                tx, Action.IDENTITY_INVITATION_WITHDRAWN, person, act, now, thing=invitation
            )
        return len(ended)

    async def withdraw_admins(
        self, tx: Transaction, merchant: MerchantId, act: Act, now: datetime
    ) -> None:
        """End the open links of all a tenant's admins who have not set up."""
        for person, invitation in await store.withdraw_admins(tx, merchant, now):
            await self.record(
                tx, Action.IDENTITY_INVITATION_WITHDRAWN, person, act, now, thing=invitation
            )

    async def record(
        self,
        tx: Transaction,
        action: Action,
        person: Person,
        act: Act,
        now: datetime,
        *,
        thing: str | None = None,
        details: dict[str, str | int] | None = None,
    ) -> None:
        """Record what was done to a person, or to something of theirs."""
        record = self._recorder.make(
            action,
            actor=act.actor,
            merchant=person.tenant,
            mode=None,
            thing=thing or person.person_id,
            origin=act.origin,
            now=now,
            details=details,
        )
        await self._recorder.insert(tx, record)


def read_email(text: str, field: str = "/email") -> str:
    """Return an address in lower case. Raises Invalid."""
    email = text.strip().lower()
    if len(email) > EMAIL_CHARACTERS_MAX or _EMAIL.fullmatch(email) is None:
        raise Invalid(FieldError(field, "email_malformed", "an address is name@host.example"))
    if has_cardlike(email):
        raise Invalid(
            FieldError(field, "card_number_refused", "the address looks like a card number")
        )
    return email


def read_name(text: str, field: str = "/name") -> str:
    """Return a name. Raises Invalid."""
    name = text.strip()
    if not 0 < len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
        raise Invalid(
            FieldError(
                field,
                "name_malformed",
                f"a name has 1 to {NAME_CHARACTERS_MAX} printable characters",
            )
        )
    if has_cardlike(name):
        raise Invalid(FieldError(field, "card_number_refused", "the name looks like a card number"))
    return name
