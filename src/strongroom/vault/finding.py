# SPDX-License-Identifier: Apache-2.0
"""Finds a caller's token and records what is done with it, in the transaction that does it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from strongroom.audit import Action, Origin, Recorder
from strongroom.db.pool import ReadOnly, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId, TokenId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.pan_alias import is_pan_alias
from strongroom.kernel.principal import Principal
from strongroom.vault.aliases import present_id
from strongroom.vault.containers.decision import CallerAccess
from strongroom.vault.containers.model import Access, Granted, Transform
from strongroom.vault.details import Details, DetailSealer, SealedDetail
from strongroom.vault.errors import TokenUnknown
from strongroom.vault.model import StoredToken
from strongroom.vault.watching import UNWATCHED, Watch, Way
from strongroom.vault.writes import QUERIES, stored_token


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts, and whence."""

    principal: Principal
    origin: Origin

    @property
    def scope(self) -> tuple[MerchantId, Mode]:
        """The tenant and mode that everything is looked up in."""
        return self.principal.merchant, self.principal.mode


@dataclass(frozen=True, slots=True)
class Seen:
    """A token, and how much of it the caller is shown."""

    token: StoredToken
    granted: Granted
    #: What was opened for this call; None: nothing was.
    details: Details | None = None


class TokenFinder:
    """Finds tokens by id for those whom the access rules let at them."""

    def __init__(
        self, recorder: Recorder, clock: Clock, details: DetailSealer, watch: Watch = UNWATCHED
    ) -> None:
        self.recorder = recorder
        self.clock = clock
        self.details = details
        self._watch = watch

    async def named(self, caller: Caller, way: Way, *tokens: str) -> None:
        """Tell who watches over honeytokens what a caller names, before anything is done. Raises as `Watch.named`."""
        await self._watch.named(caller.scope, caller.principal.subject, caller.origin, way, tokens)

    async def find(
        self, read: ReadOnly, caller: Caller, access: CallerAccess, token_id: str, wanted: Access
    ) -> Seen:
        """Return a token that has not expired.

        Raises:
            TokenUnknown: not there for this tenant and mode.
            AccessRefused: the rules of its container do not let the caller do that.
        """
        token_id = await self.id_of(read, caller, token_id)
        row = await read.row(QUERIES["token_by_id"], *caller.scope, token_id, self.clock.now())
        if row is None:
            raise TokenUnknown
        token = stored_token(row)
        return Seen(token, access.require(token.container, wanted))

    async def id_of(self, read: ReadOnly, caller: Caller, name: str) -> TokenId:
        """Return a token's id, from itself, from its alias, or from an id of before a retokenization.

        Raises:
            TokenUnknown: it has the form of neither, or no token has that alias.
        """
        if is_pan_alias(name):
            row = await read.row(QUERIES["token_of_alias"], *caller.scope, name)
            if row is None:
                raise TokenUnknown
            return TokenId(row["token_id"])
        require_form(name)
        return await present_id(read, *caller.scope, name, self.clock.now()) or TokenId(name)

    async def sealed_details(self, read: ReadOnly, token: StoredToken) -> Sequence[SealedDetail]:
        """Return what is sealed beside a token's number."""
        if not token.details:
            return ()
        rows = await read.rows(
            QUERIES["details_of_token"], token.merchant_id, token.mode, token.token_id
        )
        return [SealedDetail(row["field"], row["sealed"], row["key_version"]) for row in rows]

    async def opened(self, seen: Seen, sealed: Sequence[SealedDetail]) -> Seen:
        """Open what is sealed beside a number, as far as the caller is shown it. The read is recorded by now.

        Raises:
            CannotReadCard, KeyStoreUnavailable: see `DetailSealer.open`.
        """
        if seen.granted.transform is Transform.REDACT:
            return seen
        token = seen.token
        found = await self.details.open(sealed, token.mode, token.merchant_id, token.token_id)
        return replace(seen, details=found)

    async def record(
        self,
        tx: Transaction,
        caller: Caller,
        action: Action,
        thing: TokenId | None,
        details: Mapping[str, str | int] | None = None,
    ) -> None:
        """Put the record of what a caller does into its transaction."""
        merchant, mode = caller.scope
        record = self.recorder.make(
            action,
            actor=caller.principal.subject,
            merchant=merchant,
            mode=mode,
            thing=thing,
            origin=caller.origin,
            now=self.clock.now(),
            details=details,
        )
        await self.recorder.insert(tx, record)


def require_form(token_id: str) -> None:
    """What has not a token's form is no token: the database need not be asked, and the text is not kept.

    Raises:
        TokenUnknown: it has another form.
    """
    if not is_id("tok", token_id):
        raise TokenUnknown
