# SPDX-License-Identifier: Apache-2.0
"""What Checkout.com's adapter makes of looks: payments and actions that are found, accounts; nothing of another's."""

from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.checkout_peer import (
    ADAPTER,
    DESTINATIONS,
    NOW,
    SENDABLE,
    about,
    asked,
    listed,
    looked,
    outcome,
    reply,
    sums,
)
from contracts.checkout_reference import (
    ACCEPTED,
    ACTED,
    ACTION,
    LISTED,
    LIVE,
    PAY,
    PREFIX,
    PROCESSED,
    SANDBOX,
)
from contracts.processor import attempt
from payment_makers import loaded, payment
from strongroom.compose.payments import ADAPTERS
from strongroom.kernel.mode import Mode
from strongroom.payments.looks import question
from strongroom.payments.model import (
    Basis,
    Connection,
    Finding,
    Found,
    Loaded,
    Operation,
    Outcome,
)
from strongroom.payments.ports import AnswerSurprising
from strongroom.payments.processors.checkout import CheckoutAdapter
from strongroom.payments.processors.simulator import SimulatorAdapter

# --- never another's ----------------------------------------------------------------------------------


@given(
    operation=st.sampled_from(list(Operation)),
    amount=st.integers(1, 10**9),
    currency=st.sampled_from(SENDABLE),
    own_reference=st.booleans(),
    status=st.sampled_from(["Authorized", "Captured", "Voided", "Refunded", "Expired"]),
)
def test_nothing_of_another_amount_currency_or_reference_is_ever_approved(
    *, operation: Operation, amount: int, currency: str, own_reference: bool, status: str
) -> None:
    made = asked(operation)
    ours = own_reference and amount == 1_000 and currency == "AED"
    other = {
        "amount": amount,
        "currency": currency,
        "reference": made.attempt.attempt_id if own_reference else "att_" + "0" * 26,
    }
    answers = [
        reply(201, {**PROCESSED, **other}),
        reply(202, {**ACCEPTED, **other}),
        reply(202, {**ACTED, **other}),
    ]
    for answer in answers:
        assert ours or outcome(made, answer) is not Outcome.APPROVED
    sale = msgspec.structs.replace(made.attempt, outcome=Outcome.APPROVED, processor_reference=PAY)
    types = ("Authorization", "Capture", "Void", "Refund")
    # An action has no currency; a release is of whatever was left.
    mine = own_reference and (amount == 1_000 or operation is Operation.VOID)
    for asking in (made.attempt, sale):
        payments = listed(
            {**LISTED, **other, "status": status, "approved": True, "balances": sums(amount)}
        )
        found = looked(asking, payments)
        assert ours or not _is_approved(found)
        for kind in types:
            found = looked(asking, [{**ACTION, **other, "type": kind}])
            assert mine or not _is_approved(found)


def _is_approved(found: Found | str | None) -> bool:
    return isinstance(found, Found) and found.outcome is Outcome.APPROVED


@given(body=st.binary(max_size=400), status=st.sampled_from([200, 201, 202, 401, 422, 429, 500]))
def test_any_bytes_are_read_or_surprising(body: bytes, status: int) -> None:
    for operation in Operation:
        made = asked(operation)
        outcome(made, reply(status, body))
        looked(made.attempt, body, status)
    for prefix in (b"[", b'{"data":'):
        looked(attempt(Operation.CAPTURE), prefix + body)
    with pytest.raises(AnswerSurprising):
        ADAPTER.account(connection(), reply(200, b"[" + body))


# --- looking ------------------------------------------------------------------------------------------

FULL: Final = sums(1_000)
#: Status, what else, the outcome, released, captured (of a sale).
PAYMENTS: Final[list[tuple[str, dict[str, Any], Outcome | str, int | None, int | None]]] = [
    ("Authorized", {}, Outcome.APPROVED, None, None),
    ("Authorized", {"balances": FULL}, Outcome.APPROVED, 0, None),
    ("Captured", {"balances": sums(1_000, 0, 1_000)}, Outcome.APPROVED, 0, 1_000),
    ("Partially Captured", {"balances": sums(1_000, 0, 400)}, Outcome.APPROVED, 0, 400),
    ("Refunded", {"balances": sums(1_000, 0, 1_000)}, Outcome.APPROVED, 0, 1_000),
    ("Voided", {"balances": sums(1_000, 1_000)}, Outcome.APPROVED, 1_000, 0),
    ("Voided", {}, Outcome.APPROVED, 1_000, 0),
    ("Expired", {"balances": sums(1_000, 0, 300)}, Outcome.APPROVED, 700, 300),
    ("Expired", {"balances": FULL}, Outcome.APPROVED, 1_000, 0),
    ("Expired", {"balances": sums(0)}, Outcome.DECLINED, None, None),
    ("Expired", {"approved": True}, "surprising", None, None),
    ("Canceled", {"approved": False}, Outcome.DECLINED, None, None),
    ("Canceled", {"balances": FULL}, "surprising", None, None),
    ("Declined", {"approved": False}, Outcome.DECLINED, None, None),
    ("Declined", {"approved": True}, "surprising", None, None),
    ("Pending", {}, Outcome.PENDING, None, None),
    ("Card Verified", {}, "surprising", None, None),
    ("Paid", {}, "surprising", None, None),
    ("Authorized", {"balances": sums(900)}, "surprising", None, None),
    (
        "Authorized",
        {"_links": {"self": {"href": f"{LIVE}/payments/{PAY}"}}},
        "surprising",
        None,
        None,
    ),
]


@pytest.mark.parametrize(("status", "more", "expected", "released", "captured"), PAYMENTS)
@pytest.mark.parametrize(
    ("operation", "known"),
    [
        (Operation.AUTHORIZE, Outcome.UNKNOWN),
        # Of a hold that was seen: what was captured of it since was captured with our knowledge, or is told.
        (Operation.AUTHORIZE, Outcome.APPROVED),
        (Operation.SALE, Outcome.UNKNOWN),
    ],
)
def test_a_payment_that_is_found(
    operation: Operation,
    known: Outcome,
    status: str,
    more: dict[str, Any],
    expected: Outcome | str,
    released: int | None,
    captured: int | None,
) -> None:
    made = attempt(operation, outcome=known)
    if captured and operation is Operation.AUTHORIZE and known is Outcome.UNKNOWN:
        expected = "surprising"
    template = ADAPTER.find(made)
    assert template.query == {"reference": made.attempt_id, "limit": "10"}
    DESTINATIONS.matched("checkout", Mode.TEST, template)
    found = looked(made, listed(about(made, LISTED, status=status, **{"approved": ..., **more})))
    if not isinstance(found, Found):
        assert found == expected
        return
    assert (found.outcome, found.basis, found.released) == (expected, Basis.LOOKUP, released)
    assert found.captured == (captured if operation is Operation.SALE else None)


@pytest.mark.parametrize("known", [*Outcome, None])
@pytest.mark.parametrize(
    ("status", "more", "taken"),
    [
        ("Authorized", {}, False),
        ("Authorized", {"balances": FULL}, False),
        ("Authorized", {"balances": sums(1_000, 0, 1)}, True),
        ("Captured", {}, True),
        ("Deferred Capture", {}, True),
        ("Deferred Refund", {}, True),
        ("Partially Captured", {}, True),
        ("Partially Refunded", {}, True),
        ("Refunded", {}, True),
        ("Voided", {}, False),
        ("Expired", {"balances": sums(1_000, 0, 300)}, True),
        ("Expired", {"balances": FULL}, False),
    ],
)
def test_money_that_was_taken_is_a_hold_only_where_the_hold_was_seen(
    known: Outcome | None, status: str, more: dict[str, Any], *, taken: bool
) -> None:
    """An authorization that nobody saw approved cannot have been captured by us."""
    made = attempt(Operation.AUTHORIZE, outcome=known, processor_reference=PAY)
    payment_there = about(made, LISTED, status=status, **{"approved": ..., **more})
    found = looked(made, listed(payment_there))
    if taken and known is not Outcome.APPROVED:
        assert found == "surprising"
    else:
        assert _is_approved(found)
    sale = attempt(Operation.SALE)
    assert _is_approved(looked(sale, listed({**payment_there, "reference": sale.attempt_id})))


def test_what_the_customer_has_to_do_is_not_forgotten_by_a_look() -> None:
    url = "https://3ds.example/challenge"
    made = attempt(Operation.AUTHORIZE, action_url=url)
    pending = about(made, LISTED, status="Pending")
    found = looked(made, listed(pending))
    assert isinstance(found, Found)
    assert found.action_url == url
    found = looked(made, listed({**pending, "_links": {"redirect": {"href": url + "2"}}}))
    assert isinstance(found, Found)
    assert found.action_url == url + "2"


@pytest.mark.parametrize("operation", [Operation.AUTHORIZE, Operation.SALE])
def test_nothing_found_is_none_and_several_are_surprising(operation: Operation) -> None:
    made = attempt(operation)
    one = about(made, LISTED)
    assert looked(made, listed()) is None
    assert looked(made, listed(one, one)) == "surprising"
    assert looked(made, {**listed(), "total_count": 1}) == "surprising"
    assert looked(made, {**listed(one), "total_count": 11}) == "surprising"
    for status in (401, 404, 422, 500):
        assert looked(made, listed(), status) == "surprising"


ACTIONS: Final[list[tuple[dict[str, Any], Outcome | str | None]]] = [
    ({}, Outcome.APPROVED),
    ({"response_code": "10100"}, Outcome.APPROVED),
    ({"approved": False, "response_code": "20051"}, Outcome.DECLINED),
    ({"approved": False, "response_code": "10000"}, "surprising"),
    ({"approved": True, "response_code": "20051"}, "surprising"),
    # Under way: no verdict, or no code.
    ({"approved": ..., "response_code": ...}, Outcome.PENDING),
    ({"approved": False, "response_code": ...}, Outcome.PENDING),
    ({"reference": "att_other"}, None),
    ({"reference": ...}, None),
    ({"type": "Authorization"}, "surprising"),
    ({"amount": ...}, "surprising"),
]


@pytest.mark.parametrize(("changes", "expected"), ACTIONS)
@pytest.mark.parametrize("operation", [Operation.CAPTURE, Operation.VOID, Operation.REFUND])
def test_an_action_that_is_found(
    operation: Operation, changes: dict[str, Any], expected: Outcome | str | None
) -> None:
    made = attempt(operation)
    mine = about(made, {**ACTION, "type": operation.value.title()}, **changes)
    found = looked(made, [mine, {**ACTION, "id": "act_" + "b" * 26}])
    assert (found.outcome if isinstance(found, Found) else found) == expected
    if isinstance(found, Found) and found.outcome is Outcome.DECLINED:
        assert found.decline_code == "insufficient_funds"
    if isinstance(found, Found) and found.outcome is Outcome.APPROVED:
        assert (found.amount, found.currency, found.processor_reference) == (
            1_000,
            "AED",
            ACTION["id"],
        )


def test_an_action_is_looked_for_at_its_payment_and_nowhere_else() -> None:
    """Without the payment's name a list of payments is asked for, and what is not there stays unknown."""
    for operation in (Operation.CAPTURE, Operation.VOID, Operation.REFUND):
        made = attempt(operation)
        approved = attempt(Operation.AUTHORIZE, outcome=Outcome.APPROVED, processor_reference=PAY)
        known = Loaded(payment(), (approved, made), ())
        template = question(ADAPTER, known, made)
        assert template.path == f"/payments/{PAY}/actions"
        DESTINATIONS.matched("checkout", Mode.TEST, template)
        assert question(ADAPTER, known, approved) == ADAPTER.find(approved)
        assert question(ADAPTER, loaded(), made) == ADAPTER.find(made)
        assert question(SimulatorAdapter(), known, made) == SimulatorAdapter().find(made)
        found = looked(made, listed())
        assert isinstance(found, Found)
        assert (found.outcome, found.reason) == (Outcome.UNKNOWN, "payment_not_known")


@pytest.mark.parametrize(
    ("later", "released", "captured"),
    [
        ([], 0, None),
        ([{"type": "Capture"}], 0, 1_000),
        ([{"type": "Capture", "approved": False, "response_code": "20006"}], 0, 0),
        (
            [{"type": "Capture", "approved": False, "response_code": "20006"}, {"type": "Capture"}],
            0,
            1_000,
        ),
        (
            [
                {"type": "Capture", "approved": False, "response_code": "20006"},
                {"type": "Capture", "approved": None, "response_code": None},
            ],
            0,
            None,
        ),
        ([{"type": "Void"}], 1_000, 0),
    ],
)
def test_a_sale_whose_capture_failed_is_told_by_its_actions(
    later: list[dict[str, Any]], released: int, captured: int | None
) -> None:
    made = attempt(Operation.SALE, outcome=Outcome.APPROVED, processor_reference=PAY)
    assert ADAPTER.find(made).path == f"/payments/{PAY}/actions"
    assert ADAPTER.find(attempt(Operation.SALE)).path == "/payments"
    first = about(made, ACTION)
    found = looked(made, [*({**first, **each} for each in later), first])
    assert isinstance(found, Found)
    assert (found.outcome, found.released, found.captured) == (Outcome.APPROVED, released, captured)
    assert looked(made, [{**first, "amount": 999}]) == "surprising"
    assert looked(made, []) == "surprising"


# --- the account ----------------------------------------------------------------------------------------


def connection(account: str = PREFIX, mode: Mode = Mode.TEST) -> Connection:
    made = attempt(Operation.SALE)
    return Connection(
        made.merchant_id,
        mode,
        made.connection_id,
        "shop",
        "checkout",
        account,
        Finding.BY_REFERENCE,
        "active",
        NOW,
        NOW,
    )


def workflow(*, active: bool = True, base: str = SANDBOX) -> dict[str, Any]:
    """Make one of `data` of `GET /workflows` (SDK: `workflows`)."""
    return {
        "id": "wf_c7svxlvo2bbuva4f6s3xu4f7wm",
        "name": "Webhooks",
        "active": active,
        "_links": {"self": {"href": f"{base}/workflows/wf_c7svxlvo2bbuva4f6s3xu4f7wm"}},
    }


@pytest.mark.parametrize(
    ("data", "known", "missing"),
    [
        ([workflow()], (PREFIX, "test"), []),
        ([workflow(active=False)], (PREFIX, "test"), ["no active workflow"]),
        ([], ("", ""), ["no active workflow", "does not say which account"]),
        ([workflow(base=LIVE)], (PREFIX, "live"), ["the other mode"]),
        (
            [workflow(base="https://aaaaaaaa.api.sandbox.checkout.com")],
            ("aaaaaaaa", "test"),
            ["another account"],
        ),
        ([workflow(base="https://api.sandbox.checkout.com")], ("api", "test"), ["another account"]),
        ([workflow(base="https://evil.example")], ("", ""), ["does not say which account"]),
    ],
)
def test_a_connection_is_tested(
    data: list[dict[str, Any]], known: tuple[str, str], missing: list[str]
) -> None:
    DESTINATIONS.matched("checkout", Mode.TEST, ADAPTER.probe())
    account = ADAPTER.account(connection(), reply(200, {"data": data}))
    assert (account.account, account.mode) == known
    assert len(account.missing) == len(missing)
    for said, expected in zip(account.missing, missing, strict=True):
        assert expected in said


@pytest.mark.parametrize(
    ("status", "body"), [(404, {"data": []}), (200, {}), (200, b""), (200, {"data": [{}]})]
)
def test_what_is_no_account_is_surprising(status: int, body: object) -> None:
    with pytest.raises(AnswerSurprising):
        ADAPTER.account(connection(), reply(status, body))


def test_it_is_registered() -> None:
    adapter = ADAPTERS["checkout"]
    assert isinstance(adapter, CheckoutAdapter)
    assert adapter.verification_scheme == "checkout"
    # A 5xx is not saved under its key, so the same key would act anew.
    assert adapter.findings == {Finding.BY_NOTICE, Finding.BY_REFERENCE}
    assert adapter.replay_seconds == 86_400
    assert adapter.visibility_seconds >= 900
