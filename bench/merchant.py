# SPDX-License-Identifier: Apache-2.0
"""The merchant's listener of a measurement, a small process of its own: `python -m bench.merchant SECRET_FILE PORT`.

Counts every event that comes, and verifies one in so many with `standardwebhooks`, which is not ours.
"""

import asyncio
import json
import signal
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from typing import cast

import uvloop
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

#: One in so many is verified: a merchant verifies all, on a machine of its own.
SAMPLE = 20
_HEAD_END = b"\r\n\r\n"


class Counts:
    """What came."""

    def __init__(self, secret_file: Path) -> None:
        self._secret_file = secret_file
        self._webhook: Webhook | None = None
        self.came = 0
        self.verified = 0
        self.refused = 0

    def take(self, head: bytes, body: bytes) -> None:
        """Count an event; verify it where it is one of the sample."""
        self.came += 1
        if self.came % SAMPLE != 1:
            return
        if self._webhook is None:
            self._webhook = Webhook(self._secret_file.read_text("utf-8"))
        lines = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
        headers = {name.decode().lower(): value.strip().decode() for name, _, value in lines}
        try:
            self._webhook.verify(body.decode(), headers)
        except WebhookVerificationError:
            self.refused += 1
        else:
            self.verified += 1


class Connection(asyncio.Protocol):
    """One connection: whole requests with a length, answered in order."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._buffer += data
        while (end := self._buffer.find(_HEAD_END)) >= 0 and self._transport is not None:
            head = bytes(self._buffer[:end])
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].partition(b"\r\n")[0]) if at >= 0 else 0
            whole = end + len(_HEAD_END) + length
            if len(self._buffer) < whole:
                return
            body = bytes(self._buffer[end + len(_HEAD_END) : whole])
            del self._buffer[:whole]
            if head.startswith(b"GET "):
                counts = self._counts
                said = json.dumps([counts.came, counts.verified, counts.refused]).encode()
                self._transport.write(
                    b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(said), said)
                )
            else:
                self._counts.take(head, body)
                self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


@dataclass(frozen=True, slots=True)
class Merchant:
    """A listener that runs."""

    url: str
    process: int
    secret_file: Path

    def counts(self) -> tuple[int, int, int]:
        """Return how many events came, how many of the sample were verified, and how many were not."""
        with urllib.request.urlopen(self.url, timeout=5) as answer:  # noqa: S310 - our own
            came, verified, refused = json.loads(answer.read())
        return came, verified, refused


@contextmanager
def listening(folder: Path, port: int) -> Iterator[Merchant]:
    """Run the listener in a process of its own; `secret_file` is read when the first event comes."""
    secret_file = folder / "endpoint-secret"
    command = [sys.executable, "-m", "bench.merchant", str(secret_file), str(port)]
    process = Popen(command, stdout=PIPE)
    try:
        if process.stdout is not None:
            process.stdout.readline()  # it listens
        yield Merchant(f"http://127.0.0.1:{port}/", process.pid, secret_file)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)


async def _serve(secret_file: Path, port: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    counts = Counts(secret_file)
    server = await loop.create_server(lambda: Connection(counts), "127.0.0.1", port)
    print("ready", flush=True)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
