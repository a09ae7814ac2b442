# SPDX-License-Identifier: Apache-2.0
"""The pages' files as they stand: nothing inline, nothing foreign, nothing kept beyond the tab, every name there."""

import re
from html.parser import HTMLParser
from importlib import resources
from typing import Final

import pytest

from strongroom.http.pages import POLICY
from strongroom.identity.pages import api

FOLDER: Final = resources.files("strongroom.identity.pages")
FILES: Final = {each.name: each.read_text("utf-8") for each in FOLDER.iterdir() if each.is_file()}
PAGES: Final = sorted(name for name in FILES if name.endswith(".html"))
SCRIPTS: Final = sorted(name for name in FILES if name.endswith(".js"))
SERVED: Final = {path for route in api.ROUTES for path in route.paths}


class Reader(HTMLParser):
    """Reads a page: its elements with their attributes, and text where none may be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._within = ""
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = tag

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the parser's
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within in ("script", "style") and data.strip():
            self.inline.append(data)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_nothing_inline_and_loads_what_is_served_here(name: str) -> None:
    page = Reader(FILES[name])
    assert page.inline == []
    for tag, attributes in page.elements:
        assert tag not in ("style", "iframe", "object", "embed", "base")
        assert not [each for each in attributes if each.startswith("on") or each == "style"]
        for where in ("src", "href", "action"):
            target = attributes.get(where)
            assert target is None or target in SERVED, f"{name} names {target}"
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "http:" not in FILES[name]
    assert "https:" not in FILES[name]


@pytest.mark.parametrize("name", PAGES)
def test_a_script_finds_what_it_asks_its_page_for(name: str) -> None:
    script = FILES[name.replace(".html", ".js")]
    ids = {attributes.get("id") for _, attributes in Reader(FILES[name]).elements}
    asked = set(re.findall(r'\bat\("([a-z-]+)"\)', script))
    asked |= {"error", "said"}  # by talk.js
    assert asked <= ids, asked - ids


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_makes_no_markup_and_keeps_nothing_beyond_the_tab(name: str) -> None:
    code = re.sub(r"//.*", "", FILES[name])
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "localStorage",
        "indexedDB",
        "document.cookie",
        "console.",
    ):
        assert word not in code, f"{name} has {word}"


def test_the_policy_lets_in_no_inline_script_and_nothing_foreign() -> None:
    assert "unsafe" not in POLICY
    assert "http" not in POLICY
    assert "*" not in POLICY
    rules = dict(rule.strip().partition(" ")[::2] for rule in POLICY.split(";"))
    assert rules["default-src"] == "'none'"
    assert {rules[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}


def test_every_file_is_served() -> None:
    files = {name for name in FILES if not name.endswith(".py")}
    assert len(SERVED) == len(files)
