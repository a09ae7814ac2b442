# SPDX-License-Identifier: Apache-2.0
"""The settlement report of our own form (docs/reference/settlement-csv.md): for whatever is not read as it comes."""

from typing import Final

from strongroom.kernel.money import Money
from strongroom.payments.reconciliation.model import Kind, Line
from strongroom.payments.reconciliation.reading import Row

_KINDS: Final = {kind.value: kind for kind in Kind}


class GenericReport:
    """Implements `Format`."""

    required: Final = frozenset({"kind", "booked_at", "currency", "gross", "fee", "net"})

    def line(self, row: Row) -> Line:
        """Return a row as a line."""
        word = row.required("kind")
        kind = _KINDS.get(word)
        if kind is None:
            raise row.refused("kind", f"not one of {', '.join(sorted(_KINDS))}")
        currency = row.currency("currency")
        gross, fee, net = (row.money(column, currency) for column in ("gross", "fee", "net"))
        if net != gross - fee:
            raise row.refused("net", "is not gross less fee")
        if kind is Kind.FEE and gross:
            raise row.refused("gross", "is 0 on a line of kind fee: what it costs stands under fee")
        return Line(
            number=row.number,
            kind=kind,
            word=word,
            processor_reference=row.text("processor_reference"),
            payment_reference=row.text("payment_reference"),
            our_reference=row.text("our_reference"),
            gross=gross,
            fee=fee,
            net=net,
            currency=currency,
            presented=row.presented(
                "presented_amount", "presented_currency", Money(gross, currency)
            ),
            booked_at=row.instant("booked_at"),
            batch=row.text("batch"),
        )
