# SPDX-License-Identifier: Apache-2.0
"""Stands in Stripe's place: takes what its description has and nothing else, keeps keys as documented, moves no money.

What is saved under a key is the first answer, whatever it was; the same key with another body is an error, and with one
that still runs a conflict (docs.stripe.com/api/idempotent_requests). Its objects are Stripe's published examples.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from contracts.stripe_judge import VERSION, NotPublished, judged
from contracts.stripe_words import error, intent, made, named, redirect

KEY: Final = "sk_test_ofastandin0001"
ACCOUNT: Final = "acct_standin"
DECLINED: Final = "4000000000000002"
#: Not taken into a PaymentMethod.
REFUSED: Final = "4000000000000069"
CHALLENGED: Final = "4000002760003184"

Answer = tuple[int, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Moved:
    """Money that was held, taken, released or given back."""

    kind: str
    reference: str
    amount: int
    idempotency_key: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was as published."""

    path: str
    key: str
    tree: dict[str, Any]
    body: bytes


@dataclass
class StripeStandIn:
    """One account."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    #: Requests that were not as published: there should be none.
    wrong: list[str] = field(default_factory=list)
    journal: list[Moved] = field(default_factory=list)
    #: Paths (of the kind) whose next answer is lost after it acted.
    losing: list[str] = field(default_factory=list)
    #: Paths whose next request fails as Stripe's own fault after it acted.
    failing: list[str] = field(default_factory=list)
    kept: dict[str, tuple[bytes, Answer]] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)
    intents: dict[str, dict[str, Any]] = field(default_factory=dict)

    def asked(self, path: str, reference: str = "") -> list[Request]:
        """Return what was asked at a path, of one attempt."""
        return [
            each for each in self.requests if each.path == path and each.key.startswith(reference)
        ]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return told(401, error("invalid_request_error", None))
        try:
            tree = judged(request.method, request.path, dict(request.query), body)
            if request.headers.get("stripe-version") != VERSION:
                raise NotPublished("the version")
        except NotPublished as wrong:
            self.wrong.append(f"{request.method} {request.path}: {wrong}")
            return told(400, error("invalid_request_error", "parameter_unknown"))
        if request.method == "GET":
            return told(*self._read(request.path))
        key = request.headers["idempotency-key"]
        self.requests.append(Request(request.path, key, tree, body))
        answer = self._once(key, request.path + body.decode("ascii"), request.path, tree)
        if kind(request.path) in self.losing:
            self.losing.remove(kind(request.path))
            if request.transport is not None:
                request.transport.close()
        await asyncio.sleep(0)
        return told(*answer)

    def _once(self, key: str, printed: str, path: str, tree: dict[str, Any]) -> Answer:
        fingerprint = hashlib.sha256(printed.encode()).digest()
        if key in self.running:
            return 409, error("idempotency_error", "idempotency_key_in_use")
        if key in self.kept:
            before, answer = self.kept[key]
            return answer if before == fingerprint else (400, error("idempotency_error", None))
        answer = self._acted(path, tree, key)
        if kind(path) in self.failing:
            self.failing.remove(kind(path))
            answer = 500, error("api_error", None)
        if answer[0] != 400:  # what was refused before it was executed is not kept
            self.kept[key] = fingerprint, answer
        return answer

    def _acted(self, path: str, tree: dict[str, Any], key: str) -> Answer:
        acts: dict[str, Callable[[str, dict[str, Any], str], Answer]] = {
            "payment_methods": self._prepare,
            "payment_intents": self._begin,
            "capture": self._capture,
            "cancel": self._cancel,
            "refunds": self._refund,
        }
        return acts[kind(path)](path, tree, key)

    def _read(self, path: str) -> Answer:
        if path == "/v1/account":
            return 200, made("account", id=ACCOUNT, charges_enabled=True)
        found = self.intents.get(path.rsplit("/", 1)[1])
        return (200, found) if found else (404, error("invalid_request_error", "resource_missing"))

    def _prepare(self, _path: str, tree: dict[str, Any], _key: str) -> Answer:
        if tree["card"]["number"] == REFUSED:
            return 402, error("card_error", "expired_card")
        method = made("payment_method", id=named("pm"), metadata=tree["metadata"])
        self.methods[method["id"]] = tree["card"]
        return 200, method

    def _begin(self, _path: str, tree: dict[str, Any], key: str) -> Answer:
        card = self.methods.get(tree["payment_method"])
        if card is None:
            return 400, error("invalid_request_error", "resource_missing")
        members = {
            name: tree[name] for name in ("amount", "currency", "capture_method", "metadata")
        }
        if card["number"] == DECLINED:
            failed = intent("requires_payment_method", **members)
            return 402, error(
                "card_error",
                "card_declined",
                decline_code="insufficient_funds",
                payment_intent=failed,
            )
        if card["number"] == CHALLENGED:
            where = redirect(f"{self.url}/3ds")
            begun = intent("requires_action", next_action=where, **members)
        else:
            manual = tree["capture_method"] == "manual"
            begun = intent("requires_capture" if manual else "succeeded", **members)
            word = "authorized" if manual else "captured"
            self._move(word, tree["metadata"]["strongroom_attempt"], tree["amount"], key)
        self.intents[begun["id"]] = begun
        return 200, begun

    def _capture(self, path: str, tree: dict[str, Any], key: str) -> Answer:
        held = self.intents[path.split("/")[3]]
        amount = tree.get("amount_to_capture", held["amount_capturable"])
        if held["status"] != "requires_capture" or amount > held["amount_capturable"]:
            return 400, error("invalid_request_error", "payment_intent_unexpected_state")
        metadata = {**held["metadata"], **tree["metadata"]}
        held |= {
            "status": "succeeded",
            "amount_capturable": 0,
            "amount_received": amount,
            "metadata": metadata,
        }
        self._move("captured", metadata["strongroom_capture"], amount, key)
        return 200, dict(held)

    def _cancel(self, path: str, _tree: dict[str, Any], key: str) -> Answer:
        held = self.intents[path.split("/")[3]]
        if held["status"] in ("succeeded", "canceled"):
            return 400, error("invalid_request_error", "payment_intent_unexpected_state")
        released = held["amount_capturable"]
        held |= {"status": "canceled", "amount_capturable": 0}
        self._move("voided", key, released, key)
        return 200, dict(held)

    def _refund(self, _path: str, tree: dict[str, Any], key: str) -> Answer:
        paid = self.intents[tree["payment_intent"]]
        refund = made(
            "refund",
            id=named("re"),
            amount=tree["amount"],
            currency=paid["currency"],
            payment_intent=paid["id"],
            metadata=tree["metadata"],
        )
        self._move("refunded", tree["metadata"]["strongroom_attempt"], tree["amount"], key)
        return 200, refund

    def _move(self, word: str, reference: str, amount: int, key: str) -> None:
        self.journal.append(Moved(word, reference, amount, key))


def kind(path: str) -> str:
    """Return the last word of a path."""
    return path.rsplit("/", 1)[1]


def told(status: int, body: dict[str, Any]) -> web.Response:
    return web.Response(
        status=status, body=json.dumps(body).encode(), content_type="application/json"
    )


@asynccontextmanager
async def standing_in() -> AsyncIterator[StripeStandIn]:
    """Run a stand-in at a free port of this machine."""
    there = StripeStandIn()
    server = web.Server(there.handle, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    there.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield there
    finally:
        listener.close()
        await server.shutdown(0.1)
