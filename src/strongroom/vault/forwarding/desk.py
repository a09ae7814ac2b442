# SPDX-License-Identifier: Apache-2.0
"""Destinations and forwards as their routes see them."""

from dataclasses import dataclass

from strongroom.vault.forwarding.book import DestinationBook
from strongroom.vault.forwarding.service import Forwarding


@dataclass(frozen=True, slots=True)
class ForwardDesk:
    """The parts that routes call; `compose` joins them."""

    book: DestinationBook
    forwarding: Forwarding
