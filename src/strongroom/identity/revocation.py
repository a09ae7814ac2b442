# SPDX-License-Identifier: Apache-2.0
"""What no longer holds, and which keys sign: every process knows it all, asks anew twice a second, and fails closed.

A row's number says when it was inserted, not when it was committed, so a reader that goes on from the highest number
would miss one that commits late. Each row carries its transaction instead; a reading goes on from the oldest
transaction that was still open at the one before, and so reads again whatever it could not be sure of.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Final, Literal, TypeAlias, final

from strongroom.db.pool import Database, Record, Transaction
from strongroom.db.queries import load_queries
from strongroom.identity.jose import PublicKey, ed25519_public_key
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import Unavailable

Kind: TypeAlias = Literal["certificate", "key", "person", "service", "session"]

REFRESH_SECONDS: Final = 0.5
#: What was not read again for so long may have missed a revocation: nothing signed is believed then.
LOST_AFTER_SECONDS: Final = 2.0
#: Callers that may wait at once for the next reading, because their token's key is not known yet.
WAITING_MAX: Final = 32
_QUERIES: Final = load_queries("strongroom.identity")


class RevocationsUnknown(Unavailable):
    """What was revoked cannot be asked just now, so no access token holds."""

    code = "revocations_unknown"


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """The public half of a key that signs access tokens."""

    kid: str
    version: int
    key: PublicKey
    sign_from: datetime
    #: When the last token that it signed has expired; None while no other has taken its place.
    verify_until: datetime | None

    def believed(self, now: datetime) -> bool:
        """Tell whether its signatures count."""
        return self.verify_until is None or now < self.verify_until


@dataclass(frozen=True, slots=True)
class _Revoked:
    at: datetime
    keep_until: datetime


@final
class Trust:
    """What one process knows of revocations and signing keys. Call `refresh` about every `REFRESH_SECONDS`.

    Args:
        seconds: a monotonic clock, for how old the last reading is.
        observe: told the age of the last reading, in seconds, at each.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        seconds: Callable[[], float] = monotonic,
        observe: Callable[[float], None] = lambda _age: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._seconds = seconds
        self._observe = observe
        self._settled = "0"
        self._revoked: dict[tuple[str, str], _Revoked] = {}
        self._fresh_at = -LOST_AFTER_SECONDS * 2
        self._next: asyncio.Event = asyncio.Event()
        self._waiting = 0
        #: By `kid`.
        self.keys: Mapping[str, PublishedKey] = {}

    async def refresh(self) -> None:
        """Read what is new.

        Raises:
            DatabaseAway, QueryFailed: it could not be read; what is known grows older.
        """
        started = self._seconds()
        self._observe(max(0.0, started - self._fresh_at))
        now = self._clock.now()
        async with self._database.transaction() as read:
            rows = await read.rows(_QUERIES["revocations_since"], self._settled, now)
            keys = await read.rows(_QUERIES["signing_keys"])
        for row in rows:
            if row["kind"] is not None:
                self._note(row)
        self._settled = rows[0]["settled"]
        self._revoked = {
            subject: each for subject, each in self._revoked.items() if each.keep_until > now
        }
        self._publish(keys)
        # What was committed before it was asked is in it; so its age counts from then.
        self._fresh_at = started
        done, self._next = self._next, asyncio.Event()
        done.set()

    def _note(self, row: Record) -> None:
        subject = (row["kind"], row["subject"])
        known = self._revoked.get(subject)
        if known is None or known.at < row["revoked_at"]:
            self._revoked[subject] = _Revoked(row["revoked_at"], row["keep_until"])

    def _publish(self, rows: Sequence[Record]) -> None:
        known = self.keys
        self.keys = {
            row["kid"]: PublishedKey(
                row["kid"],
                row["version"],
                known[row["kid"]].key
                if row["kid"] in known
                else ed25519_public_key(row["public_key"]),
                row["sign_from"],
                row["verify_until"],
            )
            for row in rows
        }

    @property
    def fresh(self) -> bool:
        """Whether it was read within the last `LOST_AFTER_SECONDS`."""
        return self._seconds() - self._fresh_at <= LOST_AFTER_SECONDS

    def require_fresh(self) -> None:
        """Let through, or fail closed.

        Raises:
            RevocationsUnknown: the last reading is too old.
        """
        if not self.fresh:
            raise RevocationsUnknown

    def revoked(self, kind: Kind, subject: str) -> bool:
        """Tell whether a session, a key or a certificate was ended."""
        return (kind, subject) in self._revoked

    def revoked_since(self, kind: Kind, subject: str, made_at: float) -> bool:
        """Tell whether a person's or a service's tokens of that moment (Unix time) were ended.

        A token says its second only, so all of the second of a revocation are ended.
        """
        found = self._revoked.get((kind, subject))
        return found is not None and int(made_at) <= found.at.timestamp()

    async def next_reading(self) -> None:
        """Wait for the next reading that begins after this, if not too many do; a key may just have been made."""
        if self._waiting >= WAITING_MAX:
            return
        self._waiting += 1
        try:
            async with asyncio.timeout(LOST_AFTER_SECONDS):
                await self._next.wait()
        except TimeoutError:
            return
        finally:
            self._waiting -= 1


def certificate_subject(merchant: str, mode: str, thumbprint: str) -> str:
    """Return what a revoked client certificate is written down as: a tenant's, so that none ends another's."""
    return f"{merchant}:{mode}:{thumbprint}"


async def revoke(
    tx: Transaction, kind: Kind, subject: str, *, now: datetime, outlived_by: timedelta
) -> None:
    """End something in every process within two seconds of the commit.

    Args:
        outlived_by: how long from now the longest-lived thing that this ends could still be presented.
    """
    await tx.run(_QUERIES["insert_revocation"], kind, subject, now, now + outlived_by)


async def remove_past(database: Database, now: datetime) -> None:
    """Remove revocations and used proofs that nothing could be presented against any more."""
    async with database.transaction() as tx:
        await tx.run(_QUERIES["remove_past_revocations"], now)
        await tx.run(_QUERIES["remove_past_uses"], now)
