# SPDX-License-Identifier: Apache-2.0
"""What can be permitted. Who gets what stands in `identity.grants`."""

import enum


class Permission(enum.StrEnum):
    """`<domain>:<subject>:<verb>`; sorted; a word once shipped is never reused."""

    AUDIT_CHECKPOINT_READ = "audit:checkpoint:read"
    AUDIT_RECORD_READ = "audit:record:read"
    IDENTITY_ACCESS_READ = "identity:access:read"
    IDENTITY_ACCESS_REVIEW = "identity:access:review"
    IDENTITY_APPROVAL_DECIDE = "identity:approval:decide"
    IDENTITY_APPROVAL_READ = "identity:approval:read"
    IDENTITY_BREAK_GLASS_START = "identity:break_glass:start"
    IDENTITY_KEY_CREATE = "identity:key:create"
    IDENTITY_KEY_READ = "identity:key:read"
    IDENTITY_KEY_REVOKE = "identity:key:revoke"
    IDENTITY_MERCHANT_CREATE = "identity:merchant:create"
    IDENTITY_MERCHANT_READ = "identity:merchant:read"
    IDENTITY_NETWORK_READ = "identity:network:read"
    IDENTITY_NETWORK_UPDATE = "identity:network:update"
    IDENTITY_OWN_MANAGE = "identity:own:manage"
    IDENTITY_PERSON_INVITE = "identity:person:invite"
    IDENTITY_PERSON_READ = "identity:person:read"
    IDENTITY_PERSON_RESET = "identity:person:reset"
    IDENTITY_PERSON_SUSPEND = "identity:person:suspend"
    IDENTITY_PERSON_UNLOCK = "identity:person:unlock"
    IDENTITY_PERSON_UPDATE = "identity:person:update"
    IDENTITY_PROVIDER_READ = "identity:provider:read"
    IDENTITY_PROVIDER_UPDATE = "identity:provider:update"
    IDENTITY_SERVICE_CREATE = "identity:service:create"
    IDENTITY_SERVICE_READ = "identity:service:read"
    IDENTITY_SERVICE_REVOKE = "identity:service:revoke"
    IDENTITY_SESSION_READ = "identity:session:read"
    IDENTITY_SESSION_REVOKE = "identity:session:revoke"
    KEYS_KEY_DESTROY = "keys:key:destroy"
    KEYS_KEY_READ = "keys:key:read"
    KEYS_KEY_ROTATE = "keys:key:rotate"
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
    VAULT_ACCESS_RULE_READ = "vault:access_rule:read"
    VAULT_ACCESS_RULE_UPDATE = "vault:access_rule:update"
    VAULT_CONTAINER_READ = "vault:container:read"
    VAULT_CONTAINER_UPDATE = "vault:container:update"
    VAULT_CVC_DISCARD = "vault:cvc:discard"
    VAULT_CVC_SEAL = "vault:cvc:seal"
    VAULT_DESTINATION_READ = "vault:destination:read"
    VAULT_DESTINATION_UPDATE = "vault:destination:update"
    VAULT_ERASURE_CREATE = "vault:erasure:create"
    VAULT_ERASURE_READ = "vault:erasure:read"
    VAULT_EXPORT_CREATE = "vault:export:create"
    VAULT_IMPORT_CREATE = "vault:import:create"
    VAULT_JOB_READ = "vault:job:read"
    VAULT_JOB_UPDATE = "vault:job:update"
    VAULT_RETOKENIZATION_CREATE = "vault:retokenization:create"
    VAULT_TOKEN_CREATE = "vault:token:create"  # noqa: S105 - a permission's name
    VAULT_TOKEN_CREATE_SINGLE_USE = "vault:token:create_single_use"  # noqa: S105 - a permission's name
    VAULT_TOKEN_DELETE = "vault:token:delete"  # noqa: S105 - a permission's name
    VAULT_TOKEN_FORWARD = "vault:token:forward"  # noqa: S105 - a permission's name
    VAULT_TOKEN_READ = "vault:token:read"  # noqa: S105 - a permission's name
    VAULT_TOKEN_REVEAL = "vault:token:reveal"  # noqa: S105 - a permission's name
    VAULT_TOKEN_SEARCH = "vault:token:search"  # noqa: S105 - a permission's name
    VAULT_TOKEN_UPDATE = "vault:token:update"  # noqa: S105 - a permission's name
    WEBHOOKS_ENDPOINT_CREATE = "webhooks:endpoint:create"
    WEBHOOKS_ENDPOINT_DELETE = "webhooks:endpoint:delete"
    WEBHOOKS_ENDPOINT_READ = "webhooks:endpoint:read"
    WEBHOOKS_ENDPOINT_UPDATE = "webhooks:endpoint:update"
    WEBHOOKS_EVENT_READ = "webhooks:event:read"
    WEBHOOKS_EVENT_REDELIVER = "webhooks:event:redeliver"
