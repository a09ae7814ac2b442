# SPDX-License-Identifier: Apache-2.0
"""The one place that joins implementations to ports, per role. Decides nothing."""

from strongroom.compose.composer import Composer
from strongroom.compose.documents import (
    CONSOLE_ROUTES,
    GATEWAY_ROUTES,
    VAULT_ROUTES,
    WEBHOOKS_ROUTES,
    console_document,
    events_document,
    gateway_document,
    vault_document,
    webhooks_document,
)
from strongroom.compose.key_stores import open_key_store, open_pkcs11
from strongroom.compose.operator_keys import OperatorKeys
from strongroom.compose.root_rotation import rotate_token_root
from strongroom.compose.secret_rotation import SecretRotation
from strongroom.compose.secrets import (
    LoginPassword,
    keeper_of,
    login_reference,
    open_secrets,
    wanted_secrets,
)
from strongroom.compose.site import (
    Addresses,
    KeyFile,
    Site,
    key_file,
    make_key_file,
    platform_secret,
    split_key_file,
    system_clock,
)
from strongroom.keys.reseal.model import Reseal
from strongroom.keys.secrets.book import SecretBook

__all__ = [
    "CONSOLE_ROUTES",
    "GATEWAY_ROUTES",
    "VAULT_ROUTES",
    "WEBHOOKS_ROUTES",
    "Addresses",
    "Composer",
    "KeyFile",
    "LoginPassword",
    "OperatorKeys",
    "Reseal",
    "SecretBook",
    "SecretRotation",
    "Site",
    "console_document",
    "events_document",
    "gateway_document",
    "keeper_of",
    "key_file",
    "login_reference",
    "make_key_file",
    "open_key_store",
    "open_pkcs11",
    "open_secrets",
    "platform_secret",
    "rotate_token_root",
    "split_key_file",
    "system_clock",
    "vault_document",
    "wanted_secrets",
    "webhooks_document",
]
