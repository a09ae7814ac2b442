# SPDX-License-Identifier: Apache-2.0
"""Promise 8: what must not start in production, decided from facts that others gathered. Touches nothing."""

from dataclasses import dataclass
from typing import Final

from strongroom.config.key_store_settings import KeyStoreName
from strongroom.config.key_stores import faults_of_stores
from strongroom.config.settings import Settings
from strongroom.kernel.addresses import parse_network


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What a role's login found when it asked its database about itself."""

    name: str
    login: str
    tls_verified: bool
    superuser: bool
    bypasses_rls: bool
    owns_tables: bool
    fsync: bool
    synchronous_commit: bool


@dataclass(frozen=True, slots=True)
class StartFacts:
    """What is known just before a process starts to serve."""

    databases: tuple[DatabaseFacts, ...]
    embedded_database: bool
    static_cloud_credentials: bool
    dumpable: bool
    default_secret: bool
    sink_outside_database: bool


#: What production refuses; the words are documented and a test provokes each.
LOCAL_ORIGIN: Final = "strongroom.local"


def faults(settings: Settings, facts: StartFacts) -> tuple[str, ...]:
    """Return every fault in words; empty means that production may start."""
    found: list[str] = []
    if settings.key_store is KeyStoreName.FILE:
        found.append("the key store is a file: name another with STRONGROOM_KEY_STORE")
    if settings.aws_endpoint:
        found.append("STRONGROOM_AWS_ENDPOINT points KMS at another endpoint")
    found.extend(faults_of_stores(settings))
    if facts.default_secret:
        found.append(
            "a secret was made by Strongroom itself as a default: give your own by reference"
        )
    if settings.plain_http:
        found.append("STRONGROOM_PLAIN_HTTP serves without TLS")
    if not settings.plain_http and (settings.tls_certificate is None or settings.tls_key is None):
        found.append(
            "the certificate is of the local CA: set STRONGROOM_TLS_CERTIFICATE and _TLS_KEY"
        )
    if facts.embedded_database:
        found.append(
            "the database is the embedded one: set STRONGROOM_VAULT_DATABASE and _CORE_DATABASE"
        )
    if settings.audit_origin == LOCAL_ORIGIN:
        found.append("STRONGROOM_AUDIT_ORIGIN is the default name: checkpoints need your own")
    if not facts.sink_outside_database:
        found.append("no audit sink outside the database: set STRONGROOM_AUDIT_SINK")
    if facts.static_cloud_credentials:
        found.append(
            "static cloud credentials are in the environment or in files: use a role's short-lived ones"
        )
    if settings.egress_loopback:
        found.append("STRONGROOM_EGRESS_LOOPBACK lets this installation call its own machine")
    found.extend(_address_faults(settings))
    if facts.dumpable:
        found.append("this process can be dumped: RLIMIT_CORE is not 0 or PR_SET_DUMPABLE is not 0")
    found.extend(_edge_faults(settings))
    for database in facts.databases:
        found.extend(_database_faults(database))
    return tuple(found)


def _edge_faults(settings: Settings) -> list[str]:
    if any(parse_network(each).prefixlen == 0 for each in settings.trusted_proxies):
        return ["STRONGROOM_TRUSTED_PROXIES believes everybody: name your proxies' networks"]
    return []


def _address_faults(settings: Settings) -> list[str]:
    found = []
    if settings.public_url.startswith("http://"):
        found.append("STRONGROOM_PUBLIC_URL is plain HTTP: customers return over TLS only")
    if (settings.console_origin or "").startswith("http://"):
        found.append("STRONGROOM_CONSOLE_ORIGIN is plain HTTP: people log in over TLS only")
    return found


def _database_faults(database: DatabaseFacts) -> list[str]:
    of = f"{database.login} on the {database.name} database"
    found = []
    if not database.tls_verified:
        found.append(f"{of}: no TLS with a verified certificate (sslmode=verify-full)")
    if database.superuser:
        found.append(f"{of} is a superuser")
    if database.bypasses_rls:
        found.append(f"{of} bypasses row-level security")
    if database.owns_tables:
        found.append(f"{of} owns tables")
    if not database.fsync:
        found.append(f"the {database.name} database runs with fsync off")
    if not database.synchronous_commit:
        found.append(f"the {database.name} database runs with synchronous_commit off")
    return found
