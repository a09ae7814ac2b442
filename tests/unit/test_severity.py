# SPDX-License-Identifier: Apache-2.0
"""Every act is a security event of some severity or ordinary business; no event is written past the stream."""

import re
from pathlib import Path

import pytest

import strongroom
from strongroom.audit.actions import Action
from strongroom.audit.severity import ORDINARY, SEVERITY, Severity, severity_of

SOURCE = Path(strongroom.__file__).parent


@pytest.mark.parametrize("action", Action)
def test_every_action_stands_in_exactly_one_table(action: Action) -> None:
    assert (action in SEVERITY) != (action in ORDINARY)
    assert (severity_of(action) is None) == (action in ORDINARY)


def test_what_concerns_people_and_denials_is_never_ordinary() -> None:
    for action in Action:
        if action.value.startswith(("identity.", "http.")):
            assert action in SEVERITY or action is Action.IDENTITY_TOKEN_ISSUED
    assert severity_of(Action.IDENTITY_BREAK_GLASS_STARTED) is Severity.HIGH


def test_what_is_written_together_past_the_recorder_is_ordinary() -> None:
    """Tokens and payments are saved by functions of the database, whose records the stream is not told of."""
    checked = 0
    for path in [*(SOURCE / "vault").rglob("*.py"), *(SOURCE / "payments").rglob("*.py")]:
        text = path.read_text()
        if "recorder.insert(" not in text:
            for name in re.findall(r"\bAction\.([A-Z_]+)\b", text):
                assert Action[name] in ORDINARY, f"{path.name} makes {name}"
                checked += 1
    assert checked > 5
