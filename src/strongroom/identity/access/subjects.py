# SPDX-License-Identifier: Apache-2.0
"""Who and what has access: people, keys, services and uses of break-glass."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

from strongroom.audit import PLATFORM
from strongroom.db.pool import ReadOnly
from strongroom.identity.access import store
from strongroom.identity.access.model import Subject, SubjectKind
from strongroom.identity.grants import granted_to
from strongroom.identity.store import permissions_of
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role


class Source(Protocol):
    """One kind of what has access."""

    async def subjects(
        self, read: ReadOnly, merchant: MerchantId, since: datetime, now: datetime
    ) -> Sequence[Subject]:
        """Return a tenant's; `since` is when it was reviewed last."""


class PeopleSource:
    """Everybody who may log in, with what their role may do in live mode."""

    async def subjects(
        self,
        read: ReadOnly,
        merchant: MerchantId,
        since: datetime,  # noqa: ARG002 - the port's
        now: datetime,  # noqa: ARG002 - the port's
    ) -> Sequence[Subject]:
        """Return a tenant's people."""
        platform = merchant == PLATFORM
        return [
            Subject(
                row["person_id"],
                SubjectKind.PERSON,
                row["person_id"],
                f"{row['role']}, {row['status']}",
                granted_to(Role(row["role"]), Mode.LIVE, platform=platform),
                row["created_at"],
                row["last_used_at"],
            )
            for row in await store.people(read, merchant)
        ]


class KeySource:
    """Every API key that holds, of both modes."""

    async def subjects(
        self,
        read: ReadOnly,
        merchant: MerchantId,
        since: datetime,  # noqa: ARG002 - the port's
        now: datetime,
    ) -> Sequence[Subject]:
        """Return a tenant's keys."""
        return [
            Subject(
                row["key_id"],
                SubjectKind.KEY,
                None,
                f"{row['kind']} key, {row['mode']} mode",
                permissions_of(row["permissions"]),
                row["created_at"],
                row["last_used_at"],
            )
            for row in await store.keys(read, merchant, now)
        ]


class ServiceSource:
    """Every service that holds, of both modes."""

    async def subjects(
        self,
        read: ReadOnly,
        merchant: MerchantId,
        since: datetime,  # noqa: ARG002 - the port's
        now: datetime,  # noqa: ARG002 - the port's
    ) -> Sequence[Subject]:
        """Return a tenant's services."""
        return [
            Subject(
                row["service_id"],
                SubjectKind.SERVICE,
                None,
                f"service, {row['mode']} mode"
                + (", bound to a certificate" if row["certificate_bound"] else ""),
                permissions_of(row["permissions"]),
                row["created_at"],
                row["last_used_at"],
            )
            for row in await store.services(read, merchant)
        ]


class BreakGlassSource:
    """Every break-glass since the last review: each use is looked at afterwards."""

    async def subjects(
        self,
        read: ReadOnly,
        merchant: MerchantId,
        since: datetime,
        now: datetime,  # noqa: ARG002 - the port's
    ) -> Sequence[Subject]:
        """Return a tenant's uses."""
        return [
            Subject(
                glass.glass_id,
                SubjectKind.BREAK_GLASS,
                glass.person,
                glass.reason,
                glass.permissions,
                glass.started_at,
                glass.ended_at,
            )
            for glass in await store.glasses_since(read, merchant, since)
        ]


SOURCES: Final[Sequence[Source]] = (
    PeopleSource(),
    KeySource(),
    ServiceSource(),
    BreakGlassSource(),
)
