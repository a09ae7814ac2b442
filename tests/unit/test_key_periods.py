# SPDX-License-Identifier: Apache-2.0
"""Cryptoperiods: when which key is overdue, and what the doctor says of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from strongroom.cli.diagnosis.encryption_keys import judged
from strongroom.cli.keys import _algorithm
from strongroom.crypto import Algorithm
from strongroom.keys import DataKeyRow, KeyName, KeyState, Purpose, RootInfo
from strongroom.vault.rotation.periods import Periods, algorithm_of_key, algorithm_stored

MADE = datetime(2026, 3, 1, tzinfo=UTC)
PERIODS = Periods(sealing_days=365, signing_days=180, hashing_days=1_095, root_days=730)
ROW = DataKeyRow("mer_1", "test", "card", "card", 1, KeyState.ACTIVE, b"", bytes(32), MADE)


@pytest.mark.parametrize(
    ("name", "days"),
    [
        (KeyName.CARD, 365),
        (KeyName.CREDENTIALS, 365),
        (KeyName.TOTP_SECRETS, 365),
        (KeyName.TOKEN_SIGNING_SEED, 180),
        (KeyName.CHECKPOINT_SEED, 180),
        (KeyName.FINGERPRINT, 1_095),
        (KeyName.API_KEY_HASH, 1_095),
    ],
)
def test_a_period_follows_from_what_a_key_is_for(name: KeyName, days: int) -> None:
    assert PERIODS.rotates_at(replace(ROW, name=name.value)) == MADE + timedelta(days=days)


@pytest.mark.parametrize(
    "row",
    [
        replace(ROW, state=KeyState.RETIRING),
        replace(ROW, state=KeyState.DESTROYED),
        replace(ROW, name="keyring_mac_card"),
        replace(ROW, name="of_a_later_release"),
    ],
)
def test_what_seals_nothing_is_not_overdue(row: DataKeyRow) -> None:
    assert PERIODS.rotates_at(row) is None


@pytest.mark.parametrize(
    ("the_store_rotates_after", "days"), [(None, 730), (90, 90), (730, 730), (1_000, 730)]
)
def test_a_root_has_a_period_too(the_store_rotates_after: int | None, days: int) -> None:
    """Whichever is first: its cryptoperiod's end, or the day on which its store makes the next version by itself."""
    after = None if the_store_rotates_after is None else timedelta(days=the_store_rotates_after)
    rotates_at = None if after is None else MADE + after
    root = RootInfo(Purpose.CARD, "x", "AES", MADE, enabled=True, rotates_at=rotates_at)
    assert PERIODS.root_rotates_at(root) == MADE + timedelta(days=days)


def test_the_doctor_names_what_is_overdue_and_what_to_do() -> None:
    assert judged([]).level == "ok"
    found = judged(["card", "card", "fingerprint"])
    assert found.level == "warn"
    assert found.sentence == "3 encryption keys are overdue to be rotated: card, fingerprint"
    assert found.remedy == "strongroom keys list --overdue"


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        ("card", "A256GCM"),
        ("credentials", "A256CBC-HS512"),
        ("checkpoint_seed", "Ed25519"),
        ("fingerprint", "HMAC-SHA-256"),
    ],
)
def test_the_inventory_says_what_a_key_is_used_with(name: str, algorithm: str) -> None:
    assert name in set(KeyName)
    assert algorithm_of_key(name, Algorithm.A256GCM) == algorithm


@pytest.mark.parametrize(
    ("found", "printed"),
    [
        (None, "A256CBC-HS512"),
        ([], "A256CBC-HS512"),
        (["A256CBC-HS512"], "A256CBC-HS512"),
        (["A256GCM"], "A256CBC-HS512, stored: A256GCM"),
        (["A256CBC-HS512", "A256GCM"], "A256CBC-HS512, stored: A256GCM"),
    ],
)
def test_the_list_shows_what_is_stored_otherwise(found: list[str] | None, printed: str) -> None:
    assert _algorithm({"algorithm": "A256CBC-HS512", "algorithms_in_use": found}) == printed


@pytest.mark.parametrize(
    ("sealed", "algorithm"),
    [(b"\x01", "A256CBC-HS512"), (b"\x02", "A256GCM"), (b"\x03", "unknown"), (b"", "unknown")],
)
def test_the_first_byte_says_what_is_stored(sealed: bytes, algorithm: str) -> None:
    assert algorithm_stored(sealed) == algorithm
