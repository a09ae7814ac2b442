# SPDX-License-Identifier: Apache-2.0
"""The settings of what the vault does with cards and keys: showing, traps, sealing, and the periods of keys."""

import enum
from dataclasses import dataclass, field

from strongroom.config.key_store_settings import KeyStoreSettings
from strongroom.config.sentences import says


class CardAlgorithm(enum.StrEnum):
    """What card numbers are sealed with (RFC 7518 §5.1)."""

    A256CBC_HS512 = "A256CBC-HS512"
    A256GCM = "A256GCM"


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSettings(KeyStoreSettings):
    """What a process is told of the vault at start."""

    reveals_per_minute: int = field(
        default=60,
        metadata=says(
            "Cards that one caller is shown a minute by one process; half as many at once."
        ),
    )
    reveal_burst_count: int = field(
        default=30,
        metadata=says(
            "Cards that one caller is usually shown within the window at most, over all processes; the next one is a "
            "burst, which is a critical security event."
        ),
    )
    reveal_burst_seconds: int = field(
        default=300, metadata=says("The window in which reveals of one caller are counted.")
    )
    reveal_stop_seconds: int = field(
        default=3_600,
        metadata=says(
            "For how long a caller whose reveals were a burst is shown none, unless an admin lifts it; 0: an alarm "
            "only."
        ),
    )
    honeytoken_ends_keys: bool = field(
        default=False,
        metadata=says("Whether a key that reads, changes, reveals or exports a honeytoken ends."),
    )
    card_algorithm: CardAlgorithm = field(
        default=CardAlgorithm.A256CBC_HS512,
        metadata=says(
            "What card numbers are sealed with from now on: `A256CBC-HS512` or `A256GCM`. Both open; `strongroom keys "
            "reseal` moves what is there."
        ),
    )
    key_days_sealing: int = field(
        default=365,
        metadata=says("Days after which a key that seals what lasts is overdue to be rotated."),
    )
    key_days_signing: int = field(
        default=365, metadata=says("Days after which a key that signs is overdue.")
    )
    key_days_hashing: int = field(
        default=1_095,
        metadata=says("Days after which a key that hashes or makes fingerprints is overdue."),
    )
    key_backup_days: int = field(
        default=35,
        metadata=says(
            "Days for which backups of wrapped keys are kept at most; an erasure is complete so long after its key is "
            "destroyed."
        ),
    )
    key_days_root: int = field(
        default=730, metadata=says("Days after which a root key in the key store is overdue.")
    )
    key_rotation_automatic: bool = field(
        default=False,
        metadata=says("Rotate keys past their period by themselves; see rotate-keys."),
    )
