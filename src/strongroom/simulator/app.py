# SPDX-License-Identifier: Apache-2.0
"""The money API and the challenge page over HTTP. A wish is executed once for each idempotency key.

The steps of a POST that moves money, numbered where they are done:
1. Who asks; what is asked; under which key. A refusal here did nothing and is not remembered.
2. What goes wrong "before" goes wrong here: nothing is executed, the key stays unused.
3. A key that was used is answered as before; one that is in use, or came with another body, is refused.
4. Execute: decision, journal and state in one go, whether or not the client is still there.
5. The answer takes as long as answers take. The key counts as in use until it has passed.
6. Send the event; what goes wrong "after" goes wrong here; answer.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from strongroom.crypto import equal, hmac_sha256
from strongroom.crypto.ids import new_id
from strongroom.simulator import wire
from strongroom.simulator.administration import Administration
from strongroom.simulator.books import Operation, Payment, Status
from strongroom.simulator.challenge import (
    challenge_page,
    done_page,
    over_page,
    page_headers,
    return_address,
)
from strongroom.simulator.errors import Refusal
from strongroom.simulator.faults import ANSWER, BEFORE, NOTICE, Chosen, DrawBy, Fault, named
from strongroom.simulator.journal import Line
from strongroom.simulator.ledger import Account
from strongroom.simulator.misshape import misshapen
from strongroom.simulator.processor import Asked
from strongroom.simulator.reply import JSON, Reply, cut, is_gone
from strongroom.simulator.simulation import Simulation

SIGNATURE_HEADER: Final = "Sim-Body-Signature"
IDEMPOTENCY_KEY_CHARACTERS_MAX: Final = 255
#: How soon a held connection is let go after its client left.
_HOLD_STEP_SECONDS: Final = 0.05

_log: Final = logging.getLogger("strongroom.simulator")
_payment_decoder: Final = msgspec.json.Decoder(wire.PaymentWish)
_capture_decoder: Final = msgspec.json.Decoder(wire.CaptureWish)
_void_decoder: Final = msgspec.json.Decoder(wire.VoidWish)
_amount_decoder: Final = msgspec.json.Decoder(wire.AmountWish)


class _Wish(NamedTuple):
    """A money request after step 1."""

    operation: str
    account: Account
    key: str
    fingerprint: str
    reference: str
    #: What is wished for, without what differs from run to run.
    named: str
    execute: Callable[[Asked], Line]


class App:
    """The simulator's routes; `handle` is what the server calls."""

    def __init__(self, simulation: Simulation, control_key: str, fingerprint_key: bytes) -> None:
        self._simulation = simulation
        self._fingerprint_key = fingerprint_key
        self._administration = Administration(simulation, control_key)
        #: Keys in use, with the fingerprint of what they are used for.
        self._running: dict[tuple[str, str], str] = {}
        processor = simulation.processor
        self._operations: Mapping[str, tuple[str, Any, Callable[..., Line]]] = {
            "captures": ("capture", _capture_decoder, processor.capture),
            "voids": ("void", _void_decoder, processor.void),
            "refunds": ("refund", _amount_decoder, processor.refund),
            "increments": ("increment", _amount_decoder, processor.increment),
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, or cut its connection."""
        try:
            reply = await self._route(request)
        except Refusal as refusal:
            reply = Reply(refusal.status, wire.error_body(refusal))
        except web.HTTPRequestEntityTooLarge:
            reply = _refused(413, "body_too_large", "the body is larger than this takes")
        except (ConnectionError, web.RequestPayloadError):
            reply = None  # the client left while it was sending
        except Exception as error:  # noqa: BLE001 - a bug is said without what the request held
            _log.error("the simulator failed: %s", type(error).__name__)
            reply = _internal()
        if reply is None:
            return await cut(request)
        return web.Response(
            status=reply.status,
            body=reply.body,
            headers={"Content-Type": JSON, **reply.headers, "Sim-Request-Id": new_id("sq")},
        )

    async def _route(self, request: web.BaseRequest) -> Reply | None:
        match (request.method, *request.path.split("/")[1:]):
            case ("POST", "v1", "payments"):
                return await self._money(request, self._authorize_wish)
            case ("POST", "v1", "payments", payment_id, what) if what in self._operations:
                return await self._money(
                    request, lambda *known: self._operation_wish(payment_id, what, *known)
                )
            case ("GET", "v1", "payments", payment_id):
                return await self._payment(request, payment_id)
            case ("GET", "v1", "operations"):
                return await self._find(request)
            case ("GET", "v1", "account"):
                account = self._authenticate(request)
                return Reply(200, wire.encode(wire.account_view(account)))
            case ("GET" | "HEAD", "challenge", payment_id):
                return self._challenge(payment_id)
            case ("POST", "challenge", payment_id):
                return await self._challenged(request, payment_id)
            case (method, "control", *rest):
                return await self._administration.answer(request, method, tuple(rest))
            case _:
                raise Refusal(404, "not_found", "there is nothing at this address")

    # --- money ----------------------------------------------------------------------------------------

    async def _money(
        self, request: web.BaseRequest, read: Callable[[Account, str, bytes], _Wish]
    ) -> Reply | None:
        account = self._authenticate(request)  # 1
        body = await request.read()
        asked_at = asyncio.get_running_loop().time()
        _check_signature(account, request, body)
        wish = read(account, _idempotency_key(request), body)
        faults = self._simulation.faults
        name = wish.key if faults.draw_by is DrawBy.KEY else wish.named
        seen = faults.see(wish.operation, name)

        def choose(among: frozenset[Fault]) -> Chosen | None:
            return faults.choose(
                among, wish.operation, key=name, reference=wish.reference, seen=seen
            )

        fault = choose(ANSWER)
        if fault is not None and fault.fault in BEFORE:  # 2
            return await self._without(request, fault)
        place = (account.account, wish.key)
        running = self._running.get(place)
        known = self._simulation.ledger.answer(*place)
        if running is not None:  # 3
            _require_same(running, wish.fingerprint)
            raise Refusal(409, "idempotency_in_flight", "a request with this key is under way")
        if known is not None:
            _require_same(known.fingerprint, wish.fingerprint)
            await self._answer_time(asked_at)
            return await self._with(request, fault, wish.key, known.subject, replayed=True)
        self._running[place] = wish.fingerprint
        try:
            if fault is not None and fault.fault is Fault.ACT_LATE:
                await self._wait(fault.seconds)
                asked_at += fault.seconds
            away = fault is not None and fault.fault is Fault.ACQUIRER_AWAY
            declined = "acquirer_error" if away else None
            line = wish.execute(Asked(account.account, wish.key, wish.fingerprint, declined))  # 4
            await self._answer_time(asked_at)  # 5
            self._simulation.happened(line, choose(NOTICE) if line.announces else None)  # 6
            if fault is not None and fault.fault is Fault.SLOW:
                await self._wait(fault.seconds)
        finally:
            del self._running[place]
        return await self._with(request, fault, wish.key, line.subject, replayed=False)

    def _authorize_wish(self, account: Account, key: str, body: bytes) -> _Wish:
        wish = wire.decode(_payment_decoder, body)
        wire.check_payment(wish)
        # The CVC is left out: a wish that is repeated later cannot bring it again.
        kept = msgspec.structs.replace(wish, card=msgspec.structs.replace(wish.card, cvc=None))
        return _Wish(
            "authorize",
            account,
            key,
            self._fingerprint("payments", kept),
            wish.reference,
            named(account.account, wish.amount, wish.currency),
            lambda asked: self._simulation.processor.authorize(asked, wish),
        )

    def _operation_wish(
        self, payment_id: str, what: str, account: Account, key: str, body: bytes
    ) -> _Wish:
        operation, decoder, execute = self._operations[what]
        wish = wire.decode(decoder, body)
        wire.refuse_card_number("reference", wish.reference)
        payment = self._own(account, payment_id)

        def now(asked: Asked) -> Line:
            return execute(asked, self._own(account, payment_id), wish)

        fingerprint = self._fingerprint(f"{what}/{payment_id}", wish)
        part = getattr(wish, "amount", None)
        name = named(account.account, payment.amount, payment.currency, part)
        return _Wish(operation, account, key, fingerprint, wish.reference, name, now)

    def _fingerprint(self, place: str, wish: msgspec.Struct) -> str:
        """Keyed, because a card number is among what it is of."""
        data = f"{place}\0".encode() + wire.encode(wish)
        return hmac_sha256(self._fingerprint_key, data).hex()[:32]

    # --- reading --------------------------------------------------------------------------------------

    async def _payment(self, request: web.BaseRequest, payment_id: str) -> Reply | None:
        account = self._authenticate(request)
        payment = self._own(account, payment_id)
        return await self._found(
            request,
            payment_id,
            payment.reference,
            lambda: wire.payment_view(self._own(account, payment_id), self._simulation.url),
        )

    async def _find(self, request: web.BaseRequest) -> Reply | None:
        account = self._authenticate(request)
        reference = request.rel_url.query.get("reference", "")
        if not reference:
            raise Refusal(422, "field_missing", "a parameter is missing", "reference")
        return await self._found(
            request,
            reference,
            reference,
            lambda: wire.Found(
                [
                    wire.view(each, self._simulation.url)
                    for each in self._simulation.visible(account.account, reference)
                ]
            ),
        )

    async def _found(
        self, request: web.BaseRequest, key: str, reference: str, look: Callable[[], object]
    ) -> Reply | None:
        faults = self._simulation.faults
        name = self._simulation.named(key, reference)
        seen = faults.see("find", name)
        fault = faults.choose(ANSWER, "find", key=name, reference=reference, seen=seen)
        if fault is not None and fault.fault in BEFORE:
            return await self._without(request, fault)
        if fault is not None and fault.fault in {Fault.SLOW, Fault.ACT_LATE}:
            await self._wait(fault.seconds)
        return await self._faulty(request, fault, key, Reply(200, wire.encode(look())))

    # --- challenge ------------------------------------------------------------------------------------

    def _challenge(self, payment_id: str) -> Reply:
        payment = self._simulation.ledger.payments.get(payment_id)
        if payment is None:
            raise Refusal(404, "not_found", "there is no such challenge")
        return Reply(200, challenge_page(payment).encode(), page_headers(payment))

    async def _challenged(self, request: web.BaseRequest, payment_id: str) -> Reply:
        form = parse_qs((await request.read()).decode("ascii", "replace"))
        payment = self._simulation.ledger.payments.get(payment_id)
        if payment is None:
            raise Refusal(404, "not_found", "there is no such challenge")
        if payment.status is not Status.REQUIRES_ACTION:
            return Reply(200, over_page().encode(), page_headers(None))
        outcome = form.get("outcome", [""])[0]
        if outcome not in {"approve", "fail"}:
            raise Refusal(422, "value_wrong", "an outcome is approve or fail", "outcome")
        line = self._simulation.processor.challenged(payment, approved=outcome == "approve")
        self._simulation.happened_by_itself(line)
        if payment.return_url is None:
            return Reply(200, done_page().encode(), page_headers(None))
        back = return_address(payment.return_url, payment_id)
        return Reply(303, b"", {**page_headers(payment), "Location": back})

    # --- answering ------------------------------------------------------------------------------------

    async def _with(
        self,
        request: web.BaseRequest,
        fault: Chosen | None,
        key: str,
        subject: Payment | Operation,
        *,
        replayed: bool,
    ) -> Reply | None:
        """Answer with what was executed, or with what goes wrong afterwards."""
        body = wire.encode(wire.view(subject, self._simulation.url))
        headers = {"Idempotent-Replayed": "true"} if replayed else {}
        return await self._faulty(request, fault, key, Reply(201, body, headers))

    async def _faulty(
        self, request: web.BaseRequest, fault: Chosen | None, key: str, reply: Reply
    ) -> Reply | None:
        match None if fault is None else fault.fault:
            case Fault.TIMEOUT_AFTER if fault is not None:
                await self._hold(request, fault.seconds)
                return None
            case Fault.ERROR_500_AFTER:
                return _internal()
            case Fault.CUT_AFTER:
                return None
            case Fault.WRONG_SHAPE:
                return Reply(reply.status, misshapen(reply.body, key), reply.headers)
            case _:
                return reply

    async def _without(self, request: web.BaseRequest, fault: Chosen) -> Reply | None:
        """Answer without having executed anything."""
        if fault.fault is Fault.ERROR_500_BEFORE:
            return _internal()
        if fault.fault is Fault.BUSY:
            return _refused(429, "too_many_requests", "too many requests; nothing was executed")
        if fault.fault is Fault.TIMEOUT_BEFORE:
            await self._hold(request, fault.seconds)
        return None

    async def _hold(self, request: web.BaseRequest, seconds: float) -> None:
        """Let the client wait until it leaves, or for so long; then cut."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds

        def over() -> bool:
            return is_gone(request) or loop.time() > end or self._simulation.stopping

        while not over():  # noqa: ASYNC110 - the server has no event for a client that leaves
            await asyncio.sleep(_HOLD_STEP_SECONDS)

    async def _answer_time(self, asked_at: float) -> None:
        """Wait until an answer has taken as long as answers take, counted from when its request had come."""
        passed = asyncio.get_running_loop().time() - asked_at
        await self._wait(max(0.0, self._simulation.pace.latency - passed))

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(seconds)

    # --- who asks -------------------------------------------------------------------------------------

    def _authenticate(self, request: web.BaseRequest) -> Account:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        account = self._simulation.ledger.account_of(key) if scheme == "Bearer" else None
        if account is None:
            raise Refusal(401, "unauthenticated", "no valid API key was given")
        return account

    def _own(self, account: Account, payment_id: str) -> Payment:
        payment = self._simulation.ledger.payments.get(payment_id)
        if payment is None or payment.account != account.account:
            raise Refusal(404, "not_found", "there is no such payment")
        return payment


def _check_signature(account: Account, request: web.BaseRequest, body: bytes) -> None:
    if account.signing_secret is None:
        return
    wanted = hmac_sha256(account.signing_secret.encode(), body).hex()
    given = request.headers.get(SIGNATURE_HEADER, "")
    if not equal(wanted.encode(), given.encode("utf-8", "replace")):
        raise Refusal(401, "signature_wrong", "the body's signature does not hold")


def _idempotency_key(request: web.BaseRequest) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        raise Refusal(400, "idempotency_key_missing", "this route needs an Idempotency-Key header")
    if len(key) > IDEMPOTENCY_KEY_CHARACTERS_MAX or not (key.isascii() and key.isprintable()):
        raise Refusal(400, "idempotency_key_malformed", "an Idempotency-Key is printable ASCII")
    wire.refuse_card_number("Idempotency-Key", key)
    return key


def _require_same(known: str, given: str) -> None:
    if known != given:
        raise Refusal(422, "idempotency_mismatch", "this key was used with another body")


def _internal() -> Reply:
    return _refused(500, "internal", "something failed; whether it was executed is not said")


def _refused(status: int, code: str, message: str) -> Reply:
    return Reply(status, wire.error_body(Refusal(status, code, message)))
