# SPDX-License-Identifier: Apache-2.0
"""Whether allow-lists admit an address. Pure: every list that applies must hold it; where none applies, any will do.

Which apply: the tenant's, those of the caller's role, key, person or service, and those of the route's groups.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import final

from strongroom.http.gate import RouteGroup
from strongroom.identity.networks.model import AllowList, SubjectKind
from strongroom.kernel.addresses import Address, Networks
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, Principal, Role

#: What somebody calls to undo a change of lists.
ROUTES_OF_LISTS = (RouteGroup.IDENTITY, RouteGroup.SENSITIVE)
_ByName = Mapping[str, tuple[Networks, ...]]


@final
class TenantLists:
    """A tenant's lists, arranged for asking: by mode, and by what is looked for."""

    __slots__ = ("_callers", "_groups", "_roles", "_tenant")

    def __init__(self, lists: Iterable[AllowList]) -> None:
        lists = tuple(lists)
        ids = frozenset({SubjectKind.KEY, SubjectKind.PERSON, SubjectKind.SERVICE})
        self._tenant = _arranged(lists, frozenset({SubjectKind.TENANT}))
        self._callers = _arranged(lists, ids)
        self._roles = _arranged(lists, frozenset({SubjectKind.ROLE}))
        self._groups = _arranged(lists, frozenset({SubjectKind.GROUP}))

    def admit_caller(self, principal: Principal, address: Address) -> bool:
        """Tell whether the lists of the tenant, the caller's role and the caller admit an address."""
        mode = principal.mode
        if not _admitted(self._tenant[mode], "", address):
            return False
        if not _admitted(self._callers[mode], principal.subject, address):
            return False
        roles = self._roles[mode]
        if not roles:
            return True
        role = role_of(principal)
        return role is None or _admitted(roles, role, address)

    def admit_route(self, mode: Mode, groups: Sequence[RouteGroup], address: Address) -> bool:
        """Tell whether the lists of a route's groups admit an address."""
        known = self._groups[mode]
        return not known or all(_admitted(known, group, address) for group in groups)

    def lock_out(self, principal: Principal, address: Address) -> bool:
        """Tell whether a caller could not reach the routes of lists from an address."""
        return not (
            self.admit_caller(principal, address)
            and self.admit_route(principal.mode, ROUTES_OF_LISTS, address)
        )


def role_of(principal: Principal) -> Role | None:
    """Return a person's role, or that of services; an API key has none."""
    if principal.presence is not None:
        return principal.presence.role
    return Role.SERVICE if principal.kind is CallerKind.SERVICE else None


def _admitted(lists: _ByName, name: str, address: Address) -> bool:
    return all(address in networks for networks in lists.get(name, ()))


def _arranged(lists: Sequence[AllowList], kinds: frozenset[SubjectKind]) -> Mapping[Mode, _ByName]:
    found: dict[Mode, dict[str, tuple[Networks, ...]]] = {mode: {} for mode in Mode}
    for each in lists:
        if each.subject.kind in kinds:
            networks = Networks.parse(each.networks)
            for mode in each.mode.modes:
                names = found[mode]
                names[each.subject.name] = (*names.get(each.subject.name, ()), networks)
    return found
