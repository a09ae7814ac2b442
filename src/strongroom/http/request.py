# SPDX-License-Identifier: Apache-2.0
"""A request as the edge hands it on, and an answer as it takes it. Lean on purpose: the hot route makes one each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from strongroom.kernel.principal import Principal

JSON: Final = "application/json"
PROBLEM_JSON: Final = "application/problem+json"


class Request:
    """What the edge knows of a request. `headers` has lower-case names; of a `repeated` one the last counts."""

    __slots__ = (
        "address",
        "body",
        "client_certificate",
        "headers",
        "listener",
        "method",
        "path",
        "principal",
        "query",
        "repeated",
        "request_id",
        "route",
        "started",
        "trace_hash",
    )

    def __init__(
        self,
        *,
        listener: str,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        address: str,
        request_id: str,
        trace_hash: str,
        started: float,
        repeated: frozenset[str] = frozenset(),
    ) -> None:
        self.listener = listener
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        #: The names of headers that came more than once.
        self.repeated = repeated
        self.address = address
        self.request_id = request_id
        self.trace_hash = trace_hash
        self.started = started
        self.route = "unmatched"
        self.body = b""
        self.principal: Principal | None = None
        #: The SHA-256 thumbprint (base64url, RFC 8705 §3.1) of the certificate that the caller showed to a proxy which
        #: is believed, or None.
        self.client_certificate: str | None = None


@dataclass(slots=True)
class Answer:
    """What goes back: a status, a body, and headers beyond those that every answer has."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: list[tuple[str, str]] = field(default_factory=list)
    #: Facts for the log line (names of `telemetry.fields` only).
    log: dict[str, object] = field(default_factory=dict)
