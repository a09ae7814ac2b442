# SPDX-License-Identifier: Apache-2.0
"""Why an erasure is refused.

Refused
├── ErasureUnknown      404   there is no such erasure
└── NothingToErase      404   no token is meant by it
"""

from strongroom.kernel.errors import NotThere


class ErasureUnknown(NotThere):
    """There is no such erasure."""

    code = "erasure_unknown"


class NothingToErase(NotThere):
    """There is no token of this customer."""

    code = "nothing_to_erase"
