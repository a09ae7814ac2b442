# SPDX-License-Identifier: Apache-2.0
"""Fixtures for every folder of tests: a database server for the session, fresh databases for a module."""

from collections.abc import AsyncIterator

import pytest_asyncio

from database import Databases, Server, fresh_databases, migrated_server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server() -> AsyncIterator[Server]:
    """A PostgreSQL server with both schemas migrated."""
    async with migrated_server() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def databases(server: Server) -> AsyncIterator[Databases]:
    """A fresh `vault` and a fresh `core` database for this module."""
    async with fresh_databases(server) as fresh:
        yield fresh
