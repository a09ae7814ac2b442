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
    VAULT_CVC_DISCARD = "vault:cvc:discard"
    VAULT_CVC_SEAL = "vault:cvc:seal"
    VAULT_TOKEN_CREATE = "vault:token:create"  # noqa: S105 - a permission's name
    VAULT_TOKEN_CREATE_SINGLE_USE = "vault:token:create_single_use"  # noqa: S105 - a permission's name
    VAULT_TOKEN_DELETE = "vault:token:delete"  # noqa: S105 - a permission's name
    VAULT_TOKEN_READ = "vault:token:read"  # noqa: S105 - a permission's name
