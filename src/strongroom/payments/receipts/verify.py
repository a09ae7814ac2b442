# SPDX-License-Identifier: Apache-2.0
"""Verifies receipts with public keys alone: no installation, database or network. Says everything that does not hold.

What a receipt cannot show is that it is the newest one, or that an attempt was left out: ask for another receipt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from strongroom.audit import (
    Action,
    AuditRecord,
    CheckpointRefused,
    NoteRefused,
    NoteUnsigned,
    ProofRefused,
    RecordRefused,
    VerifierKey,
    leaf_hash,
    unchecked_proof,
    verify_record,
)
from strongroom.identity import (
    EDDSA,
    JoseRefused,
    PublicKey,
    header_of,
    public_key,
    strict_json,
    verified,
)
from strongroom.payments.receipts.errors import (
    JwksRefused,
    ReceiptFault,
    ReceiptFinding,
    ReceiptRefused,
)
from strongroom.payments.receipts.model import (
    RECEIPT_CHARACTERS_MAX,
    TYPE,
    Receipt,
    ReceiptAttempt,
    Witness,
    decode,
)

#: Trusted keys by their `kid`.
ReceiptKeySet: TypeAlias = Mapping[str, PublicKey]
_Findings: TypeAlias = list[ReceiptFinding]
_HEADER_MEMBERS: Final = frozenset({"alg", "kid", "typ"})
_FINAL: Final = frozenset({"approved", "declined", "not_sent"})
_CAPTURING: Final = frozenset({"capture", "sale"})
#: What a fault of the header's form is called here.
_HEADER_FAULTS: Final = {
    "form": ReceiptFault.FORM,
    "encoding": ReceiptFault.FORM,
    "algorithm": ReceiptFault.ALGORITHM,
}
#: What each refusal of the audit log's verifier is called here; the narrower kind first.
_FAULTS: Final = (
    (RecordRefused, ReceiptFault.RECORD),
    (ProofRefused, ReceiptFault.PROOF),
    (NoteUnsigned, ReceiptFault.CHECKPOINT_SIGNATURE),
    (NoteRefused, ReceiptFault.CHECKPOINT),
    (CheckpointRefused, ReceiptFault.CHECKPOINT),
)
_OF_TREE: Final = frozenset({ReceiptFault.CHECKPOINT, ReceiptFault.CHECKPOINT_SIGNATURE})


@final
@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """A receipt that holds. Only `verify_receipt` makes one."""

    receipt: Receipt
    kid: str


def read_jwks(text: bytes) -> ReceiptKeySet:
    """Read the trusted keys: a JWK set as `/v1/receipts/jwks` answers it.

    Raises:
        JwksRefused: it is none, or one of its keys is not an Ed25519 key that is named by its thumbprint.
    """
    try:
        given = strict_json(text).get("keys")
        if not isinstance(given, list) or not given:
            raise JwksRefused
        keys = [(each, public_key(each)) for each in given]
    except JoseRefused:
        raise JwksRefused from None
    if any(key.algorithm != EDDSA or jwk.get("kid") != key.thumbprint for jwk, key in keys):
        raise JwksRefused
    return {key.thumbprint: key for _, key in keys}


def verify_receipt(
    text: str, keys: ReceiptKeySet, audit_keys: Sequence[VerifierKey]
) -> VerifiedReceipt:
    """Return a receipt as proof that it holds.

    Args:
        text: the compact JWS; a newline at its end is left out.
        keys: the trusted receipt keys.
        audit_keys: the trusted keys of the audit log that its proofs lead to.

    Raises:
        ReceiptRefused: carries every finding; where the signature does not hold nothing else is looked at.
    """
    # To believe a receipt:
    #  1. A trusted receipt key has signed its exact bytes, as a receipt.
    #  2. They are of a receipt's form.
    #  3. Each record is one that the audit log writes, and says the same as the receipt.
    #  4. Each record is in the tree that a trusted audit key has signed.
    #  5. The balances are accounted for by the attempts.
    payload, kid = _signed(text.removesuffix("\n"), keys)  # (1)
    receipt = decode(payload)  # (2)
    if receipt is None:
        raise _refused(ReceiptFault.CONTENT, "payload", "not a receipt of a version known here")
    findings: _Findings = []
    _check_payment(receipt, audit_keys, findings)  # (3) (4)
    for number, attempt in enumerate(receipt.attempts):
        _check_attempt(receipt, attempt, f"/attempts/{number}", audit_keys, findings)  # (3) (4)
    _check_balances(receipt, findings)  # (5)
    if findings:
        raise ReceiptRefused(findings)
    return VerifiedReceipt(receipt, kid)


def _refused(fault: ReceiptFault, where: str, detail: str) -> ReceiptRefused:
    return ReceiptRefused([ReceiptFinding(fault, where, detail)])


def _signed(text: str, keys: ReceiptKeySet) -> tuple[bytes, str]:
    try:
        header = header_of(text, _HEADER_MEMBERS, RECEIPT_CHARACTERS_MAX)
    except JoseRefused as refused:
        fault = _HEADER_FAULTS.get(refused.reason, ReceiptFault.HEADER)
        raise _refused(fault, "header", f"a receipt's is not so ({refused.reason})") from None
    if header["alg"] != EDDSA:
        raise _refused(ReceiptFault.ALGORITHM, "header", "a receipt is signed with EdDSA")
    if header.get("typ") != TYPE:
        raise _refused(ReceiptFault.TYPE, "header", f"`typ` is not {TYPE}")
    kid = header.get("kid")
    key = keys.get(kid) if isinstance(kid, str) else None
    if not isinstance(kid, str) or key is None:
        raise _refused(ReceiptFault.KEY_UNKNOWN, "header", "no trusted key has this `kid`")
    try:
        return verified(text, key, RECEIPT_CHARACTERS_MAX), kid
    except JoseRefused as refused:
        if refused.reason == "signature":
            detail = "the named key has not signed this"
            raise _refused(ReceiptFault.SIGNATURE, "signature", detail) from None
        raise _refused(ReceiptFault.FORM, "payload", f"not base64url ({refused.reason})") from None


def _check_payment(
    receipt: Receipt, audit_keys: Sequence[VerifierKey], findings: _Findings
) -> None:
    payment, where = receipt.payment, "/payment/audit"
    record = _proven(receipt, payment.audit, where, audit_keys, findings)
    if record is None:
        return
    said: _Facts = [
        (ReceiptFault.ACTION, record.action, Action.PAYMENTS_PAYMENT_CREATED),
        (ReceiptFault.PAYMENT, record.object, payment.id),
        (ReceiptFault.AMOUNT, record.details.get("amount"), payment.amount),
        (ReceiptFault.CURRENCY, record.details.get("currency"), payment.currency),
        (ReceiptFault.MOMENT, record.time, payment.created_at),
    ]
    _compare(receipt, record, said, where, findings)


def _check_attempt(
    receipt: Receipt,
    attempt: ReceiptAttempt,
    at: str,
    audit_keys: Sequence[VerifierKey],
    findings: _Findings,
) -> None:
    where = f"{at}/audit"
    if attempt.currency != receipt.payment.currency:
        detail = "an attempt is in its payment's currency"
        findings.append(ReceiptFinding(ReceiptFault.CURRENCY, f"{at}/currency", detail))
    if (attempt.audit is not None) != (attempt.outcome in _FINAL):
        detail = "an outcome that is known has its record, and no other has one"
        findings.append(ReceiptFinding(ReceiptFault.UNPROVEN, where, detail))
    if attempt.audit is None:
        return
    record = _proven(receipt, attempt.audit, where, audit_keys, findings)
    if record is None:
        return
    said: _Facts = [
        (ReceiptFault.ACTION, record.action, Action.PAYMENTS_ATTEMPT_SETTLED),
        (ReceiptFault.ATTEMPT, record.object, attempt.id),
        (ReceiptFault.OPERATION, record.details.get("operation"), attempt.operation),
        (ReceiptFault.AMOUNT, record.details.get("amount"), attempt.amount),
        (ReceiptFault.CURRENCY, record.details.get("currency"), attempt.currency),
        (ReceiptFault.OUTCOME, record.details.get("result"), attempt.outcome),
        (ReceiptFault.BASIS, record.details.get("basis"), attempt.basis or "none"),
        (ReceiptFault.DECLINE_CODE, record.details.get("decline_code"), attempt.decline_code),
        (ReceiptFault.MOMENT, record.time, attempt.settled_at),
    ]
    _compare(receipt, record, said, where, findings)


#: A fault, what the record says, and what the receipt says.
_Facts: TypeAlias = list[tuple[ReceiptFault, object, object]]


def _compare(
    receipt: Receipt, record: AuditRecord, said: _Facts, where: str, findings: _Findings
) -> None:
    owner: _Facts = [
        (ReceiptFault.MERCHANT, record.merchant, receipt.merchant),
        (ReceiptFault.MODE, record.mode, receipt.mode),
        (ReceiptFault.PAYMENT, record.transaction_id, receipt.payment.id),
    ]
    seen: set[ReceiptFault] = set()
    for fault, recorded, stated in [*owner, *said]:
        if recorded != stated and fault not in seen:
            seen.add(fault)
            detail = f"the audit log says {recorded}, the receipt {stated}"
            findings.append(ReceiptFinding(fault, where, detail))


def _proven(
    receipt: Receipt,
    witness: Witness,
    where: str,
    audit_keys: Sequence[VerifierKey],
    findings: _Findings,
) -> AuditRecord | None:
    """Return the record if it is in the signed tree; else add what does not hold."""
    payload = witness.record.encode("utf-8", "replace")
    if leaf_hash(payload).hex() != witness.leaf:
        detail = "it is not the hash of the record"
        findings.append(ReceiptFinding(ReceiptFault.LEAF, f"{where}/leaf", detail))
    proof = unchecked_proof(witness.index, witness.proof, receipt.tree.checkpoint)
    try:
        held = verify_record(payload, proof, audit_keys)
    except (RecordRefused, ProofRefused, NoteRefused, CheckpointRefused) as error:
        fault = next(fault for kind, fault in _FAULTS if isinstance(error, kind))
        part = "/tree/checkpoint" if fault in _OF_TREE else f"{where}/{fault.value}"
        _add(findings, fault, part, error.detail)
        return None
    checkpoint = held.inclusion.checkpoint
    if (checkpoint.origin, checkpoint.size) != (receipt.tree.origin, receipt.tree.size):
        detail = "the signed checkpoint says another tree or size"
        _add(findings, ReceiptFault.CHECKPOINT, "/tree", detail)
        return None
    return held.record


def _add(findings: _Findings, fault: ReceiptFault, where: str, detail: str) -> None:
    found = ReceiptFinding(fault, where, detail)
    if found not in findings:  # each record has the same checkpoint
        findings.append(found)


def _check_balances(receipt: Receipt, findings: _Findings) -> None:
    """What was captured and given back is at most what approved attempts have asked for."""
    payment = receipt.payment
    approved = [each for each in receipt.attempts if each.outcome == "approved"]
    captured = sum(each.amount for each in approved if each.operation in _CAPTURING)
    refunded = sum(each.amount for each in approved if each.operation == "refund")
    for name, stated, most in (
        ("captured", payment.captured, captured),
        ("refunded", payment.refunded, refunded),
    ):
        if not 0 <= stated <= most:
            detail = f"the receipt says {stated}, its approved attempts account for {most}"
            findings.append(ReceiptFinding(ReceiptFault.BALANCES, f"/payment/{name}", detail))
