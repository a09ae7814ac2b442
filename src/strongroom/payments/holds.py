# SPDX-License-Identifier: Apache-2.0
"""Until when an authorization holds, and what is to be done about it by itself. Pure: decides, and touches nothing.

Where a processor says until when, that counts. Where it does not, the schemes' published time does, from the moment at
which the attempt was saved: a capture that is asked for too early costs nothing, one that comes too late may be lost.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.events import EventType
from strongroom.kernel.invariant import invariant
from strongroom.payments.decisions import Asking, Decided, decided_over
from strongroom.payments.errors import PaymentNotReady
from strongroom.payments.model import (
    CaptureMethod,
    Found,
    Loaded,
    OnExpiry,
    Operation,
    Outcome,
    Payment,
    Status,
)
from strongroom.payments.wishes import start_capture, start_void

_replace: Final = msgspec.structs.replace
#: How long the schemes let a customer's online authorization be captured (Stripe's published windows, 2026).
BRAND_DAYS: Final[Mapping[str, int]] = {"amex": 7, "discover": 7, "mastercard": 7, "visa": 7}
#: Of what a merchant begins, Visa's five days are less by the time that clearing takes (as Stripe publishes it, 2026).
VISA_BY_MERCHANT: Final = timedelta(days=4, hours=18)
DEFAULT_SECONDS: Final = 432_000
SOON_SECONDS: Final = 86_400
#: How far ahead a capture may be scheduled: longer than any hold.
CAPTURE_AHEAD_DAYS_MAX: Final = 90
#: While something of the payment is not known, its hold is looked at again after so long.
BUSY_SECONDS: Final = 30
_WAITING: Final = frozenset(
    {
        Status.PROCESSING,
        Status.REQUIRES_ACTION,
        Status.REQUIRES_CAPTURE,
        Status.REQUIRES_CONFIRMATION,
        Status.REQUIRES_PAYMENT_METHOD,
    }
)
_OVER: Final = frozenset({Status.CANCELED, Status.SUCCEEDED})

invariant(
    max(BRAND_DAYS.values()) < CAPTURE_AHEAD_DAYS_MAX, "a hold ends before what is scheduled on it"
)


class Step(enum.Enum):
    """What is done about a hold now."""

    CANCEL = "cancel"
    CAPTURE = "capture"
    #: Tell the merchant that it ends soon.
    TELL = "tell"


@dataclass(frozen=True, slots=True)
class HoldPolicy:
    """How long holds last where nobody says so, how early a merchant is told, and what is done at the end."""

    default_seconds: int = DEFAULT_SECONDS
    soon_seconds: int = SOON_SECONDS
    on_expiry: OnExpiry = OnExpiry.CANCEL

    def until(self, brand: str | None, since: datetime, *, by_merchant: bool = False) -> datetime:
        """Say until when a hold of that brand may be captured, where its processor does not say.

        `by_merchant`: it was asked for with a stored card while nobody was there.
        """
        if by_merchant and brand == "visa":
            return since + VISA_BY_MERCHANT
        days = BRAND_DAYS.get(brand or "")
        return since + (
            timedelta(days=days) if days is not None else timedelta(seconds=self.default_seconds)
        )

    def completed(self, payment: Payment, since: datetime, found: Found) -> Found:
        """Return what was found of an authorization, with the moment at which it ends where nobody said one."""
        if found.outcome is not Outcome.APPROVED or found.capture_before is not None:
            return found
        if payment.capture_before is not None:
            return found
        stored = payment.stored_credential
        by_merchant = stored is not None and stored.by_merchant
        ends = self.until(payment.brand, since, by_merchant=by_merchant)
        return replace(found, capture_before=ends)

    def due_soon(self, payment: Payment) -> datetime | None:
        """Say when the merchant is to be told that the hold ends soon; None: it was told, or it does not end."""
        if payment.capture_before is None or payment.due_told_at is not None:
            return None
        return payment.capture_before - timedelta(seconds=self.soon_seconds)

    def next_moment(self, payment: Payment) -> datetime | None:
        """Say when something has to be done about the hold; None: never, as it stands now."""
        moments = [payment.capture_at, self.due_soon(payment)]
        if payment.on_expiry is OnExpiry.CANCEL:
            moments.append(payment.capture_before)
        return min((each for each in moments if each is not None), default=None)

    def step(self, payment: Payment, now: datetime) -> Step | None:
        """Say what is to be done now. A capture that was wished for goes before the release of what it takes."""
        if payment.capturable < 1:
            return None
        if payment.capture_at is not None and payment.capture_at <= now:
            return Step.CAPTURE
        ends = payment.capture_before
        if ends is not None and ends <= now:
            return Step.CANCEL if payment.on_expiry is OnExpiry.CANCEL else None
        soon = self.due_soon(payment)
        return Step.TELL if soon is not None and soon <= now else None


def is_over(payment: Payment) -> bool:
    """Tell whether a hold that had an end, or a capture before it, needs nobody's attention any more."""
    timed = payment.capture_before is not None or payment.capture_at is not None
    return timed and payment.status in _OVER


def prolonged(payment: Payment, capture_before: datetime | None) -> Payment:
    """Return the payment with the moment at which its hold ends; one that moved is told of again."""
    if capture_before is None or capture_before == payment.capture_before:
        return payment
    return _replace(payment, capture_before=capture_before, due_told_at=None)


def told_soon(loaded: Loaded, now: datetime) -> Decided:
    """Tell the merchant that the hold ends soon."""
    told = _replace(loaded.payment, due_told_at=now)
    return decided_over(loaded, told, None, now=now, happened=(EventType.PAYMENT_CAPTURE_DUE_SOON,))


def start_scheduled_capture(loaded: Loaded, asking: Asking) -> Decided:
    """Ask for all that is left, as was wished for; the wish is used up in the commit that saves the attempt.

    Raises:
        PaymentBusy, PaymentUnresolved, AmountBeyond: see `wishes.start_capture`.
    """
    used = _replace(loaded.payment, capture_at=None)
    return start_capture(Loaded(used, loaded.attempts, loaded.refunds), None, asking, final=True)


def start_expiry(loaded: Loaded, asking: Asking) -> Decided:
    """Release what is left of a hold whose time is over.

    Raises:
        PaymentBusy, PaymentUnresolved, PaymentNotReady: see `wishes.start_void`.
    """
    reasoned = _replace(loaded.payment, cancel_reason="expired", capture_at=None)
    return start_void(Loaded(reasoned, loaded.attempts, loaded.refunds), asking)


def is_any_open(loaded: Loaded) -> bool:
    """Tell whether something of a payment is not known: nothing is done by itself until it is."""
    return any(each.is_open for each in loaded.attempts)


def require_schedule(
    capture_at: datetime | None, now: datetime, ends: datetime | None = None
) -> None:
    """Refuse a moment at which nothing can be captured.

    Raises:
        Invalid: it is past, too far away, or after the hold's end.
    """
    if capture_at is None:
        return
    if not now < capture_at <= now + timedelta(days=CAPTURE_AHEAD_DAYS_MAX):
        raise Invalid(_wrong("/capture_at", f"to come, within {CAPTURE_AHEAD_DAYS_MAX} days"))
    if ends is not None and capture_at >= ends:
        raise Invalid(_wrong("/capture_at", "before the authorization ends"))


def require_hold(method: CaptureMethod, **asked: object) -> None:
    """Refuse what only a payment that waits for its capture can have.

    Raises:
        Invalid: money moves with the authorization.
    """
    if method is CaptureMethod.AUTOMATIC:
        wrong = [
            _wrong(f"/{name}", "given with capture_method manual only")
            for name, value in asked.items()
            if value
        ]
        if wrong:
            raise Invalid(*wrong)


def _wrong(pointer: str, should: str) -> FieldError:
    return FieldError(pointer, "value_wrong", f"it has to be {should}")


def change_hold(
    loaded: Loaded,
    now: datetime,
    *,
    capture_at: datetime | msgspec.UnsetType | None,
    on_expiry: OnExpiry | msgspec.UnsetType,
) -> Decided:
    """Change what happens to a hold by itself, until it begins. What is not given stays.

    Raises:
        PaymentNotReady: there is nothing to be held any more, or it never waits for a capture.
        Invalid: see `require_schedule`.
    """
    payment = loaded.payment
    if payment.capture_method is CaptureMethod.AUTOMATIC or payment.status not in _WAITING:
        raise PaymentNotReady
    changed = payment
    if not isinstance(capture_at, msgspec.UnsetType):
        require_schedule(capture_at, now, payment.capture_before)
        changed = _replace(changed, capture_at=capture_at)
    if not isinstance(on_expiry, msgspec.UnsetType):
        changed = _replace(changed, on_expiry=on_expiry)
    if changed == payment:
        return Decided(payment, changed=False)
    return decided_over(loaded, changed, None, now=now)


def holds_now(operation: Operation, found: Found) -> bool:
    """Tell whether what was found leaves a hold that ends: an authorization, its raise, or a sale not captured."""
    if found.outcome is not Outcome.APPROVED:
        return False
    if operation is Operation.SALE:
        return found.captured == 0
    return operation in (Operation.AUTHORIZE, Operation.INCREMENT)
