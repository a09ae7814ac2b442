# SPDX-License-Identifier: Apache-2.0
"""Adyen's adapter: its requests are judged by Adyen's own description, its answers are Adyen's own examples."""

from dataclasses import replace
from typing import Any, Final

import msgspec
import pytest

from contracts.adyen_peer import AdyenPeer
from contracts.adyen_words import (
    ACCOUNT,
    ADAPTER,
    AUTHORIZATION,
    CONNECTION,
    DETAILS,
    JUDGED,
    METHODS,
    asked,
    attempt,
    complaints,
    published_browser,
    reference,
    reply,
    vectors,
)
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.invariant import Bug
from strongroom.kernel.mode import Mode
from strongroom.payments.browsers import Browser
from strongroom.payments.connections import ConnectionBook
from strongroom.payments.model import Basis, Finding, Operation, Outcome
from strongroom.payments.ports import AnswerSurprising
from strongroom.payments.processors.adyen import AdyenAdapter
from strongroom.payments.processors.adyen.adapter import OTHER_MINOR_UNIT
from strongroom.payments.store import attempt_of
from strongroom.vault import Slot, Template, TemplateRefused
from strongroom.vault.addresses import address_values
from strongroom.vault.destinations import Destinations
from strongroom.vault.template import filled, slots_of
from strongroom.vault.wire import BillingAddress

PEER: Final = AdyenPeer()
CARD: Final = {
    Slot.CARD_NUMBER: "4111111111111111",
    Slot.CARD_EXP_MONTH_DIGITS: "03",
    Slot.CARD_EXP_YEAR_DIGITS: "2030",
    Slot.CARD_CVC: "737",
}


def sent(template: Template, address: BillingAddress | None = None) -> Any:
    """Return the body as the vault sends it, after it took the template as it stands."""
    Destinations([ADAPTER.destination]).matched("adyen", Mode.TEST, template)
    return filled(template.body, {**CARD, **(address_values(address) if address else {})})


# --- requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_cvc", [True, False])
@pytest.mark.parametrize("operation", list(Operation))
def test_every_request_is_one_that_adyen_describes(operation: Operation, *, with_cvc: bool) -> None:
    """No member that the description lacks, none missing, each of its type; and the judge refuses what is not so."""
    template = ADAPTER.template(asked(operation, with_cvc=with_cvc))
    path, body = JUDGED[template.route], sent(template)
    assert complaints(path, None, body) == []
    assert template.path == "/v71" + path.format(paymentPspReference=AUTHORIZATION)
    document = vectors("checkout-v71.json")
    assert document["servers"] == [{"url": "https://checkout-test.adyen.com/v71"}]
    common = document["components"]["schemas"]["AdditionalDataCommon"]["properties"]
    assert set(body.get("additionalData", {})) <= set(common)
    assert complaints(path, None, {**body, "extra": 1})
    assert complaints(path, None, {**body, "reference": 1})
    assert complaints(path, None, {n: v for n, v in body.items() if n != "merchantAccount"})


def test_the_card_stands_where_the_published_example_has_it() -> None:
    example = vectors("checkout-v71-examples.json")["post-payments-card-direct"]
    body = sent(ADAPTER.template(asked(Operation.SALE)))
    # A holder's name is not sent: it is no part of a card's slots.
    assert body["paymentMethod"].keys() == example["paymentMethod"].keys() - {"holderName"}
    assert body["paymentMethod"].items() <= example["paymentMethod"].items()
    assert body.keys() == example.keys() | {"captureDelayHours"}


@pytest.mark.parametrize("operation", [each for each in Operation if each.authorizes])
@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (None, None),
        (BillingAddress("NL"), None),
        (BillingAddress("NL", "Rokin 49", None, "Amsterdam"), None),
        (BillingAddress("GB", "Rose Cottage", None, "London", None, "W1T 4TJ"), None),
        (
            BillingAddress("NL", "Rokin 49", None, "Amsterdam", "Noord-Holland", "1012 KK"),
            {"street": "Rokin", "houseNumberOrName": "49", "city": "Amsterdam",
             "postalCode": "1012 KK", "country": "NL"},
        ),
        (
            BillingAddress("US", "1 Main St", None, "Albany", "NY", "12345-6789"),
            {"street": "Main St", "houseNumberOrName": "1", "city": "Albany",
             "postalCode": "12345", "country": "US", "stateOrProvince": "NY"},
        ),
    ],
)  # fmt: skip
def test_the_holders_address_is_whole_as_adyen_describes_it_or_not_sent(
    operation: Operation, address: BillingAddress | None, expected: dict[str, str] | None
) -> None:
    template = ADAPTER.template(asked(operation))
    body = sent(template, address)
    assert complaints("/payments", None, body) == []
    assert body.get("billingAddress") == expected
    assert {**body, "billingAddress": None} == {**sent(template), "billingAddress": None}
    assert complaints("/payments", None, {**body, "billingAddress": {"country": "NL"}})


@pytest.mark.parametrize("operation", list(Operation))
def test_a_request_carries_its_key_and_our_reference(operation: Operation) -> None:
    """The same command is the same request, byte for byte, and another attempt is another. Lengths as published."""
    command = asked(operation)
    template = ADAPTER.template(command)
    assert template == ADAPTER.template(command)
    assert template.headers == {"idempotency-key": command.attempt.attempt_id}
    assert len(command.attempt.attempt_id) <= 64
    assert reference(command) == f"{command.attempt.attempt_id}-{operation.value}"
    assert len(reference(command)) <= 80
    assert ADAPTER.template(asked(operation)).headers != template.headers
    assert bool(slots_of(template.body)) == operation.authorizes


def test_only_a_sale_is_captured() -> None:
    """Automatic capture is the default of an account: an authorization forbids it, a sale asks for it at once."""
    sale = sent(ADAPTER.template(asked(Operation.SALE)))
    authorization = sent(ADAPTER.template(asked(Operation.AUTHORIZE)))
    assert (sale["captureDelayHours"], "additionalData" in sale) == (0, False)
    assert authorization["additionalData"] == {"manualCapture": "true"}
    assert "captureDelayHours" not in authorization


@pytest.mark.parametrize("operation", [each for each in Operation if each.authorizes])
def test_the_browser_is_told_of_as_the_published_example_does(operation: Operation) -> None:
    """And as the description wants it. Where nothing was said of it, nothing is."""
    example = vectors("checkout-v71-examples.json")["post-payments-card-3d-secure-2-web"]
    browser = msgspec.convert(published_browser(), Browser)
    body = sent(ADAPTER.template(asked(operation, browser=browser)))
    assert (body["channel"], body["browserInfo"]) == ("Web", example["browserInfo"])
    assert complaints(JUDGED["authorize"], None, body) == []
    assert not {"channel", "browserInfo"} & sent(ADAPTER.template(asked(operation))).keys()


def test_two_headers_alone_are_less_than_the_description_wants() -> None:
    """They are sent: Adyen asks for them alone of apps. That a script's are missing is all that is said against it."""
    body = sent(ADAPTER.template(asked(Operation.SALE, browser=Browser("Mozilla/5.0", "*/*"))))
    assert body["browserInfo"] == {"userAgent": "Mozilla/5.0", "acceptHeader": "*/*"}
    missing = [f"{name!r} is a required property" for name in sorted(DETAILS)]
    assert sorted(complaints(JUDGED["authorize"], None, body)) == missing


def test_a_replay_tells_the_same_of_the_browser() -> None:
    """What was read back from the database is the same request as what was saved."""
    browser = msgspec.convert(published_browser(), Browser)
    command = asked(Operation.SALE, browser=browser, with_cvc=False)
    kept = replace(command, attempt=attempt_of(msgspec.json.encode(command.attempt)))
    first, again = (msgspec.json.encode(ADAPTER.template(c).body) for c in (command, kept))
    assert first == again
    assert browser.user_agent.encode() in first


@pytest.mark.parametrize("currency", sorted(OTHER_MINOR_UNIT))
@pytest.mark.parametrize("operation", list(Operation))
def test_an_amount_that_adyen_would_read_otherwise_is_not_sent(
    operation: Operation, currency: str
) -> None:
    """1000 ISK are ten krónur there. The engine takes a `StrongroomError` as `not_sent`."""
    with pytest.raises(StrongroomError) as refused:
        ADAPTER.template(asked(operation, currency=currency))
    assert refused.value.code == "currency_differs"


def test_what_cannot_be_sent_is_refused_before_a_card_is_opened() -> None:
    with pytest.raises(TemplateRefused):
        ADAPTER.template(replace(asked(Operation.SALE), return_url=None))
    for nameless in (None, "x", "993617894903480A/../x"):
        with pytest.raises(TemplateRefused):
            sent(ADAPTER.template(replace(asked(Operation.CAPTURE), authorization=nameless)))


def test_an_adapter_is_bound_to_the_account_of_a_connection() -> None:
    with pytest.raises(Bug):
        AdyenAdapter().template(asked(Operation.SALE))
    database: Any = None
    book = ConnectionBook(database, {"adyen": AdyenAdapter()})
    other = replace(CONNECTION, account="Another")
    body = book.adapter(other).template(asked(Operation.VOID)).body
    assert isinstance(body, dict)
    assert body["merchantAccount"] == "Another"


def test_a_connection_leads_to_adyen_and_to_its_own_mode() -> None:
    takes = ADAPTER.destination.takes_host
    for host, live, test in (
        ("checkout-test.adyen.com", False, True),
        ("1797a841fbb37ca7-shop-checkout-live.adyenpayments.com", True, False),
        ("checkout-live.adyenpayments.com", False, False),
        ("checkout-live.adyenpayments.com.example", False, False),
        ("evil-checkout-live.adyenpayments.example", False, False),
        ("pal-test.adyen.com", False, False),
    ):
        assert takes(host, Mode.LIVE) is live, host
        assert takes(host, Mode.TEST) is test, host


def test_what_it_declares() -> None:
    assert ADAPTER.findings == {Finding.BY_NOTICE, Finding.BY_REPLAY}
    assert ADAPTER.verification_scheme == "adyen"
    assert 3_600 <= ADAPTER.replay_seconds < 7 * 86_400
    with pytest.raises(Bug):
        ADAPTER.find(attempt(Operation.SALE))
    with pytest.raises(AnswerSurprising):
        ADAPTER.found(attempt(Operation.SALE), reply(200, {}))


# --- the test of a connection -------------------------------------------------------------------------


def test_the_test_of_a_connection_moves_nothing() -> None:
    template = ADAPTER.probe()
    assert complaints(JUDGED[template.route], None, sent(template)) == []
    assert template.path == "/v71/paymentMethods"
    assert template.body == {"merchantAccount": ACCOUNT}


@pytest.mark.parametrize("name", sorted(METHODS))
def test_an_account_that_takes_cards_lacks_nothing(name: str) -> None:
    body = vectors("checkout-v71-examples.json")[name]
    cards = any(each["type"] == "scheme" for each in body["paymentMethods"])
    account = ADAPTER.account(CONNECTION, reply(200, body))
    assert (account.account, account.mode) == (ACCOUNT, "test")
    assert bool(account.missing) is not cards
    without = [each for each in body["paymentMethods"] if each["type"] != "scheme"]
    account = ADAPTER.account(CONNECTION, reply(200, {"paymentMethods": without}))
    assert list(account.missing) == ["the merchant account takes no cards"]


def test_a_refused_account_is_said_to_be() -> None:
    body = vectors("python-mocks.json")["checkout/paymentmethods-error-forbidden-403.json"]
    account = ADAPTER.account(CONNECTION, reply(403, body))
    assert list(account.missing) == ["Adyen refuses the merchant account: error 901"]
    for status in (404, 500, 201):
        with pytest.raises(AnswerSurprising):
            ADAPTER.account(CONNECTION, reply(status, body))


# --- the contract of every adapter --------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [Outcome.APPROVED, Outcome.DECLINED, Outcome.PENDING])
@pytest.mark.parametrize("operation", list(Operation))
def test_its_answers_are_read(operation: Operation, outcome: Outcome) -> None:
    if (operation, outcome) in PEER.never:
        outcome = Outcome.PENDING
    command = asked(operation)
    found = ADAPTER.answer(command, PEER.answered(command, outcome))
    assert (found.outcome, found.basis) == (outcome, Basis.ANSWER)
    if outcome is Outcome.APPROVED:
        assert (found.amount, found.currency) == (command.attempt.amount, "AED")
        assert found.processor_reference
    assert (found.decline_code is None) is (outcome is not Outcome.DECLINED)


@pytest.mark.parametrize("operation", list(Operation))
def test_an_answer_about_something_else_is_not_believed(operation: Operation) -> None:
    """Another reference, currency, amount or kind of thing. Only the answer to a cancel names no amount."""
    command = asked(operation)
    same = command.attempt.attempt_id
    others = [
        asked(operation),
        asked(
            Operation.REFUND if operation is not Operation.REFUND else Operation.CAPTURE,
            attempt_id=same,
        ),
    ]
    if operation is not Operation.VOID:
        others.append(asked(operation, attempt_id=same, currency="KWD"))
        others.append(asked(operation, attempt_id=same, amount=1_001))
    for other in others:
        with pytest.raises(AnswerSurprising):
            ADAPTER.answer(command, PEER.answered(other, Outcome.APPROVED))


@pytest.mark.parametrize("outcome", [Outcome.APPROVED, Outcome.DECLINED])
@pytest.mark.parametrize("operation", list(Operation))
def test_its_notices_say_what_they_are_about(operation: Operation, outcome: Outcome) -> None:
    made = attempt(operation)
    report = ADAPTER.report(PEER.notice(made, outcome, "acct_shop"))
    assert report is not None
    assert (report.account, report.mode, report.reference) == ("acct_shop", "test", made.attempt_id)
    assert (report.operation, report.amount, report.currency) == (operation, made.amount, "AED")
    assert (report.found.outcome, report.found.basis) == (outcome, Basis.NOTICE)


def test_what_is_documented_as_not_executed_is_not_sent() -> None:
    for status in PEER.refusals():
        found = ADAPTER.answer(asked(Operation.CAPTURE), reply(status, PEER.refusal))
        assert found.outcome is Outcome.NOT_SENT
