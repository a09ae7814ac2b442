# SPDX-License-Identifier: Apache-2.0
"""`strongroom key-store` and `strongroom secret`: roots made in a token, references followed, a password rotated."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import CommandLine, Installed, installed
from contracts.soft_hsm import PIN, SoftToken, new_token
from service import free_ports
from strongroom.db.logins import Login


@pytest.fixture(scope="module")
def site() -> Iterator[Installed]:
    with installed(free_ports(4)) as made:
        yield made


@pytest.fixture(scope="module")
def token() -> SoftToken:
    return new_token()


@pytest.fixture
def hsm(tmp_path: Path, token: SoftToken) -> CommandLine:
    """A command line whose key store is a token."""
    pin = tmp_path / "pin"
    pin.write_text(PIN, "utf-8")
    return CommandLine(
        tmp_path,
        {
            "SOFTHSM2_CONF": os.environ["SOFTHSM2_CONF"],
            "STRONGROOM_STATE": str(tmp_path / "state"),
            "STRONGROOM_KEY_STORE": "pkcs11",
            "STRONGROOM_PKCS11_MODULE": token.place.module,
            "STRONGROOM_PKCS11_TOKEN": token.place.token,
            "STRONGROOM_PKCS11_PIN": f"file:{pin}",
        },
    )


def test_roots_are_made_in_the_token_once(hsm: CommandLine) -> None:
    before = hsm("key-store", "show")
    assert before.code == 1
    assert "key_store_refused: the token has no root for: audit, card" in before.plain
    made = hsm("key-store", "init", "--json")
    assert {each["purpose"]: each["version"] for each in made.json} == dict.fromkeys(
        ("audit", "card", "credential", "identity", "webhook"), 1
    )
    assert hsm("key-store", "init", "--json").json == []
    assert "holds every root already" in hsm("key-store", "init").plain
    shown = hsm("key-store", "show", "--json").json
    assert {each["algorithm"] for each in shown} == {"AES-256-GCM"}
    assert all(each["enabled"] and each["key_id"].endswith("/1") for each in shown)
    assert "enabled" in hsm("key-store", "show").plain


def test_a_wrong_pin_is_told_and_not_shown(hsm: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("11112222", "utf-8")
    for command in ("init", "show"):
        ended = hsm("key-store", command)
        assert ended.code == 1
        assert "the token refused the PIN; it is not tried again" in ended.plain
        assert "11112222" not in ended.plain
    (tmp_path / "pin").unlink()
    listed = hsm("secret", "list")
    assert listed.code == 1
    assert "STRONGROOM_PKCS11_PIN" in listed.plain
    assert "missing" in listed.plain


def test_what_the_token_needs_is_named_at_once(hsm: CommandLine) -> None:
    ended = hsm("key-store", "show", STRONGROOM_PKCS11_MODULE="", STRONGROOM_PKCS11_PIN="")
    assert ended.code == 1
    assert "STRONGROOM_PKCS11_MODULE" in ended.plain
    assert "STRONGROOM_PKCS11_PIN" in ended.plain


def test_roots_of_another_store_are_not_made_here(site: Installed) -> None:
    ended = site.run("key-store", "init")
    assert (ended.code, "key_store_makes_no_roots" in ended.plain) == (1, True)
    assert {each["purpose"] for each in site.run("key-store", "show", "--json").json} >= {"card"}


def test_a_start_names_every_reference_that_leads_nowhere(tmp_path: Path) -> None:
    run = CommandLine(
        tmp_path,
        {
            "STRONGROOM_STATE": str(tmp_path / "state"),
            "STRONGROOM_VAULT_DATABASE": "env:NOT_SET",
            "STRONGROOM_CORE_DATABASE": f"file:{tmp_path / 'none'}",
            "STRONGROOM_KEY_FILE_PASSPHRASE": "vault:secret/strongroom#passphrase",
            "STRONGROOM_LOGIN_PASSWORDS": f"file:{tmp_path}/{{login}}",
        },
    )
    for command in (["serve"], ["migrate"], ["secret", "list", "--json"]):
        ended = run(*command)
        assert ended.code == 1
        for name in ("VAULT_DATABASE", "CORE_DATABASE", "KEY_FILE_PASSPHRASE"):
            assert f"STRONGROOM_{name}" in ended.plain
        assert "LOGIN_PASSWORDS (strongroom_vault)" in ended.plain
    assert "secrets_missing" in run("serve").plain


def test_a_login_gets_another_password(site: Installed) -> None:
    path = site.state / "logins" / Login.GATEWAY
    before = path.read_text("utf-8")
    ended = site.run("secret", "rotate", Login.GATEWAY)
    assert (ended.code, "strongroom_gateway has another password" in ended.plain) == (0, True)
    after = path.read_text("utf-8")
    assert after != before
    assert after not in ended.plain
    assert path.stat().st_mode & 0o777 == 0o600
    report = site.run("doctor", "--json").json
    assert not [each for each in report["findings"] if each["level"] == "fail"]
    assert site.run("secret", "rotate", "--all").code == 0
    assert site.run("doctor", "--json").json["ok"]


@pytest.mark.parametrize("arguments", [[], ["nobody"], ["strongroom_vault", "--all"]])
def test_which_logins_must_be_said(site: Installed, arguments: list[str]) -> None:
    assert site.run("secret", "rotate", *arguments).code == 2


def test_an_installation_on_a_token_rotates_a_root(hsm: CommandLine) -> None:
    with installed(free_ports(4)) as made:
        # No data key was made yet, so another key store can still be named.
        in_token = {
            name: value for name, value in hsm.variables.items() if name != "STRONGROOM_STATE"
        }
        run = CommandLine(made.run.folder, made.run.variables | in_token)
        run.done("key-store", "init")
        ended = run.done("key-store", "rotate", "card")
        assert "of the root card wraps from now on" in ended.plain
        shown = run("key-store", "show", "--json").json
        versions = {each["purpose"]: each["key_id"].rpartition("/")[2] for each in shown}
        assert int(versions["card"]) == int(versions["audit"]) + 1
        report = run("doctor", "--json").json
        assert not [each for each in report["findings"] if each["level"] == "fail"]
        assert run("key-store", "rotate", "cards").code == 2
        ended = run("key-store", "rotate", "card", STRONGROOM_KEY_STORE="file")
        assert (ended.code, "key_store_makes_no_roots" in ended.plain) == (1, True)
