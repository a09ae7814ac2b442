# SPDX-License-Identifier: Apache-2.0
"""Routes for those who run a listener: /livez, /readyz, /metrics, /openapi.json. They tell nothing about merchants."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from litestar import Request as LitestarRequest
from litestar import Response, get
from litestar.datastructures import State

from strongroom.http.examples import answers
from strongroom.http.requires import PUBLIC, request_of
from strongroom.kernel.addresses import AddressMalformed, Networks, parse_address
from strongroom.kernel.errors import NotThere
from strongroom.telemetry.health import Health
from strongroom.telemetry.metrics import CONTENT_TYPE, Metrics


class HealthOut(msgspec.Struct, frozen=True):
    """What a probe is told."""

    status: str
    checks: dict[str, str]


HEALTHY: Final[dict[str, Any]] = {
    "status": "ok",
    "checks": {"key_store": "ok", "vault_database": "ok"},
}
FAILING: Final[dict[str, Any]] = {
    "status": "failing",
    "checks": {"key_store": "ok", "vault_database": "DatabaseAway"},
}
METRICS: Final = 'strongroom_build_info{role="all",version="0.1.0"} 1.0\n'
OPENAPI: Final[dict[str, Any]] = {"openapi": "3.1.0", "info": {"title": "Strongroom vault"}}


class Operators:
    """Who may read metrics and readiness: networks, by the caller's address."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = Networks.parse(networks)

    def admit(self, address: str) -> None:
        """Let through or answer as if there were no such route.

        Raises:
            NotThere: the peer is of another network.
        """
        try:
            peer = parse_address(address)
        except AddressMalformed:
            raise NotThere from None
        if peer not in self._networks:
            raise NotThere


def _printed(health: Health, metrics: Metrics) -> Response[HealthOut]:
    for each in health.results:
        metrics.health.labels(each.name).set(1 if each.passed else 0)
    out = HealthOut(
        "ok" if health.passed else "failing", {each.name: each.finding for each in health.results}
    )
    return Response(out, status_code=200 if health.passed else 503)


@get(
    "/livez",
    requires=PUBLIC,
    summary="Is the process alive",
    tags=["operations"],
    responses=answers(200, HealthOut, {"status": "ok", "checks": {}}),
)
async def livez(state: State) -> Response[HealthOut]:
    """Tell whether the process serves at all."""
    return _printed(await state.health.liveness(), state.metrics)


@get(
    "/readyz",
    requires=PUBLIC,
    summary="Can it serve",
    description="Whether databases and keys answer. For the operators' networks.",
    tags=["operations"],
    responses=answers(200, HealthOut, HEALTHY, 404)
    | answers(503, HealthOut, FAILING, description="Something that is needed does not answer"),
)
async def readyz(request: LitestarRequest[Any, Any, State], state: State) -> Response[HealthOut]:
    """Tell whether the process can serve now."""
    state.operators.admit(request_of(request).address)
    return _printed(await state.health.readiness(), state.metrics)


@get(
    "/metrics",
    requires=PUBLIC,
    media_type="text/plain",
    summary="Metrics",
    description="Prometheus' text format. For the operators' networks.",
    tags=["operations"],
    responses=answers(200, str, METRICS, 404, media_type="text/plain"),
)
async def metrics(request: LitestarRequest[Any, Any, State], state: State) -> Response[bytes]:
    """Return every metric of the process."""
    state.operators.admit(request_of(request).address)
    return Response(state.metrics.exposition(), media_type=CONTENT_TYPE)


@get(
    "/openapi.json",
    requires=PUBLIC,
    summary="This description",
    tags=["operations"],
    responses=answers(200, dict[str, Any], OPENAPI),
)
async def openapi(state: State) -> Response[bytes]:
    """Return the listener's OpenAPI 3.1 document."""
    return Response(state.openapi(), media_type="application/json")


ROUTES: Final = (livez, readyz, metrics, openapi)
