# SPDX-License-Identifier: Apache-2.0
"""Who may do what, as two tables: key kinds and their permissions, roles and their permissions.

A public key makes single-use tokens and nothing else. What only a person may do, no key ever gets. No role of a person
makes or charges tokens but the operator's, and none of them reads a card.
"""

from collections.abc import Mapping
from typing import Final

from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind, Role

#: What takes a person because it is about people, or a decision that somebody answers for.
_ABOUT_PEOPLE: Final = frozenset(
    {
        Permission.IDENTITY_ACCESS_READ,
        Permission.IDENTITY_ACCESS_REVIEW,
        Permission.IDENTITY_APPROVAL_DECIDE,
        Permission.IDENTITY_APPROVAL_READ,
        Permission.IDENTITY_BREAK_GLASS_START,
        Permission.IDENTITY_MERCHANT_CREATE,
        # A stolen key shall not let itself in.
        Permission.IDENTITY_NETWORK_UPDATE,
        Permission.IDENTITY_OWN_MANAGE,
        Permission.IDENTITY_PERSON_INVITE,
        Permission.IDENTITY_PERSON_READ,
        Permission.IDENTITY_PERSON_RESET,
        Permission.IDENTITY_PERSON_SUSPEND,
        Permission.IDENTITY_PERSON_UNLOCK,
        Permission.IDENTITY_PERSON_UPDATE,
        Permission.IDENTITY_PROVIDER_READ,
        Permission.IDENTITY_PROVIDER_UPDATE,
        Permission.IDENTITY_SESSION_READ,
        Permission.IDENTITY_SESSION_REVOKE,
    }
)
#: What takes a person of a merchant: a stolen key shall not widen what cards it reaches, nor carry the vault away.
_ABOUT_CARDS: Final = frozenset(
    {
        Permission.KEYS_KEY_DESTROY,
        Permission.KEYS_KEY_ROTATE,
        # What became of money is said by people.
        Permission.PAYMENTS_ATTEMPT_RESOLVE,
        # What holds against every allowance is a person's decision.
        Permission.PAYMENTS_BLOCK_ENFORCE,
        Permission.VAULT_ACCESS_RULE_UPDATE,
        Permission.VAULT_DESTINATION_UPDATE,
        Permission.VAULT_EXPORT_CREATE,
        Permission.VAULT_HONEYTOKEN_CREATE,
        Permission.VAULT_HONEYTOKEN_READ,
        Permission.VAULT_RETOKENIZATION_CREATE,
    }
)
#: What takes a person: no key gets it.
PERSONS_ONLY: Final = _ABOUT_PEOPLE | _ABOUT_CARDS
#: What a key has only when it was made with it in so many words: it shows cards.
NAMED_ONLY: Final = frozenset({Permission.VAULT_TOKEN_REVEAL})
#: What a key of a kind can have at most. A secret key has all of it; a restricted one what it was made with.
GRANTABLE: Final[Mapping[KeyKind, frozenset[Permission]]] = {
    KeyKind.PUBLIC: frozenset({Permission.VAULT_TOKEN_CREATE_SINGLE_USE}),
    KeyKind.RESTRICTED: frozenset(
        {
            Permission.AUDIT_CHECKPOINT_READ,
            Permission.AUDIT_RECORD_READ,
            Permission.IDENTITY_MERCHANT_READ,
            Permission.PAYMENTS_BRAKE_READ,
            Permission.PAYMENTS_CONNECTION_READ,
            Permission.PAYMENTS_CUSTOMER_DELETE,
            Permission.PAYMENTS_CUSTOMER_READ,
            Permission.PAYMENTS_CUSTOMER_UPDATE,
            Permission.PAYMENTS_DISPUTE_READ,
            Permission.PAYMENTS_LEDGER_READ,
            Permission.PAYMENTS_PAYMENT_CANCEL,
            Permission.PAYMENTS_PAYMENT_CAPTURE,
            Permission.PAYMENTS_PAYMENT_CONFIRM,
            Permission.PAYMENTS_PAYMENT_CREATE,
            Permission.PAYMENTS_PAYMENT_INCREMENT,
            Permission.PAYMENTS_PAYMENT_READ,
            Permission.PAYMENTS_RECONCILIATION_CREATE,
            Permission.PAYMENTS_RECONCILIATION_READ,
            Permission.PAYMENTS_REFUND_CREATE,
            Permission.PAYMENTS_REFUND_READ,
            Permission.PAYMENTS_RETRY_READ,
            Permission.PAYMENTS_RETRY_UPDATE,
            Permission.PAYMENTS_ROUTING_READ,
            Permission.VAULT_CVC_DISCARD,
            Permission.VAULT_CVC_SEAL,
            Permission.VAULT_IMPORT_CREATE,
            Permission.VAULT_JOB_READ,
            Permission.VAULT_TOKEN_CREATE,
            Permission.VAULT_TOKEN_DELETE,
            Permission.VAULT_TOKEN_FORWARD,
            Permission.VAULT_TOKEN_READ,
            Permission.VAULT_TOKEN_REVEAL,
            Permission.VAULT_TOKEN_SEARCH,
            Permission.VAULT_TOKEN_UPDATE,
            Permission.WEBHOOKS_ENDPOINT_READ,
            Permission.WEBHOOKS_EVENT_READ,
            Permission.WEBHOOKS_EVENT_REDELIVER,
        }
    ),
    KeyKind.SECRET: frozenset(Permission)
    - {Permission.VAULT_TOKEN_CREATE_SINGLE_USE}
    - NAMED_ONLY
    - PERSONS_ONLY,
}

#: What everybody who logs in may do.
_ANYBODY: Final = frozenset(
    {
        Permission.IDENTITY_MERCHANT_READ,
        Permission.IDENTITY_OWN_MANAGE,
    }
)
#: What a person of a role may do, in either mode; for a service, what it can have at most.
ROLE_PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.ADMIN: _ANYBODY
    | PERSONS_ONLY - {Permission.IDENTITY_MERCHANT_CREATE}
    | {
        Permission.AUDIT_CHECKPOINT_READ,
        Permission.AUDIT_RECORD_READ,
        Permission.IDENTITY_KEY_CREATE,
        Permission.IDENTITY_KEY_READ,
        Permission.IDENTITY_KEY_REVOKE,
        Permission.IDENTITY_NETWORK_READ,
        Permission.IDENTITY_SERVICE_CREATE,
        Permission.IDENTITY_SERVICE_READ,
        Permission.IDENTITY_SERVICE_REVOKE,
        Permission.PAYMENTS_ATTEMPT_RESOLVE,
        Permission.PAYMENTS_BRAKE_READ,
        Permission.PAYMENTS_BRAKE_UPDATE,
        Permission.PAYMENTS_CONNECTION_CREATE,
        Permission.PAYMENTS_CONNECTION_READ,
        Permission.PAYMENTS_CUSTOMER_DELETE,
        Permission.PAYMENTS_CUSTOMER_READ,
        Permission.PAYMENTS_CUSTOMER_UPDATE,
        Permission.PAYMENTS_DISPUTE_READ,
        Permission.PAYMENTS_LEDGER_READ,
        Permission.PAYMENTS_CONNECTION_UPDATE,
        Permission.PAYMENTS_PAYMENT_READ,
        Permission.PAYMENTS_RECONCILIATION_CREATE,
        Permission.PAYMENTS_RECONCILIATION_READ,
        Permission.PAYMENTS_REFUND_READ,
        Permission.PAYMENTS_RETRY_READ,
        Permission.PAYMENTS_RETRY_UPDATE,
        Permission.PAYMENTS_ROUTING_READ,
        Permission.PAYMENTS_ROUTING_UPDATE,
        Permission.KEYS_KEY_READ,
        Permission.VAULT_ACCESS_RULE_READ,
        Permission.VAULT_CONTAINER_READ,
        Permission.VAULT_CONTAINER_UPDATE,
        Permission.VAULT_DESTINATION_READ,
        Permission.VAULT_ERASURE_CREATE,
        Permission.VAULT_ERASURE_READ,
        Permission.VAULT_IMPORT_CREATE,
        Permission.VAULT_JOB_READ,
        Permission.VAULT_JOB_UPDATE,
        # Takes a stated purpose, a step-up, a second person, and a container's rule that names them besides.
        Permission.VAULT_TOKEN_REVEAL,
        Permission.WEBHOOKS_ENDPOINT_CREATE,
        Permission.WEBHOOKS_ENDPOINT_DELETE,
        Permission.WEBHOOKS_ENDPOINT_READ,
        Permission.WEBHOOKS_ENDPOINT_UPDATE,
        Permission.WEBHOOKS_EVENT_READ,
    },
    Role.AUDITOR: _ANYBODY
    | {
        Permission.AUDIT_CHECKPOINT_READ,
        Permission.AUDIT_RECORD_READ,
        Permission.IDENTITY_ACCESS_READ,
        Permission.IDENTITY_ACCESS_REVIEW,
        Permission.IDENTITY_APPROVAL_READ,
        Permission.IDENTITY_KEY_READ,
        Permission.IDENTITY_NETWORK_READ,
        Permission.IDENTITY_PERSON_READ,
        Permission.IDENTITY_PROVIDER_READ,
        Permission.IDENTITY_SERVICE_READ,
        Permission.IDENTITY_SESSION_READ,
        Permission.PAYMENTS_BRAKE_READ,
        Permission.PAYMENTS_CONNECTION_READ,
        Permission.PAYMENTS_DISPUTE_READ,
        Permission.PAYMENTS_LEDGER_READ,
        Permission.PAYMENTS_PAYMENT_READ,
        Permission.PAYMENTS_RECONCILIATION_READ,
        Permission.PAYMENTS_REFUND_READ,
        Permission.PAYMENTS_RETRY_READ,
        Permission.PAYMENTS_ROUTING_READ,
        Permission.KEYS_KEY_READ,
        Permission.VAULT_ACCESS_RULE_READ,
        Permission.VAULT_CONTAINER_READ,
        Permission.VAULT_DESTINATION_READ,
        Permission.VAULT_ERASURE_READ,
        Permission.VAULT_JOB_READ,
        Permission.VAULT_TOKEN_READ,
        Permission.VAULT_TOKEN_SEARCH,
        Permission.WEBHOOKS_ENDPOINT_READ,
        Permission.WEBHOOKS_EVENT_READ,
    },
    Role.DEVELOPER: _ANYBODY
    | {
        Permission.IDENTITY_KEY_READ,
        Permission.PAYMENTS_BRAKE_READ,
        Permission.PAYMENTS_CONNECTION_READ,
        Permission.PAYMENTS_DISPUTE_READ,
        Permission.PAYMENTS_LEDGER_READ,
        Permission.PAYMENTS_PAYMENT_READ,
        Permission.PAYMENTS_RECONCILIATION_READ,
        Permission.PAYMENTS_REFUND_READ,
        Permission.PAYMENTS_RETRY_READ,
        Permission.PAYMENTS_ROUTING_READ,
        Permission.WEBHOOKS_ENDPOINT_READ,
        Permission.WEBHOOKS_EVENT_READ,
    },
    Role.OPERATOR: _ANYBODY
    | {
        Permission.IDENTITY_APPROVAL_READ,
        Permission.IDENTITY_BREAK_GLASS_START,
        Permission.PAYMENTS_BRAKE_READ,
        Permission.PAYMENTS_BRAKE_UPDATE,
        Permission.PAYMENTS_CONNECTION_READ,
        Permission.PAYMENTS_CUSTOMER_READ,
        Permission.PAYMENTS_CUSTOMER_UPDATE,
        Permission.PAYMENTS_DISPUTE_READ,
        Permission.PAYMENTS_LEDGER_READ,
        Permission.PAYMENTS_PAYMENT_CANCEL,
        Permission.PAYMENTS_PAYMENT_CAPTURE,
        Permission.PAYMENTS_PAYMENT_READ,
        Permission.PAYMENTS_RECONCILIATION_CREATE,
        Permission.PAYMENTS_RECONCILIATION_READ,
        Permission.PAYMENTS_REFUND_CREATE,
        Permission.PAYMENTS_REFUND_READ,
        Permission.PAYMENTS_RETRY_READ,
        Permission.PAYMENTS_ROUTING_READ,
        Permission.VAULT_CONTAINER_READ,
        Permission.VAULT_JOB_READ,
        Permission.VAULT_TOKEN_READ,
        Permission.VAULT_TOKEN_SEARCH,
        Permission.WEBHOOKS_EVENT_READ,
        Permission.WEBHOOKS_EVENT_REDELIVER,
    },
    Role.SERVICE: GRANTABLE[KeyKind.RESTRICTED],
}
#: What a person of a role may do in test mode besides.
TEST_MODE_PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.DEVELOPER: frozenset(
        {
            Permission.IDENTITY_KEY_CREATE,
            Permission.IDENTITY_KEY_REVOKE,
            Permission.PAYMENTS_BRAKE_UPDATE,
            Permission.PAYMENTS_CONNECTION_CREATE,
            Permission.PAYMENTS_CONNECTION_UPDATE,
            Permission.PAYMENTS_ROUTING_UPDATE,
            Permission.WEBHOOKS_ENDPOINT_CREATE,
            Permission.WEBHOOKS_ENDPOINT_DELETE,
            Permission.WEBHOOKS_ENDPOINT_UPDATE,
            Permission.WEBHOOKS_EVENT_REDELIVER,
        }
    ),
}
#: What a person of the platform itself may do: people, access and the log of the installation, and new merchants.
PLATFORM_PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.ADMIN: _ABOUT_PEOPLE
    | {
        Permission.AUDIT_CHECKPOINT_READ,
        Permission.AUDIT_RECORD_READ,
        Permission.IDENTITY_NETWORK_READ,
    },
    Role.AUDITOR: frozenset(
        {
            Permission.AUDIT_CHECKPOINT_READ,
            Permission.AUDIT_RECORD_READ,
            Permission.IDENTITY_ACCESS_READ,
            Permission.IDENTITY_ACCESS_REVIEW,
            Permission.IDENTITY_APPROVAL_READ,
            Permission.IDENTITY_NETWORK_READ,
            Permission.IDENTITY_OWN_MANAGE,
            Permission.IDENTITY_PERSON_READ,
            Permission.IDENTITY_PROVIDER_READ,
            Permission.IDENTITY_SESSION_READ,
        }
    ),
    Role.DEVELOPER: frozenset({Permission.IDENTITY_OWN_MANAGE}),
    Role.OPERATOR: frozenset(
        {
            Permission.IDENTITY_APPROVAL_READ,
            Permission.IDENTITY_BREAK_GLASS_START,
            Permission.IDENTITY_OWN_MANAGE,
        }
    ),
}

#: What a person of a merchant may take for an hour when something burns: to end, to stop and to look. Never what makes
#: access (keys, people, roles), decides an approval or a review, or shows a card.
BREAK_GLASS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.ADMIN: frozenset(
        {
            Permission.PAYMENTS_PAYMENT_CANCEL,
            Permission.PAYMENTS_PAYMENT_CAPTURE,
            Permission.PAYMENTS_REFUND_CREATE,
            Permission.VAULT_TOKEN_READ,
            Permission.WEBHOOKS_EVENT_REDELIVER,
        }
    ),
    Role.OPERATOR: frozenset(
        {
            Permission.AUDIT_RECORD_READ,
            Permission.IDENTITY_KEY_READ,
            Permission.IDENTITY_KEY_REVOKE,
            Permission.IDENTITY_PERSON_READ,
            Permission.IDENTITY_PERSON_SUSPEND,
            Permission.IDENTITY_PERSON_UNLOCK,
            Permission.IDENTITY_SERVICE_READ,
            Permission.IDENTITY_SERVICE_REVOKE,
            Permission.IDENTITY_SESSION_READ,
            Permission.IDENTITY_SESSION_REVOKE,
            Permission.PAYMENTS_CONNECTION_UPDATE,
            Permission.WEBHOOKS_ENDPOINT_READ,
            Permission.WEBHOOKS_ENDPOINT_UPDATE,
        }
    ),
}
#: The same for a person of the platform itself.
PLATFORM_BREAK_GLASS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.OPERATOR: frozenset(
        {
            Permission.AUDIT_RECORD_READ,
            Permission.IDENTITY_PERSON_READ,
            Permission.IDENTITY_PERSON_SUSPEND,
            Permission.IDENTITY_PERSON_UNLOCK,
            Permission.IDENTITY_SESSION_READ,
            Permission.IDENTITY_SESSION_REVOKE,
        }
    ),
}


def breakable(role: Role, *, platform: bool) -> frozenset[Permission]:
    """Return what a person of a role may take by breaking the glass."""
    return (PLATFORM_BREAK_GLASS if platform else BREAK_GLASS).get(role, frozenset())


def granted_to(role: Role, mode: Mode, *, platform: bool) -> frozenset[Permission]:
    """Return what a person of a role may do, at a merchant in a mode or at the platform."""
    if platform:
        return PLATFORM_PERMISSIONS.get(role, frozenset())
    more = TEST_MODE_PERMISSIONS.get(role, frozenset()) if mode is Mode.TEST else frozenset()
    return ROLE_PERMISSIONS[role] | more
