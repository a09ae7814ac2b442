# SPDX-License-Identifier: Apache-2.0
"""Which rule decides. Pure: of those that match caller and container the one with the lowest priority number.

Of two with the same number the one that gives less. Nothing matches: nothing is given. What holds without any rule is
built in for `default` alone, and only until the merchant makes a rule about it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, final

from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, Principal, Role
from strongroom.vault.containers.errors import AccessRefused, ContainerUnknown
from strongroom.vault.containers.model import (
    DEFAULT_CONTAINER,
    EVERY,
    EVERYWHERE,
    Access,
    AccessRule,
    Container,
    Granted,
    GranteeKind,
    Transform,
)


class Grantee(NamedTuple):
    """One name that a rule may know a caller by."""

    kind: GranteeKind
    name: str


class BuiltIn(NamedTuple):
    """What holds in `default` without any rule."""

    kind: GranteeKind
    granted: Granted


_USE: Final = Granted(Access.USE, Transform.MASK)
BUILT_IN: Final = (
    BuiltIn(GranteeKind.KEY, _USE),
    BuiltIn(GranteeKind.SERVICE, _USE),
    BuiltIn(GranteeKind.PAYMENTS, _USE),
    BuiltIn(GranteeKind.PERSON, Granted(Access.MASK, Transform.MASK)),
)
_ANYBODY: Final = Grantee(GranteeKind.ANYBODY, EVERY)
#: The merchant's own payments, which have no principal.
PAYMENTS: Final = frozenset({Grantee(GranteeKind.PAYMENTS, EVERY), _ANYBODY})
_RUNGS: Final = {access: rung for rung, access in enumerate(Access)}
_SHOWN: Final = {transform: rung for rung, transform in enumerate(Transform)}


def grantees_of(principal: Principal) -> frozenset[Grantee]:
    """Return every name that rules may know a caller by."""
    if principal.presence is not None:
        kind, role = GranteeKind.PERSON, principal.presence.role
    elif principal.kind is CallerKind.SERVICE:
        kind, role = GranteeKind.SERVICE, Role.SERVICE
    else:
        return frozenset(
            {
                Grantee(GranteeKind.KEY, principal.subject),
                Grantee(GranteeKind.KEY, EVERY),
                _ANYBODY,
            }
        )
    return frozenset(
        {
            Grantee(kind, principal.subject),
            Grantee(kind, EVERY),
            Grantee(GranteeKind.ROLE, role.value),
            _ANYBODY,
        }
    )


def covers(pattern: str, container: str) -> bool:
    """Tell whether a rule's container is about one: itself, and all below it where it ends in `/`."""
    if pattern == EVERYWHERE:
        return True
    if pattern.endswith("/"):
        return container == pattern[:-1] or container.startswith(pattern)
    return pattern == container


@final
class TenantAccess:
    """A tenant's containers and rules, arranged for asking."""

    __slots__ = ("_names", "_rules", "_speaks_of_default")

    def __init__(
        self, rules: Iterable[AccessRule] = (), containers: Iterable[Container] = ()
    ) -> None:
        ordered = sorted(rules, key=_before)
        self._rules = {mode: [each for each in ordered if each.mode is mode] for mode in Mode}
        self._speaks_of_default = {
            mode: any(covers(each.container, DEFAULT_CONTAINER) for each in found)
            for mode, found in self._rules.items()
        }
        kept = list(containers)
        self._names = {
            mode: (DEFAULT_CONTAINER, *sorted(each.name for each in kept if each.mode is mode))
            for mode in Mode
        }

    def names(self, mode: Mode) -> Sequence[str]:
        """Return the names of every container, `default` first."""
        return self._names[mode]

    def granted(self, mode: Mode, container: str, callers: frozenset[Grantee]) -> Granted | None:
        """Return what a caller may do in a container; None: no rule matches."""
        for rule in self._rules[mode]:
            if (
                covers(rule.container, container)
                and (rule.grantee_kind, rule.grantee) in callers  # a Grantee is equal to its pair
            ):
                return Granted(rule.access, rule.transform)
        if container == DEFAULT_CONTAINER and not self._speaks_of_default[mode]:
            for kind, granted in BUILT_IN:
                if (kind, EVERY) in callers:
                    return granted
        return None

    def has_built_in(self, mode: Mode) -> bool:
        """Tell whether the built-in rule holds."""
        return not self._speaks_of_default[mode]

    def of(self, principal: Principal) -> "CallerAccess":
        """Return what one caller may do."""
        return CallerAccess(self, principal.mode, grantees_of(principal))


@final
class CallerAccess:
    """What one caller may do with the tokens of its merchant and mode, for the time of one request."""

    __slots__ = ("_access", "_callers", "_found", "_mode", "_targets")

    def __init__(self, access: TenantAccess, mode: Mode, callers: frozenset[Grantee]) -> None:
        self._access = access
        self._mode = mode
        self._callers = callers
        #: What was found: a call for many tokens asks about one container a thousand times.
        self._found: dict[str, Granted | None] = {}
        self._targets: set[str] = set()

    def granted(self, container: str) -> Granted | None:
        """Return what the caller may do in a container; None: no rule matches."""
        try:
            return self._found[container]
        except KeyError:
            found = self._access.granted(self._mode, container, self._callers)
            self._found[container] = found
            return found

    def require(self, container: str, wanted: Access) -> Granted:
        """Return what the caller may do in a container, where it is as much as wanted.

        A number is seen where access and transform both say so.

        Raises:
            AccessRefused: no rule matches, or the one that decides gives or shows less.
        """
        granted = self.granted(container)
        if granted is None or not granted.access.covers(wanted):
            raise AccessRefused
        if wanted is Access.REVEAL and granted.transform is not Transform.REVEAL:
            raise AccessRefused
        return granted

    def require_target(self, container: str) -> None:
        """Refuse a container that the caller may not put a token into.

        Raises:
            AccessRefused: the caller may not use what is in it.
            ContainerUnknown: it is not there.
        """
        if container in self._targets:
            return
        self.require(container, Access.USE)
        if container not in self._access.names(self._mode):
            raise ContainerUnknown
        self._targets.add(container)

    def readable(self) -> Mapping[str, Granted]:
        """Return the containers whose tokens the caller may read, and how much of each it is shown."""
        found = {name: self.granted(name) for name in self._access.names(self._mode)}
        return {
            name: granted
            for name, granted in found.items()
            if granted is not None and granted.access.covers(Access.MASK)
        }


def _before(rule: AccessRule) -> tuple[int, int, int, str]:
    return rule.priority, _RUNGS[rule.access], _SHOWN[rule.transform], rule.rule_id
