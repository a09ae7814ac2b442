# SPDX-License-Identifier: Apache-2.0
"""The reference pages are what the code says. `script/golden` rewrites them; the diff is the review."""

import os
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from golden.references import (
    PAGES,
    REFERENCE,
    documents,
    errors,
    field_errors,
    published_declines,
)
from strongroom.kernel.errors import Unavailable
from strongroom.kernel.permissions import Permission
from strongroom.payments.declines import DeclineCode

LISTENERS = ("vault", "gateway", "webhooks")


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_page_is_what_the_code_says(name: str) -> None:
    path, printed = REFERENCE / name, PAGES[name]()
    if os.environ.get("STRONGROOM_REWRITE_GOLDEN") == "1":
        path.write_text(printed, "utf-8")
    assert path.exists(), f"{name} was never written: script/golden"
    assert path.read_text("utf-8") == printed, f"{name} is out of date: script/golden"


def test_every_error_has_a_sentence_and_every_status_a_meaning() -> None:
    for each in errors():
        assert each.sentence.endswith((".", "`", "?")), f"{each.name} has no sentence"
        if each.status == Unavailable.status:
            assert each.retry_after_seconds, f"{each.name} says when to try again"


def test_field_codes_are_words() -> None:
    assert field_errors(), "fields are refused somewhere"
    assert all(code.replace("_", "").isalpha() and code.islower() for code in field_errors())


def test_processors_declines_are_of_our_vocabulary() -> None:
    assert {"adyen", "checkout", "stripe"} <= set(published_declines())
    for words in published_declines().values():
        assert all(isinstance(code, DeclineCode) for code in words.values())
        assert all(word == word.strip() and word for word in words)


def test_every_permission_is_asked_for_by_a_route() -> None:
    asked = {
        permission
        for document in documents().values()
        for _, _, operation in operations(document)
        for permission in operation.get("x-requires", ())
    }
    assert asked == set(Permission)


@pytest.mark.parametrize("listener", LISTENERS)
def test_the_document_is_openapi_3_1(listener: str) -> None:
    document = documents()[listener]
    assert document["openapi"].startswith("3.1.")
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


@pytest.mark.parametrize("listener", LISTENERS)
def test_every_operation_has_examples_of_its_own_shape(listener: str) -> None:
    document = documents()[listener]
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        body = operation.get("requestBody")
        if body is not None:
            content = body["content"]["application/json"]
            assert matches(document, content), f"{where}: the request's example"
        successes = {s: a for s, a in operation["responses"].items() if s.startswith("2")}
        assert successes, where
        for status, answer in successes.items():
            assert ("content" in answer) == (status != "204"), f"{where}: {status}"
        for status, answer in operation["responses"].items():
            for content in answer.get("content", {}).values() if status != "default" else ():
                assert matches(document, content), f"{where}: the example of {status}"


@pytest.mark.parametrize("listener", LISTENERS)
def test_every_operation_says_who_may_and_what_else_may_come(listener: str) -> None:
    for method, path, operation in operations(documents()[listener]):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["tags"], where
        if operation["security"]:
            assert operation["x-requires"], where
            assert {"401", "403", "429", "503"} <= set(operation["responses"]), where
        else:
            assert "x-requires" not in operation, where
        for status in ("429", "503"):
            if operation["security"]:
                assert "Retry-After" in operation["responses"][status]["headers"], where
        assert all(a["headers"]["Request-Id"] for a in operation["responses"].values()), where


def test_making_tokens_needs_an_idempotency_key() -> None:
    document = documents()["vault"]
    for path in ("/v1/tokens", "/v1/tokens/bulk"):
        (parameter,) = document["paths"][path]["post"]["parameters"]
        assert (parameter["name"], parameter["in"]) == ("Idempotency-Key", "header")
        assert parameter["required"] is True
        assert parameter["schema"]["type"] == "string"


#: How the form of a JSON pointer begins.
POINTS = "^(/"
#: The one route whose answer holds a card number.
SHOWS_CARDS = "/v1/tokens/{token_id}/reveal"


def test_no_shape_that_goes_out_has_a_card_number() -> None:
    """A `number` that goes out is one that is too small to be a card's, but where a card is shown on purpose."""
    for document in documents().values():
        sent = [
            content["schema"]
            for _, path, operation in operations(document)
            for answer in operation["responses"].values()
            for content in answer.get("content", {}).values()
            if path != SHOWS_CARDS
        ]
        for shape in properties(document, sent).get("number", ()):
            if shape.get("pattern", "").startswith(POINTS):
                continue  # where a number stands in an answer, and none itself
            assert shape["type"] == "integer"
            assert shape["maximum"] < 10**11
    taken = [
        operation["requestBody"]["content"]["application/json"]["schema"]
        for _, _, operation in operations(documents()["vault"])
        if "requestBody" in operation
    ]
    found = [
        shape
        for shape in properties(documents()["vault"], taken)["number"]
        if shape.get("description") == "13 to 19 digits, nothing else"
    ]
    assert found, "the search finds what is there"


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def matches(document: dict[str, Any], content: dict[str, Any]) -> bool:
    """Whether there is an example and it has the shape that is declared."""
    schema = {**content["schema"], "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(content["example"])
    return True


def properties(document: dict[str, Any], schemas: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Every property's shapes, by its name, in these schemas and in those that they refer to."""
    found: dict[str, list[Any]] = {}
    seen: set[str] = set()
    waiting: list[Any] = list(schemas)
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting.extend(each)
        elif isinstance(each, dict):
            for name, shape in each.get("properties", {}).items():
                found.setdefault(name, []).append(shape)
            waiting.extend(each.values())
            reference = each.get("$ref")
            if isinstance(reference, str) and reference not in seen:
                seen.add(reference)
                waiting.append(document["components"]["schemas"][reference.rpartition("/")[2]])
    return found
