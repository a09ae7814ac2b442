# SPDX-License-Identifier: Apache-2.0
"""Public keys stand in browsers: single-use tokens that live an hour, from their origins, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from database import Databases
from service import Caller, Service, Tenant, running
from strongroom.db.logins import Domain
from strongroom.kernel.clock import SteppedClock, rfc3339
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import KeyKind
from strongroom.vault.create import SINGLE_USE_LIFE

VISA = "4242424242424242"
ROUTE = "/v1/tokens"
JUST_NOT = timedelta(seconds=1)


@pytest_asyncio.fixture(loop_scope="session")
async def public(service: Service, tenant: Tenant) -> Caller:
    return service.vault((await service.key(tenant.merchant, KeyKind.PUBLIC)).text.expose())


async def test_it_makes_single_use_tokens(public: Caller) -> None:
    token = await public.token(VISA, "123", metadata={"cart": "9"})
    assert token["single_use"] is True
    made, ends = (datetime.fromisoformat(token[name]) for name in ("created_at", "expires_at"))
    assert ends - made == SINGLE_USE_LIFE
    assert token["cvc_state"] == "sealed"


#: Method, path, body, expected.
ACTS: list[tuple[str, str, Any, str]] = [
    ("GET", "/v1/tokens", None, "403 forbidden"),
    ("GET", "/v1/tokens/{token}", None, "403 forbidden"),
    ("DELETE", "/v1/tokens/{token}", None, "403 forbidden"),
    ("POST", "/v1/tokens/{token}/keep", {}, "403 forbidden"),
    ("POST", "/v1/tokens/{token}/cvc", {"cvc": "123"}, "403 forbidden"),
    ("POST", "/v1/tokens/{token}/cvc/discard", {"cvc": "cvc_A"}, "403 forbidden"),
    ("POST", "/v1/tokens/bulk", {"tokens": [{}]}, "403 forbidden"),
    ("GET", "/v1/nowhere", None, "404 route_unknown"),
]


@pytest.mark.parametrize(("method", "path", "body", "expected"), ACTS)
async def test_it_may_do_nothing_else(
    public: Caller, method: str, path: str, body: Any, expected: str
) -> None:
    token = (await public.token(VISA))["id"]
    answer = await public.send(method, path.format(token=token), body=body)
    assert f"{answer.status_code} {answer.json()['code']}" == expected


async def test_a_secret_key_makes_a_token_lasting(
    service: Service, tenant: Tenant, public: Caller
) -> None:
    token = (await public.token(VISA, metadata={"cart": "9"}))["id"]
    vault = service.vault(tenant.keys[Mode.TEST])
    kept = await vault.post(f"{ROUTE}/{token}/keep", {"metadata": {"customer": "c-1"}})
    assert (kept.status_code, kept.json()["id"]) == (200, token)
    assert (kept.json()["single_use"], kept.json()["expires_at"]) == (False, None)
    assert kept.json()["metadata"] == {"customer": "c-1"}
    again = await vault.post(f"{ROUTE}/{token}/keep", {})
    assert again.json() == kept.json(), "safe to repeat; no metadata given, none changed"
    card_like = await vault.post(f"{ROUTE}/{token}/keep", {"metadata": {"a": VISA}})
    assert card_like.json()["errors"][0]["code"] == "card_number_refused"


#: The key's origins, the request's, expected.
ORIGINS = [
    ((), None, "201"),
    ((), "https://any.example", "201"),
    (("https://shop.example",), "https://shop.example", "201"),
    (("https://shop.example", "http://localhost:3000"), "http://localhost:3000", "201"),
    (("https://shop.example",), None, "401"),
    (("https://shop.example",), "https://shop.example.evil.example", "401"),
    (("https://shop.example",), "http://shop.example", "401"),
    (("https://shop.example",), "https://shop.example:8443", "401"),
    (("https://shop.example",), "null", "401"),
]


@pytest.mark.parametrize(("origins", "origin", "expected"), ORIGINS)
async def test_it_is_bound_to_its_origins(
    service: Service, tenant: Tenant, origins: tuple[str, ...], origin: str | None, expected: str
) -> None:
    key = (await service.key(tenant.merchant, KeyKind.PUBLIC, origins=origins)).text.expose()
    headers = {} if origin is None else {"origin": origin}
    answer = await service.vault(key).post(
        ROUTE, {"card": {"number": VISA, "exp_month": 1, "exp_year": 2034}}, headers=headers
    )
    assert str(answer.status_code) == expected


async def test_an_allowed_origin_does_not_open_the_door_for_another(
    service: Service, tenant: Tenant
) -> None:
    key = await service.key(tenant.merchant, KeyKind.PUBLIC, origins=["https://shop.example"])
    public = service.vault(key.text.expose())
    body = {"card": {"number": VISA, "exp_month": 1, "exp_year": 2034}}
    origins = ["https://shop.example", "https://evil.example"] * 10
    answers = await asyncio.gather(
        *(public.post(ROUTE, body, headers={"origin": origin}) for origin in origins)
    )
    assert [answer.status_code for answer in answers] == [201, 401] * 10


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stepped(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Service, SteppedClock]]:
    """A Strongroom whose time stands two hours back, where the database's retention looks at the real one."""
    clock = SteppedClock(datetime.now(UTC) - timedelta(hours=3))
    folder = tmp_path_factory.mktemp("stepped")
    async with running(databases, folder, clock=clock, listens=False) as service:
        yield service, clock


async def test_the_hour(stepped: tuple[Service, SteppedClock]) -> None:
    service, clock = stepped
    tenant = await service.tenant()
    vault = service.vault(tenant.keys[Mode.TEST])
    public = service.vault((await service.key(tenant.merchant, KeyKind.PUBLIC)).text.expose())
    lapses, kept = (await public.token(VISA))["id"], (await public.token(VISA))["id"]
    assert (await vault.post(f"{ROUTE}/{kept}/keep", {})).status_code == 200
    clock.step(SINGLE_USE_LIFE - JUST_NOT)
    assert (await vault.get(f"{ROUTE}/{lapses}")).status_code == 200
    clock.step(JUST_NOT)
    assert (await vault.get(f"{ROUTE}/{lapses}")).status_code == 404
    assert (await vault.post(f"{ROUTE}/{lapses}/keep", {})).status_code == 404
    assert (await vault.post(f"{ROUTE}/{lapses}/cvc", {"cvc": "123"})).status_code == 404
    listed = {token["id"] for token in (await vault.get(ROUTE)).json()["data"]}
    assert listed == {kept}
    assert (await vault.get(f"{ROUTE}/{kept}")).json()["single_use"] is False


async def test_retention_deletes_what_lapsed_and_records_it(
    stepped: tuple[Service, SteppedClock],
) -> None:
    """The hour ended by the database's own clock as well, so the job of this very process finds the row."""
    service, _ = stepped
    tenant = await service.tenant()
    public = service.vault((await service.key(tenant.merchant, KeyKind.PUBLIC)).text.expose())
    token = await public.token(VISA)
    assert token["expires_at"] < rfc3339(datetime.now(UTC))
    assert await service.parts.tokens.delete_expired() >= 1
    rows = await service.look(
        Domain.VAULT, "select 1 from vault.token where token_id = $1", token["id"]
    )
    assert rows == []
    (record,) = await service.look(
        Domain.VAULT,
        "select convert_from(payload, 'UTF8')::jsonb as record from audit.event where merchant_id = $1"
        " and convert_from(payload, 'UTF8')::jsonb ->> 'action' = 'vault.token.deleted'",
        tenant.merchant,
    )
    assert '"reason": "expired"' in record["record"]
