# SPDX-License-Identifier: Apache-2.0
"""Containers and who may do what with the tokens in them: the values that rules are made of."""

import enum
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from strongroom.audit import Origin
from strongroom.kernel.ids import AccessRuleId, MerchantId
from strongroom.kernel.mode import Mode

#: The container of every token that was put into no other; it needs no row.
DEFAULT_CONTAINER: Final = "default"
#: One to four parts, `cards/eu`; the form that audit records take, which admits no card number.
CONTAINER_NAME: Final = re.compile(
    r"[a-z][a-z_-]{0,31}[0-9]{0,4}(?:/[a-z][a-z_-]{0,31}[0-9]{0,4}){0,3}"
)


class Access(enum.StrEnum):
    """What a caller may do with the tokens of a container, from nothing to everything."""

    NONE = "none"
    #: Read what may be shown.
    MASK = "mask"
    #: Have the card used (a payment, a forward) without ever seeing it: the normal case for a service.
    USE = "use"
    #: See the number, where the caller's permission, its purpose and another person allow it besides.
    REVEAL = "reveal"

    def covers(self, wanted: "Access") -> bool:
        """Tell whether this much includes that much."""
        return _LADDER[self] >= _LADDER[wanted]


_LADDER: Final = {access: rung for rung, access in enumerate(Access)}


class Transform(enum.StrEnum):
    """What a read shows of a card."""

    #: Neither digits nor names: brand, expiry and what the merchant said of it.
    REDACT = "redact"
    #: First six and last four digits at most (PCI DSS 3.4.1).
    MASK = "mask"
    #: As `MASK`, and the number may be asked for by `reveal`.
    REVEAL = "reveal"


class GranteeKind(enum.StrEnum):
    """Whom a rule is about. A word once shipped is never given another meaning."""

    ANYBODY = "anybody"
    KEY = "key"
    #: The merchant's own payments, which charge tokens.
    PAYMENTS = "payments"
    PERSON = "person"
    ROLE = "role"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Granted:
    """What the deciding rule gives a caller in a container."""

    access: Access
    transform: Transform


@dataclass(frozen=True, slots=True)
class AccessRule:
    """One rule. The lowest priority number that matches decides."""

    merchant_id: MerchantId
    mode: Mode
    rule_id: AccessRuleId
    container: str
    priority: int
    grantee_kind: GranteeKind
    grantee: str
    access: Access
    transform: Transform
    created_by: str
    created_at: datetime


#: Every caller of a kind, where a rule names no single one.
EVERY: Final = "*"
#: A rule about every container of the merchant.
EVERYWHERE: Final = "/"
CONTAINERS_MAX: Final = 100
RULES_MAX: Final = 200
PRIORITY_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a merchant's tokens. `default` is there without a row."""

    merchant_id: MerchantId
    mode: Mode
    name: str
    description: str
    #: Tokens are deleted so many days after they were made; None: when somebody does it.
    retention_days: int | None
    created_by: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class RuleWish:
    """What somebody wants a rule to be."""

    container: str
    priority: int
    grantee_kind: GranteeKind
    grantee: str
    access: Access
    #: None: as much as the access shows at most.
    transform: Transform | None = None


@dataclass(frozen=True, slots=True)
class Changer:
    """Who changes what, of which tenant and mode, and whence."""

    merchant: MerchantId
    mode: Mode
    actor: str
    origin: Origin
