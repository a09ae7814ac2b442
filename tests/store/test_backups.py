# SPDX-License-Identifier: Apache-2.0
"""A backup of a real installation: sealed, whole, put back, and worth nothing where it should be worth nothing."""

import io
import shutil
import ssl
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import httpx
import pytest
import pytest_asyncio

from residence import AtHome
from service import free_ports
from strongroom import compose
from strongroom.audit import Action, Origin
from strongroom.cli.backups.drill import drill
from strongroom.cli.backups.making import make_backup, place
from strongroom.cli.backups.model import MANIFEST, BackupRefused, digest_of, read_manifest
from strongroom.cli.backups.restoring import BackupDoesNotOpen, restore_backup
from strongroom.cli.installation import Installation
from strongroom.cli.serving import Serving
from strongroom.compose.backups import record_backup
from strongroom.config import Listener, Settings
from strongroom.crypto import RecipientRefused, new_parcel_identity, open_parcel
from strongroom.db.dumps import ToolMissing, tool
from strongroom.db.logins import Domain, Login
from strongroom.db.queries import Query
from strongroom.identity.model import KeyWish
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import KeyKind
from strongroom.kernel.secret import Secret
from strongroom.keys import DataKeyDestroyed, KeyName, Purpose
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink
from strongroom.vault.sealing import CardSealer

NUMBER: Final = "4012888888881881"
pytestmark = pytest.mark.timeout(300)


def silent(_step: str) -> None:
    """Nobody looks on."""


@dataclass(frozen=True, slots=True)
class Backed:
    """An installation, what is in it, a backup of it, and what opens that."""

    here: Installation
    folder: Path
    merchant: MerchantId
    token: TokenId
    backup: Path
    identity: Secret[str]
    recipient: str


def installation(state: Path, **changes: object) -> Installation:
    """Return an installation that is not made yet, on ports of its own."""
    vault, gateway, webhooks, console = free_ports(4)
    settings = Settings(
        state=state,
        vault_listen=Listener("127.0.0.1", vault),
        gateway_listen=Listener("127.0.0.1", gateway),
        webhooks_listen=Listener("127.0.0.1", webhooks),
        console_listen=Listener("127.0.0.1", console),
        worker=False,
        log_file=state / "log" / "strongroom.jsonl",
    )
    return Installation(replace(settings, **changes), SystemClock())  # type: ignore[arg-type]


def composer_of(here: Installation) -> compose.Composer:
    """Compose over an installation that is attached."""
    log = Log(MemorySink(), clock=here.clock)
    site = compose.Site(here.settings, here.address, here.passphrase(), log, Metrics(), here.clock)
    return compose.Composer(site)


def passable() -> Path:
    """Make a folder that the embedded server's account passes through."""
    folder = Path(tempfile.mkdtemp(prefix="strongroom-backups-", dir="/var/tmp")).resolve()
    folder.chmod(0o711)
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def backed() -> AsyncIterator[Backed]:
    """An installation with a card in it, served once, and backed up."""
    folder = passable()
    here = installation(folder / "state")
    here.make_secrets()
    here.make_keys()
    here.attach()
    try:
        await here.make_databases(silent)
        merchant, token = await with_a_card(here)
        secret, public = new_parcel_identity()
        target = folder / "monday"
        place(await make_backup(here, target, [public], silent), target)
        yield Backed(here, folder, merchant, token, target, secret, public)
    finally:
        here.detach()
        shutil.rmtree(folder, ignore_errors=True)


async def with_a_card(here: Installation) -> tuple[MerchantId, TokenId]:
    """Serve an installation and put a card into it."""
    serving = Serving(Installation(here.settings, here.clock))
    served = await serving.start()
    try:
        composer = composer_of(here)
        identity = await composer.operator_identity()
        merchant = await identity.create_merchant("Shop", actor="operator:tests", origin=Origin())
        wish = KeyWish(merchant.merchant_id, Mode.TEST, KeyKind.SECRET, "first")
        key = await identity.create_key(wish, actor="operator:tests", origin=Origin())
        await composer.close()
        trusted = ssl.create_default_context(cafile=here.authority_file)
        async with httpx.AsyncClient(verify=trusted) as client:
            answer = await client.post(
                f"{served.vault}/v1/tokens",
                json={
                    "card": {"number": NUMBER, "exp_month": 12, "exp_year": 2034, "cvc": "737"},
                },
                headers={
                    "authorization": f"Bearer {key.text.expose()}",
                    "idempotency-key": "first",
                },
            )
        assert answer.status_code == 201, answer.text
        return merchant.merchant_id, TokenId(answer.json()["id"])
    finally:
        await serving.stop()


def elsewhere(backed: Backed, name: str, **changes: object) -> Installation:
    """Return another machine's installation, with the key file and passphrase out of escrow."""
    there = installation(backed.folder / name, **changes)
    there.settings.state.mkdir(mode=0o711)
    there.settings.state.chmod(0o711)
    shutil.copytree(backed.here.settings.state / "keys", there.settings.state / "keys")
    there.make_secrets()
    return there


async def opened(there: Installation, merchant: MerchantId, token: TokenId) -> str:
    """Open a card as the vault does, and return its last four digits."""
    composer = composer_of(there)
    try:
        database = await composer.database(Domain.VAULT, Login.VAULT, connections_max=2)
        keyring = await composer.keyring(database, Purpose.CARD)
        async with database.transaction([merchant]) as tx:
            row = await tx.row(
                plain("select sealed_number, key_version from vault.token where token_id = $1"),
                token,
            )
        assert row is not None
        pan = await CardSealer(keyring, AtHome()).open_number(
            row["sealed_number"],
            mode=Mode.TEST,
            merchant=merchant,
            token=token,
            key_version=row["key_version"],
        )
        return pan.last4
    finally:
        await composer.close()


def plain(text: str) -> Query:
    """Make a query of a test's own."""
    return Query("of_a_test", (), text)


# --- what is in it ------------------------------------------------------------------------------------


def test_each_part_of_each_database_is_a_sealed_file_of_its_own(backed: Backed) -> None:
    manifest = read_manifest(backed.backup)
    wanted = {f"{part}-{of}.dump.age" for part in ("data", "keys", "audit") for of in Domain}
    assert {file.name for file in manifest.files} == wanted | {"audit-sink.tar.age"}
    assert {path.name for path in backed.backup.iterdir()} == {
        MANIFEST,
        *(file.name for file in manifest.files),
    }
    for file in manifest.files:
        content = (backed.backup / file.name).read_bytes()
        assert content.startswith(b"age-encryption.org/v1\n")
        assert (backed.backup / file.name).stat().st_mode & 0o777 == 0o600
    assert manifest.rows[Domain.VAULT]["vault.token"] == 1
    assert manifest.rows[Domain.CORE]["identity.merchant"] == 1


@pytest.mark.parametrize(
    ("name", "holds", "holds_not"),
    [
        (
            "data-vault.dump.age",
            [b"vault.token", b"vault.connection"],
            [b"data_key", b"audit.event"],
        ),
        ("keys-vault.dump.age", [b"data_key"], [b"vault.token", b"audit.event"]),
        ("audit-core.dump.age", [b"checkpoint"], [b"api_key", b"data_key"]),
    ],
)
def test_data_keys_and_audit_are_apart(
    backed: Backed, name: str, holds: list[bytes], holds_not: list[bytes]
) -> None:
    names = table_data(backed, name)
    for each in holds:
        assert any(each in found for found in names), names
    for each in holds_not:
        assert not any(each in found for found in names), names


def table_data(backed: Backed, name: str) -> list[bytes]:
    """Return the lines of pg_restore's list that are of a table's rows."""
    dumped = backed.folder / "listed.dump"
    dumped.write_bytes(unsealed(backed, name))
    program = str(tool("pg_restore"))
    said = subprocess.run([program, "--list", str(dumped)], capture_output=True, check=True)
    dumped.unlink()
    return [
        line.replace(b"vault token", b"vault.token")
        .replace(b"vault connection", b"vault.connection")
        .replace(b"audit event", b"audit.event")
        for line in said.stdout.splitlines()
        if b"TABLE DATA" in line
    ]


def unsealed(backed: Backed, name: str) -> bytes:
    """Open a file of the backup."""
    out = io.BytesIO()
    with (backed.backup / name).open("rb") as file:
        open_parcel(file, out, backed.identity)
    return out.getvalue()


def test_nothing_that_opens_a_cvc_is_in_a_backup(backed: Backed) -> None:
    assert not any(b"cvc_epoch" in line for line in table_data(backed, "data-vault.dump.age"))
    assert any(b"cvc_use" in line for line in table_data(backed, "data-vault.dump.age"))


def test_the_card_is_in_no_file_even_opened(backed: Backed) -> None:
    for file in read_manifest(backed.backup).files:
        content = unsealed(backed, file.name)
        assert NUMBER.encode() not in content
        assert NUMBER.encode() not in (backed.backup / file.name).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(unsealed(backed, "audit-sink.tar.age"))) as archive:
        assert any("checkpoint" in name for name in archive.getnames())


async def test_that_it_was_made_is_recorded_with_its_digest(backed: Backed) -> None:
    composer = composer_of(backed.here)
    try:
        await record_backup(
            composer,
            Action.VAULT_BACKUP_MADE,
            digest=digest_of(backed.backup),
            size=7,
            actor="operator:tests",
        )
        database = await composer.database(Domain.CORE, Login.BACKUP)
        async with database.transaction() as tx:
            rows = await tx.rows(
                plain(
                    "select payload from audit.event where convert_from(payload, 'UTF8') like '%vault.backup.made%'"
                )
            )
    finally:
        await composer.close()
    assert any(digest_of(backed.backup).encode() in row["payload"] for row in rows)


# --- put back -----------------------------------------------------------------------------------------


async def test_a_restored_card_opens_on_another_machine(backed: Backed) -> None:
    there = elsewhere(backed, "restored")
    there.attach()
    try:
        await restore_backup(there, backed.backup, backed.identity, silent)
        assert await opened(there, backed.merchant, backed.token) == NUMBER[-4:]
        serving = Serving(Installation(there.settings, there.clock))  # and it serves
        await serving.start()
        await serving.stop()
        with pytest.raises(BackupRefused, match="empty"):
            await restore_backup(there, backed.backup, backed.identity, silent)
        assert await opened(there, backed.merchant, backed.token) == NUMBER[-4:], (
            "nothing was touched"
        )
    finally:
        there.detach()


async def test_a_card_that_was_erased_does_not_come_back(backed: Backed) -> None:
    """Data of Monday, keys of Tuesday: between them the card was deleted and its key version destroyed."""
    composer = composer_of(backed.here)
    database = await composer.database(Domain.VAULT, Login.VAULT, connections_max=2)
    keyring = await composer.keyring(database, Purpose.CARD)
    await keyring.rotate(backed.merchant, Mode.TEST, KeyName.CARD)
    await keyring.destroy(backed.merchant, Mode.TEST, KeyName.CARD, 1)
    await composer.close()
    tuesday = backed.folder / "tuesday"
    place(await make_backup(backed.here, tuesday, [backed.recipient], silent), tuesday)
    there = elsewhere(backed, "erased")
    there.attach()
    try:
        with pytest.raises(
            BackupRefused, match="1 cards are sealed under keys that were destroyed"
        ):
            await restore_backup(there, backed.backup, backed.identity, silent, keys_from=tuesday)
        await restore_backup(
            there,
            backed.backup,
            backed.identity,
            silent,
            keys_from=tuesday,
            unreadable_accepted=1,
        )
        with pytest.raises(DataKeyDestroyed):
            await opened(there, backed.merchant, backed.token)
    finally:
        there.detach()


async def test_the_drill_shows_that_everything_holds(backed: Backed) -> None:
    found = await drill(backed.here, backed.backup, backed.identity, silent)
    assert [each for each in found if not each.holds] == []
    assert {each.name for each in found} == {
        "canary",
        *(f"{of} {what}" for of in Domain for what in ("rows", "keys", "log")),
    }


async def test_the_drill_fails_with_the_roots_of_another_installation(backed: Backed) -> None:
    other = installation(backed.folder / "other")
    other.make_secrets()
    # The same passphrase, so that the file opens: what differs is the roots alone.
    shutil.copyfile(
        backed.here.settings.state / "keys" / "passphrase",
        other.settings.state / "keys" / "passphrase",
    )
    other.make_keys()
    found = await drill(
        backed.here,
        backed.backup,
        backed.identity,
        silent,
        roots=compose.key_file(other.settings),
    )
    held = {each.name: each.holds for each in found}
    assert held["core rows"]
    assert held["vault rows"]
    assert not held["canary"]
    assert not held["vault keys"]


# --- refused ------------------------------------------------------------------------------------------


def copied(backed: Backed, name: str) -> Path:
    """Copy the backup, to spoil it."""
    target = backed.folder / name
    shutil.copytree(backed.backup, target)
    return target


def flip(path: Path) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


async def test_a_backup_that_is_not_whole_is_refused_before_anything_is_touched(
    backed: Backed,
) -> None:
    there = elsewhere(backed, "untouched")
    there.attach()
    try:
        spoiled = copied(backed, "flipped")
        flip(spoiled / "data-core.dump.age")
        with pytest.raises(BackupRefused, match="not as it was made"):
            await restore_backup(there, spoiled, backed.identity, silent)
        missing = copied(backed, "missing")
        (missing / "keys-vault.dump.age").unlink()
        with pytest.raises(BackupRefused, match="keys-vault"):
            await restore_backup(there, missing, backed.identity, silent)
        no_manifest = copied(backed, "no-manifest")
        (no_manifest / MANIFEST).write_text("{}")
        with pytest.raises(BackupRefused, match="manifest"):
            await restore_backup(there, no_manifest, backed.identity, silent)
        stranger, _ = new_parcel_identity()
        with pytest.raises(BackupDoesNotOpen):
            await restore_backup(there, backed.backup, stranger, silent)
        with pytest.raises(BackupDoesNotOpen):
            await restore_backup(there, backed.backup, Secret("no key at all"), silent)
        # Nothing is left of what was begun, and the whole one goes in.
        await restore_backup(there, backed.backup, backed.identity, silent)
    finally:
        there.detach()


async def test_a_backup_of_another_region_is_refused(backed: Backed) -> None:
    there = elsewhere(backed, "far", vault_region="elsewhere")
    with pytest.raises(BackupRefused, match="region"):
        await restore_backup(there, backed.backup, backed.identity, silent)


async def test_a_backup_that_fails_leaves_nothing(backed: Backed) -> None:
    target = backed.folder / "wednesday"
    with pytest.raises(BackupRefused, match="there already"):
        await make_backup(backed.here, backed.backup, [backed.recipient], silent)
    with pytest.raises(RecipientRefused):
        await make_backup(backed.here, target, ["age1nobody"], silent)
    with pytest.raises(ToolMissing):
        tool("pg_dump", backed.folder)
    assert not target.exists()
    assert not target.with_name("wednesday.partial").exists()


async def test_two_at_once_do_not_write_into_each_other(backed: Backed) -> None:
    target = backed.folder / "thursday"
    target.with_name("thursday.partial").mkdir()
    with pytest.raises(BackupRefused, match="another backup"):
        await make_backup(backed.here, target, [backed.recipient], silent)
