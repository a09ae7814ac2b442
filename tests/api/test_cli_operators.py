# SPDX-License-Identifier: Apache-2.0
"""Operators' commands on a real installation: merchants, keys and the audit logs, with a server running and without."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import Ended, Installed, installed
from service import free_ports
from strongroom.cli.installation import DATABASES
from strongroom.db.logins import Domain
from strongroom.identity.key_text import is_well_formed
from strongroom.kernel.ids import is_id

UNKNOWN = "0" * 26


@pytest.fixture(scope="module")
def site() -> Iterator[Installed]:
    with installed(free_ports(4)) as made:
        yield made


@pytest.fixture(scope="module")
def merchant(site: Installed) -> str:
    made = site.run.done("merchant", "create", "Corner [bold]Shop[/]", "--json").json
    assert is_id("mer", made["id"])
    return str(made["id"])


async def all_of(site: Installed, *calls: tuple[str, ...]) -> list[Ended]:
    """Run commands beside each other, as two operators might."""
    return await asyncio.gather(*(asyncio.to_thread(site.run, *call) for call in calls))


async def test_merchants_are_made_listed_and_shown(site: Installed, merchant: str) -> None:
    listed, shown, unknown = await all_of(
        site,
        ("merchant", "list"),
        ("merchant", "show", merchant, "--json"),
        ("merchant", "show", f"mer_{UNKNOWN}"),
    )
    name = "Corner [bold]Shop[/]"
    line = rf"^{merchant}  active  .*  {re.escape(name)} *$"
    assert re.search(line, listed.out, re.MULTILINE), "a name is never read as markup"
    made = shown.json
    assert (made["id"], made["name"], made["keys"]) == (merchant, name, [])
    assert (unknown.code, unknown.err) == (1, "merchant_unknown: There is no such merchant.\n")


async def test_a_key_is_shown_once_and_ends_when_it_is_revoked(
    site: Installed, merchant: str
) -> None:
    new = ("key", "create", "--merchant", merchant, "--mode", "test", "--name", "backend")
    quiet, restricted, public = await all_of(
        site,
        (*new, "--kind", "sk", "--quiet"),
        (*new, *"--kind rk --permission vault:token:read --expires 2034-01-01 --json".split()),
        (*new, *"--kind pk --origin https://shop.example".split()),
    )
    assert is_well_formed(quiet.out.removesuffix("\n"))
    assert is_well_formed(public.out.removesuffix("\n")), "the text alone goes to standard output"
    assert "shown once" in public.err
    key = restricted.json
    assert is_well_formed(key["text"])
    assert key["permissions"] == ["vault:token:read"]
    assert key["expires_at"] == "2034-01-01T00:00:00.000000Z"

    revoked = site.run.done("key", "revoke", key["id"], "--json")
    assert revoked.json["revoked_at"] is not None
    again, shown = await all_of(
        site,
        ("key", "revoke", key["id"], "--merchant", merchant, "--json"),
        ("merchant", "show", merchant),
    )
    assert again.json == revoked.json, "the first time stays"
    assert re.search(rf"^{key['id']}  test  rk    …\w{{4}}  revoked ", shown.out, re.MULTILINE)
    active = re.findall(r"^key_\w{26}  test  [sp]k    …\w{4}  active ", shown.out, re.MULTILINE)
    assert len(active) == 2
    printed = shown.out + revoked.out
    assert not any(text.strip() in printed for text in (quiet.out, public.out, key["text"]))


#: What is asked for, exit code, what is said.
KEY_REFUSALS = [
    ("--mode test --kind rk", 1, "key_refused: a restricted key is made with at least one"),
    ("--mode test --kind sk --expires 2020-01-01", 1, "invalid: a key expires in the future"),
    ("--mode test --kind sk --expires tomorrow", 2, "--expires is a date or a time in ISO 8601"),
    ("--mode prod --kind sk", 2, "Invalid value for '--mode'"),
    ("--mode test --kind rk --permission vault:all", 2, "Invalid value for '--permission'"),
]


async def test_a_key_that_may_not_be_is_refused_precisely(site: Installed, merchant: str) -> None:
    new = ("key", "create", "--merchant", merchant, "--name", "x")
    ended = await all_of(site, *((*new, *wish.split()) for wish, _, _ in KEY_REFUSALS))
    for (wish, code, said), got in zip(KEY_REFUSALS, ended, strict=True):
        assert (wish, got.code, said in got.plain) == (wish, code, True), got.plain
        assert got.out == ""


def audit(site: Installed, *arguments: str) -> Any:
    """Run an audit command for scripts."""
    return site.run.done("audit", *arguments, "--json").json


async def test_the_log_is_sealed_exported_and_verified(site: Installed, merchant: str) -> None:
    before = audit(site, "status", "--tree", "core")["core"]
    assert (before["origin"], before["size"], before["fault"]) == (None, 0, None)
    assert before["waiting"] > 0, "no server runs that would seal"
    unsigned = site.run("audit", "checkpoint", "--tree", "core")
    assert (unsigned.code, unsigned.err) == (1, "not_sealed_yet: nothing was signed yet\n")
    head = audit(site, "checkpoint", "--tree", "core", "--seal")
    assert head["note"].startswith(f"strongroom.local/core\n{head['size']}\n")

    tail, keys = await all_of(
        site,
        ("audit", "tail", "--tree", "core", "-n", "100", "--json"),
        ("audit", "key", "--tree", "core"),
    )
    actions = [each["record"]["action"] for each in tail.json]
    assert {
        "audit.tree.started",
        "identity.key.created",
        "identity.key.revoked",
        "identity.merchant.created",
    } <= set(actions)
    assert all(each["index"] is not None for each in tail.json)
    assert keys.out.splitlines() == head["vkeys"]
    (site.run.folder / "vkey").write_text(keys.out)

    made = audit(site, "export", "--tree", "core", "--out", "export")
    assert (made["size"], made["vkeys"]) == (head["size"], head["vkeys"])
    sink = str(site.state / "audit" / "core")
    held = audit(site, "verify", "--export", "export", "--key", "vkey", "--anchor-sink", sink)
    assert (held["records"], held["root"], held["sink_holds"]) == (
        made["size"],
        made["root"],
        made["size"],
    )
    waiting = audit(site, "tail", "--tree", "core", "-n", "3")
    assert [each["record"]["action"] for each in waiting][-1] == "audit.record.exported"
    assert waiting[-1]["record"]["actor"].startswith("operator:uid:")
    assert waiting[-1]["index"] is None, "looking at the log is recorded, and sealed later"


async def test_one_record_is_proven_and_one_merchant_is_given_its_own(
    site: Installed, merchant: str
) -> None:
    lines = (site.run.folder / "export" / "records.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    event = next(
        each["event_id"] for each in records if each["action"] == "identity.merchant.created"
    )
    proven, bundle, unknown = await all_of(
        site,
        ("audit", "prove", event, "--out", "one.tlog-proof"),
        ("audit", "export", "--tree", "core", "--merchant", merchant, "--out", "bundle"),
        ("audit", "prove", f"aud_{UNKNOWN}", "--out", "none"),
    )
    assert proven.code == 0, proven.err
    assert bundle.code == 0, bundle.err
    assert unknown.err == "audit_record_unknown: there is no such record in this log\n"
    assert not (site.run.folder / "none").exists()
    files = ("--record", "one.tlog-proof.json", "--proof", "one.tlog-proof", "--key", "vkey")
    held, whole, twice = await all_of(
        site,
        ("audit", "verify-proof", *files, "--json"),
        ("audit", "verify", "--export", "bundle", "--key", "vkey", "--json"),
        ("audit", "prove", event, "--out", "one.tlog-proof"),
    )
    assert (held.json["event_id"], held.json["action"]) == (event, "identity.merchant.created")
    assert (whole.json["kind"], whole.json["merchant"]) == ("bundle", merchant)
    assert whole.json["records"] > 1
    assert twice.err.startswith("file_exists: one.tlog-proof is there already")
    record = site.run.folder / "one.tlog-proof.json"
    assert record.stat().st_mode & 0o777 == 0o600
    assert json.loads(record.read_text())["merchant"] == merchant


async def test_a_database_that_was_put_back_stops_the_log_until_it_is_restarted(
    site: Installed, merchant: str
) -> None:
    name = DATABASES[Domain.CORE]
    await site.sql(None, f"create database backup template {name}")
    site.run.done("merchant", "create", "made after the backup")
    size = audit(site, "checkpoint", "--tree", "core", "--seal")["size"]
    await site.sql(None, f"drop database {name}", f"alter database backup rename to {name}")
    await site.sql(None, f"grant connect on database {name} to public")

    stopped = site.run("audit", "status", "--tree", "core", "--json")
    assert stopped.code == 1
    assert "sink holds" in stopped.json["core"]["sinks"][0]["fault"]
    silent = site.run("audit", "tree", "restart", "--tree", "core", "--reason", "backup_restored")
    assert (silent.code, "say --yes" in silent.plain) == (2, True)
    went_on = audit(
        site, "tree", "restart", "--tree", "core", "--reason", "backup_restored", "--yes"
    )
    assert went_on["origin"] == "strongroom.local/core/2"
    audit(site, "export", "--tree", "core", "--out", "second")
    sink = str(site.state / "audit" / "core")
    verify = ("audit", "verify", "--key", "vkey", "--anchor-sink", sink, "--export")
    held, old = await all_of(site, (*verify, "second", "--json"), (*verify, "export"))
    assert (held.json["ok"], held.json["origin"]) == (True, "strongroom.local/core/2")
    assert old.err.startswith("audit_checkpoint_refused: the export is of another generation")
    assert size > 0


def test_a_database_that_does_not_run_is_started_and_stopped_again(
    site: Installed, merchant: str
) -> None:
    assert site.here.detach(), "no command of these tests has stayed behind"
    pid = site.state / "postgres" / "pgdata" / "postmaster.pid"
    try:
        assert not pid.exists()
        assert site.run.done("merchant", "list", "--json").json[0]["id"] == merchant
        assert not pid.exists()
    finally:
        site.here.attach()


def test_nothing_printed_or_kept_is_open_to_others(site: Installed) -> None:
    for path in [Path(site.run.folder, name) for name in ("export", "bundle", "second")]:
        assert path.stat().st_mode & 0o777 == 0o700


async def test_access_is_reviewed_on_the_command_line(site: Installed) -> None:
    made = site.run.done("merchant", "create", "Reviewed", "--json").json["id"]
    key = site.run.done(
        *("key", "create", "--merchant", made, "--mode", "test", "--kind", "sk"),
        *("--name", "backend", "--json"),
    ).json["id"]
    before = site.run.done("access", "review", made)
    assert f"no review is open: strongroom access start {made}" in before.out
    assert re.search(
        rf"^{key} +sk key, test mode +\d+ permissions +never +–", before.out, re.MULTILINE
    )
    site.run.done("access", "start", made)
    again, wrong, unknown = await all_of(
        site,
        ("access", "start", made),
        ("access", "decide", made, key, "perhaps"),
        ("access", "decide", made, f"key_{UNKNOWN}", "keep"),
    )
    assert (again.code, "access_review_open" in again.err) == (1, True)
    assert (wrong.code, "keep, change or remove" in wrong.plain) == (2, True)
    assert (unknown.code, "access_item_unknown" in unknown.err) == (1, True)
    assert "the review is closed" in site.run.done("access", "decide", made, key, "keep").out
    (due,) = [
        each for each in site.run.done("access", "due", "--json").json if each["merchant"] == made
    ]
    assert due["last_closed_at"] is not None
    assert not due["overdue"]
    shown = site.run.done("access", "due")
    assert re.search(
        rf"^{made} +\d{{4}}-\d\d-\d\d +\d{{4}}-\d\d-\d\d +in time", shown.out, re.MULTILINE
    )


def test_what_an_operator_does_is_told_where_the_log_is_a_file(
    site: Installed, tmp_path: Path
) -> None:
    log = tmp_path / "strongroom.jsonl"
    made = site.run.done("merchant", "create", "Told", "--json", STRONGROOM_LOG_FILE=str(log)).json[
        "id"
    ]
    events = [json.loads(line) for line in log.read_text().splitlines()]
    (told,) = [each for each in events if each["event_type"] == "security.event"]
    assert (told["action"], told["object_id"]) == ("identity.merchant.created", made)
    assert told["user_id"].startswith("operator:uid:")
    elsewhere = site.run(
        "merchant", "create", "Untold", STRONGROOM_LOG_FILE=str(tmp_path / "no" / "folder")
    )
    assert elsewhere.code == 0
