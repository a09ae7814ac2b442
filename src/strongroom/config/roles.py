# SPDX-License-Identifier: Apache-2.0
"""The roles that a process can have. What each opens stands beside logins (`db.logins`) and roots (`keys.purposes`)."""

import enum
from typing import Final


class ServedRole(enum.StrEnum):
    """What a process serves. A word once shipped is never given another meaning."""

    VAULT = "vault"
    GATEWAY = "gateway"
    WEBHOOKS = "webhooks"
    CONSOLE = "console"
    WORKER = "worker"


ALL_ROLES: Final = frozenset(ServedRole)
#: Who asks the vault to call processors, and so has a certificate of its internal port.
CALLERS: Final = frozenset({ServedRole.GATEWAY, ServedRole.WORKER})


def offers_port(roles: frozenset[ServedRole]) -> bool:
    """Tell whether a process with these roles opens the vault's internal port: another process will ask it."""
    return ServedRole.VAULT in roles and not roles >= CALLERS


def asks_port(roles: frozenset[ServedRole]) -> bool:
    """Tell whether a process with these roles asks the vault of another process."""
    return ServedRole.VAULT not in roles and bool(roles & CALLERS)


def name_of(roles: frozenset[ServedRole]) -> str:
    """Return the word for logs and metrics: `all`, or the roles' names joined by `+`."""
    if roles == ALL_ROLES:
        return "all"
    return "+".join(role.value for role in ServedRole if role in roles)
