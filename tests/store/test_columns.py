# SPDX-License-Identifier: Apache-2.0
"""Columns as one parameter each: what the database takes apart is what was put together, whatever the values."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import pytest_asyncio

from database import Databases
from strongroom.audit import NewRecord
from strongroom.crypto.ids import new_id
from strongroom.crypto.random import random_bytes
from strongroom.db.columns import (
    BETWEEN,
    NULL,
    moments,
    numbers,
    padded_run,
    run_of_bytes,
    run_of_hashes,
    texts,
)
from strongroom.db.group_commit import GroupWriter
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database, connect
from strongroom.kernel.ids import AuditId, MerchantId, TokenId
from strongroom.kernel.invariant import Bug
from strongroom.kernel.mode import Mode
from strongroom.vault import writes
from strongroom.vault.model import DetailRow
from strongroom.vault.writes import TokenRow, TokenSink, TokenWrite

NOW = datetime(2026, 11, 27, 9, 30, 0, 123456, tzinfo=UTC)
ELSEWHERE = NOW.astimezone(timezone(timedelta(hours=5, minutes=45)))
#: As far off as a caller may write it, and further than PostgreSQL reads.
FAR_OFF = NOW.astimezone(timezone(timedelta(hours=23, minutes=59)))
#: An expression over $1 and the count $2; what packs; columns.
APART = "vault.apart($1::text, $2::integer)"
NUMBERS = "vault.apart_numbers($1::text, $2::integer)"
MOMENTS = "vault.apart_moments($1::text, $2::integer)"
COLUMNS: list[tuple[str, Any, Sequence[Any]]] = [
    (APART, texts, ["a"]),
    (APART, texts, ["a", "b", "a"]),
    (APART, texts, ["same", "same", "same"]),
    (APART, texts, [None, "b", None]),
    (APART, texts, ["NULL", "null", "{}", ",", '"', "\\", " ", "\n", "é", "\U0001f512"]),
    (APART, texts, ['{"a":"\\u001f"}', "x"]),
    (APART, texts, []),
    (NUMBERS, numbers, [1]),
    (NUMBERS, numbers, [7, 7, 7]),
    (NUMBERS, numbers, [0, -1, 2**31 - 1, None]),
    (NUMBERS, numbers, []),
    (MOMENTS, moments, [NOW]),
    (MOMENTS, moments, [NOW, NOW]),
    (MOMENTS, moments, [FAR_OFF]),
    (MOMENTS, moments, [NOW + timedelta(days=1), FAR_OFF]),
    (MOMENTS, moments, [NOW, None, NOW + timedelta(microseconds=1), ELSEWHERE]),
    (MOMENTS, moments, []),
]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def vault(databases: Databases) -> Database:
    return await databases.open(Domain.VAULT, Login.VAULT, connections_max=4)


@pytest.mark.parametrize(("apart", "pack", "column"), COLUMNS)
async def test_a_column_comes_apart_as_it_was(
    vault: Database, apart: str, pack: Any, column: Sequence[Any]
) -> None:
    async with vault.connection() as connection:
        found = await connection.fetchval(f"select {apart}", pack(column), len(column))
    assert list(found) == list(column)


async def test_a_column_of_nulls_alone_is_null(vault: Database) -> None:
    for pack, apart in ((texts, APART), (numbers, NUMBERS), (moments, MOMENTS)):
        assert pack([None, None]) is None
        async with vault.connection() as connection:
            assert await connection.fetchval(f"select {apart}", None, 2) is None


@pytest.mark.parametrize(
    "column",
    [
        [f"a{BETWEEN}b"],
        [f"a{BETWEEN}b", "c"],
        [NULL],
        ["a", NULL],
        ["a", f"b{NULL}"],
        ["a", ""],
        [""],
    ],
)
def test_a_text_that_could_move_to_another_row_is_refused(column: list[str]) -> None:
    with pytest.raises(Bug):
        texts(column)


def test_bytes_that_could_move_to_another_row_are_refused() -> None:
    for pack, column in (
        (run_of_bytes, [b"ab", b"a"]),
        (run_of_bytes, [b""]),
        (run_of_hashes, [bytes(31)]),
        (run_of_hashes, [bytes(32), bytes(33), bytes(31)]),
        (padded_run, [b"a", b"b\0"]),
        (padded_run, [b"a", b""]),
    ):
        with pytest.raises(Bug):
            pack(column)


def _tokens(first: int) -> list[TokenRow]:
    """Tokens of a call, as different from one another as tokens are."""
    rows = []
    for n in range(first, first + writes.PACKED_FROM + 20):
        fingerprint = random_bytes(32) if n % 3 else None
        rows.append(
            TokenRow(
                TokenId(new_id("tok")),
                sealed=bytes([n % 7]) * 81,
                key_version=1 + n % 2,
                brand="visa" if n % 2 else "synthetic",
                bin=f"{n:06d}",
                last4=f"{n:04d}",
                exp_month=1 + n % 12,
                exp_year=2030 + n % 9,
                fingerprint=fingerprint,
                fingerprint_version=3 if fingerprint else None,
                single_use=n % 5 == 0,
                expires_at=NOW + timedelta(days=n) if n % 4 == 0 else None,
                metadata=f'{{"n": "{n}", "text": "a, b"}}' if n % 6 == 0 else None,
                created_by="key_test",
                created_at=NOW + timedelta(seconds=n),
                container="default" if n % 8 == 0 else None,
                kind="network_token" if n % 9 == 0 else None,
                pan_alias=f"99{n:014d}" if n % 10 == 0 else None,
                details=[DetailRow("holder", b"sealed", 1, None)] if n % 11 == 0 else (),
            )
        )
    return rows


def _write(merchant: MerchantId, key: str, tokens: Sequence[TokenRow]) -> TokenWrite:
    records = [
        NewRecord(
            AuditId(new_id("aud")), merchant, Mode.TEST, b"{%s}" % (b"x" * (n % 50)),
            row.token.encode().ljust(32, b"l"), row.token.encode().ljust(32, b"m"),
        )
        for n, row in enumerate(tokens)
    ]  # fmt: skip
    return TokenWrite(
        merchant=merchant, mode=Mode.TEST, route="POST /v1/tokens/bulk", key=key, claim=new_id("req"),
        fingerprint=bytes(32), status=200, object_id=None, response=b"{}", answer=b"{}", tokens=tokens,
        records=records, rebuild=_never_known,
    )  # fmt: skip


def _never_known(found: object) -> TokenWrite:
    raise AssertionError(f"no card is known: {found}")


#: All that is kept of a merchant's tokens, but for the merchant and the ids of the records.
KEPT = (
    "select to_jsonb(t) - 'merchant_id' from vault.token t where merchant_id = $1 order by token_id",
    "select to_jsonb(d) - 'merchant_id' from vault.token_detail d where merchant_id = $1 order by token_id, field",
    "select to_jsonb(i) - 'merchant_id' from vault.card_identity i where merchant_id = $1 order by fingerprint",
    "select to_jsonb(r) - 'merchant_id' - 'claim' from idempotency.request r where merchant_id = $1 order by key",
    "select mode, payload, leaf_hash, row_mac from audit.event where merchant_id = $1 order by row_mac",
)


async def test_single_tokens_of_several_merchants_are_written_as_columns_too(
    vault: Database, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of many calls for one token each, which names no groups."""
    administrator = await connect(databases.administrator(Domain.VAULT))
    rows = _tokens(0)
    kept = []
    try:
        for packed_from in (writes.PACKED_FROM, 10**9):
            monkeypatch.setattr(writes, "PACKED_FROM", packed_from)
            merchants = [MerchantId(new_id("mer")) for _ in range(3)]
            writer = GroupWriter(TokenSink(vault))
            await asyncio.gather(
                *[
                    writer.submit(_write(merchants[n % 3], f"{n}", [row]))
                    for n, row in enumerate(rows)
                ]
            )
            kept.append(
                [[await administrator.fetch(query, each) for query in KEPT] for each in merchants]
            )
    finally:
        await administrator.close()
    assert kept[0] == kept[1]
    assert sum(len(of_merchant[0]) for of_merchant in kept[0]) == len(rows)


@pytest.mark.parametrize("calls", [1, 3])
async def test_many_tokens_are_written_as_few_are(
    vault: Database, databases: Databases, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """The same calls, sent as columns and as arrays, leave the same rows."""
    groups = [_tokens(1_000 * n) for n in range(calls)]
    kept = []
    administrator = await connect(databases.administrator(Domain.VAULT))
    try:
        for packed_from in (writes.PACKED_FROM, 10**9):
            monkeypatch.setattr(writes, "PACKED_FROM", packed_from)
            merchant = MerchantId(new_id("mer"))
            writer = GroupWriter(TokenSink(vault))
            written = await asyncio.gather(
                *[writer.submit(_write(merchant, f"{n}", rows)) for n, rows in enumerate(groups)]
            )
            assert [each.created for each in written] == [len(rows) for rows in groups]
            kept.append([await administrator.fetch(query, merchant) for query in KEPT])
    finally:
        await administrator.close()
    assert kept[0] == kept[1]
    assert [len(rows) for rows in kept[0]] == [
        sum(map(len, groups)),
        sum(bool(row.details) for rows in groups for row in rows),
        sum(row.fingerprint is not None for rows in groups for row in rows),
        calls,
        sum(map(len, groups)),
    ]
