# SPDX-License-Identifier: Apache-2.0
"""The canary: one card number and its CVC that go through every API test and must be found nowhere afterwards.

Searches tables, dumps, files (data, WAL, logs, state, captured answers) and texts. Takes the canary as a parameter,
so that a sabotage case can plant another one and show that the same search finds it.
"""

import asyncio
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from database import Databases
from strongroom.db.address import Address
from strongroom.db.embedded.binaries import candidates
from strongroom.db.logins import Domain
from strongroom.db.pool import connect
from strongroom.telemetry.canary import Wanted, search_stream, search_tree

if TYPE_CHECKING:
    from service import Service

#: Used for nothing else in any test.
NUMBER: Final = "4000056655665556"
CVC: Final = "907"
#: What the sabotage cases plant.
PLANTED_NUMBER: Final = "5200828282828210"
PLANTED_CVC: Final = "316"


@dataclass(slots=True)
class Canary:
    """A number in every form, and a CVC in the places where three digits mean something."""

    number: str
    cvc: str
    wanted: Wanted = field(init=False)
    marks: Sequence[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.wanted = Wanted([self.number])
        cvc = self.cvc.encode()
        quoted = b'"' + cvc + b'"'
        self.marks = (
            quoted,
            b"'" + cvc + b"'",
            b'\\"' + cvc + b'\\"',
            quoted.hex().encode(),
            b"%22" + cvc + b"%22",
            b'"cvc":' + cvc,
            b'"cvc": ' + cvc,
            b"cvc=" + cvc,
            b"cvc " + cvc,
            b"cvc: " + cvc,
        )

    def in_bytes(self, data: bytes, place: str) -> list[str]:
        """Say what is found in a text, a dump or an answer."""
        return [*self._number([data], place), *self._code(data, place)]

    def in_folder(self, folder: Path) -> list[str]:
        """Say what is found in the files below a folder and in their names; what cannot be read is found too."""
        report = search_tree(folder, self.wanted)
        found = [f"{each.place}: the number, {each.form}" for each in report.findings]
        for each in report.unread:
            if each.reason == FileNotFoundError.__name__:
                found += self._again(Path(each.place))
            elif Path(each.place).exists():
                found.append(f"{each.place}: unread, {each.reason}")
        for path in _files(folder):
            with suppress(FileNotFoundError), path.open("rb") as file:
                if os.fstat(file.fileno()).st_size:
                    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                        found += self._code(data, str(path))
        return found

    def _again(self, file: Path) -> list[str]:
        """Read what could not be read: a server that runs removes files (they hold nothing more) or remakes them."""
        for _ in range(20):
            try:
                return self.in_bytes(file.read_bytes(), str(file))
            except FileNotFoundError:
                if not file.exists():
                    return []
            except OSError as error:
                return [f"{file}: unread, {type(error).__name__}"]
        return [f"{file}: unread, it is removed and remade all the time"]

    async def in_tables(self, administrator: Address) -> list[str]:
        """Say what is found in the rows of every table of a database, the system's own included."""
        connection = await connect(administrator)
        try:
            return await self.in_rows(connection)
        finally:
            await connection.close()

    async def in_rows(self, connection: Any) -> list[str]:
        """The same, as one connection sees them."""
        found: list[str] = []
        tables = await connection.fetch(
            "select n.nspname as schema, c.relname as name,"
            "       (select array_agg(a.atttypid::regtype::text = any ('{text,bytea,name,json,jsonb}') order by attnum)"
            "          from pg_attribute a where a.attrelid = c.oid and attnum > 0 and not attisdropped) as is_text"
            "  from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind in ('r', 'm') and c.relpersistence <> 't' and n.nspname <> 'information_schema'"
        )
        for table in tables:
            place = f"table {table['schema']}.{table['name']}"
            pieces: list[bytes] = []

            async def take(piece: bytes, pieces: list[bytes] = pieces) -> None:
                pieces.append(bytes(piece))

            await connection.copy_from_table(
                table["name"], schema_name=table["schema"], output=take
            )
            rows = b"".join(pieces)
            found += self.in_bytes(rows, place)
            found += self._fields(rows, place, table["is_text"] or [])
        return found

    async def in_dump(self, administrator: Address, pg_dump: Path) -> list[str]:
        """Say what is found in a dump as a backup would take it."""
        dump = await dumped(administrator, pg_dump)
        assert b"PostgreSQL database dump complete" in dump
        return self.in_bytes(dump, f"dump of {administrator.database}")

    def _number(self, chunks: Sequence[bytes], place: str) -> Iterator[str]:
        for each in search_stream(chunks, self.wanted, place=place):
            yield f"{place}: the number, {each.form}"

    def _code(self, data: "bytes | mmap.mmap", place: str) -> list[str]:
        return [f"{place}: the CVC" for mark in self.marks if data.find(mark) >= 0]

    def _fields(self, rows: bytes, place: str, is_text: Sequence[bool]) -> list[str]:
        """In COPY's text: a field that is nothing but the CVC, as text or as bytes. Numbers are not looked at."""
        wanted = {self.cvc.encode(), b"\\\\x" + self.cvc.encode().hex().encode()}
        fields = {
            value
            for row in rows.splitlines()
            for value, textual in zip(row.split(b"\t"), is_text, strict=False)
            if textual
        }
        return [f"{place}: the CVC, a field" for _ in wanted & fields]


async def everywhere(canary: Canary, service: "Service", databases: Databases) -> list[str]:
    """Say what is found in all that a running Strongroom leaves: both databases, every file, metrics and answers."""
    found: list[str] = []
    await databases.server.run("checkpoint")
    service.composer.site.log.flush()
    for domain in Domain:
        administrator = databases.administrator(domain)
        found += await canary.in_tables(administrator)
        found += await canary.in_dump(administrator, pg_dump())
    for caller in (service.vault(None), service.gateway(None)):
        metrics = (await caller.get("/metrics")).content
        assert b"strongroom_requests_total" in metrics
        found += canary.in_bytes(metrics, "metrics")
    folders = {databases.server.folder, service.settings.state.parent}
    assert service.log_file.parent in folders
    assert service.answers.file.parent in folders
    for folder in folders:
        found += await asyncio.to_thread(canary.in_folder, folder)
    return found


def pg_dump() -> Path:
    """The program that belongs to the embedded server."""
    return next(path for folder in candidates() if (path := folder / "pg_dump").exists())


async def dumped(administrator: Address, pg_dump: Path, *, unlogged: bool = False) -> bytes:
    """Return a database's dump; unlogged tables are left out, as the operators' guide says."""
    password = administrator.password
    process = await asyncio.create_subprocess_exec(
        *(str(pg_dump), *([] if unlogged else ["--no-unlogged-table-data"])),
        *("-h", administrator.host, "-p", str(administrator.port)),
        *("-U", administrator.user, "-d", administrator.database),
        env={"PGPASSWORD": password.expose() if password else ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                yield path
