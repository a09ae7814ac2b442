# SPDX-License-Identifier: Apache-2.0
"""What keys are for: the roots that a key store holds, and the data keys that hang from each.

A role of the product is granted the roots it needs and no others; only the vault holds `card`.
"""

import enum
from collections.abc import Mapping
from typing import Final


class Purpose(enum.StrEnum):
    """A root key in the key store. A word once shipped is never given another meaning."""

    AUDIT = "audit"
    CARD = "card"
    CREDENTIAL = "credential"
    IDENTITY = "identity"
    WEBHOOK = "webhook"


class KeyName(enum.StrEnum):
    """A data key: made at first use, versioned, wrapped under the root of its purpose."""

    API_KEY_HASH = "api_key_hash"
    APPROVAL_FINGERPRINT = "approval_fingerprint"
    AUDIT_ROW_MAC = "audit_row_mac"
    CARD = "card"
    CHECKPOINT_SEED = "checkpoint_seed"
    CREDENTIALS = "credentials"
    FINGERPRINT = "fingerprint"
    IDEMPOTENCY = "idempotency"
    LOGIN_HASH = "login_hash"
    REFRESH_TOKENS = "refresh_tokens"
    REQUEST_FINGERPRINT = "request_fingerprint"
    TOKEN_SIGNING_SEED = "token_signing_seed"  # noqa: S105 - a key's name
    TOTP_SECRETS = "totp_secrets"
    WEBHOOK_SECRETS = "webhook_secrets"

    # The MAC over the rows of the data keys themselves: one per root, so that a role needs no other's root.
    KEYRING_MAC_AUDIT = "keyring_mac_audit"
    KEYRING_MAC_CARD = "keyring_mac_card"
    KEYRING_MAC_CREDENTIAL = "keyring_mac_credential"
    KEYRING_MAC_IDENTITY = "keyring_mac_identity"
    KEYRING_MAC_WEBHOOK = "keyring_mac_webhook"

    @property
    def purpose(self) -> Purpose:
        """The root that wraps this key."""
        return _PURPOSES[self]


KEYRING_MAC: Final[Mapping[Purpose, KeyName]] = {
    Purpose.AUDIT: KeyName.KEYRING_MAC_AUDIT,
    Purpose.CARD: KeyName.KEYRING_MAC_CARD,
    Purpose.CREDENTIAL: KeyName.KEYRING_MAC_CREDENTIAL,
    Purpose.IDENTITY: KeyName.KEYRING_MAC_IDENTITY,
    Purpose.WEBHOOK: KeyName.KEYRING_MAC_WEBHOOK,
}

_PURPOSES: Final[Mapping[KeyName, Purpose]] = {
    KeyName.API_KEY_HASH: Purpose.IDENTITY,
    KeyName.APPROVAL_FINGERPRINT: Purpose.IDENTITY,
    KeyName.AUDIT_ROW_MAC: Purpose.AUDIT,
    KeyName.CARD: Purpose.CARD,
    KeyName.CHECKPOINT_SEED: Purpose.AUDIT,
    KeyName.CREDENTIALS: Purpose.CREDENTIAL,
    KeyName.FINGERPRINT: Purpose.CARD,
    KeyName.IDEMPOTENCY: Purpose.CARD,
    KeyName.LOGIN_HASH: Purpose.IDENTITY,
    KeyName.REFRESH_TOKENS: Purpose.IDENTITY,
    KeyName.REQUEST_FINGERPRINT: Purpose.IDENTITY,
    KeyName.TOKEN_SIGNING_SEED: Purpose.IDENTITY,
    KeyName.TOTP_SECRETS: Purpose.IDENTITY,
    KeyName.WEBHOOK_SECRETS: Purpose.WEBHOOK,
    **{name: purpose for purpose, name in KEYRING_MAC.items()},
}
