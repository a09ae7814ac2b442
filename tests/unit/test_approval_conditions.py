# SPDX-License-Identifier: Apache-2.0
"""When a request takes two people, and what makes it the same request: never less than what the route will do."""

import inspect
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import post

from strongroom.compose import CONSOLE_ROUTES, GATEWAY_ROUTES, VAULT_ROUTES, WEBHOOKS_ROUTES
from strongroom.http import PUBLIC, Request
from strongroom.http.approval import (
    Approval,
    ApprovalAbout,
    ApprovalNeedsPerson,
    ApprovalToken,
    in_live_mode,
    listing,
    require_approval,
    where,
)
from strongroom.identity.approvals.fingerprint import canonical, fingerprint
from strongroom.kernel.ids import MerchantId, SessionId
from strongroom.kernel.invariant import Bug
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, Presence, Principal, Role
from strongroom.kernel.secret import Secret


class Wish(msgspec.Struct):
    """What a route would decode."""

    role: str = ""
    name: str = ""


def request(body: bytes = b"", **changes: Any) -> Request:
    made = Request(
        **{
            "listener": "console",
            "method": "POST",
            "path": "/v1/x",
            "query": "",
            "headers": {},
            "address": "192.0.2.1",
            "request_id": "req",
            "trace_hash": "",
            "started": 0.0,
            **{name: value for name, value in changes.items() if name in Request.__slots__},
        }
    )
    made.body = body
    made.principal = Principal(
        changes.get("subject", "usr_a"),
        CallerKind.PERSON,
        MerchantId(changes.get("merchant", "mer_a")),
        changes.get("mode", Mode.LIVE),
        frozenset(),
    )
    return made


names = st.sampled_from(["role", "name", "r\\u006fle", "Role", "other"])
words = st.sampled_from(["admin", "\\u0061dmin", "developer", ""])
spaces = st.sampled_from(["", " ", "\n\t"])
#: Objects with doubled and escaped names, as a client may write them.
bodies = st.lists(st.tuples(names, words, spaces), max_size=6).map(
    lambda pairs: (
        "{" + ",".join(f'{space}"{name}":{space}"{word}"' for name, word, space in pairs) + "}"
    ).encode()
)


@given(bodies)
def test_a_condition_reads_a_body_as_the_route_does(body: bytes) -> None:
    decoded = msgspec.json.decode(body, type=Wish)
    assert where(role="admin")(request(body)) == (decoded.role == "admin")


@given(st.lists(st.sampled_from(["a:b:c", "a:b:\\u0063", "a:b:d", "A:B:C", ""]), max_size=4))
def test_a_condition_reads_a_list_as_the_route_does(words: list[str]) -> None:
    body = ('{"permissions": [' + ",".join(f'"{word}"' for word in words) + "]}").encode()
    assert listing("permissions", "a:b:c")(request(body)) == (
        "a:b:c" in msgspec.json.decode(body)["permissions"]
    )


def test_a_list_that_cannot_be_read_takes_two_people() -> None:
    named = listing("permissions", "a:b:c")
    for body in (b"{", b'{"permissions": "a:b:c"}', b'{"permissions": {"a:b:c": 1}}', b"\xff"):
        assert named(request(body))
    for body in (b"", b"[]", b"{}", b'{"permissions": null}', b'{"permissions": [1, "x"]}'):
        assert not named(request(body))


def test_what_cannot_be_read_takes_two_people() -> None:
    for body in (b"{", b'{"role": "admin"', b"\xff", b'{"role": "admin"} {}', b"[" * 100_000):
        assert where(role="admin")(request(body))
    for body in (b"", b"[]", b'"admin"', b"{}"):
        assert not where(role="admin")(request(body))


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(values, values)
def test_bodies_are_the_same_exactly_when_they_say_the_same(left: Any, right: Any) -> None:
    spaced = json.dumps(left, indent=1).encode()
    turned = json.dumps(right, sort_keys=True, separators=(",", ":")).encode()
    same = json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
    assert (canonical(spaced) == canonical(turned)) == same


def test_what_is_no_json_is_its_bytes() -> None:
    assert canonical(b"") == b""
    assert canonical(b"{ ") != canonical(b"{")
    assert canonical(b'"a"') != canonical(b'j"a"') != canonical(b'x"a"')


ABOUT = ApprovalAbout(
    purpose="dispute",
    note="a",
    tokens=[ApprovalToken("tok_a", "visa", "4242")],
    container="default",
    method="clear",
)


def test_what_was_shown_is_read_as_it_was_written() -> None:
    assert ApprovalAbout.read(ABOUT.text()) == ABOUT
    assert ApprovalAbout.read(None) is None


def test_a_fingerprint_is_over_everything_and_its_parts_do_not_run_together() -> None:
    key = Secret(b"k" * 32)
    base = fingerprint(key, request(b"{}"), "word")
    assert base == fingerprint(key, request(b" { } "), "word")
    others = [
        fingerprint(Secret(b"l" * 32), request(b"{}"), "word"),
        fingerprint(key, request(b"{}"), "words"),
        fingerprint(key, request(b"[]"), "word"),
        fingerprint(key, request(b""), "word"),
        fingerprint(key, request(b"{}", path="/v1/xy"), "word"),
        fingerprint(key, request(b"{}", path="/v1/", query="x"), "word"),
        fingerprint(key, request(b"{}", query="a=1"), "word"),
        fingerprint(key, request(b"{}", method="PUT"), "word"),
        fingerprint(key, request(b"{}", listener="gateway"), "word"),
        fingerprint(key, request(b"{}", subject="usr_b"), "word"),
        fingerprint(key, request(b"{}", merchant="mer_b"), "word"),
        fingerprint(key, request(b"{}", mode=Mode.TEST), "word"),
        fingerprint(key, request(b"{}", merchant="mer_", subject="ausr_a"), "word"),
        fingerprint(key, request(b"{}"), "word", ABOUT),
        fingerprint(key, request(b"{}"), "word", msgspec.structs.replace(ABOUT, note="b")),
        fingerprint(key, request(b"{}"), "word", msgspec.structs.replace(ABOUT, tokens=[])),
    ]
    assert len({base, *others}) == len(others) + 1


class Notes:
    """A gate that writes down what it is asked to admit."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []

    async def admit(
        self,
        request: Request,  # noqa: ARG002
        action: str,
        object_id: str | None,
        names: Sequence[str] = (),  # noqa: ARG002
        about: ApprovalAbout | None = None,  # noqa: ARG002
    ) -> None:
        self.asked.append((action, object_id))


@post("/both", requires=PUBLIC, approval="both")
async def both() -> None: ...


@post("/live", requires=PUBLIC, approval=Approval("live", when=in_live_mode, machines=True))
async def live() -> None: ...


@post("/later", requires=PUBLIC, approval=Approval("later", late=True))
async def later() -> None: ...


@post("/plain", requires=PUBLIC)
async def plain() -> None: ...


PERSON = Presence(SessionId("ses"), Role.ADMIN, frozenset(), stepped_up=True)


def called_by(presence: Presence | None, mode: Mode = Mode.LIVE) -> Request:
    asked = request(mode=mode)
    assert asked.principal is not None
    asked.principal = replace(asked.principal, presence=presence)
    return asked


async def test_a_person_meets_the_gate_where_the_mark_says_so() -> None:
    gate = Notes()
    for handler, mode in (
        (both, Mode.TEST),
        (live, Mode.TEST),
        (live, Mode.LIVE),
        (plain, Mode.LIVE),
    ):
        await require_approval(handler, called_by(PERSON, mode), gate, "con_1")
    assert gate.asked == [("both", "con_1"), ("live", "con_1")]


async def test_a_machine_passes_only_where_the_mark_says_so() -> None:
    gate = Notes()
    await require_approval(live, called_by(None), gate, None)
    await require_approval(plain, called_by(None), gate, None)
    with pytest.raises(ApprovalNeedsPerson):
        await require_approval(both, called_by(None), gate, None)
    assert gate.asked == []


async def test_a_mark_without_a_gate_lets_nobody_through() -> None:
    with pytest.raises(Bug):
        await require_approval(both, called_by(PERSON), None, None)


def test_a_route_that_asks_late_does_ask() -> None:
    handlers = {*VAULT_ROUTES, *GATEWAY_ROUTES, *WEBHOOKS_ROUTES, *CONSOLE_ROUTES}
    late = [each for each in handlers if getattr(each.opt.get("approval"), "late", False)]
    assert late
    for each in late:
        assert "await admitted(request" in inspect.getsource(each.fn), each.handler_name


async def test_a_late_mark_is_not_asked_for_early() -> None:
    gate = Notes()
    await require_approval(later, called_by(PERSON), gate, None)
    assert gate.asked == []
    await require_approval(later, called_by(PERSON), gate, None, late=True)
    await require_approval(both, called_by(PERSON), gate, None, late=True)
    assert gate.asked == [("later", None)]
    with pytest.raises(ApprovalNeedsPerson):
        await require_approval(later, called_by(None), gate, None, late=True)
