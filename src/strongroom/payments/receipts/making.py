# SPDX-License-Identifier: Apache-2.0
"""Makes receipts: reads a payment whole, proves its records under one head, signs, and records that it did."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from strongroom.audit import About, Action, Evidence, Origin, ProvenTogether, Recorder, Shown
from strongroom.db.pool import Database
from strongroom.identity import EDDSA
from strongroom.kernel.clock import Clock, rfc3339
from strongroom.kernel.principal import Principal
from strongroom.payments.errors import PaymentBusy
from strongroom.payments.model import Attempt, Outcome, Payment
from strongroom.payments.reading import Payments
from strongroom.payments.receipts.errors import ReceiptNotYet, ReceiptTooLong
from strongroom.payments.receipts.keys import ReceiptKeys
from strongroom.payments.receipts.model import (
    ATTEMPTS_MAX,
    TYPE,
    Receipt,
    ReceiptAttempt,
    ReceiptCard,
    ReceiptPayment,
    ReceiptTree,
    Witness,
    encode,
)

#: How often a payment is read anew that changes while it is read.
_READS_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Issued:
    """A receipt that was given out."""

    payment: str
    kid: str
    issued_at: datetime
    jws: str


@final
class Receipts:
    """Gives receipts of one installation's payments."""

    def __init__(
        self,
        *,
        database: Database,
        payments: Payments,
        evidence: Evidence,
        keys: ReceiptKeys,
        recorder: Recorder,
        clock: Clock,
        issuer: str,
    ) -> None:
        self.keys = keys
        self._database = database
        self._payments = payments
        self._evidence = evidence
        self._recorder = recorder
        self._clock = clock
        self._issuer = issuer

    async def issue(self, payment_id: str, principal: Principal, origin: Origin) -> Issued:
        """Return a signed receipt of a payment as it now is; that it was given is recorded first.

        Raises:
            PaymentUnknown: not there for this tenant and mode.
            ReceiptNotYet: no attempt was approved.
            ReceiptTooLong: it has more attempts than a receipt holds.
            NotSealedYet: the audit tree does not hold all of its records yet; it does within seconds.
            PaymentBusy: it changed each time that it was read.
        """
        # To give a receipt:
        #  1. Read the payment and its attempts as they were at one moment.
        #  2. Find the record of its making and of each outcome, and prove them under one head.
        #  3. Sign.
        #  4. Record that it was given; only then hand it out.
        payment, attempts = await self._read(payment_id, principal)  # (1)
        if all(each.outcome is not Outcome.APPROVED for each in attempts):
            raise ReceiptNotYet
        if len(attempts) > ATTEMPTS_MAX:
            raise ReceiptTooLong
        wanted = [About(payment.payment_id, payment.created_at)]
        wanted += [About(each.attempt_id, each.settled_at) for each in attempts if each.settled_at]
        proven = await self._evidence.proven(principal.merchant, principal.mode, wanted)  # (2)
        now = self._clock.now()
        receipt = _receipt(payment, attempts, proven, issuer=self._issuer, now=now)
        signer = await self.keys.signer()
        header = {"alg": EDDSA, "kid": signer.kid, "typ": TYPE}
        jws = signer.sign(header, encode(receipt))  # (3)
        record = self._recorder.make(
            Action.PAYMENTS_RECEIPT_ISSUED,
            actor=principal.actor,
            merchant=principal.merchant,
            mode=principal.mode,
            thing=payment.payment_id,
            origin=origin,
            now=now,
            details={"count": len(attempts), "size": proven.size},
            transaction_id=payment.payment_id,
        )
        async with self._database.transaction([principal.merchant]) as tx:
            await self._recorder.insert(tx, record)
        # Crash here: the record says given, and nobody has it.
        return Issued(payment.payment_id, signer.kid, now, jws)  # (4)

    async def _read(
        self, payment_id: str, principal: Principal
    ) -> tuple[Payment, Sequence[Attempt]]:
        """Read attempts between two readings of a payment that are the same version of it."""
        merchant, mode = principal.merchant, principal.mode
        payment = await self._payments.one(merchant, mode, payment_id)
        for _ in range(_READS_MAX):
            attempts = await self._payments.attempts(merchant, mode, payment_id)
            again = await self._payments.one(merchant, mode, payment_id)
            if again.version == payment.version:
                return payment, attempts
            payment = again
        raise PaymentBusy


def _receipt(
    payment: Payment,
    attempts: Sequence[Attempt],
    proven: ProvenTogether,
    *,
    issuer: str,
    now: datetime,
) -> Receipt:
    made, *settled = [_witness(each) for each in proven.records]
    of_attempt = iter(settled)
    return Receipt(
        v=1,
        iss=issuer,
        issued_at=rfc3339(now),
        merchant=payment.merchant_id,
        mode=payment.mode.value,
        payment=_payment(payment, made),
        attempts=[
            _attempt(each, next(of_attempt) if each.settled_at else None) for each in attempts
        ],
        tree=ReceiptTree(
            origin=proven.origin, size=proven.size, checkpoint=proven.note.decode("utf-8")
        ),
    )


def _witness(shown: Shown) -> Witness:
    return Witness(
        record=shown.payload.decode("ascii"),
        leaf=shown.leaf_hash.hex(),
        index=shown.proof.index,
        proof=[b64encode(each).decode() for each in shown.proof.hashes],
    )


def _payment(payment: Payment, made: Witness) -> ReceiptPayment:
    card = None
    if payment.brand is not None and payment.last4 is not None:
        card = ReceiptCard(brand=payment.brand, last4=payment.last4)
    return ReceiptPayment(
        id=payment.payment_id,
        status=payment.status.value,
        amount=payment.amount,
        currency=payment.currency,
        authorized=payment.authorized,
        captured=payment.captured,
        voided=payment.voided,
        refunded=payment.refunded,
        disputed=payment.disputed,
        reference=payment.reference,
        card=card,
        created_at=rfc3339(payment.created_at),
        audit=made,
    )


def _attempt(attempt: Attempt, settled: Witness | None) -> ReceiptAttempt:
    return ReceiptAttempt(
        id=attempt.attempt_id,
        operation=attempt.operation.value,
        outcome=None if attempt.outcome is None else attempt.outcome.value,
        basis=None if attempt.basis is None else attempt.basis.value,
        amount=attempt.amount,
        currency=attempt.currency,
        settled_amount=attempt.settled_amount,
        decline_code=attempt.decline_code,
        connection=attempt.connection_id,
        processor_reference=attempt.processor_reference,
        settled_at=None if attempt.settled_at is None else rfc3339(attempt.settled_at),
        audit=settled,
    )
