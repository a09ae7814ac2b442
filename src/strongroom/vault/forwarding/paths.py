# SPDX-License-Identifier: Apache-2.0
"""Paths: which ones a destination takes, and which one a request asks for. Pure.

A pattern is a path in which a whole segment may be `*`, which stands for one segment. A request's path has no escapes,
no empty and no dotted segments: what two readers could read differently is not sent (RFC 3986 §5.2.4, §6.2.2).
"""

import re
from typing import Final

from strongroom.vault.forwarding.model import PATH_CHARACTERS_MAX

_SEGMENT: Final = r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,127}"
_PATH: Final = re.compile(rf"/|(?:/{_SEGMENT})+")
_PATTERN: Final = re.compile(rf"/|(?:/(?:{_SEGMENT}|\*))+")


def is_pattern(text: str) -> bool:
    """Tell whether a text is a pattern of paths."""
    return len(text) <= PATH_CHARACTERS_MAX and _PATTERN.fullmatch(text) is not None


def fits(path: str, pattern: str) -> bool:
    """Tell whether a path is written as paths are here, and is one of the pattern's."""
    if len(path) > PATH_CHARACTERS_MAX or _PATH.fullmatch(path) is None:
        return False
    given, wanted = path.split("/"), pattern.split("/")
    return len(given) == len(wanted) and all(
        want == have or (want == "*" and have) for have, want in zip(given, wanted, strict=True)
    )
