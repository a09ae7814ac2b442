# SPDX-License-Identifier: Apache-2.0
"""A payment's audit records in a tree of their own, and receipts of it signed by keys that tests hold."""

import asyncio
from base64 import b64encode
from datetime import timedelta
from typing import Any, Final

import msgspec

from strongroom.audit.actions import Action, Outcome
from strongroom.audit.merkle import inclusion_proof, leaf_hash
from strongroom.audit.note import NoteSigner
from strongroom.audit.record import AuditRecord, encode, salt_text
from strongroom.crypto.sign import SigningKey
from strongroom.identity import Ed25519Signer, ed25519_public_key
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.payments.receipts import model
from unit.audit_trees import MERCHANT, START, Leaves, made_id, payloads, signed

#: The tree's name, which is its first generation's origin.
TREE: Final = "strongroom.example/core"
LOG: Final = NoteSigner(TREE, SigningKey.from_seed(bytes(range(32))))
STRANGER: Final = NoteSigner(TREE, SigningKey.from_seed(bytes(range(1, 33))))
PAYMENT: Final = made_id("pay", 1)
AUTHORIZED: Final = made_id("att", 1)
CAPTURED: Final = made_id("att", 2)
REFUNDED: Final = made_id("att", 3)
ASKED: Final = made_id("att", 4)
CONNECTION: Final = made_id("con", 1)


def signer_of(seed: bytes) -> Ed25519Signer:
    public = SigningKey.from_seed(seed).public
    return Ed25519Signer(Secret(seed), public, ed25519_public_key(public).thumbprint)


KEY: Final = signer_of(bytes(range(100, 132)))
NEXT_KEY: Final = signer_of(bytes(range(101, 133)))


def jwk_of(seed_start: int) -> dict[str, Any]:
    key = ed25519_public_key(SigningKey.from_seed(bytes(range(seed_start, seed_start + 32))).public)
    return {**key.jwk, "alg": "EdDSA", "kid": key.thumbprint, "use": "sig"}


JWKS: Final = {"keys": [jwk_of(100), jwk_of(101)]}


def record_of(number: int, action: Action, thing: str, **details: str | int) -> AuditRecord:
    at = START + timedelta(seconds=number)
    return AuditRecord(
        action=action,
        actor=made_id("key", 1),
        details=details,
        event_id=made_id("aud", 900 + number, at),
        merchant=MERCHANT,
        mode=Mode.TEST,
        object=thing,
        origin=None,
        outcome=Outcome.SUCCESS,
        request_hash=None,
        salt=salt_text(bytes([number]) * 32),
        time=rfc3339(at),
        transaction_id=PAYMENT,
    )


def settled(number: int, thing: str, operation: str, amount: int, **more: str) -> AuditRecord:
    facts = {"basis": "answer", "currency": "AED", "operation": operation, "result": "approved"}
    return record_of(
        number, Action.PAYMENTS_ATTEMPT_SETTLED, thing, amount=amount, **{**facts, **more}
    )


MADE: Final = record_of(1, Action.PAYMENTS_PAYMENT_CREATED, PAYMENT, amount=1_050, currency="AED")
RECORDS: Final = [
    MADE,
    settled(2, AUTHORIZED, "authorize", 1_050),
    settled(3, CAPTURED, "capture", 600),
    settled(4, REFUNDED, "refund", 250),
    # Of another payment, and of other acts, in the same tree.
    msgspec.structs.replace(
        settled(5, made_id("att", 9), "capture", 600), transaction_id=made_id("pay", 9)
    ),
    record_of(6, Action.PAYMENTS_PAYMENT_CANCELED, PAYMENT, reason="duplicate"),
    msgspec.structs.replace(settled(7, CAPTURED, "capture", 600), mode=Mode.LIVE),
    settled(8, made_id("att", 8), "sale", 100, result="declined", decline_code="do_not_honor"),
]
LEAVES: Final = [*payloads(3), *(encode(each) for each in RECORDS), *payloads(2)]
FIRST: Final = 3


def witness(number: int) -> dict[str, Any]:
    """The proof of one of `RECORDS`."""
    index = FIRST + number
    leaves = Leaves([leaf_hash(each) for each in LEAVES])
    proof = asyncio.run(_proof(leaves, index))
    return {
        "record": LEAVES[index].decode(),
        "leaf": leaf_hash(LEAVES[index]).hex(),
        "index": index,
        "proof": [b64encode(each).decode() for each in proof],
    }


async def _proof(leaves: Leaves, index: int) -> list[bytes]:
    return list(await inclusion_proof(leaves, index, len(LEAVES)))


def head(size: int, signer: NoteSigner = LOG, origin: str = TREE) -> str:
    return signed(LEAVES, size, signer=signer, origin=origin).decode()


def attempt(number: int, thing: str, operation: str, amount: int) -> dict[str, Any]:
    return {
        "id": thing,
        "operation": operation,
        "outcome": "approved",
        "basis": "answer",
        "amount": amount,
        "currency": "AED",
        "settled_amount": amount,
        "decline_code": None,
        "connection": CONNECTION,
        "processor_reference": "sp_1",
        "settled_at": RECORDS[number].time,
        "audit": witness(number),
    }


def content() -> dict[str, Any]:
    """What a receipt says of a payment of which a part was captured and some of that given back."""
    return {
        "v": 1,
        "iss": "https://strongroom.example",
        "issued_at": rfc3339(START + timedelta(hours=1)),
        "merchant": MERCHANT,
        "mode": "test",
        "payment": {
            "id": PAYMENT,
            "status": "succeeded",
            "amount": 1_050,
            "currency": "AED",
            "authorized": 1_050,
            "captured": 600,
            "voided": 450,
            "refunded": 250,
            "disputed": 0,
            "reference": "order-1042",
            "card": {"brand": "visa", "last4": "4242"},
            "created_at": MADE.time,
            "audit": witness(0),
        },
        "attempts": [
            attempt(1, AUTHORIZED, "authorize", 1_050),
            attempt(2, CAPTURED, "capture", 600),
            attempt(3, REFUNDED, "refund", 250),
            {
                **attempt(3, ASKED, "refund", 100),
                "outcome": "unknown",
                "settled_amount": None,
                "settled_at": None,
                "audit": None,
            },
        ],
        "tree": {
            "origin": TREE,
            "size": len(LEAVES),
            "checkpoint": head(len(LEAVES)),
        },
    }


def printed(said: dict[str, Any]) -> bytes:
    """The bytes that are signed, of whatever is said."""
    return msgspec.json.encode(said)


def receipt(said: dict[str, Any], signer: Ed25519Signer = KEY, **header: str) -> str:
    return signer.sign(
        {"alg": "EdDSA", "kid": signer.kid, "typ": model.TYPE, **header}, printed(said)
    )
