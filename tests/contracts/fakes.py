# SPDX-License-Identifier: Apache-2.0
"""Second implementations of ports, for tests. They refuse whatever the strictest real one would."""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from strongroom.crypto import DATA_KEY_BYTES, random_bytes
from strongroom.kernel.secret import Secret
from strongroom.keys import (
    CannotUnwrap,
    DataKeyRow,
    KeyChange,
    KeyState,
    KeyStoreUnavailable,
    NewDataKey,
    Purpose,
    RootDisabled,
    RootInfo,
    Within,
)
from strongroom.keys.context import bound_context, check_plaintext


@dataclass
class _FakeRoot:
    key_id: str
    enabled: bool = True
    pending_deletion: bool = False
    #: What was wrapped: the bytes handed out → the plaintext and all it is bound to.
    wrapped: dict[bytes, tuple[bytes, dict[str, str]]] = field(default_factory=dict, repr=False)


class FakeKeyStore:
    """A key store in memory that can be made to fail. Strict where moto is not.

    `away` and `throttled` fail every call; `disable` and `schedule_deletion` fail one root's. `gate` holds
    calls until it is set. `calls` counts what reached the store.
    """

    def __init__(self) -> None:
        self.away = False
        self.throttled = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.calls: Counter[str] = Counter()
        self._closed = False
        self._roots = {purpose: _FakeRoot(f"fake/{purpose}") for purpose in Purpose}

    @property
    def name(self) -> str:
        return "fake"

    def disable(self, purpose: Purpose) -> None:
        self._roots[purpose].enabled = False

    def enable(self, purpose: Purpose) -> None:
        self._roots[purpose].enabled = True

    def schedule_deletion(self, purpose: Purpose) -> None:
        self._roots[purpose].pending_deletion = True

    async def generate(self, purpose: Purpose, context: Mapping[str, str]) -> NewDataKey:
        bound = bound_context(purpose, context)
        root = await self._usable("generate", purpose)
        plaintext = random_bytes(DATA_KEY_BYTES)
        return NewDataKey(Secret(plaintext), self._wrapped(root, plaintext, bound))

    async def wrap(self, purpose: Purpose, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        check_plaintext(plaintext)
        bound = bound_context(purpose, context)
        root = await self._usable("wrap", purpose)
        return self._wrapped(root, plaintext, bound)

    async def unwrap(
        self, purpose: Purpose, wrapped: bytes, context: Mapping[str, str]
    ) -> Secret[bytes]:
        bound = bound_context(purpose, context)
        root = await self._usable("unwrap", purpose)
        found = root.wrapped.get(wrapped)
        if found is None or found[1] != bound:
            raise CannotUnwrap
        return Secret(found[0])

    async def describe(self) -> Sequence[RootInfo]:
        await self._answers("describe")
        return [
            RootInfo(
                purpose,
                root.key_id,
                "FAKE",
                datetime(2026, 1, 1, tzinfo=UTC),
                enabled=root.enabled and not root.pending_deletion,
            )
            for purpose, root in self._roots.items()
        ]

    async def close(self) -> None:
        self._closed = True

    def _wrapped(self, root: _FakeRoot, plaintext: bytes, bound: dict[str, str]) -> bytes:
        wrapped = random_bytes(64)
        root.wrapped[wrapped] = (plaintext, bound)
        return wrapped

    async def _answers(self, call: str) -> None:
        self.calls[call] += 1
        await asyncio.sleep(
            0
        )  # others get their turn here, as they would while a real store is asked
        await self.gate.wait()
        if self._closed or self.away or self.throttled:
            raise KeyStoreUnavailable

    async def _usable(self, call: str, purpose: Purpose) -> _FakeRoot:
        await self._answers(call)
        root = self._roots[purpose]
        if not root.enabled or root.pending_deletion:
            raise RootDisabled
        return root


class MemoryDataKeyTable:
    """A `DataKeyTable` in memory. `rows` may be altered by a test, as an intruder would."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, str, int], DataKeyRow] = {}
        self.calls: Counter[str] = Counter()
        self.noted: list[KeyChange] = []

    async def _asked(self, call: str) -> None:
        self.calls[call] += 1
        await asyncio.sleep(
            0
        )  # others get their turn here, as they would while a database is asked

    async def current(self, merchant: str, mode: str, name: str) -> DataKeyRow | None:
        await self._asked("current")
        active = [
            row
            for row in self.rows.values()
            if (row.merchant, row.mode, row.name) == (merchant, mode, name)
            and row.state == KeyState.ACTIVE
        ]
        return max(active, key=lambda row: row.version, default=None)

    async def version(self, merchant: str, mode: str, name: str, version: int) -> DataKeyRow | None:
        await self._asked("version")
        return self.rows.get((merchant, mode, name, version))

    async def add(self, row: DataKeyRow) -> DataKeyRow:
        await self._asked("add")
        return self.rows.setdefault((row.merchant, row.mode, row.name, row.version), row)

    async def versions(self, merchant: str, mode: str, name: str) -> Sequence[DataKeyRow]:
        await self._asked("versions")
        of = (merchant, mode, name)
        return [row for at, row in sorted(self.rows.items()) if at[:3] == of]

    async def replace(
        self,
        new: DataKeyRow,
        before: DataKeyRow,
        mac_before: bytes,
        within: Within | None = None,
    ) -> DataKeyRow | None:
        assert within is None, "there is no transaction here"
        at = (new.merchant, new.mode, new.name, new.version)
        await self._asked("replace")
        kept = self.rows[*at[:3], before.version]
        if kept.mac == mac_before and kept.state != KeyState.DESTROYED:
            assert at not in self.rows
            self.rows[*at[:3], before.version] = before
            self.rows[at] = new
            self.noted.append(KeyChange(*at, "rotated", new.made_at))
        return self.rows.get(at)

    async def destroy(self, row: DataKeyRow, within: Within | None = None) -> None:
        assert within is None, "there is no transaction here"
        await self._asked("destroy")
        at = (row.merchant, row.mode, row.name, row.version)
        kept = self.rows.get(at)
        if kept is not None and kept.state != KeyState.DESTROYED:
            self.rows[at] = dataclasses.replace(
                kept, state=row.state, wrapped=row.wrapped, mac=row.mac
            )
        self.noted.append(KeyChange(*at, "destroyed", datetime.now(UTC)))

    async def changes(self, since: datetime) -> Sequence[KeyChange]:
        await self._asked("changes")
        return [each for each in self.noted if each.at >= since]

    async def rewrap(self, row: DataKeyRow, mac_before: bytes) -> bool:
        await self._asked("rewrap")
        at = (row.merchant, row.mode, row.name, row.version)
        kept = self.rows.get(at)
        if kept is None or kept.mac != mac_before or kept.state == KeyState.DESTROYED:
            return False
        self.rows[at] = dataclasses.replace(kept, wrapped=row.wrapped, mac=row.mac)
        return True
