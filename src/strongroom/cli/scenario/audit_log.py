# SPDX-License-Identifier: Apache-2.0
"""Chapter 13: every act is in the log, masked; the log verifies offline, and a copy that was meddled with does not.

Verified by `strongroom audit` in a process that is given the export, the public key and nothing else.
"""

import asyncio
import json
import re
import shutil
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import msgspec

from strongroom.audit import tokens_named
from strongroom.cli.scenario.client import ANY, Answer, short
from strongroom.cli.scenario.story import Story
from strongroom.kernel.cardlike import has_cardlike_bytes
from strongroom.kernel.errors import StrongroomError

TITLE: Final = "13 · The audit log"
SEALED_SECONDS_MAX: Final = 30.0
_NOT_SEALED: Final = 409
_CREATED: Final = "vault.token.created"
_STARTED: Final = "payments.attempt.started"
_SETTLED: Final = "payments.attempt.settled"


class CommandFailed(StrongroomError):
    """A command of the scenario did not answer as it should."""

    code = "command_failed"


class _RecordAnswer(msgspec.Struct):
    """A record's answer, with the record's exact bytes."""

    record: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Printed:
    """What a command said."""

    code: int
    json: dict[str, Any]
    #: The last line that it wrote to standard error.
    complaint: str


async def play(story: Story) -> None:
    """Play it."""
    story.report.note(
        "strongroom audit verify gets the export and the public key, and no environment"
    )
    record = await _records(story)
    proof = await _sealed(story, record)
    with (
        tempfile.TemporaryDirectory(prefix="strongroom-demo-") as name,
        story.report.busy("strongroom audit …"),
    ):
        folder = Path(name)
        keys = await _export(story, folder)
        await _proven(story, folder, record, proof, keys)
        _complete(story, folder / "export")
        await _meddled(story, folder, keys)
        await _of_payments(story, folder)


async def _records(story: Story) -> Answer:
    """Return a record of a token that is made now."""
    shop, check = story.shop.secret, story.report.check
    made = await shop.tokenize(story.card(), cvc="737")
    page = await shop.get("/v1/audit/records?limit=5")
    mine = [each for each in page["data"] or () if each["record"]["object"] == made["id"]]
    if not mine:
        raise CommandFailed("the log does not show the token that was just made")
    record = mine[0]["record"]
    masked = {"brand": "synthetic", "cvc_state": "sealed", "last4": made["last4"]}
    differences = page.differs(200)
    differences += ["what looks like a card number"] if has_cardlike_bytes(page.body) else []
    differences += [] if record["details"] == masked else [f"details: {record['details']}"]
    differences += [] if record["merchant"] == story.shop.merchant else ["another merchant's"]
    check(
        f"the record of {short(made['id'])}",
        f"{record['action']} synthetic ••••{made['last4']}",
        differences,
    )
    path = f"/v1/audit/records/{mine[0]['id']}"
    theirs = await story.market.secret.get(path)
    check(
        f"{story.market.name} wants to read it",
        theirs.problem(),
        theirs.differs_from_refusal(404, "audit_record_unknown"),
    )
    read = await shop.get(path)
    check(
        "read it by its id", f"{read.status} {short(read['id'])}", read.differs(200, leaf_hash=ANY)
    )
    return read


async def _sealed(story: Story, record: Answer) -> Answer:
    """Return the record's proof, as soon as the sealer has come to it."""
    begun = perf_counter()
    path = f"/v1/audit/records/{record['id']}/proof"
    proof = await story.shop.secret.get(path)
    while proof.status == _NOT_SEALED and perf_counter() - begun < SEALED_SECONDS_MAX:
        await asyncio.sleep(0.2)
        proof = await story.shop.secret.get(path)
    seconds = perf_counter() - begun
    story.report.check(
        "it is sealed into the tree", f"{proof.status} after {seconds:.1f} s", proof.differs(200)
    )
    story.report.figure("newest audit record sealed after", seconds, "s")
    return proof


async def _export(story: Story, folder: Path) -> list[str]:
    """Export the tree, verify it with the public key alone; return the arguments that name the key."""
    check = story.report.check
    checkpoint = await story.shop.secret.get("/v1/audit/checkpoint")
    check(
        "the newest checkpoint, signed (C2SP, Ed25519)",
        f"{checkpoint['size']:,} records, root {str(checkpoint['root'])[:12]}…",
        checkpoint.differs(200, origin=f"{story.settings.audit_origin}/vault", note=ANY, vkeys=ANY),
    )
    # The keys come from the installation; the vault's must be the one that the listener names.
    exported, _, vkeys = await asyncio.gather(
        _exported(story, "vault", folder / "export"),
        _exported(story, "core", folder / "core"),
        _strongroom(story, "audit", "key", "--json"),
    )
    differences = _ended(exported, 0)
    differences += [] if exported.json.get("size", 0) >= checkpoint["size"] else ["it is smaller"]
    check("strongroom audit export", f"{exported.json.get('size', 0):,} records", differences)
    differences = _ended(vkeys, 0)
    differences += [] if vkeys.json.get("vault") == checkpoint["vkeys"] else ["not what HTTP says"]
    for tree in ("vault", "core"):
        text = "\n".join(vkeys.json.get(tree, [])) + "\n"
        (folder / f"{tree}.vkey").write_text(text, "utf-8")
    check("strongroom audit key", short(vkeys.json.get("vault", [""])[0]), differences)
    keys = ["--key", str(folder / "vault.vkey")]
    sink = ["--anchor-sink", str(story.settings.sink_folder / "vault")]
    begun = perf_counter()
    held = await _offline(
        story, "audit", "verify", "--export", str(folder / "export"), *keys, *sink, "--json"
    )
    differences = _ended(held, 0)
    differences += [] if held.json.get("records") == exported.json.get("size") else ["another size"]
    check(
        "strongroom audit verify, offline",
        f"holds: {held.json.get('checkpoints')} checkpoints and the sink's head",
        differences,
    )
    story.report.figure("audit export verified offline", perf_counter() - begun, "s")
    return keys


async def _exported(story: Story, tree: str, to: Path) -> Printed:
    return await _strongroom(story, "audit", "export", "--tree", tree, "--out", str(to), "--json")


async def _proven(
    story: Story, folder: Path, record: Answer, proof: Answer, keys: Sequence[str]
) -> None:
    """One record and its proof are enough; one altered digit is too much."""
    payload = bytes(msgspec.json.decode(record.body, type=_RecordAnswer).record)
    altered = re.sub(
        rb'("last4":"[0-9]{3})([0-9])', lambda m: m[1] + b"%d" % ((int(m[2]) + 1) % 10), payload
    )
    (folder / "record.tlog-proof").write_bytes(proof.body)
    cases = (("an inclusion proof", payload, 0), ("the same, one digit altered", altered, 1))

    async def verified(content: bytes, code: int) -> Printed:
        file = folder / f"record-{code}.json"
        file.write_bytes(content)
        files = ["--record", str(file), "--proof", str(folder / "record.tlog-proof")]
        return await _offline(story, "audit", "verify-proof", *files, *keys, "--json")

    told = await asyncio.gather(*(verified(content, code) for _, content, code in cases))
    for (what, content, code), said in zip(cases, told, strict=True):
        got = f"record {said.json.get('index')} is in the tree" if said.json else "does not hold"
        differences = _ended(said, code)
        differences += ["it is the same record"] if code and content == payload else []
        story.report.check(f"{what}, offline", got, differences)


def _complete(story: Story, export: Path) -> None:
    """Every token that was acknowledged is named in one record of its making, and nothing else was made."""
    recorded: Counter[str] = Counter()
    with (export / "records.jsonl").open("rb") as file:
        for line in file:
            record = json.loads(line)
            if (
                record["action"] == _CREATED
                and datetime.fromisoformat(record["time"]) >= story.begun
            ):
                recorded.update(tokens_named(record["details"], record["object"]).keys())
    made = story.ledger.made
    differences = []
    if missing := len(made - recorded.keys()):
        differences.append(f"{missing} acknowledged tokens have no record")
    if unknown := len(recorded.keys() - made):
        differences.append(f"{unknown} tokens were made that nobody was told of")
    if twice := sum(1 for count in recorded.values() if count > 1):
        differences.append(f"{twice} have more than one record")
    story.report.check(
        "every token made in this run is named in one record",
        f"{len(recorded):,} of {len(made):,}, and refusals made none",
        differences,
    )


async def _meddled(story: Story, folder: Path, keys: Sequence[str]) -> None:
    """On copies: one digit of one record; one record less."""
    lines = (folder / "export" / "records.jsonl").read_bytes().splitlines(keepends=True)
    digit = re.compile(rb'("last4":"[0-9]{3})([0-9])')
    made = [
        index
        for index, line in enumerate(lines)
        if _CREATED.encode() in line and digit.search(line)
    ]
    index = made[len(made) // 2]
    altered = digit.sub(lambda m: m[1] + b"%d" % ((int(m[2]) + 1) % 10), lines[index])
    before, behind = lines[:index], lines[index + 1 :]
    cases = (
        (f"record {index} altered by one digit, on a copy", [*before, altered, *behind]),
        (f"record {index} taken out, on a copy", [*before, *behind]),
    )

    async def verified(number: int, content: Sequence[bytes]) -> Printed:
        copy = folder / f"copy-{number}"
        shutil.copytree(folder / "export", copy)
        (copy / "records.jsonl").write_bytes(b"".join(content))
        return await _offline(story, "audit", "verify", "--export", str(copy), *keys, "--json")

    told = await asyncio.gather(
        *(verified(number, content) for number, (_, content) in enumerate(cases))
    )
    for (what, _), said in zip(cases, told, strict=True):
        findings = said.json.get("findings") or [{}]
        differences = _ended(said, 1)
        named = said.json.get("trust_ends_at")
        differences += (
            [] if named == index else [f"expected record {index} to be named, got {named}"]
        )
        story.report.check(what, f"found: {findings[0].get('kind')} at record {named}", differences)


async def _of_payments(story: Story, folder: Path) -> None:
    """The core has a log of its own: what was asked of processors, and what became of it."""
    check, export = story.report.check, folder / "core"
    files = ["--export", str(export), "--key", str(folder / "core.vkey")]
    held = await _offline(story, "audit", "verify", *files, "--json")
    check(
        "the core's own log, exported and verified",
        f"holds: {held.json.get('records', 0):,} records",
        _ended(held, 0),
    )
    counts: Counter[tuple[str, str]] = Counter()
    with (export / "records.jsonl").open("rb") as file:
        for line in file:
            record = json.loads(line)
            if record["object"] in story.attempts:
                counts[record["action"], record["object"]] += 1
    started = sum(1 for each in story.attempts if counts[_STARTED, each] == 1)
    ended = sum(1 for each in story.attempts if counts[_SETTLED, each])
    attempts = len(story.attempts)
    differences = [] if attempts else ["no books were compared"]
    differences += [] if started == attempts else [f"{attempts - started} never started, or twice"]
    differences += [] if ended == attempts else [f"{attempts - ended} have no outcome"]
    check(
        "every attempt has its records there",
        f"{started:,} started, {ended:,} settled, of {attempts:,}",
        differences,
    )


def _ended(printed: Printed, code: int) -> list[str]:
    if printed.code == code:
        return []
    return [f"exit code: expected {code}, got {printed.code}: {printed.complaint}"]


async def _strongroom(story: Story, *arguments: str) -> Printed:
    """Run a command on this installation."""
    settings = story.settings
    here = [f"STRONGROOM_STATE={settings.state}", f"STRONGROOM_INSTANCE={settings.instance}"]
    return await _run(story, ["/usr/bin/env", *here, *_program(), *arguments], None)


async def _offline(story: Story, *arguments: str) -> Printed:
    """Run a command that has no environment, no installation and no network to ask."""
    return await _run(story, [*_program(), *arguments], {"PATH": "/usr/bin:/bin"})


def _program() -> list[str]:
    return [sys.executable, "-P", "-m", "strongroom"]


async def _run(story: Story, command: Sequence[str], environment: dict[str, str] | None) -> Printed:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment, cwd="/"
    )
    said, complained = await process.communicate()
    story.printed += (said, complained)
    try:
        answer = json.loads(said) if said.strip() else {}
    except ValueError:
        answer = {}
    last = complained.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return Printed(process.returncode or 0, answer, last)
