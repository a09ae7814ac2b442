# SPDX-License-Identifier: Apache-2.0
"""Where the demo's parts listen: on what is wanted if it is free, and only these may be called."""

import socket

from strongroom.cli.scenario.places import Places, free_listener
from strongroom.config import Listener, Settings, load_settings

LOOPBACK = "127.0.0.1"


def test_a_port_that_is_taken_is_changed_and_nothing_else() -> None:
    free = free_listener(Listener(LOOPBACK, 0))
    assert free.port > 0
    assert free_listener(free) == free
    assert free_listener(free, {free.port}).port != free.port


def test_no_two_parts_get_one_port_and_what_is_free_stays() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        free = free_listener(Listener(LOOPBACK, 0))
        held, any_port = Listener(LOOPBACK, port), Listener(LOOPBACK, 0)
        wanted = Places(held, held, free, any_port, free, any_port)
        found = wanted.freed()
    assert len({each.port for each in found}) == 6
    assert port not in {each.port for each in found}
    assert found.webhooks == free


def test_another_process_reads_what_this_one_prints() -> None:
    places = Places(*(Listener("::1", port) for port in range(1, 7)))
    assert Places.read([*places.arguments(), "--more"]) == places


def test_the_server_may_call_the_simulator_and_the_merchant_and_nobody_else() -> None:
    places = Places(*(Listener(LOOPBACK, 20_000 + number) for number in range(6)))
    settings = load_settings({}, overrides=places.overrides())
    assert settings.egress_loopback == ("127.0.0.1:20004", "127.0.0.1:20005")
    assert settings.public_url == "https://127.0.0.1:20002"
    assert settings.worker
    assert isinstance(settings, Settings)
