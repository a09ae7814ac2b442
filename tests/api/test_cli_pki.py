# SPDX-License-Identifier: Apache-2.0
"""`strongroom pki` on a real installation: what it changes is recorded before, and not changed where it cannot be."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from command_line import Installed, installed
from service import free_ports
from strongroom.config.internal import port_folder

NOWHERE = {
    "STRONGROOM_CORE_DATABASE": "env:NOWHERE",
    "NOWHERE": "postgresql://127.0.0.1:1/strongroom_core",
}


@pytest.fixture(scope="module")
def site() -> Iterator[Installed]:
    with installed(free_ports(4)) as made:
        yield made


def recorded(site: Installed) -> list[dict[str, Any]]:
    """What the audit log says of keys, without what the data keys' own making is."""
    shown = site.run.done("audit", "tail", "--tree", "core", "-n", "100", "--json").json
    return [
        each["record"]
        for each in shown
        if each["record"]["action"].startswith(("keys.authority", "keys.certificate"))
    ]


def fact(path: Path) -> str:
    """The SHA-256 of a certificate's DER form, in groups of eight."""
    der = x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)
    text = hashlib.sha256(der).hexdigest()
    return "-".join(text[at : at + 8] for at in range(0, 64, 8))


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*") if file.is_file()}


def test_each_act_is_a_record_of_the_platform(site: Installed) -> None:
    folder = port_folder(site.here.settings)
    site.run.done("pki", "init")
    made, *issued = recorded(site)
    assert (made["action"], made["object"]) == ("keys.authority.changed", "authority:1")
    assert made["details"] == {
        "operation": "make",
        "certificate": fact(folder / "authority-1.pem"),
    }
    for each, name in zip(issued, ("server", "gateway", "worker"), strict=True):
        assert (each["action"], each["object"]) == (
            "keys.certificate.issued",
            f"certificate:{name}",
        )
        assert each["details"] == {
            "certificate": fact(folder / f"{name}.pem"),
            "key_version": 1,
            "lifetime_seconds": 30 * 86_400,
        }
    for each in (made, *issued):
        assert (each["merchant"], each["mode"], each["outcome"]) == (None, None, "success")
        assert each["actor"].startswith("operator:uid:")

    site.run.done("pki", "init")
    assert "nothing is due" in site.run.done("pki", "issue").out
    assert len(recorded(site)) == 4, "what changes nothing is no record"

    away = folder / "away"
    site.run.done("pki", "issue", "worker", "--out", str(away), "--days", "7")
    site.run.done("pki", "revoke", "worker")
    lent, revoked = recorded(site)[4:]
    assert lent["details"]["certificate"] == fact(away / "worker.pem")
    assert lent["details"]["lifetime_seconds"] == 7 * 86_400
    assert (revoked["action"], revoked["object"]) == (
        "keys.certificate.revoked",
        "certificate:worker",
    )
    assert revoked["details"] == {"certificate": fact(away / "worker.pem"), "key_version": 1}

    site.run.done("pki", "rotate", "--step", "trust")
    early = site.run("pki", "rotate", "--step", "issue")
    assert (early.code, "pki_step_out_of_order" in early.err) == (1, True)
    assert [each["details"]["operation"] for each in recorded(site)[6:]] == ["trust"]


@pytest.mark.parametrize(
    "command",
    [
        ("init", "--days", "9"),
        ("issue", "gateway"),
        ("revoke", "gateway"),
        ("rotate", "--step", "trust"),
    ],
)
def test_without_its_record_nothing_changes(site: Installed, command: tuple[str, ...]) -> None:
    site.run.done("pki", "init")
    folder = port_folder(site.here.settings)
    keys = site.state / "keys"
    before = content(folder), content(keys), recorded(site)
    ended = site.run("pki", *command, **NOWHERE)
    assert (ended.code, ended.err.partition(":")[0]) == (1, "database_away"), ended.err
    assert (content(folder), content(keys), recorded(site)) == before


def test_an_installation_whose_database_is_away_gets_no_authority(site: Installed) -> None:
    other = site.run.folder / "other"
    ended = site.run("pki", "init", STRONGROOM_STATE=str(other), **NOWHERE)
    assert (ended.code, ended.err.partition(":")[0]) == (1, "not_initialised")
    assert not other.exists()


def test_what_fails_is_recorded_as_failed(site: Installed) -> None:
    site.run.done("pki", "init")
    before = len(recorded(site))
    ended = site.run("pki", "issue", "gateway", "--out", "/dev/null/nowhere")
    assert (ended.code, ended.err.partition(":")[0]) == (1, "pki_not_written")
    assert [(each["object"], each["outcome"]) for each in recorded(site)[before:]] == [
        ("certificate:gateway", "success"),
        ("certificate:gateway", "failed"),
    ]
