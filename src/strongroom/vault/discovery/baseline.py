# SPDX-License-Identifier: Apache-2.0
"""What is known already and need not be told again: places and masked numbers, in a file that people can read.

It holds no card number and no hash of one (with six digits unknown, a hash is as good as the number): a place, a
scheme, at most the first six and last four digits, and how often. One more of the same in the same place is told.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.errors import Refused
from strongroom.vault.discovery.model import Finding

VERSION: Final = 1
Known = tuple[str, str, str]


class BaselineRefused(Refused):
    """The baseline is not one that was written here."""

    code = "scan_baseline_refused"


def known_as(finding: Finding) -> Known:
    """Return what a baseline knows a finding by: not its line, which moves with every edit."""
    return finding.place, finding.scheme, finding.masked


def written(findings: Iterable[Finding]) -> str:
    """Return a baseline of these findings."""
    counted = Counter(known_as(each) for each in findings)
    entries = [
        {"place": place, "scheme": scheme, "masked": masked, "count": count}
        for (place, scheme, masked), count in sorted(counted.items())
    ]
    return json.dumps({"version": VERSION, "known": entries}, indent=1) + "\n"


def read(path: Path) -> Counter[Known]:
    """Read a baseline.

    Raises:
        BaselineRefused: it is not one, or holds a number in clear.
    """
    try:
        text = path.read_text("utf-8")
        found: Any = json.loads(text)
        entries = found["known"]
        known = Counter(
            {
                (each["place"], each["scheme"], each["masked"]): int(each["count"])
                for each in entries
            }
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BaselineRefused(f"the baseline cannot be read: {type(error).__name__}") from None
    if found.get("version") != VERSION:
        raise BaselineRefused(f"the baseline is not of version {VERSION}")
    if has_cardlike(text):
        raise BaselineRefused("the baseline holds a card number in clear")
    return known


def new(findings: Sequence[Finding], known: Counter[Known]) -> list[Finding]:
    """Return the findings that are not known, in order."""
    left = Counter(known)
    fresh = []
    for finding in findings:
        name = known_as(finding)
        if left[name] > 0:
            left[name] -= 1
        else:
            fresh.append(finding)
    return fresh
