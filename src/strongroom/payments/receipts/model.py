# SPDX-License-Identifier: Apache-2.0
"""What a receipt says, as its signed bytes. Amounts are whole minor units; moments are RFC 3339 in UTC.

The form is for ever: whoever keeps a receipt verifies it with a later release. A later form has another `v`.
"""

from typing import Final, Literal

import msgspec

#: The `typ` of its header: no other JWS of this installation passes for a receipt, and a receipt for none of them.
TYPE: Final = "strongroom-receipt+jws"
#: Attempts that one receipt holds at most, each with its proof.
ATTEMPTS_MAX: Final = 32
#: Characters of a receipt: more is not looked at. The JOSE library takes 128,000 bytes of payload.
RECEIPT_CHARACTERS_MAX: Final = 172_000


class Witness(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An audit record, and the proof that it is in the tree of the receipt's checkpoint."""

    #: The record's exact bytes: they are ASCII.
    record: str
    #: SHA-256 over a zero byte and the record (RFC 6962 §2.1), in hex.
    leaf: str
    index: int
    #: From the leaf's sibling to the root's child, in base64.
    proof: list[str]


class ReceiptCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be shown of the card."""

    brand: str
    last4: str


class ReceiptPayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The payment at the moment of the receipt. Balances hold what has happened, and nothing that is under way."""

    id: str
    status: str
    amount: int
    currency: str
    authorized: int
    captured: int
    voided: int
    refunded: int
    disputed: int
    reference: str | None
    card: ReceiptCard | None
    created_at: str
    #: The record of its making.
    audit: Witness


class ReceiptAttempt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One time that a processor was asked. What is not known yet has no witness."""

    id: str
    operation: str
    outcome: str | None
    basis: str | None
    amount: int
    currency: str
    settled_amount: int | None
    decline_code: str | None
    connection: str
    processor_reference: str | None
    settled_at: str | None
    #: The record of its outcome.
    audit: Witness | None


class ReceiptTree(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The head of the audit tree that every proof leads to."""

    origin: str
    size: int
    #: The signed note (C2SP tlog-checkpoint), exactly as the log issued it.
    checkpoint: str


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A receipt's content."""

    v: Literal[1]
    iss: str
    issued_at: str
    merchant: str
    mode: Literal["live", "test"]
    payment: ReceiptPayment
    attempts: list[ReceiptAttempt]
    tree: ReceiptTree


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Receipt, strict=True)


def encode(receipt: Receipt) -> bytes:
    """Return the bytes that are signed."""
    return _encoder.encode(receipt)


def decode(payload: bytes) -> Receipt | None:
    """Read what `encode` has written, byte for byte; None: it has not."""
    try:
        receipt = _decoder.decode(payload)
        # A member twice, another order, a space: what two readers could read differently is no receipt.
        return receipt if _encoder.encode(receipt) == payload else None
    except (msgspec.MsgspecError, UnicodeError):
        return None
