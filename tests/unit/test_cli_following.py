# SPDX-License-Identifier: Apache-2.0
"""Following events: from now on, each once, late ones too; and where `listen` may send them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer

from strongroom.cli.following import LOOK_BACK_SECONDS, Follower
from strongroom.cli.listen import _require_target
from strongroom.kernel.ids import encode_id

START = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def an_id(seconds: float, number: int = 0) -> str:
    moment = START + timedelta(seconds=seconds)
    return encode_id("evt", int(moment.timestamp() * 1_000), number.to_bytes(10, "big"))


@dataclass
class Gateway:
    """Answers as `GET /v1/events` does, in pages of `page`."""

    page: int = 100
    ids: dict[str, str] = field(default_factory=dict)
    asked: int = 0

    def happen(self, event_id: str, event_type: str = "payment.captured") -> str:
        self.ids[event_id] = event_type
        return event_id

    def ask(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        assert (method, path) == ("GET", "/v1/events")
        self.asked += 1
        query = query or {}
        limit = min(int(query["limit"]), self.page)
        if "after" in query:
            found = sorted(each for each in self.ids if each > query["after"])
        else:
            found = sorted(self.ids, reverse=True)
        shown = found[:limit]
        return {
            "data": [{"id": each, "type": self.ids[each]} for each in shown],
            "has_more": len(found) > limit,
            "next_cursor": shown[-1] if len(found) > limit else None,
        }


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [each["id"] for each in events]


def test_it_begins_behind_what_has_happened_and_shows_each_event_once() -> None:
    gateway = Gateway()
    gateway.happen(an_id(-5))
    follower = Follower(gateway)
    follower.begin()
    assert follower.poll() == []
    new = [gateway.happen(an_id(seconds)) for seconds in (1, 2, 3)]
    assert ids(follower.poll()) == new
    assert follower.poll() == []


def test_it_begins_where_nothing_has_happened() -> None:
    gateway = Gateway()
    follower = Follower(gateway)
    follower.begin()
    assert follower.poll() == []
    first = gateway.happen(an_id(0))
    assert ids(follower.poll()) == [first]


def test_an_event_that_comes_late_is_not_missed() -> None:
    gateway = Gateway()
    follower = Follower(gateway)
    follower.begin()
    gateway.happen(an_id(100))
    follower.poll()
    late = gateway.happen(an_id(100 - LOOK_BACK_SECONDS + 1))
    assert ids(follower.poll()) == [late]
    assert follower.poll() == []


def test_many_at_once_come_in_their_order() -> None:
    gateway = Gateway(page=7)
    follower = Follower(gateway)
    follower.begin()
    new = [gateway.happen(an_id(1, number)) for number in range(40)]
    assert ids(follower.poll()) == new
    assert follower.poll() == []


def test_what_is_remembered_stays_bounded() -> None:
    gateway = Gateway()
    follower = Follower(gateway)
    follower.begin()
    for seconds in range(200):
        gateway.happen(an_id(seconds))
        assert len(follower.poll()) == 1
    assert len(follower._seen) <= LOOK_BACK_SECONDS + 1


def test_only_the_types_that_are_wanted_are_shown() -> None:
    gateway = Gateway()
    follower = Follower(gateway, frozenset({"refund.created"}))
    follower.begin()
    gateway.happen(an_id(1))
    wanted = gateway.happen(an_id(2), "refund.created")
    assert ids(follower.poll()) == [wanted]
    assert follower.poll() == []


#: Where to, whether another machine is allowed, whether it may.
TARGETS = [
    ("http://127.0.0.1:4242/webhooks", False, True),
    ("https://localhost/hooks", False, True),
    ("http://[::1]:80/", False, True),
    ("http://192.168.0.7/", False, False),
    ("https://shop.example/", False, False),
    ("https://shop.example/", True, True),
    ("http://shop.example/", True, False),
    ("http://user@127.0.0.1/", False, False),
    ("http://127.0.0.1.shop.example/", False, False),
    ("ftp://127.0.0.1/", False, False),
    ("127.0.0.1:4242", False, False),
    ("http://[::1", True, False),
]


@pytest.mark.parametrize(("url", "remote", "may"), TARGETS)
def test_events_are_sent_to_this_machine_unless_told_otherwise(
    url: str, *, remote: bool, may: bool
) -> None:
    if may:
        _require_target(url, allow_remote=remote)
    else:
        with pytest.raises(typer.BadParameter):
            _require_target(url, allow_remote=remote)
