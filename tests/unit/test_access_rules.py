# SPDX-License-Identifier: Apache-2.0
"""Access rules, decided: a table of who may do what in which container, and what holds for any rules."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.crypto.ids import new_id
from strongroom.kernel.ids import AccessRuleId, MerchantId, SessionId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, Presence, Principal, Role
from strongroom.vault.containers.decision import (
    PAYMENTS,
    CallerAccess,
    TenantAccess,
    covers,
    grantees_of,
)
from strongroom.vault.containers.errors import AccessRefused, ContainerUnknown
from strongroom.vault.containers.model import (
    CONTAINER_NAME,
    Access,
    AccessRule,
    Container,
    GranteeKind,
    Transform,
)

MERCHANT = MerchantId(new_id("mer"))
KEY, PERSON, SERVICE = new_id("key"), new_id("usr"), new_id("svc")
NOW = datetime(2026, 11, 26, tzinfo=UTC)


#: What a rule shows that names no transform.
SHOWS_AT_MOST = {"none": "redact", "mask": "mask", "use": "mask", "reveal": "reveal"}


def rule(
    grantee: str, access: str, container: str = "cards", priority: int = 100, **more: Any
) -> AccessRule:
    kind, _, name = grantee.partition(":")
    return AccessRule(
        MERCHANT,
        more.get("mode", Mode.TEST),
        AccessRuleId(new_id("rul")),
        container,
        priority,
        GranteeKind(kind),
        name or "*",
        Access(access),
        Transform(more.get("transform", SHOWS_AT_MOST[access])),
        "x",
        NOW,
    )


def caller(who: str, mode: Mode = Mode.TEST) -> Principal:
    if who == "person":
        presence = Presence(SessionId(new_id("ses")), Role.ADMIN, frozenset(), stepped_up=True)
        return Principal(PERSON, CallerKind.PERSON, MERCHANT, mode, frozenset(), presence)
    if who == "service":
        return Principal(SERVICE, CallerKind.SERVICE, MERCHANT, mode, frozenset())
    kind = CallerKind.PUBLIC if who == "public" else CallerKind.SECRET
    return Principal(KEY, kind, MERCHANT, mode, frozenset())


def given_to(rules: list[AccessRule], who: str, container: str, mode: Mode = Mode.TEST) -> str:
    """The word that the rules give a caller, or `-`."""
    access = TenantAccess(rules)
    callers = PAYMENTS if who == "payments" else grantees_of(caller(who))
    granted = access.granted(mode, container, callers)
    return "-" if granted is None else granted.access.value


#: Rules, who asks, of which container, and what they are given.
TABLE: list[tuple[list[AccessRule], str, str, str]] = [
    # Without any rule: `default` alone, and what is built in.
    ([], "key", "default", "use"),
    ([], "public", "default", "use"),
    ([], "service", "default", "use"),
    ([], "payments", "default", "use"),
    ([], "person", "default", "mask"),
    ([], "key", "cards", "-"),
    ([], "payments", "cards", "-"),
    # A rule about another container leaves the built-in as it is; one about `default` takes its place for everybody.
    ([rule("key", "use")], "person", "default", "mask"),
    ([rule("key", "use", "default")], "key", "default", "use"),
    ([rule("key", "use", "default")], "person", "default", "-"),
    ([rule("key", "use", "default")], "payments", "default", "-"),
    ([rule("key", "use", "/")], "person", "default", "-"),
    ([rule("key", "use", "default/")], "person", "default", "-"),
    ([rule("key", "use", "default", mode=Mode.LIVE)], "person", "default", "mask"),
    # Whom a rule is about.
    ([rule(f"key:{KEY}", "use")], "key", "cards", "use"),
    ([rule(f"key:{new_id('key')}", "use")], "key", "cards", "-"),
    ([rule("key", "use")], "person", "cards", "-"),
    ([rule("key", "use")], "payments", "cards", "-"),
    ([rule(f"person:{PERSON}", "reveal")], "person", "cards", "reveal"),
    ([rule("role:admin", "mask")], "person", "cards", "mask"),
    ([rule("role:auditor", "mask")], "person", "cards", "-"),
    ([rule("role:service", "mask")], "service", "cards", "mask"),
    ([rule("role:service", "mask")], "key", "cards", "-"),
    ([rule(f"service:{SERVICE}", "use")], "service", "cards", "use"),
    ([rule("payments", "use")], "payments", "cards", "use"),
    ([rule("anybody", "mask")], "key", "cards", "mask"),
    ([rule("anybody", "mask")], "payments", "cards", "mask"),
    # Which container a rule is about.
    ([rule("key", "use", "cards/")], "key", "cards", "use"),
    ([rule("key", "use", "cards/")], "key", "cards/eu", "use"),
    ([rule("key", "use", "cards/")], "key", "cardsx", "-"),
    ([rule("key", "use", "cards")], "key", "cards/eu", "-"),
    ([rule("key", "use", "/")], "key", "anything", "use"),
    # Which of several decides: the lowest number, and of equal ones the one that gives less.
    ([rule("key", "use"), rule("key", "none", priority=99)], "key", "cards", "none"),
    ([rule("key", "none", priority=101), rule("key", "use")], "key", "cards", "use"),
    ([rule("key", "use"), rule(f"key:{KEY}", "none")], "key", "cards", "none"),
    ([rule("key", "reveal"), rule("anybody", "mask")], "key", "cards", "mask"),
    ([rule("key", "use", "cards/"), rule("key", "none", "cards/eu", 1)], "key", "cards/eu", "none"),
    ([rule("key", "use", mode=Mode.LIVE)], "key", "cards", "-"),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "who", "container", "expected"), TABLE)
def test_what_is_given(rules: list[AccessRule], who: str, container: str, expected: str) -> None:
    assert given_to(rules, who, container) == expected


@pytest.mark.parametrize("wanted", Access)
@pytest.mark.parametrize("access", Access)
def test_an_access_includes_what_is_below_it(access: Access, wanted: Access) -> None:
    order = list(Access)
    asked = TenantAccess([rule("key", access.value)]).of(caller("key"))
    if order.index(access) >= order.index(wanted):
        assert asked.require("cards", wanted).access is access
    else:
        with pytest.raises(AccessRefused):
            asked.require("cards", wanted)


@pytest.mark.parametrize("transform", [Transform.REDACT, Transform.MASK])
def test_a_number_is_seen_where_the_transform_says_so_too(transform: Transform) -> None:
    asked = TenantAccess([rule("key", "reveal", transform=transform.value)]).of(caller("key"))
    assert asked.require("cards", Access.USE).transform is transform
    with pytest.raises(AccessRefused):
        asked.require("cards", Access.REVEAL)


def test_what_is_read_and_where_a_token_goes() -> None:
    cards, secret = (
        Container(MERCHANT, Mode.TEST, name, "", None, "x", NOW, NOW)
        for name in ("cards", "secret")
    )
    rules = [
        rule("key", "mask", "cards"),
        rule("key", "none", "secret"),
        rule("key", "use", "gone"),
    ]
    asked = TenantAccess(rules, [cards, secret]).of(caller("key"))
    assert sorted(asked.readable()) == ["cards", "default"]
    asked.require_target("default")
    with pytest.raises(AccessRefused):
        asked.require_target("cards")  # to see is not to put something there
    with pytest.raises(ContainerUnknown):
        asked.require_target("gone")  # the rule lets it, and there is no such container


_NAMES = st.sampled_from(["default", "cards", "cards/eu", "cards/eu/old", "other"])
_RULES = st.lists(
    st.builds(
        rule,
        st.sampled_from(["key", f"key:{KEY}", "anybody", "payments", "role:admin", "person"]),
        st.sampled_from([each.value for each in Access]),
        st.sampled_from(["/", "default", "cards", "cards/", "cards/eu", "other"]),
        st.integers(1, 4),
    ),
    max_size=8,
)


@given(_RULES, _NAMES, st.randoms())
def test_the_order_in_which_rules_were_made_decides_nothing(
    rules: list[AccessRule], container: str, random: Any
) -> None:
    shuffled = list(rules)
    random.shuffle(shuffled)
    for who in ("key", "payments", "person"):
        assert given_to(rules, who, container) == given_to(shuffled, who, container)


@given(_RULES, _NAMES)
def test_nothing_is_given_that_no_rule_gives(rules: list[AccessRule], container: str) -> None:
    for who in ("key", "payments", "person"):
        said = given_to(rules, who, container)
        about = [each for each in rules if covers(each.container, container)]
        if said == "-":
            continue
        if about:
            assert said in {each.access.value for each in about}
        else:
            assert container == "default"


@given(st.from_regex(CONTAINER_NAME, fullmatch=True), st.from_regex(CONTAINER_NAME, fullmatch=True))
def test_a_rule_about_what_is_below_is_about_nothing_beside(one: str, other: str) -> None:
    assert covers(f"{one}/", one)
    assert covers(f"{one}/", f"{one}/x")
    assert covers(f"{one}/", other) == (other == one or other.startswith(f"{one}/"))


def test_the_ladder_has_its_order() -> None:
    assert all(not lower.covers(upper) for lower, upper in pairwise(Access))


def test_a_caller_of_the_other_mode_is_given_nothing() -> None:
    access = TenantAccess([rule("key", "use")])
    assert CallerAccess(access, Mode.LIVE, grantees_of(caller("key"))).granted("cards") is None
