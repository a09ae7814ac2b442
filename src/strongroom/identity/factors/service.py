# SPDX-License-Identifier: Apache-2.0
"""Checks, makes and removes second factors inside the transaction of whatever asks. Makes no audit records itself.

A TOTP secret is opened outside any transaction (the keyring may have to ask the database for its key): find it, see
which step a code belongs to, then take that step in the transaction that acts on it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from strongroom.crypto import Algorithm, CannotOpen
from strongroom.db.pool import ReadOnly, Transaction
from strongroom.identity.factors import store
from strongroom.identity.factors.model import FactorPlace, SealedTotp, Standing
from strongroom.identity.factors.recovery import new_recovery_codes, recovery_code_hash
from strongroom.identity.factors.totp import NEVER, SECRET_BYTES, matching_step, new_totp_secret
from strongroom.identity.people.model import Person
from strongroom.kernel.errors import Unavailable
from strongroom.kernel.ids import MerchantId, PersonId
from strongroom.kernel.secret import Secret
from strongroom.keys import PLATFORM_MODE, DataKeys, KeyName

PURPOSE: Final = "totp secret"
_NOBODYS_SECRET: Final = Secret(bytes(SECRET_BYTES))


class CannotReadFactor(Unavailable):
    """A second factor's secret does not open: it was altered, or sealed for somebody else."""

    code = "factor_unreadable"


class Factors:
    """Authenticator apps and recovery codes in the core database."""

    def __init__(self, keys: DataKeys, hash_key: Secret[bytes]) -> None:
        self._keys = keys
        self._hash_key = hash_key

    async def totp(self, read: ReadOnly, merchant: MerchantId, person: str) -> SealedTotp | None:
        """Return the authenticator app that somebody uses."""
        return await store.totp_of(read, merchant, person, "active")

    async def step_of(self, totp: SealedTotp | None, code: str, now: datetime) -> int | None:
        """Return the step that a code belongs to; None for a wrong or used one, or where there is no app.

        Raises:
            CannotReadFactor: its secret does not open.
        """
        if totp is None:  # the same computation, so that nobody sees who has an app
            matching_step(_NOBODYS_SECRET, code, now, after=NEVER)
            return None
        key = await self._keys.version(
            totp.merchant, PLATFORM_MODE, KeyName.TOTP_SECRETS, totp.key_version
        )
        place = FactorPlace(
            Algorithm.A256CBC_HS512, PURPOSE, totp.merchant, totp.person, totp.key_version
        )
        try:
            secret = key.sealer(place.algorithm, PURPOSE).open(totp.sealed, place)
        except CannotOpen:
            raise CannotReadFactor from None
        return matching_step(Secret(secret), code, now, after=totp.last_step)

    async def take_step(
        self, tx: Transaction, merchant: MerchantId, person: str, step: int
    ) -> bool:
        """Use a code up: of any number that show it at once, one may. Tells whether this one may."""
        return await store.take_totp_step(tx, merchant, person, step)

    async def use_recovery_code(
        self, tx: Transaction, merchant: MerchantId, person: str, code: str, now: datetime
    ) -> bool:
        """Use a recovery code up, once; tell whether it held."""
        code_hash = recovery_code_hash(self._hash_key, PersonId(person), code)
        return await store.use_recovery_code(tx, merchant, person, code_hash, now)

    async def sealed_secret(
        self, person: Person, now: datetime
    ) -> tuple[SealedTotp, Secret[bytes]]:
        """Draw a new secret for a person's app, and seal it. Nothing is kept yet."""
        key = await self._keys.current(person.merchant, PLATFORM_MODE, KeyName.TOTP_SECRETS)
        place = FactorPlace(
            Algorithm.A256CBC_HS512, PURPOSE, person.merchant, person.person_id, key.version
        )
        secret = new_totp_secret()
        sealed = key.sealer(place.algorithm, PURPOSE).seal(secret.expose(), place)
        kept = SealedTotp(person.merchant, person.person_id, sealed, key.version, NEVER, now)
        return kept, secret

    async def hold(self, tx: Transaction, person: Person) -> None:
        """Let nobody else change a person's factors until this transaction ends."""
        await store.hold_person(tx, person.merchant, person.person_id)

    async def hold_id(self, tx: Transaction, merchant: MerchantId, person: str) -> None:
        """Likewise, where only an id is known, which may be nobody's."""
        await store.hold_person(tx, merchant, person)

    async def new_recovery_codes(
        self, tx: Transaction, person: Person, now: datetime
    ) -> Sequence[Secret[str]]:
        """Make ten new codes; the old ones end."""
        codes = new_recovery_codes()
        hashes = [
            recovery_code_hash(self._hash_key, person.person_id, code.expose()) for code in codes
        ]
        await store.replace_recovery_codes(tx, person, hashes, now)
        return codes

    async def standing(self, read: ReadOnly, person: Person) -> Standing:
        """Say what a person has."""
        totp = await store.totp_of(read, person.merchant, person.person_id, "active")
        left, made_at = await store.recovery_codes_left(read, person)
        return Standing(None if totp is None else totp.created_at, left, made_at)

    async def suffice(self, read: ReadOnly, person: Person) -> bool:
        """Tell whether somebody could log in without any passkey: for whoever removes their last one."""
        return await store.totp_of(read, person.merchant, person.person_id, "active") is not None

    async def clear(self, tx: Transaction, person: Person) -> int:
        """Remove everything: for a reset, whose caller records it. Return how many kinds of factors went."""
        await store.hold_person(tx, person.merchant, person.person_id)
        await store.remove_totp(tx, person, "pending")
        totp = await store.remove_totp(tx, person, "active")
        codes = await store.remove_recovery_codes(tx, person)
        return int(totp) + int(codes > 0)
