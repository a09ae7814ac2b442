# SPDX-License-Identifier: Apache-2.0
"""What egress refuses before anything is sent. Neither repeats the address that somebody gave.

Refused
├── DestinationRefused      422   not an address that may be called; `reason` says why, in a word
├── EgressPolicyMalformed   400   a setting names as loopback what is none
└── IdentityUnusable        422   a client certificate and its key that cannot be shown
"""

from strongroom.kernel.errors import Refused


class DestinationRefused(Refused):
    """This is not an address that may be called."""

    code = "destination_refused"
    status = 422

    def __init__(self, reason: str) -> None:
        super().__init__()
        #: A word, never the address.
        self.reason = reason


class EgressPolicyMalformed(Refused):
    """Only exact loopback addresses may be excepted: `127.0.0.1:8460`, `127.0.0.1`, `[::1]:8460`."""

    code = "egress_policy_malformed"


class IdentityUnusable(Refused):
    """A client certificate and its private key are PEM, belong together, and the key is not encrypted."""

    code = "identity_unusable"
    status = 422
