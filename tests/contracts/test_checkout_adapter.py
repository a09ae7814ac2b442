# SPDX-License-Identifier: Apache-2.0
"""Checkout.com's adapter against what Checkout.com publishes (`checkout_reference`): requests, answers, declines."""

import json
import re
from dataclasses import replace
from typing import Any, Final

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.checkout_peer import (
    ADAPTER,
    CARD,
    DESTINATIONS,
    SENDABLE,
    about,
    asked,
    outcome,
    reply,
    sums,
)
from contracts.checkout_reference import (
    ACCEPTED,
    ACTED,
    CODES,
    EVENT,
    LIVE,
    PAY,
    PROCESSED,
    REQUESTS,
    SANDBOX,
)
from strongroom.kernel.mode import Mode
from strongroom.kernel.money import Money
from strongroom.payments.declines import ADVICE, Advice, DeclineCode, stricter
from strongroom.payments.model import (
    Basis,
    Found,
    Operation,
    Outcome,
)
from strongroom.payments.processors.checkout.declines import DECLINES, declined
from strongroom.payments.processors.checkout.requests import CURRENCIES_OF_TENS
from strongroom.vault import TemplateRefused
from strongroom.vault.addresses import address_values
from strongroom.vault.template import filled, slots_of
from strongroom.vault.wire import BillingAddress

# --- requests ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("with_cvc", [True, False])
@pytest.mark.parametrize("releases", [0, 250])
@pytest.mark.parametrize("return_url", ["https://pay.example/v1/returns/x", None])
def test_requests_have_the_published_shape(
    *, operation: Operation, with_cvc: bool, releases: int, return_url: str | None
) -> None:
    made = replace(asked(operation, releases=releases), with_cvc=with_cvc, return_url=return_url)
    template = ADAPTER.template(made)
    matched = DESTINATIONS.matched("checkout", Mode.TEST, template)
    method, path, schema = REQUESTS[template.route]
    assert matched.route.method == method
    assert re.fullmatch(path, template.path)
    body = filled(template.body, CARD)
    jsonschema.Draft202012Validator(schema).validate(body)
    assert template.headers == {"cko-idempotency-key": made.attempt.attempt_id}
    assert isinstance(body, dict)
    assert body["reference"] == made.attempt.attempt_id
    if operation.authorizes:
        assert body["capture"] is (operation is Operation.SALE)
        source = body["source"]
        assert isinstance(source, dict)
        assert ("cvv" in source) is with_cvc
        assert ("success_url" in body) is ("failure_url" in body) is (return_url is not None)
    if operation is Operation.CAPTURE:
        assert body["capture_type"] == ("Final" if releases else "NonFinal")
    assert ("amount" in body) is (operation is not Operation.VOID)


@pytest.mark.parametrize("operation", [each for each in Operation if each.authorizes])
@pytest.mark.parametrize(
    ("address", "sent"),
    [
        (None, None),
        (BillingAddress("AE"), {"country": "AE"}),
        (
            BillingAddress("GB", "1 Harbour Street", "Flat 2", "London", "Greater London", "W1T 4TJ"),
            {"address_line1": "1 Harbour Street", "city": "London", "state": "Greater London",
             "zip": "W1T 4TJ", "country": "GB"},
        ),
        (BillingAddress("AE", "x" * 100, city="x" * 100, region="x" * 100, postal_code="x" * 16),
         {"address_line1": "x" * 100, "state": "x" * 100, "zip": "x" * 16, "country": "AE"}),
    ],
)  # fmt: skip
def test_the_holders_address_has_the_published_shape(
    operation: Operation, address: BillingAddress | None, sent: dict[str, str] | None
) -> None:
    template = ADAPTER.template(asked(operation))
    DESTINATIONS.matched("checkout", Mode.TEST, template)
    body = filled(template.body, {**CARD, **(address_values(address) if address else {})})
    jsonschema.Draft202012Validator(REQUESTS["authorize"][2]).validate(body)
    assert isinstance(body, dict)
    source = body["source"]
    assert isinstance(source, dict)
    assert source.get("billing_address") == sent


@given(
    operation=st.sampled_from(list(Operation)),
    currency=st.sampled_from(SENDABLE),
    amount=st.integers(1, 99_999_999).map(lambda tens: tens * 10),
    mode=st.sampled_from(list(Mode)),
)
def test_the_same_attempt_is_the_same_request_and_another_is_another(
    operation: Operation, currency: str, amount: int, mode: Mode
) -> None:
    made = asked(operation, currency=currency, amount=amount, mode=mode)
    template = ADAPTER.template(made)
    assert ADAPTER.template(made) == template
    assert msgspec.json.encode(template) == msgspec.json.encode(ADAPTER.template(made))
    DESTINATIONS.matched("checkout", mode, template)
    other = ADAPTER.template(asked(operation, currency=currency, amount=amount, mode=mode))
    assert other.headers != template.headers
    assert other.body != template.body
    assert "4242" not in repr(template)
    assert bool(slots_of(template.body)) is operation.authorizes


@pytest.mark.parametrize(
    ("amount", "currency", "sent"),
    [
        (1_000, "AED", True),
        (1_000, "JPY", True),
        (1_230, "KWD", True),
        (1_231, "KWD", False),  # "The last digit must always be a 0"
        (1_000, "CLP", False),  # a hundredth there, whole in ISO 4217
        (1_000, "CLF", False),
        (1_000, "UYI", False),
        (10_000, "UYW", False),
        (999_999_999, "AED", True),
        (1_000_000_000, "AED", False),  # "Not contain more than nine digits"
    ],
)
@pytest.mark.parametrize("operation", [Operation.AUTHORIZE, Operation.CAPTURE, Operation.REFUND])
def test_no_amount_means_another_there(
    *, amount: int, currency: str, sent: bool, operation: Operation
) -> None:
    made = asked(operation, amount=amount, currency=currency)
    if sent:
        assert f"'amount': {amount}" in repr(ADAPTER.template(made).body)
        return
    with pytest.raises(TemplateRefused, match=r"Checkout\.com"):
        ADAPTER.template(made)


def test_currencies_that_are_sent_have_the_published_exponents() -> None:
    """Page "Format the amount value": whole, thousandths; everything else is hundredths there."""
    whole = "BIF DJF GNF ISK JPY KMF KRW PYG RWF UGX VUV VND XAF XOF XPF".split()
    for currency in SENDABLE:
        there = 0 if currency in whole else 3 if currency in CURRENCIES_OF_TENS else 2
        assert Money(1, currency).exponent == there, currency


@pytest.mark.parametrize(
    ("host", "modes"),
    [
        ("vkuhvk4v.api.checkout.com", {Mode.LIVE}),
        ("api.checkout.com", {Mode.LIVE}),
        ("vkuhvk4v.api.sandbox.checkout.com", {Mode.TEST}),
        ("api.sandbox.checkout.com", {Mode.TEST}),
        ("access.checkout.com", set()),
        ("vkuhvk4vapi.checkout.com", set()),
        ("api.checkout.com.evil.example", set()),
        ("checkout.com", set()),
    ],
)
def test_connections_lead_to_the_api_of_their_mode_only(host: str, modes: set[Mode]) -> None:
    assert {mode for mode in Mode if ADAPTER.destination.takes_host(host, mode)} == modes


# --- answers ----------------------------------------------------------------------------------------

NO: Final = {"approved": False, "status": "Declined", "response_code": "20051"}


@pytest.mark.parametrize(
    ("status", "changes", "expected"),
    [
        (201, {}, Outcome.APPROVED),
        (201, {"response_code": "10100"}, Outcome.APPROVED),
        (201, NO, Outcome.DECLINED),
        (201, {**NO, "response_code": "30043"}, Outcome.DECLINED),
        (201, {**NO, "response_code": "2005C"}, Outcome.DECLINED),
        (201, {**NO, "response_code": "29999"}, Outcome.DECLINED),
        # What says two things at once is neither.
        (201, {"approved": False}, "surprising"),
        (201, {"status": "Declined"}, "surprising"),
        (201, {"response_code": "20005"}, "surprising"),
        (201, {**NO, "approved": True}, "surprising"),
        (201, {**NO, "response_code": "10000"}, "surprising"),
        (201, {"status": "Pending"}, "surprising"),
        (201, {"status": "Card Verified"}, "surprising"),
        (201, {"status": "Paid"}, "surprising"),
        (201, {"approved": "true"}, "surprising"),
        (201, {"approved": ...}, "surprising"),
        (201, {"status": ...}, "surprising"),
        (201, {"response_code": ...}, "surprising"),
        (201, {"reference": ...}, "surprising"),
        (201, {"amount": ...}, "surprising"),
        (201, {"currency": ...}, "surprising"),
        (201, {"id": "pay_x"}, "surprising"),
        # Of something else.
        (201, {"reference": "att_other"}, "surprising"),
        (201, {"amount": 999}, "surprising"),
        (201, {"amount": 1000.0}, "surprising"),
        (201, {"currency": "USD"}, "surprising"),
        (201, {"balances": sums(900)}, "surprising"),
        (201, {"_links": {"self": {"href": f"{LIVE}/payments/{PAY}"}}}, "surprising"),
        # Not the published status of such a body.
        (200, {}, "surprising"),
        (202, {}, "surprising"),
        (302, {}, Outcome.UNKNOWN),
        (400, {}, Outcome.UNKNOWN),
        (409, {}, Outcome.UNKNOWN),
        (500, {}, Outcome.UNKNOWN),
        (502, {}, Outcome.UNKNOWN),
        (504, {}, Outcome.UNKNOWN),
    ],
)
@pytest.mark.parametrize("operation", [Operation.AUTHORIZE, Operation.SALE])
def test_answers_to_a_payment(
    operation: Operation, status: int, changes: dict[str, Any], expected: Outcome | str
) -> None:
    made = asked(operation)
    assert outcome(made, reply(status, about(made.attempt, PROCESSED, **changes))) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "Captured"},
        {"status": "Captured", "balances": sums(1_000, 0, 1_000)},
        {"status": "Authorized", "balances": sums(1_000, 0, 1_000)},
    ],
)
def test_money_that_was_taken_is_no_hold(changes: dict[str, Any]) -> None:
    """`"capture": false` was asked for: what is captured all the same is not what was asked."""
    hold = asked(Operation.AUTHORIZE)
    answer = reply(201, about(hold.attempt, PROCESSED, **changes))
    assert outcome(hold, answer) == "surprising"
    sale = asked(Operation.SALE)
    answer = reply(201, about(sale.attempt, PROCESSED, **changes))
    assert outcome(sale, answer) is Outcome.APPROVED


def test_an_approval_says_how_much_and_under_which_name() -> None:
    made = asked(Operation.SALE)
    body = about(made.attempt, PROCESSED, balances=sums(1_000))
    found = ADAPTER.answer(made, reply(201, body))
    assert found == Found(
        Outcome.APPROVED,
        Basis.ANSWER,
        processor_reference=PAY,
        amount=1_000,
        currency="AED",
        released=0,
        captured=None,  # its capture comes by itself, later
        scheme_transaction_id="489341065491658",
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Outcome.PENDING),
        ({"_links": ...}, Outcome.PENDING),
        ({"status": "Authorized"}, "surprising"),
        ({"reference": "att_other"}, "surprising"),
        ({"amount": 1_001}, "surprising"),
        ({"currency": "USD"}, "surprising"),
        ({"_links": {"self": {"href": f"{LIVE}/payments/{PAY}"}}}, "surprising"),
        ({"_links": {"redirect": {"href": "javascript:alert(1)"}}}, "surprising"),
    ],
)
def test_a_redirect_is_pending(changes: dict[str, Any], expected: Outcome | str) -> None:
    made = asked(Operation.AUTHORIZE)
    answer = reply(202, about(made.attempt, ACCEPTED, **changes))
    assert outcome(made, answer) == expected
    if changes == {}:
        found = ADAPTER.answer(made, answer)
        assert found.action_url == ACCEPTED["_links"]["redirect"]["href"]
        assert found.processor_reference == PAY


@pytest.mark.parametrize(
    ("status", "changes", "expected"),
    [
        (202, {}, Outcome.PENDING),
        (202, {"_links": ...}, Outcome.PENDING),
        (202, {"reference": "att_other"}, "surprising"),
        (202, {"reference": ...}, "surprising"),
        (202, {"action_id": ...}, "surprising"),
        (
            202,
            {"_links": {"payment": {"href": f"{SANDBOX}/payments/pay_{'a' * 26}"}}},
            "surprising",
        ),
        (202, {"_links": {"payment": {"href": f"{LIVE}/payments/{PAY}"}}}, "surprising"),
        (201, {}, "surprising"),
        (200, {}, "surprising"),
        (502, {}, Outcome.UNKNOWN),
    ],
)
@pytest.mark.parametrize("operation", [Operation.CAPTURE, Operation.VOID, Operation.REFUND])
def test_what_follows_a_payment_is_only_ever_accepted(
    operation: Operation, status: int, changes: dict[str, Any], expected: Outcome | str
) -> None:
    made = asked(operation)
    assert outcome(made, reply(status, about(made.attempt, ACTED, **changes))) == expected


REFUSAL: Final = {
    "request_id": "0HL80RJLS76I7",
    "error_type": "request_invalid",
    "error_codes": ["amount_invalid"],
}
CODED: Final = {"error_codes": ["amount_invalid"]}
PAGE: Final = b"<html>A firewall says no</html>"
#: Status, body, what it comes to, and why.
REFUSALS: Final[list[tuple[int, object, Outcome, str]]] = [
    # "401 and 404 have no body": they stand alone, or with the documented one.
    (401, b"", Outcome.NOT_SENT, "http_401"),
    (401, b" \r\n", Outcome.NOT_SENT, "http_401"),
    (401, REFUSAL, Outcome.NOT_SENT, "amount_invalid"),
    (401, PAGE, Outcome.UNKNOWN, "http_401"),
    (404, b"", Outcome.NOT_SENT, "http_404"),
    (404, CODED, Outcome.NOT_SENT, "amount_invalid"),
    (404, PAGE, Outcome.UNKNOWN, "http_404"),
    (404, {}, Outcome.UNKNOWN, "http_404"),
    (404, {"message": "no such route"}, Outcome.UNKNOWN, "http_404"),
    # The others say why, in the published words, or somebody else may have answered.
    (403, b"", Outcome.UNKNOWN, "http_403"),
    (403, PAGE, Outcome.UNKNOWN, "http_403"),
    (403, {}, Outcome.UNKNOWN, "http_403"),
    (403, {"error_type": "forbidden"}, Outcome.NOT_SENT, "forbidden"),
    (422, REFUSAL, Outcome.NOT_SENT, "amount_invalid"),
    (422, CODED, Outcome.NOT_SENT, "amount_invalid"),
    (422, {"error_type": "processing_error"}, Outcome.NOT_SENT, "processing_error"),
    (422, b"", Outcome.UNKNOWN, "http_422"),
    (422, PAGE, Outcome.UNKNOWN, "http_422"),
    (422, {}, Outcome.UNKNOWN, "http_422"),
    (422, {"error_codes": []}, Outcome.UNKNOWN, "http_422"),
    (422, {"error_type": None}, Outcome.UNKNOWN, "http_422"),
    (422, {"error_type": 7}, Outcome.UNKNOWN, "http_422"),
    (422, [REFUSAL], Outcome.UNKNOWN, "http_422"),
    (422, PROCESSED, Outcome.UNKNOWN, "http_422"),
    # The same key at the same time: what becomes of the first is not known.
    (
        429,
        {"error_type": "request_invalid", "error_codes": ["duplicate_request"]},
        Outcome.UNKNOWN,
        "duplicate_request",
    ),
    (429, b"", Outcome.UNKNOWN, "http_429"),
]


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize(("status", "body", "expected", "reason"), REFUSALS)
def test_refusals(
    operation: Operation, status: int, body: object, expected: Outcome, reason: str
) -> None:
    found = ADAPTER.answer(asked(operation), reply(status, body))
    assert (found.outcome, found.reason) == (expected, reason)


# --- declines -----------------------------------------------------------------------------------------


def test_every_published_code_has_a_word() -> None:
    assert set(CODES) <= set(DECLINES)
    assert {code for code in DECLINES if code[0] in "234"} == set(CODES)


#: What an issuer never approves, by Visa: its category 1, in Checkout.com's codes ("Visa response code categories").
NEVER_APPROVED: Final = "20012 20014 20057 30004 30007 30015 30041 30043 30046 200R1 200R3".split()


@pytest.mark.parametrize("code", NEVER_APPROVED)
def test_what_visa_never_approves_is_not_tried_again(code: str) -> None:
    assert ADVICE[DECLINES[code]] not in (Advice.LATER, Advice.OTHER_PROCESSOR)


@pytest.mark.parametrize(
    ("code", "word", "advice"),
    [
        ("20005", DeclineCode.DO_NOT_HONOR, Advice.LATER),
        ("20051", DeclineCode.INSUFFICIENT_FUNDS, Advice.LATER),
        ("20054", DeclineCode.EXPIRED_CARD, Advice.NEW_CARD),
        ("20087", DeclineCode.INCORRECT_CVC, Advice.NEW_CARD),
        ("20154", DeclineCode.AUTHENTICATION_REQUIRED, Advice.AUTHENTICATE),
        # "Contact acquirer" and its security department: whoever is to be called, the answer was no.
        ("20060", DeclineCode.CALL_ISSUER, Advice.NEW_CARD),
        ("20066", DeclineCode.SECURITY_VIOLATION, Advice.NEW_CARD),
        # "Catch-all": a wrong CVC among it, so no other processor is asked at once.
        ("20197", DeclineCode.GENERIC_DECLINE, Advice.LATER),
        ("30035", DeclineCode.PICKUP_CARD, Advice.NEVER),
        ("30404", DeclineCode.ACQUIRER_ERROR, Advice.NEW_CARD),
        ("30405", DeclineCode.ACQUIRER_ERROR, Advice.NEW_CARD),
        ("30021", DeclineCode.WITHDRAWAL_LIMIT_EXCEEDED, Advice.NEW_CARD),
        ("30041", DeclineCode.LOST_CARD, Advice.NEVER),
        ("30043", DeclineCode.STOLEN_CARD, Advice.NEVER),
        ("41101", DeclineCode.BLOCKED_BY_PROCESSOR, Advice.NEVER),
        ("43401", DeclineCode.AUTHENTICATION_REQUIRED, Advice.AUTHENTICATE),
        # Not published: the class holds, and the word is theirs.
        ("29999", DeclineCode.GENERIC_DECLINE, Advice.LATER),
        ("39999", DeclineCode.GENERIC_DECLINE, Advice.NEW_CARD),
        ("40101", DeclineCode.BLOCKED_BY_PROCESSOR, Advice.NEVER),
    ],
)
def test_declines(code: str, word: DeclineCode, advice: Advice) -> None:
    made = asked(Operation.AUTHORIZE)
    found = ADAPTER.answer(
        made, reply(201, about(made.attempt, PROCESSED, **{**NO, "response_code": code}))
    )
    assert (found.decline_code, found.advice, found.reason) == (word, advice, code)


@pytest.mark.parametrize("code", [*CODES, "39999", "300A1"])
def test_a_hard_decline_allows_another_card_at_most(code: str) -> None:
    """Neither later nor through another processor nor after authentication: its class rules the card out."""
    why = declined(code)
    if code.startswith("3"):
        assert why.advice is stricter(ADVICE[why.code], Advice.NEW_CARD)
        assert why.advice in (Advice.NEVER, Advice.NEW_CARD)
    else:
        assert why.advice is ADVICE[why.code]


@pytest.mark.parametrize(
    ("code", "advice_code", "advice"),
    [
        ("20051", None, Advice.LATER),
        ("20051", "24", Advice.LATER),
        ("20051", "03", Advice.NEVER),
        ("20051", "01", Advice.NEW_CARD),
        ("20103", "99", Advice.LATER),
        ("30041", "02", Advice.NEVER),
    ],
)
def test_mastercards_advice_counts_where_it_allows_less(
    code: str, advice_code: str | None, advice: Advice
) -> None:
    """`processing.partner_merchant_advice_code`, in an answer and in an event alike."""
    made = asked(Operation.AUTHORIZE)
    processing = {**PROCESSED["processing"], "partner_merchant_advice_code": advice_code}
    told = about(
        made.attempt,
        PROCESSED,
        status="Declined",
        approved=False,
        response_code=code,
        processing=processing,
    )
    found = ADAPTER.answer(made, reply(201, told))
    assert (found.outcome, found.advice) == (Outcome.DECLINED, advice.value)
    data = {
        **EVENT["data"],
        "reference": made.attempt.attempt_id,
        "response_code": code,
        "processing": processing,
        "metadata": {"strongroom": "authorize"},
    }
    report = ADAPTER.report(
        json.dumps({**EVENT, "type": "payment_declined", "data": data}).encode()
    )
    assert report is not None
    assert report.found.advice == advice.value
