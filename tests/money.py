# SPDX-License-Identifier: Apache-2.0
"""Checkers of money, apart from any workload: our books against a simulator's, wishes against what was executed.

Each takes what was read from both sides and returns findings in words; nothing found is an empty list.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

#: What of a journal moved money or held it, by the operation of ours that asked for it.
EXECUTED: Final = {
    "authorized": {"authorize"},
    "captured": {"capture", "sale"},
    "voided": {"void"},
    "refunded": {"refund"},
    "incremented": {"increment"},
}

#: What a processor takes back by itself, after it had said yes.
REVERSED: Final = frozenset({"capture_failed", "refund_failed"})
FINAL: Final = frozenset({"approved", "declined", "not_sent"})


@dataclass(frozen=True, slots=True)
class Told:
    """What a merchant was told of a wish: its route and key, and what the answer named."""

    wish: str
    status: int
    payment: str
    attempt: str
    outcome: str
    refund: str = ""
    refund_status: str = ""


def doubled(attempts: Iterable[Mapping[str, Any]], journal: Iterable[Any]) -> list[str]:
    """Promise 4: a wish was executed at most once, and only under the one key that its attempt was saved with."""
    attempts = list(attempts)
    wish_of = {each["attempt_id"]: (each["payment_id"], each["wish"]) for each in attempts}
    # Only what certainly moved nothing is followed by another attempt of its wish.
    wishes = Counter(
        wish_of[each["attempt_id"]]
        for each in attempts
        if each["outcome"] not in ("declined", "not_sent")
    )
    found = [f"two attempts of one wish live: {wish}" for wish, n in wishes.items() if n > 1]
    steps = Counter((*wish_of[each["attempt_id"]], each["step"]) for each in attempts)
    found += [f"two attempts are one step: {step}" for step, count in steps.items() if count > 1]
    executed: Counter[tuple[str, str]] = Counter()
    for entry in journal:
        if entry.kind not in EXECUTED:
            continue
        if entry.reference not in wish_of:
            found.append(f"{entry.kind} of {entry.amount} for nobody: {entry.reference}")
            continue
        executed[entry.reference, entry.kind] += 1
        if entry.idempotency_key not in (None, entry.reference):
            found.append(f"{entry.kind} under another key than its attempt's: {entry.reference}")
    found += [f"{kind} twice: {ref}" for (ref, kind), count in executed.items() if count > 1]
    return found


def live_authorizations(attempts: Iterable[Mapping[str, Any]], journal: Iterable[Any]) -> list[str]:
    """Promise 4: no payment was authorized, or sold, twice at the processor."""
    attempts = list(attempts)
    payment_of = {each["attempt_id"]: each["payment_id"] for each in attempts}
    sales = {each["attempt_id"] for each in attempts if each["operation"] == "sale"}
    counted = Counter(
        payment_of.get(entry.reference, entry.reference)
        for entry in journal
        if entry.kind == "authorized" or (entry.kind == "captured" and entry.reference in sales)
    )
    return [
        f"authorized {count} times: {payment}" for payment, count in counted.items() if count > 1
    ]


def contradictions(attempts: Iterable[Mapping[str, Any]], journal: Sequence[Any]) -> list[str]:
    """What we say of an attempt against what the processor did: approved means executed, no means not executed."""
    executed: dict[str, set[str]] = {}
    acted_at: dict[str, datetime] = {}
    for entry in journal:
        if entry.kind in EXECUTED:
            executed.setdefault(entry.reference, set()).add(entry.kind)
            acted_at[entry.reference] = entry.at
    reversed_ = {entry.reference for entry in journal if entry.kind in REVERSED}
    found = []
    for each in attempts:
        did = {
            kind
            for kind in executed.get(each["attempt_id"], set())
            if each["operation"] in EXECUTED[kind]
        }
        if each["attempt_id"] in reversed_:
            continue
        said = each["outcome"]
        if said == "approved" and not did:
            found.append(
                f"{each['operation']} called approved and never executed: {each['attempt_id']}"
            )
        if said in ("declined", "not_sent") and did:
            # Beyond the adapter's visibility it is the processor that broke its word, as a starved simulator does.
            late = (acted_at[each["attempt_id"]] - each["lease_until"]).total_seconds()
            found.append(
                f"{each['operation']} called {said} and executed {late:+.1f} s from the end of its lease: "
                f"{each['attempt_id']}"
            )
    return found


def differences(payments: Iterable[Mapping[str, Any]], sums: Mapping[str, Any]) -> list[str]:
    """Our balances against the processor's, to the last minor unit. `sums` is by the processor's payment reference."""
    found = []
    for payment in payments:
        theirs = sums.get(payment["authorization"] or "")
        ours = tuple(payment[name] for name in ("authorized", "captured", "voided", "refunded"))
        if theirs is None:
            if any(ours):
                found.append(
                    f"{payment['payment_id']}: we hold {ours}, the processor knows nothing"
                )
            continue
        if ours != theirs:
            found.append(f"{payment['payment_id']}: we say {ours}, the processor {theirs}")
    return found


def misposted(
    payments: Iterable[Mapping[str, Any]],
    postings: Iterable[Mapping[str, Any]],
    sums: Mapping[str, Any],
) -> list[str]:
    """The ledger against the processor's own sums, and no posting that belongs to no payment."""
    accounts: dict[str, Counter[str]] = {}
    for each in postings:
        of_payment = accounts.setdefault(each["payment_id"], Counter())
        of_payment[each["debit"]] += each["amount"]
        of_payment[each["credit"]] -= each["amount"]
    found = []
    for payment in payments:
        ours = accounts.pop(payment["payment_id"], Counter())
        authorized, captured, voided, refunded = sums.get(payment["authorization"] or "") or (
            (0,) * 4
        )
        theirs = Counter(
            holds=authorized - captured - voided,
            authorizations=-(authorized - captured - voided),
            sales=-captured,
            refunds=refunded,
            receivable=captured - refunded - payment["disputed"],
            disputes=payment["disputed"],
        )
        if any(ours[name] != theirs[name] for name in ours | theirs):
            found.append(f"{payment['payment_id']}: posted {dict(ours)}, theirs {dict(theirs)}")
    return found + [f"posted for nobody: {payment}" for payment in accounts]


def impossible(payments: Iterable[Mapping[str, Any]]) -> list[str]:
    """Promise 6: sums that nobody may ever see."""
    found = []
    for each in payments:
        asked = each["capturing"] + each["captured"] + each["voiding"] + each["voided"]
        if asked > each["authorized"] and not each["discrepancy"]:
            found.append(f"{each['payment_id']}: {asked} of {each['authorized']}")
        back = each["refunding"] + each["refunded"]
        if back > each["captured"] and not each["discrepancy"]:
            found.append(f"{each['payment_id']}: {back} back of {each['captured']}")
        if each["authorized"] > each["amount"] + each["incremented"] and not each["discrepancy"]:
            found.append(f"{each['payment_id']}: {each['authorized']} held, which nobody asked for")
        if each["incrementing"] and (each["capturing"] or each["voiding"]):
            found.append(f"{each['payment_id']}: raised while it is taken or released")
        asked_for = ("capturing", "voiding", "refunding", "incrementing")
        if min(each[name] for name in asked_for) < 0:
            found.append(f"{each['payment_id']}: less than nothing is asked for")
    return found


def overasked(
    payments: Iterable[Mapping[str, Any]], attempts: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Promise 6, by attempts alone: what was asked for and may have happened never exceeds what there is."""
    asked: Counter[tuple[str, str]] = Counter()
    for each in attempts:
        if each["outcome"] not in ("declined", "not_sent"):
            asked[each["payment_id"], each["operation"]] += each["amount"]
    found = []
    for payment in payments:
        name = payment["payment_id"]
        taken = asked[name, "capture"]
        if taken > payment["authorized"]:
            found.append(f"{name}: {taken} asked for of {payment['authorized']}")
        back = asked[name, "refund"]
        if back > payment["captured"]:
            found.append(f"{name}: {back} asked back of {payment['captured']}")
    return found


def sums_of(books: Any) -> dict[str, tuple[int, int, int, int]]:
    """Return a simulator's sums by the reference of the authorization (our attempt's id)."""
    return {
        each.reference: (each.authorized, each.captured, each.voided, each.refunded)
        for each in books.payments
        if each.status not in ("declined", "requires_action", "pending")
    }


def refused(sums: Mapping[str, Any]) -> list[str]:
    """The processor's own sums never exceed what was authorized: its journal is sound."""
    return [
        f"{reference}: {values}"
        for reference, values in sums.items()
        if values[1] + values[2] > values[0] or values[3] > values[1]
    ]


def acknowledged(
    told: Iterable[Told],
    payments: Iterable[Mapping[str, Any]],
    attempts: Iterable[Mapping[str, Any]],
    refunds: Iterable[Mapping[str, Any]],
    journal: Iterable[Any],
) -> list[str]:
    """Nothing that a merchant was told is lost, changed or told in two ways; what was refused was not tried."""
    known = {each["payment_id"] for each in payments}
    attempts = list(attempts)
    by_id = {each["attempt_id"]: each for each in attempts}
    tried = {each["wish"] for each in attempts}
    status_of = {each["refund_id"]: each["status"] for each in refunds}
    reversed_ = {entry.reference for entry in journal if entry.kind in REVERSED}
    named: dict[str, tuple[str, str, str]] = {}
    found = []
    for each in told:
        if each.status in (409, 422):
            if each.wish in tried:
                found.append(f"refused with {each.status}, and tried all the same: {each.wish}")
            continue
        names = (each.payment, each.attempt, each.refund)
        if named.setdefault(each.wish, names) != names:
            found.append(f"one wish, told in two ways: {each.wish}: {named[each.wish]}, {names}")
        if each.payment not in known:
            found.append(f"{each.wish}: told of {each.payment or 'no payment'}, which is not there")
        attempt = by_id.get(each.attempt)
        if each.attempt and (attempt is None or attempt["payment_id"] != each.payment):
            found.append(f"{each.wish}: told of {each.attempt}, which is not there")
        if attempt is None or each.attempt in reversed_:
            continue
        if each.outcome in FINAL and each.outcome != attempt["outcome"]:
            found.append(
                f"{each.attempt} was told to be {each.outcome} and is {attempt['outcome']}"
            )
        if each.refund_status == "succeeded" and status_of.get(each.refund) != "succeeded":
            found.append(f"{each.refund} was told to have succeeded and did not")
    return found


def ordered_once(payments: Iterable[Mapping[str, Any]]) -> list[str]:
    """One payment an order: a merchant's name for what is bought is there once, however often it was asked for."""
    counted = Counter(each["reference"] for each in payments if each["reference"] is not None)
    return [f"{count} payments of {name}" for name, count in counted.items() if count > 1]


def unsettled(
    attempts: Iterable[Mapping[str, Any]], journal: Iterable[Any], by_notice: Iterable[str]
) -> list[str]:
    """Every attempt has its final outcome, but for what nobody will ever tell.

    `by_notice`: the connections whose processor cannot be asked. What it never executed it never tells of, and that
    stays unknown.
    """
    happened = {entry.reference for entry in journal}
    quiet = set(by_notice)
    return [
        f"{each['operation']} is {each['outcome'] or 'open'} for ever: {each['attempt_id']}"
        for each in attempts
        if each["outcome"] in (None, "unknown", "pending")
        and (each["connection_id"] not in quiet or each["attempt_id"] in happened)
    ]


def recounted(
    payments: Iterable[Mapping[str, Any]], attempts: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Balances are the sum of a payment's attempts, counted anew and by another rule than the program's."""
    sums: dict[str, Counter[str]] = {}
    for each in attempts:
        counted = sums.setdefault(each["payment_id"], Counter())
        operation, outcome, amount = each["operation"], each["outcome"], each["amount"]
        if outcome in (None, "unknown", "pending"):
            reserved = {
                "capture": "capturing",
                "increment": "incrementing",
                "refund": "refunding",
                "void": "voiding",
            }
            counted[reserved.get(operation, "")] += amount
            counted["voiding"] += each["releases"]
        elif outcome == "approved":
            settled = amount if each["settled_amount"] is None else each["settled_amount"]
            if operation in ("authorize", "sale", "increment"):
                counted["authorized"] += settled
            if operation == "increment":
                counted["incremented"] += settled
            if operation == "capture" or (
                operation == "sale" and each["reason"] != "capture_failed"
            ):
                counted["captured"] += settled
            if operation == "refund":
                counted["refunded"] += settled
    names = (
        *("authorized", "capturing", "captured", "voiding", "refunding", "refunded"),
        *("incrementing", "incremented"),
    )
    found = []
    for payment in payments:
        counted = sums.get(payment["payment_id"], Counter())
        found += [
            f"{payment['payment_id']}: {name} is {payment[name]}, its attempts say {counted[name]}"
            for name in names
            if payment[name] != counted[name]
        ]
    return found


def refunds_apart(
    refunds: Iterable[Mapping[str, Any]], attempts: Iterable[Mapping[str, Any]]
) -> list[str]:
    """A refund stands where its attempt stands."""
    outcome_of = {each["attempt_id"]: each["outcome"] for each in attempts}
    words = {"approved": "succeeded", "declined": "failed", "not_sent": "failed"}
    return [
        f"{each['refund_id']} is {each['status']}, its attempt {outcome_of.get(each['attempt_id'])}"
        for each in refunds
        if each["status"] != words.get(outcome_of.get(each["attempt_id"]) or "", "pending")
    ]


def out_of_order(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """What a merchant hears of a payment can be put in order: made first, authorized before captured, time forward.

    `events`: type, payment and updated_at of each, in the order of their ids.
    """
    by_payment: dict[str, list[Mapping[str, Any]]] = {}
    for each in events:
        by_payment.setdefault(each["payment"], []).append(each)
    found = []
    for payment, told in by_payment.items():
        types = [each["type"] for each in told]
        if types[0] != "payment.created" or types.count("payment.created") > 1:
            found.append(f"{payment} begins with {types[0]}")
        for later in ("payment.captured", "payment.voided"):
            manual = "payment.authorized" in types
            if manual and later in types and types.index(later) < types.index("payment.authorized"):
                found.append(f"{payment}: {later} before payment.authorized")
        times = [each["updated_at"] for each in told]
        if times != sorted(times):
            found.append(f"{payment}: its time goes back: {list(zip(types, times, strict=True))}")
    return found


def gone_back(
    seen: Iterable[tuple[str, str, str, int]], reversed_payments: Iterable[str]
) -> list[str]:
    """Who reads a payment again and again never reads an older one: (payment, updated_at, status, captured)."""
    excepted = set(reversed_payments)
    last: dict[str, tuple[str, str, int]] = {}
    found = []
    for payment, at, status, captured in seen:
        before = last.get(payment)
        if before is not None:
            if at < before[0]:
                found.append(f"{payment}: read at {before[0]} and then at {at}")
            if captured < before[2] and payment not in excepted:
                found.append(f"{payment}: {before[2]} captured, and then {captured}")
            if before[1] == "succeeded" and status == "requires_confirmation":
                found.append(f"{payment}: {before[1]}, and then {status}")
        last[payment] = (at, status, captured)
    return found


def untold(
    events: Iterable[str], taken: Mapping[str, int], deliveries: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Every event of a committed change arrived at least once, and the log of deliveries says so too."""
    found = [f"{each} never arrived" for each in events if not taken.get(each)]
    return found + [
        f"{each['delivery_id']} is {each['status']}"
        for each in deliveries
        if each["status"] != "delivered"
    ]
