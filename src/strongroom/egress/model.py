# SPDX-License-Identifier: Apache-2.0
"""What is sent and what came of it. Three outcomes are kept apart, because money hangs on the difference.

None of these prints a URL's query, a header or a body.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, Protocol, TypeAlias

from strongroom.egress.identity import TlsIdentity

ANSWER_BYTES_MAX: Final = 1024 * 1024
TIMEOUT_SECONDS: Final = 20.0


class Reason(enum.StrEnum):
    """Why there is no answer, in a word. A word once shipped is never given another meaning."""

    # Certainly nothing of the request was sent.
    CONNECT_FAILED = "connect_failed"
    CONNECT_TIMEOUT = "connect_timeout"
    DESTINATION_REFUSED = "destination_refused"
    DNS_FAILED = "dns_failed"
    #: The request itself could not be one: a header that would split it, a body beyond its bound, a closed client.
    REQUEST_REFUSED = "request_refused"
    TLS_FAILED = "tls_failed"

    # Something may have been sent, and acted upon.
    ANSWER_TOO_LARGE = "answer_too_large"
    ANSWER_UNREADABLE = "answer_unreadable"
    CONNECTION_LOST = "connection_lost"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request. `port` is the one that its destination was registered with, for URLs that name another than 443."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    timeout_seconds: float = TIMEOUT_SECONDS
    answer_bytes_max: int = ANSWER_BYTES_MAX
    port: int = 443
    #: What is shown to a destination that asks for a certificate. Connections are shared by requests of one object.
    identity: TlsIdentity | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer. A status is the peer's word, whatever it is: redirects are not followed."""

    status: int
    #: Names in lower case; of a header that stands twice, the values joined by a comma (RFC 9110 §5.3).
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    seconds: float
    outcome: ClassVar[Literal["answered"]] = "answered"


@dataclass(frozen=True, slots=True)
class NotSent:
    """Certainly nothing of the request was sent."""

    reason: Reason
    seconds: float
    outcome: ClassVar[Literal["not_sent"]] = "not_sent"


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request may have been sent and acted upon; there is no whole answer."""

    reason: Reason
    seconds: float
    outcome: ClassVar[Literal["unknown"]] = "unknown"


Reply: TypeAlias = Answered | NotSent | Unknown


class HttpSender(Protocol):
    """Sends requests to addresses that come from data. `Egress` is the one that opens sockets."""

    async def send(self, request: Outgoing) -> Reply:
        """Send once and say what came of it. Nothing but a cancellation escapes."""
