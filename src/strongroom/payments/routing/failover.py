# SPDX-License-Identifier: Apache-2.0
"""Whether a wish goes on at another processor, and what that changes. Pure.

Only after an answer that says for certain that nothing moved: not sent, or declined with the advice to try another
processor. Never on `unknown` or `pending`: money may have moved, and the same wish would be live under two keys.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

import msgspec

from strongroom.kernel.events import EventType
from strongroom.payments.decisions import Asking, Card, Decided, after
from strongroom.payments.declines import Advice
from strongroom.payments.model import Attempt, Basis, Loaded, Outcome
from strongroom.payments.routing.plan import Plan, Tried
from strongroom.payments.wishes import start_authorization

#: An attempt goes on elsewhere.
FAILED_OVER: Final = "failed_over"
#: Every other connection of the rule was tried, or may not be used now.
NONE_LEFT: Final = "no_connection_left"
#: Why a routed attempt was not sent: the breaker before its connection is open, or somebody else probes.
RESTING: Final = "connection_resting"
#: What begins so speaks of the card or of our own vault: the next processor would not get it either.
_OF_THE_CARD: Final = ("card_", "cvc_", "cryptogram_", "token_", "key", "data_key", "database_")
_OURS: Final = frozenset(
    {
        "access_refused",
        "again",
        "idempotency_key_spent",
        "internal",
        "lock_taken",
        "merchant_erased",
        "not_prepared",
        "outcome_unknown",
        "queue_full",
        "too_late_to_send",
        "unavailable",
    }
)
#: A card that this processor does not take; another may.
_NOT_HERE: Final = frozenset({"card_not_for_processor"})
#: Nothing was opened or written, so that the CVC is as it was, or the vault holds it for the next try.
_CVC_IS_LEFT: Final = frozenset(
    {
        "card_not_for_processor",
        "command_not_taken",
        "connect_failed",
        "connect_timeout",
        "connection_disabled",
        "connection_unknown",
        "credentials_unreadable",
        "destination_refused",
        "dns_failed",
        "request_refused",
        RESTING,
        "template_refused",
        "tls_failed",
    }
)


def stays(
    plan: Plan, before: Attempt, settled: Attempt, *, with_cvc: bool, now: datetime
) -> str | None:
    """Say why an attempt's wish does not go on elsewhere; None: it may.

    Args:
        plan: where the wish may go.
        before: the attempt as it was asked.
        settled: the same, with what its answer said.
        with_cvc: whether it carried a CVC.
        now: the moment.
    """
    outcome = settled.outcome
    if outcome is Outcome.NOT_SENT:
        if _is_ours(settled.reason or ""):
            return "not_for_another"
    elif outcome is Outcome.DECLINED:
        if settled.advice != Advice.OTHER_PROCESSOR:
            return f"advice_{settled.advice or 'missing'}"
    else:
        return "not_asked" if outcome is None else outcome.value
    if settled.basis is not Basis.ANSWER or now >= before.lease_until:
        return "too_late"  # somebody else may be looking for it already
    if settled.step >= plan.attempts_max:
        return "attempts_max"
    if with_cvc and not cvc_is_left(settled) and not plan.without_cvc:
        return "cvc_spent"
    return None


def cvc_is_left(settled: Attempt) -> bool:
    """Tell whether the CVC that an attempt carried may serve the next one of the same wish."""
    # What was prepared took it.
    kept = settled.instrument is None and (settled.reason or "") in _CVC_IS_LEFT
    return settled.outcome is Outcome.NOT_SENT and kept


def tried(settled: Attempt) -> Tried:
    """Return where an attempt went, and what came of it, in a word."""
    outcome = "open" if settled.outcome is None else settled.outcome.value
    why = settled.decline_code or settled.reason
    return Tried(settled.connection_id, outcome if why is None else f"{outcome}:{why}")


def noted(settled: Decided, attempt_id: str, word: str) -> Decided:
    """Keep on an attempt how its wish went on."""
    attempts = tuple(
        msgspec.structs.replace(each, route=msgspec.structs.replace(each.route, onward=word))
        if each.attempt_id == attempt_id and each.route is not None
        else each
        for each in settled.attempts
    )
    return replace(settled, attempts=attempts)


def fail_over(known: Loaded, settled: Decided, card: Card, asking: Asking) -> Decided:
    """Settle an attempt and begin the next one of its wish, as one change: a crash leaves both or neither.

    The merchant hears of no decline: the payment is not declined yet.

    Raises:
        PaymentNotReady, PaymentUnresolved: something else holds the payment, or may.
    """
    started = start_authorization(after(known, settled), card, asking)
    happened = tuple(each for each in settled.happened if each is not EventType.PAYMENT_DECLINED)
    payment = msgspec.structs.replace(started.payment, version=known.payment.version + 1)
    return replace(
        settled,
        payment=payment,
        # In this order: the database refuses a second attempt beside one that lives.
        attempts=(*settled.attempts, *started.attempts),
        happened=(*happened, *started.happened),
    )


def _is_ours(reason: str) -> bool:
    return reason in _OURS or (reason.startswith(_OF_THE_CARD) and reason not in _NOT_HERE)
