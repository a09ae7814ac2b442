# SPDX-License-Identifier: Apache-2.0
"""Reads the PROXY protocol's header (HAProxy's proxy-protocol.txt, versions 1 and 2). Pure; bounded in bytes."""

import socket
from dataclasses import dataclass
from typing import Final

from proxyprotocol import ProxyProtocolIncompleteError
from proxyprotocol.result import ProxyResultIPv4, ProxyResultIPv6, ProxyResultLocal
from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2

from strongroom.kernel.addresses import Address, parse_address
from strongroom.kernel.errors import Refused

#: Version 1 has at most 107 bytes, its line end included (§2.1).
V1_BYTES_MAX: Final = 107
#: Version 2 may carry up to 65,535 bytes of extensions; what proxies send (TLS facts, ids) is far below this.
V2_BYTES_MAX: Final = 2_048
_V1_BEGIN: Final = b"PROXY "
_V2_BEGIN: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_HEAD_BYTES: Final = 16
_V1: Final = ProxyProtocolV1()
_V2: Final = ProxyProtocolV2()


class ProxyHeaderRefused(Refused):
    """A connection did not begin with a PROXY header that says whose it is."""

    code = "proxy_header_refused"


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a header said. `source` is None where the proxy speaks for itself (a health check: LOCAL)."""

    source: Address | None
    #: How many bytes it took.
    length: int


def read_proxy_header(received: bytes) -> ProxyHeader | None:
    """Read a header from the beginning of a connection; None while more bytes are needed.

    Raises:
        ProxyHeaderRefused: no header, too long, malformed, or it does not say whose the connection is (UNKNOWN, a
            socket of the file system, datagrams): a stranger would be taken for the proxy itself. A checksum (§2.2.3)
            is not computed: TCP and the network between proxy and listener have theirs.
    """
    length = _length(received)
    if length is None:
        return None
    version = _V1 if received.startswith(_V1_BEGIN) else _V2
    try:
        result = version.unpack(received[:length])
    except ProxyProtocolIncompleteError:
        raise ProxyHeaderRefused from None
    except Exception:  # noqa: BLE001 - the library lets whatever its parts raise through: struct.error, ValueError …
        raise ProxyHeaderRefused from None
    if isinstance(result, ProxyResultLocal):
        return ProxyHeader(None, length)
    if not isinstance(result, (ProxyResultIPv4, ProxyResultIPv6)):
        raise ProxyHeaderRefused
    if version is _V2 and result.protocol is not socket.SOCK_STREAM:
        raise ProxyHeaderRefused
    return ProxyHeader(parse_address(str(result.source[0]).partition("%")[0]), length)


def _length(received: bytes) -> int | None:
    """Return how long the header is; None while that is not known or not all of it is there."""
    if received[: len(_V1_BEGIN)] == _V1_BEGIN[: len(received)]:
        end = received.find(b"\n", 0, V1_BYTES_MAX)
        if end >= 0:
            return end + 1
        if len(received) >= V1_BYTES_MAX:
            raise ProxyHeaderRefused
        return None
    if received[: len(_V2_BEGIN)] != _V2_BEGIN[: len(received)]:
        raise ProxyHeaderRefused
    if len(received) < _V2_HEAD_BYTES:
        return None
    length = _V2_HEAD_BYTES + int.from_bytes(received[14:16], "big")
    if length > V2_BYTES_MAX:
        raise ProxyHeaderRefused
    return length if len(received) >= length else None
