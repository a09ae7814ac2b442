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
from strongroom.compose.operator_keys import OperatorKeys
from strongroom.compose.site import (
    Addresses,
    KeyFile,
    Site,
    key_file,
    make_key_file,
    open_key_store,
    platform_secret,
    split_key_file,
    system_clock,
)

__all__ = [
    "CONSOLE_ROUTES",
    "GATEWAY_ROUTES",
    "VAULT_ROUTES",
    "WEBHOOKS_ROUTES",
    "Addresses",
    "Composer",
    "KeyFile",
    "OperatorKeys",
    "Site",
    "console_document",
    "events_document",
    "gateway_document",
    "key_file",
    "make_key_file",
    "open_key_store",
    "platform_secret",
    "split_key_file",
    "system_clock",
    "vault_document",
    "webhooks_document",
]
