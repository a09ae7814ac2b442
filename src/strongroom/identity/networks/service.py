# SPDX-License-Identifier: Apache-2.0
"""Makes, changes and ends allow-lists; each change commits with its audit record, one at a time for a tenant."""

from collections.abc import Sequence
from typing import Final

from strongroom.audit import PLATFORM, Action, Origin, Recorder
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Database, Transaction
from strongroom.identity.networks import store
from strongroom.identity.networks.decision import TenantLists
from strongroom.identity.networks.errors import NetworkUnknown, TooManyLists, WouldLockOut
from strongroom.identity.networks.model import (
    LISTS_MAX,
    NETWORKS_MAX,
    AllowList,
    ListMode,
    ListWish,
    Subject,
    SubjectMalformed,
)
from strongroom.identity.networks.ports import Changer
from strongroom.kernel.addresses import AddressMalformed, parse_address, parse_network
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import Denied, FieldError, Invalid
from strongroom.kernel.ids import MerchantId, NetworkId, is_id
from strongroom.kernel.mode import Mode

NAME_CHARACTERS_MAX: Final = 100


class NetworksService:
    """Allow-lists in the core database."""

    def __init__(self, database: Database, recorder: Recorder, clock: Clock) -> None:
        self._database = database
        self._recorder = recorder
        self._clock = clock

    async def all(self, merchant: MerchantId) -> Sequence[AllowList]:
        """Return a tenant's lists, oldest first."""
        async with self._database.transaction([merchant]) as read:
            return await store.list_networks(read)

    async def put(self, merchant: MerchantId, wish: ListWish, by: Changer) -> AllowList:
        """Make a list, or change the one that its subject has in that mode."""
        wanted = self._wanted(merchant, wish, by)
        _require_own_mode(by, wanted.mode)
        async with self._database.transaction([merchant]) as tx:
            await store.note_change(tx, merchant)
            if not await store.is_there(tx, merchant, wanted.subject):
                raise Invalid(
                    FieldError("/subject", "subject_unknown", "there is no such key or person")
                )
            others = [each for each in await store.list_networks(tx) if not _same(each, wanted)]
            if len(others) >= LISTS_MAX:
                raise TooManyLists
            forced = _locks_out([*others, wanted], by)
            if forced and not wish.force:
                raise WouldLockOut
            kept = await store.put_network(tx, wanted)
            await self._record(tx, by, wanted, kept, "forced" if forced else "set")
        return AllowList(
            kept,
            merchant,
            wanted.mode,
            wanted.subject,
            wanted.networks,
            wanted.name,
            wanted.changed_by,
            wanted.changed_at,
        )

    async def remove(self, merchant: MerchantId, network: NetworkId, by: Changer) -> None:
        """End a list."""
        if not is_id("net", network):
            raise NetworkUnknown
        async with self._database.transaction([merchant]) as tx:
            await store.note_change(tx, merchant)
            known = {each.network_id: each for each in await store.list_networks(tx)}
            ended = known.get(network)
            if ended is None or not _is_visible(by, ended):
                raise NetworkUnknown
            _require_own_mode(by, ended.mode)
            await store.remove_network(tx, merchant, network)
            await self._record(tx, by, ended, network, "removed")

    async def origin(self, merchant: MerchantId, address: str, request_hash: str) -> Origin:
        """Return the origin of a request, for records."""
        return await self._recorder.origin(merchant, address, request_hash, self._clock.now())

    def _wanted(self, merchant: MerchantId, wish: ListWish, by: Changer) -> AllowList:
        try:
            subject = Subject.parse(wish.subject)
        except SubjectMalformed as error:
            raise Invalid(
                FieldError("/subject", "subject_malformed", f"a subject is {error}")
            ) from None
        if (
            len(wish.name) > NAME_CHARACTERS_MAX
            or not wish.name.isprintable()
            or has_cardlike(wish.name)
        ):
            raise Invalid(
                FieldError(
                    "/name",
                    "name_malformed",
                    f"a name has at most {NAME_CHARACTERS_MAX} printable characters and no card number",
                )
            )
        return AllowList(
            NetworkId(new_id("net")),
            merchant,
            wish.mode,
            subject,
            read_networks(wish.networks, everywhere=wish.everywhere),
            wish.name,
            by.actor,
            self._clock.now(),
        )

    async def _record(
        self, tx: Transaction, by: Changer, changed: AllowList, network: NetworkId, result: str
    ) -> None:
        record = self._recorder.make(
            Action.IDENTITY_NETWORK_CHANGED,
            actor=by.actor,
            merchant=None if changed.merchant == PLATFORM else changed.merchant,
            mode=None if changed.mode is ListMode.BOTH else Mode(changed.mode.value),
            thing=network,
            origin=by.origin,
            now=self._clock.now(),
            details={
                "count": 0 if result == "removed" else len(changed.networks),
                "purpose": changed.subject.kind.value,
                "result": result,
            },
        )
        await self._recorder.insert(tx, record)


def read_networks(texts: Sequence[str], *, everywhere: bool) -> tuple[str, ...]:
    """Return networks in their one form, each once, in the order in which they were given.

    Raises:
        Invalid: none or too many, or one is malformed, has bits behind its prefix, or is everybody without saying so.
    """
    if not 0 < len(texts) <= NETWORKS_MAX:
        raise Invalid(
            FieldError("/networks", "networks_count", f"a list has 1 to {NETWORKS_MAX} networks")
        )
    found: dict[str, None] = {}
    for number, text in enumerate(texts):
        try:
            network = parse_network(text)
        except AddressMalformed as error:
            raise Invalid(
                FieldError(f"/networks/{number}", "network_malformed", str(error))
            ) from None
        if network.prefixlen == 0 and not everywhere:
            raise Invalid(
                FieldError(
                    f"/networks/{number}",
                    "network_everywhere",
                    "this admits everybody: say `everywhere` if it is meant",
                )
            )
        found[str(network)] = None
    return tuple(found)


def _same(one: AllowList, other: AllowList) -> bool:
    return (one.subject, one.mode) == (other.subject, other.mode)


def _locks_out(lists: Sequence[AllowList], by: Changer) -> bool:
    if by.principal is None:
        return False
    try:
        return TenantLists(lists).lock_out(by.principal, parse_address(by.address))
    except AddressMalformed:
        return True


def _is_visible(by: Changer, found: AllowList) -> bool:
    """A key sees the lists of its own mode."""
    principal = by.principal
    if principal is None or principal.presence is not None:
        return True
    return principal.mode in found.mode.modes


def _require_own_mode(by: Changer, mode: ListMode) -> None:
    """A person answers for both modes; a key is of one, and changes nothing in the other."""
    principal = by.principal
    if principal is not None and principal.presence is None and mode.value != principal.mode.value:
        raise Denied("a key changes the lists of its own mode only")
