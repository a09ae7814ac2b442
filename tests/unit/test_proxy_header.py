# SPDX-License-Identifier: Apache-2.0
"""The PROXY protocol's header: what HAProxy's specification shows, what must be refused, and any cut in pieces."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.http.proxy_header import (
    V1_BYTES_MAX,
    V2_BYTES_MAX,
    ProxyHeaderRefused,
    read_proxy_header,
)

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V4 = socket.inet_aton("203.0.113.7") + socket.inet_aton("10.0.0.1") + struct.pack("!HH", 4711, 443)
V6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::7")
    + socket.inet_pton(socket.AF_INET6, "fd00::1")
    + struct.pack("!HH", 4711, 443)
)


def v2(command: int, family: int, body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", size) + body


#: A header, and whose connection it says this is.
GOOD = [
    (b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n", "203.0.113.7"),
    (b"PROXY TCP6 2001:db8::7 fd00::1 4711 443\r\n", "2001:db8::7"),
    (b"PROXY TCP6 ::ffff:203.0.113.7 fd00::1 4711 443\r\n", "203.0.113.7"),
    (v2(0x21, 0x11, V4), "203.0.113.7"),
    (v2(0x21, 0x21, V6), "2001:db8::7"),
    (v2(0x21, 0x11, V4 + b"\x04\x00\x02ab"), "203.0.113.7"),
    (v2(0x20, 0x00, b""), None),
    (v2(0x20, 0x11, V4), None),
]
BAD = [
    b"GET / HTTP/1.1\r\n",
    b"\x16\x03\x01\x02\x00",
    b"PROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 4711\r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443 \r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 70000 443\r\n",
    b"PROXY TCP4 2001:db8::7 10.0.0.1 4711 443\r\n",
    b"PROXY TCP4 203.0.113.007 10.0.0.1 4711 443\r\n",
    b"PROXY TCP6 203.0.113.7 10.0.0.1 4711 443\r\n",
    b"PROXY UDP4 203.0.113.7 10.0.0.1 4711 443\r\n",
    b"PROXY \xff\r\n",
    b"PROXY " + b"a" * V1_BYTES_MAX,
    b"proxy TCP4 203.0.113.7 10.0.0.1 4711 443\r\n",
    v2(0x22, 0x11, V4),
    v2(0x11, 0x11, V4),
    v2(0x21, 0x12, V4),
    v2(0x21, 0x10, V4),
    v2(0x21, 0x00, b""),
    v2(0x21, 0x31, bytes(216)),
    v2(0x21, 0x11, V4[:8]),
    v2(0x21, 0x21, V4),
    v2(0x21, 0x11, b"", V2_BYTES_MAX),
    v2(0x21, 0x11, V4, 65_535),
]


@pytest.mark.parametrize(("header", "source"), GOOD)
def test_a_header_says_whose_the_connection_is(header: bytes, source: str | None) -> None:
    read = read_proxy_header(header + b"\x16\x03\x01 and so on")
    assert read is not None
    assert (read.source and str(read.source), read.length) == (source, len(header))


@pytest.mark.parametrize("header", BAD)
def test_anything_else_is_refused(header: bytes) -> None:
    with pytest.raises(ProxyHeaderRefused):
        read_proxy_header(header)


@pytest.mark.parametrize(("header", "source"), GOOD)
def test_a_header_in_pieces_is_waited_for(header: bytes, source: str | None) -> None:
    for length in range(len(header)):
        assert read_proxy_header(header[:length]) is None


@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]),
)
def test_any_bytes_are_a_header_or_refused_or_too_few(rest: bytes, begin: bytes) -> None:
    try:
        read = read_proxy_header(begin + rest)
    except ProxyHeaderRefused:
        return
    assert read is None or read.length <= len(begin + rest)
