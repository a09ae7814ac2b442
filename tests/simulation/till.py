# SPDX-License-Identifier: Apache-2.0
"""A merchant's till: it repeats a request under the same key until it has an answer, and remembers what it was told.

This is how a client has to behave: no answer, 5xx, 429 and "in flight" say nothing, and 202 says "not yet".
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from money import Told

PAUSE_SECONDS: Final = 0.1
PAUSE_SECONDS_MAX: Final = 1.0
#: Between two questions about what is "not yet" known: each of them asks the processor.
NOT_YET_SECONDS: Final = 1.0
ANSWER_SECONDS_MAX: Final = 120.0
#: How long a till repeats a request that is answered "not yet".
SETTLE_SECONDS_MAX: Final = 8.0
#: Refusals that mean: ask again, with the same key.
_AGAIN: Final = frozenset({"idempotency_in_flight", "payment_unresolved", "payment_busy"})
_WHILE_BUSY_SECONDS: Final = 8.0


@dataclass(slots=True)
class Memory:
    """What every till of a run was told, and what no till should be told."""

    told: list[Told] = field(default_factory=list)
    seen: list[tuple[str, str, str, int]] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Answer:
    """The last answer to a request."""

    status: int
    body: Mapping[str, Any]

    @property
    def code(self) -> str:
        return str(self.body.get("code", ""))

    @property
    def payment(self) -> Mapping[str, Any]:
        """The payment in it, also where the processor declined."""
        found = self.body.get("payment") if self.status == 402 else self.body
        return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True, slots=True)
class Wire:
    """HTTP, of which nothing is certain."""

    session: aiohttp.ClientSession

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes | None = None
    ) -> Answer | None:
        """Return the answer; None where none came, whatever the reason."""
        try:
            async with self.session.request(
                method, url, headers=headers, data=content, allow_redirects=False
            ) as answer:
                return Answer(answer.status, _decoded(await answer.read()))
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None


@dataclass(slots=True)
class Till:
    """Speaks for one merchant."""

    wire: Wire
    vault: str
    gateway: str
    key: str
    memory: Memory

    async def tokenize(self, body: Mapping[str, Any], key: str) -> Answer:
        return await self._repeat(f"{self.vault}/v1/tokens", body, key, settle=False)

    async def ask(self, path: str, body: Mapping[str, Any], key: str) -> Answer:
        """Wish for something of a payment, until it is known what came of it or patience ends."""
        answer = await self._repeat(f"{self.gateway}{path}", body, key, settle=True)
        if answer.status >= 500 or answer.status in (0, 400, 401, 403, 404, 413, 415, 429):
            self.memory.surprises.append(f"POST {path} was answered {answer.status} {answer.code}")
        return answer

    async def read(self, payment: str) -> Mapping[str, Any]:
        """Read a payment; what one till reads one after the other never goes back."""
        end, pause = time.monotonic() + ANSWER_SECONDS_MAX, PAUSE_SECONDS
        while time.monotonic() < end:
            answer = await self.look(f"/v1/payments/{payment}")
            if answer is not None and answer.status == 200:
                found = answer.body
                self.memory.seen.append(
                    (payment, found["updated_at"], found["status"], found["balances"]["captured"])
                )
                return found
            if answer is not None and answer.status < 500 and answer.status != 429:
                self.memory.surprises.append(f"GET {payment} was answered {answer.status}")
                return {}
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, PAUSE_SECONDS_MAX)
        self.memory.surprises.append(f"GET {payment} was never answered")
        return {}

    async def look(self, path: str) -> Answer | None:
        """Read something, once."""
        return await self.wire.send("GET", f"{self.gateway}{path}", headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    async def _repeat(self, url: str, body: Mapping[str, Any], key: str, *, settle: bool) -> Answer:
        begun = time.monotonic()
        last, pause = Answer(0, {}), PAUSE_SECONDS
        content = json.dumps(body).encode()
        headers = {
            **self._headers(),
            "content-type": "application/json",
            "idempotency-key": key,
        }
        while (spent := time.monotonic() - begun) < ANSWER_SECONDS_MAX:
            if last.status == 202 and spent > SETTLE_SECONDS_MAX:
                break
            got = await self.wire.send("POST", url, headers=headers, content=content)
            if got is None:
                self.memory.answers["no answer"] += 1
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, PAUSE_SECONDS_MAX)
                continue
            last = got
            self.memory.answers[f"{last.status} {last.code}".strip()] += 1
            if last.status == 500:
                self.memory.surprises.append(f"{url} was answered 500 {last.code}")
            if settle and last.status in (200, 201, 202, 402):
                self._remember(url, key, last)
            busy = last.status == 409 and last.code in _AGAIN
            if busy and last.code != "idempotency_in_flight" and spent > _WHILE_BUSY_SECONDS:
                break
            if not (busy or last.status in (202, 429) or last.status >= 500):
                break
            await asyncio.sleep(NOT_YET_SECONDS if last.status == 202 else pause)
            pause = min(pause * 1.5, PAUSE_SECONDS_MAX)
        if settle and last.status in (409, 422) and last.code != "idempotency_in_flight":
            self._remember(url, key, last)
        return last

    def _remember(self, url: str, key: str, answer: Answer) -> None:
        body = answer.body
        refund = body.get("refund") if answer.status == 402 else body
        refund = refund if isinstance(refund, Mapping) and refund.get("object") == "refund" else {}
        attempt = {} if refund else answer.payment.get("attempt") or {}
        self.memory.told.append(
            Told(
                wish=f"POST {url.removeprefix(self.gateway)} {key}",
                status=answer.status,
                payment=str(refund.get("payment") or answer.payment.get("id") or ""),
                attempt=str(refund.get("attempt") or attempt.get("id") or ""),
                outcome=str(attempt.get("outcome") or ""),
                refund=str(refund.get("id") or ""),
                refund_status=str(refund.get("status") or ""),
            )
        )


def _decoded(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
