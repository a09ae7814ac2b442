# SPDX-License-Identifier: Apache-2.0
"""The demo's dump of a real database: what lies in a table, as text or as bytes, is found, with pg_dump and without."""

import pytest

from database import Databases
from strongroom.cli.scenario import dump
from strongroom.cli.scenario.sieve import Sieve
from strongroom.config import Settings
from strongroom.db.address import Address
from strongroom.db.logins import Domain

TEXT, BYTES, ARRAY = "4012888888881881", "378282246310005", "6011111111111117"
SIEVE = Sieve([TEXT, BYTES, ARRAY])
PROGRAM = dump.find_pg_dump(Settings())


async def searched(address: Address, *, program: bool) -> set[str]:
    if program:
        assert PROGRAM is not None
        chunks = list(dump.dumped(PROGRAM, address))
    else:
        chunks = await dump.copied(address)
    return {hit.last_four for hit in SIEVE.stream(dump.unpacked(chunks), "dump").hits}


@pytest.mark.parametrize("program", [True, False])
async def test_what_a_table_holds_is_found_in_a_dump(
    databases: Databases, *, program: bool
) -> None:
    address = databases.administrator(Domain.VAULT)
    assert await searched(address, program=program) == set()
    await databases.run(
        Domain.VAULT,
        "drop table if exists public.leak",
        "create unlogged table public.leak (words text, bytes bytea, several bytea[])",
        f"insert into public.leak values ('paid by {TEXT}', '{{\"n\":\"{BYTES}\"}}', array['x {ARRAY}'::bytea])",
    )
    try:
        assert await searched(address, program=program) == {TEXT[-4:], BYTES[-4:], ARRAY[-4:]}
    finally:
        await databases.run(Domain.VAULT, "drop table public.leak")


async def test_a_dump_that_fails_says_so(databases: Databases) -> None:
    assert PROGRAM is not None
    nowhere = databases.administrator(Domain.VAULT)
    with pytest.raises(dump.DumpFailed):
        list(
            dump.dumped(
                PROGRAM,
                Address(
                    nowhere.host,
                    nowhere.port,
                    "nowhere",
                    nowhere.user,
                    nowhere.password,
                    tls="disable",
                ),
            )
        )
