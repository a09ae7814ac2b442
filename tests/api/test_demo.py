# SPDX-License-Identifier: Apache-2.0
"""The demo in a process of its own, from nothing: it plays, serves, stops in order, and notices what is wrong."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from command_line import SCRIPT
from polling import until_blocking
from service import free_ports
from strongroom.cli.scenario.folder import DemoFolder
from strongroom.cli.scenario.sieve import Sieve
from strongroom.kernel.published import TEST_NUMBERS
from strongroom.kernel.schemes import synthetic_number

SECONDS_MAX = 180
CARDS = 600
CHAPTERS = 14

pytestmark = pytest.mark.timeout(2 * SECONDS_MAX)


@pytest.fixture(scope="module")
def canary_passes() -> None:
    """These tests have a server of their own: no other is started for them."""


@dataclass(slots=True)
class Demo:
    """Where one demo lives, and how it is called."""

    folder: Path
    ports: list[int]

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.folder / "report.json").read_text("utf-8"))  # type: ignore[no-any-return]

    @property
    def printed(self) -> str:
        return (self.folder / "printed").read_text("utf-8", "replace")

    def start(self, *options: str, **variables: str) -> subprocess.Popen[bytes]:
        with (self.folder / "printed").open("wb") as printed:
            return subprocess.Popen(
                [str(SCRIPT), "demo", "--json", str(self.folder / "report.json"), *options],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={
                    "PATH": "/usr/bin:/bin",
                    "HOME": str(self.folder),
                    "LC_ALL": "C.UTF-8",
                    "STRONGROOM_STATE": str(self.state),
                    "STRONGROOM_VAULT_LISTEN": f"127.0.0.1:{self.ports[0]}",
                    "STRONGROOM_GATEWAY_LISTEN": f"127.0.0.1:{self.ports[1]}",
                    "STRONGROOM_WEBHOOKS_LISTEN": f"127.0.0.1:{self.ports[2]}",
                    "STRONGROOM_CONSOLE_LISTEN": f"127.0.0.1:{self.ports[3]}",
                    **variables,
                },
            )

    def played(self, *options: str, **variables: str) -> int:
        return self.start("--once", *options, **variables).wait(SECONDS_MAX)

    def numbers(self) -> set[str]:
        """Every synthetic number that its runs took."""
        kept = json.loads((self.state / "demo" / "serials.json").read_text("utf-8"))
        return {synthetic_number(serial) for serial in range(kept["first"], kept["next"])}

    def is_stopped(self) -> bool:
        return not (self.state / "postgres" / "pgdata" / "postmaster.pid").exists()

    def simulator_is_stopped(self) -> bool:
        found = re.search(r"the simulator answers +http://127\.0\.0\.1:([0-9]+)", self.printed)
        assert found is not None
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", int(found[1]))) != 0

    def commands(self) -> list[str]:
        """What it invites to, as it stands on the screen."""
        invited = self.printed.partition("A first card")[2].partition("Ctrl-C stops")[0]
        return [part for part in invited.split("\n\n") if "curl --cacert" in part]


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    parent = Path("/var/lib") if os.geteuid() == 0 else Path(tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix="strongroom-demo-", dir=parent)).resolve()
    folder.chmod(0o711)
    try:
        yield Demo(folder, list(free_ports(4)))
    finally:
        DemoFolder(folder / "state").stop_database()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def served(demo: Demo) -> Demo:
    """A first run from nothing, asked for a token and ended by Ctrl-C."""
    process = demo.start("--fresh", "--cards", str(CARDS))
    try:
        until_blocking(
            lambda: "Ctrl-C stops everything" in demo.printed or process.poll() is not None,
            seconds=SECONDS_MAX,
        )
        answers = [
            subprocess.run(
                ["bash", "-c", command], capture_output=True, text=True, check=True
            ).stdout
            for command in demo.commands()
        ]
        made, paid = map(json.loads, answers)
        assert (made["object"], made["last4"]) == ("token", "4242"), answers
        assert (paid["object"], paid["status"], paid["amount"]) == ("payment", "succeeded", 1250)
        until_blocking(
            lambda: f"the merchant heard payment.captured {paid['id']}" in demo.printed,
            seconds=SECONDS_MAX,
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS_MAX) == 0, demo.printed
    finally:
        process.kill()
        process.wait()
    return demo


def test_everything_is_as_expected_and_the_report_says_so(served: Demo) -> None:
    report = served.report
    assert report["passed"] is True, [check for check in report["checks"] if not check["passed"]]
    chapters = {check["chapter"].partition(" ")[0] for check in report["checks"]}
    assert chapters == {"start", *map(str, range(1, CHAPTERS + 1))}
    assert len(report["checks"]) > 180
    figures = {figure["name"]: figure["value"] for figure in report["figures"]}
    assert 0 < figures["server ready after"] < figures["first token after"]
    assert figures["searched for every card number"] > 50
    assert figures["authorize and capture, with webhooks"] > 0
    assert f"{len(report['checks'])} checks, all as expected" in served.printed


def test_it_stops_the_server_and_the_database(served: Demo) -> None:
    assert served.printed.strip().endswith("stopped, PostgreSQL too")
    assert served.is_stopped()
    assert served.simulator_is_stopped()
    for port in served.ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_nothing_that_it_printed_holds_a_card_number_or_a_colour(served: Demo) -> None:
    sieve = Sieve([*TEST_NUMBERS, *served.numbers()])
    assert len(served.numbers()) > CARDS
    assert not sieve.scan(served.printed.encode())
    assert not sieve.scan(json.dumps(served.report).encode())
    assert "\x1b" not in served.printed
    assert max(map(len, served.printed.splitlines())) <= 120


def test_its_files_are_its_owners_alone(served: Demo) -> None:
    own = ("keys.json", "serials.json", "server.out", "processor.out")
    simulators = ("journal.jsonl", "accounts.json", "control.key")
    for name in (
        *(f"demo/{name}" for name in own),
        *(f"processor/{name}" for name in simulators),
        "log/strongroom.jsonl",
    ):
        assert (served.state / name).stat().st_mode & 0o077 == 0, name
    for name in ("server.out", "processor.out"):
        assert (served.state / "demo" / name).read_bytes() == b""


def test_what_is_wrong_is_found_and_the_second_run_reuses_the_data(served: Demo) -> None:
    """Sabotage: a card number in the state folder, in base64, is the one thing that is not as expected."""
    keys = (served.state / "demo" / "keys.json").read_bytes()
    before = served.numbers()
    planted = served.state / "planted"
    planted.write_text('{"body":"eyJudW1iZXIiOiI0MjQyNDI0MjQyNDI0MjQyIn0="}', "utf-8")
    taken = socket.create_server(("127.0.0.1", served.ports[0]))
    try:
        assert served.played("--cards", "40") == 1
    finally:
        planted.unlink()
        taken.close()
    failed = [check for check in served.report["checks"] if not check["passed"]]
    assert [check["sent"] for check in failed] == ["the rest of the state folder"], served.printed
    assert failed[0]["differences"] == [f"{planted}: a number that ends with 4242, form base64"]
    assert served.report["passed"] is False
    assert "not as expected" in served.printed
    assert f"127.0.0.1:{served.ports[0]} is taken: port " in served.printed
    assert (served.state / "demo" / "keys.json").read_bytes() == keys
    assert served.numbers() > before
    assert served.is_stopped()


def test_a_demo_whose_process_was_killed_leaves_nothing_running(served: Demo) -> None:
    process = served.start("--once", "--cards", "100")
    until_blocking(lambda: re.search(r"^7 · ", served.printed, re.MULTILINE), seconds=SECONDS_MAX)
    process.kill()
    process.wait()
    until_blocking(served.is_stopped, seconds=SECONDS_MAX)
    until_blocking(served.simulator_is_stopped, seconds=SECONDS_MAX)
    # Its server's log is whole, and the next run is not disturbed by any of it.
    assert served.played("--cards", "10") == 0, served.printed


def test_a_signal_in_the_middle_stops_in_order_and_is_no_success(served: Demo) -> None:
    process = served.start("--once", "--cards", "100")
    # A request is under way there, whose processor does not answer.
    until_blocking(
        lambda: re.search(r"^9 · .+[^✓]+✓", served.printed, re.MULTILINE), seconds=SECONDS_MAX
    )
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS_MAX) == 1
    assert "stopped, PostgreSQL too\nthe scenario was interrupted" in served.printed
    assert served.is_stopped()
    assert served.simulator_is_stopped()


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"STRONGROOM_ENVIRONMENT": "production"}, "demo_refused"),
        ({"STRONGROOM_VAULT_DATABASE": "env:HOME"}, "demo_refused"),
        ({"STRONGROOM_PLAIN_HTTP": "true"}, "demo_refused"),
        ({"STRONGROOM_STATE": "{folder}/foreign"}, "not_a_demo"),
    ],
)
def test_what_is_not_its_own_is_refused_and_left_alone(
    demo: Demo, variables: dict[str, str], code: str
) -> None:
    foreign = demo.folder / "foreign"
    foreign.mkdir(exist_ok=True)
    (foreign / "precious").write_text("x", "utf-8")
    filled = {name: value.format(folder=demo.folder) for name, value in variables.items()}
    assert demo.played("--fresh", **filled) == 1
    assert demo.printed.startswith(f"{code}: ")
    assert [path.name for path in foreign.iterdir()] == ["precious"]
