# SPDX-License-Identifier: Apache-2.0
"""The hot routes have two ways in, past Litestar and through it. Whoever asks cannot tell which one answered."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from api.test_bulk import ITEMS, WHOLE
from api.test_create_token import REFUSED, STRAY
from database import Databases
from service import Caller, Service, running, wish
from strongroom.kernel.mode import Mode

VISA = "4242424242424242"
#: What two answers to the same request may differ in.
OWN = {"id", "created_at", "request_id", "cvc", "cvc_expires_at"}

Lanes = tuple[Caller, Caller]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lanes(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Lanes]:
    """The same merchant, by either way."""
    folder = tmp_path_factory.mktemp("lanes")
    async with (
        running(databases, folder, listens=False) as lean,
        running(databases, folder, listens=False, lean_lane=False) as whole,
    ):
        key = (await lean.tenant()).keys[Mode.TEST]
        yield lean.vault(key), whole.vault(key)


def told(answer: httpx.Response) -> tuple[int, Any, dict[str, str]]:
    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: bare(each) for name, each in value.items() if name not in OWN}
        return [bare(each) for each in value] if isinstance(value, list) else value

    headers = {k: v for k, v in answer.headers.items() if k not in ("request-id", "content-length")}
    return answer.status_code, bare(answer.json()), headers


async def test_each_lane_is_the_one_it_is_said_to_be(lanes: Lanes, service: Service) -> None:
    assert ("POST", "/v1/tokens") in service.edges["vault"]._lean


@pytest.mark.parametrize(("what", "body", "expected"), REFUSED, ids=[row[0] for row in REFUSED])
async def test_refusals(lanes: Lanes, what: str, body: object, expected: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    one, other = [await lane.post("/v1/tokens", content=content) for lane in lanes]
    assert told(one) == told(other)


@pytest.mark.parametrize(("what", "content", "expected"), WHOLE, ids=[row[0] for row in WHOLE])
async def test_refused_bulk_calls(lanes: Lanes, what: str, content: bytes, expected: str) -> None:
    one, other = [await lane.post("/v1/tokens/bulk", content=content) for lane in lanes]
    assert told(one) == told(other)


@pytest.mark.parametrize(("method", "path", "headers", "expected"), STRAY)
async def test_stray_card_numbers(
    lanes: Lanes, method: str, path: str, headers: dict[str, str], expected: str
) -> None:
    body = wish(VISA) if method == "POST" else None
    one, other = [await lane.send(method, path, body=body, headers=headers) for lane in lanes]
    assert told(one) == told(other)


@pytest.mark.parametrize("key", [None, "x" * 300])
async def test_keys_that_are_none(lanes: Lanes, key: str | None) -> None:
    one, other = [await lane.post("/v1/tokens", wish(VISA), idempotency=key) for lane in lanes]
    assert told(one) == told(other)


async def test_tokens(lanes: Lanes) -> None:
    body = wish(VISA, "123", metadata={"a": "b"})
    one, other = [await lane.post("/v1/tokens", body) for lane in lanes]
    assert one.status_code == 201
    assert told(one) == told(other)
    replayed = [await lane.post("/v1/tokens", body, idempotency="shared") for lane in lanes]
    assert replayed[0].json()["id"] == replayed[1].json()["id"]
    assert replayed[1].headers["idempotent-replayed"] == "true"


async def test_bulk(lanes: Lanes) -> None:
    content = f'{{"tokens":[{",".join(text for text, _ in ITEMS)}]}}'.encode()
    one, other = [await lane.post("/v1/tokens/bulk", content=content) for lane in lanes]
    assert one.status_code == 200
    assert told(one) == told(other)
