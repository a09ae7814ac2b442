# SPDX-License-Identifier: Apache-2.0
"""What keys can refuse. There is no fallback: a store that is away or says no ends the request.

StrongroomError
├── Unavailable
│   ├── SecretUnreadable       what a reference names is not there, or its keeper does not answer
│   ├── KeyStoreUnavailable    the store did not answer, or asked for less
│   └── KeyStoreRefused        the store answered and said no
│       ├── RootDisabled       the root is disabled, or is to be deleted
│       └── KeyFileUnsafe      the key file is missing, readable by others, or does not open
├── SecretNotTaken             a rotation stopped before its end; the current value stays current
├── Refused
│   ├── KeyVersionUnknown 404  there is no such version
│   ├── KeyNotRotated     409  such a key has no rotation of its own; says what it has instead
│   ├── KeyRotatedMeanwhile 409  a newer version than the one that was meant is there already
│   ├── KeyIsCurrent      409  what seals now is not destroyed
│   ├── KeyStillServes    409  a process may still have it as the current one; wait
│   └── KeyInUse          409  something is still sealed under it: let its re-seal end, or begin one
├── SecretsMissing             at start: names every reference that leads nowhere
└── KeysBroken
    ├── CannotUnwrap           a wrapped key was altered, or belongs elsewhere
    ├── KeyRowAltered          a data key's row does not carry its MAC
    ├── DataKeyDestroyed       this version was destroyed on purpose
    └── DataKeyUnknown         no such version is known
"""

from collections.abc import Mapping

from strongroom.kernel.errors import Conflict, NotThere, StrongroomError, Unavailable


class SecretUnreadable(Unavailable):
    """A secret that is kept elsewhere cannot be read."""

    code = "secret_unreadable"


class SecretNotTaken(StrongroomError):
    """The new value of a secret is not taken; the current one stays."""

    code = "secret_not_taken"


class SecretsMissing(StrongroomError):
    """References to secrets lead nowhere."""

    code = "secrets_missing"

    def __init__(self, faults: Mapping[str, str]) -> None:
        listed = "".join(f"\n  - {name}: {fault}" for name, fault in faults.items())
        super().__init__(f"{len(faults)} secrets cannot be read:{listed}")
        self.faults = dict(faults)


class KeyStoreUnavailable(Unavailable):
    """The key store is not answering. What is sealed stays sealed until it does."""

    code = "key_store_unavailable"


class KeyStoreRefused(Unavailable):
    """The key store refused: its grants or settings are not what this role needs."""

    code = "key_store_refused"


class RootDisabled(KeyStoreRefused):
    """The root key is disabled or is to be deleted."""

    code = "key_root_disabled"


class KeyFileUnsafe(KeyStoreRefused):
    """The key file cannot be used: it is not there, not private to its owner, or does not open."""

    code = "key_file_unsafe"


class KeysBroken(StrongroomError):
    """A data key cannot be used, and trying again will not help."""

    code = "keys_broken"


class CannotUnwrap(KeysBroken):
    """A wrapped key does not open for this purpose and context."""

    code = "key_cannot_unwrap"


class KeyRowAltered(KeysBroken):
    """A data key's row was altered outside Strongroom."""

    code = "key_row_altered"


class DataKeyDestroyed(KeysBroken):
    """This version of the data key was destroyed."""

    code = "data_key_destroyed"


class DataKeyUnknown(KeysBroken):
    """There is no such version of the data key."""

    code = "data_key_unknown"


class KeyVersionUnknown(NotThere):
    """There is no such version of this key."""

    code = "key_version_unknown"


class KeyNotRotated(Conflict):
    """This key is not rotated by itself."""

    code = "key_not_rotated"


class KeyRotatedMeanwhile(Conflict):
    """A newer version of this key is there already."""

    code = "key_rotated_meanwhile"


class KeyIsCurrent(Conflict):
    """This version seals now: rotate the key first."""

    code = "key_is_current"


class KeyStillServes(Conflict):
    """This version was current until a moment ago: it can be destroyed ten minutes after the rotation."""

    code = "key_still_serves"


class KeyInUse(Conflict):
    """Something is still sealed under this version: let the re-seal end, or begin one."""

    code = "key_in_use"
