# SPDX-License-Identifier: Apache-2.0
"""What Adyen's notifications say of our attempts: its own examples, a table, and that nothing unsigned counts."""

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.adyen_words import ACCOUNT, ADAPTER, AUTHORIZATION, attempt, notification, vectors
from strongroom.payments.model import Basis, DisputeStatus, Found, Operation, Outcome
from strongroom.payments.ports import AnswerSurprising, Report
from strongroom.payments.processors.adyen.notices import (
    DISPUTES,
    MEANINGS,
    UNASKED,
    concerns_payments,
)
from strongroom.payments.processors.adyen.references import reference_of

OWN: Final = "QFQTPCQ8HXSKGK82"


def read(body: bytes) -> Report:
    report = ADAPTER.report(body)
    assert report is not None
    return report


# --- examples ---------------------------------------------------------------------------------------

#: Kinds that are read. Every other published kind says nothing of a payment of ours.
CONCERN: Final = set(MEANINGS) | set(DISPUTES) | UNASKED
#: Notifications without items: they are of bank accounts, and no HMAC of this kind signs them.
WITHOUT_ITEMS: Final = {
    "post-ACH_NOTIFICATION_OF_CHANGE-ach_notification_of_change",
    "post-DIRECT_DEBIT_NOTICE_OF_CHANGE_NOTIFICATION-ach_notice_of_change",
    "post-DIRECT_DEBIT_NOTICE_OF_CHANGE_NOTIFICATION-eft_notice_of_change",
}


@pytest.mark.parametrize("name", sorted(vectors("webhooks-v1-examples.json")))
def test_a_published_example_is_read(name: str) -> None:
    """References are the examples' own, so they name no attempt: the engine puts them aside as uncorrelated."""
    example = vectors("webhooks-v1-examples.json")[name]
    body = json.dumps(example).encode()
    if name in WITHOUT_ITEMS:
        with pytest.raises(AnswerSurprising):
            ADAPTER.report(body)
        return
    item = example["notificationItems"][0]["NotificationRequestItem"]
    report = ADAPTER.report(body)
    assert (report is not None) is (item["eventCode"] in CONCERN)
    if report is not None:
        assert report.account == item["merchantAccountCode"]
        assert report.mode == {"true": "live", "false": "test"}[example["live"]]
        assert (report.reference, report.operation) == (item["merchantReference"], None)
        assert (report.amount, report.currency) == (
            item["amount"]["value"],
            item["amount"]["currency"],
        )
        assert report.event_type == item["eventCode"]
        told = report.dispute
        assert (told is not None) is (item["eventCode"] in DISPUTES)
        if told is not None:
            assert (told.processor_reference, told.amount, told.currency) == (
                item["pspReference"],
                item["amount"]["value"],
                item["amount"]["currency"],
            )
            # Neither `reason` nor `defensePeriodEndsAt` is signed.
            assert (told.reason, told.evidence_due_by) == (None, None)


#: From the first word to the last, in the order in which Adyen's guide to disputes has them.
STEPS: Final = (
    "REQUEST_FOR_INFORMATION NOTIFICATION_OF_CHARGEBACK CHARGEBACK CHARGEBACK_REVERSED SECOND_CHARGEBACK "
    "PREARBITRATION_LOST SCHEME_ARBITRATION_LOST"
).split()


def test_a_disputes_words_go_one_way() -> None:
    steps = [DISPUTES[word][1] for word in STEPS]
    assert steps == sorted(set(steps))
    assert {DISPUTES[word][0] for word in DISPUTES if word.endswith("_WON")} == {DisputeStatus.WON}
    assert DISPUTES["SECOND_CHARGEBACK"][0] is DISPUTES["CHARGEBACK"][0] is DisputeStatus.OPENED


def test_every_kind_that_moves_money_is_read() -> None:
    kinds = set(vectors("webhooks-v1-kinds.json"))
    assert len(kinds) == 48
    # Adyen's list of kinds has neither word: its disputes' guide has.
    assert set(MEANINGS) <= kinds
    assert {kind for kind in kinds if concerns_payments(kind)} == CONCERN & kinds
    for word in ("CHARGEBACK", "SECOND_CHARGEBACK", "CANCEL_OR_REFUND", "CHARGEBACK_REVERSED"):
        assert concerns_payments(word)
    for word in ("REPORT_AVAILABLE", "NOTIFICATION_OF_FRAUD", "ORDER_CLOSED", "RECURRING_CONTRACT"):
        assert not concerns_payments(word)


@pytest.mark.parametrize(
    "name", [name for name in sorted(vectors("python-mocks.json")) if name.startswith("util/")]
)
def test_an_item_of_the_python_librarys_tests_is_read(name: str) -> None:
    item = vectors("python-mocks.json")[name]
    body = json.dumps(
        {"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}
    ).encode()
    report = read(body)
    assert (report.reference, report.operation) == (item["merchantReference"], None)
    assert (report.amount, report.currency) == (1_000, "EUR")


# --- the table --------------------------------------------------------------------------------------

APPROVED, DECLINED = Outcome.APPROVED, Outcome.DECLINED
AUTHORIZE, SALE, VERIFY = Operation.AUTHORIZE, Operation.SALE, Operation.VERIFY
INCREMENT = Operation.INCREMENT
CAPTURE, VOID, REFUND = Operation.CAPTURE, Operation.VOID, Operation.REFUND

#: kind, succeeded, operation → outcome, captured, released, whose reference Adyen's is.
SAID: Final[list[tuple[str, str, Operation, Outcome, int | None, int | None, str | None]]] = [
    ("AUTHORISATION", "true", AUTHORIZE, APPROVED, None, None, OWN),
    ("AUTHORISATION", "true", SALE, APPROVED, None, None, OWN),
    ("AUTHORISATION", "true", VERIFY, APPROVED, None, None, OWN),
    ("AUTHORISATION", "false", VERIFY, DECLINED, None, None, OWN),
    ("AUTHORISATION", "false", AUTHORIZE, DECLINED, None, None, OWN),
    ("AUTHORISATION", "false", SALE, DECLINED, None, None, OWN),
    ("CAPTURE", "true", CAPTURE, APPROVED, None, None, OWN),
    ("CAPTURE", "false", CAPTURE, DECLINED, None, None, OWN),
    ("CAPTURE", "true", SALE, APPROVED, 1_000, None, AUTHORIZATION),
    ("CAPTURE", "false", SALE, APPROVED, 0, None, AUTHORIZATION),
    ("CAPTURE_FAILED", "true", CAPTURE, DECLINED, None, None, OWN),
    ("CAPTURE_FAILED", "true", SALE, APPROVED, 0, None, AUTHORIZATION),
    ("AUTHORISATION_ADJUSTMENT", "true", INCREMENT, APPROVED, None, None, OWN),
    ("AUTHORISATION_ADJUSTMENT", "false", INCREMENT, DECLINED, None, None, OWN),
    ("CANCELLATION", "true", VOID, APPROVED, None, None, OWN),  # of what we asked for
    ("CANCELLATION", "false", VOID, DECLINED, None, None, OWN),
    ("TECHNICAL_CANCEL", "true", AUTHORIZE, APPROVED, 0, 1_000, AUTHORIZATION),
    ("TECHNICAL_CANCEL", "true", SALE, APPROVED, 0, 1_000, AUTHORIZATION),
    ("EXPIRE", "true", AUTHORIZE, APPROVED, None, 1_000, AUTHORIZATION),
    ("EXPIRE", "true", SALE, APPROVED, None, 1_000, AUTHORIZATION),
    ("OFFER_CLOSED", "true", AUTHORIZE, DECLINED, None, None, OWN),
    ("OFFER_CLOSED", "true", SALE, DECLINED, None, None, OWN),
    ("OFFER_CLOSED", "true", VERIFY, DECLINED, None, None, OWN),
    ("REFUND", "true", REFUND, APPROVED, None, None, OWN),
    ("REFUND", "false", REFUND, DECLINED, None, None, OWN),
    ("REFUND_FAILED", "true", REFUND, DECLINED, None, None, OWN),
    ("REFUNDED_REVERSED", "true", REFUND, DECLINED, None, None, OWN),
]
_SAID_KEYS: Final = {(kind, success, operation) for kind, success, operation, *_ in SAID}


@pytest.mark.parametrize(
    ("kind", "success", "operation", "outcome", "captured", "released", "named"), SAID
)
def test_a_notification_says(
    kind: str,
    success: str,
    operation: Operation,
    outcome: Outcome,
    captured: int | None,
    released: int | None,
    named: str | None,
) -> None:
    asked = attempt(operation)
    report = read(notification(kind, reference_of(asked), success=success))
    assert (report.account, report.mode) == (ACCOUNT, "test")
    assert (report.reference, report.operation) == (asked.attempt_id, operation)
    assert (report.amount, report.currency, report.event_type) == (1_000, "AED", kind)
    found = report.found
    assert (found.outcome, found.basis) == (outcome, Basis.NOTICE)
    assert (found.captured, found.released) == (captured, released)
    assert found.processor_reference == named
    # Which may name the whole payment; and of a raise it says what it came to, not what was added.
    told = outcome is APPROVED and kind != "CANCELLATION" and not report.of_total
    assert found.amount == (1_000 if told else None)
    if outcome is DECLINED:
        assert (found.decline_code is not None, found.reason) == (True, kind.lower())


@pytest.mark.parametrize("success", ["true", "false"])
@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("kind", sorted(CONCERN))
def test_what_nobody_asked_for_is_never_an_outcome(
    kind: str, operation: Operation, success: str
) -> None:
    """A refund made in Adyen's console, a chargeback, "failed: false": ours to hear of, and no operation of ours."""
    if (kind, success, operation) in _SAID_KEYS:
        return
    asked = attempt(operation)
    report = read(notification(kind, reference_of(asked), success=success))
    assert (
        report.operation is None
    )  # the engine calls that "differs": kept, alerted, and nothing changes
    assert report.found == Found(Outcome.UNKNOWN, Basis.NOTICE, reason=kind.lower())


@pytest.mark.parametrize(
    "other",
    [
        "att_0123",
        "att_01KJ0000000000000000000000",
        "att_01KJ0000000000000000000000-",
        "att_01KJ0000000000000000000000-steal",
        "att_01KJ0000000000000000000000_sale",
        "pay_01KJ0000000000000000000000-sale",
        "x-att_01KJ0000000000000000000000-sale",
        "-sale",
        "",
        "Bestellung 5-refund",
    ],
)
def test_a_reference_that_is_not_ours_has_no_operation(other: str) -> None:
    report = read(notification("AUTHORISATION", other))
    assert (report.reference, report.operation) == (other, None)


@pytest.mark.parametrize("kind", ["NEVER_HEARD_OF", "REPORT_AVAILABLE", "", "chargeback", "🂡"])
def test_a_kind_that_nobody_published_says_nothing(kind: str) -> None:
    assert ADAPTER.report(notification(kind, "x")) is None


# --- only what is signed ------------------------------------------------------------------------------

#: Members outside the signature, and what somebody in between could make of them.
UNSIGNED: Final[dict[str, Any]] = {
    "additionalData": {"authorisedAmountValue": "9", "captureMerchantReference": "x"},
    "eventDate": "1999-01-01T00:00:00Z",
    "operations": ["REFUND"],
    "paymentMethod": "other",
    "reason": "Not enough balance",
}
#: Members inside it.
SIGNED: Final[dict[str, Any]] = {
    "pspReference": "X3GWNS6KJ8NKGK82",
    "merchantAccountCode": "Another",
    "amount": {"currency": "KWD", "value": 1_001},
    "eventCode": "CAPTURE_FAILED",
    "success": "false",
}


@pytest.mark.parametrize("member", sorted(UNSIGNED))
@pytest.mark.parametrize("success", ["true", "false"])
def test_what_is_not_signed_changes_nothing(member: str, success: str) -> None:
    ours = reference_of(attempt(Operation.AUTHORIZE))
    plain = read(notification("AUTHORISATION", ours, success=success))
    other = {member: UNSIGNED[member]}
    assert read(notification("AUTHORISATION", ours, success=success, **other)) == plain


@pytest.mark.parametrize("member", sorted(SIGNED))
def test_what_is_signed_counts(member: str) -> None:
    ours = reference_of(attempt(Operation.AUTHORIZE))
    plain = read(notification("AUTHORISATION", ours))
    assert read(notification("AUTHORISATION", ours, **{member: SIGNED[member]})) != plain


def test_the_unsigned_mode_can_only_be_another() -> None:
    """`live` is not signed. The engine compares it with the connection's mode, so it makes nothing believed."""
    ours = reference_of(attempt(Operation.SALE))
    live = read(notification("AUTHORISATION", ours, live="true"))
    test = read(notification("AUTHORISATION", ours, live="false"))
    assert (live.mode, test.mode) == ("live", "test")


@pytest.mark.parametrize(
    "wrong",
    [
        {"success": True},
        {"success": "TRUE"},
        {"success": None},
        {"amount": {"currency": "AED", "value": "1000"}},
        {"amount": {"currency": "AED", "value": -1}},
        {"amount": {"currency": "aed", "value": 1}},
        {"amount": None},
        {"pspReference": "../x"},
        {"merchantReference": "x" * 81},
        {"merchantReference": None},
        {"merchantAccountCode": None},
        {"originalReference": "short"},
    ],
    ids=str,
)
def test_an_item_of_another_shape_is_surprising(wrong: dict[str, Any]) -> None:
    good = json.loads(notification("AUTHORISATION", reference_of(attempt(Operation.SALE))))
    good["notificationItems"][0]["NotificationRequestItem"] |= wrong
    with pytest.raises(AnswerSurprising):
        ADAPTER.report(json.dumps(good).encode())


def test_an_envelope_holds_one_item_and_says_which_mode() -> None:
    """A second item would be lost: one report is made of a notification."""
    good = json.loads(notification("AUTHORISATION", "x"))
    items = good["notificationItems"]
    for envelope in (
        {**good, "notificationItems": items * 2},
        {**good, "notificationItems": []},
        {**good, "live": True},
        {**good, "live": "maybe"},
        {"notificationItems": items},
        items,
    ):
        with pytest.raises(AnswerSurprising):
            ADAPTER.report(json.dumps(envelope).encode())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    st.sampled_from(
        "amount eventCode merchantAccountCode merchantReference originalReference pspReference success".split()
    ),
)
def test_any_member_is_read_or_surprising(value: Any, member: str) -> None:
    good = json.loads(notification("CAPTURE", reference_of(attempt(Operation.CAPTURE))))
    good["notificationItems"][0]["NotificationRequestItem"][member] = value
    try:
        report = ADAPTER.report(json.dumps(good).encode())
    except AnswerSurprising:
        return
    assert report is None or report.operation in (None, Operation.CAPTURE)
