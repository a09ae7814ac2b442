# SPDX-License-Identifier: Apache-2.0
"""Why sessions refuse.

Refused
├── NotThere
│   └── SessionUnknown
└── http.Unauthenticated 401   a refresh token does not hold; the reason is told to us only
"""

from strongroom.kernel.errors import NotThere


class SessionUnknown(NotThere):
    """There is no such open session."""

    code = "session_unknown"
