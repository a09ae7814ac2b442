# SPDX-License-Identifier: Apache-2.0
"""What an id of before a retokenization stands for: everybody who takes a token's id asks here, or its SQL (0038)."""

from collections.abc import Sequence
from datetime import datetime

from strongroom.db.pool import ReadOnly
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.vault.writes import QUERIES


async def present_id(
    read: ReadOnly, merchant: MerchantId, mode: Mode, old: str, now: datetime
) -> TokenId | None:
    """Return the id that a token has since a retokenization; None: this is no old id, or stands for none any more."""
    row = await read.row(QUERIES["token_of_old_id"], merchant, mode, old, now)
    return None if row is None or row["token_id"] is None else TokenId(row["token_id"])


async def ids_of(
    read: ReadOnly, merchant: MerchantId, mode: Mode, token: TokenId, now: datetime
) -> Sequence[TokenId]:
    """Return every id that a token may be asked by now, its present one first."""
    rows = await read.rows(QUERIES["old_ids_of_token"], merchant, mode, token, now)
    return [token, *(TokenId(row["old_id"]) for row in rows)]
