# SPDX-License-Identifier: Apache-2.0
"""Why a change of a merchant's keys is refused.

Refused
├── KeyVersionUnknown   404   there is no such version
├── KeyIsCurrent        409   what seals now is not destroyed
├── KeyStillServes      409   a process may still have it as the current one; wait
└── KeyInUse            409   something is still sealed under it: let its re-seal end, or begin one
"""

from strongroom.kernel.errors import Conflict, NotThere


class KeyVersionUnknown(NotThere):
    """There is no such version of this key."""

    code = "key_version_unknown"


class KeyIsCurrent(Conflict):
    """This version seals now: rotate the key first."""

    code = "key_is_current"


class KeyStillServes(Conflict):
    """This version was current until a moment ago: it can be destroyed ten minutes after the rotation."""

    code = "key_still_serves"


class KeyInUse(Conflict):
    """Something is still sealed under this version: let the re-seal end, or begin one."""

    code = "key_in_use"
