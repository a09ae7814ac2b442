# SPDX-License-Identifier: Apache-2.0
"""Decides which addresses may be called: public ones over TLS, and exact loopback ones that settings name. Pure.

`check_url` reads what somebody gave; `check_address` is asked again for every address that a name resolves to. What
is spelled in an unusual way is refused rather than understood: two readers of one URL must not differ (SSRF).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from pathlib import Path
from typing import Final, TypeAlias

from strongroom.egress.errors import DestinationRefused, EgressPolicyMalformed

IpAddress: TypeAlias = IPv4Address | IPv6Address

URL_CHARACTERS_MAX: Final = 2_048
HTTPS_PORT: Final = 443
HTTP_PORT: Final = 80
_PORT_MAX: Final = 65_535
_NAME_CHARACTERS_MAX: Final = 253  # RFC 1035 §2.3.4, without the root's dot

#: Below 1024 only HTTPS's own; above, not where something else is known to listen, of which a request could be read as
#: another protocol's commands (WHATWG Fetch's bad ports, and the usual databases, caches, queues and agents).
_WELL_KNOWN_END: Final = 1_024
_NOT_HTTP: Final = frozenset(
    (
        1433, 1521, 1719, 1720, 1723, 2049, 2181, 2375, 2376, 2379, 2380, 3128, 3306, 3389, 3659, 4045, 4190, 4369,
        5060, 5061, 5432, 5433, 5672, 5900, 5984, 5985, 5986, 6000, 6379, 6380, 6443, 6566, 6665, 6666, 6667, 6668,
        6669, 6679, 6697, 8020, 8086, 8125, 8300, 8301, 8302, 8500, 8600, 9042, 9092, 9160, 9200, 9300, 10080, 10250,
        10255, 10256, 11211, 15672, 16379, 25672, 26379, 27017, 27018, 27019, 28017, 50000, 50070, 61616,
    )
)  # fmt: skip

#: RFC 3986, with the parts in the order of its appendix B; no fragment, no user, no other scheme.
_URL: Final = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9.-]+))"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?)"
    r"(?P<query>(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?)"
)
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
#: A last label that some reader would take for (a part of) a number: decimal, octal, hexadecimal.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
#: Names that are never public, whatever resolves them (RFC 6761, RFC 6762, RFC 7686, RFC 8375, ICANN's `internal`).
_NEVER_PUBLIC: Final = frozenset(
    "corp home internal intranet lan local localdomain localhost onion".split()
)

# The addresses that are not for everybody: IANA's special-purpose registries, and where clouds answer their own
# machines. Written out, because what `ipaddress` calls private or global differs between releases of Python.
_V4: Final[Sequence[tuple[IPv4Network, str]]] = tuple(
    (IPv4Network(network), word)
    for network, word in (
        ("0.0.0.0/32", "address_unspecified"),
        ("0.0.0.0/8", "address_reserved"),
        ("127.0.0.0/8", "address_loopback"),
        ("169.254.169.254/32", "address_metadata"),
        ("169.254.170.2/32", "address_metadata"),  # ECS task credentials
        ("100.100.100.200/32", "address_metadata"),
        ("168.63.129.16/32", "address_metadata"),  # a public number that Azure answers itself
        ("169.254.0.0/16", "address_link_local"),
        ("10.0.0.0/8", "address_private"),
        ("172.16.0.0/12", "address_private"),
        ("192.168.0.0/16", "address_private"),
        ("100.64.0.0/10", "address_shared"),  # carriers' NAT (RFC 6598)
        ("192.0.0.0/24", "address_reserved"),
        ("192.0.2.0/24", "address_reserved"),
        ("192.31.196.0/24", "address_reserved"),
        ("192.52.193.0/24", "address_reserved"),
        ("192.88.99.0/24", "address_reserved"),
        ("192.175.48.0/24", "address_reserved"),
        ("198.18.0.0/15", "address_reserved"),
        ("198.51.100.0/24", "address_reserved"),
        ("203.0.113.0/24", "address_reserved"),
        ("224.0.0.0/4", "address_multicast"),
        ("240.0.0.0/4", "address_reserved"),
    )
)
_V6: Final[Sequence[tuple[IPv6Network, str]]] = tuple(
    (IPv6Network(network), word)
    for network, word in (
        ("::/128", "address_unspecified"),
        ("::1/128", "address_loopback"),
        ("fd00:ec2::254/128", "address_metadata"),
        ("fd20:ce::254/128", "address_metadata"),
        # An IPv4 address in another dress: mapped, compatible, NAT64, Teredo, 6to4.
        ("::ffff:0:0/96", "address_embedded"),
        ("::ffff:0:0:0/96", "address_embedded"),
        ("::/96", "address_embedded"),
        ("64:ff9b::/96", "address_embedded"),
        ("64:ff9b:1::/48", "address_embedded"),
        ("2001::/32", "address_embedded"),
        ("2002::/16", "address_embedded"),
        ("fe80::/10", "address_link_local"),
        ("fec0::/10", "address_private"),
        ("fc00::/7", "address_private"),
        ("ff00::/8", "address_multicast"),
        ("2001::/23", "address_reserved"),
        ("2001:db8::/32", "address_reserved"),
        ("2620:4f:8000::/48", "address_reserved"),
        ("3fff::/20", "address_reserved"),
    )
)
#: The only part of IPv6 that is given to networks for everybody (RFC 4291 §2.4, IANA).
_V6_GLOBAL: Final = IPv6Network("2000::/3")
#: The middle of an interface id that carries an IPv4 address (ISATAP, RFC 5214 §6.1).
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """What may be called besides public addresses over TLS: exact loopback addresses, and not in production.

    Raises:
        EgressPolicyMalformed: an entry is not a loopback address with or without a port.
    """

    loopback: frozenset[str] = frozenset()
    #: Authorities that TLS trusts besides the machine's own.
    ca_file: Path | None = None
    production: bool = False
    _allowed: frozenset[tuple[IpAddress, int | None]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        allowed = frozenset(_loopback(entry) for entry in self.loopback)
        object.__setattr__(self, "_allowed", frozenset() if self.production else allowed)

    def allows_loopback(self, address: IpAddress, port: int) -> bool:
        """Tell whether this loopback address is excepted."""
        return (address, port) in self._allowed or (address, None) in self._allowed


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be called, in its parts; only `check_url` makes one."""

    scheme: str
    #: In lower case, an IPv6 address without its brackets.
    host: str
    port: int
    #: Path and query as they were given.
    path: str
    #: The host where it is an address already; a name's addresses are checked when it is resolved.
    address: IpAddress | None

    @property
    def origin(self) -> str:
        """Scheme, host and port, the port left out where it is the scheme's."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (HTTPS_PORT if self.scheme == "https" else HTTP_PORT)
        return f"{self.scheme}://{host}" if usual else f"{self.scheme}://{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole URL."""
        return self.origin + self.path


def check_url(url: str, policy: EgressPolicy, *, port: int | None = HTTPS_PORT) -> Target:
    """Read a URL that somebody gave. `port` is the one it was registered with; None takes what the URL says.

    Raises:
        DestinationRefused: it may not be called, or is spelled in a way that two readers could read differently.
    """
    parts = _split(url)
    named = parts["port"]
    called = int(named) if named else HTTPS_PORT if parts["scheme"] == "https" else HTTP_PORT
    if called > _PORT_MAX:
        raise DestinationRefused("url_malformed")
    host, address = _host(parts)
    target = Target(
        parts["scheme"], host, called, (parts["path"] or "/") + (parts["query"] or ""), address
    )
    if address is not None:
        if policy.allows_loopback(address, called):
            return target  # the one exception, also from TLS and from the port
        check_address(address, policy, called)
    if target.scheme != "https":
        raise DestinationRefused("scheme_plain")
    if port is not None and called != port:
        raise DestinationRefused("port_not_registered")
    if (called < _WELL_KNOWN_END and called != HTTPS_PORT) or called in _NOT_HTTP:
        raise DestinationRefused("port_refused")
    return target


def check_address(address: IpAddress | str, policy: EgressPolicy, port: int) -> None:
    """Refuse an address that is not for everybody.

    Raises:
        DestinationRefused: private, shared, link-local, loopback, reserved, multicast, or an IPv4 address in disguise.
    """
    if isinstance(address, str):
        try:
            address = ip_address(address)
        except ValueError:
            raise DestinationRefused("address_malformed") from None
    if policy.allows_loopback(address, port):
        return
    table: Sequence[tuple[IPv4Network | IPv6Network, str]] = (
        _V4 if isinstance(address, IPv4Address) else _V6
    )
    for network, word in table:
        if address in network:
            raise DestinationRefused(word)
    if isinstance(address, IPv6Address):
        if address not in _V6_GLOBAL or address.scope_id is not None:
            raise DestinationRefused("address_reserved")
        if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
            raise DestinationRefused("address_embedded")


def _split(url: str) -> re.Match[str]:
    if len(url) > URL_CHARACTERS_MAX:
        raise DestinationRefused("url_too_long")
    if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
        raise DestinationRefused("url_characters")
    if "#" in url:
        raise DestinationRefused("url_fragment")
    authority = url.partition("://")[2].partition("/")[0].partition("?")[0]
    if "@" in authority:
        raise DestinationRefused("url_userinfo")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise DestinationRefused("url_malformed")
    return parts


def _host(parts: re.Match[str]) -> tuple[str, IpAddress | None]:
    """Return the host and, where it is one, the address."""
    if parts["v6"] is not None:
        try:
            v6 = IPv6Address(parts["v6"])
        except AddressValueError:
            raise DestinationRefused("host_malformed") from None
        return str(v6), v6
    name = parts["name"].lower()
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]) or (not labels[-1] and _NUMBER.fullmatch(labels[-2])):
        try:
            v4 = IPv4Address(name)  # four decimal numbers without leading zeros, and nothing else
        except AddressValueError:
            raise DestinationRefused("host_number") from None
        return name, v4
    if len(name) > _NAME_CHARACTERS_MAX or not all(map(_LABEL.fullmatch, labels)):
        raise DestinationRefused("host_malformed")
    if len(labels) == 1 or labels[-1] in _NEVER_PUBLIC or name.endswith(".home.arpa"):
        raise DestinationRefused("host_not_public")
    return name, None


def _loopback(entry: str) -> tuple[IpAddress, int | None]:
    """Read an exception of the settings."""
    matched = re.fullmatch(
        r"(?P<v4>[0-9.]+)(?::(?P<port4>[1-9][0-9]{0,4}))?"
        r"|\[(?P<v6>[0-9A-Fa-f:]+)\](?::(?P<port6>[1-9][0-9]{0,4}))?|(?P<bare>[0-9A-Fa-f:]+)",
        entry,
    )
    if matched is None:
        raise EgressPolicyMalformed
    try:
        address = ip_address(matched["v4"] or matched["v6"] or matched["bare"])
    except ValueError:
        raise EgressPolicyMalformed from None
    port = matched["port4"] or matched["port6"]
    if not address.is_loopback or (port is not None and int(port) > _PORT_MAX):
        raise EgressPolicyMalformed
    return address, None if port is None else int(port)
