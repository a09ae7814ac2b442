# SPDX-License-Identifier: Apache-2.0
"""A challenge is asked of each processor in its own words, and only where somebody is there to pass it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import pytest

from strongroom.kernel.ids import AttemptId, ConnectionId, MerchantId, PaymentId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.payments.model import (
    Attempt,
    CaptureMethod,
    Connection,
    Finding,
    Operation,
    Payment,
    Status,
    ThreeDs,
)
from strongroom.payments.ports import Command
from strongroom.payments.processors.adyen import AdyenAdapter
from strongroom.payments.processors.checkout import CheckoutAdapter
from strongroom.payments.processors.simulator import SimulatorAdapter
from strongroom.payments.processors.stripe import StripeAdapter
from strongroom.payments.stored import Initiator, Stage, StoredCredential, StoredReason

NOW: Final = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
TENANT: Final[dict[str, Any]] = {"merchant_id": MerchantId("mer_1"), "mode": Mode.TEST}
CONNECTION: Final = Connection(
    **TENANT,
    connection_id=ConnectionId("con_1"),
    name="x",
    processor="adyen",
    account="Shop",
    finding=Finding.BY_NOTICE,
    status="active",
    created_at=NOW,
    updated_at=NOW,
)
COMMAND: Final = Command(
    attempt=Attempt(
        **TENANT,
        attempt_id=AttemptId("att_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"),
        payment_id=PaymentId("pay_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"),
        operation=Operation.AUTHORIZE,
        wish="w",
        connection_id=ConnectionId("con_1"),
        amount=1_000,
        currency="AED",
        instrument="pm_1",
        three_ds=ThreeDs.CHALLENGE,
        created_at=NOW,
        lease_until=NOW + timedelta(seconds=25),
    ),
    payment=Payment(
        **TENANT,
        payment_id=PaymentId("pay_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"),
        version=1,
        status=Status.PROCESSING,
        amount=1_000,
        currency="AED",
        capture_method=CaptureMethod.MANUAL,
        token_id=TokenId("tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"),
        created_by="key_1",
        created_at=NOW,
        updated_at=NOW,
    ),
    authorization=None,
    return_url="https://pay.example/v1/returns/x",
)
ADAPTERS: Final[dict[str, Any]] = {
    "adyen": AdyenAdapter(CONNECTION),
    "checkout": CheckoutAdapter(),
    "simulator": SimulatorAdapter(),
    "stripe": StripeAdapter(),
}
WORDS: Final = {
    "adyen": ("authenticationData", {"attemptAuthentication": "always"}),
    "checkout": ("3ds", {"enabled": True, "challenge_indicator": "challenge_requested"}),
    "simulator": ("three_ds", "challenge"),
    "stripe": ("payment_method_options", {"card": {"request_three_d_secure": "any"}}),
}


def body_of(name: str, command: Command) -> dict[str, Any]:
    body = ADAPTERS[name].template(command).body
    assert isinstance(body, dict)
    return body


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_a_challenge_is_asked_for_in_the_words_of_each(name: str) -> None:
    member, words = WORDS[name]
    assert body_of(name, COMMAND)[member] == words
    for word in (ThreeDs.AUTOMATIC, None):
        attempt = msgspec.structs.replace(COMMAND.attempt, three_ds=word)
        assert body_of(name, replace(COMMAND, attempt=attempt)).get(member) != words


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_nobody_is_asked_where_nobody_is_there(name: str) -> None:
    stored = StoredCredential(
        initiator=Initiator.MERCHANT, reason=StoredReason.RECURRING, stage=Stage.LATER
    )
    payment = msgspec.structs.replace(COMMAND.payment, stored_credential=stored)
    attempt = msgspec.structs.replace(COMMAND.attempt, initial_transaction_id="MCC123456789012")
    member, words = WORDS[name]
    asked = body_of(name, replace(COMMAND, payment=payment, attempt=attempt))
    assert asked.get(member) != words
