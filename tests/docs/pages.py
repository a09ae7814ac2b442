# SPDX-License-Identifier: Apache-2.0
"""Reads the pages of the documentation: their links, and the blocks that a reader is told to run.

A block marked `sh run` is run; a block marked `output` behind it holds what it prints: these lines, in this order,
with others between them, `…` standing for any text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
README: Final = ROOT / "README.md"
HOWTOS: Final = sorted((ROOT / "docs" / "howto").glob("*.md"))
PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCE: Final = re.compile(r"^(?P<indent> *)```(?P<info>.*)$")
_LINK: Final = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """Commands of a page, and the lines that they print."""

    page: Path
    line: int
    commands: str
    expected: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def fences(page: Path) -> Iterator[tuple[int, str, str]]:
    """Yield (line, info, content) of every fenced block."""
    opened: tuple[int, str] | None = None
    content: list[str] = []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), start=1):
        fence = _FENCE.match(line)
        if fence is None:
            content.append(line)
        elif opened is None:
            opened, content = (number, fence["info"].strip()), []
        else:
            yield *opened, "\n".join(content) + "\n"
            opened = None
    assert opened is None, f"{page}: a block is not closed"


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that are run."""
    found: list[Block] = []
    for line, info, content in fences(page):
        if info == "sh run":
            found.append(Block(page, line, content, ()))
        elif info == "output":
            assert found, f"{page}:{line}: nothing was run that prints this"
            last = found[-1]
            assert not last.expected, f"{page}:{line}: {last} has its output already"
            expected = tuple(each for each in content.splitlines() if each.strip())
            found[-1] = Block(page, last.line, last.commands, expected)
    return found


def missing(expected: tuple[str, ...], printed: str) -> str | None:
    """Return the first expected line that is not among the printed ones, in their order."""
    lines = iter(printed.splitlines())
    for wanted in expected:
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.strip().split("…")))
        if not any(
            pattern.fullmatch(" ".join(line.split())) or pattern.fullmatch(line.strip())
            for line in lines
        ):
            return wanted
    return None


def links(page: Path) -> Iterator[str]:
    """Yield where a page's links lead, but for those in blocks."""
    text = page.read_text("utf-8")
    for _, _, content in fences(page):
        text = text.replace(content, "")
    for found in _LINK.finditer(re.sub(r"`[^`]*`", "", text)):
        yield found["target"]


def anchors(page: Path) -> set[str]:
    """Return the names of a page's headings, as a forge makes them."""
    found = set()
    for line in page.read_text("utf-8").splitlines():
        if line.startswith("#"):
            words = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
            found.add(words.replace(" ", "-"))
    return found
