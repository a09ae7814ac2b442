# SPDX-License-Identifier: Apache-2.0
"""Payments, attempts and refunds, as values. Amounts are whole minor units of the payment's own currency.

A row's columns and a value's fields have the same names, so that `payments.load` and `payments.save` need no map.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from strongroom.kernel.ids import AttemptId, ConnectionId, MerchantId, PaymentId, RefundId, TokenId
from strongroom.kernel.mode import Mode


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
    REFUND = "refund"
    SALE = "sale"
    VOID = "void"

    @property
    def authorizes(self) -> bool:
        """Whether it begins a payment at the processor."""
        return self in (Operation.AUTHORIZE, Operation.SALE)


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
    REPLAY = "replay"


class Finding(enum.StrEnum):
    """How a processor can be asked what became of an attempt whose answer did not come."""

    #: It signs a notice; until then nothing can be known.
    BY_NOTICE = "by_notice"
    #: It can be asked for our reference.
    BY_REFERENCE = "by_reference"
    #: The same request under the same key gives the first answer again.
    BY_REPLAY = "by_replay"


class RefundStatus(enum.StrEnum):
    """Where a refund stands."""

    FAILED = "failed"
    PENDING = "pending"
    SUCCEEDED = "succeeded"


class Account(enum.StrEnum):
    """An account of a merchant, kept in each currency by itself."""

    #: What issuers hold for the merchant; the other side of `holds`.
    AUTHORIZATIONS = "authorizations"
    #: Authorized, and neither captured nor released.
    HOLDS = "holds"
    #: What processors owe: captured, and not given back. Fees and payouts are not in it.
    RECEIVABLE = "receivable"
    #: What was given back.
    REFUNDS = "refunds"
    #: What was captured.
    SALES = "sales"


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
    created_by: str
    created_at: datetime
    updated_at: datetime

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
    #: The merchant's request that it serves: one attempt a wish.
    wish: str
    connection_id: ConnectionId
    amount: int
    currency: str
    #: Of a capture that is the last: what is released with it.
    releases: int = 0
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
    created_at: datetime
    #: Until then it may still be on its way, or its answer be waited for.
    lease_until: datetime
    settled_at: datetime | None = None

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


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """One posting as its row is. `amount` is in minor units and above zero; `cause` is unique in its payment."""

    merchant_id: MerchantId
    mode: Mode
    payment_id: PaymentId
    #: The attempt, the payment's version, and the move: a fact is posted once.
    cause: str
    debit: Account
    credit: Account
    amount: int
    currency: str
    connection_id: ConnectionId
    made_at: datetime


class Loaded(msgspec.Struct, frozen=True):
    """What decisions are made from: a payment, its attempts that still matter, its refunds that are under way."""

    payment: Payment
    attempts: Sequence[Attempt]
    refunds: Sequence[Refund]

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
    #: Of a sale: how much of it is captured by now (its capture may fail afterwards).
    captured: int | None = None
