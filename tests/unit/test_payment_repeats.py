# SPDX-License-Identifier: Apache-2.0
"""A repeated request is known by its body around a rotation of its fingerprint's key, in whichever process."""

from datetime import UTC, datetime, timedelta
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
from strongroom.keys import ACTIVATION, KeyName, Purpose
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
    clock.step(ACTIVATION)
    again = await wish(Body(100, "456"))
    assert again.fingerprint != first.fingerprint
    assert (await repeats.answered(taken, again)).replayed
    with pytest.raises(IdempotencyMismatch):
        await repeats.answered(taken, await wish(Body(101)))
    await keyring.destroy(MERCHANT, Mode.TEST, name, 1)
    with pytest.raises(IdempotencyMismatch):
        await repeats.answered(taken, await wish(Body(100)))


#: Who takes the request, how many seconds after the rotation (before it: less than none), and who takes its repeat. One
#: process has rotated the key, the other learns of it by a look, which each process takes before ten seconds are over.
REPEATED = [
    ("rotates", -1, "rotates", 0),
    ("rotates", -1, "learns", 0),
    ("learns", -1, "rotates", 0),
    ("rotates", 0, "rotates", 0),
    ("rotates", 0, "learns", 0),
    ("learns", 0, "rotates", 0),
    ("rotates", 4, "learns", 4),
    ("learns", 4, "rotates", 4),
    ("rotates", 9, "rotates", 10),
    ("learns", 4, "rotates", 10),
    ("rotates", 4, "learns", 10),
    ("rotates", 10, "learns", 10),
    ("learns", 10, "rotates", 10),
    ("rotates", 10, "learns", 3_600),
]


@pytest.mark.parametrize(("first", "at", "then", "later"), REPEATED)
async def test_a_repeat_is_known_by_a_process_that_knows_of_the_rotation_and_by_one_that_does_not(
    first: str, at: int, then: str, later: int
) -> None:
    clock, store, table = SteppedClock(NOW), FakeKeyStore(), MemoryDataKeyTable()
    keyrings = {name: Keyring(store, table, clock) for name in ("rotates", "learns")}
    for keyring in keyrings.values():
        await keyring.start([Purpose.IDENTITY])
        await keyring.current(MERCHANT, Mode.TEST, KeyName.REQUEST_FINGERPRINT)

    async def asked(process: str) -> Wish:
        repeats = Repeats(cast("Any", None), cast("Any", None), keyrings[process], clock)
        now, others = await repeats.fingerprints(PRINCIPAL, CREATE, Body(100))
        return Wish(PRINCIPAL, Origin(), CREATE, "key-1", "req_1", now, others)

    kept: Wish | None = await asked(first) if at < 0 else None
    await keyrings["rotates"].rotate(MERCHANT, Mode.TEST, KeyName.REQUEST_FINGERPRINT)
    for moment in sorted({at, later} - {-1}):
        passed = (clock.now() - NOW).total_seconds()
        if moment > passed:
            clock.step(timedelta(seconds=moment - passed))
        if moment >= ACTIVATION.total_seconds():
            await keyrings["learns"].look()
        if moment == at:
            kept = await asked(first)
    assert kept is not None
    taken = Taken(kept.fingerprint, 201, None, "req_0", None, b"{}")
    repeats = Repeats(cast("Any", None), cast("Any", None), keyrings[then], clock)
    assert (await repeats.answered(taken, await asked(then))).replayed
    versions = {(await each.current(MERCHANT, Mode.TEST, KeyName.REQUEST_FINGERPRINT)).version
                for each in keyrings.values()}  # fmt: skip
    assert versions == ({1, 2} if later < ACTIVATION.total_seconds() else {2})
