# SPDX-License-Identifier: Apache-2.0
"""How a destination knows the merchant: which secrets each way needs, and what they put in front of a request. Pure."""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from strongroom.crypto import hmac_sha256, hmac_sha512
from strongroom.kernel.errors import FieldError
from strongroom.vault.forwarding.model import HEADER_VALUE, AuthKind, Config, HmacSignature

CREDENTIAL_CHARACTERS_MAX: Final = 4_096
CERTIFICATE: Final = "certificate"
PRIVATE_KEY: Final = "private_key"
#: The names of an HMAC key, which are not secret and stand in a header.
KEY_ID: Final = "key_id"
_PEM: Final = re.compile(r"[ -~\n]+")
_PEM_CHARACTERS_MAX: Final = 32_768
_NEEDED: Final[Mapping[AuthKind, frozenset[str]]] = {
    AuthKind.NONE: frozenset(),
    AuthKind.BASIC: frozenset({"username", "password"}),
    AuthKind.BEARER: frozenset({"token"}),
    AuthKind.HEADER: frozenset({"value"}),
    AuthKind.HMAC: frozenset({"secret"}),
}
#: An echo of less would be found in every other text.
_ECHO_CHARACTERS_MIN: Final = 6


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What opens a destination now, and what did before while both hold."""

    current: Mapping[str, str]
    previous: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature is over."""

    method: str
    #: Path and query.
    target: str
    body: bytes = field(repr=False)
    #: Unix time.
    seconds: int


def wrong_credentials(
    config: Config, credentials: Mapping[str, str], at: str = "/credentials"
) -> Sequence[FieldError]:
    """Return what is missing, not wanted, or would not stand where it has to."""
    needed = _NEEDED[config.auth]
    if config.client_certificate:
        needed |= {CERTIFICATE, PRIVATE_KEY}
    optional = frozenset({KEY_ID}) if config.auth is AuthKind.HMAC else frozenset()
    if config.hmac is not None and "{key_id}" in config.hmac.format:
        needed, optional = needed | {KEY_ID}, frozenset()
    wrong = [
        FieldError(f"{at}/{name}", "required", "this way of authentication needs it")
        for name in sorted(needed - credentials.keys())
    ]
    # The name of what is not wanted is the caller's own text, and is not repeated.
    if credentials.keys() - needed - optional:
        wrong.append(FieldError(at, "unknown_field", "there is a credential that nothing uses"))
    wrong += [
        FieldError(f"{at}/{name}", "malformed", "printable ASCII, and not empty")
        for name in sorted((needed | optional) & credentials.keys())
        if not _stands(name, credentials[name])
    ]
    if ":" in credentials.get("username", ""):
        wrong.append(
            FieldError(f"{at}/username", "malformed", "a user's name has no colon (RFC 7617 §2)")
        )
    return wrong


def headers_of(config: Config, credentials: Credentials, signed: Signed) -> Mapping[str, str]:
    """Return the headers that say who asks."""
    now = credentials.current
    match config.auth:
        case AuthKind.BASIC:
            pair = b64encode(f"{now['username']}:{now['password']}".encode()).decode()
            return {"authorization": f"Basic {pair}"}
        case AuthKind.BEARER:
            return {"authorization": f"Bearer {now['token']}"}
        case AuthKind.HEADER:
            return {config.auth_header: now["value"]}
        case AuthKind.HMAC:
            if config.hmac is None:
                return {}
            both = [each for each in (now, credentials.previous) if each is not None]
            values = [_signature(config.hmac, each, signed) for each in both]
            return {config.hmac.header: config.hmac.separator.join(values)}
        case AuthKind.NONE:
            return {}


def auth_headers(config: Config) -> frozenset[str]:
    """Return the headers that the credentials take, in lower case: no request sets them."""
    match config.auth:
        case AuthKind.BASIC | AuthKind.BEARER:
            return frozenset({"authorization"})
        case AuthKind.HEADER:
            return frozenset({config.auth_header})
        case AuthKind.HMAC:
            return frozenset() if config.hmac is None else frozenset({config.hmac.header})
        case AuthKind.NONE:
            return frozenset()


def echoes(credentials: Credentials, once: Sequence[str] = ()) -> Sequence[bytes]:
    """Return what an answer may not repeat of the credentials, in the forms that a destination would.

    Args:
        credentials: of the destination.
        once: what was sent besides and serves once, as cryptograms do.
    """
    found: set[str] = set()
    given = {f"once {number}": text for number, text in enumerate(once)}
    for each in (credentials.current, credentials.previous or {}, given):
        found.update(_forms(each))
    return sorted(
        (form.encode() for form in found if len(form) >= _ECHO_CHARACTERS_MIN),
        key=lambda form: (-len(form), form),
    )


def _forms(credentials: Mapping[str, str]) -> Iterator[str]:
    for name, value in credentials.items():
        if name in (KEY_ID, CERTIFICATE):
            continue
        yield value
        yield quote(value, safe="")
        yield value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        yield b64encode(value.encode()).decode()
    if {"username", "password"} <= credentials.keys():
        yield b64encode(f"{credentials['username']}:{credentials['password']}".encode()).decode()


def _stands(name: str, value: str) -> bool:
    if name in (CERTIFICATE, PRIVATE_KEY):
        return len(value) <= _PEM_CHARACTERS_MAX and _PEM.fullmatch(value) is not None
    return (
        len(value) <= CREDENTIAL_CHARACTERS_MAX
        and value.isascii()
        and HEADER_VALUE.fullmatch(value) is not None
    )


def _signature(how: HmacSignature, credentials: Mapping[str, str], signed: Signed) -> str:
    before, _, after = how.signs.partition("{body}")
    facts = {
        "{timestamp}": str(signed.seconds),
        "{method}": signed.method,
        "{path}": signed.target,
        "{key_id}": credentials.get(KEY_ID, ""),
    }
    message = _put(before, facts).encode() + signed.body + _put(after, facts).encode()
    mac = (hmac_sha256 if how.algorithm == "sha256" else hmac_sha512)(
        credentials["secret"].encode(), message
    )
    text = mac.hex() if how.encoding == "hex" else b64encode(mac).decode()
    return _put(how.format, {**facts, "{signature}": text})


_WORD: Final = re.compile(r"\{[a-z_]+\}")


def _put(text: str, facts: Mapping[str, str]) -> str:
    """Fill in once: what was filled in is not read again."""
    return _WORD.sub(lambda found: facts.get(found[0], found[0]), text)
