# SPDX-License-Identifier: Apache-2.0
"""Destinations for the operators' commands, in plain values. Implements `OperatedDestinations`.

At the machine itself one person is enough, so what takes two does not happen there: in live mode a destination is only
looked at and ended. It is registered and changed over HTTP, by a person, with another's approval.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec

from strongroom.audit import Origin
from strongroom.http.problems import UNDECODABLE, decoding_error
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.vault.forwarding.book import By, DestinationBook
from strongroom.vault.forwarding.credentials import CERTIFICATE
from strongroom.vault.forwarding.errors import TakesTwoPeople
from strongroom.vault.forwarding.model import Destination
from strongroom.vault.forwarding.wire import DestinationChange, destination_out

_decode: Final = msgspec.json.Decoder(DestinationChange).decode
_PAGE_ROWS: Final = 100


class DestinationOperator:
    """Acts for the operators' commands."""

    def __init__(self, book: DestinationBook) -> None:
        self._book = book

    async def create(
        self,
        merchant: MerchantId,
        mode: Mode,
        description: bytes,
        credentials: Mapping[str, Secret[str]],
        actor: str,
    ) -> dict[str, Any]:
        """Register a destination. See `OperatedDestinations`."""
        _require_test(mode)
        wish = _described(description)
        config = wish.config(client_certificate=CERTIFICATE in credentials)
        by = By(merchant, mode, actor, Origin())
        return _printed(await self._book.create(by, wish.name, config, credentials))

    async def list(self, merchant: MerchantId, mode: Mode) -> Sequence[dict[str, Any]]:
        """Return a merchant's destinations, newest first."""
        by, found, cursor = By(merchant, mode, "", Origin()), [], None
        while True:
            page, cursor = await self._book.list(by, cursor, _PAGE_ROWS)
            found += [_printed(each) for each in page]
            if cursor is None:
                return found

    async def read(self, merchant: MerchantId, mode: Mode, destination: str) -> dict[str, Any]:
        """Return a destination. See `OperatedDestinations`."""
        return _printed(await self._book.read(By(merchant, mode, "", Origin()), destination))

    async def update(
        self, merchant: MerchantId, mode: Mode, destination: str, description: bytes, actor: str
    ) -> dict[str, Any]:
        """Change a destination. See `OperatedDestinations`."""
        _require_test(mode)
        wish, by = _described(description), By(merchant, mode, actor, Origin())
        known = await self._book.read(by, destination)
        config = wish.config(client_certificate=known.config.client_certificate)
        return _printed(await self._book.update(by, destination, wish.name, config))

    async def rotate(
        self,
        merchant: MerchantId,
        mode: Mode,
        destination: str,
        credentials: Mapping[str, Secret[str]],
        overlap_seconds: int,
        actor: str,
    ) -> dict[str, Any]:
        """Take new credentials. See `OperatedDestinations`."""
        _require_test(mode)
        by, overlap = By(merchant, mode, actor, Origin()), timedelta(seconds=overlap_seconds)
        return _printed(await self._book.rotate(by, destination, credentials, overlap))

    async def restore(
        self, merchant: MerchantId, mode: Mode, destination: str, actor: str
    ) -> dict[str, Any]:
        """Put credentials back. See `OperatedDestinations`."""
        _require_test(mode)
        by = By(merchant, mode, actor, Origin())
        return _printed(await self._book.restore(by, destination))

    async def disable(
        self, merchant: MerchantId, mode: Mode, destination: str, actor: str
    ) -> dict[str, Any]:
        """End a destination. See `OperatedDestinations`."""
        by = By(merchant, mode, actor, Origin())
        return _printed(await self._book.disable(by, destination))


def _described(description: bytes) -> DestinationChange:
    try:
        return _decode(description)
    except UNDECODABLE as error:
        raise decoding_error(error) from None


def _printed(found: Destination) -> dict[str, Any]:
    printed: dict[str, Any] = msgspec.to_builtins(destination_out(found))
    return printed


def _require_test(mode: Mode) -> None:
    if mode is not Mode.TEST:
        raise TakesTwoPeople
