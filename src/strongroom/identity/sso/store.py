# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ providers, links and logins under way."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from strongroom.db.pool import ReadOnly, Transaction
from strongroom.db.queries import load_queries
from strongroom.identity.people.model import Person
from strongroom.identity.people.store import person_of
from strongroom.identity.sso.model import (
    Flow,
    Provider,
    ProviderId,
    ProviderStatus,
    ProviderTerms,
    RoleRule,
)
from strongroom.kernel.ids import MerchantId, PersonId
from strongroom.kernel.mode import Mode

_QUERIES: Final = load_queries("strongroom.identity.sso")


def _provider(row: Mapping[str, Any]) -> Provider:
    terms = ProviderTerms(
        row["name"],
        row["issuer"],
        row["client_id"],
        tuple(row["domains"]),
        tuple(row["redirects"]),
        row["role_claim"],
        tuple(msgspec.json.decode(row["roles"], type=list[RoleRule])),
        tuple(row["required_amr"]),
        tuple(row["required_acr"]),
        row["max_age_seconds"],
        row["creates_people"],
    )
    return Provider(
        MerchantId(row["merchant_id"]),
        ProviderId(row["provider_id"]),
        terms,
        ProviderStatus(row["status"]),
        row["sealed_secret"],
        row["key_version"],
        row["created_by"],
        row["created_at"],
        row["updated_at"],
    )


def _columns(provider: Provider) -> tuple[object, ...]:
    """What both insert and update put, in their order."""
    terms = provider.terms
    return (
        provider.merchant,
        provider.provider_id,
        terms.name,
        terms.issuer,
        terms.client_id,
        provider.sealed_secret,
        provider.key_version,
        list(terms.domains),
        list(terms.redirects),
        terms.role_claim,
        msgspec.json.encode(terms.roles).decode(),
        list(terms.required_amr),
        list(terms.required_acr),
        terms.max_age_seconds,
        terms.creates_people,
    )


async def insert_provider(tx: Transaction, provider: Provider, most: int) -> bool:
    """Add a provider; tell whether there was room."""
    made = (provider.created_by, provider.created_at, most)
    return await tx.run(_QUERIES["insert_provider"], *_columns(provider), *made) == 1


async def change_provider(tx: Transaction, provider: Provider) -> None:
    """Put a provider as it is now."""
    now = (provider.status, provider.updated_at)
    await tx.run(_QUERIES["change_provider"], *_columns(provider), *now)


async def list_providers(read: ReadOnly, merchant: MerchantId) -> Sequence[Provider]:
    """Return a tenant's providers."""
    return [_provider(row) for row in await read.rows(_QUERIES["list_providers"], merchant)]


async def provider_by_id(
    read: ReadOnly, merchant: MerchantId, provider: str, *, lock: bool = False
) -> Provider | None:
    """Return one of a tenant's providers; with `lock`, nobody else changes it meanwhile."""
    name = "provider_for_change" if lock else "provider_by_id"
    row = await read.row(_QUERIES[name], merchant, provider)
    return None if row is None else _provider(row)


async def presented_provider(
    read: ReadOnly, *, provider: str = "", domain: str = ""
) -> Provider | None:
    """Return the one active provider that was named, before a tenant is known. Two of one domain are none."""
    await read.row(_QUERIES["present_provider"], provider)
    await read.row(_QUERIES["present_domain"], domain)
    rows = await read.rows(_QUERIES["presented_providers"], provider, domain)
    return _provider(rows[0]) if len(rows) == 1 else None


async def insert_flow(tx: Transaction, state_hash: bytes, flow: Flow) -> None:
    """Keep a login that goes to a provider, and forget those of its tenant that never came back."""
    await tx.run(_QUERIES["forget_flows"], flow.merchant, flow.created_at)
    await tx.run(
        _QUERIES["insert_flow"],
        flow.merchant,
        state_hash,
        flow.provider_id,
        flow.mode,
        flow.redirect,
        flow.created_at,
        flow.expires_at,
    )


async def take_flow(tx: Transaction, state_hash: bytes) -> Flow | None:
    """Return the login that comes back, once."""
    await tx.row(_QUERIES["present_flow"], state_hash.hex())
    row = await tx.row(_QUERIES["take_flow"], state_hash)
    if row is None:
        return None
    return Flow(
        MerchantId(row["merchant_id"]),
        ProviderId(row["provider_id"]),
        Mode(row["mode"]),
        row["redirect"],
        row["created_at"],
        row["expires_at"],
    )


async def tenant_works(read: ReadOnly, merchant: MerchantId) -> bool:
    """Tell whether a tenant is active; the platform always is."""
    row = await read.row(_QUERIES["tenant_status"], merchant)
    return row is None or row["status"] == "active"


async def linked_person(
    tx: Transaction, merchant: MerchantId, issuer: str, subject_hash: bytes
) -> Person | None:
    """Return who somebody is here, and keep them from being changed by anybody else."""
    row = await tx.row(_QUERIES["linked_person"], merchant, issuer, subject_hash)
    return None if row is None else person_of(row)


async def person_for_link(tx: Transaction, merchant: MerchantId, person: PersonId) -> Person | None:
    """Return a tenant's person, and keep them from being changed by anybody else."""
    row = await tx.row(_QUERIES["person_for_link"], merchant, person)
    return None if row is None else person_of(row)


async def put_link(
    tx: Transaction, provider: Provider, subject_hash: bytes, person: PersonId, now: datetime
) -> bool:
    """Say who somebody is here; tell whether neither of the two was linked to another."""
    names = (provider.merchant, provider.terms.issuer, subject_hash, provider.provider_id, person)
    return await tx.run(_QUERIES["put_link"], *names, now) == 1


async def use_link(tx: Transaction, provider: Provider, subject_hash: bytes, now: datetime) -> None:
    """Note by which provider somebody logged in."""
    names = (provider.merchant, provider.terms.issuer, subject_hash, provider.provider_id)
    await tx.run(_QUERIES["use_link"], *names, now)


async def people_by_provider(
    read: ReadOnly, merchant: MerchantId, provider: ProviderId
) -> Sequence[Person]:
    """Return who logged in by a provider last."""
    return [
        person_of(row)
        for row in await read.rows(_QUERIES["people_by_provider"], merchant, provider)
    ]


async def insert_person(tx: Transaction, person: Person) -> bool:
    """Add a person whom a provider vouches for; tell whether the address was free."""
    row = (
        person.merchant,
        person.person_id,
        person.email,
        person.name,
        person.role,
        person.created_by,
        person.created_at,
    )
    return await tx.run(_QUERIES["insert_person"], *row) == 1


async def put_role_and_status(tx: Transaction, person: Person) -> None:
    """Put what a provider's word made of somebody."""
    await tx.run(
        _QUERIES["put_role_and_status"],
        person.merchant,
        person.person_id,
        person.role,
        person.status,
    )
