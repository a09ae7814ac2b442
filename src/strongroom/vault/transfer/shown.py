# SPDX-License-Identifier: Apache-2.0
"""Says how much of an import's results whoever reads them is shown: of each row what its own token's container gives.

A row may have named another container than its import's, its card may have had a token elsewhere, and a token may have
been moved since. One that is gone is nobody's to read.
"""

from collections.abc import Mapping

import msgspec

from strongroom.db.pool import ReadOnly
from strongroom.vault.containers.decision import CallerAccess
from strongroom.vault.containers.model import Access, Granted, Transform
from strongroom.vault.transfer import store
from strongroom.vault.transfer.model import Import
from strongroom.vault.transfer.store import QUERIES, Part, RowResult


async def shown_part(read: ReadOnly, of: Import, row: int, access: CallerAccess) -> Part | None:
    """Return the results of the chunk that has a row, or of the next one, as a caller is shown them.

    Raises:
        AccessRefused: the caller may not read what is in the import's container.
    """
    inside = access.require(of.wish.container, Access.MASK)
    part = await store.part_from(read, of, row)
    if part is None:
        return None
    tokens = sorted({each.token for each in part.results if each.token})
    rows = await read.rows(QUERIES["containers_of_tokens"], of.merchant_id, of.mode, tokens)
    containers = {each["container"] for each in rows}
    given = {name: access.granted(name) for name in containers}
    granted: Mapping[str, Granted | None] = {
        # A row that names no token has brought what is in it, and stands nowhere else.
        "": inside,
        **{each["token_id"]: given[each["container"]] for each in rows},
    }
    return Part(part.first_row, [_shown(each, granted.get(each.token)) for each in part.results])


def _shown(result: RowResult, granted: Granted | None) -> RowResult:
    if granted is None or not granted.access.covers(Access.MASK):
        return RowResult(result.status)
    if granted.transform is Transform.REDACT:
        return msgspec.structs.replace(result, last4="")
    return result
