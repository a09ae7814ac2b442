# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ endpoints, events and deliveries, as a merchant's requests see them; `deliveries` has the worker's side."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from strongroom.crypto.ids import new_id
from strongroom.db.pool import ReadOnly, Record, Transaction
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import DeliveryId, EndpointId, EventId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.webhooks.model import (
    Delivery,
    DeliveryStatus,
    Endpoint,
    EndpointStatus,
    NewEvent,
    StoredEvent,
    Try,
)
from strongroom.webhooks.secrets import Sealed

QUERIES: Final = load_queries("strongroom.webhooks")
#: Behind every id of an event that will ever be made.
_BEHIND_ALL: Final = "evt_~"


class Scope(NamedTuple):
    """Whose rows of which mode."""

    merchant: MerchantId
    mode: Mode


class Locked(NamedTuple):
    """An endpoint that nobody else changes until this transaction ends."""

    endpoint: Endpoint
    sealed: Sealed


def _endpoint(row: Mapping[str, Any]) -> Endpoint:
    return Endpoint(
        MerchantId(row["merchant_id"]),
        Mode(row["mode"]),
        EndpointId(row["endpoint_id"]),
        row["url"],
        row["description"],
        tuple(row["types"]),
        EndpointStatus(row["status"]),
        row["disabled_reason"],
        row["created_at"],
        row["updated_at"],
    )


def _event(row: Mapping[str, Any]) -> StoredEvent:
    return StoredEvent(
        EventId(row["event_id"]), row["type"], row["object_id"], row["payload"], row["created_at"]
    )


# --- endpoints ---------------------------------------------------------------------------------------


async def insert_endpoint(
    tx: Transaction, endpoint: Endpoint, sealed: Sealed, endpoints_max: int
) -> bool:
    """Add an endpoint; tell whether there was room for it."""
    return (
        await tx.run(
            QUERIES["insert_endpoint"],
            endpoint.merchant_id,
            endpoint.mode,
            endpoint.endpoint_id,
            endpoint.url,
            endpoint.description,
            list(endpoint.types),
            sealed.value,
            sealed.key_version,
            endpoint.created_at,
            endpoints_max,
        )
        == 1
    )


async def list_endpoints(read: ReadOnly, scope: Scope) -> Sequence[Endpoint]:
    """Return a tenant's endpoints of one mode."""
    return [_endpoint(row) for row in await read.rows(QUERIES["list_endpoints"], *scope)]


async def endpoint_by_id(read: ReadOnly, scope: Scope, endpoint: str) -> Endpoint | None:
    """Return an endpoint."""
    row = await read.row(QUERIES["endpoint_by_id"], *scope, endpoint)
    return None if row is None else _endpoint(row)


async def endpoint_for_change(tx: Transaction, scope: Scope, endpoint: str) -> Locked | None:
    """Return an endpoint and hold it until the transaction ends."""
    row = await tx.row(QUERIES["endpoint_for_change"], *scope, endpoint)
    if row is None:
        return None
    return Locked(_endpoint(row), Sealed(row["sealed_secrets"], row["key_version"]))


async def change_endpoint(tx: Transaction, endpoint: Endpoint) -> Endpoint:
    """Put what a merchant can change."""
    row = await tx.row(
        QUERIES["change_endpoint"],
        endpoint.merchant_id,
        endpoint.mode,
        endpoint.endpoint_id,
        endpoint.url,
        endpoint.description,
        list(endpoint.types),
        endpoint.status,
        endpoint.disabled_reason,
        endpoint.updated_at,
    )
    return endpoint if row is None else _endpoint(row)


async def reseal_endpoint(
    tx: Transaction, scope: Scope, endpoint: EndpointId, sealed: Sealed, now: datetime
) -> Endpoint | None:
    """Put other secrets."""
    row = await tx.row(
        QUERIES["reseal_endpoint"], *scope, endpoint, sealed.value, sealed.key_version, now
    )
    return None if row is None else _endpoint(row)


async def delete_endpoint(tx: Transaction, scope: Scope, endpoint: str, now: datetime) -> bool:
    """Delete an endpoint with its secrets; tell whether it was there."""
    return await tx.row(QUERIES["delete_endpoint"], *scope, endpoint, now) is not None


async def disable_endpoint(
    tx: Transaction, scope: Scope, endpoint: EndpointId, reason: str, now: datetime
) -> bool:
    """Disable an endpoint; tell whether it was active."""
    return await tx.row(QUERIES["disable_endpoint"], *scope, endpoint, reason, now) is not None


async def listening_endpoints(
    read: ReadOnly, scope: Scope, event_type: str
) -> Sequence[EndpointId]:
    """Return who is told of a type."""
    rows = await read.rows(QUERIES["listening_endpoints"], *scope, event_type)
    return [EndpointId(row["endpoint_id"]) for row in rows]


# --- events ------------------------------------------------------------------------------------------


async def insert_event(
    tx: Transaction, scope: Scope, event: NewEvent, now: datetime
) -> StoredEvent:
    """Add an event that nobody is told of yet."""
    await tx.run(
        QUERIES["insert_event"],
        *scope,
        event.id,
        event.type,
        event.object_id,
        event.payload,
        now,
    )
    return StoredEvent(event.id, event.type.value, event.object_id, event.payload, now)


async def insert_deliveries(
    tx: Transaction,
    scope: Scope,
    event: EventId,
    endpoints: Sequence[EndpointId],
    now: datetime,
) -> Sequence[Delivery]:
    """Have an event delivered to endpoints, with a job each."""
    ids = [DeliveryId(new_id("dlv")) for _ in endpoints]
    await tx.run(QUERIES["insert_deliveries"], *scope, ids, event, list(endpoints), now)
    await tx.rows(QUERIES["put_delivery_jobs"], *scope, ids, now)
    return [
        Delivery(each, event, endpoint, DeliveryStatus.PENDING, now, now, None, ())
        for each, endpoint in zip(ids, endpoints, strict=True)
    ]


async def list_events(
    read: ReadOnly,
    scope: Scope,
    *,
    before: str | None,
    object_id: str | None,
    event_type: str | None,
    limit: int,
) -> Sequence[StoredEvent]:
    """Return events, newest first."""
    behind = before or _BEHIND_ALL
    if object_id is None:
        rows = await read.rows(QUERIES["list_events"], *scope, behind, event_type, limit)
    else:
        rows = await read.rows(
            QUERIES["list_events_of_object"], *scope, object_id, behind, event_type, limit
        )
    return [_event(row) for row in rows]


async def list_events_after(
    read: ReadOnly, scope: Scope, *, after: str, event_type: str | None, limit: int
) -> Sequence[StoredEvent]:
    """Return events behind one, oldest first."""
    rows = await read.rows(QUERIES["list_events_after"], *scope, after, event_type, limit)
    return [_event(row) for row in rows]


async def event_by_id(read: ReadOnly, scope: Scope, event: str) -> StoredEvent | None:
    """Return an event."""
    row = await read.row(QUERIES["event_by_id"], *scope, event)
    return None if row is None else _event(row)


async def deliveries_of_event(read: ReadOnly, scope: Scope, event: str) -> Sequence[Delivery]:
    """Return an event's deliveries with their tries."""
    rows = await read.rows(QUERIES["deliveries_of_event"], *scope, event)
    logged = await read.rows(
        QUERIES["tries_of_deliveries"], *scope, [row["delivery_id"] for row in rows]
    )
    tries: dict[str, list[Try]] = {}
    for row in logged:
        tries.setdefault(row["delivery_id"], []).append(
            Try(row["number"], row["at"], row["status"], row["reason"], row["duration_ms"])
        )
    return [_delivery(row, tries.get(row["delivery_id"], [])) for row in rows]


def _delivery(row: Record, tries: Sequence[Try]) -> Delivery:
    return Delivery(
        DeliveryId(row["delivery_id"]),
        EventId(row["event_id"]),
        EndpointId(row["endpoint_id"]),
        DeliveryStatus(row["status"]),
        row["created_at"],
        row["next_at"],
        row["delivered_at"],
        tuple(tries),
    )
