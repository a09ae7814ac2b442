# SPDX-License-Identifier: Apache-2.0
"""The processors' own packages as judges: what they sign is believed here, what is signed here they believe, and a
request of ours is to the byte of its meaning what their clients send.

They are of later API versions than the adapters, so paths are compared without the version.
"""

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import Adyen
import pytest
import stripe
from Adyen.httpclient import HTTPClient as AdyenTransport
from Adyen.util import generate_notification_sig, generate_payload_sig, is_valid_hmac_notification
from hypothesis import given
from hypothesis import strategies as st

from contracts.adyen_words import ADAPTER as ADYEN
from contracts.adyen_words import AUTHORIZATION, asked
from contracts.stripe_words import event, intent
from notice_makers import SENDERS, adyen_envelope, adyen_item, adyen_signed, good, judged
from payment_makers import payment
from strongroom.crypto.ids import new_id
from strongroom.kernel.ids import AttemptId, ConnectionId
from strongroom.kernel.mode import Mode
from strongroom.payments.model import Attempt, Operation
from strongroom.payments.ports import Command
from strongroom.payments.processors.stripe import StripeAdapter
from strongroom.vault import Template
from strongroom.vault.template import encoded

NOW: Final = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
#: Printable text, quotes, colons and backslashes among it: what Adyen joins with colons and nobody escapes.
WORDS: Final = st.text(
    st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=40
)
HMAC_KEY: Final = SENDERS["adyen"].secret


# --- signatures -------------------------------------------------------------------------------------


@given(word=WORDS, secret=st.text("abcdef0123456789", min_size=16, max_size=40))
def test_what_stripes_package_signs_is_believed(word: str, secret: str) -> None:
    body = event("payment_intent.succeeded", intent("succeeded", description=word))
    at = int(NOW.timestamp())
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), f"whsec_{secret}", at)
    notice = good(SENDERS["stripe"], {"stripe-signature": header}, body, f"whsec_{secret}")
    assert notice.body == body
    assert judged(SENDERS["stripe"], {"stripe-signature": header}, body + b" ") == "signature_wrong"


def test_stripes_package_believes_what_is_signed_here() -> None:
    body = event("payment_intent.succeeded", intent("succeeded"))
    sender = SENDERS["stripe"]
    headers, signed = sender.sign(body, sender.secret, datetime.fromtimestamp(time.time(), UTC))
    assert stripe.WebhookSignature.verify_header(
        signed, headers["stripe-signature"], sender.secret, 300
    )


@given(
    reference=WORDS,
    merchant=WORDS.filter(lambda word: ":" not in word),
    success=st.sampled_from(["true", "false"]),
)
def test_what_adyens_package_signs_is_believed(reference: str, merchant: str, success: str) -> None:
    item = adyen_item(
        merchantReference=reference, merchantAccountCode=merchant or "m", success=success
    )
    mac = generate_notification_sig(item, HMAC_KEY).decode()
    body = adyen_envelope({**item, "additionalData": {"hmacSignature": mac}})
    verdict = judged(SENDERS["adyen"], {}, body)
    assert not isinstance(verdict, str), verdict
    other = adyen_envelope(
        {**item, "eventCode": "REFUND", "additionalData": {"hmacSignature": mac}}
    )
    assert judged(SENDERS["adyen"], {}, other) == "signature_wrong"


def test_adyens_package_believes_what_is_signed_here() -> None:
    signed = adyen_signed(adyen_item(originalReference=AUTHORIZATION), HMAC_KEY)
    assert is_valid_hmac_notification(signed, HMAC_KEY)
    assert not is_valid_hmac_notification({**signed, "success": "false"}, HMAC_KEY)


@given(st.binary(min_size=2, max_size=200))
def test_what_adyens_package_signs_of_a_platform_is_signed_alike_here(noise: bytes) -> None:
    sender = SENDERS["adyen_platform"]
    headers, body = sender.sign(noise, sender.secret, NOW)
    assert headers["hmacsignature"] == generate_payload_sig(body, sender.secret).decode()


# --- requests ---------------------------------------------------------------------------------------


class StripeTransport(stripe.HTTPClient):
    """Keeps what the official client would send, and answers nothing of use."""

    name = "kept"

    def __init__(self) -> None:
        super().__init__()
        self.sent: tuple[str, str, Mapping[str, str], str] = ("", "", {}, "")

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        **_usage: Any,
    ) -> tuple[str, int, Mapping[str, str]]:
        self.sent = (method, url, headers or {}, post_data or "")
        return json.dumps(intent("succeeded")), 200, {}

    def close(self) -> None:
        """Nothing is open."""


def stripe_command(operation: Operation) -> Command:
    paid = payment()
    made = Attempt(
        merchant_id=paid.merchant_id,
        mode=Mode.TEST,
        attempt_id=AttemptId(new_id("att")),
        payment_id=paid.payment_id,
        operation=operation,
        wish="w",
        connection_id=ConnectionId(new_id("con")),
        amount=1_000,
        currency="AED",
        instrument="pm_prepared" if operation.authorizes else None,
        created_at=NOW,
        lease_until=NOW,
    )
    there = None if operation.authorizes else "pi_3MtwBwLkdIwHu7ix28a3tqPa"
    return Command(
        attempt=made,
        payment=paid,
        authorization=there,
        return_url="https://pay.example/v1/returns/x",
    )


def _sent_by_stripes_client(operation: Operation, template: Template) -> Any:
    transport = StripeTransport()
    client = stripe.StripeClient("sk_test_0123456789", http_client=transport)
    options: Any = {
        "idempotency_key": template.headers["idempotency-key"],
        "stripe_version": template.headers["stripe-version"],
    }
    body: Any = template.body
    there = template.path.split("/")[3] if template.path.count("/") > 3 else ""
    intents = client.v1.payment_intents
    match operation:
        case Operation.CAPTURE:
            intents.capture(there, params=body, options=options)
        case Operation.VOID:
            intents.cancel(there, params=body, options=options)
        case Operation.REFUND:
            client.v1.refunds.create(params=body, options=options)
        case _:
            intents.create(params=body, options=options)
    return transport.sent


@pytest.mark.parametrize(
    "operation",
    [Operation.AUTHORIZE, Operation.SALE, Operation.CAPTURE, Operation.VOID, Operation.REFUND],
)
def test_stripes_client_sends_what_is_sent_here(operation: Operation) -> None:
    template = StripeAdapter().template(stripe_command(operation))
    method, url, headers, body = _sent_by_stripes_client(operation, template)
    assert (method.upper(), urlsplit(url).path) == ("POST", template.path)
    told = {name.lower(): value for name, value in headers.items()}
    assert told["idempotency-key"] == template.headers["idempotency-key"]
    assert told["stripe-version"] == template.headers["stripe-version"]
    ours = encoded(template.body, "application/x-www-form-urlencoded").decode()
    assert sorted(parse_qsl(body)) == sorted(parse_qsl(ours))


class AdyenKept(AdyenTransport):  # type: ignore[misc]
    """Keeps what the official client would send."""

    def __init__(self) -> None:
        super().__init__(user_agent_suffix="", lib_version="")
        self.sent: tuple[str, str, Any, Mapping[str, str]] = ("", "", None, {})
        self.request = self._kept  # which the package sets to what opens a connection

    def _kept(self, method: str, url: str, json: Any = "", *_: Any, **more: Any) -> Any:
        self.sent = (method, url, json, more.get("headers") or {})
        return "{}", "{}", 200, {}


def _sent_by_adyens_client(template: Template) -> Any:
    library = Adyen.Adyen(xapikey="k", platform="test")
    transport = AdyenKept()
    library.client.http_client = transport
    library.client.http_init = True
    checkout, body = library.checkout, template.body
    key = template.headers.get("idempotency-key")
    there = template.path.split("/")[3] if template.path.count("/") > 3 else ""
    calls = {
        "authorize": lambda: checkout.payments_api.payments(body, key),
        "continue": lambda: checkout.payments_api.payments_details(body, key),
        "methods": lambda: checkout.payments_api.payment_methods(body, key),
        "call_back": lambda: checkout.modifications_api.cancel_authorised_payment(body, key),
        "capture": lambda: checkout.modifications_api.capture_authorised_payment(body, there, key),
        "void": lambda: checkout.modifications_api.cancel_authorised_payment_by_psp_reference(
            body, there, key
        ),
        "refund": lambda: checkout.modifications_api.refund_captured_payment(body, there, key),
    }
    calls[template.route]()
    return transport.sent


ADYENS: Final = [
    *(
        ADYEN.template(asked(operation, with_cvc=False))
        for operation in (Operation.CAPTURE, Operation.VOID, Operation.REFUND)
    ),
    ADYEN.continuation(asked(Operation.AUTHORIZE).attempt, "X6XtfGC3!Y...", "0" * 64),
    ADYEN.call_back(asked(Operation.AUTHORIZE).attempt),
    ADYEN.probe(),
]


@pytest.mark.parametrize("template", ADYENS, ids=lambda each: each.route)
def test_adyens_client_sends_what_is_sent_here(template: Template) -> None:
    method, url, body, headers = _sent_by_adyens_client(template)
    assert method == "POST"
    assert urlsplit(url).hostname == "checkout-test.adyen.com"
    assert re.sub(r"^/v\d+", "", urlsplit(url).path) == template.path.removeprefix("/v71")
    told = {name.lower(): value for name, value in headers.items()}
    assert told.get("idempotency-key") == template.headers.get("idempotency-key")
    assert {name: body[name] for name in template.body or {}} == template.body  # type: ignore[union-attr]
