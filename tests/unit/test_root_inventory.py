# SPDX-License-Identifier: Apache-2.0
"""When a root is said to rotate: at the end of its cryptoperiod, or before, where its store rotates it by itself."""

from datetime import UTC, datetime, timedelta

import pytest

from strongroom.keys import Purpose, RootInfo
from strongroom.vault.rotation.api import root_out
from strongroom.vault.rotation.periods import Periods

MADE = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 20, tzinfo=UTC)
PERIODS = Periods(sealing_days=365, signing_days=365, hashing_days=365, root_days=365)


@pytest.mark.parametrize(
    ("store_rotates_after", "said_after", "overdue"),
    [(None, 365, False), (90, 90, True), (350, 350, False), (700, 365, False)],
)
def test_a_root_rotates_when_its_store_or_its_period_says(
    store_rotates_after: int | None,
    said_after: int,
    overdue: bool,  # noqa: FBT001 - a table's column
) -> None:
    rotates_at = None if store_rotates_after is None else MADE + timedelta(days=store_rotates_after)
    root = RootInfo(Purpose.CARD, "x", "AES", MADE, enabled=True, rotates_at=rotates_at)
    said = root_out(root, PERIODS, NOW)
    assert said.rotates_at == f"{MADE + timedelta(days=said_after):%Y-%m-%dT%H:%M:%S}.000000Z"
    assert said.overdue is overdue
