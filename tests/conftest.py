# SPDX-License-Identifier: Apache-2.0
"""Fixtures for every folder of tests: a database server for the session, fresh databases for a module."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest_asyncio
from hypothesis import settings

from database import SIZES, Databases, Server, fresh_databases, migrated_server
from missing_tools import pytest_sessionfinish

if TYPE_CHECKING:  # unit tests do not wait for everything to be imported
    from service import Service, Tenant
    from strongroom.simulator import Simulated

# No example is timed: machines are noisy.
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")


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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service() -> AsyncIterator["Service"]:
    """A Strongroom that serves over TLS, on a database server of its own, which the canary search reads whole."""
    from service import running  # noqa: PLC0415 - see above

    # A compressed page in the write-ahead log would hide what is searched for.
    async with (
        migrated_server({**SIZES, "wal_compression": "off"}) as server,
        fresh_databases(server) as databases,
        running(databases, server.folder) as served,
    ):
        yield served


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def processor(service: "Service") -> AsyncIterator["Simulated"]:
    """A simulator whose folder is among those that the canary search reads."""
    from paying import simulating  # noqa: PLC0415 - see above

    async with simulating(service.settings.state.parent / "simulator", service) as simulated:
        yield simulated


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tenant(service: "Service") -> "Tenant":
    """A merchant of this module."""
    return await service.tenant()


__all__ = ["databases", "pytest_sessionfinish", "server"]
