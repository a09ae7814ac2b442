# SPDX-License-Identifier: Apache-2.0
"""The adapter of Strongroom's own simulator (docs/reference/simulator.md)."""

from strongroom.payments.processors.simulator.adapter import SimulatorAdapter

__all__ = ["SimulatorAdapter"]
