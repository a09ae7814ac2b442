# SPDX-License-Identifier: Apache-2.0
"""Stands in Adyen's place: takes what its description has and nothing else, and answers with its published examples.

What is saved under an idempotency key is the first answer; the same key with another body is refused. It keeps what it
holds, so that a test can compare. Notices are made by its caller: a stand-in signs nothing by itself.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from contracts.adyen_words import ACCOUNT, JUDGED, complaints, vectors
from strongroom.crypto.random import random_bytes

KEY: Final = "AQE_a_key_of_the_stand_in"
HOSTED: Final = "https://checkoutshopper-test.adyen.com/checkoutshopper/threeDS/redirect?MD=M5N7"
DECLINED: Final = "4000000000000002"
CHALLENGED: Final = "4000002760003184"
_ENDS: Final = {"captures": "capture", "cancels": "void", "refunds": "refund"}
_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def psp_reference() -> str:
    """Make one of Adyen's references."""
    return "".join(_LETTERS[each % 32] for each in random_bytes(16))


@dataclass
class AdyenStandIn:
    """One merchant account."""

    url: str = ""
    #: Requests that were not as published: there should be none.
    wrong: list[str] = field(default_factory=list)
    #: What was executed: (route, our reference, amount).
    journal: list[tuple[str, str, int]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    #: Routes whose next answer is lost after it acted.
    lost: list[str] = field(default_factory=list)
    #: Payments by our reference.
    payments: dict[str, str] = field(default_factory=dict)
    #: What customers were given along, and whose payment it finishes.
    results: dict[str, str] = field(default_factory=dict)
    _answers: dict[str, tuple[bytes, int, bytes]] = field(default_factory=dict)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one request, or cut its connection after it acted."""
        body = await request.read()
        key = request.headers.get("idempotency-key", "")
        route = self._route(request.path)
        if request.headers.get("x-api-key") != KEY or route is None:
            return _said(401 if route else 404, _refusal(401, "000", "security"))
        tree = json.loads(body)
        self.requests.append((route, tree, key))
        self.wrong += complaints(JUDGED[route], None, tree)
        if tree.get("merchantAccount", ACCOUNT) != ACCOUNT:
            return _said(403, _refusal(403, "901", "security"))
        if key in self._answers:
            before, status, kept = self._answers[key]
            if before != body:
                return _said(422, _refusal(422, "704", "validation"))
            return _said(status, kept)
        status, said = self._act(route, request.path, tree)
        self.wrong += complaints(JUDGED[route], str(status), said)
        printed = json.dumps(said).encode()
        if key:
            self._answers[key] = (body, status, printed)
        if route in self.lost:
            self.lost.remove(route)
            assert request.transport is not None
            request.transport.abort()
            await asyncio.sleep(0)
        return _said(status, printed)

    def _route(self, path: str) -> str | None:
        parts = path.removeprefix("/v71").strip("/").split("/")
        if parts == ["payments"]:
            return "authorize"
        if parts == ["payments", "details"]:
            return "continue"
        if parts == ["cancels"]:
            return "call_back"
        if parts == ["paymentMethods"]:
            return "methods"
        return _ENDS.get(parts[-1]) if len(parts) == 3 else None

    def _act(self, route: str, path: str, tree: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        examples = vectors("checkout-v71-examples.json")
        if route == "authorize":
            return 200, self._authorized(tree)
        if route == "continue":
            word = tree["details"]["redirectResult"]
            reference = self.results.get(word)
            if reference is None:
                return 422, _refusal(422, "101", "validation")
            self.journal.append(("authorize", reference, 0))
            # The published example has two members; Adyen's description has the reference beside them.
            done = examples["post-payments-details-00.redirect-200"]
            return 200, {
                **done,
                "merchantReference": reference,
                "pspReference": self.payments[reference],
            }
        if route == "call_back":
            self.journal.append(("call_back", tree["paymentReference"], 0))
            named = {
                "paymentReference": tree["paymentReference"],
                "reference": tree["reference"],
            }
            return 201, {**examples["post-cancels-cancel-with-own-reference-201"], **named}
        amount = tree.get("amount")
        self.journal.append((route, tree["reference"], amount["value"] if amount else 0))
        said = {
            "merchantAccount": ACCOUNT,
            "paymentPspReference": path.split("/")[-2],
            "reference": tree["reference"],
            "pspReference": psp_reference(),
            "status": "received",
        }
        return 201, {**said, **({} if amount is None else {"amount": amount})}

    def _authorized(self, tree: dict[str, Any]) -> dict[str, Any]:
        number, reference = tree["paymentMethod"]["number"], tree["reference"]
        said = {"merchantReference": reference, "pspReference": psp_reference()}
        if number == DECLINED:
            refusal = {"refusalReason": "Not enough balance", "refusalReasonCode": "12"}
            return {"resultCode": "Refused", **said, **refusal}
        self.payments[reference] = said["pspReference"]
        if number == CHALLENGED:
            action = {
                "type": "redirect",
                "url": HOSTED,
                "method": "GET",
                "paymentMethodType": "scheme",
            }
            return {"resultCode": "RedirectShopper", "action": action}
        self.journal.append(("authorize", reference, tree["amount"]["value"]))
        return {"resultCode": "Authorised", **said, "amount": tree["amount"]}


def _refusal(status: int, code: str, kind: str) -> dict[str, Any]:
    return {"status": status, "errorCode": code, "message": "refused", "errorType": kind}


def _said(status: int, body: object) -> web.Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return web.Response(status=status, body=raw, content_type="application/json")


@asynccontextmanager
async def standing_in_for_adyen() -> AsyncIterator[AdyenStandIn]:
    """Run one on a free loopback port."""
    there = AdyenStandIn()
    server = web.Server(there.answer, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    there.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield there
    finally:
        listener.close()
        await server.shutdown(0.1)
