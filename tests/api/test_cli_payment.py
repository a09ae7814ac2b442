# SPDX-License-Identifier: Apache-2.0
"""`strongroom connection`, `payment` and `refund` against a running gateway and a running simulator.

Most commands run in a thread of this process: starting a hundred would take minutes.
"""

import asyncio
import io
import os
import re
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from command_line import CommandLine, Ended
from paying import DECLINED, VISA, WITH_CHALLENGE, simulating
from polling import until
from service import Service, Tenant, free_ports
from strongroom.cli import main
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.simulator import Simulated

ACCOUNT = "acct_cli"
WEBHOOK_SECRET = "sim_whsec_of_the_command_line"  # a name, not a secret
KEY = ("--key-file", "shop.key")
PAYMENT = re.compile(r"pay_[0-9A-Z]{26}")
#: A command in this process has its arguments, streams, folder and environment to itself.
_ALONE = threading.Lock()


@contextmanager
def place(run: CommandLine, arguments: tuple[str, ...], stdin: str) -> Iterator[None]:
    """Give this process what a command's own would have."""
    before = (sys.argv, sys.stdin)
    variables = {name: os.environ.get(name) for name in run.variables}
    sys.argv, sys.stdin = ["strongroom", *arguments], io.StringIO(stdin)
    os.environ.update(run.variables)
    try:
        with chdir(run.folder):
            yield
    finally:
        sys.argv, sys.stdin = before
        for name, value in variables.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def in_this_process(run: CommandLine, *arguments: str, stdin: str = "") -> Ended:
    """Run a command as the console script does."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with _ALONE, place(run, arguments, stdin), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    assert run.transcript is not None
    with run.transcript.open("a", encoding="utf-8") as file:
        file.write(f"{out.getvalue()}\n{err.getvalue()}\n")
    return Ended(code, out.getvalue(), err.getvalue())


@dataclass(slots=True)
class Till:
    """A merchant at the command line."""

    run: CommandLine
    simulated: Simulated
    service: Service
    tenant: Tenant
    api_key: str

    async def __call__(self, *arguments: str, stdin: str = "") -> Ended:
        """Run a command with the merchant's key, in this process."""
        ended = await asyncio.to_thread(in_this_process, self.run, *arguments, *KEY, stdin=stdin)
        return self.searched(ended)

    async def script(self, *arguments: str, **variables: str) -> Ended:
        """Run the console script, in a process of its own."""
        return self.searched(await asyncio.to_thread(self.run, *arguments, *KEY, **variables))

    def searched(self, ended: Ended) -> Ended:
        """Nothing that is secret is ever printed."""
        for secret in (self.api_key, WEBHOOK_SECRET, self.tenant.keys[Mode.TEST]):
            assert secret not in ended.out + ended.err
        return ended

    async def done(self, *arguments: str, stdin: str = "") -> Any:
        ended = await self(*arguments, "--json", stdin=stdin)
        assert ended.code == 0, ended.err + ended.out
        return ended.json

    async def token(self, number: str = VISA, cvc: str | None = None) -> dict[str, Any]:
        vault = self.service.vault(self.tenant.keys[Mode.TEST])
        return await vault.token(number, cvc)

    async def paid(self, *more: str, number: str = VISA, amount: str = "10.50") -> Any:
        token = await self.token(number)
        return await self.done(
            *("payment", "create", "--amount", amount, "--currency", "AED"),
            *("--token", token["id"], *more),
        )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def till(service: Service, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Till]:
    """A merchant whose account is connected by the command line, with its webhooks."""
    folder = tmp_path_factory.mktemp("till")
    tenant = await service.tenant()
    private(folder / "shop.key", tenant.keys[Mode.TEST])
    private(folder / "webhook.key", WEBHOOK_SECRET)
    run = CommandLine(
        folder,
        {
            "STRONGROOM_GATEWAY_URL": f"https://{service.settings.gateway_listen}",
            "STRONGROOM_CA": str(service.authority),
            "STRONGROOM_STATE": str(folder / "state"),
        },
        transcript=service.answers.file,
    )
    async with simulating(folder / "simulator", service) as simulated:
        account = await simulated.control.account(ACCOUNT)
        private(folder / "api.key", account.api_key)
        till = Till(run, simulated, service, tenant, account.api_key)
        await till.done(*connecting(simulated.url))
        yield till


def private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text + "\n")


def connecting(url: str, webhook: str = "webhook.key", key: str = "api.key") -> list[str]:
    return [
        *("connection", "create", "--processor", "simulator", "--account", ACCOUNT),
        *("--base-url", url, "--credential", f"api_key={key}", "--webhook-secret-file", webhook),
    ]


async def test_a_connection_is_made_tested_rotated_and_ended(till: Till) -> None:
    made = await till.done(
        *connecting(till.simulated.url, "-", "-"),
        *("--name", "second", "--finding", "by_replay"),
        stdin=f"{till.api_key}\n{WEBHOOK_SECRET}\n",
    )
    assert (made["name"], made["finding"], made["status"]) == ("second", "by_replay", "active")
    connection = made["id"]
    incomplete = await till("connection", "test", connection)
    assert incomplete.code == 1
    assert "account yes acct_cli mode yes test" in incomplete.plain
    assert "missing no the account has no webhook: notices will not come" in incomplete.plain

    await till.simulated.control.account(
        ACCOUNT, webhook_url=made["webhook_url"], webhook_secrets=[WEBHOOK_SECRET]
    )
    passed, listed, shown = await asyncio.gather(
        till("connection", "test", connection),
        till.done("connection", "list"),
        till("connection", "show", connection),
    )
    assert (passed.code, "this connection is ready" in passed.plain) == (0, True)
    assert [each["name"] for each in listed] == ["second", "default"]
    assert made["webhook_url"] in shown.out

    private(till.run.folder / "wrong.key", "sim_sk_" + "x" * 30)
    await till.done("connection", "rotate", connection, "--credential", "api_key=wrong.key")

    async def refused() -> Ended | None:
        ended = await till("connection", "test", connection)
        return ended if ended.code == 1 else None

    # Other processes of the vault see a rotation within a second.
    ended = await until(refused, what="the new credential to be used")
    assert "the processor did not answer: it refuses the credentials" in ended.plain
    ended = await till("connection", "disable", connection)
    assert (ended.code, "is finished" in ended.plain) == (0, True)
    assert (await till.done("connection", "show", connection))["status"] == "disabled"


async def require_posted_and_shown(till: Till, payment: str) -> None:
    """The ledger as people see it: the payment's postings, the accounts, and that both agree."""
    statement, balance, check = await asyncio.gather(
        till("ledger", "statement", "--payment", payment),
        till("ledger", "balance"),
        till("ledger", "check"),
    )
    assert (statement.code, balance.code, check.code) == (0, 0, 0), statement.err + balance.err
    assert re.findall(r"(\w+) (\w+) ([0-9.]+) AED", statement.plain) == [
        ("holds", "authorizations", "10.50"),
        ("receivable", "sales", "4.00"),
        ("authorizations", "holds", "4.00"),
        ("receivable", "sales", "6.00"),
        ("authorizations", "holds", "6.50"),
        ("refunds", "receivable", "2.50"),
    ]
    assert re.search(r"sales 0\.00 AED [0-9.]+ AED -[0-9.]+ AED", balance.plain), balance.plain
    assert "the ledger and the payments agree" in check.plain
    unknown = await till("ledger", "statement", "--account", "cash")
    assert (unknown.code, "account" in unknown.err) == (1, True)


async def test_money_is_authorized_captured_in_parts_and_given_back(till: Till) -> None:
    token = await till.token(VISA, "737")
    payment = await till.done(
        *("payment", "create", "--amount", "10.50", "--currency", "AED", "--manual", "--cvc"),
        *("--token", token["id"], "--reference", "order-1042", "--metadata", "table=7"),
        stdin=f"{token['cvc']}\n",
    )
    assert (payment["status"], payment["amount"]) == ("requires_capture", 1_050)
    assert payment["metadata"] == {"table": "7"}
    name = payment["id"]
    first = await till("payment", "capture", name, "--amount", "4.00", "--not-final")
    assert first.code == 0, first.err
    assert "captured 4.00 AED, capturable 6.50 AED, refundable 4.00 AED" in first.plain
    last = await till.done("payment", "capture", name, "--amount", "600")
    assert (last["status"], last["balances"]["voided"]) == ("succeeded", 50)
    refund = await till.done(
        *("refund", "create", name, "--amount", "2.50", "--reason", "duplicate"),
        *("--reference", "return-7"),
    )
    assert (refund["status"], refund["amount"], refund["reference"]) == (
        *("succeeded", 250),
        "return-7",
    )
    beyond, shown, listed, attempts, refunds = await asyncio.gather(
        till("refund", "create", name, "--amount", "20.00"),
        till("payment", "show", name),
        till("payment", "list", "--reference", "order-1042"),
        till("payment", "attempts", name),
        till("refund", "list", name),
    )
    assert (beyond.code, "422 amount_beyond_left" in beyond.plain) == (1, True)
    assert "refunded 2.50 AED, refundable 7.50 AED" in shown.plain
    assert f"{name} succeeded 10.50 AED 10.00 AED 2.50 AED visa …4242" in listed.plain
    assert re.findall(r" (authorize|capture|refund) ", attempts.plain) == [
        *("authorize", "capture", "capture", "refund"),
    ]
    assert refund["id"] in refunds.out
    await require_posted_and_shown(till, name)
    assert (await till.done("refund", "show", refund["id"])) == refund
    books = await till.simulated.control.books(account=ACCOUNT)
    journal = await till.simulated.control.journal(account=ACCOUNT)
    mine = {each["id"] for each in await till.done("payment", "attempts", name)}
    assert books.totals
    assert sum(e.amount for e in journal if e.kind == "refunded" and e.reference in mine) == 250


async def test_a_payment_is_made_first_and_charged_or_called_off_later(till: Till) -> None:
    token = (await till.token())["id"]
    made = await till.done("payment", "create", "--amount", "500", "--currency", "JPY")
    assert made["status"] == "requires_payment_method"
    charged = await till("payment", "confirm", made["id"], "--token", token)
    assert f"{made['id']} succeeded 500 JPY 500 JPY" in charged.plain
    other = await till.paid("--no-confirm")
    assert other["status"] == "requires_confirmation"
    ended = await till("payment", "cancel", other["id"], "--reason", "abandoned")
    assert (ended.code, "cancellation reason: abandoned" in ended.plain) == (0, True)
    again = await till("payment", "cancel", other["id"])
    assert (again.code, "409 payment_not_ready" in again.plain) == (1, True)
    quiet = await till(
        *("payment", "create", "--amount", "500", "--currency", "JPY", "--quiet"),
        *("--token", token, "--idempotency-key", "till-1"),
    )
    repeated = await till(
        *("payment", "create", "--amount", "500", "--currency", "JPY", "--quiet"),
        *("--token", token, "--idempotency-key", "till-1"),
    )
    assert PAYMENT.fullmatch(quiet.out.strip())
    assert repeated.out == quiet.out


async def test_the_browser_of_a_customer_is_handed_on(till: Till) -> None:
    browser = ("--user-agent", "Mozilla/5.0 (of a till)", "--accept", "text/html")
    made = await till.paid("--no-confirm", *browser)
    await till.done("payment", "confirm", made["id"], *browser)
    other = await till.paid(*browser)
    rows = await till.service.look(
        Domain.CORE,
        "select browser ->> 'user_agent' as agent, browser ->> 'accept_header' as accept"
        " from payments.attempt where payment_id = any($1)",
        [made["id"], other["id"]],
    )
    told = [(row["agent"], row["accept"]) for row in rows]
    assert told == [("Mozilla/5.0 (of a till)", "text/html")] * 2
    for half in (browser[:2], browser[2:]):
        ended = await till("payment", "confirm", made["id"], *half)
        assert (ended.code, "are given together" in ended.plain) == (2, True), ended.plain


async def test_every_filter_narrows(till: Till) -> None:
    wanted = await till.paid("--reference", "order-77", amount="77.01")
    await till.paid("--reference", "order-78", amount="78.01")
    token = wanted["token"]
    for filters in (
        ["--reference", "order-77"],
        ["--amount", "7701"],
        ["--token", token],
        ["--last4", "4242", "--status", "succeeded", "--amount", "7701"],
        ["--since", wanted["created_at"], "--amount", "7701"],
    ):
        found = await till.done("payment", "list", *filters)
        assert [each["id"] for each in found] == [wanted["id"]], filters
    none, limited = await asyncio.gather(
        till("payment", "list", "--until", "2020-01-01"),
        till.done("payment", "list", "--limit", "1"),
    )
    assert (none.code, "no such payments" in none.plain) == (0, True)
    assert len(limited) == 1


async def test_a_decline_prints_the_payment_and_ends_with_one(till: Till) -> None:
    token = (await till.token(DECLINED))["id"]
    wish = ("payment", "create", "--amount", "5.00", "--currency", "AED", "--token", token)
    ended, as_json = await asyncio.gather(till.script(*wish), till(*wish, "--json"))
    assert (ended.code, as_json.code) == (1, 1)
    assert PAYMENT.search(ended.out)
    assert "requires_payment_method" in ended.plain
    assert ended.err.startswith("declined: generic_decline\n")
    assert as_json.json["payment"]["attempt"]["outcome"] == "declined"


async def test_a_challenge_says_where_the_customer_goes(till: Till) -> None:
    token = (await till.token(WITH_CHALLENGE))["id"]
    ended = await till(
        *("payment", "create", "--amount", "5.00", "--currency", "AED", "--token", token),
        *("--return-url", "https://shop.example/back"),
    )
    assert ended.code == 0, ended.err
    (url,) = re.findall(r"^http\S+$", ended.out, re.MULTILINE)
    assert "the customer has to go here" in ended.err
    await till.simulated.control.challenge(url)
    (name,) = PAYMENT.findall(ended.out)

    async def over() -> bool | None:
        return (await till.done("payment", "show", name))["status"] == "succeeded" or None

    await until(over, what="the challenge to count")


async def test_an_outcome_that_is_not_known_is_no_failure(till: Till) -> None:
    token = (await till.token())["id"]
    await till.simulated.control.demand("cut_after", "authorize")  # type: ignore[arg-type]  # its word
    ended = await till(
        *("payment", "create", "--amount", "5.00", "--currency", "AED", "--token", token)
    )
    assert (ended.code, "processing" in ended.plain) == (0, True), ended.err
    assert "the outcome is not known yet" in ended.err
    assert "Do not pay again" in ended.err
    (name,) = set(PAYMENT.findall(ended.out))

    async def known() -> bool | None:
        return (await till.done("payment", "show", name))["status"] == "succeeded" or None

    await until(known, what="the outcome to be found")
    await till.simulated.control.demand("cut_after", "refund")  # type: ignore[arg-type]  # its word
    refund = await till("refund", "create", name)
    assert (refund.code, "pending" in refund.out) == (0, True)
    assert "Look: strongroom refund show ref_" in refund.err


async def test_what_certainly_did_not_happen_ends_with_one(till: Till) -> None:
    (nobody,) = free_ports(1)
    away = await till.done(*connecting(f"http://127.0.0.1:{nobody}"), "--name", "away")
    token = (await till.token())["id"]
    ended = await till(
        *("payment", "create", "--amount", "5.00", "--currency", "AED", "--token", token),
        *("--connection", away["id"]),
    )
    assert (ended.code, "not sent: this certainly did not happen" in ended.plain) == (1, True)
    assert "requires_confirmation" in ended.out
    tested = await till("connection", "test", away["id"])
    assert (tested.code, "reachable no" in tested.plain) == (1, True)
    await till("connection", "disable", away["id"])


CREATE = ("payment", "create", "--currency", "AED", "--amount")
CONNECT = ("connection", "create", "--processor", "simulator", "--account", "a")
SECRET = ("--webhook-secret-file", "webhook.key")
SOME = "pay_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
#: Arguments, what is said; wrong usage is tested without a gateway (tests/unit/test_cli_usage.py).
REFUSALS: list[tuple[tuple[str, ...], str]] = [
    ((*CREATE, "1", "--confirm"), "gateway_refused: 422 invalid: /token a token is needed"),
    (("payment", "capture", SOME, "--amount", "1.00"), "gateway_refused: 404 payment_unknown"),
    (("payment", "list", "--status", "paid"), "gateway_refused: 4"),
    (
        (*CONNECT, "--base-url", "u", *SECRET, "--credential", "k=open.key"),
        "key_file_refused: others can read open.key",
    ),
    (
        (*CONNECT, "--base-url", "http://10.1.2.3", *SECRET, "--credential", "api_key=api.key"),
        "gateway_refused: 422 ",
    ),
]


async def test_what_is_refused_is_said(till: Till) -> None:
    (till.run.folder / "open.key").write_text("x")
    (till.run.folder / "open.key").chmod(0o644)
    calls = (till(*arguments) for arguments, _ in REFUSALS)
    for (arguments, said), ended in zip(REFUSALS, await asyncio.gather(*calls), strict=True):
        assert (arguments, ended.code, said in ended.plain) == (arguments, 1, True), ended.plain


async def test_an_answer_that_is_lost_names_what_to_repeat(till: Till) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        ended = await till.script(*CREATE, "1", STRONGROOM_GATEWAY_URL=f"http://127.0.0.1:{port}")
    assert ended.code == 1
    assert re.search(r"repeat this with --idempotency-key cli-[0-9A-Za-z]{22}\n", ended.err)


async def test_what_is_held_is_raised_scheduled_and_left(till: Till) -> None:
    payment = (await till.paid("--manual", "--estimated", "--on-expiry", "leave"))["id"]
    raised = await till("payment", "increment", payment, "--amount", "2.50")
    assert raised.code == 0, raised.err
    assert "authorized 13.00 AED" in raised.out
    assert re.search(r"capture before: \S+Z, then leave", raised.out)
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    scheduled = await till.done("payment", "hold", payment, "--capture-at", soon)
    assert scheduled["capture_at"] is not None
    off = await till.done("payment", "hold", payment, "--no-capture", "--on-expiry", "cancel")
    assert (off["capture_at"], off["on_expiry"]) == (None, "cancel")
    both = await till("payment", "hold", payment, "--no-capture", "--capture-at", soon)
    assert both.code == 2
    late = await till("payment", "hold", payment, "--capture-at", "2034-01-01")
    assert late.code == 1
    assert "/capture_at" in late.err
    fixed = (await till.paid("--manual"))["id"]
    refused = await till("payment", "increment", fixed, "--amount", "1.00")
    assert (refused.code, "payment_not_ready" in refused.err) == (1, True)
