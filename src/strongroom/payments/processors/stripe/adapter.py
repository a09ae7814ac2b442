# SPDX-License-Identifier: Apache-2.0
"""Translates between our words and Stripe's. Decides nothing, calls nobody, keeps nothing.

A card goes into a PaymentMethod first; the PaymentIntent names that, so that a replay under the same key is the same
request although the CVC is gone. Our reference stands in metadata, and is looked for in every answer.
"""

from typing import Final

from strongroom.kernel.invariant import invariant
from strongroom.kernel.mode import Mode
from strongroom.payments.errors import CommandNotTaken
from strongroom.payments.model import Attempt, Connection, Finding, Found, Operation, ThreeDs
from strongroom.payments.ports import Account, AnswerSurprising, Command, Report
from strongroom.payments.processors.stripe import answers, setups
from strongroom.payments.processors.stripe.amounts import amount_for_stripe
from strongroom.payments.processors.stripe.notices import read_notice
from strongroom.payments.processors.stripe.reading import ATTEMPT, CAPTURE, INCREMENT, PAYMENT
from strongroom.payments.stored import StoredReason
from strongroom.vault import FORM, Destination, Forwarded, Json, Route, Slot, Template, slot

NAME: Final = "stripe"
#: The version of the API that this adapter was written and tested against.
VERSION: Final = "2023-08-16"
HOST: Final = "api.stripe.com"
_VERSIONED: Final = frozenset({"stripe-version"})
_KEYED: Final = _VERSIONED | {"idempotency-key"}
_CARD_SLOTS: Final = {
    "/card/number": Slot.CARD_NUMBER,
    "/card/exp_month": Slot.CARD_EXP_MONTH,
    "/card/exp_year": Slot.CARD_EXP_YEAR,
    "/card/cvc": Slot.CARD_CVC,
    "/billing_details/address/city": Slot.ADDRESS_CITY,
    "/billing_details/address/country": Slot.ADDRESS_COUNTRY,
    "/billing_details/address/line1": Slot.ADDRESS_LINE1,
    "/billing_details/address/postal_code": Slot.ADDRESS_POSTAL_CODE,
    "/billing_details/address/state": Slot.ADDRESS_REGION,
}
_INTENTS: Final = "/v1/payment_intents"
_INTENT: Final = _INTENTS + r"/pi_[A-Za-z0-9_]{1,200}"
_REFUND: Final = r"/v1/refunds/(?:re|pyr)_[A-Za-z0-9_]{1,200}"
_SETUP: Final = setups.PATH + r"/seti_[A-Za-z0-9_]{1,200}"
_OK: Final = 200
_CHARGE: Final = "latest_charge"
#: Stripe removes keys after 24 hours at the earliest; what is sent under one later is a new request.
REPLAY_SECONDS: Final = 23 * 3_600


def destination(hosts: frozenset[str]) -> Destination:
    """Return what the vault may send to Stripe."""
    nothing: frozenset[str] = frozenset()
    return Destination(
        processor=NAME,
        routes=(
            Route("prepare", "POST", r"/v1/payment_methods", FORM, _CARD_SLOTS, _KEYED, nothing),
            Route("authorize", "POST", _INTENTS, FORM, {}, _KEYED, nothing),
            Route("capture", "POST", _INTENT + "/capture", FORM, {}, _KEYED, nothing),
            Route("void", "POST", _INTENT + "/cancel", FORM, {}, _KEYED, nothing),
            Route(
                "increment", "POST", _INTENT + "/increment_authorization", FORM, {}, _KEYED, nothing
            ),
            Route("refund", "POST", r"/v1/refunds", FORM, {}, _KEYED, nothing),
            Route("verify", "POST", setups.PATH, FORM, {}, _KEYED, nothing),
            Route("find", "GET", f"(?:{_INTENT}|{_REFUND}|{_SETUP})", "", {}, _VERSIONED, nothing),
            Route("account", "GET", r"/v1/account", "", {}, _VERSIONED, nothing),
        ),
        credential_fields=frozenset({"api_key"}),
        credential_headers={"authorization": "Bearer {api_key}"},
        body_signature=None,
        answer_headers=frozenset({"content-type", "idempotent-replayed", "request-id"}),
        answer_bytes_max=262_144,
        hosts=hosts,
        # Stripe's answers do not say whose mode they are of before money moved; its keys do.
        credential_forms={
            "api_key": {
                Mode.TEST: r"(?:sk|rk)_test_[A-Za-z0-9_]{8,240}",
                Mode.LIVE: r"(?:sk|rk)_live_[A-Za-z0-9_]{8,240}",
            }
        },
    )


class StripeAdapter:
    """Stripe's Payment Intents. An outcome that is not known is found by a replay, or told by a notice."""

    name = NAME
    findings = frozenset({Finding.BY_REPLAY, Finding.BY_NOTICE})
    verification_scheme = NAME
    #: Nothing is looked for by reference: Stripe's search lags behind without a bound.
    visibility_seconds = 3_600
    replay_seconds = REPLAY_SECONDS

    def __init__(
        self, *, version: str = VERSION, hosts: frozenset[str] = frozenset({HOST})
    ) -> None:
        self.destination = destination(hosts)
        self._version = version

    # --- what is asked ----------------------------------------------------------------------------------

    def prepare(self, command: Command) -> Template | None:
        """Return the request that makes a PaymentMethod of the card, for what begins a payment."""
        attempt = command.attempt
        if not attempt.operation.authorizes:
            return None
        amount_for_stripe(attempt.amount, attempt.currency)  # refused before a card is opened
        card: dict[str, Json] = {
            "number": slot(Slot.CARD_NUMBER),
            "exp_month": slot(Slot.CARD_EXP_MONTH),
            "exp_year": slot(Slot.CARD_EXP_YEAR),
        }
        if command.with_cvc:
            card["cvc"] = slot(Slot.CARD_CVC)
        body: dict[str, Json] = {
            "type": "card",
            "card": card,
            "billing_details": {
                "address": {
                    "city": slot(Slot.ADDRESS_CITY),
                    "country": slot(Slot.ADDRESS_COUNTRY),
                    "line1": slot(Slot.ADDRESS_LINE1),
                    "postal_code": slot(Slot.ADDRESS_POSTAL_CODE),
                    "state": slot(Slot.ADDRESS_REGION),
                }
            },
            "metadata": {ATTEMPT: attempt.attempt_id},
        }
        # A key of its own: the attempt's is for the call that moves money.
        headers = self._headers(f"{attempt.attempt_id}-card")
        return Template("prepare", "/v1/payment_methods", {}, headers, body)

    def template(self, command: Command) -> Template:
        """Return the request. The same command gives the same request."""
        attempt = command.attempt
        amount = amount_for_stripe(attempt.amount, attempt.currency)
        headers = self._headers(attempt.attempt_id)
        if attempt.operation is Operation.VERIFY:
            return setups.asked(command, headers)
        if attempt.operation.authorizes:
            return Template("authorize", _INTENTS, {}, headers, _authorization(command, amount))
        there = f"{_INTENTS}/{command.authorization}"
        if attempt.operation is Operation.CAPTURE:
            if not attempt.releases and command.payment.capturable:
                raise CommandNotTaken("a capture is the last one here: it releases what is left")
            body: dict[str, Json] = {
                "amount_to_capture": amount,
                "metadata": {CAPTURE: attempt.attempt_id},
            }
            return Template("capture", f"{there}/capture", {}, headers, body)
        if attempt.operation is Operation.INCREMENT:
            return self.increment(command)
        if attempt.operation is Operation.VOID:
            # A cancellation takes no metadata: its key, which its event repeats, is our reference.
            return Template("void", f"{there}/cancel", {}, headers, {})
        refund: dict[str, Json] = {
            "payment_intent": command.authorization,
            "amount": amount,
            "metadata": {
                ATTEMPT: attempt.attempt_id,
                PAYMENT: attempt.payment_id,
            },
        }
        return Template("refund", "/v1/refunds", {}, headers, refund)

    def increment(self, command: Command) -> Template:
        """Return the request that raises a hold: to how much, in Stripe's words."""
        attempt = command.attempt
        amount_for_stripe(attempt.amount, attempt.currency)
        body: dict[str, Json] = {
            "amount": amount_for_stripe(attempt.raises_to or 0, attempt.currency),
            "metadata": {INCREMENT: attempt.attempt_id},
            "expand": [_CHARGE],
        }
        path = f"{_INTENTS}/{command.authorization}/increment_authorization"
        return Template("increment", path, {}, self._headers(attempt.attempt_id), body)

    def find(self, attempt: Attempt) -> Template:
        """Return the request that asks for what Stripe named in an earlier answer.

        Raises:
            CommandNotTaken: it named nothing yet, and cannot be asked by our reference without a lag.
        """
        if attempt.processor_reference is None:
            raise CommandNotTaken("this processor cannot be asked for a reference of ours")
        kinds = {Operation.REFUND: "refunds", Operation.VERIFY: "setup_intents"}
        kind = kinds.get(attempt.operation, "payment_intents")
        path = f"/v1/{kind}/{attempt.processor_reference}"
        return Template("find", path, {}, self._versioned(), None)

    def find_by_name(self, attempt: Attempt) -> Template | None:
        """Return the request for what is pending: a challenge, a refund under way."""
        if attempt.processor_reference is None or attempt.operation is Operation.INCREMENT:
            return None
        return self.find(attempt)

    def probe(self) -> Template:
        """Return the request that asks for the account of the key."""
        return Template("account", "/v1/account", {}, self._versioned(), None)

    # --- what is answered -------------------------------------------------------------------------------

    def prepared(self, command: Command, reply: Forwarded) -> str | Found:
        """Read the PaymentMethod's name, or why there is none."""
        if reply.status == _OK:
            return answers.method_of(command.attempt, reply.body)
        return answers.refused_to_prepare(reply)

    def answer(self, command: Command, reply: Forwarded) -> Found:
        """Read an answer."""
        if reply.status == _OK:
            return answers.read_answer(command, reply.body)
        return answers.refused(command, reply)

    def found(self, attempt: Attempt, reply: Forwarded) -> Found | None:
        """Read what was found under its name."""
        if reply.status != _OK:
            raise AnswerSurprising
        return answers.read_found(attempt, reply.body)

    def report(self, body: bytes) -> Report | None:
        """Read a verified event."""
        return read_notice(body)

    def account(self, connection: Connection, reply: Forwarded) -> Account:
        """Read the account. Its mode is the key's, which the vault has looked at when it took it.

        Whether it may send card numbers is not in it: the first card that is refused says so.
        """
        if reply.status != _OK:
            raise AnswerSurprising
        account = answers.account_of(reply.body)
        missing = []
        if account.id != connection.account:
            missing.append("the credentials are of another account")
        if not account.charges_enabled:
            missing.append("the account may not charge cards yet")
        if account.capabilities.get("card_payments", "active") != "active":
            missing.append("card payments are not active for the account")
        return Account(account.id, connection.mode.value, missing)

    def _versioned(self) -> dict[str, str]:
        return {"stripe-version": self._version}

    def _headers(self, key: str) -> dict[str, str]:
        return {**self._versioned(), "idempotency-key": key}


def _authorization(command: Command, amount: int) -> dict[str, Json]:
    attempt = command.attempt
    invariant(attempt.instrument is not None, "a payment begins with a prepared instrument")
    body: dict[str, Json] = {
        "amount": amount,
        "currency": attempt.currency.lower(),
        "capture_method": "automatic" if attempt.operation is Operation.SALE else "manual",
        "confirm": True,
        "payment_method": attempt.instrument,
        "payment_method_types": ["card"],
        "metadata": {ATTEMPT: attempt.attempt_id, PAYMENT: attempt.payment_id},
    }
    if command.three_ds is ThreeDs.CHALLENGE:
        body["payment_method_options"] = {"card": {"request_three_d_secure": "any"}}
    stored = command.payment.stored_credential
    if command.nobody_there:
        # Declines where the issuer wants to see the customer, instead of asking for them.
        body["off_session"] = True
    elif command.return_url is not None:
        body["return_url"] = command.return_url
    if attempt.operation is Operation.AUTHORIZE:
        body["expand"] = [_CHARGE]  # it says until when it holds
    if stored is not None and stored.begins:
        once = stored.reason is StoredReason.ONE_OFF
        body["setup_future_usage"] = "on_session" if once else "off_session"
        # Its charge says what the network calls it.
        body["expand"] = [_CHARGE]
    return body


__all__ = ["HOST", "NAME", "VERSION", "StripeAdapter"]
