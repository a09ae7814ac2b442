# SPDX-License-Identifier: Apache-2.0
"""`strongroom pki` killed between any two files: nobody is locked out, and the same command again makes it whole."""

import fcntl
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from strongroom.cli.authorities import (
    NAMES,
    SETTLED,
    Authorities,
    AuthorityAbsent,
    Planned,
    RotationOutOfOrder,
)
from strongroom.cli.installation import write_private
from strongroom.crypto import certificate_serial

NOW = datetime.now(UTC)
MONTH = timedelta(days=30)
HOSTS = ["127.0.0.1"]
LATER = SETTLED + timedelta(seconds=1)
Act = Callable[[Authorities], Planned[Any]]


class Killed(BaseException):
    """What a kill is to the code that runs."""


def issue(each: Authorities) -> None:
    for name in each.due():
        each.issue(name, HOSTS, MONTH).carry_out()


def initialised(folder: Path) -> None:
    Authorities(folder, NOW).make().carry_out()
    issue(Authorities(folder, NOW))


def trusting(folder: Path) -> None:
    initialised(folder)
    Authorities(folder, NOW).trust_next().carry_out()


def issuing(folder: Path) -> None:
    trusting(folder)
    Authorities(folder, NOW + LATER).issue_by_next(HOSTS, MONTH).carry_out()


def revocable(folder: Path) -> None:
    initialised(folder)
    Authorities(folder, NOW).issue("gateway", HOSTS, MONTH, folder / "away").carry_out()


#: What stands before, when, the act, and how a person goes on if it says that it was done already.
ACTS: list[tuple[Callable[[Path], None], timedelta, Act]] = [
    (lambda _: None, timedelta(), lambda each: each.make()),
    (initialised, timedelta(), lambda each: each.issue("gateway", HOSTS, MONTH)),
    (revocable, timedelta(), lambda each: each.revoke("gateway")),
    (initialised, timedelta(), lambda each: each.trust_next()),
    (trusting, LATER, lambda each: each.issue_by_next(HOSTS, MONTH)),
    (issuing, LATER * 2, lambda each: each.forget_former()),
]


def standing(folder: Path) -> None:
    """Whoever has a certificate here is trusted here, and whom the book calls revoked is on the list."""
    bundle = x509.load_pem_x509_certificates((folder / "authorities.pem").read_bytes())
    for name in NAMES:
        if not (folder / f"{name}.pem").exists():
            continue
        shown = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
        issuer = [each for each in bundle if each.subject == shown.issuer]
        assert len(issuer) == 1, name
        shown.verify_directly_issued_by(issuer[0])
    for each in bundle:
        lists = [x509.load_pem_x509_crl(file.read_bytes()) for file in folder.glob("revoked-*.pem")]
        assert any(list_.issuer == each.subject for list_ in lists), "one of each, or none"
    for issued in Authorities(folder, NOW).issued():
        if issued.revoked_at is not None:
            path = folder / f"revoked-{issued.authority}.pem"
            found = x509.load_pem_x509_crl(path.read_bytes())
            assert found.get_revoked_certificate_by_serial_number(int(issued.serial, 16))


@pytest.mark.parametrize("survived", range(14))
@pytest.mark.parametrize(
    ("before", "later", "act"), ACTS, ids=["make", "issue", "revoke", "trust", "next", "forget"]
)
def test_killed_between_two_files(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: Callable[[Path], None],
    later: timedelta,
    act: Act,
    survived: int,
) -> None:
    before(tmp_path)
    written = 0

    def dying(path: Path, content: bytes) -> None:
        nonlocal written
        if written == survived:
            raise Killed
        written += 1
        write_private(path, content)

    with monkeypatch.context() as patch:
        patch.setattr("strongroom.cli.authorities.write_private", dying)
        try:
            act(Authorities(tmp_path, NOW + later)).carry_out()
        except Killed:
            pass
        else:
            return  # it has fewer files
    if (tmp_path / "issued.json").exists():
        standing(tmp_path)
    try:
        act(Authorities(tmp_path, NOW + later)).carry_out()
    except RotationOutOfOrder as said:
        # The new authority issues already: what it has not issued yet is issued by name.
        assert "first step is trust" in said.detail  # noqa: PT017
        for name in NAMES:
            Authorities(tmp_path, NOW + later).issue(name, HOSTS, MONTH).carry_out()
    issue(Authorities(tmp_path, NOW + later))
    standing(tmp_path)
    with pytest.raises(AuthorityAbsent):
        Authorities(tmp_path / "elsewhere", NOW).issued()
    for name in NAMES:
        pem = (tmp_path / f"{name}.pem").read_bytes()
        serials = {each.serial for each in Authorities(tmp_path, NOW).issued()}
        assert f"{certificate_serial(pem):x}" in serials, "what is in use can be revoked"


def test_another_command_waits_for_the_one_before(tmp_path: Path) -> None:
    """Two that plan at once would each write a book without the other's certificate."""
    initialised(tmp_path)
    with Authorities(tmp_path, NOW).alone():
        descriptor = os.open(tmp_path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)
