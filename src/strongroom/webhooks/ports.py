# SPDX-License-Identifier: Apache-2.0
"""What merchants are told, as its routes see it."""

from dataclasses import dataclass

from strongroom.audit import Recorder
from strongroom.kernel.clock import Clock
from strongroom.webhooks.endpoints import Endpoints
from strongroom.webhooks.events import Events


@dataclass(frozen=True, slots=True)
class Webhooks:
    """The parts that routes call; `compose` joins them and puts this into the state as `webhooks`."""

    endpoints: Endpoints
    events: Events
    recorder: Recorder
    clock: Clock
