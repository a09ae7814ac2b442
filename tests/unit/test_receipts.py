# SPDX-License-Identifier: Apache-2.0
"""Receipts offline: one that holds is believed, and each way in which one can be altered is refused by its own word."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receipt_ground import (
    CAPTURED,
    JWKS,
    KEY,
    LEAVES,
    LOG,
    NEXT_KEY,
    STRANGER,
    attempt,
    content,
    head,
    receipt,
    signer_of,
    witness,
)
from strongroom.crypto.digest import hmac_sha256
from strongroom.payments import (
    JwksRefused,
    ReceiptFault,
    ReceiptRefused,
    VerifiedReceipt,
    read_jwks,
    verify_receipt,
)
from unit.audit_trees import made_id

TRUSTED = read_jwks(json.dumps(JWKS).encode())
GOOD = content()
TEXT = receipt(GOOD)
HEADER, PAYLOAD, SIGNATURE = TEXT.split(".")
Said = dict[str, Any]


def words(text: str) -> list[str]:
    """What does not hold."""
    with pytest.raises(ReceiptRefused) as refused:
        verify_receipt(text, TRUSTED, [LOG.verifier])
    return [each.fault.value for each in refused.value.findings]


def segment(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def header(**changed: str | None) -> str:
    """The receipt under another header, its signature as it was."""
    known = json.loads(urlsafe_b64decode(HEADER + "=="))
    made = {name: value for name, value in {**known, **changed}.items() if value is not None}
    return f"{segment(made)}.{PAYLOAD}.{SIGNATURE}"


def said(change: Callable[[Said], object]) -> Said:
    """What the receipt says, changed."""
    changed: Said = json.loads(json.dumps(GOOD))
    change(changed)
    return changed


def hs256() -> str:
    """The public key taken for a secret, as libraries that believe `alg` do."""
    public = JWKS["keys"][0]["x"].encode()
    first = segment({"alg": "HS256", "kid": KEY.kid, "typ": "strongroom-receipt+jws"})
    mac = hmac_sha256(public, f"{first}.{PAYLOAD}".encode())
    return f"{first}.{PAYLOAD}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def with_amount(amount: int) -> str:
    changed = said(lambda each: each["payment"].update(amount=amount))
    return f"{HEADER}.{receipt(changed).split('.')[1]}.{SIGNATURE}"


def test_a_receipt_that_holds_is_believed() -> None:
    held = verify_receipt(TEXT + "\n", TRUSTED, [LOG.verifier])
    assert isinstance(held, VerifiedReceipt)
    assert held.kid == KEY.kid
    assert held.receipt.payment.captured == 600
    assert [each.outcome for each in held.receipt.attempts][-1] == "unknown"


def test_both_keys_of_a_rotation_are_believed() -> None:
    assert verify_receipt(receipt(GOOD, NEXT_KEY), TRUSTED, [LOG.verifier]).kid == NEXT_KEY.kid


#: Who has no key alters the text: what is changed, the text, the word.
ALTERED: list[tuple[str, str, str]] = [
    ("an amount", with_amount(9_999), "signature"),
    ("the signature", f"{HEADER}.{PAYLOAD}.{'A' * 85}Q", "signature"),
    ("one bit of the signature", f"{HEADER}.{PAYLOAD}.{'A' + SIGNATURE[1:]}", "signature"),
    ("no signature", f"{HEADER}.{PAYLOAD}.", "form"),
    ("the kid, to another trusted key", header(kid=NEXT_KEY.kid), "signature"),
    ("the kid, to a stranger's", header(kid=signer_of(bytes(32)).kid), "key_unknown"),
    ("the kid, left out", header(kid=None), "key_unknown"),
    ("alg none", header(alg="none"), "algorithm"),
    ("alg none, unsigned", header(alg="none").rsplit(".", 1)[0] + ".", "form"),
    ("alg HS256 with the public key", hs256(), "algorithm"),
    ("alg ES256", header(alg="ES256"), "algorithm"),
    ("alg left out", header(alg=None), "algorithm"),
    ("typ of an access token", header(typ="at+jwt"), "type"),
    ("typ left out", header(typ=None), "type"),
    ("a key of its own in the header", header(jku="https://shop.example"), "header"),
    ("a header that is no JSON", f"bm9uZQ.{PAYLOAD}.{SIGNATURE}", "header"),
    ("cut off in the signature", TEXT[:-7], "signature"),
    ("cut off in the payload", TEXT[: len(HEADER) + 500], "form"),
    ("cut off by its last part", f"{HEADER}.{PAYLOAD}", "form"),
    ("padding", f"{HEADER}.{PAYLOAD}=.{SIGNATURE}", "form"),
    ("too long", f"{HEADER}.{'A' * 172_001}.{SIGNATURE}", "form"),
    ("empty", "", "form"),
    ("signed by a stranger", receipt(GOOD, signer_of(bytes(32))), "key_unknown"),
    (
        "signed by a stranger under a trusted name",
        receipt(GOOD, signer_of(bytes(32)), kid=KEY.kid),
        "signature",
    ),
]


@pytest.mark.parametrize(
    ("text", "word"), [row[1:] for row in ALTERED], ids=[row[0] for row in ALTERED]
)
def test_what_was_altered_without_the_key_is_refused(text: str, word: str) -> None:
    assert words(text) == [word]


def _node(each: Said) -> None:
    proof = each["attempts"][1]["audit"]["proof"]
    proof[1] = "A" + proof[1][1:] if proof[1][0] != "A" else "B" + proof[1][1:]


def _attempt(**changed: object) -> Callable[[Said], object]:
    return lambda each: each["attempts"][1].update(changed)


def _payment(**changed: object) -> Callable[[Said], object]:
    return lambda each: each["payment"].update(changed)


def _witness(number: int, **changed: object) -> Callable[[Said], object]:
    return lambda each: each["attempts"][1].update(audit={**witness(number), **changed})


def _tree(**changed: object) -> Callable[[Said], object]:
    return lambda each: each["tree"].update(changed)


STRANGERS_HEAD = head(len(LEAVES), STRANGER)
OLDER_HEAD = head(4)
OTHER_TREE = head(len(LEAVES), origin="other.example/core")
UPPER = LEAVES[5].decode().replace("approved", "declined")
#: Who holds the receipt key says what the audit log does not: what is changed, how, and every word.
UNTRUE: list[tuple[str, Callable[[Said], object], list[str]]] = [
    ("the payment's amount", _payment(amount=9_999), ["amount"]),
    ("the payment's currency", _payment(currency="KWD"), ["currency"] * 5),
    ("the payment's moment", _payment(created_at=GOOD["issued_at"]), ["moment"]),
    ("an attempt's amount", _attempt(amount=700), ["amount"]),
    ("an attempt's currency", _attempt(currency="KWD"), ["currency", "currency"]),
    ("an attempt's operation", _attempt(operation="sale"), ["operation"]),
    ("an attempt's outcome", _attempt(outcome="declined"), ["outcome", "balances"]),
    ("an attempt's basis", _attempt(basis="notice"), ["basis"]),
    ("an attempt's decline", _attempt(decline_code="do_not_honor"), ["decline_code"]),
    ("an attempt's moment", _attempt(settled_at=GOOD["issued_at"]), ["moment"]),
    ("an attempt's id", _attempt(id=made_id("att", 7)), ["attempt"]),
    ("the merchant", lambda each: each.update(merchant=made_id("mer", 7)), ["merchant"] * 4),
    ("the mode", lambda each: each.update(mode="live"), ["mode"] * 4),
    ("more captured", _payment(captured=601), ["balances"]),
    ("more given back", _payment(refunded=251), ["balances"]),
    ("less than nothing captured", _payment(captured=-1), ["balances"]),
    ("an outcome without its record", _attempt(audit=None), ["unproven"]),
    (
        "a record for what is not known",
        lambda each: each["attempts"][3].update(audit=witness(3)),
        ["unproven", "attempt", "amount", "outcome", "moment"],
    ),
    (
        "an attempt that nobody recorded",
        lambda each: each["attempts"].append(
            {**attempt(2, CAPTURED, "capture", 600), "audit": None}
        ),
        ["unproven"],
    ),
    ("another payment's proof", _witness(4), ["payment", "attempt", "moment"]),
    (
        "the proof of another act",
        _witness(5),
        ["action", "attempt", "operation", "amount", "currency", "outcome", "basis", "moment"],
    ),
    ("the proof of the other mode", _witness(6), ["mode", "moment"]),
    (
        "the proof of a declined attempt",
        _witness(7),
        ["attempt", "operation", "amount", "outcome", "decline_code", "moment"],
    ),
    ("a node of the proof", _node, ["proof"]),
    ("a proof that is too short", _witness(2, proof=witness(2)["proof"][1:]), ["proof"]),
    ("a proof without end", _witness(2, proof=["A" * 43 + "="] * 64), ["proof"]),
    ("a proof that is no base64", _witness(2, proof=["%"]), ["proof"]),
    ("a proof with a line more", _witness(2, proof=["\nindex 5"]), ["checkpoint"]),
    ("the index", _witness(2, index=6), ["proof"]),
    ("an index below nothing", _witness(2, index=-1), ["proof"]),
    ("an index beyond every tree", _witness(2, index=2**62), ["proof"]),
    ("the leaf", _witness(2, leaf="0" * 64), ["leaf"]),
    ("the record", _witness(2, record=UPPER), ["leaf", "proof"]),
    ("a record that the log does not write", _witness(2, record=UPPER + " "), ["leaf", "record"]),
    ("a record that is not ASCII", _witness(2, record="ü"), ["leaf", "record"]),
    ("the checkpoint, a stranger's", _tree(checkpoint=STRANGERS_HEAD), ["checkpoint_signature"]),
    ("the checkpoint, an older one", _tree(checkpoint=OLDER_HEAD), ["proof"] * 4),
    ("the checkpoint, another tree's", _tree(checkpoint=OTHER_TREE), ["checkpoint"]),
    ("the checkpoint, cut off", _tree(checkpoint=STRANGERS_HEAD[:-20]), ["checkpoint"]),
    ("no checkpoint", _tree(checkpoint=""), ["checkpoint"]),
    ("the tree's size", _tree(size=4), ["checkpoint"]),
    ("the tree's origin", _tree(origin="other.example/core/1"), ["checkpoint"]),
    ("an unknown member", lambda each: each.update(note="paid"), ["content"]),
    ("another version", lambda each: each.update(v=2), ["content"]),
    ("an amount as text", _payment(amount="1050"), ["content"]),
    ("a member in another place", lambda each: each.update(v=each.pop("v")), ["content"]),
]


@pytest.mark.parametrize(
    ("change", "expected"), [row[1:] for row in UNTRUE], ids=[row[0] for row in UNTRUE]
)
def test_what_is_signed_and_untrue_is_refused(
    change: Callable[[Said], object], expected: list[str]
) -> None:
    assert words(receipt(said(change))) == expected


def test_a_receipt_of_another_installations_log_is_refused() -> None:
    with pytest.raises(ReceiptRefused) as refused:
        verify_receipt(TEXT, TRUSTED, [STRANGER.verifier])
    assert [each.fault.value for each in refused.value.findings] == ["checkpoint_signature"]


def test_every_word_is_said_by_a_row() -> None:
    told = {row[2] for row in ALTERED} | {word for row in UNTRUE for word in row[2]}
    assert told == {each.value for each in ReceiptFault}


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda each: each.decode("latin-1")))
def test_whatever_is_no_receipt_is_refused_and_nothing_else_escapes(text: str) -> None:
    with pytest.raises(ReceiptRefused):
        verify_receipt(text, TRUSTED, [LOG.verifier])


@given(st.integers(0, len(TEXT) - 1), st.characters(min_codepoint=32, max_codepoint=255))
def test_no_character_can_be_another(place: int, character: str) -> None:
    text = TEXT[:place] + character + TEXT[place + 1 :]
    if text == TEXT:
        return
    with pytest.raises(ReceiptRefused):
        verify_receipt(text, TRUSTED, [LOG.verifier])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["proof", "record", "index", "leaf"]), inner, max_size=4
            )
        ),
        max_leaves=9,
    ),
    st.sampled_from(["payment", "attempts", "tree"]),
)
def test_whatever_is_signed_is_a_receipt_or_refused(value: object, name: str) -> None:
    with pytest.raises(ReceiptRefused):
        verify_receipt(receipt({**GOOD, name: value}), TRUSTED, [LOG.verifier])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": []}',
        b'{"keys": [1]}',
        b'{"keys": {"kty": "OKP"}}',
        json.dumps({"keys": [{**JWKS["keys"][0], "kid": KEY.kid[::-1]}]}).encode(),
        json.dumps({"keys": [{**JWKS["keys"][0], "d": "AAAA"}]}).encode(),
        json.dumps({"keys": [{"kty": "oct", "k": "AAAA", "kid": "a"}]}).encode(),
    ],
)
def test_what_is_no_set_of_receipt_keys_is_refused(text: bytes) -> None:
    with pytest.raises(JwksRefused):
        read_jwks(text)
