# SPDX-License-Identifier: Apache-2.0
"""What was counted under a payment's subjects, for a trial: nothing is counted, and no payment waits for it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.payments.brakes.decisions import WATCHED, counters
from strongroom.payments.brakes.model import Counter, Counts, Facts, Held, Setting
from strongroom.payments.brakes.store import QUERIES, BrakeStore

_counts: Final = msgspec.json.Decoder(Counts).decode
_held: Final = msgspec.json.Decoder(Held).decode


async def counts_of(
    store: BrakeStore,
    merchant: MerchantId,
    mode: Mode,
    setting: Setting,
    facts: Facts,
    now: datetime,
) -> tuple[Sequence[tuple[Counter, Counts]], Sequence[Held]]:
    """Return what `decide` would be given for a payment now."""
    counted = []
    incidents = []
    async with store.database.transaction([merchant]) as read:
        for each in counters(setting, facts):
            row = await read.row(
                QUERIES["counts_now"],
                merchant,
                mode,
                each.subject,
                each.value,
                each.window,
                facts.card,
                now,
            )
            counted.append((each, Counts() if row is None else _counts(row["counts"])))
        if setting.card_testing.action == "brake":
            for subject in WATCHED:
                value = facts.subjects().get(subject)
                row = await read.row(QUERIES["incident_now"], merchant, mode, subject, value, now)
                if row is not None:
                    incidents.append(_held(row["held"]))
    return counted, incidents
