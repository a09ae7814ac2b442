# SPDX-License-Identifier: Apache-2.0
"""A repeated request is known by its body after the key of its fingerprint was rotated."""

from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest

from contracts.fakes import FakeKeyStore, MemoryDataKeyTable
from strongroom.audit import Origin
from strongroom.crypto.ids import new_id
from strongroom.http.idempotency import IdempotencyMismatch
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.ids import KeyId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, Principal
from strongroom.keys import KeyName, Purpose
from strongroom.keys.keyring import Keyring
from strongroom.payments.repeats import CREATE, Repeats, Wish
from strongroom.payments.store import Taken

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MERCHANT = MerchantId(new_id("mer"))
PRINCIPAL = Principal(KeyId(new_id("key")), CallerKind.SECRET, MERCHANT, Mode.TEST, frozenset())


class Body(msgspec.Struct):
    """What is asked for."""

    amount: int
    cvc: str | None = None


async def test_a_repeat_is_known_under_the_version_before() -> None:
    clock = SteppedClock(NOW)
    keyring = Keyring(FakeKeyStore(), MemoryDataKeyTable(), clock)
    await keyring.start([Purpose.IDENTITY])
    # What was answered is told again without a look at any payment.
    repeats = Repeats(cast("Any", None), cast("Any", None), keyring, clock)

    async def wish(body: Body) -> Wish:
        now, before = await repeats.fingerprints(PRINCIPAL, CREATE, body)
        return Wish(PRINCIPAL, Origin(), CREATE, "key-1", "req_1", now, before)

    first = await wish(Body(100, "123"))
    assert not first.fingerprints_before
    taken = Taken(first.fingerprint, 201, None, "req_0", None, b"{}")
    name = KeyName.REQUEST_FINGERPRINT
    await keyring.rotate(MERCHANT, Mode.TEST, name)
    again = await wish(Body(100, "456"))
    assert again.fingerprint != first.fingerprint
    assert (await repeats.answered(taken, again)).replayed
    with pytest.raises(IdempotencyMismatch):
        await repeats.answered(taken, await wish(Body(101)))
    await keyring.destroy(MERCHANT, Mode.TEST, name, 1)
    with pytest.raises(IdempotencyMismatch):
        await repeats.answered(taken, await wish(Body(100)))
