# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ services."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from strongroom.db.pool import ReadOnly, Record, Transaction
from strongroom.db.queries import load_queries
from strongroom.identity.revocation import certificate_subject
from strongroom.identity.services.model import Service
from strongroom.identity.store import permissions_of
from strongroom.kernel.ids import MerchantId, ServiceId
from strongroom.kernel.mode import Mode

_QUERIES: Final = load_queries("strongroom.identity.services")


def _service(row: Record) -> Service:
    return Service(
        ServiceId(row["service_id"]),
        MerchantId(row["merchant_id"]),
        Mode(row["mode"]),
        row["name"],
        permissions_of(row["permissions"]),
        tuple(json.loads(row["public_keys"])),
        row["certificate_bound"],
        row["created_by"],
        row["created_at"],
        row["revoked_at"],
        row["last_used_at"],
    )


async def insert(tx: Transaction, service: Service) -> None:
    """Add a service."""
    await tx.run(
        _QUERIES["insert_service"],
        service.merchant,
        service.mode,
        service.service,
        service.name,
        sorted(service.permissions),
        json.dumps(service.public_keys),
        service.certificate_bound,
        service.created_by,
        service.created_at,
    )


async def all_of(read: ReadOnly, merchant: MerchantId, mode: Mode) -> Sequence[Service]:
    """Return a tenant's services of one mode."""
    return [_service(row) for row in await read.rows(_QUERIES["list_services"], merchant, mode)]


async def merchant_of(read: ReadOnly, service: ServiceId) -> MerchantId | None:
    """Return whose a presented service is, before a tenant is known; sees nothing else."""
    await read.row(_QUERIES["present_service"], service)
    row = await read.row(_QUERIES["tenant_of_service"], service)
    return None if row is None else MerchantId(row["merchant_id"])


async def for_change(tx: Transaction, service: ServiceId) -> tuple[Service, bool] | None:
    """Return a service of the stated tenant and whether its merchant is active, and hold it."""
    row = await tx.row(_QUERIES["service_for_change"], service)
    return None if row is None else (_service(row), row["status"] == "active")


async def touch(tx: Transaction, service: ServiceId, now: datetime) -> None:
    """Note that it was given a token."""
    await tx.run(_QUERIES["touch_service"], service, now)


async def replace_keys(
    tx: Transaction, service: ServiceId, keys: Sequence[Mapping[str, str]]
) -> None:
    """Take other keys from now on."""
    await tx.run(_QUERIES["replace_service_keys"], service, json.dumps(list(keys)))


async def merchant_there(read: ReadOnly, merchant: MerchantId) -> bool:
    """Tell whether there is such a merchant."""
    return await read.row(_QUERIES["merchant_there"], merchant) is not None


async def certificate_revoked(read: ReadOnly, subject: str, now: datetime) -> bool:
    """Tell whether a certificate was ended for a tenant (`revocation.certificate_subject`)."""
    return await read.row(_QUERIES["certificate_revoked"], subject, now) is not None


async def count_certificates(
    read: ReadOnly, merchant: MerchantId, mode: Mode, now: datetime
) -> int:
    """Return how many certificates were ended for a tenant's services of one mode."""
    row = await read.row(
        _QUERIES["count_revoked_certificates"], certificate_subject(merchant, mode.value, ""), now
    )
    return 0 if row is None else int(row["count"])


async def revoke(tx: Transaction, service: ServiceId, now: datetime) -> bool:
    """End a service; tell whether it was open."""
    return bool(await tx.run(_QUERIES["revoke_service"], service, now))
