# SPDX-License-Identifier: Apache-2.0
"""Stripe's events in every order, through the engine's pure decisions: a payment ends where its newest facts are.

Stripe has no word for a capture that fails afterwards or is tried again, and none for a refund that is reversed but
`refund.failed`; disputes are in `test_dispute_orderings.py`.
"""

import itertools
from typing import Any, Final

import pytest

from contracts.stripe_words import event, intent, made, named
from payment_makers import CARD, NOW, asking, found, loaded
from strongroom.crypto.ids import new_id
from strongroom.kernel.ids import RefundId
from strongroom.payments.decisions import after
from strongroom.payments.findings import agrees, is_early, is_of_another_try, is_overtaken, settle
from strongroom.payments.model import CaptureMethod, Loaded, Operation, Outcome, Status
from strongroom.payments.processors.stripe import StripeAdapter
from strongroom.payments.recovery import _is_older, _matches
from strongroom.payments.wishes import start_authorization, start_capture, start_refund, start_void

ADAPTER: Final = StripeAdapter()
PAID: Final = named("pi")


class Story:
    """A payment of ten dirhams whose answers are all lost: events alone tell."""

    def __init__(self, *wishes: str) -> None:
        automatic = wishes[0] == "sale"
        method = CaptureMethod.AUTOMATIC if automatic else CaptureMethod.MANUAL
        self.known = loaded(capture_method=method)
        for wish in wishes:
            self._ask(wish)

    def _ask(self, wish: str) -> None:
        known = self.known
        if wish in ("authorize", "sale"):
            decided = start_authorization(known, CARD, asking())
        elif wish == "capture":
            decided = start_capture(known, None, asking(), final=True)
        elif wish == "void":
            decided = start_void(known, asking())
        else:
            more: dict[str, Any] = {"reason": None, "reference": None, "metadata": {}}
            decided = start_refund(known, 400, RefundId(new_id("ref")), asking(), **more)
        self.known = after(known, decided)
        lost = settle(self.known, self.known.attempts[-1], found(Outcome.UNKNOWN), NOW)
        self.known = after(self.known, lost)
        if wish in ("authorize", "sale") and len(self.known.attempts) == 1:
            self.begun = self.known.attempts[0].attempt_id

    def of(self, operation: Operation) -> str:
        return next(each.attempt_id for each in self.known.attempts if each.operation is operation)

    def tell(self, word: str) -> str:
        """Go the way of a notice whose processor cannot be asked (`recovery.Notices`)."""
        report = ADAPTER.report(self._event(word))
        if report is None:
            return "nothing"
        attempt = self.known.attempt(report.reference)
        if attempt is None:
            return "uncorrelated"
        payment = self.known.payment
        if not _matches(payment, attempt, report):
            return "differs"
        if is_early(payment, attempt, report.found):
            return "later"
        if is_overtaken(attempt, report.found):
            return "overtaken"
        if (
            agrees(payment, attempt, report.found)
            or _is_older(attempt, report)
            or is_of_another_try(attempt, report.found)
        ):
            return "agrees"
        self.known = after(self.known, settle(self.known, attempt, report.found, NOW))
        return "believed"

    def _event(self, word: str) -> bytes:
        payment = self.known.payment.payment_id
        manual = self.known.payment.capture_method is CaptureMethod.MANUAL
        ours = {"strongroom_attempt": self.begun, "strongroom_payment": payment}
        more: dict[str, Any] = {
            "id": PAID,
            "amount": 1_000,
            "capture_method": "manual" if manual else "automatic",
            "metadata": ours,
        }
        match word:
            case "authorised":
                kind = "payment_intent.amount_capturable_updated"
                return event(kind, intent("requires_capture", **more))
            case "captured" if manual:
                mark = {"strongroom_capture": self.of(Operation.CAPTURE)}
                return event(
                    "payment_intent.succeeded",
                    intent("succeeded", **{**more, "metadata": ours | mark}),
                )
            case "captured":
                return event("payment_intent.succeeded", intent("succeeded", **more))
            case "declined":
                failed = {"type": "card_error", "code": "card_declined"}
                thing = intent("requires_payment_method", **more, last_payment_error=failed)
                return event("payment_intent.payment_failed", thing)
            case "cancelled":
                request = {"id": "req_1", "idempotency_key": self.of(Operation.VOID)}
                return event("payment_intent.canceled", intent("canceled", **more), request=request)
            case "refunded" | "refund_failed":
                status = "succeeded" if word == "refunded" else "failed"
                thing = made(
                    "refund",
                    amount=400,
                    currency="aed",
                    status=status,
                    payment_intent=PAID,
                    metadata={"strongroom_attempt": self.of(Operation.REFUND)},
                )
                return event("refund.updated" if word == "refunded" else "refund.failed", thing)
            case _:
                return event("some.kind_of_tomorrow", intent("succeeded", **more))


BALANCES: Final = "authorized capturing captured voiding voided refunding refunded".split()
#: What is told in any order, and where it ends. What can only be asked for later stands behind a bar.
STORIES: Final[list[tuple[str, str, Status, dict[str, int]]]] = [
    ("authorize", "authorised unknown", Status.REQUIRES_CAPTURE, {"authorized": 1_000}),
    (
        "sale",
        "captured captured unknown",
        Status.SUCCEEDED,
        {"authorized": 1_000, "captured": 1_000},
    ),
    # Declined first, and approved at a later try: whichever event is late.
    ("authorize", "declined authorised", Status.REQUIRES_CAPTURE, {"authorized": 1_000}),
    (
        "authorize|authorised|capture",
        "captured authorised captured unknown",
        Status.SUCCEEDED,
        {"authorized": 1_000, "captured": 1_000},
    ),
    (
        "authorize|authorised|void",
        "cancelled authorised cancelled",
        Status.CANCELED,
        {"authorized": 1_000, "voided": 1_000},
    ),
    (
        "sale|captured|refund",
        "refunded captured refunded",
        Status.SUCCEEDED,
        {"authorized": 1_000, "captured": 1_000, "refunded": 400},
    ),
    (
        "sale|captured|refund",
        "refunded refund_failed captured",
        Status.SUCCEEDED,
        {"authorized": 1_000, "captured": 1_000},
    ),
]


def ended(known: Loaded) -> dict[str, int]:
    sums = {name: getattr(known.payment, name) for name in BALANCES}
    return {name: amount for name, amount in sums.items() if amount}


@pytest.mark.parametrize(("begun", "told", "status", "balances"), STORIES)
def test_a_story_ends_alike_in_every_order(
    begun: str, told: str, status: Status, balances: dict[str, int]
) -> None:
    for words in sorted(set(itertools.permutations(told.split()))):
        first, *later = begun.split("|")
        story = Story(first)
        for step in later:
            if step in ("capture", "void", "refund"):
                story._ask(step)
            else:
                story.tell(step)
        verdicts = [story.tell(word) for word in words]
        assert story.known.payment.status is status, (words, verdicts)
        assert ended(story.known) == balances, (words, verdicts)
        alone = words[0] == "authorised" and "declined" in words
        assert story.known.payment.discrepancy is alone, (words, verdicts)
        assert "differs" not in verdicts
