# SPDX-License-Identifier: Apache-2.0
"""The folder sink under a real sealer: what it holds, crashes, full and hanging disks, and a sealer that is killed."""

import asyncio
import itertools
import json
import os
import resource
import shutil
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from database import Server
from store.audit_ground import ORIGIN, Ground, SpokenKeys, grounded
from strongroom.audit.checkpoint import open_checkpoint
from strongroom.audit.errors import SinkFailed
from strongroom.audit.merkle import Frontier, leaf_hash
from strongroom.audit.note import VerifierKey
from strongroom.audit.ports import SignedHead, SinkHead
from strongroom.audit.publish import PUBLISH_RECORDS_MAX
from strongroom.audit.reading import notes
from strongroom.audit.sinks.file import FileSink
from strongroom.db.logins import Domain, Login
from strongroom.kernel.clock import SystemClock

PROCESS = Path(__file__).with_name("sealer_process.py")


class Crash(BaseException):
    """The process ends here."""


class CrashingSink:
    """A sink whose process is killed before or after it has taken what it is given."""

    def __init__(self, sink: FileSink, *, before: bool) -> None:
        self._sink = sink
        self._before = before

    @property
    def name(self) -> str:
        return "crashing"

    async def last(self, tree: str, keys: Sequence[VerifierKey]) -> SinkHead | None:
        return await self._sink.last(tree, keys)

    async def publish(
        self, generation: int, first: int, payloads: Sequence[bytes], heads: Sequence[SignedHead]
    ) -> None:
        if not self._before:
            await self._sink.publish(generation, first, payloads, heads)
        raise Crash

    async def beat(self, generation: int, note: bytes) -> None:
        await self._sink.beat(generation, note)


@pytest_asyncio.fixture(loop_scope="session")
async def ground(server: Server, tmp_path: Path) -> AsyncIterator[Ground]:
    async with grounded(server, tmp_path) as made:
        yield made


def held(folder: Path) -> list[bytes]:
    """The records in a sink's folder."""
    files = sorted((folder / "segments").glob("*.jsonl"))
    return b"".join(file.read_bytes() for file in files).splitlines()


async def assert_whole(ground: Ground, folder: Path | None = None) -> None:
    """The folder alone is enough to verify the log, and it is the database's log."""
    folder = folder or ground.folder
    keys = await ground.keys.verifiers()
    leaves = [leaf_hash(payload) for payload in held(folder)]
    with (folder / "checkpoints.txt").open("rb") as file:
        heads = [open_checkpoint(note, keys, origin=ORIGIN) for note in notes(file)]
    assert heads == sorted(heads, key=lambda head: head.size)
    assert len(heads) == len({head.size for head in heads})
    for head in heads:
        assert Frontier().appended(leaves[: head.size]).root() == head.root
    assert open_checkpoint((folder / "checkpoint").read_bytes(), keys, origin=ORIGIN) == heads[-1]
    assert heads[-1].size == len(leaves)
    assert heads[-1].size == await ground.value("select size from audit.tree")
    assert heads[-1].root == await ground.tree_root()


async def test_what_the_folder_holds_verifies_without_the_database(ground: Ground) -> None:
    sealer = await ground.sealer()
    for count in (3, 300, 1):
        await ground.many(count)
        await sealer.seal_once()
    await assert_whole(ground)
    files = [path for path in ground.folder.rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == [
        "00000000000000000000.open.jsonl",
        "checkpoint",
        "checkpoints.txt",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    folders = [ground.folder, *(path for path in ground.folder.rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


@pytest.mark.parametrize("moment", ["before it took it", "after it took it"])
async def test_a_crash_while_publishing_repeats_nothing_and_loses_nothing(
    ground: Ground, moment: str
) -> None:
    await (await ground.sealer()).seal_once()
    for _ in range(3):
        await ground.close()
        await ground.many(40)
        doomed = await ground.sealer(
            sinks=[CrashingSink(FileSink(ground.folder), before=moment.startswith("before"))]
        )
        with pytest.raises(Crash):
            await doomed.seal_once()
    await ground.close()
    await (await ground.sealer()).seal_once()
    await assert_whole(ground)


def _without_checkpoint(folder: Path) -> None:
    (folder / "checkpoint").unlink()


def _with_an_older_checkpoint(folder: Path) -> None:
    with (folder / "checkpoints.txt").open("rb") as file:
        (folder / "checkpoint").write_bytes(next(notes(file)))


def _without_the_last_note(folder: Path) -> None:
    """Crash before the list was written."""
    with (folder / "checkpoints.txt").open("rb") as file:
        found = list(notes(file))
    (folder / "checkpoints.txt").write_bytes(b"\n".join(found[:-1]))
    (folder / "checkpoint").write_bytes(found[-2])


def _with_a_torn_note(folder: Path) -> None:
    _without_the_last_note(folder)
    path = folder / "checkpoints.txt"
    path.write_bytes(path.read_bytes() + b"\nstrongroom.example/vault\n10")


def _with_a_torn_record(folder: Path) -> None:
    _without_the_last_note(folder)
    (path,) = (folder / "segments").iterdir()
    path.write_bytes(path.read_bytes()[:-100])


def _with_half_the_records(folder: Path) -> None:
    _without_the_last_note(folder)
    (path,) = (folder / "segments").iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-20]))


def _with_something_aside(folder: Path) -> None:
    (folder / "checkpoint.new").write_bytes(b"half a no")


@pytest.mark.parametrize(
    "crash",
    [
        _without_checkpoint,
        _with_an_older_checkpoint,
        _without_the_last_note,
        _with_a_torn_note,
        _with_a_torn_record,
        _with_half_the_records,
        _with_something_aside,
    ],
    ids=lambda crash: crash.__name__.strip("_"),
)
async def test_what_a_crash_leaves_is_completed(
    ground: Ground, crash: Callable[[Path], None]
) -> None:
    sealer = await ground.sealer()
    await ground.many(10)
    await sealer.seal_once()
    await ground.many(50)
    await sealer.seal_once()
    await sealer.close()
    whole = {path: path.read_bytes() for path in ground.folder.rglob("*") if path.is_file()}
    crash(ground.folder)
    assert not (await (await ground.sealer()).seal_once()).sinks_failed
    await assert_whole(ground)
    (ground.folder / "checkpoint.new").unlink(missing_ok=True)
    now = {path: path.read_bytes() for path in ground.folder.rglob("*") if path.is_file()}
    assert now == whole


async def test_another_record_in_the_folder_is_never_written_over(ground: Ground) -> None:
    sealer = await ground.sealer()
    await ground.many(10)
    await sealer.seal_once()
    await sealer.close()
    (path,) = (ground.folder / "segments").iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[3]]))
    before = path.read_bytes()
    await ground.many(1)
    result = await (await ground.sealer()).seal_once()
    assert (result.sealed, result.sinks_failed) == (1, ("file",))
    assert path.read_bytes() == before
    assert "another one" in ground.events("audit.sink_failed")[0]["reason"]


@contextmanager
def disk_that_is_full_at(size: int) -> Iterator[None]:
    """No file grows beyond this: a write is cut short in the middle, and the next one fails."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


async def test_a_full_disk_does_not_stop_the_sealing(ground: Ground) -> None:
    sealer = await ground.sealer()
    await ground.many(10)
    assert (await sealer.seal_once()).sinks_failed == ()
    with disk_that_is_full_at(9_000):
        for _ in range(3):
            await ground.many(40)
            result = await sealer.seal_once()
            assert (result.sealed, result.sinks_failed) == (40, ("file",))
    assert result.size == await ground.value("select size from audit.tree") == 131
    assert ground.metric("strongroom_audit_sink_failures_total", sink="file") == 3
    assert len(ground.events("audit.sink_failed")) == 1  # once a minute
    await ground.many(1)
    assert (await sealer.seal_once()).sinks_failed == ()
    await assert_whole(ground)


async def test_a_sink_that_was_away_for_long_is_brought_up(ground: Ground) -> None:
    alone = await ground.sealer(sinks=[])
    await ground.many(PUBLISH_RECORDS_MAX + 300)
    await alone.seal_once()
    for _ in range(100):
        await ground.many(2)
        await alone.seal_once()
    await alone.close()
    sealer = await ground.sealer()
    assert (await sealer.seal_once()).sinks_failed == ()
    await assert_whole(ground)


async def test_a_record_that_was_altered_after_it_was_sealed_is_not_published(
    ground: Ground,
) -> None:
    alone = await ground.sealer(sinks=[])
    await alone.seal_once()
    (record,) = await ground.record()
    await alone.seal_once()
    await alone.close()
    await ground.alter(record.event_id, "payload = payload || ' '")
    sealer = await ground.sealer()
    with pytest.raises(Exception, match="not the one that was sealed"):
        await sealer.seal_once()
    assert not (ground.folder / "checkpoint").exists()


async def test_a_head_that_no_key_of_ours_signed_stops_the_election(ground: Ground) -> None:
    sealer = await ground.sealer()
    await sealer.seal_once()
    await sealer.close()
    path = ground.folder / "checkpoint"
    path.write_bytes(path.read_bytes().replace(b"\n1\n", b"\n2\n"))
    with pytest.raises(SinkFailed):
        await sealer.seal_once()


async def test_a_folder_that_others_may_write_to_is_refused(ground: Ground) -> None:
    ground.folder.mkdir()
    ground.folder.chmod(0o777)
    result = await (await ground.sealer()).seal_once()
    assert result.sinks_failed == ("file",)


async def test_a_disk_that_hangs_keeps_one_thread(ground: Ground) -> None:
    ground.folder.mkdir(mode=0o700)
    pipe = ground.folder / "checkpoint"
    os.mkfifo(pipe)  # whoever opens it to read waits for a writer
    sink = FileSink(ground.folder, seconds_max=0.2)
    for reason in ("does not answer", "still does not answer"):
        with pytest.raises(SinkFailed, match=reason):
            await sink.last(ORIGIN, [])
    await asyncio.to_thread(pipe.write_bytes, b"not a note\n")
    pipe.unlink()
    async with asyncio.timeout(5):
        while True:
            try:
                assert await sink.last(ORIGIN, []) is None
                break
            except SinkFailed:
                await asyncio.sleep(0.01)


async def test_a_killed_sealer_loses_nothing(server: Server, tmp_path: Path) -> None:
    """kill -9 at any moment, again and again, under load."""
    async with grounded(server, tmp_path, SystemClock(), SpokenKeys()) as ground:
        address = ground.databases.address(Domain.VAULT, Login.SEALER)
        assert address.password is not None
        told = json.dumps(
            {
                "host": address.host,
                "port": address.port,
                "database": address.database,
                "user": address.user,
                "password": address.password.expose(),
                "folder": str(ground.folder),
            }
        )
        written: list[str] = []
        done = asyncio.Event()

        async def write() -> None:
            while not done.is_set():
                written.extend(str(record.event_id) for record in await ground.many(60))
                written.extend(str(record.event_id) for record in await ground.record(2))
                await asyncio.sleep(0.05)  # a load and no flood: all of it is sealed in the end

        writing = asyncio.create_task(write())
        kills = itertools.cycle((0.0, 0.011, 0.037, 0.09, 0.15))
        for wait, _ in zip(kills, range(8), strict=False):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(PROCESS),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(told.encode() + b"\n")
            await process.stdin.drain()
            assert (await process.stdout.readline()).startswith(b"sealed")
            await asyncio.sleep(wait)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        done.set()
        await writing
        sealer = await ground.sealer()
        async with asyncio.timeout(20):  # the server notices that a client is gone in its own time
            while not (await sealer.seal_once()).elected:
                await asyncio.sleep(0.05)
        ids = await ground.tree_ids()
        assert len(ids) == len(set(ids)) == len(written) + 1
        assert set(written) <= set(ids)
        await assert_whole(ground)


async def test_the_folder_can_be_moved_away_and_is_made_anew(ground: Ground) -> None:
    """What an operator does when a sink's own head is damaged: keep the folder, and let it be published again."""
    sealer = await ground.sealer()
    await ground.many(30)
    await sealer.seal_once()
    await sealer.close()
    shutil.move(ground.folder, ground.folder.with_name("kept"))
    await (await ground.sealer()).seal_once()
    await assert_whole(ground)
