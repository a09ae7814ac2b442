# SPDX-License-Identifier: Apache-2.0
"""One call to a processor for an attempt: what it takes, and how long after it was saved it may still go out."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from strongroom.kernel.clock import Clock
from strongroom.payments.changes import Changes
from strongroom.payments.connections import ConnectionBook
from strongroom.payments.model import Attempt, Loaded
from strongroom.payments.ports import Command
from strongroom.payments.records import Act, Scribe
from strongroom.payments.routing.breakers import Breakers
from strongroom.telemetry.log import Log
from strongroom.telemetry.work_metrics import PaymentMetrics
from strongroom.vault import Forward, Forwarded, Forwarder, Template

#: An attempt that is not on its way by then is not sent any more: its lease counts on that.
SENDING_SECONDS_MAX: Final = 5
#: Why an attempt was not sent: the process stood still after it was saved, and somebody may have looked for it already.
TOO_LATE: Final = "too_late_to_send"
#: Why an answer says nothing: it has not the shape that the processor publishes.
UNREADABLE: Final = "answer_surprising"


@dataclass(frozen=True, slots=True)
class Parts:
    """What asking a processor takes."""

    changes: Changes
    scribe: Scribe
    connections: ConnectionBook
    forwarder: Forwarder
    breakers: Breakers
    clock: Clock
    log: Log
    metrics: PaymentMetrics
    #: Where the public listener is reached: the processor sends customers back there.
    public_url: str
    timeout_seconds: int
    #: Is told each attempt whose state was saved, before whoever waits for it goes on.
    watch: Callable[[Attempt], Awaitable[None]]


def command_of(parts: Parts, loaded: Loaded, attempt: Attempt, *, with_cvc: bool) -> Command:
    """Say what a processor is to be asked."""
    authorization = loaded.authorization
    return Command(
        attempt=attempt,
        payment=loaded.payment,
        authorization=None if authorization is None else authorization.processor_reference,
        with_cvc=with_cvc,
        return_url=f"{parts.public_url}/v1/returns/{attempt.payment_id}",
    )


def is_too_late(saved_at: datetime, now: datetime) -> bool:
    """Tell whether what was saved then may not be sent any more."""
    return now > saved_at + timedelta(seconds=SENDING_SECONDS_MAX)


async def call(
    parts: Parts,
    loaded: Loaded,
    attempt: Attempt,
    template: Template,
    act: Act,
    *,
    with_card: bool,
    cvc: str | None,
) -> Forwarded:
    """Send a request of an attempt, once. Whatever it raises, nothing was sent.

    Raises:
        ConnectionResting: a rule chose the connection, and it is not to be called now.
        StrongroomError: see `Forwarder.forward`.
    """
    ticket = parts.breakers.admit(attempt)
    reply: Forwarded | None = None
    try:
        reply = await parts.forwarder.forward(
            Forward(
                merchant=attempt.merchant_id,
                mode=attempt.mode,
                connection=attempt.connection_id,
                template=template,
                token=loaded.payment.token_id if with_card else None,
                cvc=cvc,
                actor=act.actor,
                origin=act.origin,
                payment=attempt.payment_id,
                attempt=attempt.attempt_id,
                timeout_seconds=parts.timeout_seconds,
            )
        )
    finally:
        parts.breakers.told(attempt, ticket, reply)
    return reply


def surprised(parts: Parts, processor: str, attempt: Attempt) -> None:
    """Log that an answer could not be read."""
    parts.log.emit(
        "error",
        "payments.answer_surprising",
        {"transaction_id": attempt.payment_id, "processor": processor},
    )
