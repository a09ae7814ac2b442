# SPDX-License-Identifier: Apache-2.0
"""Payments, attempts and refunds, as values. Amounts are whole minor units of the payment's own currency.

A row's columns and a value's fields have the same names, so that `payments.load` and `payments.save` need no map.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from strongroom.kernel.ids import (
    AttemptId,
    ConnectionId,
    CustomerId,
    DisputeId,
    MerchantId,
    PaymentId,
    RefundId,
    TokenId,
)
from strongroom.kernel.mode import Mode
from strongroom.payments.browsers import Browser
from strongroom.payments.route import Route
from strongroom.payments.stored import StoredCredential

#: Stands in `retry_at` where the merchant canceled the retry, so that whoever looks afterwards does not take it for
#: "never scheduled". No time to wait for: no job is put there, and nobody is shown it (`Payment.next_retry_at`).
RETRY_CANCELED: Final = datetime(9999, 1, 1, tzinfo=UTC)


class Status(enum.StrEnum):
    """Where a payment stands; how much is where stands in its balances."""

    CANCELED = "canceled"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    REQUIRES_CAPTURE = "requires_capture"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    SUCCEEDED = "succeeded"


class CaptureMethod(enum.StrEnum):
    """Whether money moves with the authorization, or when the merchant says so."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class Operation(enum.StrEnum):
    """What a processor is asked to do."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    INCREMENT = "increment"
    REFUND = "refund"
    SALE = "sale"
    #: Whether the card is good: of amount 0, and in no balance.
    VERIFY = "verify"
    VOID = "void"

    @property
    def authorizes(self) -> bool:
        """Whether it begins a payment at the processor."""
        return self in (Operation.AUTHORIZE, Operation.SALE, Operation.VERIFY)


class Outcome(enum.StrEnum):
    """What became of an attempt. Five things that are never mixed up."""

    APPROVED = "approved"
    #: The processor said no.
    DECLINED = "declined"
    #: It certainly did not happen.
    NOT_SENT = "not_sent"
    #: The processor will tell later.
    PENDING = "pending"
    #: It may have happened: anything after the first byte without a validated answer.
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        """Whether nobody has to look again."""
        return self in (Outcome.APPROVED, Outcome.DECLINED, Outcome.NOT_SENT)


class Basis(enum.StrEnum):
    """How an outcome is known."""

    ANSWER = "answer"
    LOOKUP = "lookup"
    NOTICE = "notice"
    #: Two people said so, with evidence: nobody could find it out otherwise.
    PERSON = "person"
    REPLAY = "replay"


class Check(enum.StrEnum):
    """What an issuer says of an address or a security code that it compared with its own."""

    MATCH = "match"
    MISMATCH = "mismatch"
    #: Of an address: street or postal code alone.
    PARTIAL = "partial"
    #: It could not, or does not.
    UNAVAILABLE = "unavailable"
    #: It was not asked, or had nothing to compare.
    UNCHECKED = "unchecked"


class OnExpiry(enum.StrEnum):
    """What is done with a hold that nobody captured when its time is over."""

    CANCEL = "cancel"
    LEAVE = "leave"


class Finding(enum.StrEnum):
    """How a processor can be asked what became of an attempt whose answer did not come."""

    #: It signs a notice; until then nothing can be known.
    BY_NOTICE = "by_notice"
    #: It can be asked for our reference.
    BY_REFERENCE = "by_reference"
    #: The same request under the same key gives the first answer again.
    BY_REPLAY = "by_replay"


class ThreeDs(enum.StrEnum):
    """What a processor is asked about 3-D Secure."""

    #: As the processor and the issuer see fit.
    AUTOMATIC = "automatic"
    #: The customer has to prove who they are.
    CHALLENGE = "challenge"


class RefundStatus(enum.StrEnum):
    """Where a refund stands."""

    FAILED = "failed"
    PENDING = "pending"
    SUCCEEDED = "succeeded"


class DisputeStatus(enum.StrEnum):
    """Where a dispute stands."""

    #: The issuer asks, or says that it will take the money: nothing is taken yet.
    INQUIRY = "inquiry"
    #: Decided for the cardholder.
    LOST = "lost"
    #: The money is taken, for the first time or once more.
    OPENED = "opened"
    #: The money is back; the issuer may take it again.
    REVERSED = "reversed"
    #: Evidence was sent; the money is still taken.
    UNDER_REVIEW = "under_review"
    #: Over, and the money is the merchant's: decided so, withdrawn, or never taken.
    WON = "won"


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as its row is. `version` counts changes; one is saved only over the version that it was made from."""

    merchant_id: MerchantId
    mode: Mode
    payment_id: PaymentId
    version: int
    status: Status
    amount: int
    currency: str
    capture_method: CaptureMethod
    token_id: TokenId | None = None
    brand: str | None = None
    bin: str | None = None
    last4: str | None = None
    connection_id: ConnectionId | None = None
    reference: str | None = None
    metadata: Mapping[str, str] = {}
    return_url: str | None = None
    stored_credential: StoredCredential | None = None
    customer_id: CustomerId | None = None
    #: When a payment that the merchant began is tried again, or `RETRY_CANCELED`.
    retry_at: datetime | None = None
    action_url: str | None = None
    decline_code: str | None = None
    advice: str | None = None
    cancel_reason: str | None = None
    authorized: int = 0
    capturing: int = 0
    captured: int = 0
    voiding: int = 0
    voided: int = 0
    refunding: int = 0
    refunded: int = 0
    disputed: int = 0
    discrepancy: bool = False
    #: The amount is an estimate: it may be raised.
    estimated: bool = False
    #: What an increment has asked for, and what increments have added to what is authorized.
    incrementing: int = 0
    incremented: int = 0
    #: Until when it is held; None: nothing is, or until when is not known.
    capture_before: datetime | None = None
    on_expiry: OnExpiry | None = None
    #: When all that is left is captured without being asked for again.
    capture_at: datetime | None = None
    #: When the merchant was told that the hold ends soon.
    due_told_at: datetime | None = None
    created_by: str
    created_at: datetime
    updated_at: datetime

    @property
    def next_retry_at(self) -> datetime | None:
        """When it is tried again; None: it is not, be it that nobody said so or that it was canceled."""
        return None if self.retry_at == RETRY_CANCELED else self.retry_at

    @property
    def capturable(self) -> int:
        """What may still be asked for: authorized, and neither captured, released nor asked for already."""
        return max(0, self.authorized - self.captured - self.capturing - self.voided - self.voiding)

    @property
    def refundable(self) -> int:
        """What may still be given back."""
        return max(0, self.captured - self.refunded - self.refunding - self.disputed)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One time that a processor is asked; saved before it is. `outcome` is None while nobody has answered."""

    merchant_id: MerchantId
    mode: Mode
    attempt_id: AttemptId
    payment_id: PaymentId
    operation: Operation
    #: The merchant's request that it serves.
    wish: str
    connection_id: ConnectionId
    amount: int
    currency: str
    #: Of a capture that is the last: what is released with it.
    releases: int = 0
    #: Of an increment: what is authorized with it.
    raises_to: int | None = None
    refund_id: RefundId | None = None
    outcome: Outcome | None = None
    basis: Basis | None = None
    processor_reference: str | None = None
    settled_amount: int | None = None
    decline_code: str | None = None
    advice: str | None = None
    #: A word that says why, where the outcome alone does not.
    reason: str | None = None
    action_url: str | None = None
    #: The processor's name of what was prepared for it, where its processor wants that; never changes once it is saved.
    instrument: str | None = None
    #: Of a later payment with a stored card: what the scheme called the first, as the processor is told.
    initial_transaction_id: str | None = None
    #: Of what the merchant begins: with which card it is asked. Schemes count those.
    token_id: TokenId | None = None
    #: What the scheme calls this one, where the processor told it.
    scheme_transaction_id: str | None = None
    #: What the issuer said of the address and of the security code (`Check`), where it was told.
    avs_result: str | None = None
    cvc_result: str | None = None
    #: What was asked about 3-D Secure. None: of before it was kept, and of what begins no payment.
    three_ds: ThreeDs | None = None
    #: What is to become of an approval whose checks say no, as `avs_void cvc_mark`; never changes once it is saved.
    checks_policy: str | None = None
    #: What is told of the customer's browser, where the merchant said it; never changes once it is saved.
    browser: Browser | None = None
    created_at: datetime
    #: Until then it may still be on its way, or its answer be waited for.
    lease_until: datetime
    settled_at: datetime | None = None
    #: When the schedule looked last; what two people decided on, and who said it.
    looked_at: datetime | None = None
    evidence: str | None = None
    resolved_by: str | None = None
    #: Which attempt of its wish it is; the one before is final (ADR 16).
    step: int = 1
    #: Of an authorization: why it went to this connection.
    route: Route | None = None

    @property
    def is_open(self) -> bool:
        """Whether its outcome is still to be learnt."""
        return self.outcome is None or not self.outcome.is_final


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Money on its way back."""

    merchant_id: MerchantId
    mode: Mode
    refund_id: RefundId
    payment_id: PaymentId
    attempt_id: AttemptId
    amount: int
    currency: str
    status: RefundStatus
    reason: str | None = None
    reference: str | None = None
    metadata: Mapping[str, str] = {}
    failure_code: str | None = None
    created_at: datetime
    updated_at: datetime


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """What a cardholder takes back, as its row is. It may be in another currency than its payment."""

    merchant_id: MerchantId
    mode: Mode
    dispute_id: DisputeId
    payment_id: PaymentId
    connection_id: ConnectionId
    #: The processor's name of it.
    processor_reference: str
    status: DisputeStatus
    #: How far it has come: what is told of an earlier step is old news.
    step: int
    amount: int
    currency: str
    #: What of it stands in the payment's `disputed`.
    counted: int
    #: Why, as the processor or the scheme calls it.
    reason: str | None = None
    #: Until when evidence is taken, where the processor says so.
    evidence_due_by: datetime | None = None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DisputeTold:
    """What a verified notice tells of a dispute."""

    processor_reference: str
    status: DisputeStatus
    #: See `Dispute.step`; each adapter numbers its processor's words.
    step: int
    amount: int
    currency: str
    reason: str | None = None
    evidence_due_by: datetime | None = None
    #: The processor's name of the payment, where its notices have no reference of ours.
    payment: str | None = None


class Loaded(msgspec.Struct, frozen=True):
    """What decisions are made from: a payment, its attempts that still matter, its refunds that are under way."""

    payment: Payment
    attempts: Sequence[Attempt]
    refunds: Sequence[Refund]
    disputes: Sequence[Dispute] = ()

    @property
    def authorization(self) -> Attempt | None:
        """The authorization that lives."""
        return next(
            (
                each
                for each in self.attempts
                if each.operation.authorizes and each.outcome is Outcome.APPROVED
            ),
            None,
        )

    def attempt(self, attempt_id: str) -> Attempt | None:
        """Return one of the attempts."""
        return next((each for each in self.attempts if each.attempt_id == attempt_id), None)

    def dispute(self, processor_reference: str) -> Dispute | None:
        """Return a dispute by the processor's name of it."""
        return next(
            (each for each in self.disputes if each.processor_reference == processor_reference),
            None,
        )

    def refund_of(self, attempt: Attempt) -> Refund | None:
        """Return the refund that an attempt serves."""
        return next((each for each in self.refunds if each.refund_id == attempt.refund_id), None)


@dataclass(frozen=True, slots=True)
class Connection:
    """A merchant's account at a processor."""

    merchant_id: MerchantId
    mode: Mode
    connection_id: ConnectionId
    name: str
    processor: str
    account: str
    finding: Finding
    status: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of an attempt now: an answer that was validated, a look, or a signed notice."""

    outcome: Outcome
    basis: Basis
    processor_reference: str | None = None
    #: What the processor says was authorized, captured, released or given back.
    amount: int | None = None
    currency: str | None = None
    decline_code: str | None = None
    advice: str | None = None
    action_url: str | None = None
    reason: str | None = None
    #: Of an authorization or a capture: how much the processor has released by now (an expiry asks nobody).
    released: int | None = None
    #: `released` names what was authorized: of that, all is released that is not captured.
    releases_rest: bool = False
    #: Of a sale: how much of it is captured by now (its capture may fail afterwards).
    captured: int | None = None
    #: What the scheme calls an authorization: later payments with its card refer to that.
    scheme_transaction_id: str | None = None
    #: What the issuer said of the address and of the security code.
    avs_result: Check | None = None
    cvc_result: Check | None = None
    #: Of an authorization or an increment: until when it is held, where the processor says so.
    capture_before: datetime | None = None
