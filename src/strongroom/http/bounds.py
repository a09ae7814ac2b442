# SPDX-License-Identifier: Apache-2.0
"""What no request may be, whoever sends it: too large, a card number in its URL, not JSON, of a network kept out."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias
from urllib.parse import unquote, unquote_plus

import msgspec

from strongroom.http import limits
from strongroom.http.gate import AddressNotAllowed
from strongroom.http.request import JSON, Request
from strongroom.kernel.addresses import AddressMalformed, Networks, parse_address
from strongroom.kernel.cardlike import has_cardlike, has_cardlike_bytes
from strongroom.kernel.errors import Refused

HeaderItems: TypeAlias = Sequence[tuple[str, str]]


class TargetRefused(Refused):
    """The request's target or headers are larger than this takes."""

    code = "target_too_long"
    status = 414


class HeadersRefused(Refused):
    """The request's headers are larger than this takes."""

    code = "headers_too_large"
    status = 431


class BodyNotJson(Refused):
    """This route takes application/json."""

    code = "content_type_wrong"
    status = 415


class CardNumberRefused(Refused):
    """This looks like a card number, and card numbers are taken by the vault's `card.number` only."""

    code = "card_number_refused"
    status = 422


def require_bounded(request: Request, items: HeaderItems) -> None:
    """Let through a target and headers that are within their limits and hold no card number.

    Raises:
        TargetRefused, HeadersRefused, CardNumberRefused: they are not, or do.
    """
    if len(request.path) + len(request.query) > limits.TARGET_BYTES_MAX:
        raise TargetRefused
    if (
        len(items) > limits.HEADERS_MAX
        or sum([len(name) + len(value) for name, value in items]) > limits.HEADER_BYTES_MAX
    ):
        raise HeadersRefused
    path = unquote(request.path) if "%" in request.path else request.path
    if has_cardlike(path) or (request.query and has_cardlike(unquote_plus(request.query))):
        raise CardNumberRefused


def carries_cardlike(body: bytes) -> bool:
    r"""Tell whether a body of a listener that takes no cards holds what looks like one, also where JSON escapes it.

    `"\u0034242…"` and `"4242\t4242…"` are no card number as they are sent, and are one as they are read (RFC 8259 §7).
    """
    return has_cardlike_bytes(body) or (b"\\" in body and has_cardlike("\n".join(_texts(body))))


def _texts(body: bytes) -> list[str]:
    """Return every string of a JSON body as it is read, names of members too; none where it is not JSON."""
    try:
        waiting = [msgspec.json.decode(body)]
    except msgspec.DecodeError:
        return []  # no route reads it either
    except RecursionError:
        raise CardNumberRefused from None  # nobody can say what is in it
    found: list[str] = []
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict):
            found += value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return found


def require_reached_from(request: Request, networks: Networks) -> None:
    """Let through a request that comes from one of the networks that reach this listener at all.

    Raises:
        AddressNotAllowed: it comes from another.
    """
    try:
        address = parse_address(request.address)
    except AddressMalformed:
        raise AddressNotAllowed from None
    if address not in networks:
        raise AddressNotAllowed


def is_json(headers: Mapping[str, str]) -> bool:
    """Tell whether a body is JSON as it stands: no other media type, and not compressed."""
    given = headers.get("content-type", "")
    return (
        given == JSON or given.partition(";")[0].strip().lower() == JSON
    ) and "content-encoding" not in headers


def has_body(request: Request) -> bool:
    """Tell whether there is a body. Without one (RFC 9112 §6: neither length nor coding) no content type is needed."""
    return (
        request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    )
