# SPDX-License-Identifier: Apache-2.0
"""Sends a merchant's own request to its registered destination, once, with cards in the places of slots.

Whatever an error says, nothing was sent. Whatever became of a call that may have been sent is an answer, not an error.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from strongroom.audit import Action, NewRecord, Recorder
from strongroom.db.pool import Database
from strongroom.egress import Answered, HttpSender, Reply
from strongroom.http.idempotency import IdempotencyInFlight
from strongroom.kernel.errors import Denied, FieldError, Invalid, StrongroomError, told
from strongroom.kernel.ids import TokenId, is_id
from strongroom.kernel.permissions import Permission
from strongroom.kernel.schemes import SYNTHETIC
from strongroom.vault.calls import CVC_ABSENT, CVC_USED
from strongroom.vault.containers.model import Access, Granted, Transform
from strongroom.vault.containers.ports import ContainerRules
from strongroom.vault.create import TokenMaker
from strongroom.vault.cvc import CheckedCvc, CvcEpochs
from strongroom.vault.details import Details, SealedDetail
from strongroom.vault.errors import TokenUnknown
from strongroom.vault.forwarding import returning, store
from strongroom.vault.forwarding.book import DestinationBook, OpenDestination
from strongroom.vault.forwarding.credentials import (
    auth_headers,
    echoes,
)
from strongroom.vault.forwarding.errors import CardNotForDestination
from strongroom.vault.forwarding.language import Slot
from strongroom.vault.forwarding.model import Destination, Forwarded, Outcome
from strongroom.vault.forwarding.plan import (
    Plan,
    Preview,
    Sender,
    facts_of,
    outgoing_of,
    require_filled,
    url_of,
)
from strongroom.vault.forwarding.ports import Beside
from strongroom.vault.forwarding.repeats import fingerprints, repeated
from strongroom.vault.forwarding.requests import Asked, Read, read_request
from strongroom.vault.forwarding.values import (
    SEALED_BESIDE,
    CardFacts,
    OpenCard,
    masked,
    shortest,
)
from strongroom.vault.opening import digits_to_send
from strongroom.vault.sealing import CardSealer
from strongroom.vault.watching import UNWATCHED, Watch, Way
from strongroom.vault.wire import CardIn, TokenIn
from strongroom.vault.wishes import Asked as TokenAsked

#: How long after its time-out a forward counts as being sent: what its process needs to save the outcome.
LEASE_MARGIN: Final = timedelta(seconds=30)
#: A token that changes at every look is somebody's game.
CHANGES_FOLLOWED_MAX: Final = 3
#: What a dry run shows in the place of credentials.
SEALED: Final = "[sealed]"


class Forwarding:
    """Forwards for this process."""

    def __init__(
        self,
        *,
        database: Database,
        book: DestinationBook,
        sealer: CardSealer,
        epochs: CvcEpochs,
        rules: ContainerRules,
        egress: HttpSender,
        maker: TokenMaker,
        recorder: Recorder,
        beside: Beside,
        watch: Watch = UNWATCHED,
    ) -> None:
        self._watch = watch
        self._database = database
        self._book = book
        self._sealer = sealer
        self._epochs = epochs
        self._rules = rules
        self._egress = egress
        self._maker = maker
        self._recorder = recorder
        self._beside = beside
        self._clock = book.clock

    async def forward(self, destination: str, asked: Asked, sender: Sender) -> Forwarded:
        """Fill a request and send it, once for its key.

        Raises:
            Invalid: the request is not one of the destination's; names each field and no value.
            DestinationUnknown, DestinationDisabled, CannotReadDestination: see each.
            TokenUnknown, AccessRefused, CardNotForDestination, HolderMissing: likewise.
            CvcInvalid, CvcExpired, CvcUsed: likewise.
            IdempotencyMismatch, IdempotencyInFlight: the key was used with another request, or is in use.
            Unavailable, CannotReadCard: nothing was sent; the use may have been recorded, and the key spent.
        """
        # To forward a request:
        #  1. The destination is this merchant's, of this mode, and active; the request is one of its, slots and all.
        #  2. The key is new: what was begun under it before is answered as it ended, and never sent again.
        #  3. The tokens are there, by whichever id they were asked for; from here on they go by their present ones. The
        #     caller may use them, and they may go to this destination.
        #  4. Record key, use of cards and of CVCs, and get what is sealed: one round trip, all or nothing.
        #  5. Open the cards and the CVCs; fill the slots.
        #  6. Send, once.
        #  7. Save what came of it; take card data out of the answer, or make tokens of it.
        merchant, mode = sender.caller.scope
        opened = await self._book.open(merchant, mode, destination)  # (1)
        read = read_request(asked, opened.destination.config)
        _require_ids(read)
        await self._named(read, sender)
        look = await self._look(read, sender)
        keys = self._sealer.recent(merchant, mode) or await self._sealer.keys(merchant, mode)
        prints = fingerprints(keys, destination, asked, look.first)
        if look.begun is not None:  # (2)
            return repeated(look.begun, prints, self._clock.now())
        plan, checked, wish, sealed = await self._begun(  # (3) (4)
            opened, read, look, prints[0], sender
        )
        # Crash here: recorded, and nothing was sent. Nobody else knows that: the key's outcome is unknown.
        try:
            cards = await self._opened(plan, sealed, checked, sender)  # (5)
            outgoing = outgoing_of(plan, cards, self._clock.now().timestamp())
        except StrongroomError as error:
            # It is shown to whoever repeats the call.
            await self._save(wish, Outcome.NOT_SENT, 0, told(error).code, 0.0)
            raise
        reply = await self._egress.send(outgoing)  # (6)
        # Crash here: it may have been sent, and the key's outcome is unknown. It is not sent again.
        status = reply.status if isinstance(reply, Answered) else 0
        reason = "" if isinstance(reply, Answered) else reply.reason.value
        await self._save(wish, Outcome(reply.outcome), status, reason, reply.seconds)  # (7)
        return await self._forwarded(plan, cards, wish, reply, sender)

    async def preview(self, destination: str, asked: Asked, sender: Sender) -> Preview:
        """Return the request that would be sent, masked: no card is opened, and no key is used up.

        Raises:
            As `forward`, but for what concerns CVCs, holders and keys.
        """
        merchant, mode = sender.caller.scope
        opened = await self._book.open(merchant, mode, destination)
        read = read_request(asked, opened.destination.config)
        _require_ids(read)
        await self._named(read, sender)
        look = await self._look(read, sender)
        plan = await self._plan(opened, read, look.cards, sender)
        read = plan.read
        async with self._database.transaction([merchant]) as tx:
            for card in plan.cards.values():
                record = self._record(Action.VAULT_TOKEN_READ, card.token, {}, sender)
                await self._recorder.insert(tx, record)

        def shown(slot: Slot) -> str:
            token = read.token_of(slot)
            seen = plan.granted[token].transform
            return masked(plan.cards[token], slot.field, digits=seen is not Transform.REDACT)

        config = opened.destination.config
        headers = {
            **read.filled_headers(shown),
            "content-type": config.content_type.value,
            **dict.fromkeys(sorted(auth_headers(config)), SEALED),
        }
        return Preview(read.method, url_of(opened, read), headers, read.body.filled(shown).decode())

    async def _named(self, read: Read, sender: Sender) -> None:
        caller = sender.caller
        who = caller.principal.subject
        await self._watch.named(caller.scope, who, caller.origin, Way.FORWARD, read.tokens)

    # --- before anything is recorded -------------------------------------------------------------------

    async def _look(self, read: Read, sender: Sender) -> store.Look:
        merchant, mode = sender.caller.scope
        return await store.look(
            self._database, merchant, mode, sender.key, read.tokens, self._clock.now()
        )

    async def _plan(
        self, opened: OpenDestination, read: Read, found: Mapping[str, CardFacts], sender: Sender
    ) -> Plan:
        """Refuse tokens that are not there, may not be used, or may not go to this destination: (3)."""
        principal = sender.caller.principal
        config = opened.destination.config
        if config.tokenize and Permission.VAULT_TOKEN_CREATE not in principal.permissions:
            raise Denied(f"the caller lacks the permission {Permission.VAULT_TOKEN_CREATE}")
        if found.keys() != set(read.tokens):
            raise TokenUnknown
        read = read.under({asked: card.token for asked, card in found.items()})
        cards = {card.token: card for card in found.values()}
        granted: dict[str, Granted] = {}
        for token, card in cards.items():
            granted[token] = await self._rules.require(principal, card.container, Access.USE)
            address = opened.target.address
            if card.brand == SYNTHETIC.name and (address is None or not address.is_loopback):
                raise CardNotForDestination
        beside = await self._sealed_beside(read, sender) if read.beside else {}
        # What fits is never refused here; what certainly does not is, before a use is recorded. The rest shows once
        # it is open.
        size = len(read.body.filled(lambda slot: shortest(cards[read.token_of(slot)], slot.field)))
        if size > config.request_bytes_max:
            raise Invalid(
                FieldError("/body", "body_too_large", "beyond what the destination takes")
            )
        return Plan(opened, read, cards, granted, beside)

    async def _sealed_beside(
        self, read: Read, sender: Sender
    ) -> Mapping[str, Sequence[SealedDetail]]:
        """Return what is sealed for slots; refuse, by their names, those whose token holds nothing of the kind."""
        merchant, mode = sender.caller.scope
        fields = {SEALED_BESIDE[slot.field] for slot in read.beside}
        tokens = {read.token_of(slot) for slot in read.beside}
        found = await self._beside.sealed(merchant, mode, tokens, fields)
        require_filled(read, found)
        return found

    async def _checked_cvcs(self, read: Read, sender: Sender) -> Mapping[str, CheckedCvc]:
        merchant, mode = sender.caller.scope
        return {
            token: await self._epochs.check(text, mode, merchant, TokenId(token))
            for token, text in read.cvcs.items()
        }

    # --- recorded, then opened ---------------------------------------------------------------------------

    async def _begun(
        self,
        opened: OpenDestination,
        read: Read,
        look: store.Look,
        fingerprint: bytes,
        sender: Sender,
    ) -> tuple[Plan, Mapping[str, CheckedCvc], store.Wish, Sequence[store.Sealed]]:
        """Check what may be sent, and begin it: (3) and (4). Once more, where a token got another id in between."""
        for _ in range(CHANGES_FOLLOWED_MAX):
            plan = await self._plan(opened, read, look.cards, sender)
            checked = await self._checked_cvcs(plan.read, sender)
            try:
                return plan, checked, *await self._begin(plan, checked, fingerprint, sender)
            except TokenUnknown:
                before, look = look, await self._look(read, sender)
                if look.cards == before.cards:
                    raise
        raise TokenUnknown

    async def _begin(
        self,
        plan: Plan,
        checked: Mapping[str, CheckedCvc],
        fingerprint: bytes,
        sender: Sender,
    ) -> tuple[store.Wish, Sequence[store.Sealed]]:
        """Commit that cards and CVCs are used under this key; return what is sealed: (4)."""
        merchant, mode = sender.caller.scope
        destination, now = plan.opened.destination, self._clock.now()
        timeout = timedelta(milliseconds=destination.config.timeout_ms)
        wish = store.Wish(
            merchant,
            mode,
            sender.key,
            sender.claim,
            fingerprint,
            destination.destination_id,
            now,
            now + timeout + LEASE_MARGIN,
            tuple(plan.cards.values()),
            tuple(each.cvc_id.hex() for each in checked.values()),
        )
        records = [
            self._record(Action.VAULT_TOKEN_FORWARDED, card.token, facts_of(card, plan), sender)
            for card in wish.cards
        ]
        records += [self._record(Action.VAULT_CVC_USED, token, {}, sender) for token in checked]
        begun = await store.begin(self._database, wish, records)
        if begun == "cvc_used":
            raise self._epochs.refuse_used()
        if begun == "token_unknown":
            raise TokenUnknown
        if begun == "key_taken":  # a moment ago: whoever asks again is told how it ended
            raise IdempotencyInFlight
        return wish, begun

    async def _opened(
        self,
        plan: Plan,
        sealed: Sequence[store.Sealed],
        checked: Mapping[str, CheckedCvc],
        sender: Sender,
    ) -> Mapping[str, OpenCard]:
        """Open what is recorded as used: (5)."""
        merchant, mode = sender.caller.scope
        cards = {}
        for each in sealed:
            token = TokenId(each.token)
            number = await digits_to_send(
                self._sealer,
                each.number,
                mode=mode,
                merchant=merchant,
                token=token,
                key_version=each.key_version,
            )
            details = Details()
            if each.token in plan.beside:
                details = await self._beside.opened(plan.beside[each.token], merchant, mode, token)
            code = None
            if each.token in checked:
                code = self._epochs.open_recorded(checked[each.token])
            proof = plan.read.proofs.get(each.token)
            cards[each.token] = OpenCard(plan.cards[each.token], number, code, details, proof)
        return cards

    async def _save(
        self, wish: store.Wish, outcome: Outcome, status: int, reason: str, seconds: float
    ) -> None:
        """Save an outcome. Where that fails, the key's outcome is unknown once its lease is over: never better."""
        try:
            await store.end(
                self._database, wish, outcome.value, status, reason, round(seconds * 1_000)
            )
        except StrongroomError:
            return

    async def _forwarded(
        self,
        plan: Plan,
        cards: Mapping[str, OpenCard],
        wish: store.Wish,
        reply: Reply,
        sender: Sender,
    ) -> Forwarded:
        """Return what came of it: (7)."""
        cvc_state = CVC_USED if wish.cvcs else CVC_ABSENT
        milliseconds = round(reply.seconds * 1_000)
        outcome = Outcome(reply.outcome)
        if not isinstance(reply, Answered):
            return Forwarded(
                wish.claim,
                wish.destination,
                outcome,
                0,
                reply.reason.value,
                milliseconds,
                cvc_state,
            )
        config = plan.opened.destination.config
        body = reply.body
        tokens: tuple[str, ...] = ()
        if config.tokenize:
            body, tokens = await self._tokenized(reply.body, plan.opened.destination, sender)
        clean = returning.clean(
            reply.headers,
            body,
            numbers=[card.number for card in cards.values()],
            echoes=echoes(
                plan.opened.credentials, [each.cryptogram for each in plan.read.proofs.values()]
            ),
            wanted=config.answer_headers,
        )
        return Forwarded(
            wish.claim,
            wish.destination,
            outcome,
            reply.status,
            "",
            milliseconds,
            cvc_state,
            clean.headers,
            clean.body,
            clean.withheld,
            tokens,
        )

    async def _tokenized(
        self, body: bytes, destination: Destination, sender: Sender
    ) -> tuple[bytes, tuple[str, ...]]:
        """Make tokens of the cards in an answer; what cannot become one stays, to be taken out."""
        tree, found = returning.cards_in(body, destination.config.tokenize)
        tokens: list[str] = []
        for number, each in enumerate(found):
            asked = TokenAsked(
                sender.caller.principal,
                sender.caller.origin,
                f"forward {sender.claim} {number}",
                self._clock.now(),
                sender.claim,
            )
            try:
                wish = TokenIn(CardIn(each.number, each.exp_month, each.exp_year), deduplicate=True)
                written = await self._maker.create(wish, asked)
            except StrongroomError:
                continue
            token = str(msgspec.json.decode(written.answer)["id"])
            returning.put(tree, each.place, token)
            tokens.append(token)
        return (returning.encoded(tree), tuple(tokens)) if tokens else (body, ())

    def _record(
        self, action: Action, token: str, details: Mapping[str, str | int], sender: Sender
    ) -> NewRecord:
        merchant, mode = sender.caller.scope
        return self._recorder.make(
            action,
            actor=sender.caller.principal.subject,
            merchant=merchant,
            mode=mode,
            thing=token,
            origin=sender.caller.origin,
            now=self._clock.now(),
            details=details,
        )


def _require_ids(read: Read) -> None:
    """What has not a token's form is no token: the database need not be asked, and no NUL gets there."""
    if not all(is_id("tok", token) for token in read.tokens):
        raise TokenUnknown
