# SPDX-License-Identifier: Apache-2.0
"""Operators' commands about people on a real installation: the first admin's link, and everybody after."""

import asyncio
import re
from collections.abc import Iterator
from datetime import datetime

import pytest

from command_line import Ended, Installed, installed
from service import free_ports
from strongroom.db.logins import Domain
from strongroom.kernel.ids import is_id

UNKNOWN = f"usr_{'0' * 26}"
LINK = re.compile(r"https://localhost:[0-9]+/setup#link_[0-9A-Za-z]{43}")


@pytest.fixture(scope="module")
def site() -> Iterator[Installed]:
    with installed(free_ports(4)) as made:
        yield made


@pytest.fixture(scope="module")
def merchant(site: Installed) -> str:
    return str(site.run.done("merchant", "create", "Corner Shop", "--quiet").out.strip())


async def all_of(site: Installed, *calls: tuple[str, ...]) -> list[Ended]:
    """Run commands beside each other, as two operators might."""
    return await asyncio.gather(*(asyncio.to_thread(site.run, *call) for call in calls))


def test_the_first_admin_gets_a_link_and_asking_again_ends_it(site: Installed) -> None:
    first = site.run.done("init", "--admin-email", "Root@Platform.example")
    assert LINK.fullmatch(first.out.splitlines()[-1])
    assert "shown once" in first.err
    again = site.run.done("init", "--admin-email", "root@platform.example", "--admin-name", "R")
    assert again.out.splitlines()[-1] != first.out.splitlines()[-1]
    other = site.run.done("init", "--admin-email", "other@platform.example")
    assert LINK.fullmatch(other.out.splitlines()[-1])
    people = site.run.done("person", "list", "--platform", "--json").json
    assert [(each["email"], each["role"], each["status"]) for each in people] == [
        ("root@platform.example", "admin", "invited"),
        ("other@platform.example", "admin", "invited"),
    ]
    assert {each["merchant"] for each in people} == {None}


async def test_people_are_invited_listed_changed_and_kept_out(
    site: Installed, merchant: str
) -> None:
    wish = ("person", "invite", "--merchant", merchant, "--name", "Noor", "--role", "admin")
    quiet = site.run.done(*wish, "--email", "noor@shop.example", "--quiet")
    assert LINK.fullmatch(quiet.out.strip())
    made = site.run.done(*wish, "--email", "amal@shop.example", "--json").json
    person = made["person"]
    assert (person["merchant"], person["status"], made["reason"]) == (
        merchant,
        "invited",
        "invited",
    )
    assert person["created_by"].startswith("operator:uid:")
    assert LINK.fullmatch(made["link"])
    datetime.fromisoformat(made["expires_at"])
    shown, taken, empty = await all_of(
        site,
        ("person", "list", "--merchant", merchant),
        (*wish, "--email", "AMAL@shop.example"),
        ("person", "list", "--merchant", f"mer_{'0' * 26}", "--json"),
    )
    assert re.search(
        rf"^{person['id']}  admin  invited  never +amal@shop.example +Noor", shown.out, re.MULTILINE
    )
    assert (taken.code, taken.err.partition(":")[0]) == (1, "email_taken")
    assert empty.json == []
    changed = site.run.done("person", "role", person["id"], "auditor", "--json")
    assert changed.json["role"] == "auditor"
    suspended = site.run.done("person", "suspend", person["id"])
    assert suspended.out == f"{person['id']} is suspended, auditor\n"
    refused = site.run("person", "reset", person["id"])
    assert (refused.code, refused.err.partition(":")[0]) == (1, "person_suspended")
    enabled = site.run.done("person", "enable", person["id"], "--json")
    assert enabled.json["status"] == "invited"
    reset, unlocked = await all_of(
        site,
        ("person", "reset", person["id"], "--quiet"),
        ("person", "unlock", person["id"]),
    )
    assert LINK.fullmatch(reset.out.strip())
    assert unlocked.code == 0
    printed = "".join(each.out + each.err for each in (shown, changed, suspended, enabled))
    assert "link_" not in printed, "a link is shown once"


#: Arguments, exit code, what is said.
REFUSALS = [
    (("list",), 2, "say whose people"),
    (("list", "--platform", "--merchant", "mer_x"), 2, "say whose people"),
    (("list", "--merchant", "mer_x"), 2, "a merchant's id is mer_"),
    (("suspend", "usr_x"), 2, "a person's id is usr_"),
    (("suspend", UNKNOWN), 1, "person_unknown"),
    (("reset", UNKNOWN), 1, "person_unknown"),
    (("role", UNKNOWN, "service"), 2, "Invalid value"),
    (
        ("invite", "--platform", "--email", "x", "--name", "X", "--role", "admin"),
        1,
        "an address is name@host.example",
    ),
    (
        ("invite", "--merchant", f"mer_{'0' * 26}", "--email", "x@y.example", "--name", "X", "--role", "admin"),
        1,
        "merchant_unknown",
    ),
]  # fmt: skip


async def test_what_is_refused_says_why(site: Installed) -> None:
    ended = await all_of(site, *(("person", *arguments) for arguments, _, _ in REFUSALS))
    for (arguments, code, said), got in zip(REFUSALS, ended, strict=True):
        assert (arguments, got.code, said in got.plain) == (arguments, code, True), got.plain
        assert got.out == ""


async def test_every_act_is_in_the_log(site: Installed, merchant: str) -> None:
    tail = site.run.done("audit", "tail", "--tree", "core", "-n", "100", "--json").json
    done = {each["record"]["action"] for each in tail if each["record"]["merchant"] == merchant}
    assert {
        "identity.person.created",
        "identity.invitation.created",
        "identity.invitation.withdrawn",
        "identity.person.changed",
        "identity.person.suspended",
        "identity.person.enabled",
        "identity.person.unlocked",
        "identity.factor.reset",
    } <= done
    first = [
        each["record"] for each in tail if each["record"]["details"].get("reason") == "first_admin"
    ]
    assert {each["merchant"] for each in first} == {None}
    assert len({each["object"] for each in first}) == 3


async def test_with_an_active_admin_there_is_no_first_one(site: Installed) -> None:
    people = site.run.done("person", "list", "--platform", "--json").json
    await site.sql(
        Domain.CORE,
        f"update identity.person set status = 'active' where person_id = '{people[0]['id']}'",
    )
    refused = site.run("init", "--admin-email", "late@platform.example")
    assert (refused.code, "administrator_exists" in refused.err) == (1, True)
    last = site.run("person", "role", people[0]["id"], "auditor")
    assert (last.code, last.err.partition(":")[0]) == (1, "last_admin")
    suspended = site.run("person", "suspend", people[0]["id"])
    assert (suspended.code, suspended.err.partition(":")[0]) == (1, "last_admin")
    back = site.run.done("person", "reset", people[0]["id"], "--json")
    assert back.json["reason"] == "reset", "the way back in for whoever lost every proof"
    again = site.run.done("init", "--admin-email", "root@platform.example")
    assert LINK.fullmatch(again.out.splitlines()[-1])
    assert is_id("usr", people[0]["id"])
