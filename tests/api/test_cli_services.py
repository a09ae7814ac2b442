# SPDX-License-Identifier: Apache-2.0
"""Operators' commands about services and signing keys, on a real installation."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import Installed, installed
from jwt_maker import EcKey, EdKey
from service import free_ports


@pytest.fixture(scope="module")
def site() -> Iterator[Installed]:
    with installed(free_ports(4)) as made:
        yield made


@pytest.fixture(scope="module")
def of(site: Installed) -> list[str]:
    merchant = site.run.done("merchant", "create", "Corner Shop", "--json").json["id"]
    return ["--merchant", str(merchant), "--mode", "test"]


def written(folder: Path, name: str, what: object) -> str:
    file = folder / name
    file.write_text(json.dumps(what), "utf-8")
    return str(file)


def test_a_service_is_registered_listed_rotated_and_revoked(
    site: Installed, of: list[str], tmp_path: Path
) -> None:
    old, new = EdKey(), EcKey()
    one = written(tmp_path, "one.jwk", old.jwk)
    two = written(tmp_path, "two.jwks", {"keys": [old.jwk, new.jwk]})
    wish = ("--name", "billing", "--permission", "payments:payment:read", "--jwks", one)
    made = site.run.done("service", "create", *of, *wish, "--json").json
    assert made["permissions"] == ["payments:payment:read"]
    assert [key["x"] for key in made["keys"]] == [old.jwk["x"]]
    changed = site.run.done("service", "rotate-key", made["id"], *of, "--jwks", two, "--json").json
    assert [key["kty"] for key in changed["keys"]] == ["OKP", "EC"]
    listed = site.run.done("service", "list", *of)
    assert made["id"] in listed.out
    assert "active" in listed.out
    site.run.done("service", "revoke", made["id"], *of)
    (shown,) = site.run.done("service", "list", *of, "--json").json
    assert shown["revoked_at"] is not None
    for _ in range(2):
        site.run.done("service", "revoke-certificate", *of, "--thumbprint", ":".join(["0F"] * 32))
    wrong = site.run("service", "revoke-certificate", *of, "--thumbprint", "0F")
    assert (wrong.code, "x5t#S256" in wrong.err) == (1, True)
    nobody = ["--merchant", "mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB", "--mode", "test"]
    gone = site.run("service", "revoke-certificate", *nobody, "--thumbprint", "0F" * 32)
    assert (gone.code, gone.err.split(":")[0]) == (1, "merchant_unknown")
    gone = site.run("service", "rotate-key", made["id"], *of, "--jwks", one)
    assert (gone.code, gone.err.split(":")[0]) == (1, "service_unknown")


def test_a_private_key_is_refused_and_not_repeated(
    site: Installed, of: list[str], tmp_path: Path
) -> None:
    file = written(tmp_path, "private.jwk", {**EdKey().jwk, "d": "B" * 43})
    wish = ("--name", "billing", "--permission", "payments:payment:read", "--jwks", file)
    ended = site.run("service", "create", *of, *wish)
    assert ended.code == 1
    assert "no private part" in ended.err
    assert "BBBB" not in ended.out + ended.err


def test_signing_keys_are_rotated_and_a_leaked_one_ends_at_once(site: Installed) -> None:
    assert site.run.done("signing-key", "list", "--json").json == []
    first = site.run.done("signing-key", "rotate", "--json").json
    assert first["version"] == 2, "the first was made so that there is one to follow"
    newest, before = site.run.done("signing-key", "list", "--json").json
    assert newest == first
    assert before["verify_until"] > first["sign_from"]
    leaked = site.run.done("signing-key", "rotate", "--compromised", "--json").json
    keys = site.run.done("signing-key", "list", "--json").json
    assert [key["verify_until"] for key in keys] == [None, *[leaked["made_at"]] * 2]
    assert leaked["sign_from"] == leaked["made_at"]
