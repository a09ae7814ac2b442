# SPDX-License-Identifier: Apache-2.0
"""The house rules hold in the product, and each rule bites."""

import re
from pathlib import Path

import pytest

from architecture.house_rules import (
    NO_ASSERT,
    NO_BARE_NOW,
    NO_ENVIRONMENT,
    NO_FLOAT_MONEY,
    NO_OWN_HTTP,
    NO_PRINT,
    NO_UNNAMED_SQL,
    ROOT,
    SOURCE,
    Rule,
    findings,
    sources,
)

#: What has stores, and what runs in a server.
DOMAINS = ("vault", "payments", "webhooks", "identity", "audit", "keys", "jobs", "http", "egress")
SERVER = (*DOMAINS, "kernel", "crypto", "db", "compose", "simulator")

#: Rule, the folders it holds in, a breach, the same breach allowed.
RULES = [
    (NO_BARE_NOW, (), "x = datetime.now()", ()),
    (NO_ENVIRONMENT, (), "x = os.environ['A']", ("config/load.py",)),
    (NO_FLOAT_MONEY, (), "amount: float = 1.0", ()),
    (NO_ASSERT, (), "assert x", ()),
    (NO_PRINT, SERVER, "print(1)", ()),
    (NO_OWN_HTTP, (), "from urllib import request", ()),
    (NO_OWN_HTTP, (), "import http.client as client", ()),
    (NO_UNNAMED_SQL, DOMAINS, "x = 'select a from b '", ()),
]


@pytest.mark.parametrize(
    ("rule", "folders", "breach", "exempt"), RULES, ids=[r[0].name for r in RULES]
)
def test_the_rule_holds(
    rule: Rule, folders: tuple[str, ...], breach: str, exempt: tuple[str, ...]
) -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{line}"
        for path in sources(*folders)
        if str(path.relative_to(SOURCE)) not in exempt
        for line in findings(path.read_text("utf-8"), rule)
    ]
    assert not found, f"{rule.name}: {rule.remedy}: {found}"


@pytest.mark.parametrize(
    ("rule", "folders", "breach", "exempt"), RULES, ids=[r[0].name for r in RULES]
)
def test_the_rule_bites_and_can_be_allowed(
    rule: Rule, folders: tuple[str, ...], breach: str, exempt: tuple[str, ...]
) -> None:
    assert findings(breach, rule)
    assert not findings(f"{breach}  # allow: {rule.name} because this is a test", rule)
    assert findings(f"{breach}  # allow: {rule.name}", rule), "a reason is required"


def test_every_file_has_its_licence_line_and_says_what_it_is_for() -> None:
    for path in sources():
        text = path.read_text("utf-8")
        assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n"), path
        assert text.partition("\n")[2].startswith(('"""', 'r"""')), (
            f"{path} has no module docstring"
        )
        docstring = text.split('"""')[1]
        # A module of errors draws its tree there.
        assert len(docstring.strip().splitlines()) <= (40 if path.stem == "errors" else 12), path


def test_files_hold_one_thing_each() -> None:
    long = {
        str(path.relative_to(SOURCE)): count
        for path in sources()
        if (count := len(path.read_text("utf-8").splitlines())) > 450
    }
    assert not long, "divide these"


def test_no_file_is_named_for_nothing() -> None:
    bad = {"utils", "helpers", "common", "base", "misc", "util", "helper"}
    assert not [path for path in sources() if path.stem in bad or path.parent.name in bad]


def test_secrets_are_exposed_only_where_the_list_says() -> None:
    """STYLE rule 3: a new place that exposes a secret is a decision; it changes this list."""
    listed = (Path(__file__).parent / "exposures.txt").read_text("utf-8").split()
    found = sorted(
        str(path.relative_to(SOURCE))
        for path in sources()
        if ".expose()" in path.read_text("utf-8")
    )
    assert found == sorted(listed)


def test_no_registry_address_stands_in_any_tracked_text() -> None:
    pattern = re.compile(
        r"(pypi\.or"
        r"g|pythonhosted\.or"
        r"g|registry\.npmjs\.or"
        r"g|deb\.debian\.or"
        r"g)"
    )
    for folder in ("requirements", "script", "docs", "src"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in {
                ".txt",
                ".md",
                ".py",
                ".toml",
                "",
                ".sql",
                ".json",
            }:
                assert not pattern.search(path.read_text("utf-8", "replace")), path


def test_requirements_are_pinned_with_hashes() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text("utf-8")
        names = re.findall(r"^[a-z0-9][^\s=]*==[^\s]+", text, re.MULTILINE)
        assert names
        assert "://" not in text
        blocks = re.split(r"\n(?=[a-z0-9])", text.strip())
        assert all("--hash=sha256:" in block for block in blocks), path
