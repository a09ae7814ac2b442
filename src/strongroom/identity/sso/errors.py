# SPDX-License-Identifier: Apache-2.0
"""Why something about single sign-on is refused.

Refused
├── Unauthenticated       401   a login that a provider was to vouch for does not hold: one answer for all
├── NotThere
│   └── ProviderUnknown   404
└── Conflict
    ├── ProviderDisabled  409
    └── ProvidersFull     409
Unavailable
├── ProviderSilent        503   the provider does not answer, or not with what OpenID Connect says
└── ProviderUnreadable    503   its secret does not open: its row was altered or the key is lost
"""

from typing import ClassVar

from strongroom.http import Unauthenticated
from strongroom.kernel.errors import Conflict, NotThere, Unavailable


class ProviderUnknown(NotThere):
    """There is no such provider."""

    code = "provider_unknown"


class ProviderDisabled(Conflict):
    """This provider is disabled; make a new one."""

    code = "provider_disabled"


class ProvidersFull(Conflict):
    """This tenant has as many providers as it can have."""

    code = "providers_full"


class ProviderSilent(Unavailable):
    """The identity provider does not answer as it should; start the login again in a moment."""

    code = "provider_silent"
    retry_after_seconds: ClassVar[int] = 5

    def __init__(self, reason: str) -> None:
        super().__init__()
        #: A word for the audit log; never told to the caller.
        self.reason = reason


class ProviderUnreadable(Unavailable):
    """A provider's secret does not open: its row was altered or its key is lost."""

    code = "provider_secret_unreadable"
    retry_after_seconds: ClassVar[int] = 60


class SignInRefused(Unauthenticated):
    """No valid credential was given."""

    # Told as any other login that does not hold: the reason stands in the audit log of the tenant.
