# SPDX-License-Identifier: Apache-2.0
"""The documentation's pages are found, lead somewhere, and name tests, files and dependencies that exist."""

import ast
import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest

from docs.pages import PAGES, README, ROOT, anchors, fences, links

DOCS = ROOT / "docs"
#: What the project's own pages do not speak of.
ELSEWHERE = re.compile(r"https?://(?P<host>[^/\s)`'\"]+)")
HOSTS = {
    "127.0.0.1:4242",
    "127.0.0.1:8443",
    "127.0.0.1:8444",
    "127.0.0.1:8445",
    "127.0.0.1:8446",
    "127.0.0.1:8447",
    "127.0.0.1:8453",
    "127.0.0.1:8460",
    "127.0.0.1:9000",
    "127.0.0.1:8200",
    "api.stripe.com",
    "processor.example",  # of a reserved name: nobody answers
    "PREFIX-checkout-live.adyenpayments.com",
    "bao.example:8200",
    "checkout-test.adyen.com",
    "console.example",
    "db.shop.example",
    "vkuhvk4v.api.sandbox.checkout.com",
    "127.0.0.1:9443",
    "127.0.0.1:9444",
    "127.0.0.1:9445",
    "127.0.0.1:9446",
    "keepachangelog.com",
    "localhost:8446",
    "semver.org",
    "shop.example",
    "strongroom.example",
    "strongroom.local",
    "host",
    "host.",
    "host[:port]",
    "host[:port];",
    "HOST:PORT",
    "HOST[:PORT],",
    "localhost",
}


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in links(page):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = page if not path else (page.parent / path).resolve()
        assert there.exists(), f"{target} is not there"
        if anchor:
            assert anchor in anchors(there), f"{target}: there is no such heading"


def test_every_page_is_found_from_the_readme() -> None:
    found, waiting = {README}, [README]
    while waiting:
        page = waiting.pop()
        for target in links(page):
            there = (page.parent / target.partition("#")[0]).resolve()
            if there.suffix == ".md" and there.exists() and there not in found:
                found.add(there)
                waiting.append(there)
    assert not [str(page.relative_to(ROOT)) for page in PAGES if page not in found]


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_no_page_sends_a_reader_elsewhere_unawares(page: Path) -> None:
    assert {found["host"] for found in ELSEWHERE.finditer(page.read_text("utf-8"))} <= HOSTS


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_no_page_claims_what_only_an_assessor_can_say(page: Path) -> None:
    text = page.read_text("utf-8").lower()
    assert not re.search(
        r"pci[- ](dss[- ])?(compliant|certified|validated|approved)|military[- ]grade|unhackable",
        text,
    )


def test_every_row_of_the_threat_model_names_tests_that_exist() -> None:
    rows = [
        line
        for line in (DOCS / "threat-model.md").read_text("utf-8").splitlines()
        if re.match(r"\| [STRIDE]\d", line)
    ]
    assert len(rows) > 30
    for row in rows:
        assert evidence_of(row), f"no test holds: {row[:80]}"


def test_rows_of_the_threat_model_are_numbered_in_order() -> None:
    text = (DOCS / "threat-model.md").read_text("utf-8")
    for letter in "STRIDE":
        numbers = [int(each) for each in re.findall(rf"^\| {letter}(\d+) \|", text, re.MULTILINE)]
        assert numbers == list(range(1, len(numbers) + 1)), letter


def test_every_test_that_is_named_as_evidence_exists() -> None:
    rows = (DOCS / "explain" / "compliance.md").read_text("utf-8").splitlines()
    assert sum(map(evidence_of, rows)) > 50


def evidence_of(row: str) -> int:
    """Return how many tests a row names; each must exist."""
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row)
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        functions = {
            n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))
        }
        assert not name or name in functions, f"{file} has no {name}"
    return len(named)


def test_every_file_that_a_page_names_exists() -> None:
    for page in PAGES:
        if page.parts[-2:] == ("adr", "template.md"):
            continue
        for named in re.findall(
            r"`((?:tests|src|docs|script|bench|requirements)/[\w./*-]+)`", page.read_text("utf-8")
        ):
            assert list(ROOT.glob(named.rstrip("/"))), f"{page.relative_to(ROOT)} names {named}"


def test_every_event_that_a_page_shows_is_what_its_schema_says() -> None:
    schemas = json.loads((DOCS / "reference" / "event-schemas.json").read_text("utf-8"))
    shown = 0
    for page in PAGES:
        for _, info, content in fences(page):
            if info == "" and '"api_version"' in content:
                event = json.loads(content)
                jsonschema.Draft202012Validator(
                    schemas[event["type"]], format_checker=jsonschema.FormatChecker()
                ).validate(event)
                shown += 1
    assert shown > 0


def test_every_direct_dependency_has_a_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["embedded"],
        *project["dependency-groups"]["build"],
        *project["dependency-groups"]["dev"],
    ]
    page = (DOCS / "reference" / "dependencies.md").read_text("utf-8")
    names = {re.split(r"[\[<>=;]", each)[0] for each in wanted}
    assert not {name for name in names if f"`{name}`" not in page}


def test_decisions_are_numbered_listed_and_whole() -> None:
    pages = sorted((DOCS / "adr").glob("0*.md"))
    index = (DOCS / "adr" / "README.md").read_text("utf-8")
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text("utf-8")
        assert f"]({page.name})" in index
        assert text.startswith(f"# {int(page.name[:4])}. ")
        headings = [line for line in text.splitlines() if line.startswith("## ")]
        assert headings == [
            "## Context",
            "## Decision",
            "## What you must now do",
            "## What else was possible",
            "## What checks it",
        ], page


def test_runbooks_are_of_signs_that_the_product_gives() -> None:
    """Metrics and error codes that runbooks name exist; what a runbook waits for must be able to come."""
    known = (DOCS / "reference" / "telemetry.md").read_text("utf-8") + (
        DOCS / "reference" / "errors.md"
    ).read_text("utf-8")
    payments = (ROOT / "src" / "strongroom" / "payments").rglob("*.py")
    reasons = "".join(file.read_text("utf-8") for file in payments)
    for page in sorted((DOCS / "runbooks").glob("*.md")):
        for metric in re.findall(r"strongroom_[a-z_]+(?=`)", page.read_text("utf-8")):
            stem = metric.removesuffix("_total")
            assert (
                f"`{metric}`" in known
                or f"`{stem}`" in known
                or metric.startswith("strongroom_vault")
            ), metric
        for code in re.findall(
            r"`((?:database|key|audit|queue|card|data_key)_[a-z_]+)`", page.read_text("utf-8")
        ):
            named = f"`{code}`" in known or f'"{code}"' in reasons
            assert named, f"{page.name} names {code}"


def test_what_is_shown_as_shell_is_shell() -> None:
    """A block is marked by what it is: `sh run` is run, `sh` is for machines that are not here, `mermaid` a picture."""
    for page in PAGES:
        for line, info, _ in fences(page):
            assert info in {"", "sh", "sh run", "output", "mermaid"}, f"{page}:{line}: {info}"
