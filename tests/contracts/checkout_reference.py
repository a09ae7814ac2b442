# SPDX-License-Identifier: Apache-2.0
"""What Checkout.com publishes, for the tests of its adapter: shapes of requests, examples, all response codes.

Shapes: its API description (`checkout/checkout-api-reference` at 9ec49d4: `nas_spec/paths/payments.yaml` and the paths
`/payments…` of `output/swagger.json`) and, for members that are newer, the request classes of its Python SDK
(`checkout_sdk/payments/payments.py`). Answers and events: the examples of its documentation pages, named at each.
"""

from typing import Any, Final

PAY: Final = "pay_mbabizu24mvu3mela5njyhpit4"
ACT: Final = "act_mbabizu24mvu3mela5njyhpit4"
PREFIX: Final = "vkuhvk4v"
SANDBOX: Final = f"https://{PREFIX}.api.sandbox.checkout.com"
LIVE: Final = f"https://{PREFIX}.api.checkout.com"


def _strict(required: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


_AMOUNT: Final = {"type": "integer", "minimum": 1, "maximum": 999_999_999}
_REFERENCE: Final = {"type": "string", "maxLength": 80}
_URL: Final = {"type": "string", "format": "uri", "pattern": "^https?://", "maxLength": 1_024}
_METADATA: Final = {
    "type": "object",
    "maxProperties": 10,
    "additionalProperties": {"type": ["string", "integer", "boolean"], "maxLength": 100},
}
#: `PaymentRequest` and `PaymentRequestCardSource`; page "Request a card payment", page "Manage SCA compliance" (`3ds`).
#: An amount of 0: page "Verify a card". Stored cards: page "Recurring payments with stored card details".
PAYMENT_REQUEST: Final = _strict(
    "source amount currency reference",
    source=_strict(
        "type number expiry_month expiry_year",
        type={"const": "card"},
        number={"type": "string", "pattern": "^[0-9]{12,19}$"},
        expiry_month={"type": "integer", "minimum": 1, "maximum": 12},
        expiry_year={"type": "integer", "minimum": 1_000, "maximum": 9_999},
        name={"type": "string", "maxLength": 255},
        cvv={"type": "string", "pattern": "^[0-9]{3,4}$"},
        stored={"type": "boolean"},
        # `Address` of `output/swagger.json`.
        billing_address={
            **_strict(
                "",
                address_line1={"type": "string", "maxLength": 200},
                address_line2={"type": "string", "maxLength": 200},
                city={"type": "string", "maxLength": 50},
                state={"type": "string"},
                zip={"type": "string", "maxLength": 50},
                country={"type": "string", "minLength": 2, "maxLength": 2},
            ),
            "minProperties": 1,
        },
    ),
    amount={**_AMOUNT, "minimum": 0},
    payment_type={
        "enum": ["Regular", "Recurring", "MOTO", "Installment", "PayLater", "Unscheduled"]
    },
    merchant_initiated={"type": "boolean"},
    previous_payment_id={"type": "string", "maxLength": 100},
    currency={"type": "string", "pattern": "^[A-Z]{3}$"},
    reference=_REFERENCE,
    capture={"type": "boolean"},
    # Page "Authorize a payment".
    authorization_type={"enum": ["Final", "Estimated"]},
    metadata=_METADATA,
    success_url=_URL,
    failure_url=_URL,
    processing_channel_id={"type": "string", "pattern": "^(pc)_(\\w{26})$"},
    **{
        "3ds": _strict(
            "enabled",
            enabled={"type": "boolean"},
            attempt_n3d={"type": "boolean"},
            allow_upgrade={"type": "boolean"},
        )
    },
)
#: `CaptureRequest`; page "Capture a payment".
CAPTURE_REQUEST: Final = _strict(
    "",
    amount=_AMOUNT,
    capture_type={"enum": ["Final", "NonFinal"]},
    reference=_REFERENCE,
    metadata=_METADATA,
)
#: `VoidRequest`; page "Void a payment". There is no amount: a void is of whatever is left.
VOID_REQUEST: Final = _strict("", reference=_REFERENCE, metadata=_METADATA)
#: Page "Adjust an estimated authorization"; `AuthorizationRequest` of the Python SDK.
INCREMENT_REQUEST: Final = _strict("", amount=_AMOUNT, reference=_REFERENCE, metadata=_METADATA)
#: `RefundRequest`; page "Refund a payment".
REFUND_REQUEST: Final = _strict("", amount=_AMOUNT, reference=_REFERENCE, metadata=_METADATA)
#: By the name of our route: method, path (of the API description) and body.
REQUESTS: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "authorize": ("POST", r"/payments", PAYMENT_REQUEST),
    "capture": ("POST", r"/payments/(pay)_(\w{26})/captures", CAPTURE_REQUEST),
    "void": ("POST", r"/payments/(pay)_(\w{26})/voids", VOID_REQUEST),
    "refund": ("POST", r"/payments/(pay)_(\w{26})/refunds", REFUND_REQUEST),
    "increment": ("POST", r"/payments/(pay)_(\w{26})/authorizations", INCREMENT_REQUEST),
}

#: The example of 201 in `nas_spec/paths/payments.yaml`.
PROCESSED: Final[dict[str, Any]] = {
    "id": PAY,
    "action_id": ACT,
    "amount": 6540,
    "currency": "USD",
    "approved": True,
    "status": "Authorized",
    "auth_code": "770687",
    "response_code": "10000",
    "response_summary": "Approved",
    "3ds": {"downgraded": True, "enrolled": "N"},
    "risk": {"flagged": True},
    "source": {
        "type": "card",
        "id": "src_nwd3m4in3hkuddfpjsaevunhdy",
        "last4": "4242",
        "fingerprint": "F31828E2BDABAE63EB694903825CDD36041CC6ED461440B81415895855502832",
        "bin": "424242",
    },
    "processed_on": "2019-09-10T10:11:12Z",
    "reference": "ORD-5023-4E89",
    "processing": {
        "retrieval_reference_number": "909913440644",
        "acquirer_transaction_id": "440644309099499894406",
    },
    "eci": "06",
    "scheme_id": "489341065491658",
    "_links": {
        "self": {"href": f"{SANDBOX}/payments/{PAY}"},
        "action": {"href": f"{SANDBOX}/payments/{PAY}/actions"},
    },
}
#: `PaymentAcceptedResponse`; page "3D Secure 2 API integration".
ACCEPTED: Final[dict[str, Any]] = {
    "id": PAY,
    "status": "Pending",
    "reference": "ORD-5023-4E89",
    "customer": {"id": "cus_udst2tfldj6upmye2reztkmm4i"},
    "3ds": {"downgraded": False, "enrolled": "Y", "upgrade_reason": "sca_retry"},
    "_links": {
        "self": {"href": f"{SANDBOX}/payments/{PAY}"},
        "redirect": {"href": "https://3ds2-sandbox.ckotech.co/interceptor/3ds_gsgdlhzsoi3ubb"},
    },
}
#: Page "Void a payment"; captures and refunds answer alike.
ACTED: Final[dict[str, Any]] = {
    "action_id": "act_y3oqhf46pyzuxjbcn2giaqnb44",
    "reference": "ORD-5023-4E89",
    "_links": {"payment": {"href": f"{SANDBOX}/payments/{PAY}"}},
}
#: Page "Adjust an estimated authorization". `expires_on` is of page "Authorize a payment".
INCREMENTED: Final[dict[str, Any]] = {
    "action_id": "act_oqpt7d4wacaexa7aoupddxlvtm",
    "amount": 100,
    "currency": "USD",
    "approved": True,
    "auth_code": "410961",
    "scheme_id": "168679383391401",
    "response_code": "10000",
    "response_summary": "Approved",
    "risk": {"flagged": False},
    "reference": "ORD-5023-4E89",
    "processed_on": "2023-06-21T17:17:25.4737666Z",
    "expires_on": "2023-06-28T17:17:25Z",
    "balances": {
        "total_authorized": 200,
        "total_voided": 0,
        "available_to_void": 200,
        "total_captured": 0,
        "available_to_capture": 200,
        "total_refunded": 0,
        "available_to_refund": 0,
    },
}
#: Page "Get payment actions", the action of an authorization.
ACTION: Final[dict[str, Any]] = {
    "id": "act_y3oqhf46pyzuxjbcn2giaqnb44",
    "type": "Authorization",
    "processed_on": "2018-01-17T09:30:48Z",
    "amount": 6540,
    "approved": True,
    "auth_code": "643381",
    "response_code": "10000",
    "response_summary": "Approved",
    "reference": "ORD-5023-4E89",
    "processing": {"retrieval_reference_number": "909913440644"},
}
#: Page "Get a list of payments", one of `data`.
LISTED: Final[dict[str, Any]] = {
    "id": PAY,
    "requested_on": "2022-04-14T17:03:10.103019Z",
    "source": {"type": "card", "last4": "7526", "bin": "482028", "scheme": "Visa"},
    "amount": 1000,
    "currency": "EUR",
    "payment_type": "Regular",
    "reference": "ORD-5023-4E89",
    "status": "Declined",
    "approved": False,
    "3ds": {"downgraded": False, "enrolled": "N"},
    "risk": {"flagged": False, "score": 0},
}
#: Page "Payment captured" (event types, January 2026).
EVENT: Final[dict[str, Any]] = {
    "id": "evt_fkfqht6yonme7bk7jawrgzbbxq",
    "source": "gwc_notifier1",
    "type": "payment_captured",
    "timestamp": "2023-05-24T09:12:32.357+00:00",
    "version": "1.0.29",
    "data": {
        "id": PAY,
        "action_id": "act_uqlj3642dyyuroivzdwfg2fysq",
        "reference": "ORD-5023-4E89",
        "amount": 20,
        "processed_on": "2023-05-24T09:12:27.4695512Z",
        "response_code": "10000",
        "response_summary": "Approved",
        "balances": {
            "total_authorized": 20,
            "total_voided": 0,
            "available_to_void": 0,
            "total_captured": 20,
            "available_to_capture": 0,
            "total_refunded": 0,
            "available_to_refund": 20,
        },
        "metadata": {"coupon_code": "NY2018", "partner_id": "123989"},
        "currency": "EUR",
        "processing": {"acquirer_transaction_id": "865749780760868955557"},
        "event_links": {
            "payment": f"{SANDBOX}/payments/{PAY}",
            "payment_actions": f"{SANDBOX}/payments/{PAY}/actions",
        },
        "trigger": "manual",
    },
    "_links": {"self": {"href": f"{SANDBOX}/workflows/events/evt_fkfqht6yonme7bk7jawrgzbbxq"}},
}
#: Page "Dispute evidence submitted".
DISPUTE: Final[dict[str, Any]] = {
    "id": "evt_b6anegml5j6u7kwzuzdg6r4sem",
    "type": "dispute_evidence_submitted",
    "created_on": "2018-06-21T12:00:31Z",
    "data": {
        "id": "dsp_9rjdlsd4epepfjyyf9vl",
        "date": "2018-07-06T11:19:20Z",
        "category": "canceled_recurring",
        "amount": 20020,
        "currency": "USD",
        "reason_code": "10.4",
        "payment_id": PAY,
        "payment_reference": "some-company-ref",
        "payment_method": "Visa",
    },
    "_links": {"self": {"href": f"{SANDBOX}/workflows/events/evt_b6anegml5j6u7kwzuzdg6r4sem"}},
}
#: Page "API response codes": every code of the classes 20xxx, 30xxx and 4xxxx.
CODES: Final = """
20001 20002 20003 20004 20005 20006 20009 20012 20013 20014 20015 20016 20017 20018 20019 20020 20021 20022 20023 20024
20025 20026 20027 20028 20029 20030 20031 20032 20033 20038 20039 20040 20042 20044 20045 20046 20051 20052 20053 20054
20055 20056 20057 20058 20059 2005C 20060 20061 20062 20063 20064 20065 20066 20067 20068 2006P 20070 20072 20075 20078
20081 20082 20083 20084 20085 20086 20087 20088 20089 20090 20091 20092 20093 20094 20095 20096 20097 20098 20099 2009G
200A4 200A5 200A6 200E0 200E2 200E3 200N0 200N7 200P1 200P9 200R1 200R3 200S4 200T2 200T3 200T5 20100 20101 20102 20103
20104 20105 20106 20107 20108 20109 20110 20111 20112 20113 20114 20115 20116 20117 20118 20119 20120 20121 20122 20123
20124 20150 20151 20152 20153 20154 20155 20156 20157 20158 20159 20179 20182 20183 20193 20197 20199
30004 30007 30015 30016 30017 30018 30019 30020 30021 30022 30033 30034 30035 30036 30037 30038 30041 30043 30044 30045
30046 30401 30402 30403 30404 30405
41101 41201 41202 41203 41204 41205 41206 41301 42101 42201 42202 42203 42204 42205 42206 42301 43101 43102 43201 43202
43203 43204 43205 43206 43301 43401
""".split()
