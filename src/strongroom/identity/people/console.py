# SPDX-License-Identifier: Apache-2.0
"""What the console's routes about people call, as one value."""

from dataclasses import dataclass

from strongroom.audit import Origin, Recorder
from strongroom.identity.people.own import OwnService
from strongroom.identity.people.passwords import Passwords
from strongroom.identity.people.service import PeopleService
from strongroom.identity.people.setup import SetUpService
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId


@dataclass(frozen=True, slots=True)
class PeopleDesk:
    """The services behind the routes; a login's part takes `passwords`, `people.table` and `setup` from here."""

    people: PeopleService
    setup: SetUpService
    own: OwnService
    passwords: Passwords
    recorder: Recorder
    clock: Clock
    #: Where the cards of a new merchant rest, if nothing else is said.
    region: str = "local"

    async def origin(self, merchant: MerchantId, address: str, request_hash: str) -> Origin:
        """Return the origin of a request, for records."""
        return await self.recorder.origin(merchant, address, request_hash, self.clock.now())
