# SPDX-License-Identifier: Apache-2.0
"""SQL is text with a name and a purpose, in `queries.sql` beside the store that uses it.

A block begins with `-- name: verb_noun (parameter, parameter)`; the lines of comment under it say what for.
A test PREPAREs every block as it stands against the migrated schema.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from strongroom.kernel.invariant import invariant

_HEAD: Final = re.compile(
    r"^-- name: (?P<name>[a-z][a-z0-9_]*) \((?P<parameters>[a-z_0-9, ]*)\)$", re.MULTILINE
)
_LOOKS_LIKE_A_HEAD: Final = re.compile(r"^\s*--\s*name\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Query:
    """One named statement. `parameters` are the names of $1, $2, … in order."""

    name: str
    parameters: tuple[str, ...]
    #: From a file of this package, never from a request.
    text: str


@cache
def load_queries(package: str) -> Mapping[str, Query]:
    """Read the `queries.sql` of a package."""
    text = resources.files(package).joinpath("queries.sql").read_text("utf-8")
    return parse_queries(text)


def parse_queries(text: str) -> Mapping[str, Query]:
    """Split a file of named statements. A name twice or a head without a body is a bug."""
    heads = list(_HEAD.finditer(text))
    invariant(bool(heads), "a queries file has at least one named block")
    # A head that is not read as one would make its block a part of the block before.
    invariant(len(heads) == len(_LOOKS_LIKE_A_HEAD.findall(text)), "every head has its form")
    found: dict[str, Query] = {}
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        name = head["name"]
        body = text[head.end() : following.start() if following else len(text)].strip()
        invariant(name not in found, f"the query {name} stands twice")
        invariant(bool(body), f"the query {name} has no body")
        parameters = tuple(word.strip() for word in head["parameters"].split(",") if word.strip())
        found[name] = Query(name, parameters, body.rstrip(";"))
    return found
