# SPDX-License-Identifier: Apache-2.0
"""localstripe, a Stripe that somebody else wrote, as a process of its own; and what stands in front of it.

It keeps the state of payments: what may be captured, what a challenge waits for, what is released. It is not the API
version that our adapter speaks, and not all of Stripe, so a front makes up what it lacks. What deviates from Stripe's
published description, and what the front does about it:

=====================================================  ==========================================================
localstripe                                            the front
=====================================================  ==========================================================
refuses `return_url` of a PaymentIntent                keeps it back
refuses `metadata` of a capture                        keeps it back, and adds it to the PaymentIntent from then on
ignores `Idempotency-Key`                              gives the first answer again
shows `latest_charge` as an object                     shows its id
has no `amount_capturable` and `amount_received`       computes them from its Charge, whose refunds it keeps
asks its own JavaScript for a challenge                shows an address, as Stripe does where a `return_url` is given
answers a decline as `invalid_request_error`           answers `card_error`, with the PaymentIntent that it made
has no `type` in `last_payment_error`                  `card_error`
signs events of such PaymentIntents                    verifies them with Stripe's package, and signs what it shows anew
tells of no refund and no release                      nothing: our answers say it
keeps its state in one file of the machine              is told to keep none
=====================================================  ==========================================================
"""

import asyncio
import json
import os
import socket
import ssl
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import aiohttp
import stripe
from aiohttp import web

from polling import until

KEY: Final = "sk_test_oflocalstripe0001"
#: Where `script/test` installs `requirements/judges.txt`.
PYTHON: Final = Path(__file__).parents[2] / ".venv-judges" / "bin" / "python"
_SERVE: Final = (
    "import sys; from aiohttp import web; from localstripe import resources; from localstripe.server import app;"
    # It would keep what it holds in a file that every run shares.
    " type(resources.store).dump_to_disk = lambda self: None;"
    " web.run_app(app, host='127.0.0.1', port=int(sys.argv[1]), print=None)"
)
_TOLD_BY: Final = "whsec_between_localstripe_and_the_front"
_HELD_BACK: Final = "metadata[strongroom_capture]"


@dataclass
class Front:
    """Stands before one localstripe."""

    there: str
    url: str = ""
    #: Where events go on to, their secret, and the authority that is trusted there.
    webhook: tuple[str, str, Path] | None = None
    events: list[str] = field(default_factory=list)
    _answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    _marks: dict[str, str] = field(default_factory=dict)
    _received: dict[str, int] = field(default_factory=dict)
    _session: aiohttp.ClientSession | None = None

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Pass a request on, and its answer back."""
        body = await request.read()
        if request.path == "/_told":
            return await self._told(body, request.headers["stripe-signature"])
        key = request.headers.get("idempotency-key", "")
        if key in self._answers:
            status, said = self._answers[key]
        else:
            given = dict(parse_qsl(body.decode(), keep_blank_values=True))
            given.pop("return_url", None)
            mark = given.pop(_HELD_BACK, None)
            status, found = await self.ask(request.method, request.path, given)
            said = json.dumps(await self._as_published(status, found, mark)).encode()
            if key:
                self._answers[key] = (status, said)
        return web.Response(status=status, body=said, content_type="application/json")

    async def ask(
        self, method: str, path: str, form: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Ask localstripe itself."""
        assert self._session is not None
        headers = {"authorization": f"Bearer {KEY}"}
        async with self._session.request(
            method, self.there + path, data=form or None, headers=headers
        ) as answer:
            return answer.status, dict(json.loads(await answer.read() or b"{}"))

    async def authenticate(self, intent: str) -> None:
        """Pass a challenge, as the customer does at the address that was shown."""
        _, found = await self.ask("GET", f"/v1/payment_intents/{intent}")
        form = {"client_secret": found["client_secret"], "success": "true"}
        status, _ = await self.ask("POST", f"/v1/payment_intents/{intent}/_authenticate", form)
        assert status == 200

    async def _as_published(
        self, status: int, found: dict[str, Any], mark: str | None
    ) -> dict[str, Any]:
        if status == 402:
            _, charge = await self.ask("GET", f"/v1/charges/{found['error']['charge']}")
            _, intent = await self.ask("GET", f"/v1/payment_intents/{charge['payment_intent']}")
            error = {**found["error"], "type": "card_error"}
            return {"error": {**error, "payment_intent": self._shown(intent)}}
        if found.get("object") == "payment_intent":
            if mark is not None:
                self._marks[found["id"]] = mark
            return self._shown(found)
        return found

    def _shown(self, intent: dict[str, Any]) -> dict[str, Any]:
        """Show a PaymentIntent as the version that our adapter speaks has it."""
        name, charge = intent["id"], intent.get("latest_charge")
        if charge is not None and charge["captured"] and charge["status"] == "succeeded":
            # What a capture leaves is given back at once; later refunds are not what was not received.
            left = charge["amount"] - charge["amount_refunded"]
            self._received.setdefault(name, left)
        action = intent.get("next_action")
        if action is not None:
            place = f"https://hooks.stripe.example/3ds/{name}"
            action = {"type": "redirect_to_url", "redirect_to_url": {"url": place}}
        error = intent.get("last_payment_error")
        mark = self._marks.get(name)
        return {
            **intent,
            "latest_charge": None if charge is None else charge["id"],
            "amount_capturable": intent["amount"] if intent["status"] == "requires_capture" else 0,
            "amount_received": self._received.get(name, 0),
            "next_action": action,
            "last_payment_error": None if error is None else {**error, "type": "card_error"},
            "metadata": {**intent["metadata"], **({"strongroom_capture": mark} if mark else {})},
        }

    async def _told(self, body: bytes, header: str) -> web.StreamResponse:
        event = stripe.Webhook.construct_event(
            body, header, _TOLD_BY
        )  # raises where it does not hold
        assert event["type"]
        found = json.loads(body)
        self.events.append(found["type"])
        thing = found["data"]["object"]
        if self.webhook is None or thing.get("object") != "payment_intent":
            return web.Response()
        url, secret, authority = self.webhook
        shown = json.dumps({**found, "data": {"object": self._shown(thing)}})
        signed = stripe.WebhookSignature.generate_signature_header(shown, secret)
        tls = ssl.create_default_context(cafile=str(authority))
        assert self._session is not None
        async with self._session.post(
            url, data=shown, headers={"stripe-signature": signed}, ssl=tls
        ) as answer:
            return web.Response(status=answer.status)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


async def _until_serving(process: Process, front: Front) -> None:
    async def look() -> bool | None:
        assert process.returncode is None, "localstripe ended"
        try:
            await front.ask("GET", "/v1/balance")
        except aiohttp.ClientError:
            return None
        return True

    await until(look, what="localstripe to serve")


@asynccontextmanager
async def localstripe(folder: Path) -> AsyncIterator[Front]:
    """Run localstripe on loopback, and the front before it."""
    port = _free_port()
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(folder), "HOME": str(folder)}
    process = await asyncio.create_subprocess_exec(
        str(PYTHON),
        "-c",
        _SERVE,
        str(port),
        cwd=folder,
        env=environment,
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    front = Front(f"http://127.0.0.1:{port}")
    server = web.Server(front.answer, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    front.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        async with aiohttp.ClientSession() as session:
            front._session = session
            await _until_serving(process, front)
            told = {"url": f"{front.url}/_told", "secret": _TOLD_BY}
            await front.ask("POST", "/_config/webhooks/front", told)
            yield front
    finally:
        listener.close()
        await server.shutdown(0.1)
        if process.returncode is None:
            process.terminate()
        await process.wait()
