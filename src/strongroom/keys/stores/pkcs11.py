# SPDX-License-Identifier: Apache-2.0
"""Roots in a hardware security module over PKCS#11: one AES-256 key per purpose, which never leaves it.

Every call into a vendor's library is made on one thread of this process: with several, SoftHSM and others crash. The
library's handles do not outlive a fork, so a store that finds itself in a child refuses.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache, partial
from typing import Final, TypeVar

import pkcs11

from strongroom.crypto import DATA_KEY_BYTES, equal, random_bytes
from strongroom.kernel.secret import Secret
from strongroom.keys.context import bound_context, check_plaintext
from strongroom.keys.errors import KeyStoreRefused, KeyStoreUnavailable
from strongroom.keys.model import NewDataKey, RootInfo
from strongroom.keys.purposes import Purpose
from strongroom.keys.stores.pkcs11_token import PinRefused, TokenPlace, TokenSession

#: For the whole of a call: waiting for its turn on the thread, and a second try on a new session.
CALL_TIMEOUT_SECONDS: Final = 6

#: Reads the PIN anew, so that a changed one is seen when the session is opened again.
PinSource = Callable[[], Awaitable[Secret[str]]]

Result = TypeVar("Result")

#: What says that the session, its login or its handles are gone, and a new session may mend it.
_LOST: Final = (
    pkcs11.SessionClosed,
    pkcs11.SessionHandleInvalid,
    pkcs11.KeyHandleInvalid,
    pkcs11.ObjectHandleInvalid,
    pkcs11.UserNotLoggedIn,
    pkcs11.DeviceRemoved,
    pkcs11.DeviceError,
    pkcs11.TokenNotPresent,
)
_REFUSED: Final = (pkcs11.MechanismInvalid, pkcs11.FunctionNotSupported, pkcs11.ArgumentsBad)


@cache
def _worker(_process: int) -> ThreadPoolExecutor:
    """Return the one thread of this process that may call a PKCS#11 library."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="pkcs11")


class Pkcs11KeyStore:
    """Implements `KeyStore` over a PKCS#11 token. Made by `open`; give it up with `close`."""

    def __init__(
        self,
        place: TokenPlace,
        purposes: Iterable[Purpose],
        pin: PinSource,
        call_timeout_seconds: float,
    ) -> None:
        self._place = place
        self._purposes = frozenset(purposes)
        self._pin = pin
        self._call_timeout_seconds = call_timeout_seconds
        self._process = os.getpid()
        self._session: TokenSession | None = None
        self._suspect: TokenSession | None = None
        self._was_open = False
        self._refused_pin: Secret[str] | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    @property
    def name(self) -> str:
        """The store's kind."""
        return "pkcs11"

    @classmethod
    async def open(
        cls,
        place: TokenPlace,
        pin: PinSource,
        *,
        purposes: Iterable[Purpose] = frozenset(Purpose),
        call_timeout_seconds: float = CALL_TIMEOUT_SECONDS,
    ) -> "Pkcs11KeyStore":
        """Log in and find the roots of these purposes. A root that is missing is told by its first use, or `describe`.

        Raises:
            KeyStoreRefused: the PIN is wrong or locked, or a root could have left the token.
            KeyStoreUnavailable: no such module or token.
        """
        store = cls(place, purposes, pin, call_timeout_seconds)
        await store._call(TokenSession.find)
        return store

    async def generate(self, purpose: Purpose, context: Mapping[str, str]) -> NewDataKey:
        """Make a data key from this machine's randomness, and have the token wrap it."""
        plaintext = random_bytes(DATA_KEY_BYTES)
        return NewDataKey(Secret(plaintext), await self.wrap(purpose, plaintext, context))

    async def wrap(self, purpose: Purpose, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        """Seal with AES-GCM in the token; the context is associated data."""
        check_plaintext(plaintext)
        bound = bound_context(purpose, context)
        return await self._call(lambda session: session.wrap(purpose, plaintext, bound))

    async def unwrap(
        self, purpose: Purpose, wrapped: bytes, context: Mapping[str, str]
    ) -> Secret[bytes]:
        """Open with the version of the root that sealed."""
        bound = bound_context(purpose, context)
        return Secret(await self._call(lambda session: session.unwrap(purpose, wrapped, bound)))

    async def describe(self) -> Sequence[RootInfo]:
        """Look at the roots in the token again; a newer version is used from now on."""
        return await self._call(TokenSession.describe)

    async def make_roots(
        self, purposes: Iterable[Purpose], now: datetime, *, next_version: bool = False
    ) -> list[tuple[Purpose, int]]:
        """Have the token make the roots that it does not have; return what was made.

        Args:
            purposes: which roots.
            now: kept in the token as the time each was made.
            next_version: also make a newer version of a root that is there; what older ones wrapped opens as before.
        """
        pin = await self._pin()

        def make() -> list[tuple[Purpose, int]]:
            session = TokenSession.open(self._place, pin, self._purposes, writing=True)
            try:
                return [
                    (purpose, session.make_root(purpose, now))
                    for purpose in sorted(purposes)
                    if next_version or not session.holds(purpose)
                ]
            finally:
                session.close()

        made = await self._translated(self._on_thread(make))
        await self._call(TokenSession.find)
        return made

    async def close(self) -> None:
        """End the session."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None and os.getpid() == self._process:
            await self._on_thread(session.close)

    # --- the thread --------------------------------------------------------------------------------

    async def _call(self, work: Callable[[TokenSession], Result]) -> Result:
        return await self._translated(self._tried(work))

    async def _translated(self, call: Awaitable[Result]) -> Result:
        """Bound the whole of a call, and say in our words what went wrong."""
        try:
            async with asyncio.timeout(self._call_timeout_seconds):
                return await call
        except _REFUSED as error:
            raise KeyStoreRefused("the token cannot do AES-GCM as it is asked to") from error
        except (pkcs11.PKCS11Error, OSError) as error:
            # What failed for no known reason may do so for ever: the next call begins with a new session.
            self._suspect = self._session
            raise KeyStoreUnavailable from error

    async def _tried(self, work: Callable[[TokenSession], Result]) -> Result:
        """Do it; if the session turns out to be lost, once more on a new one."""
        session = await self._opened()
        try:
            return await self._on_thread(partial(work, session))
        except _LOST:
            again = await self._opened(instead_of=session)
        return await self._on_thread(partial(work, again))

    async def _opened(self, instead_of: TokenSession | None = None) -> TokenSession:
        """Return the session; open one if there is none, or only the one that was lost."""
        async with self._opening:
            if self._closed:
                raise KeyStoreUnavailable
            if os.getpid() != self._process:
                raise KeyStoreRefused("a PKCS#11 store was taken along into another process")
            doubted = (instead_of, self._suspect)
            if self._session is not None and all(self._session is not each for each in doubted):
                return self._session
            lost, self._session, self._suspect = self._session, None, None
            pin = await self._pin()
            if self._refused_pin is not None and equal(
                self._refused_pin.expose().encode(), pin.expose().encode()
            ):
                raise PinRefused
            try:
                self._session = await self._on_thread(partial(self._login, lost, pin))
            except PinRefused:
                self._refused_pin = pin
                raise
            self._was_open = True
            return self._session

    def _login(self, lost: TokenSession | None, pin: Secret[str]) -> TokenSession:
        if lost is not None:
            lost.close()
        try:
            return TokenSession.open(self._place, pin, self._purposes)
        except (KeyStoreUnavailable, pkcs11.PKCS11Error):
            if not self._was_open:
                raise
            # A device that was away is seen again only by a library that was initialised again.
            return TokenSession.open(self._place, pin, self._purposes, anew=True)

    async def _on_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(_worker(self._process), work)
