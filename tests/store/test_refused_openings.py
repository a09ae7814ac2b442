# SPDX-License-Identifier: Apache-2.0
"""What does not open: a table of everything that can be wrong with a sealed number, or with what is sealed beside it.

Each row alters the database behind the vault's back; then a process that has not opened anything yet is asked for the
number (a payment) and for the holder (a read). Neither opens, nothing is sent, and the error is the row's own, in the
log and in the audit record; callers are told one code of those that only the key can tell.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import msgspec
import pytest
import pytest_asyncio

from database import Databases
from store.forward_ground import FIND, ForwardGround, authorize, ended, forward_ground, started
from store.rights import ask
from strongroom.crypto import Algorithm, Place
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.db.pool import connect
from strongroom.http.problems import problem_answer
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import complete_luhn
from strongroom.keys import KeyName, Purpose
from strongroom.vault import TokenUnknown
from strongroom.vault.details import HOLDER, SealedDetail
from strongroom.vault.diagnosis import Diagnosis, Unopened
from strongroom.vault.errors import CannotReadCard
from strongroom.vault.residency import Residency
from strongroom.vault.sealing import CARD_PURPOSE, NUMBER_FIELD, CardSealer
from strongroom.vault.wire import BillingAddress


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases) -> AsyncIterator[ForwardGround]:
    async with forward_ground(databases) as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class Target:
    """A token whose number and holder are asked for, and another one of the same merchant."""

    ground: ForwardGround
    token: TokenId
    other: TokenId

    async def run(self, sql: str) -> None:
        await self.ground.databases.run(Domain.VAULT, sql)

    async def both(self, number: str, detail: str) -> None:
        """Alter what is sealed: SQL for the new bytes, of `vault.token t` and `vault.token_detail t`."""
        await self.run(
            f"update vault.token t set sealed_number = {number} where token_id = '{self.token}'"
        )
        await self.run(
            f"update vault.token_detail t set sealed = {detail} where token_id = '{self.token}'"
        )


Alter = Callable[[Target], Awaitable[None]]


def bytes_of(expression: str) -> Alter:
    """Alter both in one way; `{}` stands for the sealed bytes."""

    async def alter(target: Target) -> None:
        await target.both(expression.format("sealed_number"), expression.format("sealed"))

    return alter


async def swapped_row(target: Target) -> None:
    await target.both(
        f"(select o.sealed_number from vault.token o where o.token_id = '{target.other}')",
        f"(select o.sealed from vault.token_detail o where o.token_id = '{target.other}')",
    )


async def swapped_field(target: Target) -> None:
    """The number in the holder's place, and the other way round."""
    await target.run(
        "with old as (select t.sealed_number, d.sealed from vault.token t join vault.token_detail d using (token_id)"
        f" where t.token_id = '{target.token}'), first as (update vault.token t set sealed_number = old.sealed"
        f" from old where t.token_id = '{target.token}')"
        " update vault.token_detail d set sealed = old.sealed_number from old"
        f" where d.token_id = '{target.token}'"
    )


async def wrong_key(target: Target) -> None:
    """Sealed for its own place, under the next version, and said to be of this one."""
    ground = target.ground
    keyring = ground.process.keyring
    old = await keyring.version(ground.merchant, Mode.TEST, KeyName.CARD, 1)
    new = await keyring.rotate(ground.merchant, Mode.TEST, KeyName.CARD)
    algorithm = Algorithm.A256CBC_HS512
    for table, column, field in (
        ("token", "sealed_number", NUMBER_FIELD),
        ("token_detail", "sealed", HOLDER),
    ):
        ((sealed,),) = await ask(
            ground.databases,
            Domain.VAULT,
            f"select {column} from vault.{table} where token_id = $1",
            target.token,
        )
        was = Place(algorithm, Mode.TEST, ground.merchant, target.token, field, 1, CARD_PURPOSE)
        clear = old.sealer(algorithm, CARD_PURPOSE).open(sealed, was)
        will_be = was._replace(key_version=new.version)
        anew = new.sealer(algorithm, CARD_PURPOSE).seal(clear, will_be)
        await target.run(
            f"update vault.{table} set {column} = '\\x{anew.hex()}' where token_id = '{target.token}'"
        )


async def moved_and_flipped(target: Target) -> None:
    await swapped_row(target)
    await target.both(
        "set_byte(sealed_number, 20, get_byte(sealed_number, 20) # 1)",
        "set_byte(sealed, 20, get_byte(sealed, 20) # 1)",
    )


async def unknown_key_version(target: Target) -> None:
    await target.run(f"update vault.token set key_version = 9 where token_id = '{target.token}'")
    await target.run(
        f"update vault.token_detail set key_version = 9 where token_id = '{target.token}'"
    )


async def destroyed_key(target: Target) -> None:
    ground = target.ground
    await ground.process.keyring.destroy(ground.merchant, Mode.TEST, KeyName.CARD, 1)


async def altered_key_row(target: Target) -> None:
    await target.run(
        "update keys.data_key set wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1)"
        f" where merchant_id = '{target.ground.merchant}' and name = 'card'"
    )


async def another_merchants_key(target: Target) -> None:
    """The row of another merchant's key in the place of this one's."""
    ground = target.ground
    stranger = MerchantId(new_id("mer"))
    await ground.token(merchant=stranger)
    await target.run(
        "update keys.data_key k set wrapped = o.wrapped, mac = o.mac from keys.data_key o"
        f" where k.merchant_id = '{ground.merchant}' and k.name = 'card' and k.mode = 'test'"
        f" and o.merchant_id = '{stranger}' and o.name = 'card' and o.mode = 'test'"
    )


#: What is wrong, what does it, and the code of the refusal.
TABLE: list[tuple[str, Alter, str]] = [
    ("a wrong key", wrong_key, "card_key_wrong"),
    ("a flipped bit of the first byte behind the version", bytes_of("set_byte({0}, 1, get_byte({0}, 1) # 1)"),
     "card_unreadable"),
    ("a flipped bit of the ciphertext", bytes_of("set_byte({0}, 20, get_byte({0}, 20) # 128)"), "card_unreadable"),
    ("a flipped bit of the tag",
     bytes_of("set_byte({0}, length({0}) - 1, get_byte({0}, length({0}) - 1) # 1)"), "card_unreadable"),
    ("a flipped algorithm", bytes_of("set_byte({0}, 0, 2)"), "card_algorithm_altered"),
    ("a swapped row", swapped_row, "card_of_another_token"),
    ("a swapped field", swapped_field, "card_of_another_field"),
    # Two things at once fit nowhere, as what was altered does not.
    ("a swapped row with a flipped bit", moved_and_flipped, "card_unreadable"),
    ("an unknown version byte", bytes_of("set_byte({0}, 0, 9)"), "card_envelope_unknown"),
    ("version byte zero", bytes_of("set_byte({0}, 0, 0)"), "card_envelope_unknown"),
    ("an envelope cut in its head", bytes_of("substring({0} for 40)"), "card_envelope_cut"),
    ("an envelope without any ciphertext", bytes_of("substring({0} for 49)"), "card_envelope_cut"),
    ("an envelope cut by a byte", bytes_of("substring({0} for length({0}) - 1)"), "card_envelope_cut"),
    ("an envelope cut by a block", bytes_of("substring({0} for length({0}) - 16)"), "card_envelope_cut"),
    ("an empty envelope", bytes_of("''::bytea"), "card_envelope_cut"),
    ("an unknown version of the key", unknown_key_version, "data_key_unknown"),
    ("a destroyed key", destroyed_key, "data_key_destroyed"),
    ("an altered row of the key", altered_key_row, "key_row_altered"),
    ("another merchant's key", another_merchants_key, "key_row_altered"),
]  # fmt: skip


async def number(ground: ForwardGround, token: TokenId) -> str:
    """Ask a process that has opened nothing yet to use a number; return the code of its refusal."""
    process = await started(ground.databases, ground.store, ground.clock)
    try:
        await process.forwarder.forward(ground.call(authorize(), token=token))
    except StrongroomError as error:
        return error.code
    finally:
        await ended(process)
    return "opened"


async def holder(
    ground: ForwardGround,
    token: TokenId,
    merchant: MerchantId | None = None,
    mode: Mode = Mode.TEST,
) -> str:
    """Likewise to open what is sealed beside it."""
    connection = await connect(ground.databases.administrator(Domain.VAULT))
    try:
        rows = await connection.fetch(
            "select field, sealed, key_version from vault.token_detail where token_id = $1", token
        )
    finally:
        await connection.close()
    process = await started(ground.databases, ground.store, ground.clock)
    try:
        opened = await process.details.open(
            [SealedDetail(row["field"], row["sealed"], row["key_version"]) for row in rows],
            mode,
            merchant or ground.merchant,
            token,
        )
    except StrongroomError as error:
        return error.code
    finally:
        await ended(process)
    return opened.holder or "nothing"


async def target_of(ground: ForwardGround) -> Target:
    token, _ = await ground.token(holder="Amal Haddad")
    other, _ = await ground.token(holder="Bo Lind")
    return Target(ground, token, other)


async def test_what_is_whole_opens(ground: ForwardGround) -> None:
    target = await target_of(ground)
    assert await number(ground, target.token) == "opened"
    assert await holder(ground, target.token) == "Amal Haddad"
    assert len(ground.peer.requests) == 1


@pytest.mark.parametrize(
    ("alter", "code"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
async def test_what_is_not_does_not(ground: ForwardGround, alter: Alter, code: str) -> None:
    target = await target_of(ground)
    await alter(target)
    assert await number(ground, target.token) == code
    assert await holder(ground, target.token) == code
    assert ground.peer.requests == [], "nothing leaves"


async def test_one_detail_does_not_open_in_anothers_place(ground: ForwardGround) -> None:
    """Each is bound to its field: what was sealed as a reference is no name, though both are texts of one token."""
    token, _ = await ground.token(
        holder="Amal Haddad", billing_address=BillingAddress("AE", line1="1 Harbour Street")
    )
    await ground.databases.run(
        Domain.VAULT,
        "update vault.token_detail t set sealed = o.sealed from vault.token_detail o"
        f" where t.token_id = '{token}' and o.token_id = t.token_id and t.field = 'holder'"
        " and o.field = 'billing_address'",
    )
    assert await holder(ground, token) == "card_of_another_field"


async def test_another_merchant_and_the_other_mode(ground: ForwardGround) -> None:
    """As somebody else's a token is not there; and where the database is made to say otherwise, it is shut."""
    target = await target_of(ground)
    stranger = MerchantId(new_id("mer"))
    for merchant, mode in ((stranger, Mode.TEST), (ground.merchant, Mode.LIVE)):
        with pytest.raises(TokenUnknown):
            await ground.process.forwarder.describe(merchant, mode, target.token)
    await ground.token(merchant=stranger)  # it has keys of its own
    await ground.token(complete_luhn("400000999999999"), mode=Mode.LIVE)
    # No key of another merchant is taken on behalf of a caller: this cannot be told from a flipped bit.
    assert await holder(ground, target.token, merchant=stranger) == "card_unreadable"
    assert await holder(ground, target.token, mode=Mode.LIVE) == "card_of_another_mode"
    await target.run(f"delete from vault.token_detail where token_id = '{target.token}'")
    await target.run(
        f"update vault.token set merchant_id = '{stranger}' where token_id = '{target.token}'"
    )
    connection = await ground.register(merchant=stranger)
    process = await started(ground.databases, ground.store, ground.clock)
    call = ground.call(authorize(), token=target.token, merchant=stranger, connection=connection)
    try:
        with pytest.raises(StrongroomError) as refused:
            await process.forwarder.forward(call)
    finally:
        await ended(process)
    assert refused.value.code == "card_unreadable"
    assert ground.peer.requests == []


@pytest.mark.parametrize("code", ["key_store_unavailable", "key_root_disabled"])
async def test_a_key_that_ran_out_is_not_served_stale(ground: ForwardGround, code: str) -> None:
    """A process without the key at hand asks the store, and opens nothing when that does not answer or says no."""
    target = await target_of(ground)
    process = await started(ground.databases, ground.store, ground.clock)
    await process.forwarder.forward(
        ground.call(FIND)
    )  # the connection is open; the card's key is not
    if code == "key_store_unavailable":
        ground.store.away = True
    else:
        ground.store.disable(Purpose.CARD)
    try:
        with pytest.raises(StrongroomError) as refused:
            await process.forwarder.forward(ground.call(authorize(), token=target.token))
    finally:
        ground.store.away = False
        ground.store.enable(Purpose.CARD)
        await ended(process)
    assert refused.value.code == code
    assert len(ground.peer.requests) == 1


# --- the ten -----------------------------------------------------------------------------------------


def altered(alter: Alter) -> Callable[[Target], Awaitable[str]]:
    async def refused(target: Target) -> str:
        await alter(target)
        return await number(target.ground, target.token)

    return refused


async def other_mode(target: Target) -> str:
    """A test card that is made to be of live mode, where the merchant has a key too."""
    await target.ground.token(complete_luhn("400000999999999"), mode=Mode.LIVE)
    return await holder(target.ground, target.token, mode=Mode.LIVE)


async def other_merchant(target: Target) -> str:
    """Asked for by another merchant: as if it had never existed."""
    try:
        await target.ground.process.forwarder.describe(
            MerchantId(new_id("mer")), Mode.TEST, target.token
        )
    except StrongroomError as error:
        return error.code
    return "opened"


async def other_region(target: Target) -> str:
    """A vault of another region, with this database and these keys."""

    class Regions:
        async def region_of(self, merchant: MerchantId, /) -> tuple[bool, str | None]:
            return bool(merchant), "me-central-1"

    sealer = CardSealer(target.ground.process.keyring, Residency(Regions(), "eu-central-1"))
    (row,) = await ask(
        target.ground.databases,
        Domain.VAULT,
        "select sealed_number, key_version from vault.token where token_id = $1",
        target.token,
    )
    try:
        await sealer.open_number(
            row[0],
            mode=Mode.TEST,
            merchant=target.ground.merchant,
            token=target.token,
            key_version=row[1],
        )
    except StrongroomError as error:
        return error.code
    return "opened"


#: The ten things that a stored card may be, and the error that each has for itself. A flipped bit is what is left when
#: nothing else fits; a row of the database that was given to another merchant looks the same, and is told with it.
TEN: list[tuple[str, Callable[[Target], Awaitable[str]], str]] = [
    ("wrong key", altered(wrong_key), "card_key_wrong"),
    ("flipped bit", altered(bytes_of("set_byte({0}, 20, get_byte({0}, 20) # 128)")), "card_unreadable"),
    ("flipped algorithm", altered(bytes_of("set_byte({0}, 0, 2)")), "card_algorithm_altered"),
    ("swapped row", altered(swapped_row), "card_of_another_token"),
    ("wrong mode", other_mode, "card_of_another_mode"),
    ("truncated envelope", altered(bytes_of("substring({0} for length({0}) - 16)")), "card_envelope_cut"),
    ("unknown version", altered(bytes_of("set_byte({0}, 0, 9)")), "card_envelope_unknown"),
    # A card's key that is past its period goes on opening, and is rotated; that of a CVC is gone (api/test_cvc.py).
    ("expired key", altered(destroyed_key), "data_key_destroyed"),
    ("another merchant", other_merchant, "token_unknown"),
    ("another region", other_region, "merchant_elsewhere"),
]  # fmt: skip


@pytest.mark.parametrize(("refused", "code"), [row[1:] for row in TEN], ids=[row[0] for row in TEN])
async def test_each_of_the_ten_is_refused_with_its_own_error(
    ground: ForwardGround, refused: Callable[[Target], Awaitable[str]], code: str
) -> None:
    target = await target_of(ground)
    assert await refused(target) == code
    assert ground.peer.requests == []


def test_no_two_of_the_ten_have_the_same_error() -> None:
    assert len({code for _, _, code in TEN}) == len(TEN) == 10


async def test_why_is_logged_and_recorded_once_and_callers_are_told_one_code(
    ground: ForwardGround,
) -> None:
    target = await target_of(ground)
    await swapped_row(target)
    process = await started(ground.databases, ground.store, ground.clock)
    try:
        for _ in range(3):
            with pytest.raises(StrongroomError) as refused:
                await process.forwarder.forward(ground.call(authorize(), token=target.token))
            assert refused.value.code == "card_of_another_token"
            told = msgspec.json.decode(problem_answer(refused.value, "req_1").body)
            assert (told["code"], told["detail"]) == ("card_unreadable", str(CannotReadCard()))
        lines = [each for each in process.lines.lines if b"vault.opening.failed" in each]
    finally:
        await ended(process)
    records = [each for each in await ground.records() if each["action"] == "vault.opening.failed"]
    (record,) = records
    assert (record["object"], record["outcome"]) == (target.token, "failed")
    # Merchants read it, so it says no more than they are told; the log does.
    assert record["details"] == {"key_version": 1, "reason": "card_unreadable"}
    (line,) = lines
    assert json.loads(line)["code"] == "card_of_another_token"


async def test_of_many_that_do_not_open_one_is_looked_into_at_a_time(ground: ForwardGround) -> None:
    """The others are told what is told anyway; nobody waits for a diagnosis of another's."""
    target = await target_of(ground)
    await swapped_row(target)
    process = await started(ground.databases, ground.store, ground.clock)
    try:
        found = await asyncio.gather(
            *(
                process.forwarder.forward(ground.call(authorize(), token=target.token))
                for _ in range(6)
            ),
            return_exceptions=True,
        )
    finally:
        await ended(process)
    codes = {each.code for each in found if isinstance(each, StrongroomError)}
    assert len(found) == 6
    assert codes <= {"card_of_another_token", "card_unreadable"}
    assert "card_of_another_token" in codes
    assert ground.peer.requests == []


async def test_what_comes_while_another_is_looked_into_is_logged_and_recorded_too(
    ground: ForwardGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what it was refused for; and once nobody is before it, as what it is."""
    first, second = await target_of(ground), await target_of(ground)
    for target in (first, second):
        await swapped_row(target)
    process = await started(ground.databases, ground.store, ground.clock)
    looking, go_on = asyncio.Event(), asyncio.Event()
    real = Diagnosis._kind

    async def held(self: Diagnosis, found: Unopened) -> type[CannotReadCard] | None:
        looking.set()
        await go_on.wait()
        return await real(self, found)

    async def code(target: Target) -> str:
        with pytest.raises(StrongroomError) as refused:
            await process.forwarder.forward(ground.call(authorize(), token=target.token))
        return refused.value.code

    monkeypatch.setattr(Diagnosis, "_kind", held)
    monkeypatch.setattr("strongroom.vault.diagnosis.SECONDS_MAX", 60.0)
    try:
        waiting = asyncio.create_task(code(first))
        await looking.wait()
        assert await code(second) == "card_unreadable"
        assert await code(first) == "card_unreadable", "it is looked into already"
        go_on.set()
        assert await waiting == "card_of_another_token"
        assert await code(second) == "card_of_another_token"
        lines = [json.loads(each) for each in process.lines.lines if b"opening.failed" in each]
    finally:
        await ended(process)
    assert [(line["token_id"], line["code"]) for line in lines] == [
        (second.token, "card_unreadable"),
        (first.token, "card_of_another_token"),
        (second.token, "card_of_another_token"),
    ]
    records = [each for each in await ground.records() if each["action"] == "vault.opening.failed"]
    assert sorted(each["object"] for each in records) == sorted(
        [second.token, first.token, second.token]
    )
