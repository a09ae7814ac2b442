# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ allow-lists."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from strongroom.db.pool import ReadOnly, Transaction
from strongroom.db.queries import load_queries
from strongroom.identity.networks.model import (
    AllowList,
    ListMode,
    Subject,
    SubjectKind,
    SubjectMalformed,
)
from strongroom.kernel.ids import MerchantId, NetworkId

_QUERIES: Final = load_queries("strongroom.identity.networks")


def _subject(text: str) -> Subject:
    """Read a subject. One that only a later release knows is taken for the whole tenant: too strict, never too lax."""
    try:
        return Subject.parse(text)
    except SubjectMalformed:
        return Subject(SubjectKind.TENANT)


def _list(row: Mapping[str, Any]) -> AllowList:
    return AllowList(
        NetworkId(row["network_id"]),
        MerchantId(row["merchant_id"]),
        ListMode(row["mode"]),
        _subject(row["subject"]),
        tuple(row["networks"]),
        row["name"],
        row["changed_by"],
        row["changed_at"],
    )


async def note_change(tx: Transaction, merchant: MerchantId) -> None:
    """Note that a tenant's lists change here, and wait for another change of them to commit."""
    await tx.run(_QUERIES["note_change"], merchant)


async def list_changes(read: ReadOnly) -> Mapping[MerchantId, int]:
    """Return the number of the last change of every tenant that has or had lists."""
    return {
        MerchantId(row["tenant"]): row["version"]
        for row in await read.rows(_QUERIES["list_changes"])
    }


async def list_networks(read: ReadOnly) -> Sequence[AllowList]:
    """Return the lists of the tenants that this transaction may see."""
    return [_list(row) for row in await read.rows(_QUERIES["list_networks"])]


async def put_network(tx: Transaction, wanted: AllowList) -> NetworkId:
    """Keep a list in the place of its subject's earlier one; return its id, which is the earlier one's if there was."""
    row = await tx.row(
        _QUERIES["put_network"],
        wanted.merchant,
        wanted.network_id,
        wanted.mode,
        str(wanted.subject),
        list(wanted.networks),
        wanted.name,
        wanted.changed_by,
        wanted.changed_at,
    )
    return wanted.network_id if row is None else NetworkId(row["network_id"])


async def remove_network(tx: Transaction, merchant: MerchantId, network: NetworkId) -> bool:
    """End a list; tell whether there was one."""
    return await tx.row(_QUERIES["remove_network"], merchant, network) is not None


async def is_there(read: ReadOnly, merchant: MerchantId, subject: Subject) -> bool:
    """Tell whether a tenant has the key or person that a list is about. Of services only the form is known here."""
    if subject.kind not in (SubjectKind.KEY, SubjectKind.PERSON):
        return True
    query = _QUERIES[f"{subject.kind}_is_there"]
    return await read.row(query, merchant, subject.name) is not None
