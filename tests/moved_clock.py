# SPDX-License-Identifier: Apache-2.0
"""A clock that runs on by itself, as a service's work in the background needs it, and can be moved ahead."""

from datetime import datetime, timedelta

from strongroom.kernel.clock import SystemClock


class MovedClock(SystemClock):
    """The machine's clock, and what it was moved by."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self._ahead

    def move(self, by: timedelta) -> None:
        self._ahead += by
