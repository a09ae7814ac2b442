# SPDX-License-Identifier: Apache-2.0
"""Translates between our words and Adyen's Checkout API. Decides nothing, calls nobody, keeps nothing.

Every request names the merchant account, so the adapter is bound to a connection before it is used.
"""

from dataclasses import replace
from typing import Final, TypeVar

import msgspec

from strongroom.kernel.invariant import Bug
from strongroom.kernel.mode import Mode
from strongroom.payments.browsers import Browser
from strongroom.payments.model import (
    Attempt,
    Basis,
    Connection,
    Finding,
    Found,
    Operation,
    Outcome,
    ThreeDs,
)
from strongroom.payments.ports import Account, AnswerSurprising, Command, Report
from strongroom.payments.processors.adyen.notices import concerns_payments, report_of
from strongroom.payments.processors.adyen.references import reference_of
from strongroom.payments.processors.adyen.results import payment_found
from strongroom.payments.processors.adyen.wire import (
    CancelOut,
    ErrorOut,
    KindIn,
    MethodsOut,
    ModificationOut,
    NotificationIn,
    PaymentOut,
)
from strongroom.payments.published import decoded
from strongroom.payments.stored import StoredReason
from strongroom.vault import (
    Destination,
    Forwarded,
    Json,
    Route,
    Slot,
    Template,
    TemplateRefused,
    slot,
)

Shape = TypeVar("Shape")
NAME: Final = "adyen"
#: The version whose description the tests judge by.
API_VERSION: Final = "v71"
JSON: Final = "application/json"
_KEYED: Final = frozenset({"idempotency-key"})
_CARD_SLOTS: Final = {
    "/paymentMethod/number": Slot.CARD_NUMBER,
    "/paymentMethod/expiryMonth": Slot.CARD_EXP_MONTH_DIGITS,
    "/paymentMethod/expiryYear": Slot.CARD_EXP_YEAR_DIGITS,
    "/paymentMethod/cvc": Slot.CARD_CVC,
    "/billingAddress/city": Slot.PARTED_CITY,
    "/billingAddress/country": Slot.PARTED_COUNTRY,
    "/billingAddress/houseNumberOrName": Slot.PARTED_HOUSE,
    "/billingAddress/postalCode": Slot.PARTED_POSTAL_CODE,
    "/billingAddress/stateOrProvince": Slot.PARTED_REGION,
    "/billingAddress/street": Slot.PARTED_STREET,
}
_PAYMENTS: Final = f"/{API_VERSION}/payments"
_PAYMENT: Final = _PAYMENTS + r"/[A-Z0-9]{16}"
DESTINATION: Final = Destination(
    processor=NAME,
    routes=(
        Route("authorize", "POST", _PAYMENTS, JSON, _CARD_SLOTS, _KEYED),
        Route("capture", "POST", _PAYMENT + "/captures", JSON, {}, _KEYED),
        Route("void", "POST", _PAYMENT + "/cancels", JSON, {}, _KEYED),
        Route("refund", "POST", _PAYMENT + "/refunds", JSON, {}, _KEYED),
        Route("continue", "POST", _PAYMENTS + "/details", JSON, {}, _KEYED),
        Route("call_back", "POST", f"/{API_VERSION}/cancels", JSON, {}, _KEYED),
        Route("increment", "POST", _PAYMENT + "/amountUpdates", JSON, {}, _KEYED),
        Route("methods", "POST", f"/{API_VERSION}/paymentMethods", JSON),
    ),
    credential_fields=frozenset({"api_key"}),
    credential_headers={"x-api-key": "{api_key}"},
    answer_headers=frozenset({"content-type", "transient-error"}),
    # The live host begins with the merchant's prefix, and its address ends with `/checkout`.
    hosts_by_mode={
        Mode.TEST: frozenset({"checkout-test.adyen.com"}),
        Mode.LIVE: frozenset({"*-checkout-live.adyenpayments.com"}),
    },
)
#: Adyen's minor unit of these is not that of ISO 4217, so an amount of ours would be taken for another.
OTHER_MINOR_UNIT: Final = frozenset({"CLP", "CVE", "IDR", "ISK"})
#: Answers that are published beside success and 500.
_REFUSED: Final = frozenset({400, 401, 403, 422})
#: Kinds of error that stop a request before it is processed. `internal` is not one of them.
_NOT_EXECUTED: Final = frozenset({"configuration", "security", "validation"})
#: "Request already processed or in progress".
_IN_FLIGHT: Final = "704"
_ENDS: Final = {
    Operation.CAPTURE: "captures",
    Operation.INCREMENT: "amountUpdates",
    Operation.REFUND: "refunds",
    Operation.VOID: "cancels",
}
_CARDS: Final = "scheme"
#: Notices come within minutes; what none came of for so long is released, in case that it is held.
CALL_BACK_SECONDS: Final = 3_600
#: `recurringProcessingModel`: instalments follow a schedule that is fixed, as a subscription does.
_MODELS: Final = {
    StoredReason.INSTALMENT: "Subscription",
    StoredReason.ONE_OFF: "CardOnFile",
    StoredReason.RECURRING: "Subscription",
    StoredReason.UNSCHEDULED: "UnscheduledCardOnFile",
}
_payment: Final = msgspec.json.Decoder(PaymentOut).decode
_cancel: Final = msgspec.json.Decoder(CancelOut).decode
_modification: Final = msgspec.json.Decoder(ModificationOut).decode
_error: Final = msgspec.json.Decoder(ErrorOut).decode
_methods: Final = msgspec.json.Decoder(MethodsOut).decode
_kind: Final = msgspec.json.Decoder(KindIn).decode
_notification: Final = msgspec.json.Decoder(NotificationIn).decode


class CurrencyDiffers(TemplateRefused):
    """Adyen counts this currency in another minor unit than ISO 4217: its amounts are not sent."""

    code = "currency_differs"


class AdyenAdapter:
    """Adyen. It cannot be asked for a reference: a replay gives the first answer again, and notices tell the rest."""

    name = NAME
    destination = DESTINATION
    findings = frozenset({Finding.BY_NOTICE, Finding.BY_REPLAY})
    verification_scheme = NAME
    #: Nothing is found by reference.
    visibility_seconds = 0
    #: Keys hold for at least seven days. One is enough: what never arrived is not to charge somebody days later.
    replay_seconds = 86_400

    def __init__(self, connection: Connection | None = None) -> None:
        self._connection = connection

    def bound(self, connection: Connection) -> "AdyenAdapter":
        """Return the adapter for one merchant account."""
        return AdyenAdapter(connection)

    @property
    def _account(self) -> str:
        if self._connection is None:
            raise Bug("a request to Adyen names a merchant account: bind the adapter first")
        return self._connection.account

    def template(self, command: Command) -> Template:
        """Return the request. The same command gives the same request."""
        attempt = command.attempt
        if attempt.currency in OTHER_MINOR_UNIT:
            raise CurrencyDiffers
        headers = {"idempotency-key": attempt.attempt_id}
        body: dict[str, Json] = {
            "merchantAccount": self._account,
            "reference": reference_of(attempt),
        }
        if attempt.operation is not Operation.VOID:
            body["amount"] = {"currency": attempt.currency, "value": _amount_of(attempt)}
        if attempt.operation.authorizes:
            body |= _authorization(command)
            return Template("authorize", _PAYMENTS, {}, headers, body)
        path = f"{_PAYMENTS}/{command.authorization}/{_ENDS[attempt.operation]}"
        return Template(attempt.operation.value, path, {}, headers, body)

    def increment(self, command: Command) -> Template:
        """Return the request that raises a hold: to how much, in Adyen's words."""
        return self.template(command)

    def answer(self, command: Command, reply: Forwarded) -> Found:
        """Read an answer."""
        if reply.headers.get("transient-error", "").lower() == "true":
            # Under the same key it is processed as if it were the first: whether it was is not known before.
            return Found(Outcome.UNKNOWN, Basis.ANSWER, reason="transient_error")
        if reply.status in _REFUSED:
            return _refusal(reply)
        if reply.status >= 300:  # noqa: PLR2004 - HTTP
            # A 5xx may have acted before it failed; what is not published says nothing.
            return Found(Outcome.UNKNOWN, Basis.ANSWER, reason="processor_error")
        attempt = command.attempt
        if reply.status != (200 if attempt.operation.authorizes else 201):
            raise AnswerSurprising
        if attempt.operation.authorizes:
            return payment_found(attempt, decoded(_payment, reply.body))
        return self._received(command, decoded(_modification, reply.body))

    def _received(self, command: Command, given: ModificationOut) -> Found:
        """Believe that a modification of ours was received; what becomes of it is told by a notice."""
        attempt = command.attempt
        if (given.merchant_account, given.payment_psp_reference, given.reference) != (
            self._account,
            command.authorization,
            reference_of(attempt),
        ):
            raise AnswerSurprising
        amount = None if given.amount is None else (given.amount.currency, given.amount.value)
        voids = attempt.operation is Operation.VOID
        if amount != (None if voids else (attempt.currency, _amount_of(attempt))):
            raise AnswerSurprising
        return Found(
            Outcome.PENDING,
            Basis.ANSWER,
            processor_reference=given.psp_reference,
            currency=attempt.currency,
        )

    def continuation(self, attempt: Attempt, result: str, digest: str) -> Template:
        """Return the request that hands on what Adyen gave the customer along."""
        headers = {"idempotency-key": f"{attempt.attempt_id}-{digest[:16]}"}
        path = f"{_PAYMENTS}/details"
        return Template("continue", path, {}, headers, {"details": {"redirectResult": result}})

    def continued(self, attempt: Attempt, reply: Forwarded) -> Found:
        """Read the result. It must name our reference: the words may be of another payment of the account's."""
        if reply.status in _REFUSED:
            return replace(_refusal(reply), outcome=Outcome.UNKNOWN)
        if reply.status != 200:  # noqa: PLR2004 - HTTP
            return Found(Outcome.UNKNOWN, Basis.LOOKUP, reason="processor_error")
        given = decoded(_payment, reply.body)
        if given.merchant_reference != reference_of(attempt):
            raise AnswerSurprising
        return payment_found(attempt, given)

    def call_back_after(self, finding: Finding) -> int:
        """Return when an authorization is called back: after the last replay, or when a notice should long be there."""
        return self.replay_seconds if finding is Finding.BY_REPLAY else CALL_BACK_SECONDS

    def call_back(self, attempt: Attempt) -> Template:
        """Return the technical cancel of a payment by our reference."""
        headers = {"idempotency-key": f"{attempt.attempt_id}-cancel"}
        body: dict[str, Json] = {
            "merchantAccount": self._account,
            "paymentReference": reference_of(attempt),
            # The notice of it names the payment's own reference, not this one.
            "reference": f"{attempt.attempt_id}-cancel",
        }
        return Template("call_back", f"/{API_VERSION}/cancels", {}, headers, body)

    def called_back(self, attempt: Attempt, reply: Forwarded) -> bool:
        """Tell whether the technical cancel was received."""
        if reply.status != 201:  # noqa: PLR2004 - HTTP
            return False
        given = decoded(_cancel, reply.body)
        if (given.merchant_account, given.payment_reference) != (
            self._account,
            reference_of(attempt),
        ):
            raise AnswerSurprising
        return True

    def find(self, attempt: Attempt) -> Template:
        """Checkout has no search: no connection of Adyen's finds by reference."""
        raise Bug(f"Adyen is not asked for {attempt.attempt_id}: it has no search")

    def found(self, attempt: Attempt, reply: Forwarded) -> Found | None:
        """Nothing is asked for, so nothing is an answer to it."""
        raise AnswerSurprising(f"{reply.status} about {attempt.attempt_id}, which nobody asked for")

    def report(self, body: bytes) -> Report | None:
        """Read a verified notification."""
        (wrapped,) = decoded(_kind, body).notification_items
        if not concerns_payments(wrapped.item.event_code):
            return None
        return report_of(decoded(_notification, body))

    def probe(self) -> Template:
        """Return the request for the account's ways to pay: the only one that names it and moves nothing."""
        path = f"/{API_VERSION}/paymentMethods"
        return Template("methods", path, {}, {}, {"merchantAccount": self._account})

    def account(self, connection: Connection, reply: Forwarded) -> Account:
        """Read what can be known of an account: the key may use it, and it takes cards.

        Whether it may send card numbers, how it captures and where it sends notices is told by no call that moves
        nothing (docs/howto/connect-adyen.md says what to look at).
        """
        if reply.status in _REFUSED:
            code = decoded(_error, reply.body).error_code
            missing = [f"Adyen refuses the merchant account: error {code}"]
            return Account(connection.account, connection.mode, missing)
        if reply.status != 200:  # noqa: PLR2004 - HTTP
            raise AnswerSurprising
        offered = {each.type for each in decoded(_methods, reply.body).payment_methods}
        missing = [] if _CARDS in offered else ["the merchant account takes no cards"]
        return Account(connection.account, connection.mode, missing)


def _amount_of(attempt: Attempt) -> int:
    """Return what Adyen is told: of an increment the whole, of everything else its own amount."""
    return attempt.amount if attempt.raises_to is None else attempt.raises_to


def _authorization(command: Command) -> dict[str, Json]:
    if command.return_url is None:
        raise TemplateRefused("Adyen wants a return URL with every payment")
    card: dict[str, Json] = {
        "type": _CARDS,
        "number": slot(Slot.CARD_NUMBER),
        "expiryMonth": slot(Slot.CARD_EXP_MONTH_DIGITS),
        "expiryYear": slot(Slot.CARD_EXP_YEAR_DIGITS),
    }
    if command.with_cvc:
        card["cvc"] = slot(Slot.CARD_CVC)
    body: dict[str, Json] = {
        "paymentMethod": card,
        # Adyen refuses one that lacks a part.
        "billingAddress": {
            "city": slot(Slot.PARTED_CITY),
            "country": slot(Slot.PARTED_COUNTRY),
            "houseNumberOrName": slot(Slot.PARTED_HOUSE),
            "postalCode": slot(Slot.PARTED_POSTAL_CODE),
            "stateOrProvince": slot(Slot.PARTED_REGION),
            "street": slot(Slot.PARTED_STREET),
        },
        "returnUrl": command.return_url,
    }
    if command.three_ds is ThreeDs.CHALLENGE:
        body["authenticationData"] = {"attemptAuthentication": "always"}
    if command.attempt.browser is not None:
        body |= {"channel": "Web", "browserInfo": _told_of(command.attempt.browser)}
    _say_stored(command, card, body)
    if command.attempt.operation is Operation.VERIFY:
        return body  # there is nothing to capture
    if command.attempt.operation is Operation.SALE:
        body["captureDelayHours"] = 0
    else:
        # "Automatic capture is the default": without this an authorization would take the money.
        more: dict[str, Json] = {"manualCapture": "true"}
        if command.payment.estimated:
            more["authorisationType"] = "PreAuth"
        body["additionalData"] = more
    return body


def _told_of(browser: Browser) -> dict[str, Json]:
    """Say what is known of the customer's browser. Adyen's description asks for all of it on the web."""
    told: dict[str, Json] = {
        "userAgent": browser.user_agent,
        "acceptHeader": browser.accept_header,
    }
    if (details := browser.details) is not None:
        told |= {
            "language": details.language,
            "colorDepth": details.color_depth,
            "javaEnabled": details.java_enabled,
            "screenHeight": details.screen_height,
            "screenWidth": details.screen_width,
            "timeZoneOffset": details.time_zone_offset,
        }
    return told


def _say_stored(command: Command, card: dict[str, Json], body: dict[str, Json]) -> None:
    """Say that the card is stored, or was. Of what a merchant begins, `ContAuth` says that nobody can be asked."""
    stored = command.payment.stored_credential
    if stored is None:
        return
    body["shopperInteraction"] = "Ecommerce" if stored.begins else "ContAuth"
    body["recurringProcessingModel"] = _MODELS[stored.reason]
    if command.payment.token_id is not None:
        # Whose card it is: "must not include personally identifiable information".
        body["shopperReference"] = command.payment.token_id
    if command.attempt.initial_transaction_id is not None:
        card["networkPaymentReference"] = command.attempt.initial_transaction_id


def _refusal(reply: Forwarded) -> Found:
    given = decoded(_error, reply.body)
    if given.status != reply.status:
        raise AnswerSurprising
    reason = f"error_{given.error_code.lower()}"
    if given.error_code == _IN_FLIGHT or given.error_type not in _NOT_EXECUTED:
        return Found(Outcome.UNKNOWN, Basis.ANSWER, reason=reason)
    return Found(Outcome.NOT_SENT, Basis.ANSWER, reason=reason)


__all__ = ["DESTINATION", "AdyenAdapter"]
