# SPDX-License-Identifier: Apache-2.0
"""A processor of our own, over HTTP: with accounts, books, webhooks, faults and a journal of what it really did.

Part of the product because merchants test against it. It knows nothing of Strongroom but the kernel and crypto.
"""

from strongroom.simulator.control import SimulatorControl, SimulatorControlFailed
from strongroom.simulator.control_wire import (
    BooksView,
    CurrencyTotals,
    DemandWish,
    FaultsView,
    Happening,
    NoticesView,
    PaymentTotals,
)
from strongroom.simulator.errors import (
    JournalUnreadable,
    SimulatorFolderTaken,
    SimulatorPortTaken,
)
from strongroom.simulator.faults import Fault
from strongroom.simulator.journal import Entry
from strongroom.simulator.ledger import Account, Webhook
from strongroom.simulator.server import Simulated, Simulator, running_simulator

__all__ = [
    "Account",
    "BooksView",
    "CurrencyTotals",
    "DemandWish",
    "Entry",
    "Fault",
    "FaultsView",
    "Happening",
    "JournalUnreadable",
    "NoticesView",
    "PaymentTotals",
    "Simulated",
    "Simulator",
    "SimulatorControl",
    "SimulatorControlFailed",
    "SimulatorFolderTaken",
    "SimulatorPortTaken",
    "Webhook",
    "running_simulator",
]
