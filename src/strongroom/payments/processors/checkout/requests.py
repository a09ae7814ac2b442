# SPDX-License-Identifier: Apache-2.0
"""What Checkout.com is asked: its routes, and our operations in its words (`POST /payments` and what follows one)."""

from typing import Final

from strongroom.kernel.mode import Mode
from strongroom.payments.model import Attempt, Operation, ThreeDs
from strongroom.payments.ports import Command
from strongroom.payments.stored import StoredReason
from strongroom.vault import Destination, Json, Route, Slot, Template, TemplateRefused, slot

NAME: Final = "checkout"
JSON: Final = "application/json"
KEY_HEADER: Final = "cko-idempotency-key"
#: Their exponent there is not ISO 4217's: sent as they are, a hundred times too little would be charged.
CURRENCIES_REFUSED: Final = frozenset({"CLF", "CLP", "UYI", "UYW"})
#: Three decimals, of which the last must be 0.
CURRENCIES_OF_TENS: Final = frozenset("BHD IQD JOD KWD LYD OMR TND".split())
#: "Not contain more than nine digits".
AMOUNT_MAX: Final = 999_999_999
#: `payment_type`.
_TYPES: Final = {
    StoredReason.INSTALMENT: "Installment",
    StoredReason.ONE_OFF: "Regular",
    StoredReason.RECURRING: "Recurring",
    StoredReason.UNSCHEDULED: "Unscheduled",
}

_KEYED: Final = frozenset({KEY_HEADER})
_PAYMENT: Final = r"/payments/pay_[0-9A-Za-z]{26}"
_CARD_SLOTS: Final = {
    "/source/number": Slot.CARD_NUMBER,
    "/source/expiry_month": Slot.CARD_EXP_MONTH,
    "/source/expiry_year": Slot.CARD_EXP_YEAR,
    "/source/cvv": Slot.CARD_CVC,
    "/source/billing_address/address_line1": Slot.ADDRESS_LINE1,
    "/source/billing_address/city": Slot.ADDRESS_CITY,
    "/source/billing_address/country": Slot.ADDRESS_COUNTRY,
    "/source/billing_address/state": Slot.ADDRESS_REGION,
    "/source/billing_address/zip": Slot.ADDRESS_POSTAL_CODE,
}
DESTINATION: Final = Destination(
    processor=NAME,
    routes=(
        Route("authorize", "POST", r"/payments", JSON, _CARD_SLOTS, _KEYED, frozenset()),
        Route("capture", "POST", _PAYMENT + "/captures", JSON, {}, _KEYED, frozenset()),
        Route("void", "POST", _PAYMENT + "/voids", JSON, {}, _KEYED, frozenset()),
        Route("refund", "POST", _PAYMENT + "/refunds", JSON, {}, _KEYED, frozenset()),
        Route("increment", "POST", _PAYMENT + "/authorizations", JSON, {}, _KEYED, frozenset()),
        Route("find", "GET", r"/payments", "", {}, frozenset(), frozenset({"limit", "reference"})),
        Route("actions", "GET", _PAYMENT + "/actions", "", {}, frozenset(), frozenset()),
        Route("account", "GET", r"/workflows", "", {}, frozenset(), frozenset()),
    ),
    credential_fields=frozenset({"secret_key"}),
    credential_headers={"authorization": "Bearer {secret_key}"},
    answer_headers=frozenset({"cko-request-id", "cko-version", "content-type"}),
    # `{prefix}.api.checkout.com` and `{prefix}.api.sandbox.checkout.com`, a prefix for each account and environment.
    hosts_by_mode={
        Mode.TEST: frozenset({"*.api.sandbox.checkout.com", "api.sandbox.checkout.com"}),
        Mode.LIVE: frozenset({"*.api.checkout.com", "api.checkout.com"}),
    },
)


def asked(command: Command) -> Template:
    """Return the request of an attempt. The same command gives the same request.

    Raises:
        TemplateRefused: the amount would mean another there than it does here.
    """
    attempt = command.attempt
    _require_sendable(attempt)
    headers = {KEY_HEADER: attempt.attempt_id}
    if attempt.operation.authorizes:
        return Template("authorize", "/payments", {}, headers, _authorization(command))
    body: dict[str, Json] = {
        "reference": attempt.attempt_id,
        "metadata": {"strongroom": attempt.operation.value},
    }
    if attempt.operation is not Operation.VOID:
        body["amount"] = attempt.amount
    if attempt.operation is Operation.CAPTURE:
        body["capture_type"] = "Final" if attempt.releases > 0 else "NonFinal"
    word = attempt.operation.value
    end = "authorizations" if attempt.operation is Operation.INCREMENT else f"{word}s"
    return Template(word, f"/payments/{command.authorization}/{end}", {}, headers, body)


def payments_of(attempt: Attempt) -> Template:
    """Return the request that asks for the payments that carry our reference."""
    query = {"reference": attempt.attempt_id, "limit": "10"}
    return Template("find", "/payments", query, {}, None)


def actions_of(payment: str) -> Template:
    """Return the request that asks a payment for its actions."""
    return Template("actions", f"/payments/{payment}/actions", {}, {}, None)


def workflows() -> Template:
    """Return the request that asks for what sends notices."""
    return Template("account", "/workflows", {}, {}, None)


def _require_sendable(attempt: Attempt) -> None:
    if attempt.currency in CURRENCIES_REFUSED:
        raise TemplateRefused("Checkout.com counts this currency in other units than ISO 4217 does")
    if attempt.currency in CURRENCIES_OF_TENS and attempt.amount % 10:
        raise TemplateRefused("Checkout.com takes this currency in tens of its smallest unit")
    if max(attempt.amount, attempt.raises_to or 0) > AMOUNT_MAX:
        raise TemplateRefused("Checkout.com takes amounts of nine digits")


def _authorization(command: Command) -> dict[str, Json]:
    attempt = command.attempt
    source: dict[str, Json] = {
        "type": "card",
        "number": slot(Slot.CARD_NUMBER),
        "expiry_month": slot(Slot.CARD_EXP_MONTH),
        "expiry_year": slot(Slot.CARD_EXP_YEAR),
    }
    if command.with_cvc:
        source["cvv"] = slot(Slot.CARD_CVC)
    source["billing_address"] = {
        "address_line1": slot(Slot.ADDRESS_LINE1),
        "city": slot(Slot.ADDRESS_CITY),
        "country": slot(Slot.ADDRESS_COUNTRY),
        "state": slot(Slot.ADDRESS_REGION),
        "zip": slot(Slot.ADDRESS_POSTAL_CODE),
    }
    body: dict[str, Json] = {
        "source": source,
        "amount": attempt.amount,
        "currency": attempt.currency,
        "reference": attempt.attempt_id,
        "capture": attempt.operation is Operation.SALE,
        "metadata": {"strongroom": attempt.operation.value},
    }
    _say_stored(command, source, body)
    if command.payment.estimated:
        # Without it an authorization is final, and is not raised.
        body["authorization_type"] = "Estimated"
    if command.return_url is None or command.nobody_there:
        # Nobody is there to be sent anywhere.
        body["3ds"] = {"enabled": False, "allow_upgrade": False}
    elif command.three_ds is ThreeDs.CHALLENGE:
        body["3ds"] = {"enabled": True, "challenge_indicator": "challenge_requested"}
        body["success_url"] = command.return_url
        body["failure_url"] = command.return_url
    else:
        # Where the issuer insists on authentication, it becomes a redirect instead of a decline.
        body["3ds"] = {"enabled": False, "allow_upgrade": True}
        body["success_url"] = command.return_url
        body["failure_url"] = command.return_url
    return body


def _say_stored(command: Command, source: dict[str, Json], body: dict[str, Json]) -> None:
    """Say that the card is stored, or was: `previous_payment_id` takes the scheme's id of the first payment."""
    stored = command.payment.stored_credential
    if stored is None:
        return
    body["payment_type"] = _TYPES[stored.reason]
    body["merchant_initiated"] = stored.by_merchant
    if not stored.begins:
        source["stored"] = True
    if command.attempt.initial_transaction_id is not None:
        body["previous_payment_id"] = command.attempt.initial_transaction_id
