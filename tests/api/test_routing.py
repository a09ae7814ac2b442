# SPDX-License-Identifier: Apache-2.0
"""Where payments go, and on to where, over HTTP: two accounts of a running simulator, and one that is away."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from money import doubled, live_authorizations
from paying import DECLINED, VISA, WITH_CHALLENGE, Shop, open_shop, simulating
from service import Service, free_ports
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind
from strongroom.simulator import Fault, Simulated


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator"), service) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Ground:
    """A merchant with two connections that answer and one that nobody listens at."""

    shop: Shop
    other: Shop
    away: str

    @property
    def first(self) -> str:
        return str(self.shop.connection["id"])

    @property
    def second(self) -> str:
        return str(self.other.connection["id"])

    async def write(self, *connections: Any, **more: Any) -> dict[str, Any]:
        """Let one rule hold: these connections, in this order."""
        listed = [each if isinstance(each, dict) else {"connection": each} for each in connections]
        answer = await self.rules([{"name": "all", "connections": listed, **more}])
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def rules(self, rules: Sequence[Any], **more: Any) -> httpx.Response:
        return await self.shop.gateway.post("/v1/routing/rules", {"rules": rules, **more})

    async def went(self, payment: str) -> list[tuple[int, str, str]]:
        """Each attempt of a payment: its step, its connection, its outcome."""
        return [
            (each["step"], each["connection"], each["outcome"])
            for each in await self.shop.attempts(payment)
        ]

    async def require_once(self, payment: str) -> None:
        """Fail unless the processor did at most one of a payment's attempts, under its own key."""
        rows = [
            dict(row)
            for row in await self.shop.service.look(
                Domain.CORE, "select * from payments.attempt where payment_id = $1", payment
            )
        ]
        references = {row["attempt_id"] for row in rows}
        journal = [
            entry
            for entry in await self.shop.simulated.control.journal()
            if entry.reference in references
        ]
        assert not doubled(rows, journal)
        assert not live_authorizations(rows, journal)


@pytest_asyncio.fixture(loop_scope="session")
async def ground(service: Service, simulated: Simulated) -> Ground:
    shop = await open_shop(service, simulated)
    other = await open_shop(service, simulated, tenant=shop.tenant)
    body = {
        "processor": "simulator",
        "account": "acct_away",
        "base_url": f"http://127.0.0.1:{free_ports(1)[0]}",
        "credentials": {"api_key": "sim_sk_nobody_listens"},
        "webhook_secret": "sim_whsec_nobody_listens",
    }
    made = await shop.gateway.post("/v1/connections", body)
    assert made.status_code == 201, made.text
    ended = await shop.gateway.post(f"/v1/connections/{made.json()['id']}/disable")
    assert ended.status_code == 204
    again = await shop.gateway.post("/v1/connections", {**body, "account": "acct_away_too"})
    return Ground(shop, other, again.json()["id"])


async def test_without_rules_the_newest_active_connection_is_charged(ground: Ground) -> None:
    answer = await ground.shop.pay()
    assert (answer.status_code, answer.json()["attempt"]["outcome"]) == (200 + 1, "not_sent")
    route = answer.json()["attempt"]["route"]
    assert (route["by"], route["version"], route["rule"]) == ("default", None, None)
    assert route["connections"] == [{"connection": ground.away, "result": "chosen", "reason": None}]
    assert len(await ground.shop.attempts(answer.json()["id"])) == 1


async def test_a_rule_chooses_and_says_so(ground: Ground) -> None:
    written = await ground.write(ground.first, ground.second)
    found = (await ground.shop.pay()).json()
    assert (found["status"], found["connection"]) == ("succeeded", ground.first)
    assert found["attempt"]["step"] == 1
    assert found["attempt"]["route"] == {
        "by": "rule",
        "version": written["version"],
        "rule": "all",
        "connections": [
            {"connection": ground.first, "result": "chosen", "reason": None},
            {"connection": ground.second, "result": "not_needed", "reason": None},
        ],
        "after": None,
        "onward": None,
    }


async def test_a_request_that_names_a_connection_goes_there(ground: Ground) -> None:
    await ground.write(ground.first)
    await ground.shop.simulated.control.demand(Fault.ACQUIRER_AWAY, "authorize")
    answer = await ground.shop.pay(connection=ground.second)
    assert answer.status_code == 402
    attempt = answer.json()["payment"]["attempt"]
    assert (attempt["connection"], attempt["route"]["by"]) == (ground.second, "request")
    assert len(await ground.shop.attempts(answer.json()["payment"]["id"])) == 1


@pytest.mark.parametrize(
    ("fault", "outcome", "reason"),
    [
        (Fault.ACQUIRER_AWAY, "declined", "declined:acquirer_error"),
        (Fault.BUSY, "not_sent", "not_sent:too_many_requests"),
    ],
)
async def test_a_payment_goes_on_where_nothing_can_have_moved(
    ground: Ground, fault: Fault, outcome: str, reason: str
) -> None:
    await ground.write(ground.first, ground.second)
    await ground.shop.simulated.control.demand(fault, "authorize")
    answer = await ground.shop.pay(amount=2_500, idempotency=f"the wish {fault}")
    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert (found["status"], found["connection"]) == ("succeeded", ground.second)
    assert (found["decline_code"], found["balances"]["captured"]) == (None, 2_500)
    payment = found["id"]
    assert await ground.went(payment) == [
        (1, ground.first, outcome),
        (2, ground.second, "approved"),
    ]
    before, after = await ground.shop.attempts(payment)
    assert before["route"]["onward"] == "failed_over"
    assert after["route"]["after"] == before["id"]
    assert after["route"]["connections"] == [
        {"connection": ground.first, "result": "tried", "reason": reason},
        {"connection": ground.second, "result": "chosen", "reason": None},
    ]
    # The merchant hears of one payment that succeeded, and of no decline.
    assert await ground.shop.events(payment) == ["payment.created", "payment.captured"]
    await ground.require_once(payment)
    # What follows goes where it is held, and a repeat is answered with what came of it.
    refund = await ground.shop.gateway.post(f"/v1/payments/{payment}/refunds", {"amount": 500})
    assert refund.json()["status"] == "succeeded", refund.text
    assert (await ground.shop.attempts(payment))[-1]["connection"] == ground.second


async def test_a_repeat_gets_the_answer_of_the_last_attempt(ground: Ground) -> None:
    await ground.write(ground.first, ground.second)
    made = (await ground.shop.pay(confirm=False)).json()
    await ground.shop.simulated.control.demand(Fault.ACQUIRER_AWAY, "authorize")
    path = f"/v1/payments/{made['id']}/confirm"
    answer = await ground.shop.gateway.post(path, {}, idempotency="once")
    again = await ground.shop.gateway.post(path, {}, idempotency="once")
    assert (answer.status_code, again.status_code) == (200, 200)
    assert again.json() == answer.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert answer.json()["attempt"]["step"] == 2
    assert len(await ground.went(made["id"])) == 2


@pytest.mark.parametrize(
    ("given", "fault", "status", "onward"),
    [
        ({}, Fault.CUT_AFTER, 202, "unknown"),
        ({}, Fault.TIMEOUT_BEFORE, 202, "unknown"),
        ({}, Fault.ERROR_500_BEFORE, 202, "unknown"),
        ({}, Fault.WRONG_SHAPE, 202, "unknown"),
        ({"amount": 1_088}, None, 202, "pending"),
        ({"number": WITH_CHALLENGE}, None, 201, "pending"),
        ({"number": DECLINED}, None, 402, "advice_later"),
        ({"number": "4000000000009987"}, None, 402, "advice_never"),
        ({}, None, 201, None),
    ],
)
async def test_it_goes_on_nowhere_where_money_may_have_moved_or_the_advice_is_another(
    ground: Ground, given: dict[str, Any], fault: Fault | None, status: int, onward: str | None
) -> None:
    await ground.write(ground.first, ground.second)
    if fault is not None:
        await ground.shop.simulated.control.demand(fault, "authorize")
    answer = await ground.shop.pay(**given)
    assert answer.status_code == status, answer.text
    payment = answer.json().get("payment", answer.json())["id"]
    (attempt,) = await ground.shop.attempts(payment)
    assert (attempt["connection"], attempt["route"]["onward"]) == (ground.first, onward)
    if onward == "unknown":
        await ground.shop.until_settled(payment)
        assert len(await ground.shop.attempts(payment)) == 1, "what is found out goes on nowhere"
    await ground.require_once(payment)


async def test_a_cvc_that_was_not_sent_goes_along_and_one_that_was_is_spent(
    ground: Ground,
) -> None:
    await ground.write(ground.away, ground.first)
    found = (await ground.shop.pay(cvc="123")).json()
    assert (found["status"], found["connection"]) == ("succeeded", ground.first)
    used = await ground.shop.service.look(
        Domain.VAULT,
        "select event_id from audit.event where merchant_id = $1"
        " and convert_from(payload, 'utf8') like '%vault.cvc.used%'",
        ground.shop.tenant.merchant,
    )
    assert len(used) == 1, "opened once, for both tries"

    await ground.write(ground.first, ground.second)
    await ground.shop.simulated.control.demand(Fault.ACQUIRER_AWAY, "authorize")
    answer = await ground.shop.pay(cvc="123")
    assert answer.status_code == 402
    (attempt,) = await ground.shop.attempts(answer.json()["payment"]["id"])
    assert attempt["route"]["onward"] == "cvc_spent"

    await ground.write(ground.first, ground.second, without_cvc=True)
    await ground.shop.simulated.control.demand(Fault.ACQUIRER_AWAY, "authorize")
    found = (await ground.shop.pay(cvc="123")).json()
    assert (found["status"], found["connection"]) == ("succeeded", ground.second)


async def test_a_wish_is_tried_so_often_and_no_more(ground: Ground) -> None:
    await ground.write(ground.first, ground.second, attempts_max=1)
    await ground.shop.simulated.control.demand(Fault.ACQUIRER_AWAY, "authorize")
    answer = await ground.shop.pay()
    assert answer.status_code == 402
    (attempt,) = await ground.shop.attempts(answer.json()["payment"]["id"])
    assert attempt["route"]["onward"] == "attempts_max"
    await ground.write(ground.first, ground.second)
    for _ in range(2):
        await ground.shop.simulated.control.demand(Fault.ACQUIRER_AWAY, "authorize")
    answer = await ground.shop.pay()
    assert answer.status_code == 402
    payment = answer.json()["payment"]["id"]
    assert [each[2] for each in await ground.went(payment)] == ["declined", "declined"]
    assert (await ground.shop.attempts(payment))[-1]["route"]["onward"] == "no_connection_left"
    assert await ground.shop.events(payment) == ["payment.created", "payment.declined"]
    # A wish of its own may try again.
    token = await ground.shop.token()
    paid = await ground.shop.gateway.post(f"/v1/payments/{payment}/confirm", {"token": token["id"]})
    assert (paid.status_code, paid.json()["status"]) == (200, "succeeded")
    await ground.require_once(payment)


async def test_a_connection_that_does_not_answer_is_passed_over(ground: Ground) -> None:
    await ground.write(ground.away, ground.first)
    for _ in range(5):
        found = (await ground.shop.pay()).json()
        assert [each[2] for each in await ground.went(found["id"])] == ["not_sent", "approved"]
    found = (await ground.shop.pay()).json()
    assert found["attempt"]["step"] == 1
    assert found["attempt"]["route"]["connections"] == [
        {"connection": ground.away, "result": "passed_over", "reason": "connection_resting"},
        {"connection": ground.first, "result": "chosen", "reason": None},
    ]
    assert f'"object_id":"{ground.away}"' in ground.shop.service.log_text()
    # Alone in a rule it is not asked either, and the caller is told when.
    await ground.write(ground.away)
    refused = await ground.shop.pay()
    assert refused.status_code == 503
    assert refused.json()["code"] == "connections_resting"
    assert int(refused.headers["retry-after"]) >= 1
    # Who names it has decided.
    named = await ground.shop.pay(connection=ground.away)
    assert named.json()["attempt"]["outcome"] == "not_sent"


async def test_versions_are_kept_activated_and_recorded(ground: Ground) -> None:
    gateway = ground.shop.gateway
    assert (await gateway.get("/v1/routing/rules")).status_code == 404
    first = await ground.write(ground.first)
    second = (
        await ground.rules(
            [{"name": "other", "connections": [{"connection": ground.second}]}],
            note="moves to the other account",
            replaces=first["version"],
        )
    ).json()
    assert (first["version"], second["version"]) == (1, 2)
    assert (await gateway.get("/v1/routing/rules")).json() == second
    late = await ground.rules([], replaces=1)
    assert (late.status_code, late.json()["code"]) == (409, "routing_rules_changed")
    draft = (await ground.rules([], activate=False)).json()
    assert (draft["version"], draft["active_since"]) == (3, None)
    back = await gateway.post("/v1/routing/rules/activate", {"version": 1})
    assert (back.status_code, back.json()["version"]) == (200, 1)
    assert (await ground.shop.pay()).json()["connection"] == ground.first
    gone = await gateway.post("/v1/routing/rules/activate", {"version": 9})
    assert (gone.status_code, gone.json()["code"]) == (404, "routing_rules_unknown")
    page = (await gateway.get("/v1/routing/rules/versions?limit=2")).json()
    assert [each["version"] for each in page["data"]] == [3, 2]
    rest = (await gateway.get(f"/v1/routing/rules/versions?cursor={page['next_cursor']}")).json()
    assert [(each["version"], each["active_since"] is None) for each in rest["data"]] == [
        (1, False)
    ]
    assert (await gateway.get("/v1/routing/rules?version=2")).json()["note"] == second["note"]
    rows = await ground.shop.service.look(
        Domain.CORE,
        "select convert_from(payload, 'utf8')::json ->> 'action' as action,"
        " convert_from(payload, 'utf8')::json -> 'details' ->> 'rules_version' as version"
        " from audit.event where merchant_id = $1 and convert_from(payload, 'utf8') like '%payments.routing%'"
        " order by event_id",
        ground.shop.tenant.merchant,
    )
    assert sorted((row["action"], row["version"]) for row in rows) == [
        ("payments.routing.activated", "1"),
        ("payments.routing.activated", "1"),
        ("payments.routing.activated", "2"),
        ("payments.routing.revised", "1"),
        ("payments.routing.revised", "2"),
        ("payments.routing.revised", "3"),
    ]


async def test_rules_that_cannot_mean_what_they_say_are_refused(ground: Ground) -> None:
    one: dict[str, Any] = {"name": "one", "connections": [{"connection": ground.first}]}
    for rules, param, code in (
        ([one, one], "/rules/1/name", "name_taken"),
        (
            [{**one, "connections": [{"connection": new_id("con")}]}],
            "/rules/0/connections/0",
            "connection_unknown",
        ),
        (
            [{**one, "connections": [{"connection": ground.first}] * 2}],
            "/rules/0/connections/1",
            "connection_twice",
        ),
        ([{**one, "when": {"amount": {"min": 5}}}], "/rules/0/when/amount", "currency_missing"),
        (
            [{**one, "when": {"currency": ["AED"], "amount": {"min": 5, "max": 4}}}],
            "/rules/0/when/amount",
            "range_empty",
        ),
        (
            [
                {
                    **one,
                    "connections": [
                        {"connection": ground.first},
                        {"connection": ground.second, "weight": 1},
                    ],
                }
            ],
            "/rules/0/connections/1",
            "weight_misplaced",
        ),
    ):
        answer = await ground.rules(rules)
        assert answer.status_code == 422, answer.text
        found = [(each["pointer"], each["code"]) for each in answer.json()["errors"]]
        assert found == [(param, code)]
    held = await ground.rules([{**one, "when": {"metadata": {"card": [VISA]}}}])
    assert (held.status_code, held.json()["code"]) == (422, "card_number_refused")


async def test_a_test_says_what_would_be_chosen_and_charges_nothing(ground: Ground) -> None:
    gateway = ground.shop.gateway
    ranges = [
        {"first": "424242", "last": "424242", "country": "AE", "funding": "debit"},
        {"first": "420000", "last": "429999", "country": "GB", "funding": "credit"},
    ]
    loaded = await gateway.post("/v1/routing/ranges", {"ranges": ranges})
    assert loaded.status_code == 204, loaded.text
    listed = (await gateway.get("/v1/routing/ranges")).json()["data"]
    assert listed == sorted(ranges, key=lambda each: each["first"])
    rules = [
        {
            "name": "uae-debit",
            "connections": [{"connection": ground.second}],
            "when": {"country": ["AE"], "funding": ["debit"]},
        },
        {"name": "rest", "connections": [{"connection": ground.first}]},
    ]
    assert (await ground.rules(rules)).status_code == 201
    for given, rule, country in (
        ({"bin": "424242"}, "uae-debit", "AE"),
        ({"bin": "424243"}, "rest", "GB"),
        ({"bin": "555555"}, "rest", "unknown"),
        ({}, "rest", "unknown"),
        ({"country": "AE", "funding": "debit"}, "uae-debit", "AE"),
    ):
        answer = await gateway.post(
            "/v1/routing/test", {"amount": 1_000, "currency": "AED", **given}
        )
        assert answer.status_code == 200, answer.text
        assert (answer.json()["route"]["rule"], answer.json()["country"]) == (rule, country)
    assert (await ground.shop.pay()).json()["connection"] == ground.second, "as the test said"
    assert (await ground.shop.pay("5555555555554444")).json()["connection"] == ground.first
    payments = (await gateway.get("/v1/payments")).json()["data"]
    assert len(payments) == 2
    await gateway.post("/v1/routing/ranges", {"ranges": [], "replace": True})
    assert (await gateway.get("/v1/routing/ranges")).json()["data"] == []


async def test_who_may_read_may_not_change(ground: Ground) -> None:
    key = await ground.shop.service.key(
        ground.shop.tenant.merchant,
        KeyKind.RESTRICTED,
        Mode.TEST,
        permissions=[Permission.PAYMENTS_ROUTING_READ],
    )
    reader = ground.shop.service.gateway(key.text.expose())
    await ground.write(ground.first)
    assert (await reader.get("/v1/routing/rules")).status_code == 200
    assert (await reader.post("/v1/routing/rules", {"rules": []})).status_code == 403
    assert (await reader.post("/v1/routing/ranges", {"ranges": []})).status_code == 403
