# SPDX-License-Identifier: Apache-2.0
"""Adyen's side in tests: its published examples, its description as a judge, and commands to be answered."""

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema

from payment_makers import payment
from strongroom.crypto.ids import new_id
from strongroom.kernel.ids import AttemptId, ConnectionId
from strongroom.kernel.mode import Mode
from strongroom.payments.model import Attempt, Connection, Finding, Operation
from strongroom.payments.ports import Command
from strongroom.payments.processors.adyen import AdyenAdapter
from strongroom.vault import Forwarded

NOW: Final = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
DATA: Final = Path(__file__).parents[1] / "vectors" / "data" / "adyen"
ACCOUNT: Final = "YOUR_MERCHANT_ACCOUNT"
#: A payment at Adyen, as the examples of modifications name it.
AUTHORIZATION: Final = "993617894903480A"
CONNECTION: Final = Connection(
    payment().merchant_id,
    Mode.TEST,
    ConnectionId(new_id("con")),
    "default",
    "adyen",
    ACCOUNT,
    Finding.BY_REPLAY,
    "active",
    NOW,
    NOW,
)
#: Those that answer the test of a connection.
METHODS: Final = {
    "post-paymentMethods-basic-200",
    "post-paymentMethods-filtered-200",
    "post-paymentMethods-include-stored-200",
}
#: Routes → their paths in the description.
JUDGED: Final = {
    "authorize": "/payments",
    "capture": "/payments/{paymentPspReference}/captures",
    "void": "/payments/{paymentPspReference}/cancels",
    "refund": "/payments/{paymentPspReference}/refunds",
    "continue": "/payments/details",
    "call_back": "/cancels",
    "increment": "/payments/{paymentPspReference}/amountUpdates",
    "methods": "/paymentMethods",
}
ADAPTER: Final = AdyenAdapter().bound(CONNECTION)


#: The members of `browserInfo` that a script reads, as they are called here.
DETAILS: Final = {
    "language": "language",
    "colorDepth": "color_depth",
    "javaEnabled": "java_enabled",
    "screenHeight": "screen_height",
    "screenWidth": "screen_width",
    "timeZoneOffset": "time_zone_offset",
}


@cache
def vectors(name: str) -> Any:
    """Return a file of the published data."""
    return json.loads((DATA / name).read_text())


def complaints(path: str, status: str | None, body: object) -> list[str]:
    """Return what Adyen's description says against a request (`status` None) or an answer."""
    document = vectors("checkout-v71.json")
    there = document["paths"][path]["post"]
    there = there["requestBody"] if status is None else there["responses"][status]
    schema = {
        **there["content"]["application/json"]["schema"],
        "components": document["components"],
    }
    validator = jsonschema.Draft202012Validator(schema)
    return [each.message for each in validator.iter_errors(body)]


def published_browser() -> dict[str, Any]:
    """Return the browser of Adyen's example, as a merchant says it here."""
    example = vectors("checkout-v71-examples.json")["post-payments-card-3d-secure-2-web"]
    told = example["browserInfo"]
    return {
        "user_agent": told["userAgent"],
        "accept_header": told["acceptHeader"],
        "details": {ours: told[theirs] for theirs, ours in DETAILS.items()},
    }


def attempt(operation: Operation, **more: Any) -> Attempt:
    """Make an attempt that is on its way."""
    made = payment()
    return Attempt(
        **{
            "merchant_id": made.merchant_id,
            "mode": made.mode,
            "attempt_id": AttemptId(new_id("att")),
            "payment_id": made.payment_id,
            "operation": operation,
            "wish": "w",
            "connection_id": CONNECTION.connection_id,
            "amount": 0 if operation is Operation.VERIFY else 1_000,
            "currency": "AED",
            "created_at": NOW,
            "lease_until": NOW + timedelta(seconds=25),
            **more,
        }
    )


def asked(operation: Operation, *, with_cvc: bool = True, **more: Any) -> Command:
    """Make a command for it."""
    return Command(
        attempt=attempt(operation, **more),
        payment=payment(),
        authorization=None if operation.authorizes else AUTHORIZATION,
        with_cvc=with_cvc and operation.authorizes,
        return_url="https://pay.example/v1/returns/x",
    )


def reference(command: Command) -> str:
    """Return what Adyen is told as our reference, as a request has it."""
    body = ADAPTER.template(command).body
    assert isinstance(body, dict)
    return str(body["reference"])


def reply(status: int, body: object, **headers: str) -> Forwarded:
    """Make an answer."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Forwarded("answered", status, headers, raw, "", 0.1, "absent")


def received(command: Command, **other: Any) -> dict[str, Any]:
    """Make Adyen's answer to a modification, as its examples have it."""
    body: dict[str, Any] = {
        "merchantAccount": ACCOUNT,
        "paymentPspReference": AUTHORIZATION,
        "reference": reference(command),
        "pspReference": "993617894906488A",
        "status": "received",
    }
    if command.attempt.operation is not Operation.VOID:
        body["amount"] = {
            "value": command.attempt.raises_to or command.attempt.amount,
            "currency": command.attempt.currency,
        }
    return {**body, **other}


def notification(
    event_code: str,
    merchant_reference: str,
    *,
    success: str = "true",
    live: str = "false",
    **more: Any,
) -> bytes:
    """Make a notification in its envelope."""
    item = {
        "additionalData": {"hmacSignature": "verified before"},
        "amount": {"currency": "AED", "value": 1_000},
        "eventCode": event_code,
        "eventDate": "2026-11-20T10:30:00+01:00",
        "merchantAccountCode": ACCOUNT,
        "merchantReference": merchant_reference,
        "originalReference": "" if event_code == "AUTHORISATION" else AUTHORIZATION,
        "paymentMethod": "visa",
        "pspReference": "QFQTPCQ8HXSKGK82",
        "reason": "",
        "success": success,
        **more,
    }
    return json.dumps(
        {"live": live, "notificationItems": [{"NotificationRequestItem": item}]}
    ).encode()
