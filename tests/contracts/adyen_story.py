# SPDX-License-Identifier: Apache-2.0
"""A payment at Adyen as a story: what its merchant asks for, what Adyen says, and what the engine makes of it."""

from dataclasses import dataclass, field
from typing import Final

from contracts.adyen_words import ADAPTER, AUTHORIZATION, notification
from payment_makers import CARD, NOW, asking, found
from strongroom.crypto.ids import new_id
from strongroom.kernel.ids import DisputeId, RefundId
from strongroom.payments.decisions import Decided, after
from strongroom.payments.disputes import Opening, settle_dispute
from strongroom.payments.findings import agrees, is_early, settle
from strongroom.payments.model import Found, Loaded, Operation, Outcome
from strongroom.payments.processors.adyen.notices import DISPUTES
from strongroom.payments.processors.adyen.references import reference_of
from strongroom.payments.recovery import _is_older, _matches
from strongroom.payments.wishes import start_authorization, start_capture, start_refund, start_void

BALANCES: Final = "authorized capturing captured voiding voided refunding refunded disputed".split()
DISPUTE_REFERENCE: Final = "QFQTPCQ8HXSKGK82"
#: Which attempt a notification is about; the last of the first operation that there is.
ABOUT: Final = {
    "CAPTURE": (Operation.CAPTURE, Operation.SALE),
    "CAPTURE_FAILED": (Operation.CAPTURE, Operation.SALE),
    "CANCELLATION": (Operation.VOID,),
    "REFUND": (Operation.REFUND,),
    "REFUND_FAILED": (Operation.REFUND,),
    "REFUNDED_REVERSED": (Operation.REFUND,),
}
AUTHORIZING: Final = (Operation.AUTHORIZE, Operation.SALE)


class NoSuchAttempt(Exception):
    """Nothing of the kind was asked for yet."""


@dataclass(slots=True)
class Story:
    """A payment of ten dirhams, what its merchant asks for and what Adyen says."""

    known: Loaded
    verdicts: list[str] = field(default_factory=list)

    def step(self, words: str) -> None:
        """Do a step: `authorize`, `sale`, `answered`, `lost`, `redirected`, `capture 400`, …, or a notification."""
        word, *more = words.split()
        if word.isupper():
            self._told(word, more)
        elif word in ("answered", "lost", "redirected"):
            self._learn(
                {
                    "answered": found(
                        Outcome.APPROVED, amount=1_000, processor_reference=AUTHORIZATION
                    ),
                    "lost": found(Outcome.UNKNOWN),
                    "redirected": found(Outcome.PENDING, action_url="https://acs.example/x"),
                }[word]
            )
        else:
            self._ask(word, int(more[0]) if more else None, final="more" not in words)
            if word not in ("authorize", "sale"):
                self._learn(found(Outcome.PENDING))  # received

    def _ask(self, word: str, amount: int | None, *, final: bool) -> None:
        refund = RefundId(new_id("ref"))
        known, wish = self.known, asking()
        if word in ("authorize", "sale"):
            decided = start_authorization(known, CARD, wish)
        elif word == "capture":
            decided = start_capture(known, amount, wish, final=final)
        elif word == "void":
            decided = start_void(known, wish)
        else:
            decided = start_refund(
                known, amount, refund, wish, reason=None, reference=None, metadata={}
            )
        self._save(decided)

    def _learn(self, what: Found) -> None:
        self._save(settle(self.known, self.known.attempts[-1], what, NOW))

    def _save(self, decided: Decided) -> None:
        self.known = after(self.known, decided)

    def _told(self, kind: str, more: list[str]) -> None:
        """Go the way of a notice whose processor cannot be asked (`recovery.Notices`)."""
        wanted = ABOUT.get(kind, AUTHORIZING)
        about = [
            each
            for operation in wanted
            for each in reversed(self.known.attempts)
            if each.operation is operation
        ]
        if not about:
            raise NoSuchAttempt
        attempt = about[0]
        amount = next((int(each) for each in more if each.isdigit()), attempt.amount)
        # An approval names the payment that the answer named; `other` is one that nobody answered.
        named = kind == "AUTHORISATION" and ("same" in more or not {"false", "other"} & set(more))
        report = ADAPTER.report(
            notification(
                kind,
                reference_of(attempt),
                success="false" if "false" in more else "true",
                amount={
                    "currency": next((each for each in more if each == "USD"), "AED"),
                    "value": amount,
                },
                **({"pspReference": AUTHORIZATION} if named else {}),
                **({"pspReference": DISPUTE_REFERENCE} if kind in DISPUTES else {}),
            )
        )
        if report is None:
            self.verdicts.append("nothing")
        elif report.dispute is not None:
            opening = Opening(DisputeId(new_id("dsp")), attempt.connection_id, NOW)
            decided = settle_dispute(self.known, report.dispute, opening)
            word = "believed" if decided.disputes else "agrees"
            self.verdicts.append("differs" if decided.discrepancy and word == "agrees" else word)
            if decided.changed:
                self._save(decided)
        elif not _matches(self.known.payment, attempt, report):
            self.verdicts.append("differs")
        elif is_early(self.known.payment, attempt, report.found):
            self.verdicts.append("later")
        elif agrees(self.known.payment, attempt, report.found) or _is_older(attempt, report):
            self.verdicts.append("agrees")
        else:
            decided = settle(self.known, attempt, report.found, NOW)
            self.verdicts.append("believed" if decided.changed else "overtaken")
            self._save(decided)
