# SPDX-License-Identifier: Apache-2.0
"""Credentials while they are rotated, as a table: what each act makes of what is there, and what it refuses."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.kernel.clock import rfc3339
from strongroom.kernel.secret import Secret
from strongroom.vault.credential_slots import (
    KEEP_SECONDS_MAX,
    CredentialChange,
    Slots,
    changed,
    is_over,
    state_of,
)
from strongroom.vault.errors import NothingStaged, NothingToRestore, StagedMeanwhile

NOW: Final = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
LATER: Final = int((NOW + timedelta(hours=1)).timestamp())
PAST: Final = int(NOW.timestamp())
Act = Literal["staged", "promoted", "replaced", "restored", "discarded", "forgotten"]


def slots(now: str, following: str = "", former: str = "", until: int | None = None) -> Slots:
    staged_at = rfc3339(NOW) if following else None
    return Slots(
        "p", "https://p.example", {"k": now}, _of(following), staged_at, _of(former), until
    )


def _of(value: str) -> dict[str, str] | None:
    return {"k": value} if value else None


def shown(of: Slots) -> tuple[str, str, str]:
    values = (of.credentials, of.next or {}, of.former or {})
    return (values[0].get("k", ""), values[1].get("k", ""), values[2].get("k", ""))


#: What is there, the act with what it says, and what is then there, or the refusal.
ACTS: list[tuple[Slots, Act, dict[str, Any], tuple[str, str, str] | type[Exception]]] = [
    (slots("a"), "staged", {"credentials": "b"}, ("a", "b", "")),
    (slots("a", "b"), "staged", {"credentials": "c"}, ("a", "c", "")),
    (slots("a", "", "z", LATER), "staged", {"credentials": "b"}, ("a", "b", "z")),
    (slots("a"), "promoted", {"staged_at": rfc3339(NOW)}, NothingStaged),
    (slots("a", "b"), "promoted", {"staged_at": "another"}, StagedMeanwhile),
    (slots("a", "b"), "promoted", {}, StagedMeanwhile),
    (slots("a", "b"), "promoted", {"staged_at": rfc3339(NOW), "keep_seconds": 60}, ("b", "", "a")),
    (slots("a", "b"), "promoted", {"staged_at": rfc3339(NOW)}, ("b", "", "")),
    (
        slots("a", "b", "z", LATER),
        "promoted",
        {"staged_at": rfc3339(NOW), "keep_seconds": 60},
        ("b", "", "a"),
    ),
    (slots("a", "n"), "replaced", {"credentials": "b", "keep_seconds": 60}, ("b", "n", "a")),
    (slots("a", "n"), "replaced", {"credentials": "b"}, ("b", "n", "")),
    (slots("a"), "restored", {}, NothingToRestore),
    (slots("a", "", "z", PAST), "restored", {}, NothingToRestore),
    (slots("a", "b", "z", LATER), "restored", {}, ("z", "b", "")),
    (slots("a", "b", "z", LATER), "discarded", {}, ("a", "", "z")),
    (slots("a"), "discarded", {}, ("a", "", "")),
    (slots("a", "b", "z", LATER), "forgotten", {}, ("a", "b", "")),
    (slots("a"), "forgotten", {}, ("a", "", "")),
]


@pytest.mark.parametrize(("before", "act", "said", "expected"), ACTS)
def test_what_each_act_makes_of_what_is_there(
    before: Slots, act: Act, said: dict[str, Any], expected: tuple[str, str, str] | type[Exception]
) -> None:
    value = said.pop("credentials", None) if (said := dict(said)) else None
    given_ = {} if value is None else {"k": Secret(value)}
    change = CredentialChange(act, given_, **said)
    if isinstance(expected, type):
        with pytest.raises(expected):
            changed(before, change, NOW)
        return
    after = changed(before, change, NOW)
    assert shown(after) == expected
    assert (after.processor, after.base_url) == (before.processor, before.base_url)
    assert (after.next is None) == (after.staged_at is None)
    assert (after.former is None) == (after.former_until is None)


def test_what_was_sealed_before_there_were_next_ones_is_read_and_written_alike() -> None:
    before = b'{"processor":"p","base_url":"https://p.example","credentials":{"k":"a"}}'
    read = msgspec.json.decode(before, type=Slots)
    assert read == slots("a")
    assert msgspec.json.encode(read) == before


@given(st.integers(0, 10**9))
def test_what_was_before_is_kept_for_a_week_at_most(seconds: int) -> None:
    kept = changed(
        slots("a"), CredentialChange("replaced", {"k": Secret("b")}, keep_seconds=seconds), NOW
    )
    until = state_of(kept, NOW).former_until
    assert (until is None) == (seconds == 0)
    assert until is None or until <= NOW + timedelta(seconds=KEEP_SECONDS_MAX)
    assert not is_over(kept, NOW)
    assert is_over(kept, NOW + timedelta(seconds=KEEP_SECONDS_MAX)) == (seconds > 0)
    assert state_of(kept, NOW + timedelta(seconds=KEEP_SECONDS_MAX)).former_until is None


def test_nothing_of_it_prints() -> None:
    whole = slots("alpha", "beta", "gamma", LATER)
    change = CredentialChange("staged", {"k": Secret("delta")})
    printed = f"{whole!r} {whole} {change!r} {state_of(whole, NOW)!r}"
    assert not any(word in printed for word in ("alpha", "beta", "gamma", "delta"))
