# SPDX-License-Identifier: Apache-2.0
"""Promise 3: a state change and its audit record commit together, or neither does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from database import Databases, Server, fresh_databases
from named_tokens import named
from paying import Shop, open_shop
from promises.forgetting import ForgetfulComposer, forget_in
from revealing import VISA as SHOWN
from revealing import Ground as Revealing
from service import OPERATOR, Caller, Service, Tenant, running, wish
from strongroom.audit import Origin
from strongroom.db.logins import Domain, Login
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import KeyKind
from strongroom.kernel.schemes import synthetic_number
from strongroom.simulator import running_simulator
from strongroom.vault.made import records_of

VISA = "4242424242424242"
KNOWN = synthetic_number(77)
#: All state that an act may change; the audit log itself and what it refers to are apart.
STATE = {
    Domain.VAULT: (
        "vault.token",
        "vault.card_identity",
        "vault.cvc_use",
        "vault.reveal",
        "idempotency.request",
    ),
    Domain.CORE: ("identity.merchant", "identity.api_key"),
}
WRITERS = {Domain.VAULT: (Login.VAULT,), Domain.CORE: (Login.GATEWAY, Login.CONSOLE)}
_COLUMNS = "event_id, merchant_id, mode, payload, leaf_hash, row_mac"


@dataclass
class Ground:
    """A Strongroom with a merchant that has something of everything."""

    service: Service
    databases: Databases
    tenant: Tenant
    vault: Caller
    gateway: Caller
    token: dict[str, Any]
    #: A card that a key may reveal.
    shown: Revealing

    @classmethod
    async def on(cls, service: Service, databases: Databases) -> "Ground":
        tenant = await service.tenant()
        vault = service.vault(tenant.keys[Mode.TEST])
        token = await vault.token(VISA, "123", deduplicate=True)
        await vault.token(KNOWN, deduplicate=True)
        gateway = service.gateway(tenant.keys[Mode.TEST])
        await service.key(tenant.merchant, KeyKind.PUBLIC)
        shown = await Revealing.on(service)
        return cls(service, databases, tenant, vault, gateway, token, shown)

    async def state(self) -> dict[str, list[str]]:
        """Every row of every table that an act may change."""
        return {
            table: sorted(
                row["row"]
                for row in await self.service.look(domain, f"select t::text as row from {table} t")
            )
            for domain, tables in STATE.items()
            for table in tables
        }

    async def records(self) -> list[str]:
        """The actions of every record of both logs, but of refusals."""
        found: list[str] = []
        for domain in Domain:
            rows = await self.service.look(
                domain,
                "select convert_from(payload, 'UTF8')::jsonb ->> 'action' as action from audit.event order by event_id",
            )
            found += [row["action"] for row in rows if row["action"] not in NOBODYS]
        return found

    async def forbid_records(self) -> None:
        """Take away the right to write audit records."""
        for domain, logins in WRITERS.items():
            await self.databases.run(
                domain, *(f"revoke insert on audit.event from {login}" for login in logins)
            )

    async def allow_records(self) -> None:
        for domain, logins in WRITERS.items():
            await self.databases.run(
                domain,
                *(f"grant insert ({_COLUMNS}) on audit.event to {login}" for login in logins),
            )


#: Acts that change nothing but the log.
READS = {"read", "list"}
#: What the sealer and the edge record by themselves.
NOBODYS = {"audit.tree.started", "http.request.denied"}


async def make_merchant(ground: Ground) -> object:
    return await ground.service.operator.create_merchant("New", actor=OPERATOR, origin=Origin())


async def revoke(ground: Ground) -> object:
    keys = (await ground.gateway.get("/v1/keys")).json()["data"]
    public = next(key["id"] for key in keys if key["kind"] == "pk")
    return await ground.gateway.post(f"/v1/keys/{public}/revoke")


Act = Callable[[Ground], Awaitable[object]]
#: An act, and the record it leaves.
ACTS: dict[str, tuple[Act, str]] = {
    "make a token": (lambda g: g.vault.tokenize(VISA), "vault.token.created"),
    "with a CVC": (lambda g: g.vault.tokenize(VISA, "123"), "vault.token.created"),
    "deduplicated": (lambda g: g.vault.tokenize(KNOWN, deduplicate=True), "vault.token.deduplicated"),
    "in bulk": (lambda g: g.vault.post("/v1/tokens/bulk", {"tokens": [wish(VISA)]}), "vault.token.created"),
    "read": (lambda g: g.vault.get(f"/v1/tokens/{g.token['id']}"), "vault.token.read"),
    "list": (lambda g: g.vault.get("/v1/tokens"), "vault.token.listed"),
    "keep": (lambda g: g.vault.post(f"/v1/tokens/{g.token['id']}/keep", {"metadata": {"a": "b"}}), "vault.token.kept"),
    "seal a CVC": (lambda g: g.vault.post(f"/v1/tokens/{g.token['id']}/cvc", {"cvc": "123"}), "vault.cvc.sealed"),
    "discard a CVC": (
        lambda g: g.vault.post(f"/v1/tokens/{g.token['id']}/cvc/discard", {"cvc": g.token["cvc"]}),
        "vault.cvc.discarded",
    ),
    "reveal": (lambda g: g.shown.ask(), "vault.token.revealed"),
    "make a key": (lambda g: g.gateway.post("/v1/keys", {"kind": "pk", "name": "a"}), "identity.key.created"),
    "make a merchant": (make_merchant, "identity.merchant.created"),
    "read the log": (lambda g: g.vault.get("/v1/audit/records"), "audit.record.read"),
    "revoke a key": (revoke, "identity.key.revoked"),
    "delete": (lambda g: g.vault.delete(f"/v1/tokens/{g.token['id']}"), "vault.token.deleted"),
}  # fmt: skip


async def outcome(act: Act, ground: Ground) -> str:
    """Say whether an act was acknowledged."""
    try:
        result = await act(ground)
    except StrongroomError:
        return "failed"
    if isinstance(result, httpx.Response):
        assert result.status_code < 300 or result.status_code >= 500, result.text
        return "done" if result.status_code < 300 else "failed"
    return "done"


async def require_neither(ground: Ground, act: Act) -> None:
    """The act fails, and leaves everything as it was."""
    before, records = await ground.state(), await ground.records()
    assert await outcome(act, ground) == "failed"
    assert await ground.state() == before
    assert await ground.records() == records


async def require_both(ground: Ground, act: Act, action: str) -> None:
    """The act is done, and its record is there, once."""
    records = await ground.records()
    assert await outcome(act, ground) == "done"
    after = await ground.records()
    assert sorted(after) == sorted([*records, action])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ground(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ground]:
    async with running(databases, tmp_path_factory.mktemp("promise-3"), listens=False) as service:
        yield await Ground.on(service, databases)


@pytest.mark.parametrize("name", ACTS)
async def test_without_its_record_an_act_does_not_happen_and_with_it_both_do(
    ground: Ground, name: str
) -> None:
    """The right to write audit records is taken away: nothing happens. It is given back: act and record, together."""
    act, action = ACTS[name]
    await ground.forbid_records()
    try:
        await require_neither(ground, act)
    finally:
        await ground.allow_records()
    await require_both(ground, act, action)


async def test_without_the_act_there_is_no_record(ground: Ground) -> None:
    """The other way round: the token cannot be written, and no record says it was."""
    await ground.databases.run(
        Domain.VAULT, "alter table vault.token add constraint no_more check (last4 <> '4444')"
    )
    await require_neither(ground, lambda g: g.vault.tokenize("5555555555554444"))
    await require_neither(
        ground,
        lambda g: g.vault.post(
            "/v1/tokens/bulk", {"tokens": [wish(VISA), wish("5555555555554444")]}
        ),
    )


async def require_every_token_in_a_record(ground: Ground) -> None:
    """Make tokens one by one and many a call, some of which fail: each that is there is named in a record, once."""
    numbers = [synthetic_number(1_000 + n) for n in range(200)]
    asked = [
        ground.vault.tokenize("5555555555554444" if n % 10 == 9 else number, deduplicate=n % 2 == 0)
        for n, number in enumerate(numbers)
    ]
    many = [wish(number, deduplicate=n % 3 == 0) for n, number in enumerate(numbers)]
    answers, bulk = await asyncio.gather(
        asyncio.gather(*asked), ground.vault.post("/v1/tokens/bulk", {"tokens": many})
    )
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    made |= {item["token"]["id"] for item in bulk.json()["data"]}
    rows = await ground.service.look(
        Domain.VAULT,
        "select payload from audit.event"
        " where convert_from(payload, 'UTF8')::jsonb ->> 'action' = 'vault.token.created'",
    )
    recorded = [token for row in rows for token in named(row["payload"])]
    assert len(set(recorded)) == len(recorded)
    assert made <= set(recorded)
    tokens = await ground.service.look(Domain.VAULT, "select token_id from vault.token")
    assert {token["token_id"] for token in tokens} <= set(recorded)


async def test_every_token_ever_made_has_its_record(ground: Ground) -> None:
    """Under load, with failures in between: the tokens that are there are those that the log says were made."""
    await require_every_token_in_a_record(ground)


async def test_sabotage_a_token_that_no_record_names_is_noticed(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one of a call's tokens left out of its records, the same check is red."""
    monkeypatch.setattr(
        "strongroom.vault.bulk.records_of",
        lambda made, asked, recorder: records_of(made[:-1], asked, recorder),
    )
    with pytest.raises(AssertionError):
        await require_every_token_in_a_record(ground)


# --- a card is opened after its record was committed -------------------------------------------------


async def test_without_the_record_no_card_is_shown(ground: Ground) -> None:
    """A reveal whose record is refused shows nothing."""
    await ground.forbid_records()
    try:
        answer = await ground.shown.ask()
    finally:
        await ground.allow_records()
    assert answer.status_code >= 500
    assert SHOWN not in answer.text


async def test_without_its_note_neither_is(ground: Ground) -> None:
    """The other row of the same transaction: what counts for the alarm."""
    rule = "alter table vault.reveal"
    await ground.databases.run(
        Domain.VAULT, f"{rule} add constraint none_more check (note is not null) not valid"
    )
    try:
        records = await ground.records()
        answer = await ground.shown.ask()
        assert answer.status_code >= 500
        assert SHOWN not in answer.text
        assert await ground.records() == records
    finally:
        await ground.databases.run(Domain.VAULT, f"{rule} drop constraint none_more")


async def money(shop: Shop) -> dict[str, list[Any]]:
    """All that is known of a merchant's money, here and at its processor."""
    kept = {
        table: sorted(
            str(dict(row))
            for row in await shop.service.look(
                Domain.CORE,
                f"select * from payments.{table} where merchant_id = $1",
                shop.tenant.merchant,
            )
        )
        for table in ("payment", "attempt", "refund", "connection")
    }
    return {**kept, "processor": list(await shop.simulated.control.journal(account=shop.account))}


async def require_no_money_without_records(ground: Ground, folder: Path) -> None:
    """Ask for a charge, a capture, a refund and a void without the right to write records; then with it."""
    async with running_simulator(folder) as simulated:
        shop = await open_shop(ground.service, simulated, notices=False)
        one, other, sold = [await shop.authorized(1_000) for _ in range(3)]
        token = await shop.token()
        captured = await shop.gateway.post(f"/v1/payments/{sold['id']}/capture", {})
        assert captured.status_code == 200, captured.text
        charge = {"amount": 700, "currency": "AED", "token": token["id"], "confirm": True}
        asked = [
            ("/v1/payments", charge),
            (f"/v1/payments/{one['id']}/capture", {"amount": 400}),
            (f"/v1/payments/{other['id']}/cancel", {}),
            (f"/v1/payments/{sold['id']}/refunds", {"amount": 100}),
        ]
        before = await money(shop)
        await ground.forbid_records()
        try:
            refused = [await shop.gateway.post(path, body) for path, body in asked]
        finally:
            await ground.allow_records()
        assert [answer.status_code >= 500 for answer in refused] == [True] * 4, refused
        assert await money(shop) == before
        done = [await shop.gateway.post(path, body) for path, body in asked]
        assert [answer.status_code for answer in done] == [201, 200, 200, 201]
        after = await money(shop)
        assert len(after["processor"]) >= len(before["processor"]) + 4


async def test_without_their_records_no_money_moves_and_with_them_it_does(
    ground: Ground, tmp_path: Path
) -> None:
    """Charge, capture, refund and void without the right to write records: no row and no processor's book differs."""
    await require_no_money_without_records(ground, tmp_path)


# --- sabotage ---------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def forgetful(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ground]:
    folder: Path = tmp_path_factory.mktemp("forgetful")
    async with (
        fresh_databases(server) as databases,
        running(databases, folder, listens=False, composer_class=ForgetfulComposer) as service,
    ):
        await forget_in(databases, Domain.VAULT, "put_tokens")
        await forget_in(databases, Domain.CORE, "save", "save_together")
        yield await Ground.on(service, databases)


#: The reader of the log inserts its record itself.
@pytest.mark.parametrize("name", [name for name in ACTS if name != "read the log"])
async def test_sabotage_a_recorder_that_forgets_is_noticed(forgetful: Ground, name: str) -> None:
    """With a recorder that skips the insert, the act happens without a record: both checks are red."""
    act, action = ACTS[name]
    await forgetful.forbid_records()
    try:
        if name not in READS:
            with pytest.raises(AssertionError):
                await require_neither(forgetful, act)
        else:
            assert await outcome(act, forgetful) == "done", "read, and nobody knows"
    finally:
        await forgetful.allow_records()
    with pytest.raises(AssertionError):
        await require_both(forgetful, act, action)


async def test_sabotage_money_that_moves_without_records_is_noticed(
    forgetful: Ground, tmp_path: Path
) -> None:
    """With the insert cut out of what saves payments, money moves without a record: the same check is red."""
    with pytest.raises(AssertionError):
        await require_no_money_without_records(forgetful, tmp_path)
