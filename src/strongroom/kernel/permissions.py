# SPDX-License-Identifier: Apache-2.0
"""What can be permitted. Who gets what stands in `identity.grants`."""

import enum


class Permission(enum.StrEnum):
    """`<domain>:<subject>:<verb>`; sorted; a word once shipped is never reused."""

    AUDIT_CHECKPOINT_READ = "audit:checkpoint:read"
    AUDIT_RECORD_READ = "audit:record:read"
    IDENTITY_KEY_CREATE = "identity:key:create"
    IDENTITY_KEY_READ = "identity:key:read"
    IDENTITY_KEY_REVOKE = "identity:key:revoke"
    IDENTITY_MERCHANT_READ = "identity:merchant:read"
    PAYMENTS_CONNECTION_CREATE = "payments:connection:create"
    PAYMENTS_CONNECTION_READ = "payments:connection:read"
    PAYMENTS_CONNECTION_UPDATE = "payments:connection:update"
    PAYMENTS_PAYMENT_CANCEL = "payments:payment:cancel"
    PAYMENTS_PAYMENT_CAPTURE = "payments:payment:capture"
    PAYMENTS_PAYMENT_CONFIRM = "payments:payment:confirm"
    PAYMENTS_PAYMENT_CREATE = "payments:payment:create"
    PAYMENTS_PAYMENT_READ = "payments:payment:read"
    PAYMENTS_REFUND_CREATE = "payments:refund:create"
    PAYMENTS_REFUND_READ = "payments:refund:read"
    VAULT_CVC_DISCARD = "vault:cvc:discard"
    VAULT_CVC_SEAL = "vault:cvc:seal"
    VAULT_TOKEN_CREATE = "vault:token:create"  # noqa: S105 - a permission's name
    VAULT_TOKEN_CREATE_SINGLE_USE = "vault:token:create_single_use"  # noqa: S105 - a permission's name
    VAULT_TOKEN_DELETE = "vault:token:delete"  # noqa: S105 - a permission's name
    VAULT_TOKEN_READ = "vault:token:read"  # noqa: S105 - a permission's name
    WEBHOOKS_ENDPOINT_CREATE = "webhooks:endpoint:create"
    WEBHOOKS_ENDPOINT_DELETE = "webhooks:endpoint:delete"
    WEBHOOKS_ENDPOINT_READ = "webhooks:endpoint:read"
    WEBHOOKS_ENDPOINT_UPDATE = "webhooks:endpoint:update"
    WEBHOOKS_EVENT_READ = "webhooks:event:read"
    WEBHOOKS_EVENT_REDELIVER = "webhooks:event:redeliver"
