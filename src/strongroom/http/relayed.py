# SPDX-License-Identifier: Apache-2.0
"""What PROXY headers said, by the relay's own end of each connection: how the edge learns a caller's address."""

from typing import Final, final

from strongroom.kernel.addresses import Address

#: As many connections as one relay holds; it accepts no more.
RELAYED_MAX: Final = 4_096


@final
class RelayedPeers:
    """Addresses by the local `HOST:PORT` that the relay calls the server from. Belongs to one event loop."""

    __slots__ = ("_connections_max", "_peers")

    def __init__(self, connections_max: int = RELAYED_MAX) -> None:
        self._connections_max = connections_max
        self._peers: dict[str, Address] = {}

    @property
    def is_full(self) -> bool:
        """Whether one more connection would be too many."""
        return len(self._peers) >= self._connections_max

    def add(self, local: str, address: Address) -> None:
        """Note whose connection goes on from there, before its first byte does."""
        self._peers[local] = address

    def remove(self, local: str) -> None:
        """Forget it, before the port can be somebody else's."""
        self._peers.pop(local, None)

    def find(self, client: str) -> Address | None:
        """Return whose connection this is; None when it is not one of the relay's."""
        return self._peers.get(client)

    def __len__(self) -> int:
        return len(self._peers)
