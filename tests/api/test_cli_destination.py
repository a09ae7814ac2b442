# SPDX-License-Identifier: Apache-2.0
"""`strongroom destination` on a real installation: registered, shown, changed, rotated, put back, ended."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from command_line import Installed, installed
from service import free_ports
from strongroom.kernel.ids import is_id

SECRET = "a-partners-secret-of-a-test"
DESCRIPTION: dict[str, Any] = {
    "name": "Partner [bold]Desk[/]",
    "base_url": "https://api.partner.example",
    "path": "/v1/pay/*",
    "auth": "bearer",
}


@pytest.fixture(scope="module")
def site() -> Iterator[Installed]:
    with installed(free_ports(4)) as made:
        yield made


@pytest.fixture(scope="module")
def merchant(site: Installed) -> str:
    return str(site.run.done("merchant", "create", "Shop", "--quiet").out.strip())


def described(site: Installed, **more: Any) -> str:
    file = site.run.folder / "partner.json"
    file.write_text(json.dumps({**DESCRIPTION, **more}))
    return str(file)


def secret(site: Installed, text: str) -> str:
    file = site.run.folder / "partner.key"
    file.write_text(text + "\n")
    file.chmod(0o600)
    return f"token={file}"


def test_the_life_of_a_destination(site: Installed, merchant: str) -> None:
    run, owner = site.run, ("--merchant", merchant)
    none = run.done("destination", "list", *owner)
    assert "no destinations yet" in none.out
    file, given = described(site), secret(site, SECRET)
    made = run.done("destination", "create", file, *owner, "--credential", given, "--quiet")
    destination = made.out.strip()
    assert is_id("dst", destination)
    shown = run.done("destination", "show", destination, *owner)
    assert "Partner [bold]Desk[/]" in shown.out, "a name is never read as markup"
    assert SECRET not in made.out + shown.out
    listed = run.done("destination", "list", *owner, "--json").json
    assert [each["id"] for each in listed] == [destination]
    changed = run.done(
        "destination", "update", destination, described(site, path="/v2/pay"), *owner, "--json"
    ).json
    assert changed["path"] == "/v2/pay"
    again = secret(site, "another-secret")
    rotated = run.done(
        "destination", "rotate", destination, *owner, "--credential", again, "--json"
    )
    assert rotated.json["credentials_changed_at"] > changed["credentials_changed_at"]
    run.done("destination", "restore", destination, *owner)
    twice = run("destination", "restore", destination, *owner)
    assert (twice.code, twice.err.partition(":")[0]) == (1, "nothing_to_restore")
    assert "disabled" in run.done("destination", "disable", destination, *owner).out


def test_what_is_wrong_is_said_and_nothing_repeated(site: Installed, merchant: str) -> None:
    run, owner = site.run, ("--merchant", merchant)
    given = secret(site, SECRET)
    inside = described(site, base_url="https://169.254.169.254")
    refused = run("destination", "create", inside, *owner, "--credential", given)
    assert refused.code == 1
    assert "address_metadata" in refused.err
    assert "169.254" not in refused.err + refused.out
    named = described(site, credentials={"token": SECRET})
    refused = run("destination", "create", named, *owner, "--credential", given)
    assert refused.code == 1
    assert SECRET not in refused.err + refused.out
    live = run(
        "destination", "create", described(site), *owner, "--credential", given, "--mode", "live"
    )
    assert (live.code, live.err.partition(":")[0]) == (1, "takes_two_people")
    for arguments in (
        ("show", "dst_nonsense"),
        ("create", "missing.json"),
        ("create", described(site), "--credential", SECRET),
    ):
        ended = run("destination", *arguments, *owner)
        assert ended.code == 2, ended.err
        assert SECRET not in ended.err
