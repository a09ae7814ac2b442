# SPDX-License-Identifier: Apache-2.0
"""What the chapters share: two merchants with their clients, the report, and numbers that nobody used before."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from strongroom.cli.scenario.client import Client, Ledger
from strongroom.cli.scenario.folder import DemoFolder
from strongroom.cli.scenario.places import Places
from strongroom.cli.scenario.report import Report
from strongroom.cli.scenario.till import NothingConnected, Till
from strongroom.config import Settings
from strongroom.kernel.schemes import synthetic_number


@dataclass(frozen=True, slots=True)
class Party:
    """A test merchant: its secret and its public key at the vault, and its secret key at the gateway."""

    merchant: str
    name: str
    secret: Client
    public: Client
    gateway: Client


@dataclass(slots=True)
class Story:
    """One run of the scenario."""

    settings: Settings
    folder: DemoFolder
    report: Report
    ledger: Ledger
    shop: Party
    market: Party
    #: The first merchant's live key, and nobody's.
    live: Client
    stranger: Client
    begun: datetime
    #: How many synthetic cards the load sends.
    cards: int
    vault: str
    gateway: str
    #: Where processors and returning customers reach the server.
    webhooks: str
    console: str
    places: Places
    authority: Path
    #: What chapters start is stopped when the story ends, however it ends.
    stack: AsyncExitStack
    #: The first serial that any run used, and the first of this run.
    first_serial: int
    serials: Iterator[int]
    #: From chapter 6 on.
    connected: Till | None = None
    #: One that can be charged.
    token: str = ""
    #: Every attempt of this run, once the books were compared.
    attempts: set[str] = field(default_factory=set)
    #: What other programs printed to this one.
    printed: list[bytes] = field(default_factory=list)

    @property
    def till(self) -> Till:
        """What is connected.

        Raises:
            NothingConnected: nothing is.
        """
        if self.connected is None:
            raise NothingConnected
        return self.connected

    def card(self) -> str:
        """Return a synthetic card number that was never used before."""
        return synthetic_number(next(self.serials))
