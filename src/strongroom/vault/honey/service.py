# SPDX-License-Identifier: Apache-2.0
"""Makes honeytokens and shows what became of them, to who watches over the vault."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import msgspec

from strongroom.audit import Action, Recorder
from strongroom.crypto.ids import new_id
from strongroom.crypto.random import random_below
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import TokenId
from strongroom.vault.cards import read_expiry, read_metadata
from strongroom.vault.containers.errors import ContainerUnknown
from strongroom.vault.containers.model import CONTAINER_NAME, DEFAULT_CONTAINER
from strongroom.vault.details import HOLDER, DetailSealer, read_details
from strongroom.vault.finding import Caller
from strongroom.vault.honey import store
from strongroom.vault.honey.errors import TooManyHoneytokens
from strongroom.vault.honey.model import HONEYTOKENS_MAX, Honeytoken
from strongroom.vault.honey.numbers import bait
from strongroom.vault.honey.watch import HoneyWatch
from strongroom.vault.pan import Pan
from strongroom.vault.sealing import CardSealer
from strongroom.vault.writes import QUERIES

_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class HoneyWish:
    """What a honeytoken is to look like: as those beside it do."""

    container: str
    exp_month: int
    exp_year: int
    holder: str | None
    metadata: Mapping[str, str] | None


@final
class Honeytokens:
    """The honeytokens of every tenant."""

    def __init__(
        self,
        *,
        database: Database,
        sealer: CardSealer,
        recorder: Recorder,
        clock: Clock,
        watch: HoneyWatch,
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._details = DetailSealer(sealer)
        self._recorder = recorder
        self._clock = clock
        self._watch = watch

    async def create(self, caller: Caller, wish: HoneyWish) -> Honeytoken:
        """Make one that looks like any other, in whichever container: no card stands there more than before.

        Raises:
            Invalid: with every field that is wrong.
            ContainerUnknown: there is no such container.
            TooManyHoneytokens: see there.
        """
        principal, now = caller.principal, self._clock.now()
        merchant, mode = caller.scope
        if CONTAINER_NAME.fullmatch(wish.container) is None:
            raise Invalid(
                FieldError("/container", "container_malformed", "this is not a container's name")
            )
        read_expiry(wish.exp_month, wish.exp_year, now)
        read_metadata(dict(wish.metadata or {}))
        read_details(holder=wish.holder, address=None, network_token=None, stored=None, now=now)
        token = TokenId(new_id("tok"))
        drawn = bait(mode, random_below)
        keys = self._sealer.recent(merchant, mode) or await self._sealer.keys(merchant, mode)
        values = store.TokenValues(
            merchant,
            mode,
            token,
            keys.sealed(Pan(drawn.number, drawn.scheme), mode, merchant, token),
            keys.card.version,
            drawn.scheme.name,
            drawn.bin,
            drawn.last4,
            wish.exp_month,
            wish.exp_year,
            _encode_sorted(wish.metadata).decode() if wish.metadata else None,
            principal.subject,
            now,
            wish.container,
        )
        details = {} if wish.holder is None else {HOLDER: wish.holder}
        sealed = await self._details.seal(details, mode, merchant, token)
        # As of any token; a token without such a record would be known by that.
        facts = {"brand": drawn.scheme.name, "cvc_state": "absent", "last4": drawn.last4}
        async with self._database.transaction([merchant]) as tx:
            if await store.count(tx, caller.scope) >= HONEYTOKENS_MAX:
                raise TooManyHoneytokens
            await self._require_container(tx, caller, wish.container)
            await store.insert(tx, values)
            for row in sealed:
                await tx.run(QUERIES["put_detail"], merchant, mode, token, *row)
            await self._record(tx, caller, Action.VAULT_TOKEN_CREATED, token, facts)
            await self._record(tx, caller, Action.VAULT_HONEYTOKEN_CREATED, None, {})
        self._watch.add(caller.scope, token)
        return Honeytoken(
            token,
            drawn.scheme.name,
            drawn.last4,
            wish.container,
            principal.subject,
            now,
            0,
            None,
            None,
        )

    async def list(self, caller: Caller) -> Sequence[Honeytoken]:
        """Return the tenant's, newest first, with how often each was named. That somebody looked is recorded."""
        async with self._database.transaction([caller.principal.merchant]) as tx:
            found = await store.page(tx, caller.scope)
            facts = {"count": len(found)}
            await self._record(tx, caller, Action.VAULT_TOKEN_LISTED, None, facts)
        return found

    async def _require_container(self, tx: Transaction, caller: Caller, container: str) -> None:
        """Hold a container's row, so that it does not end meanwhile."""
        if container == DEFAULT_CONTAINER:
            return
        if await tx.row(QUERIES["container_is_there"], *caller.scope, container) is None:
            raise ContainerUnknown

    async def _record(
        self,
        tx: Transaction,
        caller: Caller,
        action: Action,
        thing: TokenId | None,
        facts: Mapping[str, str | int],
    ) -> None:
        merchant, mode = caller.scope
        record = self._recorder.make(
            action,
            actor=caller.principal.subject,
            merchant=merchant,
            mode=mode,
            thing=thing,
            origin=caller.origin,
            now=self._clock.now(),
            details=facts,
        )
        await self._recorder.insert(tx, record)
