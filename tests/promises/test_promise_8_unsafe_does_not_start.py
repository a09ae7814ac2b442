# SPDX-License-Identifier: Apache-2.0
"""Promise 8: unsafe configuration does not start."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from command_line import Installed, installed
from database import Databases
from service import free_ports
from strongroom.config import (
    Environment,
    KeyStoreName,
    Settings,
    StartFacts,
    faults,
    load_settings,
)
from strongroom.config.load import has_static_cloud_credentials
from strongroom.config.safety import DatabaseFacts
from strongroom.db.facts import facts_of
from strongroom.db.logins import Domain, Login

SAFE = Settings(
    environment=Environment.PRODUCTION,
    key_store=KeyStoreName.AWS_KMS,
    audit_origin="audit.shop.example",
    audit_sink=Path("/mnt/audit"),
    tls_certificate=Path("/run/tls.pem"),
    tls_key=Path("/run/tls.key"),
)
DATABASE = DatabaseFacts(
    name="vault",
    login="strongroom_vault",
    tls_verified=True,
    superuser=False,
    bypasses_rls=False,
    owns_tables=False,
    fsync=True,
    synchronous_commit=True,
)
FACTS = StartFacts(
    databases=(DATABASE, replace(DATABASE, name="core", login="strongroom_gateway")),
    embedded_database=False,
    static_cloud_credentials=False,
    dumpable=False,
    default_secret=False,
    sink_outside_database=True,
)
#: What production may run on, and what such a store needs.
STORES: dict[KeyStoreName, dict[str, Any]] = {
    KeyStoreName.AWS_KMS: {},
    KeyStoreName.GCP_KMS: {"gcp_kms_key_ring": "projects/shop-1/locations/me-central2/keyRings/strongroom"},
    KeyStoreName.TRANSIT: {
        "transit_url": "https://bao.example",
        "transit_ca": Path("/run/bao.pem"),
        "transit_role_id": "role",
        "transit_secret_id_file": Path("/run/secret-id"),
    },
    KeyStoreName.PKCS11: {"pkcs11_module": Path("/opt/hsm/libhsm.so")},
}  # fmt: skip
#: What is wrong: a setting, a fact, or a fact of one database; and the words that name it.
FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = {
    "file key store": ({"key_store": KeyStoreName.FILE}, {}, {}, "the key store is a file"),
    "another KMS endpoint": ({"aws_endpoint": "http://127.0.0.1:5000"}, {}, {}, "STRONGROOM_AWS_ENDPOINT"),
    "another Google endpoint": ({"gcp_kms_endpoint": "http://127.0.0.1:5001"}, {}, {}, "STRONGROOM_GCP_KMS_ENDPOINT"),
    "plain Transit": ({"transit_url": "http://bao.example:8200"}, {}, {}, "STRONGROOM_TRANSIT_URL is plain HTTP"),
    "Transit of any authority": ({"transit_url": "https://bao.example"}, {}, {}, "STRONGROOM_TRANSIT_CA is not set"),
    "Transit token": ({"transit_token_file": Path("/run/token")}, {}, {}, "STRONGROOM_TRANSIT_TOKEN_FILE"),
    "SoftHSM": (
        {"key_store": KeyStoreName.PKCS11, "pkcs11_module": Path("/usr/lib/softhsm/libsofthsm2.so")},
        *({}, {}),
        "STRONGROOM_PKCS11_MODULE is SoftHSM",
    ),
    "default secret": ({}, {"default_secret": True}, {}, "made by Strongroom itself as a default"),
    "plain HTTP": ({"plain_http": True}, {}, {}, "serves without TLS"),
    "local certificate": ({"tls_certificate": None}, {}, {}, "the certificate is of the local CA"),
    "certificate without a key": ({"tls_key": None}, {}, {}, "the certificate is of the local CA"),
    "embedded database": ({}, {"embedded_database": True}, {}, "the database is the embedded one"),
    "default origin": ({"audit_origin": "strongroom.local"}, {}, {}, "STRONGROOM_AUDIT_ORIGIN is the default"),
    "no sink": ({}, {"sink_outside_database": False}, {}, "no audit sink outside the database"),
    "static credentials": ({}, {"static_cloud_credentials": True}, {}, "static cloud credentials"),
    "calls its own machine": ({"egress_loopback": ("127.0.0.1",)}, {}, {}, "STRONGROOM_EGRESS_LOOPBACK"),
    "plain public URL": ({"public_url": "http://pay.example"}, {}, {}, "STRONGROOM_PUBLIC_URL is plain HTTP"),
    "believes everybody": ({"trusted_proxies": ("10.0.0.0/8", "::/0")}, {}, {}, "STRONGROOM_TRUSTED_PROXIES"),
    "dumpable": ({}, {"dumpable": True}, {}, "this process can be dumped"),
    "no verified TLS": ({}, {}, {"tls_verified": False}, "no TLS with a verified certificate"),
    "superuser": ({}, {}, {"superuser": True}, "strongroom_vault on the vault database is a superuser"),
    "BYPASSRLS": ({}, {}, {"bypasses_rls": True}, "bypasses row-level security"),
    "owner": ({}, {}, {"owns_tables": True}, "owns tables"),
    "fsync off": ({}, {}, {"fsync": False}, "runs with fsync off"),
    "synchronous_commit off": ({}, {}, {"synchronous_commit": False}, "runs with synchronous_commit off"),
}  # fmt: skip

Look = Callable[[Settings, StartFacts], Sequence[str]]


def with_faults(*names: str) -> tuple[Settings, StartFacts]:
    """A safe production, with these things wrong."""
    settings, facts, database = SAFE, FACTS, DATABASE
    for name in names:
        changed, other_facts, other_database, _ = FAULTS[name]
        settings, facts = replace(settings, **changed), replace(facts, **other_facts)
        database = replace(database, **other_database)
    return settings, replace(facts, databases=(database, *facts.databases[1:]))


def require_named(look: Look, *names: str) -> None:
    """The look at a configuration names each of these faults, once, and nothing else."""
    said = list(look(*with_faults(*names)))
    for words in sorted({FAULTS[name][3] for name in names}):
        (named,) = [each for each in said if words in each]
        said.remove(named)
    assert not said, "nothing else is wrong"


@pytest.mark.parametrize("store", KeyStoreName)
def test_a_safe_configuration_has_no_fault(store: KeyStoreName) -> None:
    """There is a production that starts."""
    found = faults(replace(SAFE, key_store=store, **STORES.get(store, {})), FACTS)
    assert (found == ()) is (store in STORES)


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named(name: str) -> None:
    """Each of the faults, alone in an otherwise safe production, is refused and named."""
    require_named(faults, name)


def test_all_faults_are_named_at_once() -> None:
    """Everything wrong at once: one refusal that names everything."""
    # Without TLS there is no certificate to judge, neither ours nor that of the key store.
    # One key store is chosen, so the file and SoftHSM are wrong one at a time.
    gone = ("certificate", "authority", "SoftHSM")
    require_named(faults, *(name for name in FAULTS if not any(each in name for each in gone)))
    gone = ("plain HTTP", "plain Transit", "file key store")
    require_named(faults, *(name for name in FAULTS if name not in gone))


def test_each_database_is_looked_at() -> None:
    """A fault of the second database counts like one of the first, and says which it is."""
    facts = replace(FACTS, databases=(DATABASE, replace(FACTS.databases[1], superuser=True)))
    assert faults(SAFE, facts) == ("strongroom_gateway on the core database is a superuser",)


@pytest.mark.parametrize("name", FAULTS)
def test_sabotage_a_look_that_overlooks_one_is_noticed(name: str) -> None:
    """With one check taken out, the tests of that fault, alone and among all, are red."""
    words = FAULTS[name][3]

    def overlooks(settings: Settings, facts: StartFacts) -> Sequence[str]:
        return [each for each in faults(settings, facts) if words not in each]

    with pytest.raises(ValueError, match="not enough values"):
        require_named(overlooks, name)


# --- credentials that do not run out ----------------------------------------------------------------

AWS_KEYS = "[default]\naws_access_key_id = AKIA\naws_secret_access_key = s\n"
FEDERATION = '{"type": "external_account", "credential_source": {"file": "/var/run/token"}}'
#: Variables, and the content of a file that one of them names; whether that is a long-lived credential.
CREDENTIALS: dict[str, tuple[dict[str, str], str | None, str, bool]] = {
    "nothing": ({}, None, "", False),
    "AWS keys": ({"AWS_SECRET_ACCESS_KEY": "s"}, None, "", True),
    "AWS session": ({"AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}, None, "", False),
    "AWS keys in a file": ({}, "AWS_SHARED_CREDENTIALS_FILE", AWS_KEYS, True),
    "AWS keys in the configuration": ({}, "AWS_CONFIG_FILE", AWS_KEYS, True),
    "AWS session in a file": ({}, "AWS_SHARED_CREDENTIALS_FILE", AWS_KEYS + "aws_session_token = t\n", False),
    "an AWS role": ({}, "AWS_CONFIG_FILE", "[default]\nrole_arn = arn:aws:iam::1:role/vault\n", False),
    "Google federation": ({}, "GOOGLE_APPLICATION_CREDENTIALS", FEDERATION, False),
    "Google key": ({}, "GOOGLE_APPLICATION_CREDENTIALS", '{"type": "service_account", "private_key": "k"}', True),
    "Google login": ({}, "GOOGLE_APPLICATION_CREDENTIALS", '{"type": "authorized_user"}', True),
    "Google, garbled": ({}, "GOOGLE_APPLICATION_CREDENTIALS", "{", True),
    "Google, named here": ({}, "STRONGROOM_GCP_CREDENTIALS", '{"type": "service_account"}', True),
}  # fmt: skip


@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_credential_that_does_not_run_out_is_found_wherever_it_is(
    name: str, tmp_path: Path
) -> None:
    """Keys of AWS and Google, in the environment and in the files where their tools look."""
    variables, file_named_by, content, static = CREDENTIALS[name]
    variables = {"HOME": str(tmp_path)} | variables
    if file_named_by is not None:
        file = tmp_path / "credentials"
        file.write_text(content)
        variables[file_named_by] = str(file)
    google_file = load_settings(variables).gcp_credentials
    assert has_static_cloud_credentials(variables, google_file=google_file) is static


def test_the_home_is_looked_at_for_keys_of_aws(tmp_path: Path) -> None:
    """Without a variable, AWS's tools look into the home."""
    variables = {"HOME": str(tmp_path)}
    (tmp_path / ".aws").mkdir()
    assert not has_static_cloud_credentials(variables)
    (tmp_path / ".aws" / "credentials").write_text(AWS_KEYS)
    assert has_static_cloud_credentials(variables)


# --- the facts are those of the real server ---------------------------------------------------------


async def test_the_databases_are_asked_as_the_login_that_will_serve(databases: Databases) -> None:
    """What a login is and what its server does is asked of the server itself, in each case that is refused."""
    for domain in Domain:
        for login in (Login.VAULT, Login.SEALER):
            facts = await facts_of(databases.address(domain, login), domain)
            assert facts == replace(DATABASE, name=domain, login=login, tls_verified=False)
    superuser = await facts_of(databases.administrator(Domain.VAULT), "vault")
    assert (superuser.superuser, superuser.bypasses_rls) == (True, True)
    owner = await facts_of(databases.address(Domain.VAULT, Login.OWNER), "vault")
    assert (owner.superuser, owner.owns_tables) == (False, True)


#: What is done to a login, what undoes it, which fact changes.
SPOILT = [
    ("alter role {} bypassrls", "alter role {} nobypassrls", "bypasses_rls"),
    ("alter role {} superuser", "alter role {} nosuperuser", "superuser"),
    ("alter role {} set synchronous_commit = off", "alter role {} reset synchronous_commit", "synchronous_commit"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "mend", "fact"), SPOILT, ids=[row[2] for row in SPOILT])
async def test_a_login_that_was_raised_is_seen(
    databases: Databases, spoil: str, mend: str, fact: str
) -> None:
    """A login that somebody made mighty, or told not to wait for the disk, is found out."""
    address = databases.address(Domain.VAULT, Login.SEALER)
    before = await facts_of(address, "vault")
    await databases.run(Domain.VAULT, spoil.format(Login.SEALER))
    try:
        after = await facts_of(address, "vault")
    finally:
        await databases.run(Domain.VAULT, mend.format(Login.SEALER))
    changed: dict[str, Any] = {fact: not getattr(before, fact)}
    assert after == replace(before, **changed)
    assert await facts_of(address, "vault") == before


# --- the process really does not start ----------------------------------------------------------------

EVERYTHING_WRONG = {
    "STRONGROOM_ENVIRONMENT": "production",
    "STRONGROOM_PLAIN_HTTP": "true",
    "STRONGROOM_AWS_ENDPOINT": "http://127.0.0.1:5000",
    "STRONGROOM_GCP_KMS_ENDPOINT": "http://127.0.0.1:5001",
    "STRONGROOM_TRANSIT_URL": "http://127.0.0.1:8200",
    "STRONGROOM_TRANSIT_TOKEN_FILE": "/nowhere/token",
    "STRONGROOM_EGRESS_LOOPBACK": "127.0.0.1:8460",
    "STRONGROOM_PUBLIC_URL": "http://pay.example",
    "AWS_SECRET_ACCESS_KEY": "a-static-secret",
}
#: A fresh laptop's installation that is told to be production, in the words of the refusal.
REFUSED = [
    "the key store is a file",
    "STRONGROOM_AWS_ENDPOINT",
    "STRONGROOM_GCP_KMS_ENDPOINT",
    "STRONGROOM_TRANSIT_URL is plain HTTP",
    "STRONGROOM_TRANSIT_TOKEN_FILE",
    "made by Strongroom itself as a default",
    "serves without TLS",
    "the database is the embedded one",
    "STRONGROOM_AUDIT_ORIGIN is the default",
    "no audit sink outside the database",
    "static cloud credentials",
    "STRONGROOM_EGRESS_LOOPBACK",
    "STRONGROOM_PUBLIC_URL is plain HTTP",
    *(
        f"{login} on the {domain} database: no TLS"
        for domain, login in (
            ("vault", "strongroom_vault"),
            ("vault", "strongroom_sealer"),
            ("core", "strongroom_vault"),
            ("core", "strongroom_console"),
            ("core", "strongroom_gateway"),
            ("core", "strongroom_sealer"),
            ("core", "strongroom_webhooks"),
            ("core", "strongroom_worker"),
        )
    ),
]


@pytest.fixture(scope="module")
def site() -> Iterator[Installed]:
    with installed(free_ports(4)) as made:
        yield made


def test_serve_refuses_and_names_every_fault(site: Installed) -> None:
    """`strongroom serve` in production over a laptop's installation: it ends, and names every fault at once."""
    ended = site.run("serve", **EVERYTHING_WRONG)
    assert ended.code != 0
    for words in REFUSED:
        assert words in ended.plain
    assert f"{len(REFUSED)} faults" in ended.plain
    assert "a-static-secret" not in ended.plain


def started(site: Installed, *arguments: str) -> list[str]:
    """Start it in a process of its own; return what it refused for (nothing: it served)."""
    ended = subprocess.run(
        [sys.executable, "-m", "promises.serve_once", *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={
            **site.run.variables,
            **EVERYTHING_WRONG,
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
    )
    refused: list[str] = json.loads(ended.stderr.splitlines()[-1])["refused"]
    return refused


def require_refused(refused: list[str]) -> None:
    assert len(refused) == len(REFUSED), "it starts all the same"


def test_the_start_itself_refuses(site: Installed) -> None:
    """What `serve` and `demo` start with refuses by itself, before a port is opened."""
    require_refused(started(site))


def test_sabotage_a_start_that_does_not_look_is_noticed(site: Installed) -> None:
    """With the look taken away the same installation starts, and the check is red."""
    refused = started(site, "--sabotage")
    with pytest.raises(AssertionError):
        require_refused(refused)
