# SPDX-License-Identifier: Apache-2.0
"""Counts what a database is asked for one request: by whoever asks for it, in that task and below."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from strongroom.db.pool import Database

_statements: ContextVar[list[str] | None] = ContextVar("_statements", default=None)


@contextmanager
def counted() -> Iterator[None]:
    """Let every database of this process write down the statements of whoever asks for it, in that task and below."""
    lent = Database.connection

    @asynccontextmanager
    async def connection(self: Database) -> AsyncIterator[Any]:
        async with lent(self) as found:
            written = _statements.get()
            if written is None:
                yield found
                return
            with found.query_logger(lambda record: written.append(record.query)):
                yield found
                await asyncio.sleep(0)  # the driver tells of its last statement a turn later

    patched = pytest.MonkeyPatch()
    patched.setattr(Database, "connection", connection)
    try:
        yield
    finally:
        patched.undo()


@contextmanager
def statements() -> Iterator[list[str]]:
    """Yield the statements that the block asks a database."""
    written: list[str] = []
    token = _statements.set(written)
    try:
        yield written
    finally:
        _statements.reset(token)
