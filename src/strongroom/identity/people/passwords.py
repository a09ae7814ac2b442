# SPDX-License-Identifier: Apache-2.0
"""Sets and checks passwords: Argon2id over a keyed hash that is bound to the person, and the last four remembered.

What is stolen from the database alone cannot be guessed at: the key is not there. A hash copied to another person's row
does not hold there. Nothing is hashed while a transaction is open, unless a caller holds one.

A change every 90 days (PCI DSS 8.3.9) is asked of passwords that are the only factor: here none is. ASVS 5.0 V6.2.10
forbids it.
"""

import asyncio
from datetime import datetime
from typing import Final

from strongroom.crypto import encode_parts
from strongroom.crypto.digest import hmac_sha256
from strongroom.crypto.passwords import PasswordHasher
from strongroom.db.errors import ConstraintBroken
from strongroom.db.pool import ReadOnly, Transaction
from strongroom.identity.people import store
from strongroom.identity.people.breached import BreachedFile, bundled
from strongroom.identity.people.errors import PasswordChangedMeanwhile, PasswordRefused
from strongroom.identity.people.model import KeptPasswords, NewPassword, Person
from strongroom.identity.people.password_policy import (
    PASSWORDS_REMEMBERED,
    Setter,
    faults_of,
    typed,
)
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.secret import Secret
from strongroom.keys import PLATFORM_MERCHANT, PLATFORM_MODE, DataKeys, KeyName

_NOBODY: Final = ("", "")


class Passwords:
    """The passwords of an installation (`ports.PasswordCheck`)."""

    def __init__(
        self, keys: DataKeys, hasher: PasswordHasher, breached: BreachedFile | None = None
    ) -> None:
        self._keys = keys
        self._hasher = hasher
        self._breached = breached

    async def kept(self, read: ReadOnly, person: Person | None) -> KeptPasswords:
        """Return what is kept of a person's passwords, or what stands for it where there is nobody."""
        return await store.kept_passwords(read, person)

    async def holds(self, kept: KeptPasswords, password: str) -> bool:
        """Tell whether the password is the current one. Costs the same where there is nobody, or no password.

        Raises:
            PasswordsBusy: too many are being checked.
        """
        try:
            text = typed(password)
        except Invalid:  # no such password was ever set; it costs what a wrong one costs
            text = Secret("")
        encoded, version = kept.current or (None, None)
        held = await self._hasher.verify(encoded, await self._keyed(kept.person, text, version))
        return held and encoded is not None

    async def verify(self, read: ReadOnly, person: Person | None, password: str) -> bool:
        """`kept` and `holds` in one, for whoever holds a transaction of the person's merchant anyway."""
        return await self.holds(await self.kept(read, person), password)

    async def ready(
        self, kept: KeptPasswords, setter: Setter, password: str, field: str = "/password"
    ) -> NewPassword:
        """Check a new password against everything and hash it.

        Raises:
            PasswordRefused: names everything that is wrong with it.
            PasswordsBusy: too many are being checked.
        """
        person = kept.person
        if person is None:
            raise PasswordChangedMeanwhile
        text = typed(password, field)
        faults = faults_of(password, setter, bundled(), field)
        if not faults and self._breached is not None:
            leaked = await asyncio.to_thread(self._breached.holds, text.expose().encode())
            if leaked:
                faults = (
                    FieldError(
                        field, "password_breached", "this password is among those that leaked"
                    ),
                )
        if faults:
            raise PasswordRefused(*faults)
        for encoded, version in kept.remembered:
            if await self._hasher.verify(encoded, await self._keyed(person, text, version)):
                raise PasswordRefused(
                    FieldError(
                        field,
                        "password_used_before",
                        f"this is one of the last {PASSWORDS_REMEMBERED} passwords",
                    )
                )
        key = await self._keys.current(PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.PASSWORD_PEPPER)
        hashed = await self._hasher.hash(await self._keyed(person, text, key.version))
        return NewPassword(person, kept.newest, hashed, key.version)

    async def set(self, tx: Transaction, new: NewPassword, now: datetime) -> None:
        """Let a new password hold from now on, in a transaction of the person's merchant; the record is the caller's.

        Raises:
            PasswordChangedMeanwhile: another one was set since the history was read.
        """
        try:
            await store.end_password(tx, new.person)
            kept = await store.insert_password(tx, new, now)
        except ConstraintBroken:  # two who set a first one
            kept = False
        if not kept:
            raise PasswordChangedMeanwhile

    async def end(self, tx: Transaction, person: Person) -> None:
        """Let a person's password hold no longer; it stays remembered."""
        await store.end_password(tx, person)

    async def _keyed(
        self, person: Person | None, text: Secret[str], version: int | None
    ) -> Secret[bytes]:
        """Bind a password to its person under the installation's key, before it is stretched."""
        keys = self._keys
        key = (
            await keys.current(PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.PASSWORD_PEPPER)
            if version is None
            else await keys.version(
                PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.PASSWORD_PEPPER, version
            )
        )
        merchant, person_id = _NOBODY if person is None else (person.merchant, person.person_id)
        bound = encode_parts(["password", merchant, person_id, text.expose()])
        return Secret(hmac_sha256(key.secret.expose(), bound))
