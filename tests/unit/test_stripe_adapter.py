# SPDX-License-Identifier: Apache-2.0
"""Stripe's adapter against Stripe's description of its API: every request is judged, every answer is its example."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import pytest

from contracts.stripe_judge import VERSION, NotPublished, judged
from contracts.stripe_words import error, event, intent, made, named, redirect, reply
from payment_makers import payment
from strongroom.crypto.ids import new_id
from strongroom.kernel.ids import AttemptId, ConnectionId
from strongroom.kernel.mode import Mode
from strongroom.payments.declines import ADVICE, Advice, DeclineCode, stricter
from strongroom.payments.errors import CommandNotTaken
from strongroom.payments.model import (
    Attempt,
    Basis,
    Connection,
    DisputeStatus,
    DisputeTold,
    Finding,
    Found,
    Operation,
    Outcome,
)
from strongroom.payments.ports import AnswerSurprising, Command, Prepares, Report
from strongroom.payments.processors.stripe import DECLINES, StripeAdapter
from strongroom.payments.processors.stripe.declines import read_decline
from strongroom.vault import Slot, Template
from strongroom.vault.addresses import address_values
from strongroom.vault.destinations import Destinations, filled_headers
from strongroom.vault.template import encoded, filled
from strongroom.vault.wire import BillingAddress

ADAPTER: Final = StripeAdapter()
NOW: Final = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
PAID: Final = named("pi")
CARD: Final[dict[Slot, str | int]] = {
    Slot.CARD_NUMBER: "4242424242424242",
    Slot.CARD_EXP_MONTH: 7,
    Slot.CARD_EXP_YEAR: 2034,
    Slot.CARD_CVC: "123",
}


def command(operation: Operation, *, capturable: int = 0, **more: Any) -> Command:
    paid = payment(authorized=capturable)
    attempt = Attempt(
        **{
            "merchant_id": paid.merchant_id,
            "mode": Mode.TEST,
            "attempt_id": AttemptId(new_id("att")),
            "payment_id": paid.payment_id,
            "operation": operation,
            "wish": "w",
            "connection_id": ConnectionId(new_id("con")),
            "amount": 0 if operation is Operation.VERIFY else 1_000,
            "currency": "AED",
            "instrument": "pm_prepared" if operation.authorizes else None,
            "created_at": NOW,
            "lease_until": NOW + timedelta(seconds=25),
            **more,
        }
    )
    return Command(
        attempt=attempt,
        payment=paid,
        authorization=None if operation.authorizes else PAID,
        return_url="https://pay.example/v1/returns/x",
    )


def judge(template: Template, address: BillingAddress | None = None) -> dict[str, Any]:
    """Send a template as the vault would, to the judge."""
    matched = Destinations([ADAPTER.destination]).matched("stripe", Mode.TEST, template)
    body = b""
    if matched.route.content_type:
        values = {**CARD, **(address_values(address) if address else {})}
        body = encoded(filled(matched.body, values), matched.route.content_type)
    return judged(matched.route.method, template.path, dict(template.query), body)


# --- what is asked ------------------------------------------------------------------------------------


def test_a_card_is_prepared_with_its_code_and_a_key_of_its_own() -> None:
    asked = replace(command(Operation.AUTHORIZE, instrument=None), with_cvc=True)
    template = ADAPTER.prepare(asked)
    assert template is not None
    assert judge(template) == {
        "type": "card",
        "card": {
            "number": "4242424242424242",
            "exp_month": 7,
            "exp_year": 2034,
            "cvc": "123",
        },
        "metadata": {"strongroom_attempt": asked.attempt.attempt_id},
    }
    assert template.headers == {
        "stripe-version": VERSION,
        "idempotency-key": f"{asked.attempt.attempt_id}-card",
    }


@pytest.mark.parametrize("operation", [Operation.AUTHORIZE, Operation.SALE, Operation.VERIFY])
@pytest.mark.parametrize(
    ("address", "sent"),
    [
        (BillingAddress("AE"), {"country": "AE"}),
        (
            BillingAddress("US", "1 Main St", "Apt 2", "Albany", "New York", "12345-6789"),
            {"line1": "1 Main St", "city": "Albany", "state": "New York",
             "postal_code": "12345-6789", "country": "US"},
        ),
    ],
)  # fmt: skip
def test_the_holders_address_goes_into_the_prepared_card(
    operation: Operation, address: BillingAddress, sent: dict[str, str]
) -> None:
    template = ADAPTER.prepare(command(operation, instrument=None))
    assert template is not None
    with_it = judge(template, address)
    assert with_it.pop("billing_details") == {"address": sent}
    assert with_it == judge(template), "without an address everything else is the same"


def test_only_what_begins_a_payment_is_prepared() -> None:
    prepared = {each for each in Operation if ADAPTER.prepare(command(each)) is not None}
    assert prepared == {Operation.AUTHORIZE, Operation.SALE, Operation.VERIFY}
    assert isinstance(ADAPTER, Prepares)


@pytest.mark.parametrize(
    ("operation", "method"), [(Operation.AUTHORIZE, "manual"), (Operation.SALE, "automatic")]
)
def test_a_payment_begins_with_what_was_prepared(operation: Operation, method: str) -> None:
    asked = command(operation)
    # An authorization asks for its charge in full: it says until when it holds.
    expanded = {"expand": ["latest_charge"]} if operation is Operation.AUTHORIZE else {}
    assert judge(ADAPTER.template(asked)) == {
        **expanded,
        "amount": 1_000,
        "currency": "aed",
        "capture_method": method,
        "confirm": True,
        "payment_method": "pm_prepared",
        "payment_method_types": ["card"],
        "return_url": "https://pay.example/v1/returns/x",
        "metadata": {
            "strongroom_attempt": asked.attempt.attempt_id,
            "strongroom_payment": asked.attempt.payment_id,
        },
    }


def test_everything_after_it_is_as_published() -> None:
    capture, void, refund = (
        command(each) for each in (Operation.CAPTURE, Operation.VOID, Operation.REFUND)
    )
    assert judge(ADAPTER.template(capture)) == {
        "amount_to_capture": 1_000,
        "metadata": {"strongroom_capture": capture.attempt.attempt_id},
    }
    assert judge(ADAPTER.template(void)) == {}
    raised = command(Operation.INCREMENT)
    raised = replace(raised, attempt=msgspec.structs.replace(raised.attempt, raises_to=1_500))
    assert judge(ADAPTER.template(raised)) == {
        "amount": 1_500,
        "metadata": {"strongroom_increment": raised.attempt.attempt_id},
        "expand": ["latest_charge"],
    }
    assert judge(ADAPTER.template(refund)) == {
        "payment_intent": PAID,
        "amount": 1_000,
        "metadata": {
            "strongroom_attempt": refund.attempt.attempt_id,
            "strongroom_payment": refund.attempt.payment_id,
        },
    }
    assert judge(ADAPTER.probe()) == {}
    for asked, known in ((capture, PAID), (refund, named("re"))):
        seen = msgspec.structs.replace(asked.attempt, processor_reference=known)
        assert judge(ADAPTER.find(seen)) == {}
    with pytest.raises(CommandNotTaken):
        ADAPTER.find(capture.attempt)


def test_the_judge_bites() -> None:
    for method, path, body in (
        ("POST", "/v1/payment_intents", b"amount=1&currency=aed&captured=true"),
        ("POST", "/v1/payment_intents", b"amount=one&currency=aed"),
        ("POST", "/v1/payment_intents", b"amount=1"),
        ("POST", "/v1/payment_intents", b"amount=1&currency=aed&capture_method=later"),
        ("POST", "/v1/payment_methods", b"type=card&card[number]=4242&card[name]=x"),
        ("POST", "/v1/payment_intents/pi_1/cancel", b"metadata[a]=b"),
        ("PUT", "/v1/payment_intents", b""),
    ):
        with pytest.raises(NotPublished):
            judged(method, path, {}, body)


@pytest.mark.parametrize(
    ("currency", "ours", "theirs"),
    [
        ("AED", 1_050, 1_050),
        ("JPY", 500, 500),
        ("KWD", 1_230, 1_230),
        ("KWD", 1_234, None),
        ("BHD", 5, None),
        ("ISK", 40, 4_000),
        ("UGX", 40, None),
        ("MGA", 40, None),
        ("CLF", 10_000, None),
    ],
)
def test_amounts_are_written_in_stripes_minor_units(
    currency: str, ours: int, theirs: int | None
) -> None:
    asked = command(Operation.AUTHORIZE, amount=ours, currency=currency)
    if theirs is None:
        for ask in (ADAPTER.prepare, ADAPTER.template):
            with pytest.raises(CommandNotTaken):
                ask(asked)
        return
    tree = judge(ADAPTER.template(asked))
    assert (tree["amount"], tree["currency"]) == (theirs, currency.lower())
    said = intent(
        "requires_capture",
        amount=theirs,
        currency=currency.lower(),
        capture_method="manual",
        metadata=tree["metadata"],
    )
    found = ADAPTER.answer(asked, reply(200, said))
    assert (found.outcome, found.amount, found.currency) == (Outcome.APPROVED, ours, currency)


@pytest.mark.parametrize(
    ("releases", "capturable", "taken"), [(0, 0, True), (400, 0, True), (0, 400, False)]
)
def test_a_capture_that_keeps_the_rest_is_not_taken(
    releases: int, capturable: int, *, taken: bool
) -> None:
    """Stripe releases what a capture leaves: it would be gone, and our books would still hold it."""
    asked = command(Operation.CAPTURE, capturable=capturable, releases=releases, amount=600)
    if taken:
        assert judge(ADAPTER.template(asked))["amount_to_capture"] == 600
        return
    with pytest.raises(CommandNotTaken):
        ADAPTER.template(asked)


def test_keys_stand_in_the_header_and_tell_their_mode() -> None:
    headers = filled_headers(ADAPTER.destination, {"api_key": "sk_test_0123456789"})
    assert headers == {"authorization": "Bearer sk_test_0123456789"}
    assert ADAPTER.destination.takes_host("api.stripe.com", Mode.TEST)
    assert not ADAPTER.destination.takes_host("api.stripe.com.example", Mode.LIVE)


# --- what is answered ---------------------------------------------------------------------------------

ASKED: Final = command(Operation.AUTHORIZE)
OURS: Final = {
    "strongroom_attempt": ASKED.attempt.attempt_id,
    "strongroom_payment": ASKED.attempt.payment_id,
}


def ours(status: str, **more: Any) -> dict[str, Any]:
    return intent(status, **{"capture_method": "manual", "metadata": OURS, **more})


def test_a_challenge_is_pending_with_the_place_to_go_to() -> None:
    said = ours("requires_action", next_action=redirect("https://hooks.stripe.example/3ds"))
    found = ADAPTER.answer(ASKED, reply(200, said))
    assert found.outcome is Outcome.PENDING
    assert found.action_url == "https://hooks.stripe.example/3ds"
    assert found.processor_reference == said["id"]
    with pytest.raises(AnswerSurprising):
        ADAPTER.answer(ASKED, reply(200, ours("requires_action")))


#: status, error, what it comes to, and why.
REFUSALS: Final[list[tuple[int, dict[str, Any], Outcome, str]]] = [
    (400, error("invalid_request_error", "parameter_invalid_integer"), Outcome.NOT_SENT, "parameter_invalid_integer"),
    (400, error("invalid_request_error", None), Outcome.NOT_SENT, "invalid_request_error"),
    (400, error("idempotency_error", None), Outcome.UNKNOWN, "idempotency_error"),
    (404, error("idempotency_error", None), Outcome.UNKNOWN, "idempotency_error"),
    (401, error("invalid_request_error", None), Outcome.NOT_SENT, "invalid_request_error"),
    (403, error("invalid_request_error", "platform_api_key_expired"), Outcome.NOT_SENT, "platform_api_key_expired"),
    (404, error("invalid_request_error", "resource_missing"), Outcome.NOT_SENT, "resource_missing"),
    (409, error("invalid_request_error", "idempotency_key_in_use"), Outcome.UNKNOWN, "idempotency_key_in_use"),
    (409, error("idempotency_error", "idempotency_key_in_use"), Outcome.UNKNOWN, "idempotency_error"),
    (409, error("invalid_request_error", "lock_timeout"), Outcome.NOT_SENT, "lock_timeout"),
    (429, error("invalid_request_error", "lock_timeout"), Outcome.NOT_SENT, "lock_timeout"),
    (429, error("invalid_request_error", "rate_limit"), Outcome.NOT_SENT, "rate_limit"),
    (402, error("invalid_request_error", "x"), Outcome.UNKNOWN, "processor_error"),
    (500, error("api_error", None), Outcome.UNKNOWN, "processor_error"),
    (503, error("card_error", "card_declined"), Outcome.UNKNOWN, "processor_error"),
    (400, error("api_error", None), Outcome.UNKNOWN, "processor_error"),
    (400, error("invalid_request_error", "x", payment_intent=ours("requires_capture")), Outcome.UNKNOWN, "x"),
    (400, error("invalid_request_error", "x", payment_intent=ours("processing")), Outcome.UNKNOWN, "x"),
    (400, error("invalid_request_error", "x", payment_intent=ours("requires_payment_method")), Outcome.NOT_SENT, "x"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "outcome", "reason"), REFUSALS)
def test_refusals(status: int, body: dict[str, Any], outcome: Outcome, reason: str) -> None:
    found = ADAPTER.answer(ASKED, reply(status, body))
    assert (found.outcome, found.reason) == (outcome, reason)


@pytest.mark.parametrize(
    "said",
    [
        (402, error("card_error", "card_declined")),  # about no payment
        (402, error("card_error", "card_declined", payment_intent=intent("requires_payment_method"))),
        (402, error("card_error", "card_declined", payment_intent=ours("succeeded"))),
        (402, {"error": {"code": "card_declined"}}),
        (200, ours("requires_capture", livemode=True)),
        (200, ours("requires_capture", amount_capturable=1_001)),
        (200, ours("requires_capture", amount_capturable=0)),
        (200, ours("requires_capture", capture_method="automatic")),
        (200, ours("requires_confirmation")),
        (200, ours("canceled")),
        (200, ours("requires_payment_method")),
        (200, {**ours("requires_capture"), "id": "4242"}),
        (200, {**ours("requires_capture"), "metadata": None}),
        (200, {**ours("requires_capture"), "amount": "1000"}),
        (201, ours("requires_capture")),
    ],
)  # fmt: skip
def test_what_is_not_about_our_attempt_is_not_believed(said: tuple[int, dict[str, Any]]) -> None:
    with pytest.raises(AnswerSurprising):
        ADAPTER.answer(ASKED, reply(*said))


def test_a_decline_is_in_our_words_and_keeps_stripes() -> None:
    said = error(
        "card_error",
        "card_declined",
        decline_code="insufficient_funds",
        advice_code="do_not_try_again",
        payment_intent=ours("requires_payment_method"),
    )
    found = ADAPTER.answer(ASKED, reply(402, said))
    assert found.outcome is Outcome.DECLINED
    assert (found.decline_code, found.advice, found.reason) == (
        "insufficient_funds",
        "never",
        "insufficient_funds",
    )


#: What was prepared, what is answered, and what it comes to: never unknown.
PREPARED: Final[list[tuple[int, dict[str, Any], Outcome]]] = [
    (402, error("card_error", "incorrect_number"), Outcome.DECLINED),
    (402, error("card_error", "invalid_expiry_year"), Outcome.DECLINED),
    (402, error("invalid_request_error", None), Outcome.NOT_SENT),
    (400, error("invalid_request_error", None), Outcome.NOT_SENT),
    (400, error("idempotency_error", None), Outcome.NOT_SENT),
    (409, error("invalid_request_error", "idempotency_key_in_use"), Outcome.NOT_SENT),
    (500, error("api_error", None), Outcome.NOT_SENT),
]


@pytest.mark.parametrize(("status", "body", "outcome"), PREPARED)
def test_a_card_that_is_not_prepared_is_never_unknown(
    status: int, body: dict[str, Any], outcome: Outcome
) -> None:
    found = ADAPTER.prepared(ASKED, reply(status, body))
    assert isinstance(found, Found)
    assert found.outcome is outcome
    assert (found.decline_code is not None) == (outcome is Outcome.DECLINED)


def test_only_the_instrument_of_our_attempt_is_named() -> None:
    reference = {"strongroom_attempt": ASKED.attempt.attempt_id}
    good = made("payment_method", id="pm_1", metadata=reference)
    assert ADAPTER.prepared(ASKED, reply(200, good)) == "pm_1"
    differing: list[dict[str, Any]] = [
        {"metadata": {"strongroom_attempt": "att_other"}},
        {"metadata": {}},
        {"id": "tok_1"},
        {"livemode": True},
        {"type": "us_bank_account"},
    ]
    for wrong in differing:
        with pytest.raises(AnswerSurprising):
            ADAPTER.prepared(ASKED, reply(200, {**good, **wrong}))


def test_what_is_known_under_its_name_is_read() -> None:
    held = ADAPTER.found(ASKED.attempt, reply(200, ours("requires_capture")))
    assert held is not None
    assert (held.outcome, held.basis, held.amount) == (Outcome.APPROVED, Basis.LOOKUP, 1_000)
    refund = command(Operation.REFUND)
    known = made(
        "refund",
        amount=1_000,
        currency="aed",
        status="canceled",
        payment_intent=PAID,
        metadata={"strongroom_attempt": refund.attempt.attempt_id},
    )
    gone = ADAPTER.found(refund.attempt, reply(200, known))
    assert gone is not None
    assert (gone.outcome, gone.basis) == (Outcome.DECLINED, Basis.LOOKUP)
    assert (gone.decline_code, gone.reason) == ("generic_decline", "unknown")
    for status, body in ((404, error("invalid_request_error", "resource_missing")), (200, known)):
        with pytest.raises(AnswerSurprising):
            ADAPTER.found(ASKED.attempt, reply(status, body))


# --- declines -----------------------------------------------------------------------------------------

#: docs.stripe.com/declines/codes
PUBLISHED: Final = frozenset(
    """
    approve_with_id authentication_not_handled authentication_required call_issuer card_not_supported
    card_velocity_exceeded currency_not_supported do_not_honor do_not_try_again duplicate_transaction
    expired_card fraudulent generic_decline incorrect_address incorrect_cvc incorrect_number incorrect_pin
    incorrect_zip insufficient_funds invalid_account invalid_amount invalid_cvc invalid_expiry_month
    invalid_expiry_year invalid_number invalid_pin issuer_not_available lost_card merchant_blacklist
    new_account_information_available no_action_taken not_permitted offline_pin_required
    online_or_offline_pin_required pickup_card pin_try_exceeded processing_error reenter_transaction
    restricted_card revocation_of_all_authorizations revocation_of_authorization security_violation
    service_not_allowed stolen_card stop_payment_order testmode_decline transaction_not_allowed
    try_again_later withdrawal_count_limit_exceeded
    """.split()
)


def test_every_published_decline_has_a_word_of_ours() -> None:
    assert set(DECLINES) >= PUBLISHED
    unexplained = {word for word in PUBLISHED if DECLINES[word] is DeclineCode.GENERIC_DECLINE}
    assert unexplained == {"generic_decline"}


@pytest.mark.parametrize(
    ("word", "advice_code", "code", "advice"),
    [
        ("insufficient_funds", None, DeclineCode.INSUFFICIENT_FUNDS, Advice.LATER),
        ("insufficient_funds", "do_not_try_again", DeclineCode.INSUFFICIENT_FUNDS, Advice.NEVER),
        ("lost_card", "try_again_later", DeclineCode.LOST_CARD, Advice.NEVER),
        ("do_not_honor", "confirm_card_data", DeclineCode.DO_NOT_HONOR, Advice.NEW_CARD),
        ("do_not_try_again", None, DeclineCode.DO_NOT_HONOR, Advice.NEVER),
        ("something_new", None, DeclineCode.GENERIC_DECLINE, Advice.LATER),
        (None, "something_new", DeclineCode.GENERIC_DECLINE, Advice.LATER),
    ],
)
def test_the_stricter_advice_counts(
    word: str | None, advice_code: str | None, code: DeclineCode, advice: Advice
) -> None:
    assert read_decline(word, advice_code) == (code, advice)


def test_strictness_orders_every_advice() -> None:
    for one in Advice:
        assert stricter(one, None) is one
        for other in Advice:
            assert stricter(one, other) is stricter(other, one)
            assert stricter(Advice.NEVER, one) is Advice.NEVER
    assert set(ADVICE.values()) <= set(Advice)


# --- what is told -------------------------------------------------------------------------------------


def charge(**more: Any) -> dict[str, Any]:
    return made(
        "charge",
        **{
            "amount": 1_000,
            "currency": "aed",
            "payment_intent": PAID,
            "metadata": OURS,
            "status": "succeeded",
            **more,
        },
    )


def told(name: str, **more: Any) -> dict[str, Any]:
    """A Refund or a Dispute, as one that nobody here asked for: it carries no reference of ours."""
    return made(name, **{"amount": 1_000, "currency": "aed", **more})


def test_an_expired_authorization_is_told_by_its_charge() -> None:
    for kind in ("charge.expired", "charge.refunded"):
        report = ADAPTER.report(event(kind, charge()))
        assert isinstance(report, Report)
        assert (report.account, report.mode, report.reference, report.operation) == (
            None,
            "test",
            ASKED.attempt.attempt_id,
            Operation.AUTHORIZE,
        )
        assert (report.found.outcome, report.found.amount, report.found.released) == (
            Outcome.APPROVED,
            1_000,
            1_000,
        )
        assert report.found.processor_reference == PAID


def test_a_challenge_that_nobody_took_is_a_decline() -> None:
    report = ADAPTER.report(event("payment_intent.canceled", ours("canceled")))
    assert isinstance(report, Report)
    assert report.reference == ASKED.attempt.attempt_id
    assert (report.operation, report.found.outcome) == (Operation.AUTHORIZE, Outcome.DECLINED)
    assert report.found.decline_code == DeclineCode.CANCELED_BY_CUSTOMER.value


def test_a_challenge_is_told_with_its_place() -> None:
    waiting = ours("requires_action", next_action=redirect("https://hooks.stripe.example/3ds"))
    report = ADAPTER.report(event("payment_intent.requires_action", waiting))
    assert isinstance(report, Report)
    assert report.found.outcome is Outcome.PENDING
    assert report.found.action_url == "https://hooks.stripe.example/3ds"


BY_US: Final = {"id": "req_1", "idempotency_key": new_id("att")}
BY_SOMEBODY: Final = {"id": "req_2", "idempotency_key": "7c5d02b1-21f5-4d40-8a0f-3d2e1b1f2b9a"}
FIRST: Final = ASKED.attempt.attempt_id
#: What happens there without us: the event, what caused it, and whom it names.
UNASKED: Final[list[tuple[str, dict[str, Any], dict[str, Any] | None, str]]] = [
    ("payment_intent.succeeded", ours("succeeded"), BY_SOMEBODY, FIRST),
    ("payment_intent.succeeded", ours("succeeded"), None, FIRST),
    ("charge.refunded", charge(captured=True, amount_refunded=1_000), BY_SOMEBODY, FIRST),
    ("charge.refunded", charge(captured=True, amount_refunded=1_000), None, FIRST),
    # A Refund and a Dispute name the payment as Stripe does.
    ("refund.created", told("refund", payment_intent=PAID), BY_SOMEBODY, PAID),
    ("refund.updated", told("refund", payment_intent=PAID), None, PAID),
    ("refund.failed", told("refund", payment_intent=PAID, status="failed"), None, PAID),
    ("charge.refund.updated", told("refund", payment_intent=PAID, metadata=None), None, PAID),
    ("refund.created", told("refund", charge="ch_1"), None, "ch_1"),
    ("refund.created", told("refund", charge=None, id="re_1"), None, "re_1"),
    # What came back of a dispute that is not won is not said.
    (
        "charge.dispute.funds_reinstated",
        told("dispute", charge="ch_1", status="lost"),
        None,
        "ch_1",
    ),
]
_DUE: Final = datetime(2024, 8, 14, 23, 59, 59, tzinfo=UTC)
#: What a dispute's event tells: its kind, the dispute's status there; then ours and how far that is.
DISPUTED: Final[list[tuple[str, str, DisputeStatus, int]]] = [
    ("charge.dispute.created", "warning_needs_response", DisputeStatus.INQUIRY, 10),
    ("charge.dispute.updated", "warning_under_review", DisputeStatus.INQUIRY, 15),
    ("charge.dispute.created", "needs_response", DisputeStatus.OPENED, 30),
    ("charge.dispute.funds_withdrawn", "needs_response", DisputeStatus.OPENED, 30),
    ("charge.dispute.updated", "under_review", DisputeStatus.UNDER_REVIEW, 35),
    ("charge.dispute.closed", "warning_closed", DisputeStatus.WON, 60),
    ("charge.dispute.closed", "won", DisputeStatus.WON, 60),
    ("charge.dispute.funds_reinstated", "won", DisputeStatus.WON, 60),
    ("charge.dispute.closed", "lost", DisputeStatus.LOST, 60),
]


@pytest.mark.parametrize(("kind", "there", "status", "step"), DISPUTED)
def test_a_dispute_is_told_by_stripes_name_of_the_payment(
    kind: str, there: str, status: DisputeStatus, step: int
) -> None:
    """The published Dispute, at each of its statuses."""
    report = ADAPTER.report(event(kind, told("dispute", payment_intent=PAID, status=there)))
    assert isinstance(report, Report)
    assert (report.reference, report.operation, report.found.outcome) == (
        PAID,
        None,
        Outcome.UNKNOWN,
    )
    assert report.dispute == DisputeTold(
        processor_reference=made("dispute")["id"],
        status=status,
        step=step,
        amount=1_000,
        currency="AED",
        reason="general",
        evidence_due_by=_DUE,
        payment=PAID,
    )


def test_every_status_of_a_dispute_is_one_that_stripe_publishes() -> None:
    # `components.schemas.dispute.properties.status.enum` of spec3-2023-08-16.json.
    published = "lost needs_response under_review warning_closed warning_needs_response warning_under_review won"
    assert sorted({there for _, there, *_ in DISPUTED}) == published.split()


def test_no_evidence_is_due_where_the_issuer_takes_none() -> None:
    details = {**made("dispute")["evidence_details"], "due_by": 0}
    report = ADAPTER.report(
        event("charge.dispute.created", told("dispute", evidence_details=details))
    )
    assert isinstance(report, Report)
    assert report.dispute is not None
    assert report.dispute.evidence_due_by is None


@pytest.mark.parametrize(("kind", "thing", "request_told", "named_there"), UNASKED)
def test_what_happens_without_us_is_put_aside_and_never_passed_over(
    kind: str, thing: dict[str, Any], request_told: dict[str, Any] | None, named_there: str
) -> None:
    """Without an operation it matches no attempt: it changes nothing, and whoever watches is told."""
    report = ADAPTER.report(event(kind, thing, request=request_told))
    assert report == Report(
        account=None,
        mode="test",
        reference=named_there,
        operation=None,
        amount=1_000,
        currency="AED",
        found=Found(Outcome.UNKNOWN, Basis.NOTICE, reason=kind),
        event_type=kind,
    )


#: Events that change nothing here: of others, of what other events tell.
QUIET: Final[list[tuple[str, dict[str, Any]]]] = [
    # Stripe's own release of what was not captured: the charge tells it.
    ("refund.created", told("refund", payment_intent=PAID, reason="expired_uncaptured_charge")),
    ("plan.created", {"object": "plan"}),
    ("payment_intent.created", ours("requires_payment_method")),
    ("payment_intent.amount_capturable_updated", ours("succeeded")),
    ("payment_intent.succeeded", intent("succeeded", capture_method="automatic")),
    ("payment_intent.succeeded", intent("succeeded", capture_method="manual")),
    ("payment_intent.canceled", ours("canceled", latest_charge="ch_1")),
    ("payment_intent.canceled", intent("canceled")),
    ("charge.succeeded", charge()),
    ("charge.captured", charge(captured=True)),
    ("charge.refunded", charge(metadata={})),
    ("charge.refunded", charge(captured=True, metadata={})),
]


@pytest.mark.parametrize(("kind", "thing"), QUIET)
def test_events_that_say_nothing_of_an_attempt(kind: str, thing: dict[str, Any]) -> None:
    assert ADAPTER.report(event(kind, thing)) is None


def test_what_our_own_requests_bring_along_alarms_nobody() -> None:
    """A refund of ours gives the charge back too, and what a void or a capture leaves may go back as a Refund."""
    given_back = charge(captured=True, amount_refunded=400)
    assert ADAPTER.report(event("charge.refunded", given_back, request=BY_US)) is None
    left = told("refund", payment_intent=PAID)
    assert ADAPTER.report(event("refund.created", left, request=BY_US)) is None


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        event("payment_intent.succeeded", charge()),
        event("refund.created", made("refund", payment_intent=PAID, status="lost")),
        event("charge.dispute.created", charge()),
        event("charge.dispute.created", told("dispute", charge=None)),
        event("payment_intent.canceled", ours("succeeded"), request={"id": None, "idempotency_key": new_id("att")}),
    ],
)  # fmt: skip
def test_events_of_another_shape_are_surprising(body: bytes) -> None:
    with pytest.raises(AnswerSurprising):
        ADAPTER.report(body)


def test_an_account_says_whose_it_is_and_what_is_missing() -> None:
    connection = Connection(
        ASKED.payment.merchant_id,
        Mode.TEST,
        ConnectionId(new_id("con")),
        "Stripe",
        "stripe",
        "acct_shop",
        Finding.BY_REPLAY,
        "active",
        NOW,
        NOW,
    )
    good = made("account", id="acct_shop", charges_enabled=True)
    assert ADAPTER.account(connection, reply(200, good)).missing == []
    other = made("account", charges_enabled=False, capabilities={"card_payments": "pending"})
    found = ADAPTER.account(connection, reply(200, other))
    assert found.account == other["id"]
    assert found.mode == "test"
    assert list(found.missing) == [
        "the credentials are of another account",
        "the account may not charge cards yet",
        "card payments are not active for the account",
    ]
    with pytest.raises(AnswerSurprising):
        ADAPTER.account(connection, reply(200, json.loads(b'{"object": "list"}')))
