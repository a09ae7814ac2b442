# SPDX-License-Identifier: Apache-2.0
"""Why there is no receipt, and why one is not believed.

├── ReceiptNotYet     409     nothing was approved
├── ReceiptTooLong    422     more attempts than a receipt holds
├── ReceiptRefused            a receipt does not hold; carries every finding
└── JwksRefused               the trusted keys cannot be read
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from strongroom.kernel.errors import Conflict, Refused, StrongroomError


class ReceiptNotYet(Conflict):
    """No attempt of this payment was approved: there is nothing to give a receipt of."""

    code = "receipt_not_yet"


class ReceiptTooLong(Refused):
    """This payment has more attempts than a receipt holds."""

    code = "receipt_too_long"
    status = 422


class JwksRefused(StrongroomError):
    """The file of receipt keys is no JWK set of Ed25519 keys, each named by its thumbprint."""

    code = "jwks_refused"


class ReceiptFault(enum.StrEnum):
    """What does not hold; a word once shipped keeps its meaning."""

    #: Not three base64url parts, or too long: cut off, for instance.
    FORM = "form"
    #: The header is no JSON object of the members that a receipt's has.
    HEADER = "header"
    #: `alg` is not EdDSA.
    ALGORITHM = "algorithm"
    #: `typ` says that it is something else.
    TYPE = "type"
    #: No trusted key has this `kid`.
    KEY_UNKNOWN = "key_unknown"
    #: The named key has not signed these bytes.
    SIGNATURE = "signature"
    #: It is signed, and not of a receipt's form.
    CONTENT = "content"
    #: A record's bytes are none that the audit log writes.
    RECORD = "record"
    #: The leaf hash is not the record's.
    LEAF = "leaf"
    #: The record is of another act than the one it stands for.
    ACTION = "action"
    #: The record belongs to another merchant.
    MERCHANT = "merchant"
    #: The record belongs to the other mode.
    MODE = "mode"
    #: The record belongs to another payment.
    PAYMENT = "payment"
    #: The record belongs to another attempt.
    ATTEMPT = "attempt"
    AMOUNT = "amount"
    CURRENCY = "currency"
    OPERATION = "operation"
    OUTCOME = "outcome"
    BASIS = "basis"
    DECLINE_CODE = "decline_code"
    MOMENT = "moment"
    #: More was captured or given back than the attempts account for.
    BALANCES = "balances"
    #: What is said to be known has no record, or what is not known has one.
    UNPROVEN = "unproven"
    #: The checkpoint is malformed, another tree's, or of another size than is said.
    CHECKPOINT = "checkpoint"
    #: No trusted audit key has signed the checkpoint.
    CHECKPOINT_SIGNATURE = "checkpoint_signature"
    #: The proof does not lead from the record to the checkpoint.
    PROOF = "proof"


@dataclass(frozen=True, slots=True)
class ReceiptFinding:
    """One thing that does not hold: a word, where it stands (a JSON pointer, or a part of the JWS), and a sentence."""

    fault: ReceiptFault
    where: str
    detail: str

    def __str__(self) -> str:
        return f"{self.fault.value} at {self.where}: {self.detail}"


class ReceiptRefused(StrongroomError):
    """The receipt does not hold."""

    code = "receipt_refused"

    def __init__(self, findings: Sequence[ReceiptFinding]) -> None:
        super().__init__("; ".join(str(each) for each in findings))
        self.findings = tuple(findings)
