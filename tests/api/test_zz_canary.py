# SPDX-License-Identifier: Apache-2.0
"""Last of the API tests: the canary flew through every one of them, and nothing holds it."""

from canary import CVC, NUMBER, Canary, everywhere
from service import Service


async def test_the_canary_is_nowhere(service: Service) -> None:
    assert service.answers.count > 0
    assert not await everywhere(Canary(NUMBER, CVC), service, service.databases)


async def test_the_log_never_had_to_be_scrubbed(service: Service) -> None:
    """The scrubber is the last line: no card number ever came that far, and no field that is not on the list."""
    service.composer.site.log.flush()
    metrics = (await service.vault(None).get("/metrics")).text
    for name in ("strongroom_log_scrubbed_total", "strongroom_log_fields_dropped_total"):
        (line,) = [line for line in metrics.splitlines() if line.startswith(name)]
        assert line.split()[-1] == "0.0", line
