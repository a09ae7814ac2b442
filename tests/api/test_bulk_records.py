# SPDX-License-Identifier: Apache-2.0
"""What a call for many tokens leaves in the audit log: every token once, and of each what its own record would say."""

from collections.abc import Sequence
from typing import Any

import pytest

from named_tokens import named
from service import Caller, Service, Tenant, wish
from strongroom.audit.record import decode
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import synthetic_number
from strongroom.vault.made import TOKENS_A_RECORD

ROUTE = "/v1/tokens/bulk"
VISA, MASTERCARD, AMEX = "4242424242424242", "5555555555554444", "378282246310005"
KNOWN = "4000056655665556"
ACTIONS = "('vault.token.created', 'vault.token.deduplicated')"


@pytest.fixture
def vault(service: Service, tenant: Tenant) -> Caller:
    return service.vault(tenant.keys[Mode.TEST])


async def payloads(service: Service, tenant: Tenant, *, since: str = "") -> Sequence[bytes]:
    rows = await service.look(
        Domain.VAULT,
        "select payload, event_id from audit.event where merchant_id = $1 and event_id > $2"
        f" and convert_from(payload, 'UTF8')::jsonb ->> 'action' in {ACTIONS} order by event_id",
        tenant.merchant,
        since,
    )
    return [row["payload"] for row in rows]


async def test_every_token_is_named_once_with_what_is_known_of_it(
    service: Service, tenant: Tenant, vault: Caller
) -> None:
    there = await vault.token(KNOWN, deduplicate=True)
    before = decode((await payloads(service, tenant))[-1]).event_id
    wishes = [
        *(wish(synthetic_number(720_000 + n)) for n in range(70)),
        *(wish(VISA if n % 2 else MASTERCARD, "123" if n % 3 else None) for n in range(20)),
        wish(AMEX),
        wish("4242424242424241"),
        *(wish(KNOWN, deduplicate=True) for _ in range(2)),
    ]
    answer = (await vault.post(ROUTE, {"tokens": wishes})).json()
    assert (answer["created"], answer["refused"]) == (93, 1)

    said: dict[str, dict[str, Any]] = {}
    records = await payloads(service, tenant, since=before)
    for payload in records:
        names = named(payload)
        assert not names.keys() & said.keys()
        said |= names
    tokens = {item["token"]["id"]: item["token"] for item in answer["data"] if item.get("token")}
    assert said.keys() == tokens.keys()
    for token_id, token in tokens.items():
        known = token_id == there["id"]
        assert said[token_id] == {
            "action": "vault.token.deduplicated" if known else "vault.token.created",
            "brand": token["brand"],
            "cvc_state": token["cvc_state"],
            "last4": token["last4"],
        }
    # Seventy of one kind are three records; four kinds of Visa and Mastercard, one Amex and one known card are six.
    assert len(records) == 9
    alone = [decode(payload) for payload in records if decode(payload).object is not None]
    assert {each.object for each in alone} == {
        there["id"],
        next(token["id"] for token in tokens.values() if token["brand"] == "amex"),
    }


async def test_a_record_of_many_is_stored_as_it_is(
    service: Service, tenant: Tenant, vault: Caller
) -> None:
    """A longer row would be compressed by PostgreSQL, for more time than the record takes otherwise."""
    wishes = [wish(synthetic_number(730_000 + n)) for n in range(TOKENS_A_RECORD)]
    assert (await vault.post(ROUTE, {"tokens": wishes})).status_code == 200
    (row,) = await service.look(
        Domain.VAULT,
        "select pg_column_compression(payload) as way, octet_length(payload) as bytes"
        "  from audit.event where merchant_id = $1 order by event_id desc limit 1",
        tenant.merchant,
    )
    assert row["bytes"] > 1_500
    assert row["way"] is None


async def test_metrics_count_tokens_and_not_records(service: Service, vault: Caller) -> None:
    def counted() -> list[float]:
        value = service.metrics.registry.get_sample_value
        words = ("created", "deduplicated")
        return [value(f"strongroom_tokens_{word}_total", {"mode": "test"}) or 0.0 for word in words]

    await vault.token(KNOWN, deduplicate=True)
    before = counted()
    wishes = [wish(VISA)] * 40 + [wish(KNOWN, deduplicate=True)] * 2
    assert (await vault.post(ROUTE, {"tokens": wishes})).status_code == 200
    assert [now - was for now, was in zip(counted(), before, strict=True)] == [40, 1]
