# SPDX-License-Identifier: Apache-2.0
"""What the simulator answers to requests that it refuses, and what keeps it from starting.

Refusal                    an answer of the simulator's protocol, which is not Strongroom's: nothing was executed
StrongroomError
├── SimulatorFolderTaken   another simulator writes there
├── JournalUnreadable      a whole line of the journal is not one of its lines
└── SimulatorPortTaken     another program listens there
"""

from strongroom.kernel.errors import StrongroomError


class Refusal(Exception):
    """A request that was refused and did nothing; holds what the answer says, and never a value that was sent."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        #: The field that is meant, as `card.number`; None if none is.
        self.param = param


class SimulatorFolderTaken(StrongroomError):
    """Another simulator writes to this folder."""

    code = "simulator_folder_taken"


class JournalUnreadable(StrongroomError):
    """The simulator's journal holds a line that it did not write."""

    code = "simulator_journal_unreadable"


class SimulatorPortTaken(StrongroomError):
    """The simulator cannot listen there."""

    code = "simulator_port_taken"
