# SPDX-License-Identifier: Apache-2.0
"""A merchant's client: httpx over HTTPS, trusting the installation's CA and nothing else.

Remembers, in memory only, every card number that it sent and every byte that came back, so that the last
chapter can look for the one in the other and everywhere else.
"""

import itertools
import json
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import httpx

TIMEOUT_SECONDS: Final = 30
_NUMBER: Final = re.compile(rb"(?<![0-9])[0-9]{13,19}(?![0-9])")
#: What stands where a test wants a field to hold anything, as long as it is not null.
ANY: Final = object()


@dataclass(slots=True)
class Ledger:
    """What this process knows and nobody else may: the numbers it sent, and what it was answered."""

    numbers: set[str] = field(default_factory=set)
    received: list[bytes] = field(default_factory=list)
    #: Answers that held a number of their own request.
    echoes: int = 0
    #: Every token that was acknowledged as made in this run.
    made: set[str] = field(default_factory=set)
    answers: int = 0

    def sent(self, body: bytes) -> set[bytes]:
        """Keep the numbers of a request, and return them."""
        found = set(_NUMBER.findall(body))
        self.numbers.update(number.decode() for number in found)
        return found

    def keep(self, head: bytes, body: bytes) -> None:
        """Keep an answer for the search."""
        self.received += (head, body)
        self.answers += 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> dict[str, Any]:
        """The body, decoded; empty where it is no JSON object."""
        try:
            decoded = json.loads(self.body)
        except ValueError:
            return {}
        return decoded if isinstance(decoded, dict) else {}

    def __getitem__(self, field_name: str) -> Any:
        return self.json.get(field_name)

    @property
    def took(self) -> str:
        """How long it took, for people."""
        return f"{self.seconds * 1000:.1f} ms"

    @property
    def replayed(self) -> bool:
        """Whether this is the kept answer of an earlier request."""
        return self.headers.get("idempotent-replayed") == "true"

    def problem(self) -> str:
        """Say in short why it was refused: status, code, and the first field that is wrong."""
        body = self.json
        first: dict[str, str] = next(iter(body.get("errors") or ()), {})
        if first:
            return f"{self.status} {first.get('pointer', '')} {first.get('code', '')}"
        return f"{self.status} {body.get('code', '')}"

    def differs(self, status: int, /, **fields: object) -> list[str]:
        """Return in what this differs from what was expected; nothing if in nothing."""
        found = []
        if self.status != status:
            return [f"status: expected {status}, got {self.problem()}"]
        body = self.json
        for name, wanted in fields.items():
            got = body.get(name)
            if got is None if wanted is ANY else got != wanted:
                shown = "something" if wanted is ANY else repr(wanted)
                found.append(f"{name}: expected {shown}, got {got!r}")
        return found

    def differs_from_refusal(
        self, status: int, code: str, pointer: str = "", field_code: str = ""
    ) -> list[str]:
        """Return in what this differs from a refusal with that code, and that field among the wrong ones."""
        if found := self.differs(status, code=code, status=status, request_id=ANY):
            return found
        if self.headers.get("content-type", "") != "application/problem+json":
            found.append("the answer is not application/problem+json")
        named = {(each.get("pointer"), each.get("code")) for each in self.json.get("errors", ())}
        if pointer and (pointer, field_code) not in named:
            found.append(f"errors: expected {pointer} {field_code}, got {sorted(map(str, named))}")
        return found


class Client:
    """One key at one listener."""

    def __init__(self, http: httpx.AsyncClient, base: str, key: str | None, ledger: Ledger) -> None:
        self._http = http
        self._base = base
        self.key = key
        self.ledger = ledger
        self._names = itertools.count(1)
        #: Names of requests are new in every run.
        self._run = os.urandom(6).hex()

    def at(self, base: str) -> "Client":
        """Return the same client at another listener."""
        return Client(self._http, base, self.key, self.ledger)

    def with_key(self, key: str | None) -> "Client":
        """Return the same client with another key, or with none."""
        return Client(self._http, self._base, key, self.ledger)

    def name(self) -> str:
        """Return a new idempotency key."""
        return f"demo-{self._run}-{next(self._names)}"

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request. `body` is JSON to be, or bytes as they are; `name` is its Idempotency-Key."""
        content = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        given = {"authorization": f"Bearer {self.key}"} if self.key else {}
        if content:
            given["content-type"] = "application/json"
        if name is not None:
            given["idempotency-key"] = name
        given.update(headers or {})
        numbers = self.ledger.sent(content + b" " + path.encode())
        begun = perf_counter()
        response = await self._http.request(
            method, self._base + path, content=content or None, headers=given
        )
        answer = Answer(
            response.status_code, dict(response.headers), response.content, perf_counter() - begun
        )
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items()).encode()
        self.ledger.keep(head, answer.body)
        if any(number in answer.body or number in head for number in numbers):
            self.ledger.echoes += 1
        return answer

    async def tokenize(
        self,
        number: str,
        *,
        cvc: str | None = None,
        year: int = 2034,
        month: int = 12,
        name: str | None = None,
        **wish: object,
    ) -> Answer:
        """Ask for a token for a card."""
        card: dict[str, object] = {"number": number, "exp_month": month, "exp_year": year}
        if cvc is not None:
            card["cvc"] = cvc
        answer = await self.send(
            "POST", "/v1/tokens", {"card": card, **wish}, name=name or self.name()
        )
        if answer.status == httpx.codes.CREATED:
            self.ledger.made.add(str(answer["id"]))
        return answer

    async def get(self, path: str) -> Answer:
        """Read."""
        return await self.send("GET", path)


def trust(authority: Path) -> ssl.SSLContext:
    """Return a TLS configuration that trusts one CA and nothing else."""
    context = ssl.create_default_context(cafile=str(authority))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def make_http(context: ssl.SSLContext) -> httpx.AsyncClient:
    """Return a client that keeps its connections."""
    return httpx.AsyncClient(
        verify=context,
        timeout=TIMEOUT_SECONDS,
        trust_env=False,
        limits=httpx.Limits(max_connections=32, max_keepalive_connections=32),
    )


def masked(number: str) -> str:
    """Return a card number as it may be shown: the first six and the last four digits (PCI DSS 3.4.1)."""
    return f"{number[:6]}{'•' * (len(number) - 10)}{number[-4:]}"


def short(identity: object) -> str:
    """Return an id's beginning and end, to fit a line."""
    text = str(identity)
    return text if len(text) <= 14 else f"{text[:8]}…{text[-5:]}"  # noqa: PLR2004 - short already
