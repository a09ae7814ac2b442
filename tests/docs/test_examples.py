# SPDX-License-Identifier: Apache-2.0
"""What the README's tour and the how-tos tell a reader to run is run, in order, and prints what they say.

The tour starts a vault of its own, as it says; the how-tos share one that is started by the tour's first blocks.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from docs.pages import HOWTOS, README, ROOT, Block, blocks, missing
from service import free_ports

TOUR_STATE: Final = "/var/tmp/strongroom-tour"
#: Of all pages together. They wait for the next code of an app, half a minute each; on a slow machine that has other
#: tests to run they took a quarter of an hour.
SECONDS_MAX: Final = 2_400
_MARK: Final = "@@ block "
#: The ports that pages name: the listeners, the simulator, a merchant's program, and those of roles apart.
PORTS: Final = (8443, 8444, 8445, 8446, 8460, 4242, 9443, 9444, 9445, 9446, 8447, 8453)
_PORT: Final = re.compile(
    rf"(127\.0\.0\.1:|\"127\.0\.0\.1\", |--port )({'|'.join(map(str, PORTS))})\b"
)
#: The tour's first two blocks make what the how-tos say that one needs.
PREPARED_BY: Final = 2
PAGES: Final = [page for page in HOWTOS if blocks(page)]
#: A hundred commands, each a process of its own, and the server's end.
pytestmark = pytest.mark.timeout(2 * SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class Place:
    """Where examples run: a folder and ports of their own, nothing of this test's environment."""

    state: Path
    #: For each port that pages name, a free one.
    ports: Mapping[int, int]

    def here(self, commands: str) -> str:
        """Return commands for this place."""
        moved = commands.replace(TOUR_STATE, str(self.state))
        return _PORT.sub(lambda found: found[1] + str(self.ports[int(found[2])]), moved)

    @property
    def environment(self) -> dict[str, str]:
        """What a reader's shell has: a path, a home, and ports that nobody else uses here."""
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.state.parent),
            "LANG": "C.UTF-8",
            "STRONGROOM_VAULT_LISTEN": f"127.0.0.1:{self.ports[8443]}",
            "STRONGROOM_GATEWAY_LISTEN": f"127.0.0.1:{self.ports[8444]}",
            "STRONGROOM_WEBHOOKS_LISTEN": f"127.0.0.1:{self.ports[8445]}",
            "STRONGROOM_PUBLIC_URL": f"https://127.0.0.1:{self.ports[8445]}",
            "STRONGROOM_CONSOLE_LISTEN": f"127.0.0.1:{self.ports[8446]}",
        }


@pytest.fixture
def place() -> Iterator[Place]:
    with _a_place() as made:
        yield made


class _a_place:  # noqa: N801 - reads as the phrase it is
    """A folder that the embedded server's account reaches, removed in the end."""

    def __enter__(self) -> Place:
        self._folder = Path(tempfile.mkdtemp(prefix="strongroom-docs-", dir="/var/tmp")).resolve()
        self._folder.chmod(0o711)
        return Place(self._folder / "state", dict(zip(PORTS, free_ports(len(PORTS)), strict=True)))

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def run(place: Place, script: str) -> str:
    """Run a script in one shell and return all it printed; whatever it left running is stopped."""
    shell = subprocess.Popen(
        ["bash", "-c", place.here(script)],
        cwd=ROOT,
        env=place.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        printed, _ = shell.communicate(timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGINT)  # the server among them stops its database
        printed, _ = shell.communicate(timeout=SECONDS_MAX)
        return printed + f"\n{_MARK}stopped after {SECONDS_MAX} s\n"
    return printed


def script(*parts: Sequence[Block]) -> str:
    """Join blocks into a script that stops at the first that fails, and tells which is running."""
    lines = ["set -euo pipefail"]
    for part in parts:
        for block in part:
            lines += [f"printf '\\n{_MARK}%s\\n' '{block}'", block.commands]
    return "\n".join([*lines, f"printf '\\n{_MARK}end\\n'"])


def require(printed: str, wanted: Sequence[Block]) -> None:
    """Fail for the first block that did not run to its end or did not print what the page says."""
    said = dict(part.split("\n", 1) for part in printed.split(f"\n{_MARK}")[1:])
    names = [str(block) for block in wanted]
    for block, following in zip(wanted, [*names[1:], "end"], strict=True):
        assert str(block) in said, f"{block} was not reached:\n{printed}"
        assert following in said, f"{block} failed:\n{said[str(block)]}"
        line = missing(block.expected, said[str(block)])
        assert line is None, f"{block} does not print: {line}\nbut:\n{said[str(block)]}"


def test_the_tour(place: Place) -> None:
    tour = blocks(README)
    assert len(tour) > PREPARED_BY
    require(run(place, script(tour)), tour)
    assert not (place.state / "postgres" / "pgdata" / "postmaster.pid").exists(), "all is stopped"


@pytest.fixture(scope="module")
def printed_by_howtos(request: pytest.FixtureRequest) -> Iterator[dict[Path, str]]:
    """Run the how-tos that are asked for (`-k`) over one vault, each in a shell of its own."""
    asked = {
        item.callspec.params["page"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and "printed_by_howtos" in item.fixturenames
    }
    with _a_place() as place:
        prepared = script(blocks(README)[:PREPARED_BY])
        # `set -a` hands the tour's variables to the pages, `export -f` its functions; the server stops at the end.
        parts = ["set -a", prepared, "export -f vault gateway", "set +a"]
        for page in (each for each in PAGES if each in asked):
            inner = place.state.parent / f"{page.stem}.sh"
            # What a page that fails leaves running is in the way of the next.
            ending = "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n"
            inner.write_text(ending + place.here(script(blocks(page))), "utf-8")
            parts += [f"printf '\\n@@ page %s\\n' {page.name}", f"bash {inner} || true"]
        parts += ["printf '\\n@@ page end\\n'", 'kill "$SERVER" && wait "$SERVER"']
        everything = run(place, "\n".join(parts))
        pages = dict(part.split("\n", 1) for part in everything.split("\n@@ page ")[1:])
        yield {page: "\n" + pages.get(page.name, everything) for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_a_howto(printed_by_howtos: dict[Path, str], page: Path) -> None:
    require(printed_by_howtos[page], blocks(page))


def test_the_check_bites() -> None:
    block = Block(README, 1, "echo one", ("one", "two …"))
    name = str(block)
    require(f"\n{_MARK}{name}\none\nand\ntwo halves\n\n{_MARK}end\n", [block])
    for printed, wrong in (
        (f"\n{_MARK}{name}\none\n\n{_MARK}end\n", "does not print: two"),
        (f"\n{_MARK}{name}\ntwo halves\none\n\n{_MARK}end\n", "does not print: two"),
        (f"\n{_MARK}{name}\none\ntwo halves\n", "failed"),
        ("\n", "was not reached"),
    ):
        with pytest.raises(AssertionError, match=wrong):
            require(printed, [block])
