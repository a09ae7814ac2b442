# SPDX-License-Identifier: Apache-2.0
"""Whose address a request came from, where proxies stand before this listener. Pure; believes configured proxies only.

A header says what anybody wrote into it; only its right end was written by a proxy of ours. So it is read from the
right, past trusted proxies, to the first address that is not one of them. What stands further left is not looked at.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from strongroom.config import ForwardedHeader
from strongroom.kernel.addresses import Address, AddressMalformed, Networks, parse_address
from strongroom.kernel.errors import Refused

#: More proxies than this in a row are a loop, or somebody's joke.
HOPS_MAX: Final = 16
#: RFC 9110 §5.6.2 and §5.6.4, without bytes that are not ASCII.
_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = r'"(?:[\t !#-\[\]-~]|\\[\t -~])*"'
_PAIR: Final = re.compile(rf"({_WORD})=({_WORD}|{_QUOTED})")
_BETWEEN: Final = re.compile(r"[ \t]*([;,])[ \t]*|[ \t]*\Z")
_ESCAPED: Final = re.compile(r"\\(.)")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_PORT_MAX: Final = 65_535


class ForwardedMalformed(Refused):
    """The proxy's forwarded header cannot be read, so the caller's address is not known."""

    code = "forwarded_header_malformed"
    status = 400


def host_of(client: str) -> str:
    """Return the host of `HOST:PORT`, without the brackets of IPv6 and without a zone."""
    host = client.rpartition(":")[0]
    return host.strip("[]").partition("%")[0] if host.startswith("[") else host


def client_address(
    peer: Address, lines: Sequence[str], *, proxies: Networks, header: ForwardedHeader
) -> Address:
    """Return the address of whoever is behind the trusted proxies.

    Args:
        peer: who opened the connection.
        lines: the values of the header's fields, in the order in which they came.
        proxies: who is believed.
        header: which header they write.

    Raises:
        ForwardedMalformed: what would have to be believed is not an address. Never guessed.
    """
    if header is ForwardedHeader.NONE or peer not in proxies:
        return peer
    found = peer
    for hops, node in enumerate(_from_the_right(lines, header)):
        if hops >= HOPS_MAX:
            raise ForwardedMalformed("too many proxies in a row")
        found = _node_address(node)
        if found not in proxies:
            break
    return found


def _from_the_right(lines: Sequence[str], header: ForwardedHeader) -> Iterator[str]:
    """Yield the nodes, the last one first. A line is read only when what stands right of it was a proxy."""
    for line in reversed(lines):
        if header is ForwardedHeader.X_FORWARDED_FOR:
            for part in reversed(line.split(",")):
                yield part.strip(" \t")
        else:
            yield from reversed(forwarded_for(line))


def forwarded_for(line: str) -> list[str]:
    """Return the `for` of every element of a Forwarded field, in order (RFC 7239 §4). Strict about the whole line.

    An element's end cannot be found from the right, because a quoted string may hold commas; and a line that only
    almost reads is one into which somebody wrote a quotation mark.

    Raises:
        ForwardedMalformed: it is not of that form, or an element has no `for`, or two.
    """
    nodes: list[str] = []
    current: dict[str, str] = {}
    position, end = 0, ","
    while end:
        pair = _PAIR.match(line, position)
        if pair is None:
            raise ForwardedMalformed
        name, value = pair[1].lower(), pair[2]
        if name in current:
            raise ForwardedMalformed
        current[name] = _ESCAPED.sub(r"\1", value[1:-1]) if value[0] == '"' else value
        between = _BETWEEN.match(line, pair.end())
        if between is None:
            raise ForwardedMalformed
        position, end = between.end(), between[1]
        if end != ";":
            if "for" not in current:
                raise ForwardedMalformed
            nodes.append(current["for"])
            current = {}
    return nodes


def _node_address(node: str) -> Address:
    """Read `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.

    `unknown` and hidden names (RFC 7239 §6.2, §6.3) are no addresses: what they hide cannot be decided on.
    """
    host, port = node, ""
    if node.startswith("["):
        host, bracket, rest = node[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            raise ForwardedMalformed
        port = rest[1:] if rest else "0"
    elif node.count(":") == 1:
        host, _, port = node.partition(":")
    else:
        port = "0"
    if _PORT.fullmatch(port) is None or int(port) > _PORT_MAX:
        raise ForwardedMalformed
    try:
        return parse_address(host)
    except AddressMalformed:
        raise ForwardedMalformed from None
