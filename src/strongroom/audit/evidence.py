# SPDX-License-Identifier: Apache-2.0
"""Records and their proofs for whoever shows them to others: found by what they are about and when, under one head.

Implements `Evidence`. What is shown is the tenant's own; that it was shown is recorded by whoever shows it.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, final

from strongroom.audit import store
from strongroom.audit.errors import NotSealedYet
from strongroom.audit.ports import About, ProvenTogether, Shown
from strongroom.audit.proofs import Proofs
from strongroom.db.pool import Database
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.ids import MerchantId, encode_id
from strongroom.kernel.mode import Mode

#: A record's id is made right after the moment that it names; under load a change waits for its turn in between.
_BEFORE: Final = timedelta(seconds=5)
_AFTER: Final = timedelta(minutes=2)
_NO_ENTROPY: Final = bytes(10)


@final
class DatabaseEvidence:
    """Finds and proves records of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._proofs = Proofs(database)

    async def proven(
        self, merchant: MerchantId, mode: Mode, wanted: Sequence[About]
    ) -> ProvenTogether:
        """Return these records in order, each with its proof under the newest head.

        Raises:
            NotSealedYet: one of them is not in the signed tree yet, or not found at its moment.
            TreeDamaged: the tiles do not lead to the head.
        """
        async with self._database.transaction([merchant]) as read:
            rows = await read.rows(
                store.QUERIES["events_about"],
                merchant,
                mode,
                [_bytes("object", each.thing) for each in wanted],
                [_bytes("time", rfc3339(each.moment)) for each in wanted],
                [_id_at(each, -_BEFORE) for each in wanted],
                [_id_at(each, _AFTER) for each in wanted],
            )
            places = await store.places(read, [row["event_id"] for row in rows])
            head = await store.latest_checkpoint(read)
        if head is None or len(rows) != len(wanted) or len(places) != len(rows):
            raise NotSealedYet
        shown = []
        for row in rows:
            leaf = bytes(row["leaf_hash"])
            proof = await self._proofs.inclusion(places[row["event_id"]], leaf, head)
            shown.append(Shown(bytes(row["payload"]), leaf, proof))
        return ProvenTogether(shown, head.origin, head.size, head.note)


def _bytes(member: str, value: str) -> bytes:
    """Return how a member stands in a leaf (`record.LEAF`): no value has a quote in it."""
    return f'"{member}":"{value}"'.encode()


def _id_at(about: About, offset: timedelta) -> str:
    moment = about.moment + offset
    return encode_id("aud", max(0, int(moment.timestamp() * 1_000)), _NO_ENTROPY)
