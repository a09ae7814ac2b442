# SPDX-License-Identifier: Apache-2.0
"""The front door of the keys: purposes, values, errors and ports. Never a store, never the keyring."""

from strongroom.keys.errors import (
    CannotUnwrap,
    DataKeyDestroyed,
    DataKeyUnknown,
    KeyFileUnsafe,
    KeyRowAltered,
    KeysBroken,
    KeyStoreRefused,
    KeyStoreUnavailable,
    RootDisabled,
    SecretsMissing,
    SecretUnreadable,
)
from strongroom.keys.model import (
    PLATFORM_MERCHANT,
    PLATFORM_MODE,
    DataKey,
    DataKeyRow,
    KeyState,
    NewDataKey,
    RootInfo,
)
from strongroom.keys.ports import DataKeys, DataKeyTable, KeyStore
from strongroom.keys.purposes import ROLE_ROOTS, KeyName, Purpose, roots_of

__all__ = [
    "PLATFORM_MERCHANT",
    "PLATFORM_MODE",
    "ROLE_ROOTS",
    "CannotUnwrap",
    "DataKey",
    "DataKeyDestroyed",
    "DataKeyRow",
    "DataKeyTable",
    "DataKeyUnknown",
    "DataKeys",
    "KeyFileUnsafe",
    "KeyName",
    "KeyRowAltered",
    "KeyState",
    "KeyStore",
    "KeyStoreRefused",
    "KeyStoreUnavailable",
    "KeysBroken",
    "NewDataKey",
    "Purpose",
    "RootDisabled",
    "RootInfo",
    "SecretUnreadable",
    "SecretsMissing",
    "roots_of",
]
