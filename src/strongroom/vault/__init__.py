# SPDX-License-Identifier: Apache-2.0
"""The card vault: the only place where a card number enters and rests. Values and errors; never a card number."""

from strongroom.vault.calls import (
    CVC_ABSENT,
    CVC_HELD,
    CVC_USED,
    CardFacts,
    Connections,
    Forward,
    Forwarded,
    Forwarder,
    NetworkTokenFacts,
    StoredCredentialFacts,
)
from strongroom.vault.containers.errors import AccessRefused
from strongroom.vault.destinations import SIMULATOR, BodySignature, Destination, Route
from strongroom.vault.errors import (
    CannotReadCard,
    CannotReadCredentials,
    CardNotForProcessor,
    ConnectionDisabled,
    ConnectionExists,
    ConnectionUnknown,
    CryptogramUsed,
    CvcExpired,
    CvcInvalid,
    CvcUsed,
    TemplateRefused,
    TokenUnknown,
)
from strongroom.vault.forwarding.ports import OperatedDestinations
from strongroom.vault.template import Json, Slot, Template, slot

__all__ = [
    "CVC_ABSENT",
    "CVC_HELD",
    "CVC_USED",
    "SIMULATOR",
    "AccessRefused",
    "BodySignature",
    "CannotReadCard",
    "CannotReadCredentials",
    "CardFacts",
    "CardNotForProcessor",
    "ConnectionDisabled",
    "ConnectionExists",
    "ConnectionUnknown",
    "Connections",
    "CryptogramUsed",
    "CvcExpired",
    "CvcInvalid",
    "CvcUsed",
    "Destination",
    "Forward",
    "Forwarded",
    "Forwarder",
    "Json",
    "NetworkTokenFacts",
    "OperatedDestinations",
    "Route",
    "Slot",
    "StoredCredentialFacts",
    "Template",
    "TemplateRefused",
    "TokenUnknown",
    "slot",
]
