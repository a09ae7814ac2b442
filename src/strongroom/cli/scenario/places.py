# SPDX-License-Identifier: Apache-2.0
"""Where the parts of one demo listen, chosen before any starts: the server may call these addresses and no others."""

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from strongroom.cli.scenario.folder import DemoRefused
from strongroom.config import Listener, Settings

#: Where the simulator and the merchant's own server listen, if nobody else does.
PROCESSOR: Final = Listener("127.0.0.1", 8460)
SHOP: Final = Listener("127.0.0.1", 4242)
#: Short, so that a scenario can wait for what a release waits hours for.
PROCESSOR_TIMEOUT_SECONDS: Final = 2
RECOVERY_DELAYS_SECONDS: Final = (1, 1, 1, 5)
DELIVERY_DELAYS_SECONDS: Final = (1, 2, 5, 30)


@dataclass(frozen=True, slots=True)
class Places:
    """One address for each part."""

    vault: Listener
    gateway: Listener
    webhooks: Listener
    console: Listener
    processor: Listener
    shop: Listener

    @classmethod
    def wanted(cls, settings: Settings) -> "Places":
        """Return the addresses that the settings name."""
        return cls(
            settings.vault_listen,
            settings.gateway_listen,
            settings.webhooks_listen,
            settings.console_listen,
            PROCESSOR,
            SHOP,
        )

    @classmethod
    def read(cls, arguments: Sequence[str]) -> "Places":
        """Read what `arguments` prints."""
        return cls(*map(_read_listener, arguments[: len(fields(cls))]))

    def freed(self) -> "Places":
        """Return these, each with another port if somebody has its own.

        Raises:
            DemoRefused: an address is none of this machine.
        """
        taken: set[int] = set()
        free = []
        for wanted in self:
            free.append(free_listener(wanted, taken))
            taken.add(free[-1].port)
        return Places(*free)

    def __iter__(self) -> Iterator[Listener]:
        return (getattr(self, each.name) for each in fields(self))

    def arguments(self) -> list[str]:
        """Print them for another process."""
        return [str(each) for each in self]

    def overrides(self) -> dict[str, Any]:
        """Return the settings of a demo's server: where it listens, whom it may call, how patient it is."""
        return {
            "vault_listen": self.vault,
            "gateway_listen": self.gateway,
            "webhooks_listen": self.webhooks,
            "console_listen": self.console,
            "public_url": f"https://{self.webhooks}",
            "egress_loopback": (str(self.processor), str(self.shop)),
            "processor_timeout_seconds": PROCESSOR_TIMEOUT_SECONDS,
            "recovery_delays_seconds": RECOVERY_DELAYS_SECONDS,
            "delivery_delays_seconds": DELIVERY_DELAYS_SECONDS,
            "worker": True,
        }


def free_listener(wanted: Listener, taken: "set[int] | frozenset[int]" = frozenset()) -> Listener:
    """Return the wanted address if it is free, else the same host with a free port.

    Raises:
        DemoRefused: nothing can listen on that host.
    """
    if wanted.port not in {0, *taken} and _bindable(wanted) is not None:
        return wanted
    while (port := _bindable(Listener(wanted.host, 0))) in taken:
        pass
    if port is None:
        raise DemoRefused(f"nothing can listen on {wanted.host}")
    return Listener(wanted.host, port)


def _read_listener(text: str) -> Listener:
    host, _, port = text.rpartition(":")
    return Listener(host.strip("[]"), int(port))


def _bindable(listener: Listener) -> int | None:
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listener.host, listener.port))
        except OSError:
            return None
        return int(probe.getsockname()[1])
