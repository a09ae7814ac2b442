# SPDX-License-Identifier: Apache-2.0
"""Decides whether a destination may be registered as it is described. Pure; refusals name fields and no values."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from strongroom.egress import DestinationRefused, EgressPolicy, Target, check_url
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.mode import Mode
from strongroom.vault.forwarding.bodies import ContentType
from strongroom.vault.forwarding.credentials import auth_headers, wrong_credentials
from strongroom.vault.forwarding.model import (
    HEADER_NAME,
    HEADER_VALUE,
    AuthKind,
    Config,
    HmacSignature,
    is_reserved,
)
from strongroom.vault.forwarding.paths import is_pattern

#: A name in a query.
_QUERY_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]-]{0,63}")
_WORDS: Final = {
    "signs": frozenset({"{body}", "{timestamp}", "{method}", "{path}"}),
    "format": frozenset({"{signature}", "{timestamp}", "{key_id}"}),
}
_BRACED: Final = re.compile(r"\{[^}]*\}|[{}]")


def require_registrable(
    name: str, config: Config, credentials: Mapping[str, str], mode: Mode, policy: EgressPolicy
) -> None:
    """Refuse what may not be a destination.

    Raises:
        Invalid: with every field that is wrong.
    """
    wrong = [*_wrong_name(name), *_wrong_config(config, mode, policy)]
    if not wrong:
        wrong += wrong_credentials(config, credentials)
    if wrong:
        raise Invalid(*wrong)


def target_of(config: Config, mode: Mode, policy: EgressPolicy) -> Target:
    """Return where a destination is.

    Raises:
        DestinationRefused: it may not be called: the guard says no, or live cards would leave without TLS.
    """
    target = check_url(config.base_url, policy, port=None)
    if target.path != "/" or config.base_url.endswith(("/", "?")):
        raise DestinationRefused("url_path")
    if mode is Mode.LIVE and target.scheme != "https":
        raise DestinationRefused("scheme_plain")
    return target


def _wrong_name(name: str) -> Sequence[FieldError]:
    if not name.isprintable() or has_cardlike(name):
        return [FieldError("/name", "name_malformed", "printable characters, and no card number")]
    return []


def _wrong_config(config: Config, mode: Mode, policy: EgressPolicy) -> Sequence[FieldError]:
    wrong: list[FieldError] = []
    try:
        target_of(config, mode, policy)
    except DestinationRefused as refused:
        wrong.append(
            FieldError(
                "/base_url",
                "destination_refused",
                f"this may not be called ({refused.reason})",
            )
        )
    if not is_pattern(config.path) or has_cardlike(config.path):
        wrong.append(
            FieldError(
                "/path", "path_malformed", "a path of plain segments, in which a * stands for one"
            )
        )
    wrong += _wrong_names(config)
    wrong += _wrong_auth(config)
    if bool(config.tokenize) != (config.answers == "tokenize"):
        wrong.append(
            FieldError(
                "/tokenize", "tokenize_wrong", "say where cards stand, with answers tokenize"
            )
        )
    if config.tokenize and config.content_type is ContentType.XML:
        wrong.append(
            FieldError("/tokenize", "tokenize_wrong", "only answers in JSON can be tokenized")
        )
    return wrong


def _wrong_names(config: Config) -> Sequence[FieldError]:
    wrong: list[FieldError] = []
    taken = auth_headers(config)
    for index, header in enumerate(config.request_headers):
        if HEADER_NAME.fullmatch(header) is None or is_reserved(header) or header in taken:
            wrong.append(
                FieldError(
                    f"/request_headers/{index}", "header_refused", "no request may set this header"
                )
            )
    for index, header in enumerate(config.answer_headers):
        if HEADER_NAME.fullmatch(header) is None or header == "set-cookie":
            wrong.append(
                FieldError(f"/answer_headers/{index}", "header_refused", "this header stays here")
            )
    for index, name in enumerate(config.query):
        if _QUERY_NAME.fullmatch(name) is None or has_cardlike(name):
            wrong.append(FieldError(f"/query/{index}", "query_malformed", "a plain name"))
    return wrong


def _wrong_auth(config: Config) -> Sequence[FieldError]:
    wrong: list[FieldError] = []
    if (config.auth is AuthKind.HEADER) != bool(config.auth_header):
        wrong.append(FieldError("/auth_header", "auth_wrong", "the header of auth `header`"))
    elif config.auth is AuthKind.HEADER and (
        HEADER_NAME.fullmatch(config.auth_header) is None or _frames(config.auth_header)
    ):
        wrong.append(
            FieldError("/auth_header", "header_refused", "no secret stands in this header")
        )
    if (config.auth is AuthKind.HMAC) != (config.hmac is not None):
        wrong.append(FieldError("/hmac", "auth_wrong", "how auth `hmac` signs"))
    elif config.hmac is not None:
        wrong += _wrong_hmac(config.hmac)
    if config.auth is AuthKind.NONE and not config.client_certificate:
        return wrong  # a destination may take what it is sent from anybody
    return wrong


def _wrong_hmac(how: HmacSignature) -> Sequence[FieldError]:
    wrong = []
    if HEADER_NAME.fullmatch(how.header) is None or _frames(how.header):
        wrong.append(FieldError("/hmac/header", "header_refused", "no signature stands here"))
    for name, text, once in (
        ("signs", how.signs, "{body}"),
        ("format", how.format, "{signature}"),
    ):
        words = _BRACED.findall(text)
        if (
            words.count(once) != 1
            or not _WORDS[name].issuperset(words)
            or (name == "format" and HEADER_VALUE.fullmatch(text) is None)
        ):
            wrong.append(
                FieldError(f"/hmac/{name}", "hmac_format", f"{once} once, and words that are known")
            )
    if HEADER_VALUE.fullmatch(f"x{how.separator}x") is None:
        wrong.append(FieldError("/hmac/separator", "hmac_format", "printable ASCII"))
    return wrong


def _frames(header: str) -> bool:
    """Tell whether a header is not a destination's to choose; `authorization` is, where it is the secret's."""
    return is_reserved(header) and header != "authorization"
