# SPDX-License-Identifier: Apache-2.0
"""Why services are refused. `oauth_error` is the word of RFC 6749 §5.2 that OAuth clients look for.

Refused
├── NotThere
│   └── ServiceUnknown
├── ServiceRefused    422   a service may not be what was asked for
├── GrantUnsupported  400
├── ScopeRefused      400
└── http.Unauthenticated
    └── ClientRefused 401   the assertion does not hold; the reason is told to us only
"""

from typing import ClassVar

from strongroom.http.auth import Unauthenticated
from strongroom.kernel.errors import NotThere, Refused


class ServiceUnknown(NotThere):
    """There is no such service."""

    code = "service_unknown"


class ServiceRefused(Refused):
    """A service may not have that."""

    code = "service_refused"
    status = 422


class GrantUnsupported(Refused):
    """A service is given tokens for client credentials, shown as a JWT assertion (RFC 7523), and for nothing else."""

    code = "grant_unsupported"
    status = 400
    oauth_error: ClassVar[str] = "unsupported_grant_type"


class ScopeRefused(Refused):
    """The scope names a permission that this service does not have."""

    code = "scope_refused"
    status = 400
    oauth_error: ClassVar[str] = "invalid_scope"


class ClientRefused(Unauthenticated):
    """No valid credential was given."""

    oauth_error: ClassVar[str] = "invalid_client"
