# SPDX-License-Identifier: Apache-2.0
"""Shows that an internal port lets nobody in who has no certificate of it, by trying, before anything is served there.

A server that was told to look at certificates and does not looks exactly like one that does, from the inside.
"""

import asyncio
import ssl
import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from strongroom.crypto import issue_client_certificate, make_authority
from strongroom.kernel.errors import StrongroomError

PROBE_SECONDS: Final = 5.0
_REQUEST: Final = b"GET /livez HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n"


class StrangersLetIn(StrongroomError):
    """An internal port answers callers that have no certificate of it: this process does not serve."""

    code = "internal_port_open"


async def require_mutual(host: str, port: int, now: datetime) -> None:
    """Knock without a certificate, and with one of another authority; return if neither is answered.

    Raises:
        StrangersLetIn: one was.
    """
    nobody = _context()
    if await _answers(host, port, nobody):
        raise StrangersLetIn("an internal port answers callers without a certificate")
    with tempfile.TemporaryDirectory(prefix="strongroom-probe-") as folder:
        stranger = _context()
        stranger.load_cert_chain(*_made_up(Path(folder), now))
    if await _answers(host, port, stranger):
        raise StrangersLetIn(
            "an internal port answers callers with another authority's certificate"
        )


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Nothing is told to whoever answers, and whether it is we is not the question.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _made_up(folder: Path, now: datetime) -> tuple[Path, Path]:
    made = issue_client_certificate(make_authority(now, "nobody's authority"), "nobody", now)
    certificate, key = folder / "nobody.pem", folder / "nobody.key"
    certificate.write_bytes(made.certificate)
    key.touch(mode=0o600)
    key.write_bytes(made.private_key.expose())
    return certificate, key


async def _answers(host: str, port: int, context: ssl.SSLContext) -> bool:
    """Tell whether a request is answered. With TLS 1.3 the refusal comes only after the handshake."""
    place = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - what is bound to all answers there
    writer = None
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(place, port, ssl=context)
            writer.write(_REQUEST)
            await writer.drain()
            return bool(await reader.read(1))
    except OSError:  # an ssl.SSLError is one
        return False
    except TimeoutError:
        return False
    finally:
        if writer is not None:
            writer.close()
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), timeout=1)
