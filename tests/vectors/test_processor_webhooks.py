# SPDX-License-Identifier: Apache-2.0
"""What Stripe's and Adyen's own libraries sign, and OpenSSL for Checkout.com, is believed; no byte of it may change."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from strongroom.kernel.cardlike import has_cardlike_bytes
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.webhooks.inbound import VERIFIERS, NoticeRejected, RawNotice, VerifiedNotice

_FOLDER: Final = Path(__file__).parent / "data" / "processor-webhooks"


def _read(name: str) -> Any:
    return json.loads((_FOLDER / name).read_text("utf-8"))


STRIPE: Final = _read("stripe-signed-events.json")
CHECKOUT: Final = _read("checkout-signed-events.json")
ADYEN: Final = _read("adyen-signed-examples.json")
HMACS: Final = _read("adyen-hmac-vectors.json")
MOCKS: Final = sorted(_FOLDER.glob("adyen-*-notification.json"))


def verdict(
    scheme: str, headers: dict[str, str], body: bytes, secret: str, at: int = 0
) -> VerifiedNotice | str:
    raw = RawNotice("con_01KAHX3MZ4V8Q2T6N0R5W7Y9CB", headers, body)
    verifier = VERIFIERS[scheme]
    assert verifier.accepts(Secret(secret))
    try:
        return verifier.verify(raw, [Secret(secret)], datetime.fromtimestamp(at, UTC))
    except NoticeRejected as rejected:
        return rejected.reason


def believed(*given: Any) -> VerifiedNotice:
    found = verdict(*given)
    assert isinstance(found, VerifiedNotice), found
    return found


@pytest.mark.parametrize("case", STRIPE["notices"], ids=lambda case: case["name"])
def test_what_stripes_library_signs(case: dict[str, Any]) -> None:
    body, at = case["body"].encode(), case["timestamp"]
    headers = {"stripe-signature": case["stripe_signature"]}
    found = believed("stripe", headers, body, STRIPE["secret"], at)
    assert (found.body, found.event_key) == (body, json.loads(body)["id"])
    assert (found.mode, found.signed) == (Mode.TEST, None)
    for n in range(len(body)):
        changed = body[:n] + bytes([body[n] ^ 1]) + body[n + 1 :]
        assert verdict("stripe", headers, changed, STRIPE["secret"], at) == "signature_wrong"


@pytest.mark.parametrize("case", CHECKOUT["notices"])
def test_what_openssl_signs_for_checkout(case: dict[str, Any]) -> None:
    body, headers = case["body"].encode(), {"cko-signature": case["cko_signature"]}
    found = believed("checkout", headers, body, CHECKOUT["key"])
    assert (found.body, found.event_key) == (body, json.loads(body)["id"])
    for n in range(len(body)):
        changed = body[:n] + bytes([body[n] ^ 1]) + body[n + 1 :]
        assert verdict("checkout", headers, changed, CHECKOUT["key"]) == "signature_wrong"


@pytest.mark.parametrize("case", ADYEN["notices"], ids=lambda case: case["name"])
def test_every_published_example_of_adyen_signed_by_its_library(case: dict[str, Any]) -> None:
    body = case["body"].encode()
    headers = {"hmacsignature": case["hmacsignature"]} if "hmacsignature" in case else {}
    found = believed(case["scheme"], headers, body, ADYEN["key_hex"])
    told = json.loads(body)
    live = told["live"] == "true" if "live" in told else told["environment"] == "live"
    assert (found.body, found.mode) == (body, Mode.LIVE if live else Mode.TEST)
    assert len(found.event_key) <= 255
    if case["scheme"] == "adyen":
        (wrapped,) = told["notificationItems"]
        item = wrapped["NotificationRequestItem"]
        assert found.event_key == f"{item['eventCode']}:{item['pspReference']}:{item['success']}"
        assert found.signed is not None
        assert found.signed["value"] == str(item["amount"]["value"])
    assert verdict(case["scheme"], headers, body, "00" * 32) == "signature_wrong"
    assert not has_cardlike_bytes(body), "it would be refused, and hold up all that come behind it"


def in_envelope(item: dict[str, Any]) -> bytes:
    wrapped = [{"NotificationRequestItem": item}]
    return json.dumps({"live": "false", "notificationItems": wrapped}).encode()


@pytest.mark.parametrize("mock", MOCKS, ids=lambda path: path.stem)
def test_slashes_and_colons_in_a_reference_are_signed_as_they_are(mock: Path) -> None:
    item, key = json.loads(mock.read_text()), HMACS["mocks_with_slashes_key_hex"]
    found = believed("adyen", {}, in_envelope(item), key)
    assert found.signed is not None
    assert found.signed["merchantReference"] == item["merchantReference"]
    other = {**item, "merchantReference": item["merchantReference"].replace("slashes", "Slashes")}
    assert verdict("adyen", {}, in_envelope(other), key) == "signature_wrong"


@pytest.mark.parametrize("case", HMACS["notification_item"], ids=lambda case: case["src"])
def test_the_items_of_adyens_own_tests(case: dict[str, Any]) -> None:
    item = {**case["item"], "additionalData": {"hmacSignature": case["hmac_b64"]}}
    found = believed("adyen", {}, in_envelope(item), case["key_hex"])
    assert found.signed is not None
    assert ":".join(found.signed.values()) == case["signing_string"]


@pytest.mark.parametrize("case", HMACS["raw_payload"], ids=["text", "json"])
def test_the_payloads_of_adyens_own_tests(case: dict[str, Any]) -> None:
    body, headers = case["payload_utf8"].encode(), {"hmacsignature": case["hmac_b64"]}
    # Its first payload is no JSON: authentic, and no notice. Who is not authentic never learns that.
    expected = "body_malformed" if case["payload_utf8"] == "TestPayload" else body
    found = verdict("adyen_platform", headers, body, case["key_hex"])
    assert (found.body if isinstance(found, VerifiedNotice) else found) == expected
    assert verdict("adyen_platform", headers, body + b" ", case["key_hex"]) == "signature_wrong"
