# SPDX-License-Identifier: Apache-2.0
"""What a refresh token is worth, and what its text gives away: without a database, a clock or a server."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from strongroom.crypto.ids import new_id
from strongroom.identity.sessions.decisions import ABSOLUTE, GRACE, IDLE, Verdict, judge
from strongroom.identity.sessions.model import Holder, Rotation, Session
from strongroom.identity.sessions.refresh_text import RefreshTexts
from strongroom.kernel.cardlike import Detector, has_cardlike
from strongroom.kernel.ids import MerchantId, PersonId, SessionId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role
from strongroom.kernel.schemes import DEFAULT_TABLE
from strongroom.kernel.secret import Secret
from strongroom.telemetry.scrub import CREDENTIAL_REMOVED, CardScrubber

START = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
NOW, BEFORE, OLD = b"n" * 32, b"b" * 32, b"o" * 32
SESSION = Session(
    SessionId(new_id("ses")),
    MerchantId(new_id("mer")),
    PersonId(new_id("usr")),
    Mode.TEST,
    ("mfa", "otp", "pwd"),
    None,
    START,
    START,
    START,
    START + ABSOLUTE,
    None,
    None,
)
ROTATION = Rotation(NOW, BEFORE, b"s" * 32)
ACTIVE = Holder(Role.ADMIN, active=True)


@pytest.mark.parametrize(
    ("presented", "later", "verdict"),
    [
        (NOW, timedelta(0), Verdict.ROTATE),
        (NOW, IDLE, Verdict.ROTATE),
        (NOW, IDLE + MOMENT, Verdict.IDLE),
        (BEFORE, timedelta(0), Verdict.REPEAT),
        (BEFORE, GRACE, Verdict.REPEAT),
        (BEFORE, GRACE + MOMENT, Verdict.REUSED),
        (OLD, timedelta(0), Verdict.REUSED),
        (OLD, GRACE, Verdict.REUSED),
    ],
)
def test_the_table(presented: bytes, later: timedelta, verdict: Verdict) -> None:
    assert judge(SESSION, ROTATION, ACTIVE, presented, START + later) is verdict


def test_what_stands_against_any_token() -> None:
    ended = replace(SESSION, ended_at=START, ended_reason="logout")
    fresh = replace(SESSION, used_at=SESSION.ends_at)
    for presented in (NOW, BEFORE, OLD):
        assert judge(ended, ROTATION, ACTIVE, presented, START) is Verdict.OVER
        assert judge(fresh, ROTATION, ACTIVE, presented, SESSION.ends_at) is Verdict.EXPIRED
        away = Holder(Role.ADMIN, active=False)
        assert judge(SESSION, ROTATION, away, presented, START) is Verdict.SUSPENDED


def test_before_the_first_rotation_nothing_was_before() -> None:
    first = Rotation(NOW, None, None)
    assert judge(SESSION, first, ACTIVE, BEFORE, START) is Verdict.REUSED


# --- the text ----------------------------------------------------------------------------------------

TEXTS = RefreshTexts(Secret(b"k" * 32))
OTHERS = RefreshTexts(Secret(b"K" * 32))


def test_a_token_names_its_session_to_us_alone() -> None:
    first = TEXTS.first(SESSION.session)
    assert TEXTS.session_of(first) == SESSION.session
    assert OTHERS.session_of(first) is None


def test_no_letter_of_it_can_be_another() -> None:
    text = TEXTS.first(SESSION.session).expose()
    for at, letter in enumerate(text):
        other = text[:at] + ("A" if letter != "A" else "B") + text[at + 1 :]
        assert TEXTS.session_of(Secret(other)) is None, at
    for other in ("", text[:-1], text + "A", " " + text, text + "\n", text.upper()):
        assert TEXTS.session_of(Secret(other)) is None


def test_a_successor_follows_from_the_token_and_the_salt_and_from_nothing_less() -> None:
    first, salt = TEXTS.first(SESSION.session), b"1" * 32

    def successor(texts: RefreshTexts, text: Secret[str], with_salt: bytes) -> Any:
        return texts.successor(text, SESSION.session, with_salt).expose()

    known = successor(TEXTS, first, salt)
    assert known == successor(TEXTS, first, salt)
    assert known not in (
        successor(OTHERS, first, salt),
        successor(TEXTS, first, b"2" * 32),
        successor(TEXTS, TEXTS.first(SESSION.session), salt),
    )
    assert TEXTS.session_of(Secret(known)) == SESSION.session
    assert TEXTS.hash_of(first) != OTHERS.hash_of(first)


def test_it_is_never_taken_for_a_card_number_and_is_taken_out_of_the_log() -> None:
    scrubber = CardScrubber(Detector(DEFAULT_TABLE))
    for _ in range(200):
        text = TEXTS.first(SessionId(new_id("ses"))).expose()
        assert not has_cardlike(text)
        assert (
            scrubber.clean(f"refused {text} just now") == f"refused {CREDENTIAL_REMOVED} just now"
        )
