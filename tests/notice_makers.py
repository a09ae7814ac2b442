# SPDX-License-Identifier: Apache-2.0
"""Notices as each processor would send them: an event of every scheme, signed or encrypted as its scheme says.

Written from the published descriptions and not with the verifiers' code; tests/vectors holds what the processors' own
libraries sign.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from strongroom.crypto import aes_gcm_encrypt
from strongroom.crypto.ids import new_id
from strongroom.kernel.secret import Secret
from strongroom.webhooks.inbound import VERIFIERS, NoticeRejected, RawNotice, VerifiedNotice

Headers = dict[str, str]
NOW: Final = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
CONNECTION: Final = "con_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"


def sha256_of(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def _timed(header: str) -> Callable[[bytes, str, datetime], tuple[Headers, bytes]]:
    def sign(body: bytes, secret: str, at: datetime) -> tuple[Headers, bytes]:
        t = int(at.timestamp())
        mac = sha256_of(secret.encode(), f"{t}.".encode() + body).hex()
        return {header: f"t={t},v1={mac}"}, body

    return sign


def adyen_text(item: Mapping[str, Any]) -> str:
    """What Adyen signs of an item (docs.adyen.com, "Verify HMAC signatures")."""

    def text(value: Any) -> str:
        return (
            "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        )

    amount = item.get("amount") or {}
    given = {**item, "value": amount.get("value"), "currency": amount.get("currency")}
    order = (
        "pspReference", "originalReference", "merchantAccountCode", "merchantReference",
        "value", "currency", "eventCode", "success",
    )  # fmt: skip
    return ":".join(text(given.get(name)) for name in order)


def adyen_mac(text: str | bytes, key: str) -> str:
    data = text.encode() if isinstance(text, str) else text
    return base64.b64encode(sha256_of(bytes.fromhex(key), data)).decode()


def adyen_signed(item: Mapping[str, Any], key: str) -> dict[str, Any]:
    more = {**(item.get("additionalData") or {}), "hmacSignature": adyen_mac(adyen_text(item), key)}
    return {**item, "additionalData": more}


def adyen_item(**more: Any) -> dict[str, Any]:
    """An item of a payment's notice, unsigned."""
    return {
        "pspReference": new_id("x")[-16:],
        "merchantReference": new_id("att"),
        "merchantAccountCode": "ShopCOM",
        "eventDate": "2026-11-20T10:30:00+01:00",
        "amount": {"value": 1130, "currency": "EUR"},
        "eventCode": "CAPTURE",
        "success": "true",
        "reason": "",
        **more,
    }


def adyen_envelope(*items: Mapping[str, Any], live: Any = "false", **more: Any) -> bytes:
    wrapped = [{"NotificationRequestItem": item} for item in items]
    return json.dumps({"live": live, "notificationItems": wrapped, **more}).encode()


def _adyen_sign(body: bytes, secret: str, _: datetime) -> tuple[Headers, bytes]:
    envelope = json.loads(body)
    items = [each["NotificationRequestItem"] for each in envelope.pop("notificationItems")]
    return {}, adyen_envelope(*(adyen_signed(each, secret) for each in items), **envelope)


def _encrypt(write: Callable[[bytes], str], read: Callable[[str], bytes]) -> Any:
    def sign(body: bytes, secret: str, _: datetime) -> tuple[Headers, bytes]:
        iv, ciphertext, tag = aes_gcm_encrypt(read(secret), body)
        headers = {"x-initialization-vector": write(iv), "x-authentication-tag": write(tag)}
        return headers, write(ciphertext).encode()

    return sign


def _checkout_sign(body: bytes, secret: str, _: datetime) -> tuple[Headers, bytes]:
    key, _space, authorization = secret.partition(" ")
    headers = {"cko-signature": sha256_of(key.encode(), body).hex()}
    return headers | ({"authorization": authorization} if authorization else {}), body


@dataclass(frozen=True)
class Sender:
    """A processor's side of one scheme."""

    scheme: str
    #: Two that have the scheme's form.
    secret: str
    other: str
    #: Events of the scheme's form, unsigned, in test mode; what is given stands at their top.
    event: Callable[..., bytes]
    #: Body, secret, time: the headers and body that are sent.
    sign: Callable[[bytes, str, datetime], tuple[Headers, bytes]]
    #: Whether it signs a time.
    timed: bool = False


def _event(prefix: str, **always: Any) -> Callable[..., bytes]:
    return lambda **more: json.dumps(
        {"id": new_id("x").replace("x", prefix, 1), "type": "payment.captured", **always, **more}
    ).encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


_HEX: Final = ("0123456789ABCDEF" * 4, "fedcba9876543210" * 4)
_BASE64: Final = (_base64(bytes(range(32))), _base64(bytes(range(1, 33))))

SENDERS: Final[Mapping[str, Sender]] = {
    each.scheme: each
    for each in (
        Sender("simulator", "sim_wh_old_0123456789", "sim_wh_new_0123456789", _event("se"),
               _timed("sim-signature"), timed=True),
        Sender("stripe", "whsec_old0123456789abcdef", "whsec_new0123456789abcdef",
               _event("evt", object="event", livemode=False), _timed("stripe-signature"), timed=True),
        Sender("checkout", "signature-key-old%1", "signature-key-new%1 Bearer of 2 words", _event("evt"),
               _checkout_sign),
        Sender("adyen", *_HEX, lambda **more: adyen_envelope(adyen_item(), **more), _adyen_sign),
        Sender("adyen_platform", *_HEX, _event("tr", environment="test"),
               lambda body, secret, _: ({"hmacsignature": adyen_mac(body, secret)}, body)),
        Sender("aes_gcm_hex", *_HEX, _event("x"), _encrypt(bytes.hex, bytes.fromhex)),
        Sender("aes_gcm_base64", *_BASE64, _event("x"), _encrypt(_base64, base64.b64decode)),
    )
}  # fmt: skip


def judged(
    sender: Sender, headers: Mapping[str, str], body: bytes, *secrets: str, now: datetime = NOW
) -> VerifiedNotice | str:
    """Return the notice, or the reason why it is none."""
    raw = RawNotice(CONNECTION, headers, body)
    held = [Secret(each) for each in secrets or (sender.secret,)]
    try:
        return VERIFIERS[sender.scheme].verify(raw, held, now)
    except NoticeRejected as rejected:
        return rejected.reason


def good(sender: Sender, headers: Mapping[str, str], body: bytes, *secrets: str) -> VerifiedNotice:
    verdict = judged(sender, headers, body, *secrets)
    assert isinstance(verdict, VerifiedNotice), verdict
    return verdict
