# SPDX-License-Identifier: Apache-2.0
"""What `strongroom doctor` decides from what it saw: tables of facts and the level that they get."""

import resource
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from contracts.fake_transit import MOUNT, NAMESPACE, FakeTransit
from peer import peer
from strongroom.audit import Checkpoint, LogState, SinkHead, SinkState
from strongroom.cli.authorities import Authorities
from strongroom.cli.diagnosis import audit_log, databases, files, internal_port, machine
from strongroom.cli.diagnosis.finding import Finding, Level, fail, failed, ok, warn
from strongroom.cli.installation import Installation
from strongroom.config import KeyStoreName, Settings, parse_reference
from strongroom.config.internal import port_folder
from strongroom.config.roles import ServedRole
from strongroom.config.safety import DatabaseFacts
from strongroom.crypto import issue_server_certificate, make_authority
from strongroom.db.logins import Domain, Login
from strongroom.kernel.clock import SteppedClock

OK, WARN, FAIL = Level.OK, Level.WARN, Level.FAIL
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOUND = DatabaseFacts(
    name="vault",
    login=Login.VAULT,
    tls_verified=False,
    superuser=False,
    bypasses_rls=False,
    owns_tables=False,
    fsync=True,
    synchronous_commit=True,
)
DSN: Final = parse_reference("env:DSN")
LOG = LogState("vault.example/vault", 10, NOW, 0, None, None, [])


def test_every_level_that_is_not_ok_comes_with_something_to_do() -> None:
    assert not failed([ok("a.b", "well"), warn("a.b", "so so", "look")])
    assert failed([ok("a.b", "well"), fail("a.b", "broken", "mend")])


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, []),
        ({"superuser": True, "bypasses_rls": True}, ["is a superuser"]),
        ({"bypasses_rls": True}, ["bypasses row-level security"]),
        ({"owns_tables": True}, ["owns tables"]),
        ({"owns_tables": True, "login": Login.OWNER}, []),
        ({"superuser": True, "login": Login.OWNER}, ["is a superuser"]),
        ({"fsync": False}, ["fsync off"]),
        ({"synchronous_commit": False}, ["synchronous_commit is off"]),
        ({"owns_tables": True, "fsync": False}, ["owns tables", "fsync off"]),
    ],
)
def test_a_login_that_may_more_than_it_should(changed: dict[str, object], found: list[str]) -> None:
    findings = databases.attributes(replace(SOUND, **changed))  # type: ignore[arg-type]
    assert [finding.level for finding in findings] == [FAIL] * len(found)
    for finding, words in zip(findings, found, strict=True):
        assert words in finding.sentence
        assert finding.remedy


def names(today: date, days: int, months: int) -> list[str]:
    """The partitions of so many days and months from today on."""
    found = [f"request_{today + timedelta(days=ahead):%Y%m%d}" for ahead in range(days)]
    month = today.replace(day=1)
    for _ in range(months):
        found.append(f"event_{month:%Y%m}")
        month = (month + timedelta(days=31)).replace(day=1)
    return found


@pytest.mark.parametrize(
    ("today", "days", "months", "level", "missing"),
    [
        (date(2026, 11, 20), 14, 3, OK, ""),
        (date(2026, 11, 20), 5, 2, OK, ""),
        (date(2026, 11, 20), 4, 2, WARN, "request_20261124"),
        (date(2026, 11, 20), 14, 1, WARN, "event_202612"),
        (date(2026, 12, 31), 14, 1, WARN, "event_202701"),
        (date(2026, 11, 20), 1, 2, FAIL, "request_20261121"),
        (date(2026, 12, 31), 1, 2, FAIL, "request_20270101"),
        (date(2026, 11, 20), 0, 2, FAIL, "request_20261120, request_20261121"),
        (date(2026, 11, 20), 14, 0, FAIL, "event_202611"),
        (date(2027, 1, 31), 14, 2, OK, ""),
    ],
)
def test_partitions(today: date, days: int, months: int, level: Level, missing: str) -> None:
    finding = databases.partitions(Domain.VAULT, names(today, days, months), today)
    assert (finding.level, finding.sentence.endswith(missing)) == (level, True)


@pytest.mark.parametrize(
    ("newest", "database", "levels"),
    [
        (None, None, {OK, WARN}),  # the kernel may say that nobody sets this machine's clock
        (timedelta(0), timedelta(0), {OK, WARN}),
        (timedelta(days=-30), timedelta(seconds=1), {OK, WARN}),
        (timedelta(seconds=3), timedelta(0), {FAIL}),
        (timedelta(days=400), None, {FAIL}),
        (None, timedelta(seconds=4), {WARN}),
        (None, timedelta(seconds=-4), {WARN}),
        (None, timedelta(minutes=6), {FAIL}),
        (None, timedelta(minutes=-6), {FAIL}),
    ],
)
def test_clock(newest: timedelta | None, database: timedelta | None, levels: set[Level]) -> None:
    finding = machine.clock(
        NOW,
        newest=None if newest is None else NOW + newest,
        database=None if database is None else NOW + database,
    )
    assert finding.level in levels


@pytest.mark.parametrize(
    ("limit", "level"),
    [(256, FAIL), (1_024, WARN), (8_192, OK), (resource.RLIM_INFINITY, OK)],
)
def test_open_files(limit: int, level: Level) -> None:
    assert machine.open_files(limit).level is level


@pytest.mark.parametrize(
    ("mebibytes", "level"), [(0, FAIL), (255, FAIL), (256, WARN), (2_047, WARN), (2_048, OK)]
)
def test_disk(mebibytes: int, level: Level) -> None:
    assert machine.room(Path("/var"), mebibytes * 2**20).level is level


@pytest.mark.parametrize(
    ("waited", "served", "level"),
    [
        (None, True, OK),
        (None, False, OK),
        (1, True, OK),
        (31, True, WARN),
        (301, True, FAIL),
        (1, False, WARN),
        (100_000, False, WARN),  # nothing seals without a server, and nothing is lost
        (-60, True, OK),  # the clock was set back meanwhile
    ],
)
def test_seal_lag(waited: int | None, *, served: bool, level: Level) -> None:
    since = None if waited is None else NOW - timedelta(seconds=waited)
    state = replace(LOG, waiting=0 if waited is None else 5, waiting_since=since)
    assert audit_log.lag(Domain.VAULT, state, NOW, served=served).level is level


def head(size: int) -> SinkHead:
    return SinkHead(1, Checkpoint("vault.example/vault", size, bytes(32)))


@pytest.mark.parametrize(
    ("held", "size", "level", "words"),
    [
        (SinkState("file", head(10), None), 10, OK, "holds all 10 records"),
        (SinkState("file", head(7), None), 10, WARN, "holds 7 of 10 records"),
        (SinkState("file", None, None), 0, OK, "is empty, as the log is"),
        (SinkState("file", None, None), 10, WARN, "holds nothing of 10 records"),
        (SinkState("file", None, "the disk is away."), 10, FAIL, "the disk is away"),
        (
            SinkState("file", head(12), "a sink holds 12 records"),
            10,
            FAIL,
            "a sink holds 12 records",
        ),
    ],
)
def test_sink(held: SinkState, size: int, level: Level, words: str) -> None:
    finding = audit_log.sink(Domain.VAULT, held, size)
    assert (finding.level, finding.sentence.endswith(words)) == (level, True)
    rolled_back = held.fault is not None and held.head is not None
    assert ("audit tree restart" in (finding.remedy or "")) == rolled_back


@pytest.mark.parametrize(
    ("state", "level"),
    [
        (LOG, OK),
        (replace(LOG, origin=None, size=0), OK),
        (replace(LOG, fault="the tree's row and its tiles disagree"), FAIL),
    ],
)
def test_standing(state: LogState, level: Level) -> None:
    assert audit_log.standing(Domain.VAULT, state).level is level


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    """An installation's files; its databases are elsewhere."""
    settings = Settings(state=tmp_path / "state", vault_database=DSN, core_database=DSN)
    made = Installation(settings, SteppedClock(NOW))
    made.make_secrets()
    made.make_keys()
    made.tls()
    settings.state.chmod(0o700)
    return made


@pytest.mark.parametrize(
    ("folder", "mode", "level", "words"),
    [
        ("", 0o700, OK, "is closed to others"),
        ("", 0o711, OK, "is closed to others"),
        ("", 0o755, WARN, "other accounts may list"),
        ("", 0o770, FAIL, "other accounts may write to"),
        ("", 0o702, FAIL, "other accounts may write to"),
        ("logins", 0o710, FAIL, "other accounts may enter"),
        ("keys", 0o701, FAIL, "other accounts may enter"),
        ("tls", 0o740, FAIL, "other accounts may enter"),
    ],
)
def test_folders(here: Installation, folder: str, mode: int, level: Level, words: str) -> None:
    (here.settings.state / folder).chmod(mode)
    (finding,) = files.state_folder(here)
    assert (finding.level, words in finding.sentence) == (level, True)


@pytest.mark.parametrize(
    ("after", "level", "words"),
    [
        (timedelta(0), OK, "lasts until"),
        (timedelta(days=75), OK, "lasts until"),
        (timedelta(days=77), WARN, "ends soon"),
        (timedelta(days=91), FAIL, "ended on"),
    ],
)
def test_a_certificate_that_ends_is_told_in_time(
    here: Installation, after: timedelta, level: Level, words: str
) -> None:
    (finding,) = files.certificate(here, NOW + after)
    assert (finding.level, words in finding.sentence) == (level, True)


@pytest.mark.parametrize("broken", ["gone", "garbage", "another key"])
def test_a_certificate_that_cannot_serve(here: Installation, broken: str) -> None:
    certificate = here.settings.state / "tls" / "server.pem"
    if broken == "gone":
        certificate.unlink()
    elif broken == "garbage":
        certificate.write_text("hello")
    else:
        other = issue_server_certificate(make_authority(NOW), ["localhost"], NOW)
        certificate.write_bytes(other.certificate)
    (finding,) = files.certificate(here, NOW)
    assert (finding.level, finding.name) == (FAIL, "tls.certificate")
    assert str(certificate) in (finding.remedy or "")


async def test_a_key_store_that_does_not_open(here: Installation) -> None:
    (finding,) = await files.key_store(here)
    assert (finding.level, "opens and holds 5 roots" in finding.sentence) == (OK, True)
    passphrase = here.settings.state / "keys" / "passphrase"
    passphrase.write_text("another passphrase, as long as the first one was")
    (finding,) = await files.key_store(here)
    assert (finding.level, "does not open" in finding.sentence) == (FAIL, True)
    assert "backup" in (finding.remedy or "")


async def test_a_key_store_over_the_network_says_where_it_is_and_what_to_look_at(
    here: Installation, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("hvs.good")
    fake = FakeTransit()
    fake.add_token("hvs.good")
    async with peer(fake.behaviour()) as server:
        settings = replace(
            here.settings,
            key_store=KeyStoreName.TRANSIT,
            transit_url=server.url,
            transit_mount=MOUNT,
            transit_namespace=NAMESPACE,
            transit_token_file=token,
        )
        there = Installation(settings, SteppedClock(NOW))
        (finding,) = await files.key_store(there)
        assert finding.level is OK
        assert f"(transit, {server.url}, {MOUNT}) opens and holds 5 roots" in finding.sentence

        fake.keys["strongroom-card"].settings["soft_deleted"] = True
        (finding,) = await files.key_store(there)
        assert (finding.level, "disabled: card" in finding.sentence) == (FAIL, True)

        del fake.keys["strongroom-card"]
        (finding,) = await files.key_store(there)
        assert (finding.level, "no key strongroom-card" in finding.sentence) == (FAIL, True)
        assert "use-openbao-transit.md" in (finding.remedy or "")

        # A role that runs apart is not asked for roots that it is not granted.
        gateway = Installation(settings, SteppedClock(NOW), frozenset({ServedRole.GATEWAY}))
        (finding,) = await files.key_store(gateway)
        assert (finding.level, "holds 3 roots" in finding.sentence) == (OK, True)

        fake.sealed = True
        (finding,) = await files.key_store(there)
        assert (finding.level, "network" in (finding.remedy or "")) == (FAIL, True)


def test_the_secret_of_a_login_is_among_the_secrets(here: Installation, tmp_path: Path) -> None:
    path = tmp_path / "secret-id"
    path.write_text("s")
    path.chmod(0o644)
    settings = replace(here.settings, key_store=KeyStoreName.TRANSIT, transit_secret_id_file=path)
    (found,) = [
        finding
        for finding in files.secrets(files.secret_files(Installation(settings, SteppedClock(NOW))))
        if "SecretID" in finding.sentence
    ]
    assert (found.level, "open to other accounts" in found.sentence) == (FAIL, True)


def test_every_secret_is_looked_at(here: Installation) -> None:
    listed = files.secret_files(here)
    there = {
        path
        for folder in ("logins", "keys", "tls")
        for path in (here.settings.state / folder).iterdir()
        if path.suffix != ".pem"
    }
    assert {file.path for file in listed} == there
    assert [finding.level for finding in files.secrets(listed)] == [OK]
    for file in listed:
        file.path.chmod(0o604)
    assert [finding.level for finding in files.secrets(listed)] == [FAIL] * len(listed)
    for file in listed:
        file.path.unlink()
    gone = files.secrets(listed)
    assert [finding.level for finding in gone] == [FAIL] * len(listed)
    # What was sealed under these opens with nothing else: they must not be made anew.
    kept = {
        finding.sentence: finding.remedy for finding in gone if "the key file" in finding.sentence
    }
    assert len(kept) == 2
    assert all((remedy or "").startswith("restore ") for remedy in kept.values())


def test_the_certificates_of_the_internal_port_are_looked_at(here: Installation) -> None:
    assert internal_port.certificates(here, NOW) == []
    assert internal_port.secret_files(here) == []
    authorities = Authorities(port_folder(here.settings), NOW)
    authorities.make().carry_out()
    for name in authorities.due():
        authorities.issue(name, ["127.0.0.1"], timedelta(days=30)).carry_out()
    assert [each.level for each in internal_port.certificates(here, NOW)] == [OK]
    keys = {file.path.name for file in internal_port.secret_files(here)}
    assert keys == {"authority-1.key", "server.key", "gateway.key", "worker.key"}
    for days, level in ((21, WARN), (31, FAIL)):
        found = internal_port.certificates(here, NOW + timedelta(days=days))
        assert [each.level for each in found] == [level] * 3
        assert {each.remedy for each in found} == {
            f"strongroom pki issue {name}" for name in ("server", "gateway", "worker")
        }
    (port_folder(here.settings) / "server.pem").write_text("nothing")
    assert internal_port.certificates(here, NOW)[0].level is FAIL


def test_this_machine_is_looked_at_without_a_failure() -> None:
    findings: list[Finding] = [machine.python(), machine.system(), machine.user()]
    assert not failed(findings)
    assert [finding.name for finding in findings] == [
        "machine.python",
        "machine.platform",
        "machine.user",
    ]
