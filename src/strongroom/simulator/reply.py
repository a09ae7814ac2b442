# SPDX-License-Identifier: Apache-2.0
"""An answer before it is sent, and the way not to answer: to cut the connection."""

import asyncio
from collections.abc import Mapping
from typing import Final, NamedTuple

from aiohttp import web

JSON: Final = "application/json"


class Reply(NamedTuple):
    """Status, body and headers beside `Content-Type: application/json`."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


def is_gone(request: web.BaseRequest) -> bool:
    """Tell whether the client has left."""
    transport = request.transport
    return transport is None or transport.is_closing()


async def cut(request: web.BaseRequest) -> web.Response:
    """Close the connection without a byte; what is returned goes nowhere."""
    if (transport := request.transport) is not None:
        transport.abort()
        await asyncio.sleep(0)  # the server learns of it before it would write
    return web.Response()
