# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL that Strongroom starts itself: private, durable, and stopped by the last one out."""

from strongroom.db.embedded.cluster import Embedded, StopMode
from strongroom.db.embedded.data import BOOTSTRAP_USER
from strongroom.db.embedded.errors import (
    BinariesMissing,
    BinariesUnusable,
    CannotCreate,
    CannotStart,
    EmbeddedError,
    NotStarted,
    SettingRefused,
    StartTimedOut,
    StateRefused,
    StopTimedOut,
    VersionMismatch,
)

__all__ = [
    "BOOTSTRAP_USER",
    "BinariesMissing",
    "BinariesUnusable",
    "CannotCreate",
    "CannotStart",
    "Embedded",
    "EmbeddedError",
    "NotStarted",
    "SettingRefused",
    "StartTimedOut",
    "StateRefused",
    "StopMode",
    "StopTimedOut",
    "VersionMismatch",
]
