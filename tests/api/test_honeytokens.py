# SPDX-License-Identifier: Apache-2.0
"""Whoever names a token that no system uses is found out, whichever way they take, and is told nothing of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from database import Databases, Server, fresh_databases
from honey import WAYS, Trap, make, read, reveal, trapping
from polling import until
from revealing import Ground, revealing
from service import Service
from strongroom.db.logins import Domain
from strongroom.db.pool import Database
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import KeyKind, Role
from strongroom.kernel.published import is_test_number
from strongroom.vault.honey import store as honey_store
from strongroom.vault.honey.model import Known

EVERY_WAY = pytest.mark.parametrize("name", WAYS)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def lent(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    async with revealing(databases, tmp_path_factory.mktemp("honey")) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="session")
async def trap(lent: Service, tmp_path: Path) -> AsyncIterator[Trap]:
    async with trapping(lent, tmp_path) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def strict(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    folder = tmp_path_factory.mktemp("strict")
    async with (
        fresh_databases(server) as databases,
        revealing(databases, folder, honeytoken_ends_keys=True) as service,
    ):
        yield service


def answered(said: httpx.Response) -> bool:
    """As any other token is: some of the numbers that processors publish are declined."""
    return said.status_code in (200, 201, 202, 204, 402)


@EVERY_WAY
async def test_a_use_is_recorded_told_and_counted(trap: Trap, name: str) -> None:
    use, word = WAYS[name]
    before = trap.counted(word)
    said = await use(trap, trap.bait)
    assert answered(said), said.text
    (record,) = await trap.uses()
    assert (record["object"], record["details"]) == (
        trap.bait,
        {"operation": word, "state": "warned"},
    )
    assert record["actor"].startswith(("key_", "usr_"))
    assert trap.counted(word) == before + 1
    lines = [json.loads(line) for line in trap.service.log_text().splitlines()]
    (event,) = [
        each
        for each in lines
        if each.get("event_type") == "security.event"
        and each.get("audit_event_id") == record["event_id"]
    ]
    assert (event["severity"], event["action"]) == ("high", "vault.honeytoken.used")
    (shown,) = await trap.honeytokens()
    assert (shown["uses"], shown["last_used_by"]) == (1, record["actor"])


@EVERY_WAY
async def test_another_token_is_used_and_nobody_is_told(trap: Trap, name: str) -> None:
    use, _ = WAYS[name]
    if name in ("search", "export"):
        said = await trap.ground.vault.post("/v1/tokens/search", {"expires_from": "2034-12"})
        assert [each["id"] for each in said.json()["data"]] == [trap.ground.token["id"]]
    else:
        said = await use(trap, str(trap.ground.token["id"]))
        assert answered(said), said.text
    assert not await trap.uses()


async def test_no_answer_tells_it_from_another(trap: Trap) -> None:
    other = await trap.ground.vault.post(
        "/v1/tokens", {"card": {"number": "5555555555554444", "exp_month": 11, "exp_year": 2034}}
    )
    assert other.status_code == 201, other.text
    for token in (trap.bait, other.json()["id"]):
        assert (await WAYS["charge"][0](trap, token)).status_code in (201, 402)
    for name in ("read", "reveal", "forward", "ask_to_reveal", "change"):
        use, _ = WAYS[name]
        baited = await use(trap, trap.bait)
        usual = await use(trap, other.json()["id"])
        assert (baited.status_code, shape(baited.json())) == (
            usual.status_code,
            shape(usual.json()),
        )
        assert set(baited.headers) == set(usual.headers)
        assert "honey" not in baited.text
    listed = await trap.ground.vault.get("/v1/tokens")
    assert "honey" not in listed.text
    assert len({json.dumps(shape(each)) for each in listed.json()["data"][:2]}) == 1


def shape(value: Any) -> Any:
    """What an answer has, without what it says."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in sorted(value.items())}
    return type(value).__name__


async def test_what_it_gives_away_is_a_test_number(trap: Trap) -> None:
    shown = (await reveal(trap, trap.bait)).json()["card"]
    assert is_test_number(shown["number"])
    read_ = (await read(trap, trap.bait)).json()
    assert (read_["bin"], read_["last4"]) == (shown["number"][:6], shown["number"][-4:])


async def test_a_try_that_is_refused_is_told_too(trap: Trap) -> None:
    """No rule lets this key see cards; that it tried, with this id, is what counts."""
    service, tenant = trap.service, trap.ground.tenant
    await trap.ground.rule("use", priority=1)
    refused = await reveal(trap, trap.bait)
    assert refused.status_code == 403, refused.text
    assert [each["details"]["operation"] for each in await trap.uses()] == ["reveal"]
    stranger = await service.tenant()
    other = await service.vault(stranger.keys[Mode.TEST]).get(f"/v1/tokens/{trap.bait}")
    assert other.status_code == 404
    live = await service.vault(tenant.keys[Mode.LIVE]).get(f"/v1/tokens/{trap.bait}")
    assert live.status_code == 404
    assert len(await trap.uses()) == 1


async def test_it_is_not_done_when_it_cannot_be_recorded(trap: Trap) -> None:
    await trap.service.look(
        Domain.VAULT, "alter table vault.honeytoken_use rename to honeytoken_use_away"
    )
    try:
        said = await reveal(trap, trap.bait)
    finally:
        await trap.service.look(
            Domain.VAULT, "alter table vault.honeytoken_use_away rename to honeytoken_use"
        )
    assert said.status_code in (500, 503), said.text
    assert not await trap.ground.records("vault.token.revealed")


async def test_its_making_names_it_in_no_record_and_to_nobody_else(trap: Trap) -> None:
    (made,) = await trap.ground.records("vault.honeytoken.created")
    assert made["object"] is None
    assert trap.bait not in json.dumps(made)
    ours = await trap.ground.records("vault.token.created")
    assert trap.bait in [each["object"] for each in ours]  # as of any
    for who, code in (
        (await trap.service.member(trap.ground.tenant.merchant, Role.AUDITOR), 403),
        (await trap.service.member(trap.ground.tenant.merchant, Role.OPERATOR), 403),
        (await trap.service.member((await trap.service.tenant()).merchant), 200),
    ):
        said = await trap.service.vault(who.key).get("/v1/honeytokens")
        assert said.status_code == code, said.text
        assert trap.bait not in said.text
    assert (await trap.ground.vault.get("/v1/honeytokens")).status_code == 403
    assert (await trap.ground.vault.post("/v1/honeytokens", {})).status_code == 403


async def test_another_process_knows_it_within_two_seconds(
    databases: Databases, trap: Trap, tmp_path: Path
) -> None:
    """A watch that has read is told by no one: what it knows is in the database."""
    watch = trap.watch
    watch._known = {}
    await read(trap, trap.bait)

    async def look() -> bool | None:
        await read(trap, trap.bait)
        return bool(await trap.uses()) or None

    await until(look, what="the watch to read anew")


async def test_one_made_while_the_watch_reads_is_watched_at_once(
    trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the watch reads may be older than one that was made meanwhile."""
    began, goes_on = asyncio.Event(), asyncio.Event()

    async def slowly(database: Database) -> Mapping[str, Known]:
        read_before = await known(database)
        began.set()
        await goes_on.wait()
        return read_before

    known = honey_store.known
    with monkeypatch.context() as patch:
        patch.setattr(honey_store, "known", slowly)
        reading = asyncio.create_task(trap.watch.refresh())
        await began.wait()
        bait = await make(trap.ground)
        goes_on.set()
        await reading
    await read(trap, bait)
    assert [each["object"] for each in await trap.uses()] == [bait]


async def test_other_ids_of_it_are_watched_too(trap: Trap) -> None:
    """Somebody who holds the id of before a retokenization has it from before."""
    new = "tok_" + trap.bait[4:-2] + ("00" if trap.bait[-2:] != "00" else "11")
    await trap.service.look(
        Domain.VAULT,
        "insert into vault.token_alias (merchant_id, mode, old_id, token_id, job_id, until, made_at)"
        " values ($1, 'test', $2, $3, 'job', now(), now()) returning 1",
        trap.ground.tenant.merchant,
        trap.bait,
        new,
    )
    await trap.watch.refresh()
    for token in (trap.bait, new):
        await read(trap, token)
    assert sorted(each["object"] for each in await trap.uses()) == sorted([trap.bait, new])
    (shown,) = await trap.honeytokens()
    assert (shown["token"], shown["uses"]) == (new, 2)


async def test_in_live_mode_what_is_shown_is_on_no_list(lent: Service) -> None:
    ground = await Ground.on(lent)
    admin = await lent.member(ground.tenant.merchant, mode=Mode.LIVE)
    body = {"exp_month": 11, "exp_year": 2034, "holder": "Amal Haddad"}
    made = await lent.vault(admin.key).post("/v1/honeytokens", body)
    assert made.status_code == 201, made.text
    token = made.json()["token"]
    seen = (await lent.vault(ground.tenant.keys[Mode.LIVE]).get(f"/v1/tokens/{token}")).json()
    assert (seen["holder"], seen["details"]) == ("Amal Haddad", ["holder"])
    (record,) = await ground.records("vault.honeytoken.used")
    assert (record["object"], record["mode"]) == (token, "live")


# --- containment ------------------------------------------------------------------------------------------


async def revoked(ground: Ground, key: str) -> list[str]:
    rows = await ground.service.look(
        Domain.CORE,
        "select convert_from(payload, 'utf8') as record from audit.event where merchant_id = $1",
        ground.tenant.merchant,
    )
    records = [json.loads(row["record"]) for row in rows]
    return [
        each["actor"]
        for each in records
        if each["action"] == "identity.key.revoked" and each["object"] == key
    ]


@pytest.mark.parametrize("name", ["charge", "seal_cvc", "forward", "search"])
async def test_a_visitors_id_does_not_end_the_key_of_the_shop(
    strict: Service, tmp_path: Path, name: str
) -> None:
    """Whoever posts one at the checkout, or makes a system look around, would end what is not theirs."""
    async with trapping(strict, tmp_path) as trap:
        use, word = WAYS[name]
        said = await use(trap, trap.bait)
        assert answered(said), said.text
        (record,) = await trap.uses()
        assert record["details"] == {"operation": word, "state": "warned"}
        lines = map(json.loads, strict.log_text().splitlines())
        (event,) = [each for each in lines if each.get("audit_event_id") == record["event_id"]
                    and each["event_type"] == "security.event"]  # fmt: skip
        assert event["severity"] == "high"
        assert await trap.watch.contain() == 0
        assert await revoked(trap.ground, record["actor"]) == []
        again = await trap.ground.vault.get(f"/v1/tokens/{trap.ground.token['id']}")
        assert again.status_code == 200, again.text


@pytest.mark.parametrize("name", ["read", "change", "delete", "reveal"])
async def test_the_key_that_named_it_is_ended(strict: Service, tmp_path: Path, name: str) -> None:
    async with trapping(strict, tmp_path) as trap:
        use, word = WAYS[name]
        said = await use(trap, trap.bait)
        assert answered(said), said.text
        (record,) = await trap.uses()
        assert record["details"] == {"operation": word, "state": "contained"}
        await trap.watch.close()
        assert "system:honeytokens" in await revoked(trap.ground, record["actor"])
        who = trap.ground.key if name == "reveal" else trap.ground.tenant.keys[Mode.TEST]

        async def ended() -> bool | None:
            again = await strict.vault(who).get(f"/v1/tokens/{trap.ground.token['id']}")
            return True if again.status_code == 401 else None

        await until(ended, what="the key to be ended everywhere")


async def test_who_named_it_does_not_wait_until_their_key_is_ended(
    strict: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that takes longer than others would tell; a process that ends waits for what it has begun."""
    async with trapping(strict, tmp_path) as trap:
        ender = trap.watch._ender
        assert ender is not None
        ends = ender.revoke_key
        asked, go_on = asyncio.Event(), asyncio.Event()

        class Held:
            async def revoke_key(self, *of: Any, **more: Any) -> None:
                asked.set()
                await go_on.wait()
                await ends(*of, **more)

        monkeypatch.setattr(trap.watch, "_ender", Held())
        async with asyncio.timeout(30):  # so that it fails where it would wait for ever
            said = await read(trap, trap.bait)
        assert said.status_code == 200, said.text
        (record,) = await trap.uses()
        assert record["details"]["state"] == "contained"
        await asked.wait()
        assert await revoked(trap.ground, record["actor"]) == []
        closing = asyncio.create_task(trap.watch.close())
        go_on.set()
        await closing
        assert "system:honeytokens" in await revoked(trap.ground, record["actor"])


async def test_a_person_is_told_of_and_not_ended(strict: Service, tmp_path: Path) -> None:
    async with trapping(strict, tmp_path) as trap:
        await WAYS["ask_to_reveal"][0](trap, trap.bait)
        (record,) = await trap.uses()
        assert record["details"]["state"] == "warned"
        again = await WAYS["ask_to_reveal"][0](trap, str(trap.ground.token["id"]))
        assert again.status_code == 202


async def nothing_is_left(trap: Trap) -> None:
    """Wait until no key is due: a round may have ended one and not noted it yet."""

    async def look() -> bool | None:
        return await trap.watch.contain() == 0 or None

    await until(look, what="what is contained to be noted")


async def test_what_was_not_contained_is_contained_later(strict: Service, tmp_path: Path) -> None:
    """As after a crash between the record and the end of the key."""
    async with trapping(strict, tmp_path) as trap:
        made = await strict.key(trap.ground.tenant.merchant, KeyKind.SECRET, Mode.TEST)
        await strict.look(
            Domain.VAULT,
            "insert into vault.honeytoken_use (merchant_id, mode, event_id, token_id, way, actor, used_at, contain)"
            " values ($1, 'test', 'aud_x', $2, 'read', $3, now(), true) returning 1",
            trap.ground.tenant.merchant,
            trap.bait,
            made.key.key_id,
        )

        async def ended() -> bool | None:
            return "system:honeytokens" in await revoked(trap.ground, made.key.key_id) or None

        await until(ended, what="the round that ends keys")
        await nothing_is_left(trap)


async def test_of_many_at_once_the_key_is_ended_once_or_twice(
    strict: Service, tmp_path: Path
) -> None:
    async with trapping(strict, tmp_path) as trap:
        await asyncio.gather(*(read(trap, trap.bait) for _ in range(6)))
        uses = await trap.uses()
        assert uses
        await nothing_is_left(trap)
        assert await revoked(trap.ground, uses[0]["actor"])


async def test_there_are_so_many_at_most(lent: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    ground = await Ground.on(lent)
    monkeypatch.setattr("strongroom.vault.honey.service.HONEYTOKENS_MAX", 1)
    await make(ground)
    body = {"exp_month": 11, "exp_year": 2034}
    refused = await lent.vault(ground.asker.key).post("/v1/honeytokens", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "honeytokens_too_many")


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"exp_year": 2001}, 422, "card_expired"),
        ({"container": "Not A Name"}, 422, "container_malformed"),
        ({"container": "nowhere"}, None, None),
        ({"holder": "4242424242424242"}, 422, "card_number_refused"),
        ({"metadata": {"a": "4242424242424242"}}, 422, "card_number_refused"),
        ({"number": "4242424242424242"}, 400, None),
    ],
)
async def test_what_it_may_not_be(
    lent: Service, more: dict[str, Any], status: int | None, code: str | None
) -> None:
    ground = await Ground.on(lent)
    body = {"exp_month": 11, "exp_year": 2034, **more}
    refused = await lent.vault(ground.asker.key).post("/v1/honeytokens", body)
    assert refused.status_code >= 400, refused.text
    assert status is None or refused.status_code in (status, 422), refused.text
    if code is not None:
        assert refused.json()["errors"][0]["code"] == code
    assert "4242424242424242" not in refused.text
    rows = await lent.look(
        Domain.VAULT,
        "select 1 from vault.honeytoken where merchant_id = $1",
        ground.tenant.merchant,
    )
    assert not rows
