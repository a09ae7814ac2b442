# SPDX-License-Identifier: Apache-2.0
"""Judges requests by Stripe's published description, strictly: forms as `deepObject`, no member that it lacks."""

import json
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

_FOLDER: Final = Path(__file__).parents[1] / "vectors" / "data" / "stripe"
_REQUESTS: Final[dict[str, Any]] = json.loads((_FOLDER / "requests.json").read_text("utf-8"))
FIXTURES: Final[dict[str, Any]] = json.loads((_FOLDER / "fixtures.json").read_text("utf-8"))
VERSION: Final[str] = _REQUESTS["version"]
FORM: Final = "application/x-www-form-urlencoded"
_NAME: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]+\])*)")


class NotPublished(Exception):
    """A request is not one that the description has."""


def judged(method: str, path: str, query: dict[str, str], body: bytes) -> dict[str, Any]:
    """Return a request's body as a tree of typed values.

    Raises:
        NotPublished: path, query, a name or a value is not as published.
    """
    operation = _operation(method, path)
    allowed = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
    if not set(query) <= allowed:
        raise NotPublished(f"query {set(query) - allowed}")
    schema = operation["requestBody"]["content"][FORM]["schema"]
    tree = _tree(body.decode("ascii"))
    found = _typed(tree, schema, "")
    assert isinstance(found, dict)
    return found


def _operation(method: str, path: str) -> dict[str, Any]:
    for each in _REQUESTS["operations"]:
        pattern = re.sub(r"\\{[a-z]+\\}", "[^/]+", re.escape(each["path"]))
        if each["method"] == method and re.fullmatch(pattern, path):
            return dict(each)
    raise NotPublished(f"{method} {path}")


def _tree(body: str) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(body, keep_blank_values=True, strict_parsing=bool(body)):
        match = _NAME.fullmatch(name)
        if match is None:
            raise NotPublished(f"the name {name}")
        steps = [match[1], *re.findall(r"\[([^\[\]]+)\]", match[2])]
        at = tree
        for step in steps[:-1]:
            at = at.setdefault(step, {})
            if not isinstance(at, dict):
                raise NotPublished(f"{name} is a value and a member")
        if steps[-1] in at:
            raise NotPublished(f"{name} twice")
        at[steps[-1]] = value
    return tree


def _typed(value: Any, schema: dict[str, Any], at: str) -> Any:
    if "anyOf" in schema:
        reasons = []
        for each in schema["anyOf"]:
            try:
                return _typed(value, each, at)
            except NotPublished as error:
                reasons.append(str(error))
        raise NotPublished("; ".join(reasons))
    kind = schema["type"]
    if kind == "object":
        return _object(value, schema, at)
    if kind == "array":
        if not isinstance(value, dict) or list(value) != [str(n) for n in range(len(value))]:
            raise NotPublished(f"{at} is no list")
        return [_typed(each, schema["items"], f"{at}[]") for each in value.values()]
    if not isinstance(value, str):
        raise NotPublished(f"{at} is no {kind}")
    return _leaf(value, schema, at)


def _leaf(value: str, schema: dict[str, Any], at: str) -> Any:
    if "enum" in schema and value not in schema["enum"]:
        raise NotPublished(f"{at} is {value}")
    if len(value) > schema.get("maxLength", 5_000):
        raise NotPublished(f"{at} is too long")
    if schema["type"] == "integer":
        if not re.fullmatch(r"-?[0-9]+", value):
            raise NotPublished(f"{at} is no integer")
        return int(value)
    if schema["type"] == "boolean":
        if value not in ("true", "false"):
            raise NotPublished(f"{at} is no boolean")
        return value == "true"
    return value


def _object(value: Any, schema: dict[str, Any], at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotPublished(f"{at} is no object")
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties", False)
    missing = set(schema.get("required", ())) - set(value)
    if missing:
        raise NotPublished(f"{at} lacks {missing}")
    found = {}
    for name, each in value.items():
        inner = properties.get(name, others)
        if not inner:
            raise NotPublished(f"{at}[{name}] is not published")
        found[name] = _typed(each, inner, f"{at}[{name}]")
    return found
