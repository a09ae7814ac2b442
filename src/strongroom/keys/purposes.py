# SPDX-License-Identifier: Apache-2.0
"""What keys are for: the roots that a key store holds, and the data keys that hang from each.

A role of the product is granted the roots it needs and no others; only the vault holds `card`.
"""

import enum
from collections.abc import Iterable, Mapping
from typing import Final

from strongroom.config.roles import ServedRole


class Purpose(enum.StrEnum):
    """A root key in the key store. A word once shipped is never given another meaning."""

    AUDIT = "audit"
    CARD = "card"
    CREDENTIAL = "credential"
    IDENTITY = "identity"
    WEBHOOK = "webhook"


#: Which roots each role of the product uses, and no others: a KMS grants these, a role's key file holds these.
ROLE_ROOTS: Final[Mapping[ServedRole, frozenset[Purpose]]] = {
    ServedRole.VAULT: frozenset(
        {Purpose.AUDIT, Purpose.CARD, Purpose.CREDENTIAL, Purpose.IDENTITY}
    ),
    ServedRole.GATEWAY: frozenset({Purpose.AUDIT, Purpose.IDENTITY, Purpose.WEBHOOK}),
    ServedRole.WEBHOOKS: frozenset({Purpose.AUDIT, Purpose.WEBHOOK}),
    ServedRole.CONSOLE: frozenset({Purpose.AUDIT, Purpose.IDENTITY}),
    ServedRole.WORKER: frozenset({Purpose.AUDIT, Purpose.WEBHOOK}),
}


def roots_of(roles: Iterable[ServedRole]) -> frozenset[Purpose]:
    """Return which roots these roles use."""
    return frozenset(purpose for role in roles for purpose in ROLE_ROOTS[role])


class KeyName(enum.StrEnum):
    """A data key: made at first use, versioned, wrapped under the root of its purpose."""

    API_KEY_HASH = "api_key_hash"
    APPROVAL_FINGERPRINT = "approval_fingerprint"
    AUDIT_ROW_MAC = "audit_row_mac"
    CARD = "card"
    CHECKPOINT_SEED = "checkpoint_seed"
    CREDENTIALS = "credentials"
    #: Seals who a merchant's customers are, and from where they agreed.
    CUSTOMER_DATA = "customer_data"
    #: Hashes the e-mail addresses of customers, where they are looked for.
    CUSTOMER_HASH = "customer_hash"
    FINGERPRINT = "fingerprint"
    IDEMPOTENCY = "idempotency"
    #: Signs receipts of payments; its older versions go on being published.
    RECEIPT_SIGNING_SEED = "receipt_signing_seed"
    REFRESH_TOKENS = "refresh_tokens"
    REQUEST_FINGERPRINT = "request_fingerprint"
    TOKEN_SIGNING_SEED = "token_signing_seed"  # noqa: S105 - a key's name
    PASSWORD_PEPPER = "password_pepper"  # noqa: S105 - a key's name
    SETUP_LINK_HASH = "setup_link_hash"
    LOGIN_HASH = "login_hash"
    TOTP_SECRETS = "totp_secrets"
    PROVIDER_SECRETS = "provider_secrets"
    SIGN_IN_HASH = "sign_in_hash"
    WEBHOOK_SECRETS = "webhook_secrets"
    #: Seals the private parts of import keys, and uploads that wait to be opened.
    TRANSFER = "transfer"

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
    KeyName.CUSTOMER_DATA: Purpose.IDENTITY,
    KeyName.CUSTOMER_HASH: Purpose.IDENTITY,
    KeyName.FINGERPRINT: Purpose.CARD,
    KeyName.IDEMPOTENCY: Purpose.CARD,
    KeyName.LOGIN_HASH: Purpose.IDENTITY,
    KeyName.RECEIPT_SIGNING_SEED: Purpose.IDENTITY,
    KeyName.REFRESH_TOKENS: Purpose.IDENTITY,
    KeyName.REQUEST_FINGERPRINT: Purpose.IDENTITY,
    KeyName.TOKEN_SIGNING_SEED: Purpose.IDENTITY,
    KeyName.PASSWORD_PEPPER: Purpose.IDENTITY,
    KeyName.SETUP_LINK_HASH: Purpose.IDENTITY,
    KeyName.TOTP_SECRETS: Purpose.IDENTITY,
    KeyName.PROVIDER_SECRETS: Purpose.IDENTITY,
    KeyName.SIGN_IN_HASH: Purpose.IDENTITY,
    KeyName.TRANSFER: Purpose.CARD,
    KeyName.WEBHOOK_SECRETS: Purpose.WEBHOOK,
    **{name: purpose for purpose, name in KEYRING_MAC.items()},
}
