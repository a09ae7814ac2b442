# SPDX-License-Identifier: Apache-2.0
"""Last of the API tests: the canary flew through every one of them, and nothing holds it."""

from canary import CVC, NUMBER, Canary, everywhere
from service import Service


async def test_the_canary_is_nowhere(service: Service) -> None:
    assert service.answers.count > 0
    assert not await everywhere(Canary(NUMBER, CVC), service, service.databases)
