# SPDX-License-Identifier: Apache-2.0
"""`strongroom keys` on a real installation: the inventory, a rotation, and a root rotated under its data keys."""

from collections.abc import Iterator

import pytest

from command_line import Installed, installed
from service import free_ports


@pytest.fixture(scope="module")
def site() -> Iterator[Installed]:
    with installed(free_ports(4)) as made:
        yield made


def test_a_merchants_key_is_rotated_and_listed(site: Installed) -> None:
    run = site.run
    merchant = run.done("merchant", "create", "Corner Shop", "--json").json["id"]
    first = run.done("keys", "rotate", "card", "--merchant", merchant, "--mode", "test", "--json")
    assert first.json == {"name": "card", "version": 1, "job": None}, "there was none"
    second = run.done("keys", "rotate", "card", "--merchant", merchant, "--mode", "test", "--json")
    assert second.json["version"] == 2
    assert second.json["job"].startswith("job_")
    listed = run.done("keys", "list", "--json").json
    mine = {each["version"]: each["state"] for each in listed if each["merchant"] == merchant}
    assert mine == {1: "retiring", 2: "active"}
    roots = {each["name"] for each in listed if each["kind"] == "root"}
    assert roots == {"audit", "card", "credential", "identity", "webhook"}
    assert run.done("keys", "list", "--overdue").out == "no key is overdue\n"
    early = run("keys", "destroy", "card", "1", "--merchant", merchant, "--mode", "test", "--yes")
    assert (early.code, early.err.partition(":")[0]) == (1, "key_still_serves")
    assert run("keys", "rotate", "cards", "--merchant", merchant).code == 2


@pytest.mark.parametrize("purpose", ["card", "identity", "audit"])
def test_a_root_is_rotated_and_everything_goes_on(site: Installed, purpose: str) -> None:
    run = site.run
    before = {
        (each["where"], each["merchant"], each["mode"], each["name"], each["version"])
        for each in run.done("keys", "list", "--json").json
        if each["kind"] == "data_key"
    }
    done = run.done("keys", "rotate-root", purpose, "--json").json
    assert done["rewrapped"] > 0
    again = run.done("keys", "rotate-root", purpose, "--rewrap-only", "--json").json
    assert again["rewrapped"] >= done["rewrapped"], "safe to repeat"
    listed = run.done("keys", "list", "--json").json
    (root,) = [each for each in listed if each["kind"] == "root" and each["name"] == purpose]
    assert root["where"].endswith(f"#{purpose}/2")
    assert before <= {
        (each["where"], each["merchant"], each["mode"], each["name"], each["version"])
        for each in listed
    }
    # What hangs from the root opens, and its rows carry their MACs.
    made = run.done("merchant", "create", f"After {purpose}", "--json").json["id"]
    run.done(
        "key",
        "create",
        "--merchant",
        made,
        "--mode",
        "test",
        "--kind",
        "sk",
        "--name",
        "n",
        "--quiet",
    )
