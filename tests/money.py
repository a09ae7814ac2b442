# SPDX-License-Identifier: Apache-2.0
"""Checkers of money, apart from any workload: our books against a simulator's, wishes against what was executed.

Each takes what was read from both sides and returns findings in words; nothing found is an empty list.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

#: What of a journal moved money or held it, by the operation of ours that asked for it.
EXECUTED: Final = {
    "authorized": {"authorize"},
    "captured": {"capture", "sale"},
    "voided": {"void"},
    "refunded": {"refund"},
}


def doubled(attempts: Iterable[Mapping[str, Any]], journal: Iterable[Any]) -> list[str]:
    """Promise 4: a wish was executed at most once, and only under the one key that its attempt was saved with."""
    attempts = list(attempts)
    wish_of = {each["attempt_id"]: (each["payment_id"], each["wish"]) for each in attempts}
    wishes = Counter(wish_of.values())
    found = [f"two attempts of one wish: {wish}" for wish, count in wishes.items() if count > 1]
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
    """Promise 4: no payment was authorized twice at the processor."""
    payment_of = {each["attempt_id"]: each["payment_id"] for each in attempts}
    counted = Counter(
        payment_of.get(entry.reference, entry.reference)
        for entry in journal
        if entry.kind == "authorized"
    )
    return [
        f"authorized {count} times: {payment}" for payment, count in counted.items() if count > 1
    ]


def contradictions(attempts: Iterable[Mapping[str, Any]], journal: Sequence[Any]) -> list[str]:
    """What we say of an attempt against what the processor did: approved means executed, no means not executed."""
    executed: dict[str, set[str]] = {}
    for entry in journal:
        if entry.kind in EXECUTED:
            executed.setdefault(entry.reference, set()).add(entry.kind)
    reversed_ = {
        entry.reference for entry in journal if entry.kind in ("capture_failed", "refund_failed")
    }
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
            found.append(f"{each['operation']} called {said} and executed: {each['attempt_id']}")
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
        if min(each["capturing"], each["voiding"], each["refunding"]) < 0:
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
