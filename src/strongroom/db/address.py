# SPDX-License-Identifier: Apache-2.0
"""Where a database answers and as whom to log in: one value for the embedded server and for external ones.

Reads `postgresql://` addresses. Refuses TLS that does not check who answers, and never repeats any of the
text it was given: a password may stand anywhere in a mistyped address.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Literal, Protocol, TypeAlias, final
from urllib.parse import unquote

from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.secret import Secret


class PasswordSource(Protocol):
    """Knows a login's password as it is now: it may have changed since the address was made."""

    async def at_hand(self) -> Secret[str]:
        """Return the password to begin with."""

    async def anew(self) -> Sequence[Secret[str]]:
        """Return what else may hold after a refusal: the password read anew, then one that is being rotated in."""

    def held(self, password: Secret[str]) -> None:
        """Take note that the server took this one."""


Tls: TypeAlias = Literal["disable", "verify-full"]

PORT_DEFAULT: Final = 5432

_SCHEMES: Final = ("postgresql://", "postgres://")
_PARAMETERS: Final = ("host", "port", "user", "password", "dbname", "sslmode", "sslrootcert")
_ENCODE: Final = "(in a name or password, each of / ? # @ : % & must be percent-encoded)"
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PORT: Final = re.compile(r"[0-9]{1,5}")


class AddressRefused(StrongroomError):
    """The database address cannot be used."""

    code: ClassVar[str] = "database_address_refused"


@final
@dataclass(frozen=True, slots=True, eq=False)  # a Secret cannot be compared, so neither can this
class Address:
    """Where a database answers, and as whom to log in.

    `host` is a name, an IP address, or the absolute path of a folder that holds the server's socket.
    `ca_file` None means the system's own authorities.
    """

    host: str
    port: int
    database: str
    user: str
    password: Secret[str] | None = None
    tls: Tls = "verify-full"
    ca_file: Path | None = None
    #: Asked whenever a connection is opened, in the place of `password`.
    passwords: PasswordSource | None = None

    @property
    def is_socket(self) -> bool:
        """Whether the server is reached through a socket of this machine."""
        return self.host.startswith("/")


def parse_dsn(text: str, *, user: str = "") -> Address:
    """Read `postgresql://user:password@host:port/database?sslmode=verify-full&sslrootcert=/ca.pem`.

    A socket's folder is given as `?host=/folder` or percent-encoded as the host. Parameters: `host`,
    `port`, `user`, `password`, `dbname`, `sslmode` (`disable` or `verify-full`; by default `disable` on
    a socket and `verify-full` elsewhere) and `sslrootcert` (an absolute path, or `system`). `user` is who
    logs in where the address names nobody.

    Raises:
        AddressRefused: says which part is wrong; never repeats it.
    """
    parts = _split(text)
    host = parts.get("host", "")
    if not host:
        raise AddressRefused("the database address names no host")
    if "," in host:
        raise AddressRefused("the database address names several hosts; one is taken")
    user = parts.get("user", user)
    if not user:
        raise AddressRefused(f"the database address names no user {_ENCODE}")
    database = parts.get("dbname", "")
    if not database:
        raise AddressRefused("the database address names no database")
    tls = _tls(parts.get("sslmode"), is_socket=host.startswith("/"))
    return Address(
        host=host,
        port=_port(parts.get("port")),
        database=database,
        user=user,
        password=Secret(parts["password"]) if parts.get("password") else None,
        tls=tls,
        ca_file=_ca_file(parts.get("sslrootcert"), tls),
    )


def _split(text: str) -> Mapping[str, str]:
    """Name each part by its parameter's name, decoded. A part that is given twice is refused."""
    scheme = next((scheme for scheme in _SCHEMES if text.startswith(scheme)), None)
    if scheme is None:
        raise AddressRefused("a database address begins with postgresql://")
    rest = text.removeprefix(scheme)
    if _CONTROL.search(rest):
        raise AddressRefused("the database address holds a space or a control character")
    if "#" in rest:
        raise AddressRefused(f"the database address holds a # {_ENCODE}")
    before, _, query = rest.partition("?")
    authority, _, path = before.partition("/")
    if "/" in path:
        raise AddressRefused(f"the database's name holds a / {_ENCODE}")
    parts = _authority(authority)
    if path:
        parts["dbname"] = _decoded(path)
    for pair in query.split("&") if query else ():
        name, equals, value = pair.partition("=")
        if not equals or name not in _PARAMETERS:
            raise AddressRefused(f"the database address takes only {', '.join(_PARAMETERS)}")
        if name in parts:
            raise AddressRefused(f"the database address gives {name} twice")
        parts[name] = _decoded(value)
    return parts


def _authority(text: str) -> dict[str, str]:
    """Split `user:password@host:port`, of which every part may be missing."""
    login, at, place = text.rpartition("@")
    parts = {}
    if at:
        user, colon, password = login.partition(":")
        parts["user"] = _decoded(user)
        if colon:
            parts["password"] = _decoded(password)
    if place.startswith("["):  # RFC 3986 §3.2.2: an IPv6 address
        host, bracket, after = place[1:].partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise AddressRefused("the database address has an unfinished [ ] around its host")
        colon, port = after[:1], after[1:]
    else:
        host, colon, port = place.partition(":")
    if host:
        parts["host"] = _decoded(host)
    if colon:
        parts["port"] = port
    return parts


def _decoded(text: str) -> str:
    if _BAD_ESCAPE.search(text):
        raise AddressRefused(f"the database address holds a % that encodes nothing {_ENCODE}")
    try:
        value = unquote(text, errors="strict")
    except UnicodeDecodeError:
        # The decoder's own error holds the bytes, so it is cut off.
        raise AddressRefused("the database address encodes something that is not UTF-8") from None
    if "\0" in value:
        raise AddressRefused("the database address encodes a NUL")
    return value


def _port(text: str | None) -> int:
    if text is None:
        return PORT_DEFAULT
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= 65535:  # noqa: PLR2004 - TCP's largest port
        raise AddressRefused(
            f"the database address's port is not a number from 1 to 65535 {_ENCODE}"
        )
    return int(text)


def _tls(text: str | None, *, is_socket: bool) -> Tls:
    if text is None:
        return "disable" if is_socket else "verify-full"
    if text == "disable":
        return "disable"
    if text != "verify-full":
        raise AddressRefused(
            "sslmode is disable or verify-full: the others do not check who answers"
        )
    if is_socket:
        raise AddressRefused("sslmode is verify-full, but a socket has no TLS")
    return "verify-full"


def _ca_file(text: str | None, tls: Tls) -> Path | None:
    if text is None:
        return None
    if tls == "disable":
        raise AddressRefused("sslrootcert is given, but TLS is disabled")
    if text == "system":
        return None
    path = Path(text)
    if not path.is_absolute():
        raise AddressRefused("sslrootcert is an absolute path, or system")
    return path
