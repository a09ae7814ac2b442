# SPDX-License-Identifier: Apache-2.0
"""What a look at one thing found: a level, a sentence, and what to do. Never a secret, never a card number."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Level(enum.StrEnum):
    """How it stands."""

    FAIL = "fail"
    OK = "ok"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `name` is `<area>.<thing>`; scripts match it, so it does not change."""

    name: str
    level: Level
    sentence: str
    #: A command, or what else to do; None where there is nothing to do.
    remedy: str | None = None


def ok(name: str, sentence: str) -> Finding:
    """Nothing to do."""
    return Finding(name, Level.OK, sentence)


def warn(name: str, sentence: str, remedy: str | None = None) -> Finding:
    """It works, and should be looked at."""
    return Finding(name, Level.WARN, sentence, remedy)


def fail(name: str, sentence: str, remedy: str | None = None) -> Finding:
    """It does not work, or must not be like this."""
    return Finding(name, Level.FAIL, sentence, remedy)


def failed(findings: Iterable[Finding]) -> bool:
    """Tell whether any finding is a failure."""
    return any(finding.level is Level.FAIL for finding in findings)
