# SPDX-License-Identifier: Apache-2.0
"""Who may do what: key kinds and their permissions. A public key makes single-use tokens and nothing else."""

from collections.abc import Mapping
from typing import Final

from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind

#: What a key of a kind can have at most. A secret key has all of it; a restricted one what it was made with.
GRANTABLE: Final[Mapping[KeyKind, frozenset[Permission]]] = {
    KeyKind.PUBLIC: frozenset({Permission.VAULT_TOKEN_CREATE_SINGLE_USE}),
    KeyKind.RESTRICTED: frozenset(
        {
            Permission.AUDIT_CHECKPOINT_READ,
            Permission.AUDIT_RECORD_READ,
            Permission.IDENTITY_MERCHANT_READ,
            Permission.PAYMENTS_CONNECTION_READ,
            Permission.PAYMENTS_PAYMENT_CANCEL,
            Permission.PAYMENTS_PAYMENT_CAPTURE,
            Permission.PAYMENTS_PAYMENT_CONFIRM,
            Permission.PAYMENTS_PAYMENT_CREATE,
            Permission.PAYMENTS_PAYMENT_READ,
            Permission.PAYMENTS_REFUND_CREATE,
            Permission.PAYMENTS_REFUND_READ,
            Permission.VAULT_CVC_DISCARD,
            Permission.VAULT_CVC_SEAL,
            Permission.VAULT_TOKEN_CREATE,
            Permission.VAULT_TOKEN_DELETE,
            Permission.VAULT_TOKEN_READ,
            Permission.WEBHOOKS_ENDPOINT_READ,
            Permission.WEBHOOKS_EVENT_READ,
            Permission.WEBHOOKS_EVENT_REDELIVER,
        }
    ),
    KeyKind.SECRET: frozenset(Permission) - {Permission.VAULT_TOKEN_CREATE_SINGLE_USE},
}
