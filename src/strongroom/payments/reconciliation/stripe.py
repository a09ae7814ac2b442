# SPDX-License-Identifier: Apache-2.0
"""Stripe's itemized reports: `balance_change_from_activity.itemized.*` and `payout_reconciliation.itemized.*`.

Amounts are in major units there, currencies in lower case. What we called a movement stands in a column of metadata
that the report is asked for by name.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from strongroom.kernel.money import Money
from strongroom.payments.reconciliation.model import Kind, Line
from strongroom.payments.reconciliation.reading import Row


def _kinds(words: Mapping[Kind, str]) -> dict[str, Kind]:
    return {word: kind for kind, text in words.items() for word in text.split()}


#: Reporting categories (Stripe's page of that name).
_KINDS: Final[Mapping[str, Kind]] = _kinds(
    {
        # A part that is not captured, and a charge that fails later, come as captures below 0.
        Kind.CAPTURE: "charge charge_failure partial_capture_reversal",
        Kind.REFUND: "refund refund_failure",
        Kind.CHARGEBACK: "dispute dispute_reversal",
        Kind.FEE: "fee network_cost tax",
        Kind.PAYOUT: "payout payout_minimum_balance_hold payout_minimum_balance_release payout_reversal",
        Kind.ADJUSTMENT: (
            "advance advance_funding anticipation_repayment climate_order_purchase climate_order_refund "
            "connect_collection_transfer connect_reserved_funds contribution currency_conversion "
            "financing_paydown financing_paydown_reversal financing_payout financing_payout_reversal "
            "issuing_authorization_hold issuing_authorization_release issuing_dispute issuing_transaction "
            "obligation other_adjustment platform_earning platform_earning_refund risk_reserved_funds "
            "topup topup_reversal transfer transfer_reversal unreconciled_customer_funds"
        ),
    }
)


class StripeReport:
    """Implements `Format`.

    Args:
        attempt: the name of the metadata in which an adapter puts the id of an attempt.
        capture: likewise that of a capture, where a payment was authorized first.
    """

    required: Final = frozenset(
        "balance_transaction_id created_utc currency gross fee net reporting_category".split()
    )

    def __init__(
        self, *, attempt: str = "strongroom_attempt", capture: str = "strongroom_capture"
    ) -> None:
        self._refund = f"refund_metadata[{attempt}]"
        self._payment = f"payment_metadata[{attempt}]"
        self._capture = f"payment_metadata[{capture}]"

    def line(self, row: Row) -> Line:
        """Return a row as a line."""
        word = row.required("reporting_category")
        kind = _KINDS.get(word)
        if kind is None:
            raise row.refused("reporting_category", "not a category that is published")
        currency = row.currency("currency")
        gross, fee, net = (row.money(column, currency) for column in ("gross", "fee", "net"))
        if net != gross - fee:
            raise row.refused("net", "is not gross less fee")
        # Signed as gross is: Stripe negates what a refund or a charge that failed gave back.
        presented = row.presented(
            "customer_facing_amount", "customer_facing_currency", Money(gross, currency)
        )
        if kind is Kind.FEE:
            # It comes as a gross below 0; here what it costs is a fee.
            gross, fee = 0, -net
        return Line(
            number=row.number,
            kind=kind,
            word=word,
            processor_reference=row.text("source_id") or row.required("balance_transaction_id"),
            payment_reference=row.text("payment_intent_id") or row.text("charge_id"),
            our_reference=self._ours(row, kind),
            gross=gross,
            fee=fee,
            net=net,
            currency=currency,
            presented=presented,
            booked_at=row.instant("created_utc", offset=timedelta()),
            batch=row.text("automatic_payout_id"),
        )

    def _ours(self, row: Row, kind: Kind) -> str | None:
        if kind is Kind.REFUND:
            # A refund carries the payment's metadata too, and is not the payment.
            return row.text(self._refund)
        return row.text(self._capture) or row.text(self._payment)
