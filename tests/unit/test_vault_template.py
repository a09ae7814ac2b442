# SPDX-License-Identifier: Apache-2.0
"""A template is a registered route to the letter, or is refused; slots are filled where they stand, and only there."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.kernel.invariant import Bug
from strongroom.kernel.mode import Mode
from strongroom.vault import (
    BodySignature,
    Destination,
    Json,
    Route,
    Slot,
    Template,
    TemplateRefused,
    slot,
)
from strongroom.vault.destinations import Destinations, filled_headers
from strongroom.vault.template import DEPTH_MAX, FORM, JSON, encoded, filled, slots_of

AUTHORIZE: Final = Route(
    name="authorize",
    method="POST",
    path=r"/v1/payments",
    slots={
        "/card/number": Slot.CARD_NUMBER,
        "/card/exp_month": Slot.CARD_EXP_MONTH,
        "/card/exp_year": Slot.CARD_EXP_YEAR,
        "/card/cvc": Slot.CARD_CVC,
        "/odd~1name~0/number": Slot.CARD_NUMBER,
    },
    headers=frozenset({"idempotency-key"}),
)
FIND: Final = Route(
    name="find",
    method="GET",
    path=r"/v1/(?:operations|payments/[a-z0-9_]+)",
    content_type="",
    query=frozenset({"reference"}),
)
PROCESSOR: Final = Destination(
    processor="acme",
    routes=(AUTHORIZE, FIND),
    credential_fields=frozenset({"api_key", "signing"}),
    credential_headers={"authorization": "Bearer {api_key}"},
    body_signature=BodySignature("x-signature", "signing"),
)
KNOWN: Final = Destinations([PROCESSOR, replace(PROCESSOR, processor="simulator")])
CARD: Final[Json] = {
    "number": slot(Slot.CARD_NUMBER),
    "exp_month": slot(Slot.CARD_EXP_MONTH),
    "exp_year": slot(Slot.CARD_EXP_YEAR),
}
GOOD: Final = Template(
    "authorize", "/v1/payments", {}, {"idempotency-key": "att_1"}, {"amount": 100, "card": CARD}
)


def test_a_registered_route_matches() -> None:
    matched = KNOWN.matched("acme", Mode.LIVE, GOOD)
    assert matched.target == "/v1/payments"
    assert matched.slots == {Slot.CARD_NUMBER, Slot.CARD_EXP_MONTH, Slot.CARD_EXP_YEAR}
    found = KNOWN.matched(
        "acme", Mode.TEST, Template("find", "/v1/operations", {"reference": "a b&x=1#?/+é"[:-1]})
    )
    assert found.target == "/v1/operations?reference=a%20b%26x%3D1%23%3F%2F%2B"
    assert found.slots == frozenset()


A_SLOT: Final[Any] = slot(Slot.CARD_NUMBER)

#: What differs from a template that matches.
REFUSED: Final[list[tuple[str, Template]]] = [
    ("no such route", replace(GOOD, route="capture")),
    ("another route's path", replace(GOOD, path="/v1/operations")),
    ("a longer path", replace(GOOD, path="/v1/payments/1")),
    ("a line end behind the path", replace(GOOD, path="/v1/payments\n")),
    ("a query in the path", replace(GOOD, path="/v1/payments?x=1")),
    ("an escape in the path", replace(GOOD, path="/v1/%70ayments")),
    ("a host in the path", replace(GOOD, path="//elsewhere.example/v1/payments")),
    ("a user in front of the host", replace(GOOD, path="@elsewhere.example/v1/payments")),
    ("a port behind the host", replace(GOOD, path=":8443/v1/payments")),
    ("no path", replace(GOOD, path="")),
    ("a parameter that is not the route's", replace(GOOD, query={"x": "1"})),
    ("a header that is not the route's", replace(GOOD, headers={"x-other": "1"})),
    ("a header in another case", replace(GOOD, headers={"Idempotency-Key": "1"})),
    ("an authorization", replace(GOOD, headers={"authorization": "Bearer mine"})),
    ("a host", replace(GOOD, headers={"host": "elsewhere.example"})),
    ("a signature", replace(GOOD, headers={"x-signature": "00"})),
    ("two headers in one", replace(GOOD, headers={"idempotency-key": "1\r\nx: y"})),
    ("an empty header", replace(GOOD, headers={"idempotency-key": ""})),
    ("an endless header", replace(GOOD, headers={"idempotency-key": "x" * 1_025})),
    ("a slot in a header", replace(GOOD, headers={"idempotency-key": A_SLOT})),
    ("a slot in a query", Template("find", "/v1/operations", {"reference": A_SLOT})),
    ("no body", replace(GOOD, body=None)),
    ("a body where there is none", Template("find", "/v1/operations", body={})),
    ("a slot as the whole body", replace(GOOD, body=A_SLOT)),
    ("a slot elsewhere", replace(GOOD, body={"reference": A_SLOT})),
    ("a slot one level up", replace(GOOD, body={"number": A_SLOT})),
    ("another slot there", replace(GOOD, body={"card": {"number": slot(Slot.CARD_CVC)}})),
    ("a slot in a list", replace(GOOD, body={"card": {"number": [A_SLOT]}})),
    ("a slot below a list", replace(GOOD, body={"card": [{"number": A_SLOT}]})),
    ("a slot with a neighbour", replace(GOOD, body={"card": {"number": {**A_SLOT, "x": 1}}})),
    ("no such slot", replace(GOOD, body={"card": {"number": {"$slot": "card.holder"}}})),
    (
        "a slot that is no word",
        replace(GOOD, body={"card": {"number": {"$slot": ["card.number"]}}}),
    ),
    ("a name that only looks like the place", replace(GOOD, body={"card/number": A_SLOT})),
    ("an empty name", replace(GOOD, body={"": A_SLOT})),
]


@pytest.mark.parametrize("template", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_differs_is_refused(template: Template) -> None:
    with pytest.raises(TemplateRefused):
        KNOWN.matched("acme", Mode.TEST, template)


def test_names_are_escaped_in_places() -> None:
    body: Json = {"odd/name~": {"number": slot(Slot.CARD_NUMBER)}}
    assert slots_of(body) == {"/odd~1name~0/number": Slot.CARD_NUMBER}
    assert KNOWN.matched("acme", Mode.TEST, replace(GOOD, body=body)).slots


def test_an_unknown_processor_and_the_simulator_in_live_mode_are_refused() -> None:
    assert KNOWN.matched("simulator", Mode.TEST, GOOD)
    for processor, mode in (("nobody", Mode.TEST), ("simulator", Mode.LIVE)):
        assert KNOWN.find(processor, mode) is None
        with pytest.raises(TemplateRefused):
            KNOWN.matched(processor, mode, GOOD)


jsons: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab/~$", max_size=3) | st.just("$slot"), inner, max_size=3)
        | st.sampled_from([slot(kind) for kind in Slot])
    ),
    max_leaves=12,
)


def pointed(body: Json, pointer: str) -> Json:
    """What stands at a JSON pointer (RFC 6901), read by another hand."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        body = body[int(name)] if isinstance(body, list) else body[name]  # type: ignore[index]
    return body


VALUES: Final[dict[Slot, str | int]] = {kind: f"<{kind}>" for kind in Slot}


@given(jsons)
def test_every_slot_is_found_where_it_stands_and_filled(body: Json) -> None:
    try:
        places = slots_of(body)
    except TemplateRefused:
        return
    full = filled(body, VALUES)
    for pointer, kind in places.items():
        assert pointed(body, pointer) == {"$slot": kind.value}
        assert pointed(full, pointer) == f"<{kind}>"
    assert str(full).count("<card.") + str(full).count("<address") == len(places)
    assert (
        "$slot" not in re.sub(r"'[^']*\$slot[^']+'|'[^']+\$slot[^']*'", "", str(full))
        or places == {}
    )
    assert slots_of(full) == {} if places else full == body


ADDRESSED: Final[Json] = {
    "amount": 100,
    "nothing": {},
    "card": {
        "number": slot(Slot.CARD_NUMBER),
        "address": {"zip": slot(Slot.ADDRESS_POSTAL_CODE), "city": slot(Slot.ADDRESS_CITY)},
    },
    "billed": {"address": {"country": slot(Slot.ADDRESS_COUNTRY)}},
    "list": [{"city": slot(Slot.ADDRESS_CITY)}, 1],
}


def test_what_is_optional_and_not_there_is_left_out_with_the_object_that_would_be_empty() -> None:
    """What was empty before stays, and elements of a list keep their places."""
    number: dict[Slot, str | int] = {Slot.CARD_NUMBER: "4242"}
    assert filled(ADDRESSED, number) == {
        "amount": 100,
        "nothing": {},
        "card": {"number": "4242"},
        "list": [{}, 1],
    }
    assert filled(ADDRESSED, {**number, Slot.ADDRESS_CITY: "Dubai"}) == {
        "amount": 100,
        "nothing": {},
        "card": {"number": "4242", "address": {"city": "Dubai"}},
        "list": [{"city": "Dubai"}, 1],
    }
    assert filled({"a": slot(Slot.ADDRESS_CITY)}, {}) == {}
    with pytest.raises(TemplateRefused):
        filled(ADDRESSED, {Slot.ADDRESS_CITY: "Dubai"})


@given(
    st.builds(
        Template,
        st.sampled_from(["authorize", "find", "x"]),
        st.sampled_from(["/v1/payments", "/v1/operations"]) | st.text(max_size=12),
        st.dictionaries(st.sampled_from(["reference", "x"]), jsons, max_size=2),
        st.dictionaries(st.sampled_from(["idempotency-key", "x"]), jsons, max_size=2),
        jsons,
    )
)
def test_any_template_matches_or_is_refused(template: Template) -> None:
    try:
        matched = KNOWN.matched("acme", Mode.TEST, template)
    except TemplateRefused:
        return
    assert re.fullmatch(matched.route.path, template.path)
    assert set(slots_of(template.body)) <= set(matched.route.slots)
    assert all(
        isinstance(value, str) for value in (*template.query.values(), *template.headers.values())
    )


def test_a_body_that_nests_too_deep_is_refused() -> None:
    body: Json = 1
    for _ in range(DEPTH_MAX + 1):
        body = {"a": body}
    with pytest.raises(TemplateRefused):
        slots_of(body)


FORMED: Final = replace(AUTHORIZE, name="form", path=r"/v1/forms", content_type=FORM)
FORMS: Final = Destinations([replace(PROCESSOR, routes=(FORMED,))])
FILLED: Final[dict[Slot, str | int]] = {
    Slot.CARD_NUMBER: "4242424242424242",
    Slot.CARD_EXP_MONTH: 7,
    Slot.CARD_EXP_YEAR: 2034,
    Slot.CARD_CVC: "123",
}


def test_a_form_is_the_same_tree_with_members_in_brackets() -> None:
    body: Json = {
        "amount": 100,
        "confirm": True,
        "off": False,
        "types": ["card", "link"],
        "card": CARD,
        "metadata": {"a": "x&b=1 [c]=é%"},
        "nothing": {},
    }
    template = Template("form", "/v1/forms", {}, {}, body)
    matched = FORMS.matched("acme", Mode.TEST, template)
    assert matched.slots == {Slot.CARD_NUMBER, Slot.CARD_EXP_MONTH, Slot.CARD_EXP_YEAR}
    sent = encoded(filled(matched.body, FILLED), FORM)
    assert parse_qsl(sent.decode("ascii"), strict_parsing=True) == [
        ("amount", "100"),
        ("confirm", "true"),
        ("off", "false"),
        ("types[0]", "card"),
        ("types[1]", "link"),
        ("card[number]", "4242424242424242"),
        ("card[exp_month]", "7"),
        ("card[exp_year]", "2034"),
        ("metadata[a]", "x&b=1 [c]=é%"),
    ]
    assert encoded({}, FORM) == b""
    assert encoded({"a": [1, None]}, JSON) == b'{"a":[1,null]}'


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_value_of_a_form_makes_a_field_of_its_own(one: str, other: str) -> None:
    body: Json = {"a": one, "b": {"c": other}}
    sent = encoded(body, FORM).decode("ascii")
    assert parse_qsl(sent, keep_blank_values=True) == [("a", one), ("b[c]", other)]


@pytest.mark.parametrize(
    "body",
    [
        [],
        "a=b",
        {"a": None},
        {"a": 1.5},
        {"a": [None]},
        {"a[b]": "c"},
        {"a": {"b]": "c"}},
        {"a&b": "c"},
        {"": "c"},
        {"card": [A_SLOT]},
        {"reference": A_SLOT},
    ],
    ids=str,
)
def test_what_is_no_form_is_refused_before_a_card_is_opened(body: Any) -> None:
    with pytest.raises(TemplateRefused):
        FORMS.matched("acme", Mode.TEST, Template("form", "/v1/forms", {}, {}, body))


def test_text_that_cannot_be_written_is_refused() -> None:
    for kind in (FORM, JSON):
        with pytest.raises(TemplateRefused):
            encoded({"a": "\ud800"}, kind)


def test_credentials_stand_in_headers_as_they_are() -> None:
    headers = filled_headers(PROCESSOR, {"api_key": "{signing}\\1", "signing": "s"})
    assert headers == {"authorization": "Bearer {signing}\\1"}


def test_hosts_are_exact_or_below_a_name() -> None:
    some = replace(PROCESSOR, hosts=frozenset({"api.acme.example", "*.live.acme.example"}))
    assert some.takes_host("api.acme.example", Mode.LIVE)
    assert some.takes_host("eu.live.acme.example", Mode.LIVE)
    for other in (
        "acme.example",
        "live.acme.example",
        "evil-live.acme.example",
        "api.acme.example.x",
    ):
        assert not some.takes_host(other, Mode.LIVE)
    assert PROCESSOR.takes_host("anything.example", Mode.LIVE)


def test_a_mode_may_have_hosts_of_its_own() -> None:
    """A test connection does not lead to where money moves, and the star stands for something."""
    some = replace(
        PROCESSOR,
        hosts=frozenset({"api.acme.example"}),
        hosts_by_mode={Mode.LIVE: frozenset({"*-live.acme.example"})},
    )
    for host, live, test in (
        ("shop-live.acme.example", True, False),
        ("api.acme.example", False, True),
        ("-live.acme.example", False, False),
        ("shop-live.acme.example.x", False, False),
        ("shoplive.acme.example", False, False),
    ):
        assert some.takes_host(host, Mode.LIVE) is live, host
        assert some.takes_host(host, Mode.TEST) is test, host


@pytest.mark.parametrize(
    "wrong",
    [
        {"processor": "Acme"},
        {"hosts": frozenset({"*acme.example"})},
        {"hosts_by_mode": {Mode.LIVE: frozenset({"*"})}},
        {"routes": (AUTHORIZE, AUTHORIZE)},
        {"routes": (replace(AUTHORIZE, content_type="application/xml"),)},
        {"routes": (replace(AUTHORIZE, content_type=""),)},
        {"credential_forms": {"other": {Mode.TEST: "x", Mode.LIVE: "y"}}},
        {"credential_forms": {"api_key": {Mode.TEST: "x"}}},
        {"routes": (replace(AUTHORIZE, slots={"card/number": Slot.CARD_NUMBER}),)},
        {"routes": (replace(AUTHORIZE, headers=frozenset({"authorization"})),)},
        {"routes": (replace(AUTHORIZE, headers=frozenset({"x-signature"})),)},
        {"routes": (replace(AUTHORIZE, headers=frozenset({"X-Upper"})),)},
        {"credential_headers": {"authorization": "Bearer {other}"}},
        {"credential_headers": {"x-signature": "{api_key}"}},
        {"credential_headers": {"Authorization": "{api_key}"}},
        {"body_signature": BodySignature("x-signature", "other")},
    ],
    ids=str,
)  # fmt: skip
def test_a_registration_that_contradicts_itself_is_a_bug(wrong: dict[str, Any]) -> None:
    with pytest.raises(Bug):
        Destinations([replace(PROCESSOR, **wrong)])


@pytest.mark.parametrize(
    ("what", "where"),
    [
        (".digits_for_forwarding(", "vault/opening.py"),
        (".digits_for_revealing(", "vault/reveal/service.py"),
        (".digits_for_export(", "vault/transfer/export.py"),
    ],
)
def test_the_digits_are_asked_for_in_one_place(what: str, where: str) -> None:
    source = Path(__file__).parents[2] / "src" / "strongroom"
    asking = [
        str(path.relative_to(source))
        for path in sorted(source.rglob("*.py"))
        if what in path.read_text("utf-8")
    ]
    assert asking == [where]
