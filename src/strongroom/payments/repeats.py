# SPDX-License-Identifier: Apache-2.0
"""A merchant's request and its Idempotency-Key: claimed with the attempt that it makes, answered once it is known.

A repeat is answered with what was kept, or with the payment as it now stands; it never makes another attempt.
"""

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from strongroom.audit import Origin
from strongroom.http.idempotency import IdempotencyInFlight, IdempotencyMismatch
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import Refused
from strongroom.kernel.ids import PaymentId
from strongroom.kernel.principal import Principal
from strongroom.keys import DataKey, DataKeys, KeyName, phase
from strongroom.payments.answers import ACCEPTED, DECLINED, Answered, kept_answer
from strongroom.payments.attempts import Attempts
from strongroom.payments.changes import Changes
from strongroom.payments.store import KeyClaim, Taken

#: The route that makes payments.
CREATE: Final = "POST /v1/payments"
_decode: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode: Final = msgspec.json.Encoder().encode
_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Wish:
    """A request: who asks, whence, under which key, and what its body says."""

    principal: Principal
    origin: Origin
    #: The route with its object, such as `POST /v1/payments/pay_…/capture`: a key is one route's own.
    route: str
    key: str
    #: The request's id: marks the key's row as this request's.
    claim: str
    fingerprint: bytes
    #: What else the same body may be known by, around a rotation of the key. Hardly ever any.
    fingerprints_before: Sequence[bytes] = ()

    @property
    def name(self) -> str:
        """What the attempt keeps of it."""
        return f"{self.route} {self.key}"

    def claimed(
        self, payment: PaymentId, lease_until: datetime | None, answer: Answered | None = None
    ) -> KeyClaim:
        """Return the claim on its key: under way until the lease ends, or answered already."""
        return KeyClaim(
            self.route,
            self.key,
            self.claim,
            self.fingerprint,
            payment,
            lease_until,
            0 if answer is None else answer.status,
            b"" if answer is None else answer.body,
        )


class Repeats:
    """Answers requests whose key was used before."""

    def __init__(self, changes: Changes, attempts: Attempts, keys: DataKeys, clock: Clock) -> None:
        self._changes = changes
        self._attempts = attempts
        self._keys = keys
        self._clock = clock

    async def fingerprints(
        self, principal: Principal, route: str, body: msgspec.Struct
    ) -> tuple[bytes, Sequence[bytes]]:
        """Return the keyed fingerprint of a request's body, with the CVC left out, and those under other versions."""
        key = self._keys.cached(principal.merchant, principal.mode, KeyName.REQUEST_FINGERPRINT)
        if key is None:
            key = await self._keys.current(
                principal.merchant, principal.mode, KeyName.REQUEST_FINGERPRINT
            )
        fields = msgspec.structs.asdict(body)
        fields.pop("cvc", None)
        text = _encode_sorted([route, fields])
        before: Sequence[DataKey] = ()
        if key.version > 1:
            before = await self._keys.older(
                principal.merchant, principal.mode, KeyName.REQUEST_FINGERPRINT
            )
            key, before = phase(key, before, self._clock.now())
        return key.mac().of(text), [each.mac().of(text) for each in before]

    async def once(self, wish: Wish, work: Coroutine[Any, Any, Answered]) -> Answered:
        """Serve a wish; what is refused because it was done already under this key gets that answer."""
        try:
            return await work
        except Refused:
            found = await self._changes.reader.key(
                wish.principal.merchant, wish.principal.mode, wish.route, wish.key
            )
            if found is None:
                raise
            return await self.answered(found, wish)

    async def answered(self, taken: Taken, wish: Wish) -> Answered:
        """Answer a key that was used before: with what was kept, or with the payment as it now stands.

        Raises:
            IdempotencyMismatch, IdempotencyInFlight: see each.
        """
        if taken.fingerprint not in (wish.fingerprint, *wish.fingerprints_before):
            raise IdempotencyMismatch
        now = self._clock.now()
        if taken.status == 0 and taken.lease_until is not None and taken.lease_until > now:
            raise IdempotencyInFlight
        if taken.status not in (0, ACCEPTED):
            return Answered(taken.status, _named(taken, wish.claim), replayed=True)
        # Under way when its process ended, or not known when it was answered: say how it stands now.
        payment = taken.object_id or ""
        merchant, mode = wish.principal.merchant, wish.principal.mode
        attempt = await self._changes.reader.attempt_of_wish(merchant, mode, payment, wish.name)
        before = await self._changes.load(merchant, mode, payment, attempt)
        loaded = await self._attempts.resolved(before)
        if loaded is not before:
            # What was looked at may be another attempt of the payment, and was then loaded without this one.
            loaded = await self._changes.load(merchant, mode, payment, attempt)
        answer = kept_answer(loaded, attempt, created=wish.route == CREATE, claim=wish.claim)
        return Answered(answer.status, answer.body, replayed=True)


def _named(taken: Taken, request_id: str) -> bytes:
    """Return a kept answer; a problem names the request that it answers now."""
    if taken.status != DECLINED:
        return taken.response
    kept = _decode(taken.response)
    return _encode(kept | {"request_id": msgspec.Raw(_encode(request_id))})
