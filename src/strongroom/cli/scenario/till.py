# SPDX-License-Identifier: Apache-2.0
"""What the payments' chapters share: the connected processor and the merchant's listener."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from strongroom.kernel.errors import StrongroomError

if TYPE_CHECKING:  # slow to import, and not wanted before the first token
    from strongroom.cli.scenario.shop import Shop
    from strongroom.simulator import SimulatorControl


class NothingConnected(StrongroomError):
    """No processor is connected: the chapter that connects one broke off."""

    code = "nothing_connected"


@dataclass(frozen=True, slots=True)
class Till:
    """A processor, connected; a merchant's server, listening."""

    #: The simulator's own control: what a test does at a processor's desk, and no merchant can.
    control: "SimulatorControl"
    shop: "Shop"
    #: The processor's address, its name for the merchant, and the key to that account.
    processor: str
    account: str
    api_key: str = field(repr=False)
    connection: str
    webhook_url: str
    #: What the processor signs its notices with.
    secret: str = field(repr=False)
