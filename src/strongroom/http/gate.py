# SPDX-License-Identifier: Apache-2.0
"""What the edge asks of whoever knows from which networks a caller may call, and which group a route is of."""

import enum
from collections.abc import Sequence
from typing import Final, Protocol

from strongroom.http.request import Request
from strongroom.kernel.errors import Denied
from strongroom.kernel.permissions import Permission


class RouteGroup(enum.StrEnum):
    """Routes that an allow-list can be about, by the domain of what they require; a word once shipped stays."""

    AUDIT = "audit"
    IDENTITY = "identity"
    KEYS = "keys"
    PAYMENTS = "payments"
    #: Every route that asks a person for a second factor again, whatever its domain.
    SENSITIVE = "sensitive"
    VAULT = "vault"
    WEBHOOKS = "webhooks"


class AddressNotAllowed(Denied):
    """This may not be called from this network."""

    code = "address_not_allowed"


class AddressGate(Protocol):
    """Knows the allow-lists. Fails closed: lists that cannot be known admit nobody."""

    async def fresh(self) -> None:
        """Make sure that what is known is at most two seconds old; returns at once while it is.

        Raises:
            Unavailable: it is older, and the lists cannot be read.
        """

    def is_fresh(self) -> bool:
        """Tell whether what is known is at most two seconds old."""

    def admit_caller(self, request: Request) -> None:
        """Ask the lists of the caller: their tenant, role, key or person.

        Raises:
            AddressNotAllowed: one of them does not hold the request's address.
        """

    def admit_route(self, request: Request, groups: Sequence[RouteGroup]) -> None:
        """Ask the lists of the route's groups.

        Raises:
            AddressNotAllowed: one of them does not hold the request's address.
        """


_BY_DOMAIN: Final[dict[str, RouteGroup]] = {
    group.value: group for group in RouteGroup if group is not RouteGroup.SENSITIVE
}


def route_groups(
    required: Permission | frozenset[Permission] | object, *, step_up: bool
) -> tuple[RouteGroup, ...]:
    """Return the groups of a route, from what it requires and whether it asks for a step-up; none for public ones."""
    if isinstance(required, Permission):
        required = frozenset({required})
    domains = (
        {each.partition(":")[0] for each in required} if isinstance(required, frozenset) else set()
    )
    found: list[RouteGroup] = [_BY_DOMAIN[domain] for domain in sorted(domains)]
    if step_up and found:
        found.append(RouteGroup.SENSITIVE)
    return tuple(found)
