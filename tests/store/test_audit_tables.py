# SPDX-License-Identifier: Apache-2.0
"""The audit tables refuse every change by themselves, to every login and to their owner."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from database import Databases
from store.rights import (
    MINE,
    PAIR_IDS,
    PAIRS,
    THEIRS,
    as_login,
    people,
)
from strongroom.db.logins import Domain, Login


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def peopled(databases: Databases) -> Databases:
    """Databases in which two merchants have a row in every table."""
    await people(databases)
    return databases


AUDIT_TABLES = ("audit.event", "audit.checkpoint", "audit.tile", "audit.tree")
_SETS = {
    "audit.event": "payload = ''",
    "audit.checkpoint": "note = ''",
    "audit.tile": "hashes = sha256(hashes)",
    "audit.tree": "size = size - 1",
}


def changes() -> list[str]:
    found: list[str] = []
    for table in AUDIT_TABLES:
        found += (f"update {table} set {_SETS[table]}", f"delete from {table}", f"truncate {table}")
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sealed(peopled: Databases) -> AsyncIterator[Databases]:
    """Databases with a row in each of the tree's tables."""
    for domain in Domain:
        await peopled.run(
            domain,
            "insert into audit.tile values (0, 0, 1, sha256('a'), '{aud_1}', 'aud_1', 'aud_1')",
            "insert into audit.checkpoint values (1, 'o', sha256(''), 'note', now())",
            "insert into audit.tree values (true, 'o', sha256(''), 1, '{}', '3', '', 'c', now())",
        )
    yield peopled


@pytest.mark.parametrize("change", changes())
@pytest.mark.parametrize(
    ("domain", "login"),
    [*PAIRS, (Domain.VAULT, Login.OWNER), (Domain.CORE, Login.OWNER)],
    ids=[*PAIR_IDS, "the owner of the vault", "the owner of the core"],
)
async def test_nobody_changes_or_removes_what_is_in_the_log(
    sealed: Databases, domain: Domain, login: Login, change: str
) -> None:
    """Nor the owner: the tables refuse it by themselves."""
    if (login, change.split()[:2]) == (Login.OWNER, ["update", "audit.event"]) or (
        login is Login.OWNER and change == "delete from audit.event"
    ):
        # Forced row security shows the owner only the rows of the merchants it names.
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only ever added"):
            await as_login(sealed, domain, login, change, merchants=f"{MINE},{THEIRS}")
        return
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await as_login(sealed, domain, login, change)


@pytest.mark.parametrize("domain", Domain)
async def test_the_sealer_may_only_let_a_tile_grow(sealed: Databases, domain: Domain) -> None:
    def grown(hashes: str, ids: str) -> str:
        return (
            f"update audit.tile set width = 2, hashes = {hashes}, event_ids = {ids}, last_id = 'aud_2'"
            " returning width"
        )

    more = grown("hashes || sha256('b')", "event_ids || 'aud_2'::text")
    assert await as_login(sealed, domain, Login.SEALER, more) == [(2,)]
    for other in (
        grown("sha256('x') || sha256('b')", "event_ids || 'aud_2'::text"),
        grown("hashes || sha256('b')", "'{aud_9,aud_2}'"),
        "update audit.tile set n = 7",
        "update audit.tile set level = 0, n = 1",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only grows"):
            await as_login(sealed, domain, Login.SEALER, other)


async def test_the_sealer_sees_no_card_data(peopled: Databases) -> None:
    for table in (
        "vault.token",
        "vault.card_identity",
        "vault.cvc_use",
        "idempotency.request",
        "audit.address",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_login(peopled, Domain.VAULT, Login.SEALER, f"select count(*) from {table}")
