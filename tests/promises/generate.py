# SPDX-License-Identifier: Apache-2.0
"""Prints docs/reference/promises.md: each promise, how far it is kept, by which tests, and what is not there yet.

The tests' own sentences are taken from `tests/promises/`; a test without one is refused.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
PAGE: Final = FOLDER.parents[1] / "docs" / "reference" / "promises.md"


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise, and what is true of it today, in words."""

    number: int
    text: str
    kept: str
    absent: str


PROMISES: Final = (
    Promise(
        1,
        "A card number is in clear only inside the vault process, for one call. Never in a log, an error, a trace, a "
        "metric, a queue, a database row, a core dump, an idempotency record, or a database's own log. It is sealed "
        "before it reaches any driver. No other process ever receives one.",
        "Kept for all that exists: making tokens, one and many; deduplication; everything that is stored, logged, "
        "counted or answered.",
        "Nothing yet uses a card: there is no reveal, no forwarding to a processor, no hosted card field, no import "
        "or export, and so nothing of theirs is tested. There are no exported traces and no queue; log lines carry a "
        "request's name and its hash. Python cannot wipe memory: what a call held is left to the allocator.",
    ),
    Promise(
        2,
        "A CVC is never stored, and nothing that could open one outlives its half hour.",
        "Kept: sealed under a key of its ten-minute window, handed back, opened at most once, recorded before it is "
        "opened; the window's key is destroyed in the database and forgotten in memory half an hour after the window "
        "began.",
        "Nothing charges a card yet, so over HTTP a sealed CVC can only be discarded; the one use of a charge, with "
        "its failovers, comes with payments. Destroying means truncating the table's file: what a disk or a snapshot "
        "keeps of freed blocks is the operator's to encrypt and expire.",
    ),
    Promise(
        3,
        "A state change and its audit record commit together, or neither does. If the audit record cannot be written, "
        "the action does not happen. A use or a reveal of a card is recorded before the card is opened.",
        "Kept for every act there is, reading included; the use of a CVC is recorded before it is opened.",
        "There is no use or reveal of a card yet. Data keys are made without a record of their own.",
    ),
    Promise(
        4,
        "A processor is asked to move money at most once per wish of the merchant. Every outbound attempt has a "
        "deterministic idempotency key. An outcome that is not known stays unknown.",
        "",
        "There are no payments and no processors yet, and no test. (Making a token has its own `Idempotency-Key`, "
        "tested in `tests/api/test_idempotency.py`; that is not this promise.)",
    ),
    Promise(
        5,
        "Nothing unverified changes a state: a webhook is authenticated on its exact bytes, kept once, correlated with "
        "an attempt of ours, and confirmed by asking the processor where it can be asked.",
        "",
        "There are no webhooks yet, neither in nor out, and no test.",
    ),
    Promise(
        6,
        "Money cannot be made: what we ask for never exceeds what is left, under any concurrency.",
        "",
        "No money is moved or counted yet, and there is no test.",
    ),
    Promise(
        7,
        "A tenant sees only its own. Merchant and mode lead every key and foreign key; forced row-level security is "
        "the second wall, in every mode, the embedded one included.",
        "Kept for every table with tenants and every route, by two walls of which either holds alone. Row-level "
        "security keeps merchants apart; live and test are kept apart by the queries, the keys and what is sealed.",
        "There are no users, roles or console yet: a tenant is whoever holds its API key.",
    ),
    Promise(
        8,
        "Unsafe configuration does not start. In production: file key store, default secret, plain HTTP, database "
        "without verified TLS, superuser or owner or BYPASSRLS login, fsync or synchronous_commit off, no audit sink "
        "outside the database, simulator in live mode, private or loopback egress, static cloud credentials, a "
        "dumpable vault process: a refusal that names every fault at once.",
        "Kept for all of these that exist; also refused are the local certificate, another KMS endpoint, the embedded "
        "database and the default name of the audit log.",
        "There is no simulator and no egress yet, so neither is refused. That fsync is off is asked of the server; it "
        "is tested on the decision, because the embedded server cannot be started without it.",
    ),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a test shows, in its own sentence."""

    name: str
    sentence: str

    @property
    def is_sabotage(self) -> bool:
        return self.name.startswith("test_sabotage_")


def file_of(promise: Promise) -> Path | None:
    """Return the file that tests a promise, if there is one."""
    found = sorted(FOLDER.glob(f"test_promise_{promise.number}_*.py"))
    assert len(found) <= 1, "one file a promise"
    return found[0] if found else None


def sentences_of(path: Path) -> Sequence[Shown]:
    """Return a file's tests in order."""
    module = ast.parse(path.read_text("utf-8"))
    found = []
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
            "test_"
        ):
            sentence = ast.get_docstring(node)
            assert sentence, f"{path.name}: {node.name} says in a sentence what it shows"
            found.append(Shown(node.name, " ".join(sentence.split())))
    return found


def page() -> str:
    """Return the whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Promises"
    yield ""
    yield (
        "Everything serves these. This page is printed from `tests/promises/` by `script/golden`, and a test fails "
        "when it is out of date. A *sabotage* case takes a guard away and sees the very same check fail."
    )
    yield ""
    yield "| promise | today | tests | of these sabotage |"
    yield "| --- | --- | --- | --- |"
    for promise in PROMISES:
        path = file_of(promise)
        tests = sentences_of(path) if path else ()
        state = (
            "kept as far as it applies"
            if promise.kept
            else "**absent**: nothing it is about exists yet"
        )
        sabotage = sum(test.is_sabotage for test in tests)
        yield f"| [{promise.number}](#promise-{promise.number}) | {state} | {len(tests)} | {sabotage} |"
    for promise in PROMISES:
        yield from _section(promise)


def _section(promise: Promise) -> Iterator[str]:
    yield ""
    yield f"## Promise {promise.number}"
    yield ""
    yield f"> {promise.text}"
    yield ""
    if promise.kept:
        yield f"{promise.kept}"
        yield ""
    yield f"**Not there yet.** {promise.absent}"
    path = file_of(promise)
    if path is None:
        return
    tests = sentences_of(path)
    yield ""
    yield f"Tested in `tests/promises/{path.name}`:"
    yield ""
    for test in tests:
        if not test.is_sabotage:
            yield f"- {test.sentence}"
    yield ""
    yield "Sabotage:"
    yield ""
    for test in tests:
        if test.is_sabotage:
            yield f"- {test.sentence}"
