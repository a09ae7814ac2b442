# SPDX-License-Identifier: Apache-2.0
"""The route of the gateway's listener that says how a connection is."""

from datetime import datetime
from typing import Any, Final

import msgspec
from litestar import Request as LitestarRequest
from litestar import get
from litestar.datastructures import State

from strongroom.audit import Origin
from strongroom.http.examples import answers
from strongroom.http.requires import principal_of
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.permissions import Permission
from strongroom.payments.connections import By
from strongroom.payments.health import examples
from strongroom.payments.health.probes import Probe
from strongroom.payments.health.reading import Health, HealthReader, Window

_PER_MILLE: Final = 1_000


class WindowOut(msgspec.Struct, frozen=True):
    """What became of the attempts that were begun in the last so many seconds. Rates are thousandths, rounded down."""

    seconds: int
    attempts: int
    approved: int
    declined: int
    not_sent: int
    pending: int
    #: Not known by now, or asked and not answered yet.
    unknown: int
    #: Known by now, though the answer was lost.
    found_out: int
    declined_per_mille: int
    not_sent_per_mille: int
    unknown_per_mille: int


class ProbeOut(msgspec.Struct, frozen=True):
    """What the last test found."""

    probed_at: str
    passed: bool
    #: A word; null where it passed.
    reason: str | None
    failing_since: str | None
    failures: int


class HealthOut(msgspec.Struct, frozen=True):
    """How a connection is."""

    object: str
    connection: str
    status: str
    #: When it last said yes or no, to an attempt or a test.
    answered_at: str | None
    #: When an attempt last was not sent or got no answer, or a test failed.
    failed_at: str | None
    windows: list[WindowOut]
    #: From when on attempts were looked at, where there are too many for a whole day.
    looked_from: str | None
    probe: ProbeOut | None
    #: How the breaker before it stands in the process that answers; null: nothing went through it there lately.
    breaker: str | None


@get(
    "/v1/connections/{connection_id:str}/health",
    requires=Permission.PAYMENTS_CONNECTION_READ,
    summary="Read how a connection is",
    description=(
        "What became of the attempts of the last hour and day, when it last answered and when it last failed, and what "
        "its last test found. Nothing is asked of the processor."
    ),
    tags=["connections"],
    responses=answers(200, HealthOut, examples.HEALTH, 401, 403, 404, 429, 503),
)
async def read_connection_health(
    request: LitestarRequest[Any, Any, State], state: State, connection_id: str
) -> HealthOut:
    """Return how a connection is."""
    reader: HealthReader = state.connection_health
    principal = principal_of(request)
    by = By(principal.merchant, principal.mode, principal.actor, Origin())
    return health_out(await reader.of(connection_id, by))


def health_out(health: Health) -> HealthOut:
    """Print how a connection is."""
    return HealthOut(
        object="connection_health",
        connection=health.connection.connection_id,
        status=health.connection.status,
        answered_at=_moment(health.answered_at),
        failed_at=_moment(health.failed_at),
        windows=[_window(each) for each in health.windows],
        looked_from=_moment(health.looked_from),
        probe=None if health.probe is None else _probe(health.probe),
        breaker=health.breaker,
    )


def _window(window: Window) -> WindowOut:
    def rate(count: int) -> int:
        return count * _PER_MILLE // window.attempts if window.attempts else 0

    return WindowOut(
        window.seconds,
        window.attempts,
        window.approved,
        window.declined,
        window.not_sent,
        window.pending,
        window.unknown,
        window.found_out,
        rate(window.declined),
        rate(window.not_sent),
        rate(window.unknown),
    )


def _probe(probe: Probe) -> ProbeOut:
    return ProbeOut(
        rfc3339(probe.probed_at),
        probe.reason is None,
        probe.reason,
        _moment(probe.failing_since),
        probe.failures,
    )


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


ROUTES: Final = (read_connection_health,)
