# SPDX-License-Identifier: Apache-2.0
"""Calls a processor with the card that a token stands for (DESIGN §2). Implements `Forwarder`.

The only place where a stored number is opened to leave the vault: for one call, to a registered destination, in a
place that its adapter registered, and recorded first. What comes back leaves without card data.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from strongroom.audit import Action, NewRecord, Recorder
from strongroom.db.group_commit import GroupWriter
from strongroom.db.pool import Database, Record
from strongroom.egress import Answered, HttpSender, Outgoing, Reply
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId, TokenId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import SYNTHETIC
from strongroom.vault.addresses import opened_address
from strongroom.vault.aliases import present_id
from strongroom.vault.answers import Cleaner, without_addresses
from strongroom.vault.calls import (
    CVC_ABSENT,
    CVC_HELD,
    CVC_USED,
    CardFacts,
    Forward,
    Forwarded,
    NetworkTokenFacts,
    StoredCredentialFacts,
)
from strongroom.vault.connections import OpenConnection, VaultConnections
from strongroom.vault.containers.errors import AccessRefused
from strongroom.vault.containers.model import Access
from strongroom.vault.containers.ports import ContainerRules
from strongroom.vault.cvc import CheckedCvc, CvcEpochs
from strongroom.vault.destinations import SIMULATOR, Destinations, Matched
from strongroom.vault.details import (
    CRYPTOGRAM,
    NETWORK_TOKEN,
    STORED_CREDENTIAL,
    DetailSealer,
    SealedDetail,
)
from strongroom.vault.errors import (
    CardNotForProcessor,
    CryptogramUsed,
    TemplateRefused,
    TokenUnknown,
)
from strongroom.vault.held import HeldCvcs, Use
from strongroom.vault.keeping import Keeper
from strongroom.vault.opening import digits_to_send
from strongroom.vault.sealing import CardSealer
from strongroom.vault.template import OF_ADDRESS, Slot, encoded, filled
from strongroom.vault.uses import Asked, CardFactRows, CardUse
from strongroom.vault.watching import UNWATCHED, Watch, Way

#: Brand, last four and container of tokens that were described of late. What changes of it, the use itself notices.
FACTS_REMEMBERED_MAX: Final = 10_000
#: A body that an adapter writes is a tenth of this.
BODY_BYTES_MAX: Final = 64 * 1024

_NOTHING: Final[Mapping[Slot, str | int]] = {}


#: A token that is moved between containers at every try is somebody's game.
MOVES_FOLLOWED_MAX: Final = 3


class _Facts(NamedTuple):
    """What a record says of a card, and whose rules are asked."""

    brand: str
    last4: str
    container: str


@dataclass(frozen=True, slots=True, repr=False)
class _Opened:
    """What fills the slots, in clear, for one call."""

    values: Mapping[Slot, str | int]
    number: str | None
    cvc: str | None


_NO_CARD: Final = _Opened(_NOTHING, None, None)


class VaultForwarder:
    """Calls processors for this process."""

    def __init__(
        self,
        *,
        database: Database,
        uses: GroupWriter[CardUse, Record],
        sealer: CardSealer,
        details: DetailSealer,
        epochs: CvcEpochs,
        connections: VaultConnections,
        destinations: Destinations,
        egress: HttpSender,
        recorder: Recorder,
        clock: Clock,
        rules: ContainerRules,
        held: HeldCvcs | None = None,
        watch: Watch = UNWATCHED,
    ) -> None:
        self._watch = watch
        self._keeper = Keeper(database, details, recorder, clock)
        self._rules = rules
        self._database = database
        self._uses = uses
        self._described_rows: GroupWriter[Asked, Record | None] = GroupWriter(
            CardFactRows(database), in_flight_max=1
        )
        self._sealer = sealer
        self._details = details
        self._epochs = epochs
        self._connections = connections
        self._destinations = destinations
        self._egress = egress
        self._recorder = recorder
        self._clock = clock
        self._held = HeldCvcs() if held is None else held  # an empty one is false
        self._facts: OrderedDict[tuple[MerchantId, Mode, TokenId], _Facts] = OrderedDict()

    def close(self) -> None:
        """Hold no CVC any more: the process ends."""
        self._held.drop_all()

    async def forward(self, request: Forward) -> Forwarded:
        """Fill a template and send it, once. See `Forwarder`."""
        # To call a processor:
        #  1. The connection is this merchant's, of this mode, and active; its credentials are opened with it.
        #  2. The template is a registered route, slots and all. What has slots has a card, and the other way round.
        #  3. Record that the card is used, and its CVC, and get what is sealed: one round trip, all or nothing.
        #  4. Open the card, the CVC and the holder's address; fill the slots.
        #  5. Send, once.
        #  6. Drop everything, and take card data and addresses out of the answer.
        if request.credentials == "next" and (request.token or request.cvc):
            raise TemplateRefused("credentials that are only tried go with no card")
        connection = await self._connections.open(
            request.merchant, request.mode, request.connection, request.credentials
        )  # (1)
        matched = self._destinations.matched(
            connection.destination.processor, request.mode, request.template
        )  # (2)
        _require_fitting(request, matched)
        opened, token = _NO_CARD, request.token
        if token is not None:
            scope = (request.merchant, request.mode)
            await self._watch.named(scope, request.actor, request.origin, Way.CHARGE, (token,))
            try:
                opened = await self._opened(request, token, matched)  # (3) (4)
            except TokenUnknown:
                token = await self._current(request.merchant, request.mode, token)
                opened = await self._opened(request, token, matched)
        # Crash here: the use is recorded and nothing was sent. Payments finds an attempt that was saved before the
        # call, asks the processor, and learns that it never heard of it.
        reply = await self._egress.send(_outgoing(request, connection, matched, opened))  # (5)
        # Crash here: it may have been sent. The same look-up says what became of it; the CVC is spent either way.
        return self._forwarded(request, token, matched, opened, reply)  # (6)

    async def describe(self, merchant: MerchantId, mode: Mode, token: TokenId) -> CardFacts:
        """Return what may be shown of a token's card. See `Forwarder`."""
        if not is_id("tok", token):
            raise TokenUnknown
        try:
            row = await self._described(merchant, mode, token)
        except TokenUnknown:
            token = await self._current(merchant, mode, token)
            row = await self._described(merchant, mode, token)
        details = await self._details.open(_sealed_facts(row), mode, merchant, token)
        network_token, stored = details.network_token, details.stored_credential
        return CardFacts(
            token,
            row["brand"],
            row["bin"],
            row["last4"],
            row["exp_month"],
            row["exp_year"],
            row["single_use"],
            row["container"],
            None
            if network_token is None
            else NetworkTokenFacts(
                network_token.requestor_id, network_token.eci, row["has_cryptogram"]
            ),
            None
            if stored is None
            else StoredCredentialFacts(
                stored.initiator,
                stored.scheme_transaction_id,
                stored.mandate_reference,
                stored.agreed_at,
            ),
        )

    async def _current(self, merchant: MerchantId, mode: Mode, token: TokenId) -> TokenId:
        """Return the id that a token has since a retokenization.

        Raises:
            TokenUnknown: it stands for none, or does no more.
        """
        async with self._database.transaction([merchant]) as read:
            found = await present_id(read, merchant, mode, token, self._clock.now())
        if found is None:
            raise TokenUnknown
        return found

    async def _described(self, merchant: MerchantId, mode: Mode, token: TokenId) -> Record:
        """Return what may be shown of a token, and remember what a record says of it."""
        row = await self._described_rows.write(Asked(merchant, mode, token, self._clock.now()))
        if row is None:
            raise TokenUnknown
        self._facts[merchant, mode, token] = _Facts(row["brand"], row["last4"], row["container"])
        self._facts.move_to_end((merchant, mode, token))
        if len(self._facts) > FACTS_REMEMBERED_MAX:
            self._facts.popitem(last=False)
        return row

    async def keep(
        self,
        merchant: MerchantId,
        mode: Mode,
        token: TokenId,
        actor: str,
        agreed: StoredCredentialFacts | None = None,
    ) -> None:
        """Make a single-use token lasting, with what was agreed to. See `Forwarder`."""
        if not is_id("tok", token):
            raise TokenUnknown
        if not await self._keeper.last(merchant, mode, token, actor) or agreed is not None:
            # Lasting already, or not there; it may have another id by now.
            token = (await self.describe(merchant, mode, token)).token
        if agreed is not None:
            await self._keeper.agree(merchant, mode, token, actor, agreed)

    async def _opened(self, request: Forward, token: TokenId, matched: Matched) -> _Opened:
        """Record that a card is used, and open it: (3) and (4)."""
        facts = self._facts.get((request.merchant, request.mode, token))
        if facts is None:  # one more round trip, where another process described the card
            facts = await self._facts_of(request, token)
        if facts.brand == SYNTHETIC.name and matched.destination.processor != SIMULATOR:
            raise CardNotForProcessor
        await self._require_use(request, facts)
        use = _use_of(request, token)
        code = None if use is None else self._held.take(use)
        checked = None
        if code is None and request.cvc is not None:
            checked = await self._epochs.check(request.cvc, request.mode, request.merchant, token)
        row = await self._recorded(request, token, matched, facts, checked)  # (3)
        # Crash here: the record says used, CVC and cryptogram are spent, and nothing was opened.
        number = await digits_to_send(  # (4)
            self._sealer,
            row["sealed_number"],
            mode=request.mode,
            merchant=request.merchant,
            token=token,
            key_version=row["key_version"],
        )
        if checked is not None:
            code = self._epochs.open_recorded(checked)
        values: dict[Slot, str | int] = {
            Slot.CARD_NUMBER: number,
            Slot.CARD_EXP_MONTH: row["exp_month"],
            Slot.CARD_EXP_MONTH_DIGITS: f"{row['exp_month']:02d}",
            Slot.CARD_EXP_YEAR: row["exp_year"],
            Slot.CARD_EXP_YEAR_DIGITS: f"{row['exp_year']:04d}",
        }
        if code is not None:
            values[Slot.CARD_CVC] = code
        scope = (request.mode, request.merchant, token)
        values |= await opened_address(self._details, row, *scope)
        if row["cryptogram_sealed"] is not None:
            sealed = SealedDetail(CRYPTOGRAM, row["cryptogram_sealed"], row["cryptogram_version"])
            values[Slot.CARD_CRYPTOGRAM] = await self._details.cryptogram(sealed, *scope)
        return _Opened(values, number, code)

    async def _facts_of(self, request: Forward, token: TokenId) -> _Facts:
        row = await self._described(request.merchant, request.mode, token)
        return _Facts(row["brand"], row["last4"], row["container"])

    async def _require_use(self, request: Forward, facts: _Facts) -> None:
        """Refuse a token that payments may not use where it stands."""
        await self._rules.require_payments(
            request.merchant, request.mode, facts.container, Access.USE
        )

    async def _recorded(
        self,
        request: Forward,
        token: TokenId,
        matched: Matched,
        facts: _Facts,
        checked: CheckedCvc | None,
    ) -> Record:
        """Record a use, under the rules of where the token stands at that moment: (3)."""
        for _ in range(MOVES_FOLLOWED_MAX):
            row = await self._record(request, token, matched, facts, checked)
            if row["verdict"] != "moved":
                return row
            facts = await self._facts_of(request, token)
            await self._require_use(request, facts)
        raise AccessRefused

    async def _record(
        self,
        request: Forward,
        token: TokenId,
        matched: Matched,
        facts: _Facts,
        checked: CheckedCvc | None,
    ) -> Record:
        """Commit that a card and its CVC are used; return what is sealed: (3)."""
        now = self._clock.now()

        def made(action: Action, details: Mapping[str, str | int]) -> NewRecord:
            return self._recorder.make(
                action,
                actor=request.actor,
                merchant=request.merchant,
                mode=request.mode,
                thing=token,
                origin=request.origin,
                now=now,
                details=details,
                transaction_id=request.payment,
            )

        records = [
            made(
                Action.VAULT_TOKEN_USED,
                {
                    "brand": facts.brand,
                    "last4": facts.last4,
                    "operation": matched.route.name,
                    "processor": matched.destination.processor,
                },
            )
        ]
        if checked is not None:
            records.append(made(Action.VAULT_CVC_USED, {}))
        row = await self._uses.write(
            CardUse(
                request.merchant,
                request.mode,
                token,
                facts.container,
                None if checked is None else checked.cvc_id.hex(),
                Slot.CARD_CRYPTOGRAM in matched.slots,
                now,
                records,
                not matched.slots.isdisjoint(OF_ADDRESS),
            )
        )
        if row["verdict"] == "token_unknown":
            self._facts.pop((request.merchant, request.mode, token), None)
            raise TokenUnknown
        if row["verdict"] == "cvc_used":
            raise self._epochs.refuse_used()
        if row["verdict"] == "cryptogram_used":
            raise CryptogramUsed
        return row

    def _forwarded(
        self,
        request: Forward,
        token: TokenId | None,
        matched: Matched,
        opened: _Opened,
        reply: Reply,
    ) -> Forwarded:
        """Take card and address out of an answer, and decide what becomes of the CVC, by the id that was used: (6)."""
        cvc_state = CVC_ABSENT if opened.cvc is None else CVC_USED
        if not isinstance(reply, Answered):
            use = None if token is None else _use_of(request, token)
            if reply.outcome == "not_sent" and opened.cvc is not None and use is not None:
                cvc_state = CVC_HELD if self._held.hold(use, opened.cvc) else CVC_USED
            return Forwarded(
                reply.outcome, 0, {}, b"", reply.reason.value, reply.seconds, cvc_state
            )
        clean = Cleaner(opened.number)
        headers = {
            name: clean.text(reply.headers[name])
            for name in sorted(matched.destination.answer_headers)
            if name in reply.headers
        }
        body = without_addresses(clean.body(reply.body))
        return Forwarded("answered", reply.status, headers, body, "", reply.seconds, cvc_state)


def _sealed_facts(row: Record) -> list[SealedDetail]:
    """Return what payments read of a token, sealed."""
    return [
        SealedDetail(field, row[field], row[f"{field}_version"])
        for field in (NETWORK_TOKEN, STORED_CREDENTIAL)
        if row[field] is not None
    ]


def _require_fitting(request: Forward, matched: Matched) -> None:
    """Refuse slots without a card, a card or a CVC that no slot asks for, and a body that will not be one."""
    if (request.token is not None) != bool(matched.slots):
        raise TemplateRefused("what has slots has a card")
    if (request.cvc is not None) != (Slot.CARD_CVC in matched.slots):
        raise TemplateRefused("what has a slot for a CVC has one")
    if len(encoded(matched.body, matched.route.content_type)) > BODY_BYTES_MAX:
        raise TemplateRefused("a body is beyond its bound")


def _use_of(request: Forward, token: TokenId) -> Use | None:
    if request.cvc is None or request.payment is None:
        return None
    return Use(request.merchant, request.mode, token, request.payment, request.cvc)


def _outgoing(
    request: Forward, connection: OpenConnection, matched: Matched, opened: _Opened
) -> Outgoing:
    """Fill the slots and put the credentials in front: (4)."""
    headers = dict(matched.headers)
    body = None
    if matched.route.content_type:
        tree = filled(matched.body, opened.values) if matched.slots else matched.body
        body = encoded(tree, matched.route.content_type)
        headers["content-type"] = matched.route.content_type
        headers |= connection.signed(body)
    headers |= connection.headers
    destination = matched.destination
    return Outgoing(
        matched.route.method,
        connection.base_url + matched.target,
        headers,
        body,
        min(request.timeout_seconds, destination.timeout_seconds),
        destination.answer_bytes_max,
        connection.port,
    )
