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
    SecretNotTaken,
    SecretsMissing,
    SecretUnreadable,
)
from strongroom.keys.locations import location_of
from strongroom.keys.model import (
    CACHE_SECONDS,
    PLATFORM_MERCHANT,
    PLATFORM_MODE,
    DataKey,
    DataKeyRow,
    KeyChange,
    KeyState,
    NewDataKey,
    RootInfo,
)
from strongroom.keys.ports import DataKeys, DataKeyTable, KeyStore, WatchedKeys, Within
from strongroom.keys.purposes import KEYRING_MAC, ROLE_ROOTS, KeyName, Purpose, roots_of

__all__ = [
    "CACHE_SECONDS",
    "KEYRING_MAC",
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
    "KeyChange",
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
    "SecretNotTaken",
    "SecretUnreadable",
    "SecretsMissing",
    "WatchedKeys",
    "Within",
    "location_of",
    "roots_of",
]
