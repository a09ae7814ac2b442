# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ logins under way and tallies."""

from datetime import datetime, timedelta
from typing import Final

from strongroom.db.pool import ReadOnly, Transaction
from strongroom.db.queries import load_queries
from strongroom.identity.login.lockout import (
    FORGET_SECONDS,
    AccountTally,
    NetworkTally,
)
from strongroom.identity.login.model import Account, Handle
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.invariant import Bug
from strongroom.kernel.mode import Mode

_QUERIES: Final = load_queries("strongroom.identity.login")
_FORGET: Final = timedelta(seconds=FORGET_SECONDS)


async def insert_login(tx: Transaction, handle: Handle, expires_at: datetime) -> None:
    """Keep a login whose first step was taken."""
    await tx.run(
        _QUERIES["insert_login"],
        handle.account.merchant,
        handle.handle_hash,
        handle.account.name,
        handle.proved,
        handle.mode,
        expires_at,
    )


async def login_by_handle(read: ReadOnly, handle_hash: bytes, now: datetime) -> Handle | None:
    """Return the login behind a presented handle; sees no other, because the transaction states the handle."""
    await read.row(_QUERIES["present_login"], handle_hash.hex())
    row = await read.row(_QUERIES["login_by_handle"], handle_hash, now)
    if row is None:
        return None
    account = Account(MerchantId(row["merchant_id"]), row["account"])
    return Handle(row["handle_hash"], account, row["proved"], Mode(row["mode"]))


async def end_login(tx: Transaction, merchant: MerchantId, handle_hash: bytes) -> bool:
    """End a login under way; tell whether it still was."""
    return await tx.run(_QUERIES["end_login"], merchant, handle_hash) > 0


async def hold_tallies(
    tx: Transaction, account: Account, network: bytes, now: datetime
) -> tuple[NetworkTally, AccountTally]:
    """Lock both tallies until the transaction ends, the network's first, and return them."""
    key = (account.merchant, account.name)
    row = await tx.row(_QUERIES["hold_network"], *key, network, now + _FORGET)
    spent = await tx.row(_QUERIES["hold_account"], *key, now, now + _FORGET)
    if row is None or spent is None:
        raise Bug("what was just put is there")
    return (
        NetworkTally(row["failures"], row["locked_until"], row["known_until"]),
        AccountTally(spent["spent_until"]),
    )


async def save_tallies(
    tx: Transaction,
    account: Account,
    network: bytes,
    tallies: tuple[NetworkTally, AccountTally],
    now: datetime,
) -> None:
    """Keep both tallies, which this transaction holds."""
    counted, spent = tallies
    forget_at = max(now + _FORGET, counted.known_until or now)
    key = (account.merchant, account.name)
    await tx.run(
        _QUERIES["save_network"],
        *key,
        network,
        counted.failures,
        counted.locked_until,
        counted.known_until,
        forget_at,
    )
    await tx.run(_QUERIES["save_account"], *key, spent.spent_until)


async def clear_tallies(tx: Transaction, account: Account) -> bool:
    """Lift every lock of an account, the networks' first; tell whether anything was counted."""
    key = (account.merchant, account.name)
    networks = await tx.run(_QUERIES["clear_networks"], *key)
    return await tx.run(_QUERIES["clear_account"], *key) + networks > 0


async def last_lock(read: ReadOnly, account: Account, now: datetime) -> datetime | None:
    """Return until when the last of the locked networks is locked."""
    row = await read.row(_QUERIES["last_lock"], account.merchant, account.name, now)
    return None if row is None else row["locked_until"]


async def sweep(tx: Transaction) -> int:
    """Remove what is past, of everybody; return how many rows that were."""
    return sum(
        [
            await tx.run(_QUERIES[name])
            for name in ("sweep_logins", "sweep_networks", "sweep_accounts")
        ]
    )
