# SPDX-License-Identifier: Apache-2.0
"""Stands in Checkout.com's place: takes what its API reference has and nothing else, and answers with its examples.

An idempotency key gives a success again; after an error it acts anew, as its page says. Captures, releases and refunds
are taken and are true at once when somebody looks.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import jsonschema
from aiohttp import web

from contracts.checkout_reference import ACCEPTED, ACTED, ACTION, LISTED, PROCESSED, REQUESTS
from strongroom.crypto.random import random_bytes

KEY: Final = "sk_sbox_of_the_stand_in"
DECLINED: Final = "4000000000000002"
CHALLENGED: Final = "4000002760003184"
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"


def named(prefix: str) -> str:
    """Make one of Checkout.com's ids."""
    return prefix + "_" + "".join(_LETTERS[each % 32] for each in random_bytes(26))


@dataclass
class Held:
    """A payment there."""

    id: str
    reference: str
    amount: int
    currency: str
    status: str
    approved: bool | None
    sums: dict[str, int]
    actions: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class CheckoutStandIn:
    """One account."""

    url: str = ""
    wrong: list[str] = field(default_factory=list)
    payments: dict[str, Held] = field(default_factory=dict)
    #: (route, our reference, amount) of what was executed.
    journal: list[tuple[str, str, int]] = field(default_factory=list)
    #: Routes whose next answer is lost after it acted.
    lost: list[str] = field(default_factory=list)
    #: What the issuer has as the holder's postal code: what it is compared with, where an address is sent.
    postal_code: str = "W1T 4TJ"
    #: Addresses that were sent, by our reference.
    addresses: dict[str, dict[str, Any]] = field(default_factory=dict)
    _answers: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one request, or cut its connection after it acted."""
        body = await request.read()
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return web.Response(status=401)
        if request.method == "GET":
            return _said(*self._read(request))
        route = "authorize"
        for name, (method, path, _) in REQUESTS.items():
            if method == request.method and re.fullmatch(path, request.path):
                route = name
        tree = json.loads(body)
        judge = jsonschema.Draft202012Validator(REQUESTS[route][2])
        self.wrong += [f"{route}: {each.message}" for each in judge.iter_errors(tree)]
        key = request.headers.get("cko-idempotency-key", "")
        if key not in self._answers:
            self._answers[key] = self._act(route, request.path, tree)
        if route in self.lost:
            self.lost.remove(route)
            assert request.transport is not None
            request.transport.abort()
            await asyncio.sleep(0)
        return _said(*self._answers[key])

    def _act(self, route: str, path: str, tree: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if route == "authorize":
            return self._begun(tree)
        held = self.payments[path.split("/")[2]]
        left = (
            held.sums["total_authorized"] - held.sums["total_captured"] - held.sums["total_voided"]
        )
        amount = tree.get("amount", left)
        word = {"capture": "captured", "void": "voided", "refund": "refunded"}[route]
        held.sums[f"total_{word}"] += amount
        if tree.get("capture_type") == "Final":
            held.sums["total_voided"] += left - amount
        action = {**ACTION, "id": named("act"), "type": route.title(), "amount": amount}
        held.actions.append({**action, "reference": tree["reference"]})
        self.journal.append((route, tree["reference"], amount))
        links = {"payment": {"href": f"https://api.sandbox.checkout.com/payments/{held.id}"}}
        said = {**ACTED, "action_id": action["id"], "reference": tree["reference"]}
        return 202, {**said, "_links": links}

    def _begun(self, tree: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        number, reference = tree["source"]["number"], tree["reference"]
        held = Held(
            named("pay"), reference, tree["amount"], tree["currency"], "Authorized", True,
            {"total_authorized": tree["amount"], "total_voided": 0, "total_captured": 0, "total_refunded": 0},
        )  # fmt: skip
        ours = {"id": held.id, "reference": reference, "_links": {}}
        self.payments[held.id] = held
        if number == CHALLENGED:
            held.status, held.approved = "Pending", None
            held.sums["total_authorized"] = 0
            return 202, {**ACCEPTED, **ours, "_links": {"redirect": ACCEPTED["_links"]["redirect"]}}
        sums = {"amount": held.amount, "currency": held.currency}
        if number == DECLINED:
            held.status, held.approved = "Declined", False
            held.sums["total_authorized"] = 0
            no = {"approved": False, "response_code": "20051", "status": "Declined"}
            return 201, {**PROCESSED, **ours, **sums, **no}
        if tree["capture"]:
            held.status, held.sums["total_captured"] = "Captured", held.amount
        self.journal.append(("authorize", reference, held.amount))
        said = {**PROCESSED, **ours, **sums, "balances": dict(held.sums)}
        return 201, {**said, "source": {**PROCESSED["source"], **self._compared(tree)}}

    def _compared(self, tree: dict[str, Any]) -> dict[str, Any]:
        """Page "AVS codes": D is a match, N none, S not supported. The address comes back, as it does there."""
        address = tree["source"].get("billing_address")
        if address is None:
            return {"avs_check": "S"}
        self.addresses[tree["reference"]] = address
        letter = "D" if address.get("zip") == self.postal_code else "N"
        return {"avs_check": letter, "billing_address": address}

    def _read(self, request: web.BaseRequest) -> tuple[int, Any]:
        parts = request.path.strip("/").split("/")
        if parts[-1] == "actions":
            return 200, self.payments[parts[1]].actions
        wanted = request.rel_url.query.get("reference")
        found = [
            {
                **LISTED,
                "id": each.id,
                "reference": each.reference,
                "amount": each.amount,
                "currency": each.currency,
                "status": each.status,
                "approved": each.approved,
                "balances": each.sums,
                "_links": {},
            }
            for each in self.payments.values()
            if each.reference == wanted
        ]
        return 200, {"total_count": len(found), "data": found}


def _said(status: int, body: object) -> web.Response:
    return web.Response(
        status=status, body=json.dumps(body).encode(), content_type="application/json"
    )


@asynccontextmanager
async def standing_in_for_checkout() -> AsyncIterator[CheckoutStandIn]:
    """Run one on a free loopback port."""
    there = CheckoutStandIn()
    server = web.Server(there.answer, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    there.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield there
    finally:
        listener.close()
        await server.shutdown(0.1)
