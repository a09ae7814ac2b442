# SPDX-License-Identifier: Apache-2.0
"""A client of the simulator's control API, for tests, the demo and benches; and the customer at its challenge page."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import aiohttp
import msgspec

from strongroom.kernel.errors import StrongroomError
from strongroom.simulator.control_wire import (
    BooksView,
    DemandWish,
    FaultsView,
    Happening,
    JournalView,
    NoticesView,
)
from strongroom.simulator.faults import Fault
from strongroom.simulator.journal import Entry
from strongroom.simulator.ledger import Account
from strongroom.simulator.wire import ErrorBody

Shape = TypeVar("Shape")
_STEP_SECONDS: Final = 0.01


class SimulatorControlFailed(StrongroomError):
    """The simulator refused what its control API was asked for."""

    code = "simulator_control_failed"


class SimulatorControl:
    """The control API of one simulator. Used as an async context manager."""

    def __init__(self, url: str, control_key: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {control_key}"}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(trust_env=False)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def account(
        self,
        account: str,
        *,
        api_key: str | None = None,
        webhook_url: str | None = None,
        webhook_secrets: Sequence[str] = (),
        webhook_encryption_key: str | None = None,
        signing_secret: str | None = None,
    ) -> Account:
        """Make an account, or change what is given of one. Without `webhook_url` its webhook stays as it is."""
        wish: dict[str, Any] = {"account": account, "api_key": api_key}
        if webhook_url is not None:
            wish["webhook"] = {
                "url": webhook_url,
                "secrets": list(webhook_secrets),
                "encryption_key": webhook_encryption_key,
            }
        if signing_secret is not None:
            wish["signing_secret"] = signing_secret
        return await self._call("POST", "accounts", Account, wish)

    async def without_webhook(self, account: str) -> Account:
        """Take an account's webhook away."""
        return await self._call("POST", "accounts", Account, {"account": account, "webhook": None})

    async def faults(
        self,
        *,
        next: Iterable[DemandWish] = (),  # noqa: A002 - the protocol's word
        **settings: Any,
    ) -> FaultsView:
        """Set what goes wrong; what is not named stays.

        Args:
            next: demands, added to those that wait.
            settings: seed, draw_by, rates, seconds, visibility (seconds), latency_ms, pending_seconds, retry_seconds.
        """
        return await self._call("POST", "faults", FaultsView, {**settings, "next": list(next)})

    async def demand(
        self,
        fault: Fault,
        operation: str | None = None,
        *,
        reference: str | None = None,
        seconds: float | None = None,
        times: int = 1,
    ) -> None:
        """Let the next requests that fit meet a fault, one after the other."""
        wish = DemandWish(fault, operation, reference, seconds)
        await self.faults(next=[wish] * times)

    async def no_faults(self) -> FaultsView:
        """Let nothing go wrong any more: no seed, no rates, no demands, everything visible at once."""
        return await self._call("DELETE", "faults", FaultsView)

    async def journal(self, *, account: str | None = None, after: int = 0) -> Sequence[Entry]:
        """Return what really happened, in order, behind entry `after`."""
        query = {"after": str(after)} | ({} if account is None else {"account": account})
        return (await self._call("GET", "journal", JournalView, query=query)).data

    async def books(self, *, account: str | None = None) -> BooksView:
        """Return the sums, by account and currency and by payment."""
        query = {} if account is None else {"account": account}
        return await self._call("GET", "books", BooksView, query=query)

    async def notices(self) -> NoticesView:
        """Return what became of webhooks since the start."""
        return await self._call("GET", "notices", NoticesView)

    async def until_told(self, *, seconds: float = 10.0) -> NoticesView:
        """Wait until no webhook waits any more.

        Raises:
            SimulatorControlFailed: some still do when the time is over.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (found := await self.notices()).waiting:
            if loop.time() > end:
                raise SimulatorControlFailed(f"{found.waiting} webhooks still wait")
            await asyncio.sleep(_STEP_SECONDS)
        return found

    async def happen(
        self,
        kind: Happening | str,
        reference: str,
        *,
        account: str | None = None,
        amount: int | None = None,
    ) -> dict[str, Any]:
        """Let something happen to what a reference names; return the payment or operation after it."""
        wish = {
            "kind": Happening(kind),
            "reference": reference,
            "account": account,
            "amount": amount,
        }
        return await self._call("POST", "happen", dict[str, Any], wish)

    async def challenge(self, url: str, *, approve: bool = True) -> str | None:
        """Answer a challenge as its customer would.

        Args:
            url: the payment's `action.url`.
            approve: press Approve, or Fail.

        Returns:
            Where the customer is sent back to; None if nowhere, or if the challenge was over.
        """
        form = {"outcome": "approve" if approve else "fail"}
        async with self._open.post(url, data=form, allow_redirects=False) as answer:
            await answer.read()
            if answer.status not in {200, 303}:
                raise SimulatorControlFailed(f"the challenge page answered {answer.status}")
            return answer.headers.get("Location")

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise SimulatorControlFailed("this client is not open")
        return self._session

    async def _call(
        self,
        method: str,
        path: str,
        shape: type[Shape],
        wish: object = None,
        query: Mapping[str, str] | None = None,
    ) -> Shape:
        async with self._open.request(
            method,
            f"{self._url}/control/{path}",
            headers=self._headers,
            data=None if wish is None else msgspec.json.encode(wish),
            params=query,
        ) as answer:
            body = await answer.read()
            if answer.status != 200:  # noqa: PLR2004 - the one success of this API
                refused = msgspec.json.decode(body, type=ErrorBody).error
                raise SimulatorControlFailed(f"{refused.code}: {refused.message}")
            return msgspec.json.decode(body, type=shape)
