# SPDX-License-Identifier: Apache-2.0
"""Internet addresses and sets of networks, as values. An IPv4 address in IPv6 dress (::ffff:…) is the IPv4 address."""

import ipaddress
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, TypeAlias, final

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

#: As many different callers as one process meets within minutes.
_REMEMBERED: Final = 8_192
#: In an IPv6 network: how many bits stand before the address of IPv4 (RFC 4291 §2.5.5.2).
_MAPPED_PREFIX: Final = 96


class AddressMalformed(ValueError):
    """The text is no address or network; the text itself is not repeated."""


@lru_cache(_REMEMBERED)
def parse_address(text: str) -> Address:
    """Read one address: IPv4 in dotted decimal without leading zeros, or IPv6 without a zone (RFC 4291, RFC 5952).

    Raises:
        AddressMalformed: it is none, or names a zone (RFC 4007): a zone means something on one machine only.
    """
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise AddressMalformed("not an IP address") from None
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id is not None:
            raise AddressMalformed("an address of another machine has no zone")
        return found.ipv4_mapped or found
    return found


def parse_network(text: str) -> Network:
    """Read one network in CIDR notation (RFC 4632); a bare address is the network of itself.

    Raises:
        AddressMalformed: it is none, or bits are set behind the prefix (10.0.0.1/8): one of both is a mistake.
    """
    try:
        found = ipaddress.ip_network(text, strict=True)
    except ValueError:
        raise AddressMalformed(
            "not a network: ADDRESS/PREFIX with no bit set behind the prefix, such as 203.0.113.0/24"
        ) from None
    if isinstance(found, ipaddress.IPv4Network):
        return found
    if found.network_address.scope_id is not None:
        raise AddressMalformed("a network has no zone")
    mapped = found.network_address.ipv4_mapped
    if mapped is not None and found.prefixlen >= _MAPPED_PREFIX:
        return ipaddress.IPv4Network((mapped, found.prefixlen - _MAPPED_PREFIX))
    return found


@final
class Networks:
    """A set of networks that answers in about a microsecond whether an address is in it."""

    __slots__ = ("_networks", "_v4", "_v6")

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)
        self._v4 = self._masks(4)
        self._v6 = self._masks(6)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "Networks":
        """Read networks in CIDR notation.

        Raises:
            AddressMalformed: one of them is none.
        """
        return cls(parse_network(text) for text in texts)

    def _masks(self, version: int) -> tuple[tuple[int, int], ...]:
        return tuple(
            (int(each.netmask), int(each.network_address))
            for each in self._networks
            if each.version == version
        )

    def __contains__(self, address: Address) -> bool:
        number = int(address)
        masks = self._v4 if address.version == 4 else self._v6  # noqa: PLR2004 - IPv4
        return any(number & mask == base for mask, base in masks)

    def __iter__(self) -> Iterator[Network]:
        return iter(self._networks)

    def __len__(self) -> int:
        return len(self._networks)
