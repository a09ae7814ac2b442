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
        "Kept for all that exists: making tokens, one and many; imports, clear and encrypted; deduplication; charging "
        "a card through a processor, or forwarding it to a destination, where the number is written into one request "
        "inside the vault, and what is answered passes the detector before it leaves; exports, which leave as "
        "ciphertext for the receiver's key; everything that is stored, logged, counted, told or answered. A card that "
        "is shown stands in that one answer, or in a JWE for the caller's own key, and is kept nowhere. With roles "
        "apart (`strongroom serve --role`), the memory of the gateway's, the webhooks', the console's and the "
        "worker's process and their lines to database and vault are searched after a day's work: no number is there.",
        "There is no hosted card field, and so nothing of it is tested. An import's OpenPGP message is opened by a "
        "child process of the vault's, closed to dumps and debuggers: for the length of the message two processes "
        "hold its cards. The day's work of the search above is payments alone, without reveals, forwards and files. "
        "Reveals are searched for here; imports and exports with the tests of the API; of a forward it is tested with "
        "its own suite that neither request nor answer is kept. Where all roles run in one process, as without "
        "`--role`, its memory is the vault's. A caller who sends a number to another role's listener puts it into "
        "that process's memory until the request is refused; nothing can keep a client from that. Memory is searched "
        "where the tests run as root, and only what can be written. Python cannot wipe memory: what a call held is "
        "left to the allocator.",
    ),
    Promise(
        2,
        "A CVC is never stored, and nothing that could open one outlives its half hour.",
        "Kept: sealed under a key of its ten-minute window, handed back, opened at most once, recorded before it "
        "is opened; a charge uses it once, and a second charge with it is not sent; the window's key is destroyed "
        "in the database and forgotten in memory half an hour after the window began.",
        "After `not_sent`, and only then, an opened CVC stays in the vault's memory for a minute, for the next try "
        "of the same payment. A recovery by replay goes without it. Destroying means truncating the table's file: "
        "what a disk or a snapshot keeps of freed blocks is the operator's to encrypt and expire.",
    ),
    Promise(
        3,
        "A state change and its audit record commit together, or neither does. If the audit record cannot be written, "
        "the action does not happen. A use or a reveal of a card is recorded before the card is opened.",
        "Kept for every act there is, reading tokens and records included; payments, attempts, refunds, connections, "
        "endpoints and notices change only together with their records; a data key that is made, rotated or destroyed "
        "likewise. The use of a card and of a CVC is recorded before either is opened, and so is a card that is "
        "shown, forwarded or exported, whether it then opens or not.",
        "That connections, endpoints, notices, destinations, forwards, imports, exports, erasures, containers and "
        "keys need their records is tested with their own suites, if at all, without a sabotage case here. Reading "
        "payments and events is not recorded, nor is the look at a token's masked facts when a payment is made: the "
        "payment's own record names the token. The first keys of an installation, on which the audit log itself "
        "stands, are made before anything can be recorded; the keys of CVC windows come and go without a record. What "
        "reaches outside the database is no one commit with its record: a login's password, the port's certificates "
        "and a root are recorded before or after, never together.",
    ),
    Promise(
        4,
        "A processor is asked to move money at most once per wish of the merchant. Every outbound attempt has a "
        "deterministic idempotency key. An outcome that is not known stays unknown.",
        "Kept by every operation of the simulator's adapter: an attempt is committed before the call, its id is "
        "the key and the reference; an outcome that is not known stays so until it was found by reference, by "
        "replay or by a signed notice; `not found` counts only once the request would be visible.",
        "It is tested with the simulator, and with a stand-in that keeps keys as Stripe documents it; what real "
        "processors do with keys and references is written in their documentation and is not tested here. There is no "
        "failover to a second processor. Where a processor breaks its own word on how long a request may take to "
        "become visible, an attempt called `not_sent` can still happen: it is then recorded, and is a discrepancy "
        "where it doubles.",
    ),
    Promise(
        5,
        "Nothing unverified changes a state: a webhook is authenticated on its exact bytes, kept once, correlated with "
        "an attempt of ours, and confirmed by asking the processor where it can be asked.",
        "Kept for the notices of Stripe, Adyen, Checkout.com and the simulator and for the AES-GCM families: exact "
        "bytes, or the fields that Adyen signs; constant time, bounded age where a time is signed, once; correlated "
        "by connection, account, mode, reference, operation, amount and currency; confirmed by asking where the "
        "connection can be asked, else recorded with `basis: notice`. A return URL only "
        "triggers a look.",
        "Adyen, Checkout.com and the AES-GCM families sign no time: an old notice that was never received can be "
        "replayed, and then tells only what can be confirmed. A "
        "sender that encrypts anew on each retry is kept twice and handled once.",
    ),
    Promise(
        6,
        "Money cannot be made: what we ask for never exceeds what is left, under any concurrency.",
        "Kept: a reservation is written with its attempt, bounded by a trigger and constraints of the database "
        "under any concurrency and for every login; what a processor reports is recorded, and where it breaks a "
        "sum the payment is marked, the merchant is told and a line at level critical is written. Every amount that "
        "moves is posted in a ledger that nobody may change, and both are compared with the processor's own sums.",
        "An authorization is bounded by the payment's amount, not by anything that the processor knows.",
    ),
    Promise(
        7,
        "A tenant sees only its own. Merchant and mode lead every key and foreign key; forced row-level security is "
        "the second wall, in every mode, the embedded one included.",
        "Kept for every table with tenants and every route, by two walls of which either holds alone. Row-level "
        "security keeps merchants apart; live and test are kept apart by the queries, the keys and what is sealed. "
        "The worker sees which jobs are due, of every merchant, and opens each as that merchant.",
        "An address is one person of one tenant. Over the internal port the vault believes gateway and worker about "
        "which merchant they ask for.",
    ),
    Promise(
        8,
        "Unsafe configuration does not start. In production: file key store, default secret, plain HTTP, database "
        "without verified TLS, superuser or owner or BYPASSRLS login, fsync or synchronous_commit off, no audit sink "
        "outside the database, simulator in live mode, private or loopback egress, static cloud credentials, a "
        "dumpable vault process: a refusal that names every fault at once.",
        "Kept for all of these that exist; also refused are the local certificate, another KMS endpoint, the "
        "embedded database, the default name of the audit log and a public URL without TLS. A simulator is refused "
        "in live mode by the API and by the database, in every environment.",
        "That fsync is off is asked of the server; it is tested on the decision, because the embedded server "
        "cannot be started without it.",
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


def files_of(promise: Promise) -> Sequence[Path]:
    """Return the files that test a promise."""
    return sorted(FOLDER.glob(f"test_promise_{promise.number}_*.py"))


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
        tests = [test for path in files_of(promise) for test in sentences_of(path)]
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
    for path in files_of(promise):
        yield from _shown(path)


def _shown(path: Path) -> Iterator[str]:
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
