# SPDX-License-Identifier: Apache-2.0
"""Asks Stripe whether a card is good: a SetupIntent, which moves nothing and holds nothing.

It has neither amount nor currency, so that the currency which was asked about stands in its metadata.
"""

from typing import Final

from strongroom.kernel.invariant import invariant
from strongroom.kernel.mode import Mode
from strongroom.payments.declines import ADVICE, DeclineCode
from strongroom.payments.model import Attempt, Basis, Found, Outcome
from strongroom.payments.ports import AnswerSurprising, Command
from strongroom.payments.processors.stripe.checks import checks_of
from strongroom.payments.processors.stripe.reading import ATTEMPT, PAYMENT, decline_of
from strongroom.payments.processors.stripe.wire import SetupOut, SetupTriedOut
from strongroom.vault import Json, Template

PATH: Final = "/v1/setup_intents"
#: A member of metadata: the currency of the payment that asks.
CURRENCY: Final = "strongroom_currency"


def asked(command: Command, headers: dict[str, str]) -> Template:
    """Return the request. The same command gives the same request."""
    attempt = command.attempt
    invariant(attempt.instrument is not None, "a verification begins with a prepared instrument")
    body: dict[str, Json] = {
        "confirm": True,
        "payment_method": attempt.instrument,
        "payment_method_types": ["card"],
        "usage": "off_session",
        "metadata": {
            ATTEMPT: attempt.attempt_id,
            PAYMENT: attempt.payment_id,
            CURRENCY: attempt.currency,
        },
        "expand": ["latest_attempt"],
    }
    if command.return_url is not None:
        body["return_url"] = command.return_url
    return Template("verify", PATH, {}, headers, body)


def checked(attempt: Attempt, setup: SetupOut, basis: Basis) -> Found:
    """Believe a SetupIntent only where it is the one that we asked for.

    Raises:
        AnswerSurprising: it is of another attempt or mode, or stands where it cannot.
    """
    ours = (attempt.attempt_id, attempt.payment_id, attempt.currency)
    theirs = tuple(setup.metadata.get(name) for name in (ATTEMPT, PAYMENT, CURRENCY))
    if theirs != ours or setup.livemode is not (attempt.mode is Mode.LIVE):
        raise AnswerSurprising
    return known(setup, basis)


def known(setup: SetupOut, basis: Basis) -> Found:
    """Say what a SetupIntent says of its card.

    Raises:
        AnswerSurprising: it stands where it cannot, or says no way forward.
    """
    currency = setup.metadata.get(CURRENCY)
    if setup.status == "processing":
        return Found(Outcome.PENDING, basis, processor_reference=setup.id, currency=currency)
    if setup.status == "requires_action":
        action = setup.next_action
        if action is None or action.redirect_to_url is None or action.redirect_to_url.url is None:
            raise AnswerSurprising
        return Found(
            Outcome.PENDING,
            basis,
            processor_reference=setup.id,
            currency=currency,
            action_url=action.redirect_to_url.url,
        )
    if setup.status == "canceled":
        code = DeclineCode.CANCELED_BY_CUSTOMER
        return Found(
            Outcome.DECLINED,
            basis,
            processor_reference=setup.id,
            decline_code=code.value,
            advice=ADVICE[code].value,
            reason="canceled",
        )
    if setup.status == "requires_payment_method" and setup.last_setup_error is not None:
        return decline_of(setup.last_setup_error, basis, setup.id)
    if setup.status != "succeeded":
        raise AnswerSurprising
    tried = setup.latest_attempt
    details = tried.payment_method_details if isinstance(tried, SetupTriedOut) else None
    checks = checks_of(details)
    return Found(
        Outcome.APPROVED,
        basis,
        processor_reference=setup.id,
        amount=0,
        currency=currency,
        avs_result=checks.avs,
        cvc_result=checks.cvc,
    )
