# SPDX-License-Identifier: Apache-2.0
"""Operators' commands about identity providers on a real installation: the way for whom nobody else could approve."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import pytest

from command_line import Installed, installed
from service import free_ports

SECRET: Final = "what-the-provider-gave"
NOT_THERE: Final = "sso_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"


@pytest.fixture(scope="module")
def site() -> Iterator[Installed]:
    with installed(free_ports(4)) as made:
        yield made


@pytest.fixture(scope="module")
def merchant(site: Installed) -> str:
    return str(site.run.done("merchant", "create", "Corner Shop", "--quiet").out.strip())


def wish(merchant: str, source: str = "-") -> list[str]:
    return (
        f"provider create --merchant {merchant} --name Accounts --issuer https://accounts.shop.example "
        f"--client-id strongroom --client-secret-file {source} --domain shop.example "
        "--redirect https://console.shop.example/signed-in --amr mfa"
    ).split()


def test_a_provider_is_made_listed_changed_and_ended(site: Installed, merchant: str) -> None:
    of = ("--merchant", merchant)
    assert "no providers yet" in site.run.done("provider", "list", *of).out
    roles = ("--role-claim", "groups", "--role", "a=b=admin", "--role", "support=operator")
    made = site.run.done(
        *wish(merchant), *roles, "--creates-people", "--json", stdin=f"{SECRET}\n"
    ).json
    assert (made["merchant"], made["status"], made["max_age_seconds"]) == (merchant, "active", 300)
    assert made["created_by"].startswith("operator:uid:")
    assert made["roles"] == [
        {"value": "a=b", "role": "admin"},
        {"value": "support", "role": "operator"},
    ]
    datetime.fromisoformat(made["created_at"])
    shown = site.run.done("provider", "list", *of).out
    assert made["id"] in shown
    assert "shop.example" in shown
    change = ("provider", "change", made["id"], *of)
    changed = site.run.done(
        *change,
        "--no-roles",
        "--no-creates-people",
        "--max-age-seconds",
        "0",
        "--domain",
        "b.example",
        "--domain",
        "a.example",
        "--acr",
        "urn:mfa",
        "--json",
    ).json
    assert {**changed, "updated_at": ""} == {
        **made,
        "role_claim": None,
        "roles": [],
        "creates_people": False,
        "max_age_seconds": None,
        "domains": ["a.example", "b.example"],
        "required_acr": ["urn:mfa"],
        "updated_at": "",
    }
    again = site.run.done(*change, "--acr", "", "--name", "New", "--json").json
    assert (again["required_acr"], again["name"], again["required_amr"]) == ([], "New", ["mfa"])
    for _ in range(2):
        ended = site.run.done("provider", "disable", made["id"], *of)
        assert ended.out == f"{made['id']} is disabled\n"
    late = site.run(*change, "--name", "Newer")
    assert (late.code, late.err.partition(":")[0]) == (1, "provider_disabled")


def test_the_secret_comes_from_a_private_file_or_standard_input_alone(
    site: Installed, merchant: str
) -> None:
    file = site.run.folder / "client.secret"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o644)
    refused = site.run(*wish(merchant, str(file)))
    assert refused.code == 1
    assert "chmod 600" in refused.err.replace("\n", " ")
    file.chmod(0o600)
    made = site.run.done(*wish(merchant, str(file)))
    provider = made.out.partition(" ")[0]
    change = ("provider", "change", provider, "--merchant", merchant)
    changed = site.run.done(*change, "--client-secret-file", "-", stdin="another\n")
    missing = site.run(*wish(merchant), stdin="")
    assert missing.code == 2
    for each in (made, changed, missing, refused):
        assert SECRET not in each.out + each.err
    assert site.run(*wish(merchant), "--client-secret", SECRET).code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ("change {id} --merchant {mer}", 2, "nothing to change"),
        ("change {id} --merchant {mer} --no-roles --role a=admin", 2, "not both"),
        ("change {id} --merchant {mer} --role a=service", 2, "VALUE=ROLE"),
        ("change {id} --merchant {mer} --name New", 1, "provider_unknown"),
        ("change con_1 --merchant {mer} --name New", 2, "sso_"),
        ("disable {id} --merchant {mer}", 1, "provider_unknown"),
        ("disable {id} --merchant nobody", 2, "mer_"),
    ],
)
def test_what_is_wrong_is_said(
    site: Installed, merchant: str, arguments: str, code: int, told: str
) -> None:
    given = arguments.format(id=NOT_THERE, mer=merchant).split()
    ended = site.run("provider", *given)
    assert ended.code == code
    assert told in " ".join(ended.err.split())


def test_what_no_provider_can_be_is_refused_as_at_the_console(
    site: Installed, merchant: str
) -> None:
    ended = site.run(*wish(merchant), "--amr", "pwd", "--max-age-seconds", "-1", stdin=SECRET)
    assert (ended.code, ended.err.partition(":")[0]) == (1, "invalid")
    nobody = site.run(*wish(f"mer_{'0' * 26}"), stdin=SECRET)
    assert (nobody.code, nobody.err.partition(":")[0]) == (1, "merchant_unknown")
    platform = site.run.done(*wish("platform"), "--json", stdin=SECRET)
    assert platform.json["merchant"] == "platform"
