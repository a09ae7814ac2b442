# SPDX-License-Identifier: Apache-2.0
"""Follows a merchant's events from now on, each once, by asking again and again. Holds no connection open."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from strongroom.kernel.ids import encode_id, id_floor, id_time

#: An event is seen when its transaction is committed: one that is this much older may still come.
LOOK_BACK_SECONDS: Final = 10
_PAGE: Final = 100
_BEFORE_ALL: Final = encode_id("evt", 0, bytes(10))


class Client(Protocol):
    """Asks a gateway (`cli.client.Client`)."""

    def ask(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return an answer's JSON object."""


class Follower:
    """What one command has seen so far. `types`: of these only; all if there are none."""

    def __init__(self, client: Client, types: frozenset[str] = frozenset()) -> None:
        self._client = client
        self._types = types
        self._start = _BEFORE_ALL
        self._newest: datetime | None = None
        self._seen: set[str] = set()

    def begin(self) -> None:
        """Begin behind what has happened until now."""
        newest = self._client.ask("GET", "/v1/events", query={"limit": "1"})["data"]
        if newest:
            self._start = newest[0]["id"]
            self._newest = id_time(self._start)

    def poll(self) -> list[dict[str, Any]]:
        """Return what was not seen before, oldest first."""
        floor = self._floor()
        found: list[dict[str, Any]] = []
        after = floor
        while True:
            query = {"after": after, "limit": str(_PAGE)}
            page = self._client.ask("GET", "/v1/events", query=query)
            found += [each for each in page["data"] if each["id"] not in self._seen]
            if not page["has_more"]:
                break
            after = page["next_cursor"]
        self._seen |= {each["id"] for each in found}
        if found:
            last = id_time(found[-1]["id"])
            self._newest = last if self._newest is None else max(last, self._newest)
        floor = self._floor()
        self._seen = {each for each in self._seen if each > floor}
        return [each for each in found if not self._types or each["type"] in self._types]

    def _floor(self) -> str:
        if self._newest is None:
            return self._start
        back = id_floor("evt", self._newest - timedelta(seconds=LOOK_BACK_SECONDS))
        return max(self._start, back)
