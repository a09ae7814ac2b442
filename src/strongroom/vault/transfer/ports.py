# SPDX-License-Identifier: Apache-2.0
"""Imports and exports as their routes see them."""

from dataclasses import dataclass

from strongroom.audit import Recorder
from strongroom.kernel.clock import Clock
from strongroom.vault.transfer.export import Exports
from strongroom.vault.transfer.imports import Imports


@dataclass(frozen=True, slots=True)
class Transfer:
    """The parts that routes call; `compose` joins them (`state.transfer`)."""

    imports: Imports
    exports: Exports
    recorder: Recorder
    clock: Clock
