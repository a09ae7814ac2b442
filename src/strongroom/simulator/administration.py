# SPDX-License-Identifier: Apache-2.0
"""The control API: accounts, faults, the journal, the books, and what happens without a client.

For tests and for people at the command line, under a key of its own.
"""

from collections import defaultdict
from typing import Any, Final

import msgspec
from aiohttp import web

from strongroom.crypto import equal, new_secret_text
from strongroom.simulator import wire
from strongroom.simulator.books import Operation, Payment, Totals, not_possible
from strongroom.simulator.control_wire import (
    AccountWish,
    BooksView,
    CurrencyTotals,
    FaultsView,
    FaultsWish,
    Happening,
    HappenWish,
    JournalView,
    NoticesView,
    PaymentTotals,
)
from strongroom.simulator.disputes import Stage
from strongroom.simulator.errors import Refusal
from strongroom.simulator.faults import ANSWER, NOTICE, RATES, Demand
from strongroom.simulator.journal import Line
from strongroom.simulator.ledger import Account, Webhook
from strongroom.simulator.reply import Reply
from strongroom.simulator.simulation import Simulation

API_KEY_BITS: Final = 256
_STAGES: Final = {
    Happening.DISPUTE_INQUIRED: Stage.INQUIRY,
    Happening.DISPUTE_LOST: Stage.LOST,
    Happening.DISPUTE_OPENED: Stage.OPENED,
    Happening.DISPUTE_REVERSED: Stage.REVERSED,
    Happening.DISPUTE_WON: Stage.WON,
}
_account_decoder: Final = msgspec.json.Decoder(AccountWish)
_faults_decoder: Final = msgspec.json.Decoder(FaultsWish)
_happen_decoder: Final = msgspec.json.Decoder(HappenWish)


class Administration:
    """What holders of the control key may do."""

    def __init__(self, simulation: Simulation, control_key: str) -> None:
        self._simulation = simulation
        self._control_key = control_key.encode()

    async def answer(self, request: web.BaseRequest, method: str, path: tuple[str, ...]) -> Reply:
        """Answer a request below /control.

        Raises:
            Refusal: without the key, or for what cannot be.
        """
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not equal(given.encode("utf-8", "replace"), self._control_key):
            raise Refusal(401, "unauthenticated", "no valid control key was given")
        return Reply(200, wire.encode(await self._do(request, method, path)))

    async def _do(self, request: web.BaseRequest, method: str, path: tuple[str, ...]) -> Any:
        query = request.rel_url.query
        account = query.get("account")
        match (method, *path):
            case ("POST", "accounts"):
                return self.put_account(wire.decode(_account_decoder, await request.read()))
            case ("POST", "faults"):
                return self._faults(wire.decode(_faults_decoder, await request.read()))
            case ("GET", "faults"):
                return self._present_faults()
            case ("DELETE", "faults"):
                self._simulation.faults.forget()
                self._simulation.pace.visibility = 0.0
                return self._present_faults()
            case ("GET", "journal"):
                return self._journal(account, query.get("after", "0"))
            case ("GET", "books"):
                return self._books(account)
            case ("GET", "notices"):
                counts = self._simulation.notices.counts
                return msgspec.convert(counts, NoticesView, from_attributes=True)
            case ("POST", "happen"):
                return self._happen(wire.decode(_happen_decoder, await request.read()))
            case _:
                raise Refusal(404, "not_found", "there is nothing at this address")

    def put_account(self, wish: AccountWish) -> Account:
        """Make an account, or change what is given of one; a key is made where there is none."""
        ledger = self._simulation.ledger
        known = ledger.accounts.get(wish.account)
        api_key = wish.api_key or (known.api_key if known else None)
        account = Account(
            account=wish.account,
            api_key=api_key or "sim_sk_" + new_secret_text(API_KEY_BITS),
            webhook=_webhook(wish, known),
            signing_secret=_signing_secret(wish, known),
        )
        holder = ledger.account_of(account.api_key)
        if holder is not None and holder.account != account.account:
            raise not_possible("another account has this API key")
        ledger.put_account(account)
        return account

    # --- faults ---------------------------------------------------------------------------------------

    def _faults(self, wish: FaultsWish) -> FaultsView:
        simulation, faults = self._simulation, self._simulation.faults
        seed = faults.seed if wish.seed is msgspec.UNSET else wish.seed
        rates = faults.rates if wish.rates is msgspec.UNSET else dict(wish.rates)
        for among in (ANSWER, NOTICE):
            if sum(rate for fault, rate in rates.items() if fault in among) > 1:
                raise Refusal(422, "value_wrong", "rates of one kind add up to at most 1", "rates")
        if wish.rates and seed is None:
            raise Refusal(422, "field_missing", "rates need a seed", "seed")
        faults.seed = seed
        faults.rates = dict(RATES) if seed is not None and not rates and not wish.rates else rates
        if wish.draw_by is not msgspec.UNSET:
            faults.draw_by = wish.draw_by
        if wish.seconds is not msgspec.UNSET:
            faults.seconds = dict(wish.seconds)
        faults.demand(
            Demand(each.fault, each.operation, each.reference, each.seconds) for each in wish.next
        )
        pace = simulation.pace
        if wish.visibility is not msgspec.UNSET:
            pace.visibility = wish.visibility
        if wish.latency_ms is not msgspec.UNSET:
            pace.latency = wish.latency_ms / 1000
        if wish.pending_seconds is not msgspec.UNSET:
            simulation.set_pending(wish.pending_seconds)
        if wish.retry_seconds is not msgspec.UNSET:
            simulation.notices.retry_seconds = wish.retry_seconds
        return self._present_faults()

    def _present_faults(self) -> FaultsView:
        faults, pace = self._simulation.faults, self._simulation.pace
        return FaultsView(
            seed=faults.seed,
            draw_by=faults.draw_by,
            rates=faults.rates,
            seconds=faults.seconds,
            waiting=len(faults.demands),
            visibility=pace.visibility,
            latency_ms=pace.latency * 1000,
            pending_seconds=pace.pending,
            retry_seconds=self._simulation.notices.retry_seconds,
        )

    # --- reading --------------------------------------------------------------------------------------

    def _journal(self, account: str | None, after: str) -> JournalView:
        if not (after.isascii() and after.isdecimal()):
            raise Refusal(422, "value_wrong", "a number of an entry is a number", "after")
        entries = self._simulation.ledger.entries[int(after) :]
        return JournalView([e for e in entries if account in {None, e.account}])

    def _books(self, account: str | None) -> BooksView:
        sums: dict[tuple[str, str], Totals] = defaultdict(Totals)
        disputed: dict[tuple[str, str], int] = defaultdict(int)
        shown = []
        for payment in self._simulation.ledger.payments.values():
            if account not in {None, payment.account}:
                continue
            totals = payment.totals
            place = (payment.account, payment.currency)
            sums[place] = sums[place].plus(
                authorized=totals.authorized,
                captured=totals.captured,
                voided=totals.voided,
                refunded=totals.refunded,
            )
            disputed[place] += payment.disputed
            shown.append(
                PaymentTotals(
                    id=payment.payment_id,
                    account=payment.account,
                    reference=payment.reference,
                    status=payment.status,
                    amount=payment.amount,
                    currency=payment.currency,
                    disputed=payment.disputed,
                    **msgspec.structs.asdict(totals),
                )
            )
        totals_shown = [
            CurrencyTotals(
                account=name,
                currency=currency,
                disputed=disputed[name, currency],
                **msgspec.structs.asdict(each),
            )
            for (name, currency), each in sorted(sums.items())
        ]
        return BooksView(totals=totals_shown, payments=shown)

    # --- what happens ---------------------------------------------------------------------------------

    def _happen(self, wish: HappenWish) -> wire.View:
        simulation = self._simulation
        subject = self._subject(wish)
        if wish.kind is Happening.WEBHOOK_AGAIN:
            line = simulation.ledger.announced.get(_id_of(subject))
            if line is None or line.announces is None:
                raise not_possible("nothing was announced of this")
            simulation.announce(line, line.announces, None)
        else:
            line = self._caused(wish, subject)
            simulation.happened_by_itself(line)
        return wire.view(line.subject, simulation.url)

    def _caused(self, wish: HappenWish, subject: Payment | Operation) -> Line:
        processor = self._simulation.processor
        match wish.kind:
            case Happening.CAPTURE_FAILED:
                return processor.capture_failed(subject)
            case Happening.REFUND_FAILED:
                return processor.refund_failed(subject)
            case Happening.PAYMENT_EXPIRED:
                return processor.expired(_payment(subject))
            case Happening.PENDING_APPROVED:
                return processor.decided(_payment(subject), approved=True)
            case Happening.PENDING_DECLINED:
                return processor.decided(_payment(subject), approved=False)
            case _:
                stage = _STAGES[wish.kind]
                return processor.disputed(_payment(subject), wish.amount, stage)

    def _subject(self, wish: HappenWish) -> Payment | Operation:
        """What a reference names; of several with one reference, the last."""
        ledger = self._simulation.ledger
        if wish.account is None:
            found = ledger.named_anywhere(wish.reference)
        else:
            found = ledger.named(wish.account, wish.reference)
        if not found:
            raise Refusal(404, "not_found", "nothing has this reference")
        return found[-1]


def _id_of(subject: Payment | Operation) -> str:
    return subject.payment_id if isinstance(subject, Payment) else subject.operation_id


def _payment(subject: Payment | Operation) -> Payment:
    if isinstance(subject, Payment):
        return subject
    raise not_possible("this reference is not a payment's")


def _webhook(wish: AccountWish, known: Account | None) -> Webhook | None:
    given = wish.webhook
    if isinstance(given, msgspec.UnsetType):
        return known.webhook if known else None
    if given is None:
        return None
    if not wire.is_url(given.url):
        raise Refusal(422, "value_wrong", "this is not an absolute URL", "webhook.url")
    if not given.secrets and given.encryption_key is None:
        raise Refusal(422, "field_missing", "a webhook is signed or encrypted", "webhook.secrets")
    return Webhook(given.url, given.secrets, given.encryption_key)


def _signing_secret(wish: AccountWish, known: Account | None) -> str | None:
    if isinstance(wish.signing_secret, msgspec.UnsetType):
        return known.signing_secret if known else None
    return wish.signing_secret
