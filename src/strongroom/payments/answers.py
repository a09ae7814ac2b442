# SPDX-License-Identifier: Apache-2.0
"""What a merchant is answered: the payment as it now is, whatever the processor did. Never a bare 5xx after an attempt.

200/201 done, or an action is needed · 202 not known yet · 402 declined (RFC 9457, with payment and attempt)
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from strongroom.http.problems import TITLES, TYPE_PREFIX
from strongroom.http.request import JSON, PROBLEM_JSON
from strongroom.payments.checks import failed_checks, is_to_be_released
from strongroom.payments.declines import ADVICE, DeclineCode
from strongroom.payments.model import Attempt, Loaded, Outcome, Payment, Refund
from strongroom.payments.wire import ProblemOfPayment, payment_out, refund_out

DECLINED: Final = 402
ACCEPTED: Final = 202
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Answered:
    """A status and a body; public fields only, so that both may be kept for repeats."""

    status: int
    body: bytes
    replayed: bool = False

    @property
    def content_type(self) -> str:
        """The body's media type."""
        return PROBLEM_JSON if self.status == DECLINED else JSON


def kept_answer(loaded: Loaded, attempt_id: str | None, *, created: bool, claim: str) -> Answered:
    """Answer with a payment and the attempt that a request made."""
    attempt = None if attempt_id is None else loaded.attempt(attempt_id)
    refund = None if attempt is None else loaded.refund_of(attempt)
    return answer_of(loaded.payment, attempt, refund, created=created, claim=claim)


def answer_of(
    payment: Payment, attempt: Attempt | None, refund: Refund | None, *, created: bool, claim: str
) -> Answered:
    """Answer with a payment, or with its refund where the request was for one."""
    if attempt is not None and attempt.outcome is Outcome.DECLINED:
        return Answered(DECLINED, _encode(_problem(payment, attempt, refund, claim)))
    if attempt is not None and is_to_be_released(attempt):
        return Answered(DECLINED, _encode(_released(payment, attempt, claim)))
    shown = payment_out(payment, attempt) if refund is None else refund_out(refund)
    status = 201 if created or refund is not None else 200
    if attempt is not None and attempt.is_open and attempt.action_url is None:
        status = ACCEPTED
    return Answered(status, _encode(shown))


def _problem(
    payment: Payment, attempt: Attempt, refund: Refund | None, request_id: str
) -> ProblemOfPayment:
    return ProblemOfPayment(
        type=TYPE_PREFIX + "declined",
        title=TITLES[DECLINED],
        status=DECLINED,
        code="declined",
        detail=f"the processor declined: {attempt.decline_code or 'no reason given'}",
        request_id=request_id,
        payment=payment_out(payment, attempt),
        decline_code=attempt.decline_code,
        advice=attempt.advice,
        refund=None if refund is None else refund_out(refund),
    )


def kept_status(loaded: Loaded, attempt_id: str, answer: Answered) -> int:
    """Return the status that repeats are told; 202 where an approval is about to be released: how it then stands."""
    attempt = loaded.attempt(attempt_id)
    releases = attempt is not None and is_to_be_released(attempt)
    return ACCEPTED if releases else answer.status


def refused_answer(payment: Payment, *, claim: str) -> Answered:
    """Answer with a payment that the merchant's own brakes refused: declined by us, and no more is said of why."""
    problem = ProblemOfPayment(
        type=TYPE_PREFIX + "declined",
        title=TITLES[DECLINED],
        status=DECLINED,
        code="declined",
        detail="refused by your own brakes: no processor was asked",
        request_id=claim,
        payment=payment_out(payment),
        decline_code=payment.decline_code,
        advice=payment.advice,
    )
    return Answered(DECLINED, _encode(problem))


def _released(payment: Payment, attempt: Attempt, request_id: str) -> ProblemOfPayment:
    """Print an approval whose checks failed, and that its merchant has released for that."""
    avs = any(word.startswith("avs") for word in failed_checks(attempt))
    code = DeclineCode.AVS_MISMATCH if avs else DeclineCode.INCORRECT_CVC
    return ProblemOfPayment(
        type=TYPE_PREFIX + "declined",
        title=TITLES[DECLINED],
        status=DECLINED,
        code="declined",
        detail="approved, and released by your policy: a check of the address or the CVC failed",
        request_id=request_id,
        payment=payment_out(payment, attempt),
        decline_code=code.value,
        advice=ADVICE[code].value,
    )
