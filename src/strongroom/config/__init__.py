# SPDX-License-Identifier: Apache-2.0
"""Settings: typed, frozen, read once at start."""

from strongroom.config.errors import SettingRefused, UnsafeConfiguration
from strongroom.config.key_store_settings import KeyStoreName
from strongroom.config.load import load_settings
from strongroom.config.references import SecretReference, SecretScheme, parse_reference
from strongroom.config.safety import StartFacts, faults
from strongroom.config.settings import (
    Environment,
    ForwardedHeader,
    Listener,
    Settings,
)

__all__ = [
    "Environment",
    "ForwardedHeader",
    "KeyStoreName",
    "Listener",
    "SecretReference",
    "SecretScheme",
    "SettingRefused",
    "Settings",
    "StartFacts",
    "UnsafeConfiguration",
    "faults",
    "load_settings",
    "parse_reference",
]
