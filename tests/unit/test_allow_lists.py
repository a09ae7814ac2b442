# SPDX-License-Identifier: Apache-2.0
"""Allow-lists, decided: a table of who calls what from where, what subjects there are, and what holds for any lists."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.crypto.ids import new_id
from strongroom.http.gate import RouteGroup, route_groups
from strongroom.http.requires import PUBLIC
from strongroom.identity.networks.decision import TenantLists
from strongroom.identity.networks.model import (
    AllowList,
    ListMode,
    Subject,
    SubjectKind,
    SubjectMalformed,
)
from strongroom.identity.networks.service import read_networks
from strongroom.kernel.addresses import parse_address
from strongroom.kernel.errors import Invalid
from strongroom.kernel.ids import MerchantId, NetworkId, SessionId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import CallerKind, Presence, Principal, Role

MERCHANT = MerchantId(new_id("mer"))
KEY, OTHER_KEY = new_id("key"), new_id("key")
PERSON, SERVICE = new_id("usr"), new_id("svc")
OFFICE, HOME = "203.0.113.7", "198.51.100.7"
IN_OFFICE, AT_HOME = "203.0.113.0/24", "198.51.100.0/24"


def a_list(subject: str, *networks: str, mode: ListMode = ListMode.BOTH) -> AllowList:
    when = datetime(2026, 11, 26, tzinfo=UTC)
    return AllowList(
        NetworkId(new_id("net")), MERCHANT, mode, Subject.parse(subject), networks, "", "x", when
    )


def caller(who: str, mode: Mode = Mode.TEST) -> Principal:
    if who == "person":
        presence = Presence(SessionId(new_id("ses")), Role.ADMIN, frozenset(), stepped_up=True)
        return Principal(PERSON, CallerKind.PERSON, MERCHANT, mode, frozenset(), presence)
    if who == "service":
        return Principal(SERVICE, CallerKind.SERVICE, MERCHANT, mode, frozenset())
    return Principal(KEY, CallerKind.SECRET, MERCHANT, mode, frozenset())


#: Lists, who calls, whether the caller and then a route of the vault is admitted from the office.
TABLE: list[tuple[list[AllowList], str, bool, bool]] = [
    ([], "key", True, True),
    ([a_list("tenant", IN_OFFICE)], "key", True, True),
    ([a_list("tenant", AT_HOME)], "key", False, True),
    ([a_list("tenant", AT_HOME)], "person", False, True),
    ([a_list("tenant", AT_HOME, IN_OFFICE)], "person", True, True),
    ([a_list("tenant", AT_HOME, mode=ListMode.TEST)], "key", False, True),
    ([a_list("tenant", AT_HOME, mode=ListMode.LIVE)], "key", True, True),
    (
        [a_list("tenant", IN_OFFICE), a_list("tenant", AT_HOME, mode=ListMode.TEST)],
        "key",
        False,
        True,
    ),
    ([a_list(f"key:{KEY}", AT_HOME)], "key", False, True),
    ([a_list(f"key:{OTHER_KEY}", AT_HOME)], "key", True, True),
    ([a_list(f"key:{KEY}", AT_HOME)], "person", True, True),
    ([a_list(f"person:{PERSON}", AT_HOME)], "person", False, True),
    ([a_list(f"person:{PERSON}", AT_HOME)], "key", True, True),
    ([a_list(f"service:{SERVICE}", AT_HOME)], "service", False, True),
    ([a_list("role:admin", AT_HOME)], "person", False, True),
    ([a_list("role:admin", AT_HOME)], "key", True, True),
    ([a_list("role:developer", AT_HOME)], "person", True, True),
    ([a_list("role:service", AT_HOME)], "service", False, True),
    ([a_list("role:service", AT_HOME)], "key", True, True),
    ([a_list("group:vault", AT_HOME)], "key", True, False),
    ([a_list("group:vault", IN_OFFICE)], "key", True, True),
    ([a_list("group:payments", AT_HOME)], "key", True, True),
    ([a_list("group:sensitive", AT_HOME)], "key", True, True),
    ([a_list("group:vault", AT_HOME, mode=ListMode.LIVE)], "key", True, True),
    # every list that applies must hold it: a wide one for a key does not open a narrow one of the tenant
    ([a_list("tenant", AT_HOME), a_list(f"key:{KEY}", IN_OFFICE)], "key", False, True),
    ([a_list("tenant", IN_OFFICE), a_list(f"key:{KEY}", AT_HOME)], "key", False, True),
    ([a_list("tenant", IN_OFFICE), a_list("group:vault", AT_HOME)], "key", True, False),
    ([a_list("tenant", "::/0")], "key", False, True),
    ([a_list("tenant", "0.0.0.0/0")], "key", True, True),
]


@pytest.mark.parametrize(("lists", "who", "admitted", "to_the_vault"), TABLE)
def test_every_list_that_applies_must_hold_the_address(
    lists: list[AllowList], who: str, admitted: Any, to_the_vault: Any
) -> None:
    decided = TenantLists(lists)
    address = parse_address(OFFICE)
    assert decided.admit_caller(caller(who), address) is admitted
    assert decided.admit_route(Mode.TEST, (RouteGroup.VAULT,), address) is to_the_vault


def test_a_route_of_two_groups_is_held_to_both() -> None:
    address = parse_address(OFFICE)
    groups = (RouteGroup.IDENTITY, RouteGroup.SENSITIVE)
    for one in groups:
        decided = TenantLists([a_list(f"group:{one}", AT_HOME)])
        assert not decided.admit_route(Mode.TEST, groups, address)
        assert decided.lock_out(caller("person"), address)
    decided = TenantLists([a_list("group:vault", AT_HOME)])
    assert not decided.lock_out(caller("person"), address)


every_kind = st.sampled_from(
    ["tenant", "group:vault", "group:sensitive", "role:admin", f"key:{KEY}", f"person:{PERSON}"]
)
any_list = st.builds(
    lambda subject, mode, networks: a_list(subject, *networks, mode=mode),
    every_kind,
    st.sampled_from(ListMode),
    st.lists(st.sampled_from([IN_OFFICE, AT_HOME, "2001:db8::/32"]), min_size=1, max_size=3),
)


@given(
    st.lists(any_list, max_size=6),
    any_list,
    st.sampled_from(["key", "person"]),
    st.sampled_from(Mode),
    st.sampled_from([OFFICE, HOME, "2001:db8::7"]),
)
def test_one_more_list_never_admits_more(
    lists: list[AllowList], more: AllowList, who: str, mode: Mode, whence: str
) -> None:
    address, principal = parse_address(whence), caller(who, mode)
    before, after = TenantLists(lists), TenantLists([*lists, more])
    groups = (RouteGroup.VAULT, RouteGroup.SENSITIVE)
    assert before.admit_caller(principal, address) or not after.admit_caller(principal, address)
    assert before.admit_route(mode, groups, address) or not after.admit_route(mode, groups, address)


SUBJECTS: list[tuple[str, SubjectKind | None]] = [
    ("tenant", SubjectKind.TENANT),
    ("group:vault", SubjectKind.GROUP),
    ("group:sensitive", SubjectKind.GROUP),
    ("role:admin", SubjectKind.ROLE),
    ("role:service", SubjectKind.ROLE),
    (f"key:{KEY}", SubjectKind.KEY),
    (f"person:{PERSON}", SubjectKind.PERSON),
    (f"service:{SERVICE}", SubjectKind.SERVICE),
    ("tenant:", None),
    ("tenant:x", None),
    ("group", None),
    ("group:", None),
    ("group:everything", None),
    ("role:owner", None),
    (f"key:{PERSON}", None),
    (f"person:{KEY}", None),
    ("key:key_1", None),
    (KEY, None),
    ("Tenant", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "kind"), SUBJECTS)
def test_what_a_list_can_be_about(text: str, kind: SubjectKind | None) -> None:
    if kind is None:
        with pytest.raises(SubjectMalformed):
            Subject.parse(text)
    else:
        subject = Subject.parse(text)
        assert (subject.kind, str(subject)) == (kind, text)


#: What is given, what is kept or the code of the refusal.
NETWORKS: list[tuple[list[str], bool, Any]] = [
    (["203.0.113.0/24"], False, ("203.0.113.0/24",)),
    (
        ["203.0.113.7", "203.0.113.7/32", "2001:DB8::/32"],
        False,
        ("203.0.113.7/32", "2001:db8::/32"),
    ),
    (["203.0.113.1/24"], False, "network_malformed"),
    (["somewhere"], False, "network_malformed"),
    (["0.0.0.0/0"], False, "network_everywhere"),
    (["::/0"], False, "network_everywhere"),
    (["0.0.0.0/0", "::/0"], True, ("0.0.0.0/0", "::/0")),
    ([], False, "networks_count"),
    ([f"10.0.{n}.0/24" for n in range(65)], False, "networks_count"),
    ([f"10.0.{n}.0/24" for n in range(64)], False, tuple(f"10.0.{n}.0/24" for n in range(64))),
]


@pytest.mark.parametrize(("texts", "everywhere", "expected"), NETWORKS)
def test_which_networks_a_list_can_have(texts: list[str], everywhere: Any, expected: Any) -> None:
    try:
        kept: Any = read_networks(texts, everywhere=everywhere)
    except Invalid as refused:
        kept = refused.errors[0].code
    assert kept == expected


def test_the_groups_of_routes_follow_from_what_they_require() -> None:
    both = frozenset({Permission.VAULT_TOKEN_READ, Permission.PAYMENTS_PAYMENT_READ})
    assert route_groups(Permission.VAULT_TOKEN_READ, step_up=False) == (RouteGroup.VAULT,)
    assert route_groups(both, step_up=False) == (RouteGroup.PAYMENTS, RouteGroup.VAULT)
    assert route_groups(Permission.IDENTITY_KEY_CREATE, step_up=True) == (
        RouteGroup.IDENTITY,
        RouteGroup.SENSITIVE,
    )
    assert route_groups(PUBLIC, step_up=False) == ()
    for permission in Permission:
        assert route_groups(permission, step_up=False), permission
