# SPDX-License-Identifier: Apache-2.0
"""A folder outside the database as a sink: `segments/`, `checkpoint`, `checkpoints.txt` and `heartbeats.txt`.

A tree that was restarted goes on in `generation-2/`, and so on: what the generations before have published stays.
A full or absent disk is a SinkFailed; the sealer goes on, and publishes the rest when the disk is back.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar, final

from strongroom.audit.errors import SinkFailed
from strongroom.audit.note import VerifierKey
from strongroom.audit.origin import origin_of
from strongroom.audit.ports import SignedHead, SinkHead
from strongroom.audit.sinks.folder import Generation

SECONDS_MAX: Final = 20
_PREFIX: Final = "generation-"
P = ParamSpec("P")
T = TypeVar("T")


@final
class FileSink:
    """Implements `Sink`. The folder is this sink's alone, and one process writes to it: the elected sealer."""

    def __init__(self, folder: Path, *, seconds_max: float = SECONDS_MAX) -> None:
        self._folder = folder
        self._seconds_max = seconds_max
        self._generations: dict[int, Generation] = {}
        self._at_work: asyncio.Future[Any] | None = None

    @property
    def name(self) -> str:
        """The sink's kind."""
        return "file"

    async def last(self, tree: str, keys: Sequence[VerifierKey]) -> SinkHead | None:
        """Return what the folder holds, read back and verified."""
        return await self._on_disk(self._last, tree, keys)

    async def publish(
        self, generation: int, first: int, payloads: Sequence[bytes], heads: Sequence[SignedHead]
    ) -> None:
        """Append records and heads, synced."""
        await self._on_disk(self._generation(generation).append, first, payloads, heads)

    async def beat(self, generation: int, note: bytes) -> None:
        """Append a heartbeat, synced."""
        await self._on_disk(self._generation(generation).append_beat, note)

    def _last(self, tree: str, keys: Sequence[VerifierKey]) -> SinkHead | None:
        newest = self._newest()
        if newest is None:
            return None
        self._generations.pop(newest, None)  # whatever was known of its files is read again
        checkpoint = self._generation(newest).head(origin_of(tree, newest), keys)
        return SinkHead(newest, checkpoint)

    def _newest(self) -> int | None:
        numbers = [
            int(path.name.removeprefix(_PREFIX))
            for path in self._folder.glob(_PREFIX + "*")
            if path.name.removeprefix(_PREFIX).isdecimal()
        ]
        if numbers:
            return max(numbers)
        return 1 if self._generation(1).begun() else None

    def _generation(self, number: int) -> Generation:
        found = self._generations.get(number)
        if found is None:
            folder = self._folder if number == 1 else self._folder / f"{_PREFIX}{number}"
            found = self._generations.setdefault(number, Generation(folder))
        return found

    async def _on_disk(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Touch the disk on a thread, one at a time. A disk that hangs keeps that thread, and no second one."""
        if self._at_work is not None and not self._at_work.done():
            raise SinkFailed("the disk still does not answer")
        work = asyncio.ensure_future(asyncio.to_thread(act, *args, **kwargs))
        self._at_work = work
        try:
            async with asyncio.timeout(self._seconds_max):
                return await asyncio.shield(work)
        except TimeoutError:
            work.add_done_callback(_looked_at)
            raise SinkFailed("the disk does not answer") from None
        except OSError as error:
            raise SinkFailed(f"the sink's folder: {error.strerror}") from error


def _looked_at(work: asyncio.Future[Any]) -> None:
    """Whatever became of it was given up: asyncio need not report it."""
    if not work.cancelled():
        work.exception()
