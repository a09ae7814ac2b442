# SPDX-License-Identifier: Apache-2.0
"""Takes connections that begin with a PROXY header, and pipes what follows to the server's own loopback port.

The server cannot read that header, and TLS comes after it; so this stands before it, in the same process. It looks at
nothing behind the header. Bytes are passed on as fast as the slower side takes them, and never heaped up.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, cast, final

from strongroom.http import limits
from strongroom.http.client_address import host_of
from strongroom.http.proxy_header import ProxyHeaderRefused, read_proxy_header
from strongroom.http.relayed import RELAYED_MAX, RelayedPeers
from strongroom.kernel.addresses import Address, AddressMalformed, Networks, parse_address

#: For the header alone; what follows has the server's own time limits.
HEADER_SECONDS_MAX: Final = 5.0
#: How long a side may take to read the rest when the other has gone.
LINGER_SECONDS_MAX: Final = 30.0
CONNECT_SECONDS_MAX: Final = 5.0


@final
class Relay:
    """One public port of a listener. `start`, then `refuse_new`, and `stop` when the server has ended."""

    def __init__(
        self,
        peers: RelayedPeers,
        proxies: Networks,
        *,
        header_seconds_max: float = HEADER_SECONDS_MAX,
        connections_max: int = RELAYED_MAX,
        on_refused: Callable[[str, str], None] = lambda _reason, _address: None,
    ) -> None:
        self.peers = peers
        self.proxies = proxies
        self.header_seconds_max = header_seconds_max
        self.on_refused = on_refused
        self._connections_max = connections_max
        self._open: set[_Caller] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.upstream = ("127.0.0.1", 0)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    async def start(self, host: str, port: int, upstream_port: int) -> None:
        """Listen, and pipe to a port of the loopback address."""
        self.upstream = ("127.0.0.1", upstream_port)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Caller(self), host, port, backlog=limits.CONNECTIONS_WAITING_MAX
        )

    def refuse_new(self) -> None:
        """Take no more connections; those that are open go on."""
        if self._server is not None:
            self._server.close()

    async def stop(self, linger_seconds: float = 1.0) -> None:
        """End what is still open, once what is under way could be read."""
        self.refuse_new()
        if self._open:
            self._empty.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), linger_seconds)
        for caller in tuple(self._open):
            caller.abort()
        for task in self._tasks:
            task.cancel()

    def take(self, caller: "_Caller") -> bool:
        """Take a connection, if there is room."""
        if len(self._open) >= self._connections_max:
            return False
        self._open.add(caller)
        return True

    def leave(self, caller: "_Caller") -> None:
        """Forget a connection."""
        self._open.discard(caller)
        if not self._open:
            self._empty.set()

    def connect(self, caller: "_Caller", address: Address, rest: bytes) -> None:
        """Open the way to the server for a caller."""
        task = asyncio.get_running_loop().create_task(self._connect(caller, address, rest))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, caller: "_Caller", address: Address, rest: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                await loop.create_connection(
                    lambda: _Server(self.peers, caller, address, rest), *self.upstream
                )
        except (OSError, TimeoutError):
            caller.refuse("proxy_server_away")


class _Side(asyncio.Protocol):
    """One of the two ends. Each tells the other when it cannot take more."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def close(self) -> None:
        """Send what is buffered, then close; whoever does not read it in time is cut off."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()
            if self.transport.get_write_buffer_size():
                loop = asyncio.get_running_loop()
                loop.call_later(LINGER_SECONDS_MAX, self.transport.abort)

    def abort(self) -> None:
        """Close without sending what is buffered."""
        if self.transport is not None:
            self.transport.abort()


@final
class _Caller(_Side):
    """The public end: first the header, then bytes for the server."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay
        self._received = bytearray()
        self._whence = ""
        self._proxy: Address | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._whence = host_of(_name(transport, "peername"))
        try:
            self._proxy = parse_address(self._whence)
        except AddressMalformed:
            self._proxy = None
        if self._proxy is None or self._proxy not in self._relay.proxies:
            self.refuse("proxy_not_trusted")
        elif not self._relay.take(self):
            self.refuse("proxy_connections_full")
        else:
            self._deadline = asyncio.get_running_loop().call_later(
                self._relay.header_seconds_max, self.refuse, "proxy_header_slow"
            )

    def data_received(self, data: bytes) -> None:
        if self._deadline is None:
            super().data_received(data)
            return
        self._received += data
        try:
            header = read_proxy_header(bytes(self._received))
        except ProxyHeaderRefused:
            self.refuse("proxy_header_malformed")
            return
        if header is None or self._proxy is None or self.transport is None:
            return
        self._deadline.cancel()
        self._deadline = None
        self.transport.pause_reading()  # until the server's end is there
        self._relay.connect(
            self, header.source or self._proxy, bytes(self._received[header.length :])
        )
        self._received = bytearray()

    def eof_received(self) -> bool:
        """Pass a half-close on: the answer to what was sent is still wanted."""
        if self.other is None or self.other.transport is None:
            return False
        self.other.transport.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        if self._deadline is not None:
            self._deadline.cancel()
        self._relay.leave(self)
        if self.other is not None:
            self.other.close()

    def refuse(self, reason: str) -> None:
        """Close the connection, and tell why and whence."""
        self._relay.on_refused(reason, self._whence)
        self.abort()


@final
class _Server(_Side):
    """The end at the server's loopback port."""

    def __init__(self, peers: RelayedPeers, caller: _Caller, address: Address, rest: bytes) -> None:
        super().__init__()
        self._peers = peers
        self.other: _Side = caller
        self._address = address
        self._rest = rest
        self._local = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        public = self.other.transport
        if self.transport is None or public is None or public.is_closing():
            transport.close()
            return
        self._local = _name(transport, "sockname")
        self._peers.add(self._local, self._address)
        self.other.other = self
        if self._rest:
            self.transport.write(self._rest)
        public.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self._peers.remove(self._local)
        self.other.close()


def _name(transport: asyncio.BaseTransport, which: str) -> str:
    """Print one end of a connection as the server prints its peer."""
    name = transport.get_extra_info(which)
    if not isinstance(name, tuple):
        return ""
    host = str(name[0])
    return f"[{host}]:{name[1]}" if ":" in host else f"{host}:{name[1]}"
