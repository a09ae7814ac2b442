# SPDX-License-Identifier: Apache-2.0
"""Liveness and readiness: what passes, fails, hangs, and what a result may say."""

import asyncio

import pytest

from strongroom.kernel.invariant import Bug
from strongroom.telemetry.health import HealthRegistry


async def fine() -> None:
    pass


async def broken() -> None:
    raise ConnectionError("postgresql://vault:hunter2@db/vault is down")


async def hanging() -> None:
    await asyncio.Event().wait()


async def timing_out_itself() -> None:
    raise TimeoutError


async def test_without_checks_a_process_is_alive_and_ready() -> None:
    registry = HealthRegistry()
    assert (await registry.liveness()).passed
    assert (await registry.readiness()).passed


async def test_each_check_is_reported_by_name() -> None:
    registry = HealthRegistry(seconds_max=0.02)
    for name, check in (
        ("fine", fine),
        ("broken", broken),
        ("hanging", hanging),
        ("slow", timing_out_itself),
    ):
        registry.add_readiness(name, check)
    health = await registry.readiness()
    assert not health.passed
    assert [(result.name, result.passed, result.finding) for result in health.results] == [
        ("broken", False, "ConnectionError"),
        ("fine", True, "ok"),
        ("hanging", False, "timed_out"),
        ("slow", False, "timed_out"),
    ]
    assert "hunter2" not in repr(health)
    assert all(0 <= result.seconds < 2 for result in health.results)


async def test_hanging_checks_wait_together() -> None:
    registry = HealthRegistry(seconds_max=0.05)
    for number in range(20):
        registry.add_readiness(f"hanging {number}", hanging)
    started = asyncio.get_running_loop().time()
    await registry.readiness()
    assert asyncio.get_running_loop().time() - started < 0.5


async def test_readiness_does_not_touch_liveness() -> None:
    registry = HealthRegistry()
    registry.add_readiness("database", broken)
    registry.add_liveness("loop", fine)
    assert (await registry.liveness()).passed
    assert not (await registry.readiness()).passed


async def test_a_draining_process_is_alive_but_not_ready() -> None:
    registry = HealthRegistry()
    registry.add_readiness("database", fine)
    registry.drain()
    assert (await registry.liveness()).passed
    health = await registry.readiness()
    assert not health.passed
    assert health.results[-1].finding == "stopping"


async def test_being_cancelled_is_not_a_finding() -> None:
    registry = HealthRegistry(seconds_max=30)
    registry.add_readiness("hanging", hanging)
    task = asyncio.create_task(registry.readiness())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("name", ["database", "draining"])
def test_a_name_is_taken_once(name: str) -> None:
    registry = HealthRegistry()
    registry.add_readiness("database", fine)
    with pytest.raises(Bug):
        registry.add_readiness(name, fine)
