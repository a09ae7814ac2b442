# SPDX-License-Identifier: Apache-2.0
"""Retokenizations: what is asked for, and what an old id became."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

ALIAS_DAYS_MAX: Final = 90
NAMED_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Wish:
    """Which tokens get other ids: those named, or those of a container (None: all of them)."""

    tokens: Sequence[str] = ()
    container: str | None = None
    #: For so many days the old ids stand for the new ones; 0: they are dead at once.
    alias_days: int = 0


@dataclass(frozen=True, slots=True)
class Mapped:
    """An old id, and what it became."""

    old: str
    new: str
    until: datetime
