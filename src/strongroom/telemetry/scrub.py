# SPDX-License-Identifier: Apache-2.0
"""The last line of defence before a line is written: card numbers and credentials are taken out of it.

It is not what keeps them out (types and the allow-list do); whenever it bites, something upstream is wrong,
and a metric says so.
"""

import re
from typing import Final, Protocol, final

from strongroom.kernel import cardlike

CREDENTIAL_REMOVED: Final = "[credential removed]"

_CREDENTIAL: Final = re.compile(
    r"\b[a-z]{2,8}_(?:live|test)_[0-9A-Za-z]{8,}"  # API keys: ours, and others of this shape
    r"|\brt_[0-7][0-9A-Z]{25}_[0-9A-Za-z]{8,}"  # refresh tokens
    r"|\bwhsec_[0-9A-Za-z+/=]{8,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"  # AWS access key ids
    r"|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*(?:\.[\w-]*){0,2}"  # JWS and JWE, compact
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|(?<=://)[^/\s:@\"\\]+:[^/\s@\"\\]+(?=@)"  # user and password in a URL
    r"|(?<=\bBearer )[^\s\"\\]{8,}|(?<=\bBasic )[^\s\"\\]{8,}",
    re.DOTALL,
)


class Scrubber(Protocol):
    """Says whether a rendered line is dirty, and cleans a text."""

    def dirty(self, line: bytes) -> bool:
        """Tell whether something must be taken out of the line."""

    def clean(self, text: str) -> str:
        """Return the text with it taken out."""


@final
class CardScrubber:
    """Takes out card numbers, by the detector that is given, and credentials of well-known shapes."""

    __slots__ = ("_detector",)

    def __init__(self, detector: cardlike.Detector) -> None:
        self._detector = detector

    def dirty(self, line: bytes) -> bool:
        """Tell whether a card number or an API key is in the line. A clean line of 600 bytes takes 1.3 µs.

        The other credentials are looked for in free text only, by `clean`: each mark costs a third of a µs.
        """
        if self._detector.has_bytes(line):
            return True
        return (b"_live_" in line or b"_test_" in line) and _has_credential(line)

    def clean(self, text: str) -> str:
        """Return the text without card numbers and credentials."""
        return self._detector.redact(_CREDENTIAL.sub(CREDENTIAL_REMOVED, text))


def _has_credential(line: bytes) -> bool:
    return any(
        found[0] != CREDENTIAL_REMOVED
        for found in _CREDENTIAL.finditer(line.decode("utf-8", "replace"))
    )
