# SPDX-License-Identifier: Apache-2.0
"""House rules as programs: each finds, teaches, can be allowed with a reason, and has a test."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parents[2] / "src" / "strongroom"
ROOT: Final = SOURCE.parents[1]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule over syntax trees."""

    name: str
    remedy: str
    finds: Callable[[ast.AST], bool]


def findings(source: str, rule: Rule) -> list[int]:
    """Return the lines that break a rule and are not allowed with a reason."""
    lines = source.splitlines()
    allowed = re.compile(rf"#.*allow: {re.escape(rule.name)} because \S")
    found = []
    for node in ast.walk(ast.parse(source)):
        if rule.finds(node):
            number = getattr(node, "lineno", 1)
            if not allowed.search(lines[number - 1]):
                found.append(number)
    return sorted(set(found))


def sources(*folders: str) -> Iterator[Path]:
    """Yield the product's Python files below folders, or all."""
    for folder in folders or (".",):
        yield from sorted((SOURCE / folder).rglob("*.py"))


def _call_of(node: ast.AST, *names: str) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in names


def _imported(node: ast.Import | ast.ImportFrom) -> set[str]:
    """Return every module that an import may name, whichever way it is spelled."""
    names = {alias.name for alias in node.names}
    if isinstance(node, ast.Import):
        return names
    return {node.module or "", *(f"{node.module}.{name}" for name in names)}


NO_BARE_NOW: Final = Rule(
    "no-bare-now",
    "take `now: datetime` as a parameter, or ask the injected Clock",
    lambda node: (
        isinstance(node, ast.Attribute)
        and node.attr in {"now", "utcnow", "today"}
        and isinstance(node.value, ast.Name)
        and node.value.id in {"datetime", "date"}
    ),
)
NO_ENVIRONMENT: Final = Rule(
    "no-environment",
    "config.load is the only reader of the environment: take a setting",
    lambda node: (
        isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv"}
    ),
)
NO_FLOAT_MONEY: Final = Rule(
    "no-float-money",
    "money is integer minor units",
    lambda node: (
        isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and re.search(r"amount|price|balance", node.target.id) is not None
        and ast.unparse(node.annotation) == "float"
    ),
)
NO_ASSERT: Final = Rule(
    "no-assert",
    "use kernel.invariant.invariant: an assert vanishes under python -O",
    lambda node: isinstance(node, ast.Assert),
)
NO_PRINT: Final = Rule(
    "no-print",
    "the server logs through telemetry; the command line prints through cli.console",
    lambda node: _call_of(node, "print"),
)
NO_OWN_HTTP: Final = Rule(
    "no-own-http",
    "addresses that come from data are called through egress, which checks them",
    lambda node: (
        isinstance(node, ast.Import | ast.ImportFrom)
        and not {"urllib.request", "http.client"}.isdisjoint(_imported(node))
    ),
)
NO_UNNAMED_SQL: Final = Rule(
    "no-unnamed-sql",
    "put the statement into queries.sql, where a test PREPAREs it",
    lambda node: (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.match(
            r"\s*(select|insert|update|delete|with)\s.+\s(from|into|set)\s", node.value, re.DOTALL
        )
        is not None
    ),
)
