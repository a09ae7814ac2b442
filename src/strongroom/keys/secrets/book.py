# SPDX-License-Identifier: Apache-2.0
"""Follows references to secrets, keeps what they led to for a bounded time, and reads it anew when that has passed.

A keeper that does not answer takes away nothing that was read before: a credential that no longer holds is refused by
whoever asked for it. Nothing here prints or logs a value.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.config import SecretReference, SecretScheme
from strongroom.kernel.secret import Secret
from strongroom.keys.errors import SecretsMissing, SecretUnreadable
from strongroom.keys.secrets.ports import SecretSource

#: Reading anew again and again while a login is refused would only add to its keeper's load.
ANEW_SECONDS_MIN: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Kept:
    value: Secret[str]
    read_at: float


class SecretBook:
    """What references lead to. May be used from one event loop after another, not from two at once.

    `now` says how much time has passed, in seconds (a monotonic clock); `seconds` is how old a value may be.
    """

    def __init__(
        self,
        sources: Mapping[SecretScheme, SecretSource],
        now: Callable[[], float],
        seconds: float,
    ) -> None:
        self._sources = sources
        self._now = now
        self._seconds = seconds
        self._kept: dict[SecretReference, _Kept] = {}
        #: When each was last asked for anew.
        self._asked_at: dict[SecretReference, float] = {}
        self._reading: dict[SecretReference, asyncio.Task[Secret[str]]] = {}

    async def load(self, wanted: Mapping[str, SecretReference]) -> None:
        """Read all of these, each under the name of the setting that asks for it.

        Raises:
            SecretsMissing: names every one that cannot be read, and no value.
        """
        names = list(wanted)
        found = await asyncio.gather(
            *(self._once(wanted[name]) for name in names), return_exceptions=True
        )
        faults: dict[str, str] = {}
        for name, each in zip(names, found, strict=True):
            if isinstance(each, SecretUnreadable):
                faults[name] = f"{wanted[name]}: {each.detail}"
            elif isinstance(each, BaseException):
                raise each
        if faults:
            raise SecretsMissing(faults)

    def at_hand(self, reference: SecretReference) -> Secret[str]:
        """Return what was read last, however old. Raises SecretUnreadable if nothing was."""
        kept = self._kept.get(reference)
        if kept is None:
            raise SecretUnreadable(f"{reference} was not read at start")
        return kept.value

    async def current(self, reference: SecretReference) -> Secret[str]:
        """Return what it leads to, read no longer ago than the bound; what was read before if its keeper is away.

        Raises:
            SecretUnreadable: it cannot be read and never was.
        """
        kept = self._kept.get(reference)
        if kept is not None and 0 <= self._now() - kept.read_at < self._seconds:
            return kept.value
        try:
            return await self._once(reference)
        except SecretUnreadable:
            if kept is None:
                raise
            return kept.value

    async def anew(self, reference: SecretReference) -> Secret[str]:
        """Return what it leads to now, for who was refused with what it led to before. Raises SecretUnreadable."""
        kept, asked_at = self._kept.get(reference), self._asked_at.get(reference)
        now = self._now()
        if kept is not None and asked_at is not None and 0 <= now - asked_at < ANEW_SECONDS_MIN:
            return kept.value
        self._asked_at[reference] = now
        return await self._once(reference)

    async def _once(self, reference: SecretReference) -> Secret[str]:
        """Read it; of many who ask at once, one reads."""
        reading = self._reading.get(reference)
        if reading is None:
            reading = asyncio.create_task(self._read(reference))
            self._reading[reference] = reading
            reading.add_done_callback(lambda _: self._reading.pop(reference, None))
        # Shielded: who gives up does not take the others' secret away.
        return await asyncio.shield(reading)

    async def candidates(self, reference: SecretReference) -> Sequence[Secret[str]]:
        """Return what to try while the secret may be under rotation: the current value, then the pending one."""
        found: list[Secret[str]] = []
        try:
            found.append(await self.anew(reference))
            pending = await self._source(reference).pending(reference)
        except SecretUnreadable:
            if not found and reference in self._kept:
                found.append(self._kept[reference].value)
        else:
            found += [] if pending is None else [pending]
        return found

    async def _read(self, reference: SecretReference) -> Secret[str]:
        value = await self._source(reference).read(reference)
        self._kept[reference] = _Kept(value, self._now())
        return value

    def _source(self, reference: SecretReference) -> SecretSource:
        source = self._sources.get(reference.scheme)
        if source is None:
            raise SecretUnreadable(f"nothing is set up that reads {reference.scheme}:")
        return source
