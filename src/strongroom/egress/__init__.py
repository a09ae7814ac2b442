# SPDX-License-Identifier: Apache-2.0
"""The only opener of HTTP to addresses that come from data: a guard decides, a client tells outcomes apart.

The client itself stands in `egress.client`: its library takes longer to import than all of this package.
"""

from strongroom.egress.errors import DestinationRefused, EgressPolicyMalformed, IdentityUnusable
from strongroom.egress.guard import EgressPolicy, Target, check_address, check_url
from strongroom.egress.identity import TlsIdentity, require_usable
from strongroom.egress.model import Answered, HttpSender, NotSent, Outgoing, Reason, Reply, Unknown

__all__ = [
    "Answered",
    "DestinationRefused",
    "EgressPolicy",
    "EgressPolicyMalformed",
    "HttpSender",
    "IdentityUnusable",
    "NotSent",
    "Outgoing",
    "Reason",
    "Reply",
    "Target",
    "TlsIdentity",
    "Unknown",
    "check_address",
    "check_url",
    "require_usable",
]
