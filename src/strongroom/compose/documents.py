# SPDX-License-Identifier: Apache-2.0
"""Which routes each listener has, and the OpenAPI document that says so."""

import json
from typing import Final

from strongroom.audit import api as audit_api
from strongroom.http import operations
from strongroom.http.openapi import openapi_document
from strongroom.identity import api as identity_api
from strongroom.identity.access import api as access_api
from strongroom.identity.approvals import api as approvals_api
from strongroom.identity.factors import api as factors_api
from strongroom.identity.login import api as login_api
from strongroom.identity.networks import api as networks_api
from strongroom.identity.pages import api as pages_api
from strongroom.identity.passkeys import api as passkeys_api
from strongroom.identity.people import api as people_api
from strongroom.identity.people import own_api
from strongroom.identity.services import api as services_api
from strongroom.identity.sessions import api as sessions_api
from strongroom.identity.sso import api as sso_api
from strongroom.payments import api as payments_api
from strongroom.payments import (
    books_api,
    connections_api,
    credentials_api,
    disputes_api,
    holds_api,
    resolving_api,
)
from strongroom.payments.brakes import api as brakes_api
from strongroom.payments.brakes.wire import EVENT_DATA as BRAKE_EVENT_DATA
from strongroom.payments.customers import api as customers_api
from strongroom.payments.customers.wire import EVENT_DATA as CUSTOMER_EVENT_DATA
from strongroom.payments.disputes_wire import EVENT_DATA as DISPUTE_EVENT_DATA
from strongroom.payments.events_wire import EVENT_DATA
from strongroom.payments.health import api as health_api
from strongroom.payments.receipts import api as receipts_api
from strongroom.payments.retries import api as retries_api
from strongroom.payments.routing import api as routing_api
from strongroom.payments.settlement import api as settlement_api
from strongroom.payments.settlement.wire import EVENT_DATA as SETTLEMENT_EVENT_DATA
from strongroom.vault import api as vault_api
from strongroom.vault.containers import api as containers_api
from strongroom.vault.erasure import api as erasure_api
from strongroom.vault.events import EVENT_DATA as VAULT_EVENT_DATA
from strongroom.vault.forwarding import api as forwarding_api
from strongroom.vault.honey import api as honey_api
from strongroom.vault.retokenize import api as retokenize_api
from strongroom.vault.reveal import api as reveal_api
from strongroom.vault.rotation import api as rotation_api
from strongroom.vault.search import api as search_api
from strongroom.vault.transfer import api as transfer_api
from strongroom.vault.work import api as work_api
from strongroom.webhooks import api as webhooks_api
from strongroom.webhooks import event_schemas
from strongroom.webhooks.inbound import api as inbound_api

VAULT_ROUTES: Final = (
    *vault_api.ROUTES,
    *search_api.ROUTES,
    *work_api.ROUTES,
    *reveal_api.ROUTES,
    *forwarding_api.ROUTES,
    *containers_api.ROUTES,
    *transfer_api.ROUTES,
    *rotation_api.ROUTES,
    *erasure_api.ROUTES,
    *retokenize_api.ROUTES,
    *honey_api.ROUTES,
    *audit_api.ROUTES,
    *operations.ROUTES,
)
GATEWAY_ROUTES: Final = (
    *identity_api.ROUTES,
    *payments_api.ROUTES,
    *brakes_api.ROUTES,
    *books_api.ROUTES,
    *disputes_api.ROUTES,
    *holds_api.ROUTES,
    *settlement_api.ROUTES,
    *resolving_api.ROUTES,
    *receipts_api.ROUTES,
    *connections_api.CONNECTION_ROUTES,
    *customers_api.ROUTES,
    *retries_api.ROUTES,
    *routing_api.ROUTES,
    *credentials_api.ROUTES,
    *health_api.ROUTES,
    *webhooks_api.ROUTES,
    *audit_api.ROUTES,
    *operations.ROUTES,
)
WEBHOOKS_ROUTES: Final = (
    *inbound_api.ROUTES,
    *connections_api.RETURN_ROUTES,
    *operations.ROUTES,
)
CONSOLE_ROUTES: Final = (
    *identity_api.CONSOLE_ROUTES,
    *networks_api.CONSOLE_ROUTES,
    *approvals_api.ROUTES,
    *access_api.ROUTES,
    *sessions_api.ROUTES,
    *services_api.ROUTES,
    *people_api.ROUTES,
    *own_api.ROUTES,
    *login_api.ROUTES,
    *factors_api.ROUTES,
    *passkeys_api.ROUTES,
    *sso_api.ROUTES,
    *pages_api.ROUTES,
    *audit_api.ROUTES,
    *operations.ROUTES,
)


def vault_document() -> bytes:
    """Return the OpenAPI document of the vault's listener."""
    return openapi_document(
        VAULT_ROUTES,
        title="Strongroom vault",
        description="The card-bearing listener: card numbers go in, tokens come out.",
    )


def gateway_document() -> bytes:
    """Return the OpenAPI document of the gateway's listener."""
    return openapi_document(
        GATEWAY_ROUTES,
        title="Strongroom gateway",
        description="The listener that never sees a card number: a body that holds one is refused.",
    )


def events_document() -> bytes:
    """Return the JSON schema of every event, by its type."""
    known = {
        **BRAKE_EVENT_DATA,
        **CUSTOMER_EVENT_DATA,
        **DISPUTE_EVENT_DATA,
        **EVENT_DATA,
        **SETTLEMENT_EVENT_DATA,
        **VAULT_EVENT_DATA,
    }
    return json.dumps(event_schemas(known), indent=2, sort_keys=True).encode() + b"\n"


def webhooks_document() -> bytes:
    """Return the OpenAPI document of the public listener."""
    return openapi_document(
        WEBHOOKS_ROUTES,
        title="Strongroom webhooks",
        description="The public listener: processors tell here what happened, and customers return here.",
    )


def console_document() -> bytes:
    """Return the OpenAPI document of the listener where people log in."""
    return openapi_document(
        CONSOLE_ROUTES,
        title="Strongroom console",
        description="Where people log in and manage access; it never sees a card number.",
    )


def worker_document() -> bytes:
    """Return the OpenAPI document of what a worker of its own says of itself."""
    return openapi_document(
        operations.ROUTES,
        title="Strongroom worker",
        description="Health and metrics of the process that does the work in the background.",
    )
