# SPDX-License-Identifier: Apache-2.0
"""How Adyen's answers are read: its own examples, every result, every kind of refusal, and whatever else may come."""

from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.adyen_words import (
    ADAPTER,
    CONNECTION,
    JUDGED,
    METHODS,
    asked,
    complaints,
    received,
    reference,
    reply,
    vectors,
)
from strongroom.payments.model import Basis, Operation, Outcome
from strongroom.payments.ports import AnswerSurprising
from strongroom.payments.processors.adyen.results import RESULTS

# --- published answers -----------------------------------------------------------------------------

#: Every example that answers a request of ours: (operation, status, outcome).
ANSWERS: Final = {
    "generic-400": (Operation.SALE, 400, Outcome.NOT_SENT),
    "generic-401": (Operation.CAPTURE, 401, Outcome.NOT_SENT),
    "generic-403": (Operation.REFUND, 403, Outcome.NOT_SENT),
    "generic-422": (Operation.SALE, 422, Outcome.NOT_SENT),
    "generic-500": (Operation.VOID, 500, Outcome.UNKNOWN),
    "post-payments-card-3d-secure-2-web-200": (Operation.SALE, 200, Outcome.PENDING),
    "post-payments-card-3d-secure-redirect-200": (Operation.SALE, 200, Outcome.PENDING),
    "post-payments-card-direct-200": (Operation.SALE, 200, Outcome.APPROVED),
    "post-payments-card-securedfields-200": (Operation.AUTHORIZE, 200, Outcome.APPROVED),
    "post-payments-enableOneClick-SF-200": (Operation.SALE, 200, Outcome.APPROVED),
    "post-payments-ideal-200": (Operation.SALE, 200, Outcome.PENDING),
    "post-payments-on-demand-top-up-from-transfer-instrument-200": (
        Operation.SALE,
        200,
        Outcome.APPROVED,
    ),
    "post-payments-on-demand-top-up-visa-200": (Operation.SALE, 200, Outcome.APPROVED),
    "post-payments-paymentPspReference-cancels-cancel-with-psp-reference-201": (
        Operation.VOID,
        201,
        Outcome.PENDING,
    ),
    "post-payments-paymentPspReference-captures-capture-201": (
        Operation.CAPTURE,
        201,
        Outcome.PENDING,
    ),
    "post-payments-paymentPspReference-captures-split-balanceplatform-201": (
        Operation.CAPTURE,
        201,
        Outcome.PENDING,
    ),
    "post-payments-paymentPspReference-captures-split-classic-201": (
        Operation.CAPTURE,
        201,
        Outcome.PENDING,
    ),
    "post-payments-paymentPspReference-refunds-refund-201": (
        Operation.REFUND,
        201,
        Outcome.PENDING,
    ),
    "post-payments-split-balanceplatform-200": (Operation.SALE, 200, Outcome.APPROVED),
    "post-payments-subscription-first-transaction-200": (Operation.SALE, 200, Outcome.APPROVED),
}
#: What begins like an answer to `/payments`, and is one to another request.
OF_OTHER_REQUESTS: Final = {
    "post-payments-details-00.redirect-200",
    "post-payments-paymentPspReference-amountUpdates-amount-update-201",
    "post-payments-paymentPspReference-reversals-reversal-201",
}


def test_no_published_answer_is_forgotten() -> None:
    """Of 110 examples every one that answers a route of ours is read; the rest are requests, or others' answers."""
    names = set(vectors("checkout-v71-examples.json"))
    assert len(names) == 110
    answers = {name for name in names if name.rpartition("-")[2] in ("200", "201")}
    ours = {name for name in answers if name.startswith("post-payments-")}
    ours |= {name for name in names if name.startswith("generic-")}
    assert ours == set(ANSWERS) | OF_OTHER_REQUESTS
    balances = {name for name in answers if name.startswith("post-paymentMethods-balance-")}
    assert {n for n in answers if n.startswith("post-paymentMethods-")} == METHODS | balances


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_a_published_answer_is_read(name: str) -> None:
    """As it stands, but for what is the example's own: our reference, and the amount that was asked for."""
    operation, status, outcome = ANSWERS[name]
    body = dict(vectors("checkout-v71-examples.json")[name])
    amount = body.get("amount", {"value": 1_000, "currency": "AED"})
    command = asked(operation, amount=amount["value"], currency=amount["currency"])
    for member in ("merchantReference", "reference"):
        if member in body:
            body[member] = reference(command)
    path = JUDGED["authorize" if operation.authorizes else operation.value]
    assert complaints(path, str(status), body) == []
    found = ADAPTER.answer(command, reply(status, body))
    assert (found.outcome, found.basis) == (outcome, Basis.ANSWER)
    if outcome is Outcome.APPROVED:
        assert (found.amount, found.currency) == (amount["value"], amount["currency"])
        assert found.processor_reference == body["pspReference"]
    if "redirect-200" in name:
        assert found.action_url == body["action"]["url"]


#: Answers of the Checkout API among those that the Python library is tested with.
MOCKS: Final = {
    "checkout/paymentmethods-error-forbidden-403.json": (403, Outcome.NOT_SENT),
    "checkout/payments-error-invalid-data-422.json": (422, Outcome.NOT_SENT),
    "checkout/payments-success.json": (200, Outcome.APPROVED),
    "checkout/paymentsdetails-error-invalid-data-422.json": (422, Outcome.NOT_SENT),
    "checkout/paymentsdetails-success.json": (200, Outcome.APPROVED),
    "checkout/sessions-error-invalid-data-422.json": (422, Outcome.NOT_SENT),
    # Answers of the older payment API with the members that `/payments` has.
    "authorise-error-cvc-declined.json": (200, Outcome.DECLINED),
    "authorise-error-expired.json": (200, Outcome.DECLINED),
    "authorise-success-cse.json": (200, Outcome.APPROVED),
    "authorise-success.json": (200, Outcome.APPROVED),
}


@pytest.mark.parametrize("name", sorted(MOCKS))
def test_an_answer_of_the_python_librarys_tests_is_read(name: str) -> None:
    status, outcome = MOCKS[name]
    found = ADAPTER.answer(asked(Operation.SALE), reply(status, vectors("python-mocks.json")[name]))
    assert found.outcome is outcome
    if name == "authorise-error-cvc-declined.json":
        assert found.decline_code == "incorrect_cvc"  # by its word: it has no code


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("checkout/paymentcapture-success.json", Operation.CAPTURE),
        ("checkout/paymentscancels-success.json", Operation.VOID),
    ],
)
def test_a_modification_of_the_python_librarys_tests_is_read(
    name: str, operation: Operation
) -> None:
    body = dict(vectors("python-mocks.json")[name])
    amount = body.get("amount", {"value": 1_000, "currency": "AED"})
    command = asked(operation, amount=amount["value"], currency=amount["currency"])
    command = replace(command, authorization=body["paymentPspReference"])
    body["reference"] = reference(command)
    found = ADAPTER.answer(command, reply(201, body))
    assert (found.outcome, found.processor_reference) == (Outcome.PENDING, body["pspReference"])


def test_the_older_redirect_is_surprising() -> None:
    """3-D Secure 1 of the older API has no action: nothing that a customer could be sent to."""
    body = vectors("python-mocks.json")["authorise-success-3d.json"]
    with pytest.raises(AnswerSurprising):
        ADAPTER.answer(asked(Operation.SALE), reply(200, body))


# --- results ----------------------------------------------------------------------------------------


def test_every_result_has_a_row() -> None:
    schemas = vectors("checkout-v71.json")["components"]["schemas"]
    assert set(RESULTS) == set(schemas["PaymentResponse"]["properties"]["resultCode"]["enum"])


PSP: Final = "993617895204576J"
REDIRECT: Final = {"type": "redirect", "url": "https://acs.example/x", "method": "GET"}
AED: Final = "AED"


@pytest.mark.parametrize(
    ("body", "outcome", "more"),
    [
        ({"resultCode": "Authorised"}, Outcome.APPROVED, {"amount": 1_000}),
        ({"resultCode": "Pending"}, Outcome.PENDING, {"reason": "pending"}),
        ({"resultCode": "Received"}, Outcome.PENDING, {"reason": "received"}),
        ({"resultCode": "ChallengeShopper"}, Outcome.PENDING, {"reason": "action_not_supported"}),
        ({"resultCode": "IdentifyShopper"}, Outcome.PENDING, {"action_url": None}),
        ({"resultCode": "PresentToShopper"}, Outcome.PENDING, {"action_url": None}),
        (
            {"resultCode": "RedirectShopper", "action": REDIRECT},
            Outcome.PENDING,
            {"action_url": "https://acs.example/x", "reason": None},
        ),
        (
            {"resultCode": "RedirectShopper", "action": {**REDIRECT, "method": "POST"}},
            Outcome.PENDING,
            {"action_url": None, "reason": "action_not_supported"},
        ),
        (
            {
                "resultCode": "Refused",
                "refusalReasonCode": "12",
                "refusalReason": "Not enough balance",
            },
            Outcome.DECLINED,
            {
                "decline_code": "insufficient_funds",
                "advice": "later",
                "reason": "Not enough balance",
            },
        ),
        (
            {"resultCode": "Refused", "refusalReasonCode": "99", "refusalReason": "Näw\n"},
            Outcome.DECLINED,
            {"decline_code": "generic_decline", "advice": "later", "reason": "N?w?"},
        ),
        ({"resultCode": "Refused"}, Outcome.DECLINED, {"decline_code": "generic_decline"}),
        ({"resultCode": "Cancelled"}, Outcome.DECLINED, {"decline_code": "canceled_by_customer"}),
        ({"resultCode": "Error"}, Outcome.DECLINED, {"decline_code": "processing_error"}),
        (
            {"resultCode": "Error", "refusalReason": "Acquirer Error"},
            Outcome.DECLINED,
            {"decline_code": "acquirer_error", "advice": "other_processor"},
        ),
        (
            {
                "resultCode": "PartiallyAuthorised",
                "additionalData": {
                    "authorisedAmountValue": "600",
                    "authorisedAmountCurrency": AED,
                },
            },
            Outcome.APPROVED,
            {"amount": 600},
        ),
        (
            {"resultCode": "PartiallyAuthorised", "amount": {"value": 600, "currency": AED}},
            Outcome.APPROVED,
            {"amount": 600},
        ),
    ],
    ids=str,
)
def test_a_result_means(body: dict[str, Any], outcome: Outcome, more: dict[str, Any]) -> None:
    whole = {"pspReference": PSP, **body}
    assert complaints("/payments", "200", whole) == []
    found = ADAPTER.answer(asked(Operation.AUTHORIZE), reply(200, whole))
    assert found.outcome is outcome
    assert found.processor_reference == PSP
    assert {name: getattr(found, name) for name in more} == more


SURPRISING: Final[list[dict[str, Any]]] = [
    {"resultCode": "Success"},
    {"resultCode": "AuthenticationFinished"},
    {"resultCode": "AuthenticationNotRequired"},
    {"resultCode": "Approved"},
    {},
    {"resultCode": "Authorised", "pspReference": None},
    {"resultCode": "Authorised", "pspReference": "8536214160615"},
    {"resultCode": "Authorised", "merchantReference": "another"},
    {"resultCode": "Refused", "merchantReference": "another"},
    {"resultCode": "Authorised", "amount": {"value": 1_001, "currency": AED}},
    {"resultCode": "Authorised", "amount": {"value": 1_000, "currency": "KWD"}},
    {"resultCode": "Authorised", "amount": {"value": "1000", "currency": AED}},
    {"resultCode": "Authorised", "additionalData": {"authorisedAmountValue": "600"}},
    {"resultCode": "Authorised", "additionalData": {"authorisedAmountCurrency": "KWD"}},
    {"resultCode": "Authorised", "additionalData": {"authorisedAmountValue": "1e3"}},
    {"resultCode": "PartiallyAuthorised"},
    {"resultCode": "PartiallyAuthorised", "amount": {"value": 1_000, "currency": AED}},
    {"resultCode": "PartiallyAuthorised", "amount": {"value": 0, "currency": AED}},
    {"resultCode": "PartiallyAuthorised", "amount": {"value": 600, "currency": "KWD"}},
    {"resultCode": "PartiallyAuthorised", "additionalData": {"authorisedAmountValue": "600"}},
    {
        "resultCode": "PartiallyAuthorised",
        "amount": {"value": 600, "currency": AED},
        "additionalData": {"authorisedAmountValue": "601"},
    },
    {"resultCode": "RedirectShopper"},
    {"resultCode": "RedirectShopper", "action": {**REDIRECT, "url": "http://acs.example/x"}},
    {"resultCode": "RedirectShopper", "action": {"type": "redirect"}},
    {"resultCode": "RedirectShopper", "action": {**REDIRECT, "type": "threeDS2"}},
]


@pytest.mark.parametrize("body", SURPRISING, ids=str)
def test_a_result_is_surprising(body: dict[str, Any]) -> None:
    with pytest.raises(AnswerSurprising):
        ADAPTER.answer(asked(Operation.AUTHORIZE), reply(200, {"pspReference": PSP, **body}))


@pytest.mark.parametrize("operation", [Operation.CAPTURE, Operation.VOID, Operation.REFUND])
def test_a_modification_is_received_and_no_more(operation: Operation) -> None:
    """201 says that it was received; nothing is approved before the notice comes."""
    command = asked(operation)
    body = received(command)
    assert complaints(JUDGED[operation.value], "201", body) == []
    assert ADAPTER.answer(command, reply(201, body)).outcome is Outcome.PENDING
    wrong: list[dict[str, Any]] = [
        {"status": "processed"},
        {"merchantAccount": "Another"},
        {"paymentPspReference": PSP},
        {"reference": reference(asked(operation))},
        {"pspReference": "short"},
        {"amount": {"value": 1_001, "currency": AED}},
        {"amount": {"value": 1_000, "currency": "KWD"}},
        {"amount": None if operation is not Operation.VOID else {"value": 1, "currency": AED}},
    ]
    for other in wrong:
        with pytest.raises(AnswerSurprising):
            ADAPTER.answer(command, reply(201, {**body, **other}))
    with pytest.raises(AnswerSurprising):
        ADAPTER.answer(command, reply(200, body))
    with pytest.raises(AnswerSurprising):
        ADAPTER.answer(command, reply(201, {"pspReference": PSP, "resultCode": "Authorised"}))


# --- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "kind", "outcome"),
    [
        (400, "702", "validation", Outcome.NOT_SENT),
        (401, "000", "security", Outcome.NOT_SENT),
        (403, "901", "security", Outcome.NOT_SENT),
        (422, "14_030", "validation", Outcome.NOT_SENT),
        (422, "905", "configuration", Outcome.NOT_SENT),
        # The first request under this key still runs, or has run.
        (422, "704", "validation", Outcome.UNKNOWN),
        (422, "999", "internal", Outcome.UNKNOWN),
        (422, "999", "novel", Outcome.UNKNOWN),
        (500, "905", "configuration", Outcome.UNKNOWN),
        (503, "000", "internal", Outcome.UNKNOWN),
        # Not published for these requests: whatever they say.
        (404, "000", "validation", Outcome.UNKNOWN),
        (409, "704", "validation", Outcome.UNKNOWN),
        (429, "000", "validation", Outcome.UNKNOWN),
        (302, "000", "validation", Outcome.UNKNOWN),
    ],
)
@pytest.mark.parametrize("operation", list(Operation))
def test_a_refusal_is_certain_or_unknown(
    operation: Operation, status: int, code: str, kind: str, outcome: Outcome
) -> None:
    body = {"status": status, "errorCode": code, "message": "x", "errorType": kind}
    found = ADAPTER.answer(asked(operation), reply(status, body))
    assert found.outcome is outcome
    assert found.reason


def test_a_refusal_of_another_shape_is_surprising() -> None:
    good = {"status": 422, "errorCode": "14_030", "message": "x", "errorType": "validation"}
    bodies: list[object] = [
        {**good, "status": 500},
        {**good, "errorCode": "14 030"},
        {n: v for n, v in good.items() if n != "errorType"},
        {n: v for n, v in good.items() if n != "errorCode"},
        [],
        b"<html>",
    ]
    for body in bodies:
        with pytest.raises(AnswerSurprising):
            ADAPTER.answer(asked(Operation.SALE), reply(422, body))


@pytest.mark.parametrize("status", [200, 201, 400, 422, 500, 503])
def test_a_transient_error_is_unknown_until_the_same_key_is_sent_again(status: int) -> None:
    """Whatever else the answer says: under the same key it would be "processed as if it was the first request"."""
    body = {"resultCode": "Error", "refusalReason": "Acquirer Error", "pspReference": PSP}
    answer = reply(status, body, **{"transient-error": "true"})
    found = ADAPTER.answer(asked(Operation.SALE), answer)
    assert (found.outcome, found.reason) == (Outcome.UNKNOWN, "transient_error")
    assert "transient-error" in ADAPTER.destination.answer_headers


@given(
    body=st.binary(max_size=400),
    status=st.sampled_from([200, 201, 400, 401, 403, 404, 422, 500]),
    operation=st.sampled_from(list(Operation)),
)
def test_any_bytes_are_read_or_surprising(body: bytes, status: int, operation: Operation) -> None:
    command = asked(operation)
    for read in (
        lambda: ADAPTER.answer(command, reply(status, body)),
        lambda: ADAPTER.account(CONNECTION, reply(status, body)),
        lambda: ADAPTER.report(body),
    ):
        try:
            read()
        except AnswerSurprising:
            continue
