# SPDX-License-Identifier: Apache-2.0
"""The demo's state folder: one demo at a time in it, and nothing is removed that a demo did not make.

Keeps the two merchants' test keys (mode 0600) and which synthetic card numbers were used, as serials.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from strongroom.config import Environment, Settings, load_settings
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.invariant import Bug

INSTANCE: Final = "demo"
#: How long to wait for the server of a demo that was killed (it stops by itself), and for one that lives.
WAIT_SECONDS: Final = 45.0
HELD_SECONDS: Final = 2.0
_MARK: Final = "made-by-strongroom-demo"
_MARK_TEXT: Final = (
    "This folder was made by `strongroom demo`. `strongroom demo --fresh` removes it.\n"
)
#: Synthetic numbers begin somewhere with few zeros, so that no counter anywhere looks like one.
_SERIALS_FROM: Final = 11_111_111_111_111
_SERIALS_SPAN: Final = 77_777_777_777_777


class NotADemo(StrongroomError):
    """This state folder was not made by `strongroom demo`."""

    code = "not_a_demo"


class DemoRuns(StrongroomError):
    """Another demo runs in this folder."""

    code = "demo_runs"


class DemoRefused(StrongroomError):
    """The demo runs on its own embedded database, in development."""

    code = "demo_refused"


@dataclass(frozen=True, slots=True)
class MerchantKeys:
    """A test merchant and the texts of its keys."""

    merchant: str
    name: str
    #: `sk`, `pk` and, for the first merchant, `live`: key id and text.
    keys: dict[str, dict[str, str]]

    def text(self, kind: str) -> str:
        """Return a key's text."""
        return self.keys[kind]["text"]


def demo_settings(**overrides: Any) -> Settings:
    """Return the settings of a demo: the environment's, in an instance and with a log file of its own.

    Raises:
        DemoRefused: the environment points at external databases or at production.
    """
    settings = load_settings(overrides=overrides)
    if settings.instance == "default" and settings.state.name == "default":
        settings = load_settings(overrides={**overrides, "instance": INSTANCE})
    if settings.environment is Environment.PRODUCTION:
        raise DemoRefused("STRONGROOM_ENVIRONMENT is production: the demo is no place for it")
    if settings.vault_database is not None or settings.core_database is not None:
        raise DemoRefused("unset STRONGROOM_VAULT_DATABASE and STRONGROOM_CORE_DATABASE")
    if settings.plain_http:
        raise DemoRefused("unset STRONGROOM_PLAIN_HTTP: the demo speaks HTTPS")
    if settings.log_file is None:
        settings = replace(settings, log_file=settings.state / "log" / "strongroom.jsonl")
    return settings


class DemoFolder:
    """The folder, claimed by this process until `release`."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.own = state / "demo"
        self._lock: int | None = None

    def claim(self, waiting: Callable[[], None], *, held_seconds: float = HELD_SECONDS) -> int:
        """Make the folder or judge the one that is there; return the descriptor of the lock.

        `waiting` is called once if somebody holds it; one who lives is waited for that many seconds.

        Raises:
            NotADemo: something else is there.
            DemoRuns: another demo holds it, and goes on.
        """
        mark = self.own / _MARK
        if self.state.is_symlink() or (self.state.exists() and not self.state.is_dir()):
            raise NotADemo(f"{self.state} is no folder")
        if self.state.is_dir() and not mark.is_file() and not self._is_empty():
            raise NotADemo(
                f"{self.state} is there and was not made by `strongroom demo`: nothing was touched"
            )
        # The embedded server's account passes through as root's guest.
        self.state.mkdir(parents=True, exist_ok=True, mode=0o711)
        self.own.mkdir(exist_ok=True, mode=0o700)
        mark.write_text(_MARK_TEXT, "utf-8")
        descriptor = os.open(self.own / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        patience = held_seconds if _lives(_holder(descriptor)) else WAIT_SECONDS
        deadline, told = time.monotonic() + patience, False
        while not _locked(descriptor):
            if not told:
                waiting()
                told = True
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise DemoRuns(f"another demo runs in {self.state}: stop it first (Ctrl-C there)")
            time.sleep(0.05)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._lock = descriptor
        return descriptor

    def _is_empty(self) -> bool:
        """Whether nothing is there but, after a crash right at the start, our own empty folder."""
        others = [path for path in self.state.iterdir() if path != self.own]
        return not others and not (self.own.is_dir() and any(self.own.iterdir()))

    def release(self) -> None:
        """Let the next demo in."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def stop_database(self) -> bool:
        """Stop a database whose server's process was killed; tell whether none runs now. Only while claimed."""
        from strongroom.db.embedded import Embedded, StopTimedOut  # slow, and only wanted here

        if (self.state / "postgres").exists():
            try:
                Embedded(self.state / "postgres").stop()
            except StopTimedOut:
                return False
        return True

    def clear(self) -> None:
        """Remove what an earlier demo left: its server first. Only while claimed."""
        self.stop_database()
        for path in self.state.iterdir():
            if path != self.own:
                _remove(path)
        # The mark and the lock go last, or stay: half a removal is then finished by the next --fresh.
        for path in self.own.iterdir():
            if path.name not in (_MARK, "lock"):
                _remove(path)

    @property
    def lock(self) -> int:
        """The descriptor of the lock: whoever holds it too keeps the next demo waiting. Only while claimed."""
        if self._lock is None:
            raise Bug("the folder is claimed before anything is started in it")
        return self._lock

    @property
    def server_output(self) -> Path:
        """What the server's process printed outside its log: nothing, as long as all is well."""
        return self.own / "server.out"

    @property
    def processor_output(self) -> Path:
        """Likewise of the simulator's process."""
        return self.own / "processor.out"

    @property
    def processor(self) -> Path:
        """The simulator's own folder, with its journal: it shares no database with anybody."""
        return self.state / "processor"

    @property
    def _keys(self) -> Path:
        return self.own / "keys.json"

    def merchants(self) -> list[MerchantKeys]:
        """Return the merchants of an earlier run, or none."""
        try:
            kept = json.loads(self._keys.read_text("utf-8"))
            return [MerchantKeys(**each) for each in kept["merchants"]]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return []

    def keep_merchants(self, merchants: list[MerchantKeys]) -> None:
        """Keep the merchants and their keys for the next run."""
        listed = [
            {"merchant": each.merchant, "name": each.name, "keys": each.keys} for each in merchants
        ]
        _write(self._keys, {"merchants": listed})

    def reserve_serials(self, count: int) -> tuple[int, int]:
        """Take serials for synthetic numbers that no run has used: (first of all runs, first of these)."""
        path = self.own / "serials.json"
        try:
            kept = json.loads(path.read_text("utf-8"))
            first, following = int(kept["first"]), int(kept["next"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            first = _SERIALS_FROM + int.from_bytes(os.urandom(8), "big") % _SERIALS_SPAN
            following = first
        # Crash after this: the numbers count as used, and a later run searches for them too.
        _write(path, {"first": first, "next": following + count})
        return first, following


def _holder(descriptor: int) -> int:
    """Return the process id of the demo that took the lock last; 0 if none ever did."""
    written = os.pread(descriptor, 20, 0)
    return int(written) if written.isdigit() else 0


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return process > 0


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _write(path: Path, content: object) -> None:
    """Write a file of mode 0600, whole or not at all."""
    aside = path.with_name(path.name + ".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
