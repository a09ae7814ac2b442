# SPDX-License-Identifier: Apache-2.0
"""What every role is composed from, and the small parts that roles share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strongroom.config import KeyStoreName, Settings
from strongroom.config.roles import ALL_ROLES, ServedRole
from strongroom.db.address import Address
from strongroom.db.logins import Domain, Login
from strongroom.db.migrate import (
    IDEMPOTENCY_DAYS_KEPT,
    PARTITION_DAYS_AHEAD,
    PARTITION_MONTHS_AHEAD,
)
from strongroom.db.pool import Database
from strongroom.http.edge import Rates
from strongroom.http.rate_limit import Rate, RateLimiter
from strongroom.kernel.clock import Clock, SystemClock
from strongroom.kernel.secret import Secret
from strongroom.keys import ROLE_ROOTS, KeyName, KeyStore
from strongroom.keys.keyring import Keyring
from strongroom.keys.model import PLATFORM_MERCHANT, PLATFORM_MODE
from strongroom.keys.stores.file import FileKeyStore
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics

Addresses = Callable[[Domain, Login], Address]


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file of the file key store, and what opens it."""

    path: Path
    passphrase: Secret[str]


@dataclass(frozen=True, slots=True)
class Site:
    """What every role is composed from."""

    settings: Settings
    addresses: Addresses
    passphrase: Secret[str]
    log: Log
    metrics: Metrics
    clock: Clock
    #: What this process serves; it opens what these need.
    roles: frozenset[ServedRole] = ALL_ROLES
    #: With a file key store and roles apart: the files of these roles, in the place of the one with every root.
    role_keys: tuple[KeyFile, ...] = ()


def key_file(settings: Settings) -> Path:
    """Return where the file key store keeps its roots."""
    return settings.state / "keys" / "roots.sealed"


def make_key_file(settings: Settings, passphrase: Secret[str], clock: Clock) -> bool:
    """Make the file key store once; tell whether it was made now."""
    path = key_file(settings)
    if settings.key_store is not KeyStoreName.FILE or path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    FileKeyStore.create(path, passphrase, clock.now())
    return True


def split_key_file(
    settings: Settings, passphrase: Secret[str], files: Mapping[ServedRole, KeyFile]
) -> int:
    """Give each role a key file with the roots that it needs and no others; return how many were written.

    A file that has them already is left alone. Does nothing where the key store is no file.
    """
    if settings.key_store is not KeyStoreName.FILE:
        return 0
    store = FileKeyStore.open(key_file(settings), passphrase)
    written = 0
    for role, file in files.items():
        purposes = ROLE_ROOTS[role]
        wanted = frozenset(each for each in store.holds() if each[0] in purposes)
        if file.path.exists() and FileKeyStore.open(file.path, file.passphrase).holds() == wanted:
            continue
        store.split(file.path, file.passphrase, purposes)
        written += 1
    return written


async def platform_secret(keyring: Keyring, name: KeyName) -> Secret[bytes]:
    """Return a key of the installation itself."""
    return (await keyring.current(PLATFORM_MERCHANT, PLATFORM_MODE, name)).secret


def rates_of(settings: Settings) -> Rates:
    """Return the limiters of a listener."""
    return Rates(
        public=RateLimiter(
            Rate(settings.rate_public_per_second, settings.rate_public_per_second * 2)
        ),
        secret=RateLimiter(
            Rate(settings.rate_secret_per_second, settings.rate_secret_per_second * 2)
        ),
        stranger=RateLimiter(
            Rate(settings.rate_stranger_per_second, settings.rate_stranger_per_second * 2)
        ),
        visitor=RateLimiter(
            Rate(settings.rate_visitor_per_second, settings.rate_visitor_per_second * 2)
        ),
    )


def unlimited() -> Rates:
    """Return limiters that nobody meets, for a listener that lets only our own processes in."""
    never = Rate(1e9, 1e9)
    return Rates(
        public=RateLimiter(never),
        secret=RateLimiter(never),
        stranger=RateLimiter(never),
        visitor=RateLimiter(never),
    )


def answers_of(database: Database) -> Callable[[], Any]:
    """Return the health check of a database."""

    async def check() -> None:
        await database.value("select 1")

    return check


def store_answers(store: KeyStore) -> Callable[[], Any]:
    """Return the health check of a key store."""

    async def check() -> None:
        await store.describe()

    return check


def partitions_of(database: Database) -> Callable[[], Any]:
    """Return the job that makes partitions ahead and drops those that are past."""

    async def keep() -> None:
        await database.value(
            f"select idempotency.keep_partitions({PARTITION_DAYS_AHEAD}, {IDEMPOTENCY_DAYS_KEPT})"
        )
        await database.value(f"select audit.keep_partitions({PARTITION_MONTHS_AHEAD})")

    return keep


def system_clock() -> Clock:
    """Return the clock that everything but tests runs on."""
    return SystemClock()
