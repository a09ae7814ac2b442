# SPDX-License-Identifier: Apache-2.0
"""What the rules of containers offer to the rest of the vault."""

from collections.abc import Sequence
from typing import Protocol

from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Principal
from strongroom.vault.containers.model import (
    Access,
    AccessRule,
    Changer,
    Container,
    Granted,
    RuleWish,
)


class ContainerRules(Protocol):
    """Knows the rules of every tenant, at most two seconds old. Fails closed: no rule that matches is a refusal."""

    async def granted(self, principal: Principal, container: str) -> Granted | None:
        """Return what a caller may do with the tokens of a container; None: no rule matches.

        Raises:
            Unavailable: the rules are older than two seconds and cannot be read.
        """

    async def require(self, principal: Principal, container: str, wanted: Access) -> Granted:
        """Return what a caller may do, where it is as much as wanted.

        Raises:
            AccessRefused: no rule matches, or the one that decides gives less (403, `vault_access_refused`).
            Unavailable: as `granted`.
        """

    async def require_payments(
        self, merchant: MerchantId, mode: Mode, container: str, wanted: Access
    ) -> Granted:
        """Likewise for the merchant's own payments, which have no principal. Raises as `require`."""


class Containers(Protocol):
    """Containers and rules, for those who change them. What each raises stands in `errors`."""

    async def containers(self, merchant: MerchantId, mode: Mode) -> Sequence[Container]:
        """Return the containers that were made, by name."""

    async def rules(self, merchant: MerchantId, mode: Mode) -> Sequence[AccessRule]:
        """Return the rules that were made, in the order in which they are asked."""

    async def holds_built_in(self, merchant: MerchantId, mode: Mode) -> bool:
        """Tell whether what is built in for `default` holds: no rule is about it."""

    async def put(
        self, by: Changer, name: str, description: str, retention_days: int | None
    ) -> Container:
        """Make a container, or change the description and the retention of one."""

    async def remove(self, by: Changer, name: str) -> None:
        """End a container in which no token stands."""

    async def add_rule(self, by: Changer, wish: RuleWish) -> AccessRule:
        """Make a rule; it holds everywhere within two seconds."""

    async def remove_rule(self, by: Changer, rule_id: str) -> None:
        """End a rule, everywhere within two seconds."""
