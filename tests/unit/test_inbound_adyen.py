# SPDX-License-Identifier: Apache-2.0
"""Forgeries of Adyen's notices, both forms: a table each, and properties over any item."""

import base64
import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notice_makers import (
    SENDERS,
    adyen_envelope,
    adyen_item,
    adyen_mac,
    adyen_signed,
    adyen_text,
    good,
    judged,
    sha256_of,
)
from strongroom.kernel.mode import Mode
from strongroom.webhooks.inbound import VerifiedNotice

ADYEN, PLATFORM = SENDERS["adyen"], SENDERS["adyen_platform"]

# --- Adyen, payments ----------------------------------------------------------------------------------

KEY: Final = ADYEN.secret
ITEM: Final = adyen_item(pspReference="8835511210681234", merchantReference="att:1\\/é☃")
SIGNED: Final = adyen_signed(ITEM, KEY)
SIGNATURE: Final[str] = SIGNED["additionalData"]["hmacSignature"]


TEXT: Final = adyen_text(ITEM)
NULL: Final = b'{"live": "false", "notificationItems": [{"NotificationRequestItem": null}]}'
#: The same bytes as a signature, written otherwise.
RAW: Final = base64.b64decode(SIGNATURE)
ESCAPED: Final = adyen_text(ITEM).replace("att:1\\", "att\\:1\\\\")
BY_THE_DIGITS: Final = base64.b64encode(sha256_of(KEY.encode(), adyen_text(ITEM).encode()))


def item(**more: Any) -> dict[str, Any]:
    return {**SIGNED, **more}


def with_signature(signature: Any) -> bytes:
    return adyen_envelope(item(additionalData={"hmacSignature": signature}))


#: What it is, the body, why it is rejected.
ENVELOPES: Final[list[tuple[str, bytes, str | None]]] = [
    ("good", adyen_envelope(SIGNED), None),
    ("success as a boolean", adyen_envelope(item(success=True)), None),
    ("live as a boolean", adyen_envelope(SIGNED, live=False), None),
    ("null for what is absent", adyen_envelope(item(originalReference=None)), None),
    ("empty for what is absent", adyen_envelope(item(originalReference="")), None),
    ("the value as a text", adyen_envelope(item(amount={"value": "1130", "currency": "EUR"})), None),
    ("members to come", adyen_envelope(item(novelty=[1]), novelty={}), None),
    ("escaped otherwise", adyen_envelope(SIGNED).replace(b"\\u2603", "☃".encode()), None),
    ("no body", b"", "body_malformed"),
    ("no JSON", b"[accepted]", "body_malformed"),
    ("an envelope without items", adyen_envelope(), "body_malformed"),
    ("no envelope", json.dumps(SIGNED).encode(), "body_malformed"),
    ("items that are none", b'{"live": "false", "notificationItems": [7]}', "body_malformed"),
    ("an item that is null", NULL, "body_malformed"),
    ("items that are no list", b'{"live": "false", "notificationItems": {}}', "body_malformed"),
    ("21 items", adyen_envelope(*[SIGNED] * 21), "body_malformed"),
    ("no mode", adyen_envelope(SIGNED, live=None), "body_malformed"),
    ("another mode's word", adyen_envelope(SIGNED, live="yes"), "body_malformed"),
    ("in UTF-16", adyen_envelope(SIGNED).decode().encode("utf-16"), "body_malformed"),
    ("deep", b'{"live": ' + b"[" * 9_000, "body_malformed"),
    ("no additional data", adyen_envelope(ITEM), "signature_absent"),
    ("additional data that is null", adyen_envelope(item(additionalData=None)), "signature_absent"),
    ("no signature", adyen_envelope(item(additionalData={"authCode": "1"})), "signature_absent"),
    ("a signature that is null", with_signature(None), "signature_absent"),
    ("an empty signature", with_signature(""), "signature_absent"),
    ("a signature that is true", with_signature(True), "body_malformed"),
    ("a list of signatures", with_signature([SIGNATURE]), "body_malformed"),
    ("truncated", with_signature(SIGNATURE[:-1]), "signature_malformed"),
    ("truncated to a byte less", with_signature(base64.b64encode(RAW[:-1]).decode()), "signature_malformed"),
    ("a space behind", with_signature(SIGNATURE + " "), "signature_malformed"),
    ("a line's end", with_signature(SIGNATURE + "\n"), "signature_malformed"),
    ("for URLs", with_signature(base64.urlsafe_b64encode(b"\xff" * 32).decode()), "signature_malformed"),
    ("in hex", with_signature(RAW.hex()), "signature_malformed"),
    ("in capitals", with_signature(SIGNATURE.upper()), "signature_wrong"),
    ("another item's signature", with_signature(adyen_mac(adyen_text(adyen_item()), KEY)), "signature_wrong"),
    ("another key", with_signature(adyen_mac(adyen_text(ITEM), ADYEN.other)), "signature_wrong"),
    ("the key's digits as the key", with_signature(BY_THE_DIGITS.decode()), "signature_wrong"),
    ("colons escaped, as for its old pages", with_signature(adyen_mac(ESCAPED, KEY)), "signature_wrong"),
    ("True, as Python writes it", with_signature(adyen_mac(TEXT.replace("true", "True"), KEY)), "signature_wrong"),
    ("None, as Python writes it", with_signature(adyen_mac(TEXT.replace("::", ":None:"), KEY)), "signature_wrong"),
    ("success turned", adyen_envelope(item(success="false")), "signature_wrong"),
    ("success turned, as a boolean", adyen_envelope(item(success=False)), "signature_wrong"),
    ("success in capitals", adyen_envelope(item(success="TRUE")), "body_malformed"),
    ("success as a number", adyen_envelope(item(success=1)), "body_malformed"),
    ("no success", adyen_envelope(item(success=None)), "body_malformed"),
    ("one cent more", adyen_envelope(item(amount={"value": 1131, "currency": "EUR"})), "signature_wrong"),
    ("another currency", adyen_envelope(item(amount={"value": 1130, "currency": "KWD"})), "signature_wrong"),
    ("no amount", adyen_envelope(item(amount=None)), "signature_wrong"),
    ("half an amount", adyen_envelope(item(amount={"value": 1130})), "signature_wrong"),
    ("an amount with a fraction", adyen_envelope(item(amount={"value": 1130.5, "currency": "EUR"})), "body_malformed"),
    ("an amount that is true", adyen_envelope(item(amount={"value": True, "currency": "EUR"})), "body_malformed"),
    ("an amount of 5,000 digits", adyen_envelope(SIGNED).replace(b"1130", b"1" * 5_000), "body_malformed"),
    ("another event", adyen_envelope(item(eventCode="REFUND")), "signature_wrong"),
    ("no event", adyen_envelope(item(eventCode="")), "body_malformed"),
    ("no reference of theirs", adyen_envelope(item(pspReference=None)), "body_malformed"),
    ("an original that was not there", adyen_envelope(item(originalReference="8835")), "signature_wrong"),
    ("another account", adyen_envelope(item(merchantAccountCode="ShopCOM2")), "signature_wrong"),
    ("half a surrogate", adyen_envelope(SIGNED).replace(b"\\u2603", b"\\ud800"), "body_malformed"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "body", "reason"), ENVELOPES, ids=[row[0] for row in ENVELOPES])
def test_envelopes_of_adyen(what: str, body: bytes, reason: str | None) -> None:
    verdict = judged(ADYEN, {}, body)
    if reason is not None:
        assert verdict == reason
        return
    assert isinstance(verdict, VerifiedNotice), verdict
    assert (verdict.body, verdict.mode, verdict.beside) == (body, Mode.TEST, ())
    assert verdict.event_key == "CAPTURE:8835511210681234:true"
    assert ":".join((verdict.signed or {}).values()) == adyen_text(ITEM)


def test_a_part_of_one_field_cannot_be_pushed_into_another() -> None:
    """The text stays the same, and so would its signature: with colons in one field only it can be read in one way."""
    theirs = adyen_item(merchantReference="att_1:att_2", originalReference="")
    signature = adyen_signed(theirs, KEY)["additionalData"]
    ours = {**theirs, "merchantAccountCode": "ShopCOM:att_1", "merchantReference": "att_2"}
    shifted = {**ours, "originalReference": ":ShopCOM", "merchantAccountCode": "att_1"}
    assert adyen_text(shifted) == adyen_text(ours) == adyen_text(theirs)
    good(ADYEN, {}, adyen_envelope({**theirs, "additionalData": signature}))
    for forged in (ours, shifted):
        body = adyen_envelope({**forged, "additionalData": signature})
        assert judged(ADYEN, {}, body) == "body_malformed"


def test_of_several_items_all_hold_or_none_is_believed() -> None:
    items = [adyen_signed(adyen_item(eventCode=code), KEY) for code in ("CAPTURE", "REFUND", "NOVELTY")]  # fmt: skip
    found = good(ADYEN, {}, adyen_envelope(*items))
    notices = [found, *found.beside]
    assert [each.event_key.split(":")[0] for each in notices] == ["CAPTURE", "REFUND", "NOVELTY"]
    for each, signed in zip(notices, items, strict=True):
        assert json.loads(each.body) == json.loads(adyen_envelope(signed)), "an envelope of its own"
        alone = good(ADYEN, {}, each.body)
        assert (alone.event_key, alone.signed) == (each.event_key, each.signed)
    for n in range(3):
        forged = [*items]
        forged[n] = {**items[n], "amount": {"value": 1, "currency": "EUR"}}
        assert judged(ADYEN, {}, adyen_envelope(*forged)) == "signature_wrong"
        forged[n] = {**items[n], "additionalData": {}}
        assert judged(ADYEN, {}, adyen_envelope(*forged)) == "signature_absent"
        forged[n] = {**items[n], "additionalData": items[n - 1]["additionalData"]}
        assert judged(ADYEN, {}, adyen_envelope(*forged)) == "signature_wrong"


def test_what_is_not_signed_is_not_in_what_is_authentic() -> None:
    """Reason, date and additional data may have been written by anybody, and the notice says so."""
    data = {**SIGNED["additionalData"], "authCode": "forged", "authorisedAmountValue": "999999"}
    forged = item(reason="forged", eventDate="2031-01-01T00:00:00Z", additionalData=data)
    found = good(ADYEN, {}, adyen_envelope(forged))
    assert found.signed == good(ADYEN, {}, adyen_envelope(SIGNED)).signed
    assert set(found.signed or ()) == {
        "pspReference", "originalReference", "merchantAccountCode", "merchantReference",
        "value", "currency", "eventCode", "success",
    }  # fmt: skip


WORDS: Final = st.text(
    st.characters(exclude_characters=":", exclude_categories=["Cs"]), max_size=20
)
ANY: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NAMES: Final = st.from_regex(r"[!-9;-~]{1,16}", fullmatch=True)
ITEMS: Final = st.fixed_dictionaries(
    {
        "pspReference": NAMES,
        "eventCode": NAMES,
        "success": st.sampled_from(["true", "false", True, False]),
        "amount": st.none()
        | st.fixed_dictionaries(
            {"value": st.none() | st.integers(-(10**12), 10**12), "currency": st.none() | WORDS}
        ),
    },
    optional={
        "originalReference": st.none() | WORDS,
        "merchantAccountCode": st.none() | WORDS,
        "merchantReference": st.none() | ANY,
        "reason": ANY,
    },
)


@given(made=ITEMS, ascii_only=st.booleans())
def test_any_item_that_is_signed_is_believed_as_it_was(
    made: dict[str, Any], *, ascii_only: bool
) -> None:
    envelope = json.loads(adyen_envelope(adyen_signed(made, KEY), live=True))
    body = json.dumps(envelope, ensure_ascii=ascii_only).encode()
    found = good(ADYEN, {}, body)
    assert ":".join((found.signed or {}).values()) == adyen_text(made)
    assert found.mode is Mode.LIVE
    assert found.event_key.isascii()
    assert len(found.event_key) <= 255


@given(made=ITEMS, change=ITEMS, which=st.sampled_from(
    ["pspReference", "originalReference", "merchantAccountCode", "merchantReference", "amount", "eventCode", "success"]
))  # fmt: skip
def test_no_signed_field_of_an_item_may_change(
    made: dict[str, Any], change: dict[str, Any], which: str
) -> None:
    signed = adyen_signed(made, KEY)
    changed = {**signed, which: change.get(which)}
    verdict = judged(ADYEN, {}, adyen_envelope(changed))
    if adyen_text(changed) == adyen_text(made):  # null for absent, a boolean for its word
        assert isinstance(verdict, VerifiedNotice) or change.get(which) is None
    else:
        assert isinstance(verdict, str)


# --- Adyen, platforms ---------------------------------------------------------------------------------

BODY: Final = b'\n { "type": "merchant.created", "environment": "live" } '
HEADER: Final = adyen_mac(BODY, KEY)
#: What it is, the header, why it is rejected.
PLATFORM_HEADERS: Final[list[tuple[str, str | None, str | None]]] = [
    ("good", HEADER, None),
    ("no header", None, "signature_absent"),
    ("an empty header", "", "signature_malformed"),
    ("another key", adyen_mac(BODY, PLATFORM.other), "signature_wrong"),
    ("another body", adyen_mac(BODY.strip(), KEY), "signature_wrong"),
    ("in capitals", HEADER.upper(), "signature_wrong"),
    ("in hex", base64.b64decode(HEADER).hex(), "signature_malformed"),
    ("truncated", HEADER[:-1], "signature_malformed"),
    ("a space before", " " + HEADER, "signature_malformed"),
    ("a line's end", HEADER + "\n", "signature_malformed"),
    ("two headers as one", f"{HEADER}, {HEADER}", "signature_malformed"),
    ("other letters", "é" * 43 + "=", "signature_malformed"),
]


@pytest.mark.parametrize(
    ("what", "header", "reason"), PLATFORM_HEADERS, ids=[row[0] for row in PLATFORM_HEADERS]
)
def test_headers_of_adyens_platforms(what: str, header: str | None, reason: str | None) -> None:
    verdict = judged(PLATFORM, {} if header is None else {"hmacsignature": header}, BODY)
    if reason is not None:
        assert verdict == reason
        return
    assert isinstance(verdict, VerifiedNotice), verdict
    assert (verdict.body, verdict.mode, verdict.signed) == (BODY, Mode.LIVE, None)


@given(st.binary(max_size=40))
def test_a_signature_in_base64_is_written_in_one_way(data: bytes) -> None:
    """Its last digit has two bits that say nothing: the other three ways of writing them are refused."""
    text = adyen_mac(b'{"n":"' + data.hex().encode() + b'"}', KEY)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    at = alphabet.index(text[42])
    body = b'{"n":"' + data.hex().encode() + b'"}'
    for other in range(at + 1, at + 4):
        again = text[:42] + alphabet[other] + "="
        assert base64.b64decode(again) == base64.b64decode(text)
        assert judged(PLATFORM, {"hmacsignature": again}, body) == "signature_malformed"
