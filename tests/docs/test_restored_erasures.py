# SPDX-License-Identifier: Apache-2.0
"""The commands that find in the audit log what was erased after a backup, over real records of it."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from docs.pages import fences
from strongroom.audit import Action, NewRecord, Origin
from strongroom.audit.recorder import EventRecorder
from strongroom.crypto.ids import new_id
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.vault.retokenize.mapping import MAPPING_HEADER, mapping_line

PAGE: Final = Path(__file__).parents[2] / "docs/howto/back-up-and-restore.md"
SHOP, OTHER, GONE = (MerchantId(new_id("mer")) for _ in range(3))
TOKENS: Final = [new_id("tok") for _ in range(9)]
STAND_IN: Final = """#!/bin/sh
case "$1 $2" in
  "key create") test "$4" != "{unknown}" || exit 1; echo "$4/$6" ;;
  "token delete") echo "$STRONGROOM_KEY $3" >> {said}; exit 1 ;;
esac
"""


@pytest.fixture
def recorded() -> Any:
    nowhere: Any = None
    recorder = EventRecorder(nowhere, Secret(bytes(32)), SystemClock())

    def record(
        action: Action, merchant: MerchantId, mode: Mode, thing: str, **details: str | int
    ) -> bytes:
        made: NewRecord = recorder.make(
            action,
            actor="key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
            merchant=merchant,
            mode=mode,
            thing=thing,
            origin=Origin(),
            now=datetime.now(UTC),
            details=details,
        )
        return bytes(made.payload) + b"\n"

    return record


def test_what_was_erased_after_a_backup_is_found_and_deleted_again(
    recorded: Any, tmp_path: Path
) -> None:
    deleted, replaced = Action.VAULT_TOKEN_DELETED, Action.VAULT_TOKEN_REPLACED
    plain, first, second, third, kept, moved, lost, restarted, unknown = TOKENS
    first_tree = [
        recorded(deleted, SHOP, Mode.TEST, plain, brand="visa", last4="4242"),
        # Its id was changed twice before it was deleted, and each change has a mapping file of its own.
        recorded(replaced, SHOP, Mode.LIVE, first),
        recorded(replaced, SHOP, Mode.LIVE, second),
        recorded(deleted, SHOP, Mode.LIVE, third, brand="visa", last4="4242", reason="erased"),
        recorded(replaced, SHOP, Mode.LIVE, kept),
        recorded(replaced, OTHER, Mode.TEST, lost),
        recorded(
            Action.VAULT_ERASURE_REQUESTED, SHOP, Mode.LIVE, new_id("ers"), count=1, operation="token"
        ),
        recorded(
            Action.VAULT_ERASURE_REQUESTED, GONE, Mode.LIVE, new_id("ers"), count=0, operation="merchant"
        ),
        recorded(deleted, GONE, Mode.LIVE, new_id("job"), count=500, reason="merchant_erased"),
    ]  # fmt: skip
    later = [
        recorded(deleted, OTHER, Mode.TEST, restarted, brand="visa", last4="4242"),
        recorded(deleted, GONE, Mode.TEST, unknown, brand="visa", last4="4242"),
    ]
    for folder, lines in (("segments", first_tree), ("generation-2/segments", later)):
        segments = tmp_path / "worm/vault" / folder
        segments.mkdir(parents=True)
        (segments / "00000000.jsonl").write_bytes(b"".join(lines))
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    until = "2026-11-20T09:30:00.000000Z"
    for name, pairs in (("a", [(first, second), (kept, moved)]), ("b", [(second, third)])):
        text = MAPPING_HEADER + "".join(mapping_line(old, new, until) for old, new in pairs)
        (mappings / f"{name}.csv").write_text(text, newline="")
    stand_in, said = tmp_path / "bin/strongroom", tmp_path / "said"
    stand_in.parent.mkdir()
    stand_in.write_text(STAND_IN.replace("{said}", str(said)).replace("{unknown}", GONE))
    stand_in.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    blocks = [content for _, info, content in fences(PAGE) if info == "sh" and "again" in content]
    ended = subprocess.run(
        ["/bin/bash", "-eu"],
        input="\n".join(blocks).replace("/mnt/", f"{tmp_path}/"),
        cwd=work,
        env={"PATH": f"{stand_in.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ended.stderr == ""
    assert sorted(said.read_text().splitlines()) == sorted(
        [
            f"{SHOP}/test {plain}",
            *(f"{SHOP}/live {token}" for token in (first, second, third)),
            f"{OTHER}/test {restarted}",
        ]
    )
    assert ended.stdout.splitlines() == [f"{GONE} live", f"{OTHER} test {lost}"]
