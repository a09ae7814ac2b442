# SPDX-License-Identifier: Apache-2.0
"""Operators' commands about containers and access rules, on a real installation without a server."""

from collections.abc import Iterator

import pytest

from command_line import Installed, installed
from service import free_ports
from strongroom.kernel.ids import is_id


@pytest.fixture(scope="module")
def site() -> Iterator[Installed]:
    with installed(free_ports(4)) as made:
        yield made


@pytest.fixture(scope="module")
def merchant(site: Installed) -> str:
    return str(site.run.done("merchant", "create", "Shop", "--json").json["id"])


def test_containers_are_set_listed_and_removed(site: Installed, merchant: str) -> None:
    whose = ("--merchant", merchant)
    made = site.run.done(
        "container", "set", "cards/eu", *whose, "--retention-days", "30",
        "--description", "Europe", "--json",
    ).json  # fmt: skip
    assert (made["name"], made["retention_days"], made["mode"]) == ("cards/eu", 30, "test")
    assert made["created_by"].startswith("operator:uid:")
    listed = site.run.done("container", "list", *whose)
    assert "cards/eu" in listed.out
    assert "30 days" in listed.out
    assert site.run.done("container", "list", *whose, "--mode", "live", "--json").json == []
    assert site.run.done("container", "remove", "cards/eu", *whose, "--json").json["removed"]
    again = site.run("container", "remove", "cards/eu", *whose)
    assert (again.code, again.err) == (1, "container_unknown: There is no such container.\n")


def test_rules_are_added_listed_and_removed(site: Installed, merchant: str) -> None:
    whose = ("--merchant", merchant)
    built_in = site.run.done("access-rule", "list", *whose, "--json").json
    assert [each["built_in"] for each in built_in] == [True] * 4
    made = site.run.done(
        "access-rule", "add", "/", "use", *whose, "--to", "payments", "--priority", "5", "--json"
    ).json
    assert is_id("rul", made["id"])
    assert (made["grantee_kind"], made["grantee"], made["transform"]) == ("payments", "*", "mask")
    listed = site.run.done("access-rule", "list", *whose, "--json").json
    assert [each["id"] for each in listed] == [made["id"]], "what was built in has ended"
    assert "payments:*" in site.run.done("access-rule", "list", *whose).out
    assert site.run.done("access-rule", "remove", made["id"], *whose, "--json").json["removed"]
    for wrong in (
        ("cards", "everything", "--to", "key"),
        ("cards", "use", "--to", "everybody"),
        ("cards", "use", "--to", "key", "--transform", "all"),
        ("cards", "use", "--to", "key", "--mode", "both"),
    ):
        assert site.run("access-rule", "add", *wrong, *whose).code == 2
    refused = site.run("access-rule", "add", "Cards", "use", "--to", "key", *whose)
    assert refused.code == 1
    assert refused.err.startswith("invalid: ")
