# SPDX-License-Identifier: Apache-2.0
"""The ledger's accounts and postings, as values."""

import enum
from datetime import datetime

import msgspec

from strongroom.kernel.ids import ConnectionId, MerchantId, PaymentId
from strongroom.kernel.mode import Mode


class Account(enum.StrEnum):
    """An account of a merchant, kept in each currency by itself."""

    #: What issuers hold for the merchant; the other side of `holds`.
    AUTHORIZATIONS = "authorizations"
    #: What cardholders took back, or claim.
    DISPUTES = "disputes"
    #: Authorized, and neither captured nor released.
    HOLDS = "holds"
    #: What processors owe: captured, and neither given back nor taken back. Fees and payouts are not in it.
    RECEIVABLE = "receivable"
    #: What was given back.
    REFUNDS = "refunds"
    #: What was captured.
    SALES = "sales"


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """One posting as its row is. `amount` is in minor units and above zero; `cause` is unique in its payment."""

    merchant_id: MerchantId
    mode: Mode
    payment_id: PaymentId
    #: The attempt or the dispute, the payment's version, and the move: a fact is posted once.
    cause: str
    debit: Account
    credit: Account
    amount: int
    currency: str
    connection_id: ConnectionId
    made_at: datetime
