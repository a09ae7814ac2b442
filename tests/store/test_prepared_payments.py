# SPDX-License-Identifier: Apache-2.0
"""A payment whose card is prepared first: what a crash before and after each step means, and what races cannot do.

The processor is a stand-in that takes what Stripe's description has, and keeps idempotency keys as Stripe documents it.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from contracts.stripe_stand_in import CHALLENGED, DECLINED, REFUSED
from contracts.stripe_words import intent, made
from database import Server
from money import contradictions, doubled, live_authorizations
from polling import until
from stripe_shop import SECRET, VISA, StripeGround, StripeShop, open_stripe_shop, stripe_ground
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.payments.attempts import Attempts
from strongroom.payments.model import Basis, Found, Outcome
from strongroom.payments.ports import AnswerSurprising
from strongroom.payments.preparing import NOT_PREPARED, Preparations, Ready
from strongroom.payments.processors.stripe import StripeAdapter
from strongroom.vault.forward import VaultForwarder

METHODS = "/v1/payment_methods"
INTENTS = "/v1/payment_intents"
#: Operation, where its process dies, what then became of the attempt, and how often the card was prepared.
POINTS = [
    ("authorize", "before prepare", "not_sent", 0),
    ("authorize", "after prepare", "not_sent", 1),
    ("authorize", "after the instrument is saved", "approved", 1),
    ("authorize", "before authorize", "approved", 1),
    ("authorize", "after authorize", "approved", 1),
    ("authorize", "after the answer is saved", "approved", 1),
    ("capture", "before capture", "approved", 0),
    ("capture", "after capture", "approved", 0),
    ("void", "before void", "approved", 0),
    ("void", "after void", "approved", 0),
    ("refund", "before refund", "approved", 0),
    ("refund", "after refund", "approved", 0),
]


class Killed(BaseException):
    """The process is gone: nothing catches this."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ground(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[StripeGround]:
    async with stripe_ground(server, tmp_path_factory.mktemp("stripe")) as made_ready:
        yield made_ready


class Trap:
    """Stops whatever one merchant's request does, at one point."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.points: dict[str, str] = {}
        self.sprung: set[str] = set()
        forward, settle, ready = VaultForwarder.forward, Attempts.settle, Preparations.ready
        trap = self

        async def forwarding(self: VaultForwarder, request: Any) -> Any:
            trap.spring(request.merchant, f"before {request.template.route}")
            reply = await forward(self, request)
            trap.spring(request.merchant, f"after {request.template.route}")
            return reply

        async def preparing(self: Preparations, loaded: Any, *more: Any, **named: Any) -> Any:
            found = await ready(self, loaded, *more, **named)
            if isinstance(found, Ready) and found.attempt.instrument is not None:
                trap.spring(loaded.payment.merchant_id, "after the instrument is saved")
            return found

        async def settling(self: Attempts, loaded: Any, *more: Any, **named: Any) -> Any:
            settled = await settle(self, loaded, *more, **named)
            trap.spring(loaded.payment.merchant_id, "after the answer is saved")
            return settled

        patch.setattr(VaultForwarder, "forward", forwarding)
        patch.setattr(Preparations, "ready", preparing)
        patch.setattr(Attempts, "settle", settling)

    def spring(self, merchant: str, point: str) -> None:
        if self.points.get(merchant) == point:
            del self.points[merchant]
            self.sprung.add(merchant)
            raise asyncio.CancelledError(Killed())


async def begun(shop: StripeShop, operation: str) -> tuple[str, str]:
    """Return a payment that is ready for an operation, and the path that asks for it."""
    method = "automatic" if operation == "refund" else "manual"
    if operation == "authorize":
        made_ready = (await shop.pay(cvc=None, confirm=False)).json()
        return made_ready["id"], f"/v1/payments/{made_ready['id']}/confirm"
    made_ready = (await shop.pay(capture_method=method)).json()
    word = {"capture": "capture", "void": "cancel", "refund": "refunds"}[operation]
    return made_ready["id"], f"/v1/payments/{made_ready['id']}/{word}"


async def dies(
    ground: StripeGround, trap: Trap, operation: str, point: str, wanted: tuple[str, int]
) -> list[str]:
    """Kill at one point of one operation, and say what is wrong once the other process has found out."""
    shop = await open_stripe_shop(ground.living, ground.there)
    payment, path = await begun(shop, operation)
    trap.points[shop.tenant.merchant] = point
    caller = ground.dying.gateway(shop.tenant.keys[Mode.TEST])
    asking = asyncio.create_task(caller.post(path, {}, idempotency="the wish"))
    await until(lambda: shop.tenant.merchant in trap.sprung, what=f"the kill {point}")
    asking.cancel()  # nobody answers any more
    settled = await shop.until_settled(payment)
    rows = await shop.attempts(payment)
    attempt = rows[-1]
    outcome, prepared = wanted
    found = []
    if attempt["outcome"] != outcome:
        found.append(f"{operation} {point}: {attempt['outcome']}, {attempt['reason']}")
    if len(ground.there.asked(METHODS, attempt["attempt_id"])) != prepared:
        found.append(f"{operation} {point}: the card was prepared again, or never")
    balances = settled["balances"]
    if balances["capturing"] or balances["voiding"] or balances["refunding"]:
        found.append(f"{operation} {point}: still reserved")
    again = await shop.gateway.post(path, {}, idempotency="the wish")
    if again.status_code not in (200, 201) or not again.headers.get("idempotent-replayed"):
        found.append(f"{operation} {point}: the key answers {again.status_code} {again.text[:200]}")
    mine = {each["attempt_id"] for each in rows}
    journal = [each for each in ground.there.journal if each.reference in mine]
    return [
        *found,
        *doubled(rows, journal),
        *live_authorizations(rows, journal),
        *contradictions(rows, journal),
    ]


async def test_a_process_that_dies_at_any_point_moves_money_once_or_not_at_all(
    ground: StripeGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = Trap(monkeypatch)
    wrong = await asyncio.gather(
        *(
            dies(ground, trap, operation, point, (outcome, prepared))
            for operation, point, outcome, prepared in POINTS
        )
    )
    assert not [each for case in wrong for each in case]
    assert not ground.there.wrong


async def test_the_card_goes_into_the_preparation_alone(ground: StripeGround) -> None:
    shop = await open_stripe_shop(ground.living, ground.there)
    answer = await shop.pay(cvc="737")
    assert answer.status_code == 201, answer.text
    payment = answer.json()
    assert payment["status"] == "requires_capture"
    (attempt,) = await shop.attempts(payment["id"])
    (prepared,) = ground.there.asked(METHODS, attempt["attempt_id"])
    assert prepared.tree["card"]["cvc"] == "737"
    (asked,) = ground.there.asked(INTENTS, attempt["attempt_id"])
    assert asked.tree["payment_method"] == attempt["instrument"]
    assert b"4242" not in asked.body
    assert b"card%5B" not in asked.body
    told = (await shop.gateway.get(f"/v1/payments/{payment['id']}/attempts")).text
    assert attempt["instrument"] not in told


async def test_a_card_that_does_not_open_is_not_prepared_and_nobody_is_told_why(
    ground: StripeGround,
) -> None:
    shop = await open_stripe_shop(ground.living, ground.there)
    vault = shop.service.vault(shop.tenant.keys[Mode.TEST])
    token, other = await vault.token(VISA), await vault.token(DECLINED)
    await shop.service.look(
        Domain.VAULT,
        "update vault.token set sealed_number = (select sealed_number from vault.token where token_id = $2)"
        " where token_id = $1 returning 1",
        token["id"],
        other["id"],
    )
    body = {"amount": 1_000, "currency": "AED", "token": token["id"], "confirm": True}
    payment = (await shop.gateway.post("/v1/payments", body)).json()
    (attempt,) = (await shop.gateway.get(f"/v1/payments/{payment['id']}/attempts")).json()["data"]
    assert (attempt["outcome"], attempt["reason"]) == ("not_sent", "card_unreadable")
    assert ground.there.asked(METHODS, attempt["id"]) == []


@pytest.mark.parametrize("fault", ["losing", "failing"])
async def test_a_preparation_without_an_answer_is_not_sent_and_may_be_tried_again(
    ground: StripeGround, fault: str
) -> None:
    shop = await open_stripe_shop(ground.living, ground.there)
    getattr(ground.there, fault).append("payment_methods")
    payment = (await shop.pay()).json()
    (attempt,) = await shop.attempts(payment["id"])
    assert (attempt["outcome"], attempt["basis"]) == ("not_sent", "answer")
    assert ground.there.asked(INTENTS, attempt["attempt_id"]) == []
    again = await shop.gateway.post(f"/v1/payments/{payment['id']}/confirm", {})
    assert again.json()["status"] == "requires_capture", again.text


@pytest.mark.parametrize(
    ("number", "decline_code"), [(REFUSED, "expired_card"), (DECLINED, "insufficient_funds")]
)
async def test_a_card_is_declined_before_or_after_it_is_prepared(
    ground: StripeGround, number: str, decline_code: str
) -> None:
    shop = await open_stripe_shop(ground.living, ground.there)
    answer = await shop.pay(number)
    assert answer.status_code == 402
    assert answer.json()["decline_code"] == decline_code
    (attempt,) = await shop.attempts(answer.json()["payment"]["id"])
    assert attempt["outcome"] == "declined"
    assert (attempt["instrument"] is None) == (number == REFUSED)


@pytest.mark.parametrize(
    ("operation", "last"),
    [("authorize", "payment_intents"), ("capture", "capture"), ("void", "cancel"), ("refund", "refunds")],
)  # fmt: skip
async def test_a_lost_answer_is_found_by_a_replay_without_the_card(
    ground: StripeGround, operation: str, last: str
) -> None:
    """The CVC was given with the first request, and is gone: the replay is the same request all the same."""
    shop = await open_stripe_shop(ground.living, ground.there)
    if operation == "authorize":
        ground.there.losing.append(last)
        answer = await shop.pay(cvc="737")
        payment = answer.json()["id"]
    else:
        payment, path = await begun(shop, operation)
        ground.there.losing.append(last)
        answer = await shop.gateway.post(path, {})
    assert answer.status_code == 202 or operation == "refund", answer.text
    await shop.until_settled(payment)
    attempt = (await shop.attempts(payment))[-1]
    assert (attempt["outcome"], attempt["basis"]) == ("approved", "replay")
    asked = [each for each in ground.there.requests if each.key == attempt["attempt_id"]]
    assert len(asked) > 1
    assert len({each.body for each in asked}) == 1
    moved = [each for each in ground.there.journal if each.idempotency_key == attempt["attempt_id"]]
    assert len(moved) == 1


async def test_what_failed_there_stays_unknown_until_it_is_told(ground: StripeGround) -> None:
    """A 500 is what a replay gets again; the event says that money was held."""
    shop = await open_stripe_shop(ground.living, ground.there)
    ground.there.failing.append("payment_intents")
    payment = (await shop.pay()).json()["id"]
    (attempt,) = await shop.attempts(payment)
    assert attempt["outcome"] == "unknown"
    (held,) = [
        each
        for each in ground.there.intents.values()
        if each["metadata"]["strongroom_attempt"] == attempt["attempt_id"]
    ]
    await shop.tell("payment_intent.amount_capturable_updated", held)
    settled = await shop.until_settled(payment)
    assert settled["status"] == "requires_capture"
    assert (await shop.attempts(payment))[0]["basis"] == "notice"


async def test_a_challenge_is_pending_until_an_event_tells_the_end(ground: StripeGround) -> None:
    shop = await open_stripe_shop(ground.living, ground.there)
    answer = (await shop.pay(CHALLENGED)).json()
    assert answer["status"] == "requires_action"
    (attempt,) = await shop.attempts(answer["id"])
    assert attempt["action_url"] == f"{ground.there.url}/3ds"
    begun_there = ground.there.intents[attempt["processor_reference"]]
    done = {
        **begun_there,
        "status": "requires_capture",
        "amount_capturable": 1_000,
        "next_action": None,
    }
    await shop.tell("payment_intent.amount_capturable_updated", done)
    assert (await shop.payment(answer["id"]))["status"] == "requires_capture"
    charged = made(
        "charge",
        amount=1_000,
        currency="aed",
        status="succeeded",
        payment_intent=begun_there["id"],
        metadata=begun_there["metadata"],
    )
    await shop.tell("charge.expired", charged)
    assert (await shop.payment(answer["id"]))["status"] == "canceled"
    mine = {"strongroom_attempt": attempt["attempt_id"]}
    other = intent("requires_capture", capture_method="manual", metadata=mine)
    await shop.tell("payment_intent.amount_capturable_updated", {**other, "currency": "eur"})
    assert (await shop.results())[-1] == "differs"


async def test_a_capture_that_keeps_the_rest_and_an_amount_that_cannot_be_written_are_not_sent(
    ground: StripeGround,
) -> None:
    shop = await open_stripe_shop(ground.living, ground.there)
    payment = (await shop.pay()).json()["id"]
    before = len(ground.there.requests)
    path = f"/v1/payments/{payment}/capture"
    part = await shop.gateway.post(path, {"amount": 400, "final_capture": False})
    assert part.json()["balances"]["capturable"] == 1_000, part.text
    odd = (await shop.pay(amount=1_001, currency="KWD")).json()["id"]
    for each in (payment, odd):
        attempt = (await shop.attempts(each))[-1]
        assert (attempt["outcome"], attempt["reason"]) == ("not_sent", "command_not_taken")
    assert len(ground.there.requests) == before
    last = await shop.gateway.post(path, {"amount": 400})
    assert last.json()["status"] == "succeeded", last.text
    assert last.json()["balances"]["captured"] == 400


def _raises(error: Exception) -> Any:
    def prepared(*_: Any) -> Any:
        raise error

    return prepared


#: What an adapter makes of the answer to a preparation, and what the attempt then says.
NO_INSTRUMENT: list[tuple[str, Any, str]] = [
    ("surprising", _raises(AnswerSurprising()), "answer_surprising"),
    ("a bug", _raises(ValueError("wrong")), "internal"),
    ("vague", lambda *_: Found(Outcome.UNKNOWN, Basis.ANSWER, reason="perhaps"), "perhaps"),
    (
        "more than it can know",
        lambda *_: Found(Outcome.APPROVED, Basis.ANSWER),
        "answer_surprising",
    ),
    ("a name that is none", lambda *_: "", "constraint_broken"),
    ("an endless name", lambda *_: "x" * 256, "constraint_broken"),
]


@pytest.mark.parametrize(
    ("prepared", "reason"),
    [each[1:] for each in NO_INSTRUMENT],
    ids=[each[0] for each in NO_INSTRUMENT],
)
async def test_a_preparation_is_never_unknown_whatever_an_adapter_makes_of_it(
    ground: StripeGround, monkeypatch: pytest.MonkeyPatch, prepared: Any, reason: str
) -> None:
    shop = await open_stripe_shop(ground.living, ground.there)
    monkeypatch.setattr(StripeAdapter, "prepared", prepared)
    payment = (await shop.pay()).json()
    assert payment["status"] == "requires_confirmation"
    (attempt,) = await shop.attempts(payment["id"])
    assert (attempt["outcome"], attempt["reason"]) == ("not_sent", reason)
    assert len(ground.there.asked(METHODS, attempt["attempt_id"])) == 1
    assert ground.there.asked(INTENTS, attempt["attempt_id"]) == []


async def test_a_sender_that_was_found_not_prepared_sends_nothing_any_more(
    ground: StripeGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands still before the instrument is saved; when its lease is over, another process says not sent."""
    shop = await open_stripe_shop(ground.living, ground.there)
    payment, path = await begun(shop, "authorize")
    saved = Preparations._saved

    async def waiting(self: Preparations, loaded: Any, *more: Any) -> Any:
        await shop.until_settled(payment)
        return await saved(self, loaded, *more)

    monkeypatch.setattr(Preparations, "_saved", waiting)
    caller = ground.dying.gateway(shop.tenant.keys[Mode.TEST])
    answer = await caller.post(path, {})
    (attempt,) = await shop.attempts(payment)
    assert (attempt["outcome"], attempt["reason"]) == ("not_sent", NOT_PREPARED)
    assert attempt["instrument"] is None
    assert answer.json()["status"] == "requires_confirmation", answer.text
    assert ground.there.asked(INTENTS, attempt["attempt_id"]) == []


async def test_a_late_finding_that_nothing_was_prepared_takes_nothing_back(
    ground: StripeGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process looked before the instrument was saved, and says so after: money may be on its way."""
    shop = await open_stripe_shop(ground.living, ground.there)
    payment, path = await begun(shop, "authorize")
    ready = Preparations.ready
    seen: list[Any] = []

    async def overtaken(
        self: Preparations, loaded: Any, attempt: Any, act: Any, **named: Any
    ) -> Any:
        found = await ready(self, loaded, attempt, act, **named)
        late = Found(Outcome.NOT_SENT, Basis.LOOKUP, reason=NOT_PREPARED)
        await Attempts(self._parts).settle(loaded, attempt.attempt_id, late, act)
        seen.extend(await shop.attempts(payment))
        return found

    monkeypatch.setattr(Preparations, "ready", overtaken)
    answer = await shop.gateway.post(path, {})
    assert [each["outcome"] for each in seen] == [None]
    assert answer.json()["status"] == "requires_capture", answer.text


#: The two functions that save attempts.
TOGETHER = """
    select payments.save_together(jsonb_build_object('merchants', a.merchant_id,
                                                     'attempts', jsonb_build_array({row})))::text as said
      from payments.attempt a where a.payment_id = $1
"""
ONE_BY_ONE = """
    select s.result as said
      from payments.attempt a,
           payments.save(jsonb_build_array(jsonb_build_object('m', a.merchant_id, 'mode', a.mode, 'now', now(),
                                                              'attempts', jsonb_build_array({row})))) s
     where a.payment_id = $1
"""


@pytest.mark.parametrize("saving", [TOGETHER, ONE_BY_ONE], ids=["together", "one by one"])
@pytest.mark.parametrize(
    "row", ["to_jsonb(a) - 'instrument'", 'to_jsonb(a) || \'{"instrument": "pm_x"}\'']
)
async def test_an_instrument_that_is_saved_stays(
    ground: StripeGround, saving: str, row: str
) -> None:
    """Whoever saves the attempt: a release that knows nothing of instruments, or one that means another."""
    shop = await open_stripe_shop(ground.living, ground.there)
    payment = (await shop.pay()).json()["id"]
    (before,) = await shop.attempts(payment)
    (said,) = await ground.living.look(Domain.CORE, saving.replace("{row}", row), payment)
    assert said["said"] in ("true", "saved")
    (after,) = await shop.attempts(payment)
    assert after["instrument"] == before["instrument"] is not None


async def test_the_connection_is_tested_and_a_key_of_the_other_mode_is_refused(
    ground: StripeGround,
) -> None:
    shop = await open_stripe_shop(ground.living, ground.there)
    tested = await shop.gateway.post(f"/v1/connections/{shop.connection['id']}/test", {})
    assert tested.status_code == 200, tested.text
    said = tested.json()
    assert (said["passed"], said["mode"], said["missing"]) == (True, "test", []), tested.text
    assert said["raw_cards"] is None  # Stripe tells it of a payment only
    refused = await shop.gateway.post(
        "/v1/connections",
        {
            "processor": "stripe",
            "account": "acct_live",
            "base_url": ground.there.url,
            "credentials": {"api_key": "rk_live_ofastandin0001"},
            "webhook_secret": SECRET,
        },
    )
    assert refused.status_code in (400, 422), refused.text
    (wrong,) = refused.json()["errors"]
    assert wrong["pointer"] == "/credentials/api_key"
    assert "rk_live" not in refused.text
