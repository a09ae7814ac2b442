# SPDX-License-Identifier: Apache-2.0
"""Builds and sends the simulator's webhooks: signed or encrypted, repeated until a 2xx, faulty on demand.

What waits is kept in memory only: a simulator that stops forgets it (`webhook_again` sends the last one anew).
URLs come from whoever holds the control key, so they are called as they are.
"""

import asyncio
import itertools
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import aiohttp

from strongroom.crypto import aes_gcm_encrypt, hmac_sha256
from strongroom.kernel.clock import Clock
from strongroom.simulator.faults import Chosen, Fault
from strongroom.simulator.ledger import Account, Webhook

SIGNATURE_HEADER: Final = "Sim-Signature"
IV_HEADER: Final = "X-Initialization-Vector"
TAG_HEADER: Final = "X-Authentication-Tag"

#: Waits before the second, third … attempt; the last one repeats.
RETRY_SECONDS: Final = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
ATTEMPTS_MAX: Final = 100
ATTEMPT_SECONDS_MAX: Final = 10.0
#: Deliveries under way at once.
CONCURRENT_MAX: Final = 64
#: Webhooks that wait, at most; later ones are counted as dropped.
WAITING_MAX: Final = 100_000


def signature(secrets: Sequence[str], body: bytes, at: datetime) -> str:
    """Return the signature header: one `v1` for each secret, so that a receiver can change its secret."""
    seconds = int(at.timestamp())
    signed = f"{seconds}.".encode() + body
    each = (f"v1={hmac_sha256(secret.encode(), signed).hex()}" for secret in secrets)
    return ",".join([f"t={seconds}", *each])


def dressed(webhook: Webhook, event: bytes, at: datetime) -> tuple[bytes, Mapping[str, str]]:
    """Return body and headers of one delivery: encrypted if the account has a key, else signed."""
    if webhook.encryption_key is None:
        return event, {
            "Content-Type": "application/json",
            SIGNATURE_HEADER: signature(webhook.secrets, event, at),
        }
    iv, ciphertext, tag = aes_gcm_encrypt(bytes.fromhex(webhook.encryption_key), event)
    return ciphertext.hex().encode(), {
        "Content-Type": "text/plain",
        IV_HEADER: iv.hex(),
        TAG_HEADER: tag.hex(),
    }


@dataclass(slots=True)
class Counts:
    """What became of webhooks since the start."""

    #: Not delivered yet, held ones included.
    waiting: int = 0
    delivered: int = 0
    #: Attempts that were not answered with 2xx.
    failed_attempts: int = 0
    #: After the last attempt.
    given_up: int = 0
    #: For want of room, or of a receiver.
    dropped: int = 0


@dataclass(slots=True)
class _Parcel:
    account: str
    payment: str
    event: bytes
    #: The first attempt is said to have been made, and is not.
    lose_first: bool = False
    attempts: int = 0
    #: Held until this one was tried.
    behind: list["_Parcel"] = field(default_factory=list)


class Notices:
    """The sender: call `start` in the loop, and `stop` in the end."""

    def __init__(
        self,
        account: Callable[[str], Account | None],
        clock: Clock,
        retry_seconds: Sequence[float] = RETRY_SECONDS,
    ) -> None:
        self.retry_seconds = tuple(retry_seconds)
        #: PEM file of an authority that is trusted besides the machine's own: an installation's local one.
        self.authority: Path | None = None
        self.counts = Counts()
        self._account = account
        self._clock = clock
        self._queue: asyncio.Queue[_Parcel] = asyncio.Queue()
        self._held: dict[str, list[_Parcel]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._numbers = itertools.count()
        self._senders: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Begin to deliver."""
        tls = ssl.create_default_context()
        if self.authority is not None:
            tls.load_verify_locations(self.authority)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONCURRENT_MAX, ssl=tls),
            timeout=aiohttp.ClientTimeout(total=ATTEMPT_SECONDS_MAX),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        self._session = session
        self._senders = [
            asyncio.create_task(self._send(session), name=f"simulator-notices-{number}")
            for number in range(CONCURRENT_MAX)
        ]

    async def stop(self) -> None:
        """Deliver no more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def send(self, account: str, payment: str, event: bytes, chosen: Chosen | None) -> None:
        """Send an event of a payment, with what goes wrong with it."""
        known = self._account(account)
        if known is None or known.webhook is None or self.counts.waiting >= WAITING_MAX:
            self.counts.dropped += 1
            return
        self.counts.waiting += 1
        parcel = _Parcel(account, payment, event)
        fault = None if chosen is None else chosen.fault
        seconds = 0.0 if chosen is None else chosen.seconds
        if fault is Fault.WEBHOOK_REORDER:
            self._held.setdefault(payment, []).append(parcel)
            self._later(seconds, lambda: self._release(payment))
            return
        parcel.behind = self._held.pop(payment, [])
        if fault is Fault.WEBHOOK_DUPLICATE:
            self.counts.waiting += 1
            self._queue.put_nowait(_Parcel(account, payment, event))
        parcel.lose_first = fault is Fault.WEBHOOK_LOST
        if fault is Fault.WEBHOOK_LATE:
            self._later(seconds, lambda: self._queue.put_nowait(parcel))
        else:
            self._queue.put_nowait(parcel)

    def _release(self, payment: str) -> None:
        for parcel in self._held.pop(payment, []):
            self._queue.put_nowait(parcel)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        number = next(self._numbers)

        def due() -> None:
            del self._timers[number]
            call()

        self._timers[number] = asyncio.get_running_loop().call_later(seconds, due)

    async def _send(self, session: aiohttp.ClientSession) -> None:
        while True:
            parcel = await self._queue.get()
            known = self._account(parcel.account)
            if known is None or known.webhook is None:  # it was taken away meanwhile
                self.counts.waiting -= 1
                self.counts.dropped += 1
                continue
            taken = await self._attempt(session, parcel, known.webhook)
            parcel.attempts += 1
            for held in parcel.behind:
                self._queue.put_nowait(held)
            parcel.behind = []
            if taken:
                self.counts.waiting -= 1
                self.counts.delivered += 1
                continue
            self.counts.failed_attempts += 1
            if parcel.attempts >= ATTEMPTS_MAX or not self.retry_seconds:
                self.counts.waiting -= 1
                self.counts.given_up += 1
                continue
            wait = self.retry_seconds[min(parcel.attempts, len(self.retry_seconds)) - 1]
            self._later(wait, lambda parcel=parcel: self._queue.put_nowait(parcel))  # type: ignore[misc]

    async def _attempt(
        self, session: aiohttp.ClientSession, parcel: _Parcel, webhook: Webhook
    ) -> bool:
        if parcel.lose_first and parcel.attempts == 0:
            return False
        body, headers = dressed(webhook, parcel.event, self._clock.now())
        # Crash here, before or after: the event is forgotten or was sent; receivers keep each event's id once.
        try:
            async with session.post(
                webhook.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                await answer.read()
                return answer.ok and answer.status < 300  # noqa: PLR2004 - RFC 9110 §15.3
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return False
