# SPDX-License-Identifier: Apache-2.0
"""What a request may be, what credentials put in front of it, and what of an answer leaves: pure, as tables."""

import hmac
import json
from base64 import b64decode, b64encode
from functools import partial
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.test_forward_ssrf import STRICT, asked, config
from strongroom.kernel.errors import Invalid
from strongroom.kernel.mode import Mode
from strongroom.vault.forwarding.credentials import (
    Credentials,
    Signed,
    auth_headers,
    echoes,
    headers_of,
    wrong_credentials,
)
from strongroom.vault.forwarding.language import Field, Slot
from strongroom.vault.forwarding.model import AuthKind, Config, HmacSignature, TokenizedCard
from strongroom.vault.forwarding.paths import fits, is_pattern
from strongroom.vault.forwarding.registration import require_registrable
from strongroom.vault.forwarding.requests import read_request
from strongroom.vault.forwarding.returning import NOT_TEXT, cards_in, clean, encoded, put
from strongroom.vault.forwarding.values import Proof

TOKEN: Final = "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
VISA: Final = "4242424242424242"
CRYPTOGRAM: Final = "AJkBByEyYgAAAASwgmEodQAAAAA="
PROOF: Final = Proof(CRYPTOGRAM, "05")
SIGNED: Final = Signed("POST", "/v1/pay/1?expand=a", b'{"a":1}', 1_700_000_000)


def code_of(more: dict[str, Any]) -> str:
    with pytest.raises(Invalid) as refused:
        read_request(asked(**more), config())
    return refused.value.errors[0].code


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"body": {}}, "slot_missing"),
        ({"body": ["{{ card.number }}"] * 65}, "slots_too_many"),
        ({"body": "{{ other.number }}"}, "name_unknown"),
        ({"tokens": {"Card": TOKEN}}, "name_malformed"),
        ({"tokens": {TOKEN: TOKEN}}, "name_malformed"),
        ({"tokens": {"a\nb": TOKEN}}, "name_malformed"),
        ({"cvcs": {"card": "cvc_x"}}, "cvc_mismatch"),
        ({"body": "{{ card.cvc }}"}, "cvc_mismatch"),
        ({"body": "{{ card.cvc }}", "cvcs": {"other": "cvc_x"}}, "cvc_mismatch"),
        ({"body": "{{ card.cvc }}", "cvcs": {"card": "cvc_x", TOKEN: "cvc_y"}}, "cvc_twice"),
        (
            {
                "body": ["{{ a.cvc }}", "{{ b.cvc }}"],
                "tokens": {"a": TOKEN, "b": TOKEN[:-1] + "D"},
                "cvcs": {"a": "cvc_x", "b": "cvc_x"},
            },
            "cvc_twice",
        ),
        ({"proofs": {"card": PROOF}}, "cryptogram_mismatch"),
        ({"body": "{{ card.cryptogram }}"}, "cryptogram_mismatch"),
        ({"body": "{{ card.cryptogram }}", "proofs": {"other": PROOF}}, "cryptogram_mismatch"),
        ({"body": "{{ card.eci }}", "proofs": {"card": PROOF}}, "cryptogram_mismatch"),
        (
            {"body": "{{ card.cryptogram }}", "proofs": {"card": PROOF, TOKEN: PROOF}},
            "cryptogram_twice",
        ),
        (
            {
                "body": ["{{ a.cryptogram }}", "{{ b.cryptogram }}"],
                "tokens": {"a": TOKEN, "b": TOKEN[:-1] + "D"},
                "proofs": {"a": PROOF, "b": PROOF},
            },
            "cryptogram_twice",
        ),
        (
            {"body": [f"{{{{ {TOKEN[:-1]}{end}.number }}}}" for end in "0123456789A"]},
            "tokens_too_many",
        ),
    ],
)
def test_what_a_request_may_not_be(more: dict[str, Any], code: str) -> None:
    assert code_of(more) == code


def test_two_names_of_one_token_are_one_token() -> None:
    body = ["{{ a.number }}", "{{ b.cvc }}", f"{{{{ {TOKEN}.holder }}}}"]
    read = read_request(
        asked(body=body, tokens={"a": TOKEN, "b": TOKEN}, cvcs={"b": "cvc_x"}), config()
    )
    assert (read.tokens, read.cvcs) == ((TOKEN,), {TOKEN: "cvc_x"})
    assert [(read.token_of(slot), slot.field) for slot in read.beside] == [(TOKEN, Field.HOLDER)]


def test_an_eci_that_came_along_asks_nothing_of_the_token() -> None:
    told = {"card": Proof(CRYPTOGRAM, "05")}
    body = ["{{ card.cryptogram }}", "{{ card.eci }}"]
    assert read_request(asked(body=body, proofs=told), config()).beside == ()
    untold = {"card": Proof(CRYPTOGRAM)}
    (slot,) = read_request(asked(body=body, proofs=untold), config()).beside
    assert slot == Slot("card", Field.ECI)
    assert CRYPTOGRAM not in repr(read_request(asked(body=body, proofs=told), config()))


def _said(value: str, _slot: Slot) -> str:
    return value


def test_a_value_that_splits_a_header_is_refused() -> None:
    read = read_request(asked(headers={"x-order": "{{ card.holder }}"}), config())
    assert read.filled_headers(lambda _: "A. Person") == {"x-order": "A. Person"}
    for value in ("a\r\nhost: x", "a\nb", "é", "", " a", "a\x00"):
        with pytest.raises(Invalid) as refused:
            read.filled_headers(partial(_said, value))
        assert refused.value.errors[0].code == "slot_unfit"


@given(st.text())
def test_a_path_that_fits_is_read_by_everybody_alike(path: str) -> None:
    if fits(path, "/v1/*/x"):
        first, *segments = path.split("/")
        assert (first, len(segments), segments[0], segments[2]) == ("", 3, "v1", "x")
        assert segments[1].isascii()
        assert not set(segments[1]) & set("%\\;?#@ .") or segments[1][0] != "."


@pytest.mark.parametrize(
    ("path", "pattern", "fit"),
    [
        ("/", "/", True),
        ("/v1/a", "/v1/a", True),
        ("/v1/a", "/v1/*", True),
        ("/v1/a.b~c_d-e", "/v1/*", True),
        ("/v1/a", "/v1/b", False),
        ("/v1/a", "/*", False),
        ("/v1/.a", "/v1/*", False),
        ("/v1/*", "/v1/*", False),
        ("/", "/*", False),
    ],
)
def test_patterns(path: str, pattern: str, fit: bool) -> None:  # noqa: FBT001 - a table
    assert is_pattern(pattern)
    assert fits(path, pattern) is fit


# --- credentials ------------------------------------------------------------------------------------------

HMAC: Final = HmacSignature(header="x-signature")
WAYS: Final[list[tuple[dict[str, Any], dict[str, str]]]] = [
    ({"auth": AuthKind.NONE}, {}),
    ({"auth": AuthKind.BEARER}, {"token": "secret-token"}),
    ({"auth": AuthKind.BASIC}, {"username": "shop", "password": "a: b"}),
    ({"auth": AuthKind.HEADER, "auth_header": "x-api-key"}, {"value": "secret-value"}),
    ({"auth": AuthKind.HEADER, "auth_header": "authorization"}, {"value": "Token abcdef"}),
    ({"auth": AuthKind.HMAC, "hmac": HMAC}, {"secret": "secret-of-hmac"}),
]


@pytest.mark.parametrize(("more", "credentials"), WAYS)
def test_each_way_needs_its_own_credentials_and_no_others(
    more: dict[str, Any], credentials: dict[str, str]
) -> None:
    made = config(**more)
    require_registrable("x", made, credentials, Mode.LIVE, STRICT)
    for name in credentials:
        less = {key: value for key, value in credentials.items() if key != name}
        assert [each.pointer for each in wrong_credentials(made, less)] == [f"/credentials/{name}"]
        for value in ("", " a", "a\r\nb", "é", "a" * 5_000):
            assert wrong_credentials(made, {**credentials, name: value})
    assert [each.pointer for each in wrong_credentials(made, {**credentials, "x": "y"})] == [
        "/credentials"
    ]
    assert headers_of(made, Credentials(credentials), SIGNED).keys() == auth_headers(made)


def test_what_credentials_put_in_front() -> None:
    def made(way: int) -> dict[str, str]:
        more, credentials = WAYS[way]
        return dict(headers_of(config(**more), Credentials(credentials), SIGNED))

    assert made(1) == {"authorization": "Bearer secret-token"}
    assert made(2) == {"authorization": f"Basic {b64encode(b'shop:a: b').decode()}"}
    assert made(3) == {"x-api-key": "secret-value"}
    assert made(4) == {"authorization": "Token abcdef"}
    expected = hmac.digest(b"secret-of-hmac", SIGNED.body, "sha256").hex()
    assert made(5) == {"x-signature": expected}
    assert wrong_credentials(config(auth=AuthKind.BASIC), {"username": "a:b", "password": "c"})


def test_a_signature_is_over_what_the_destination_says_and_by_both_secrets_of_an_overlap() -> None:
    how = HmacSignature(
        header="x-signature",
        algorithm="sha512",
        encoding="base64",
        signs="{timestamp}.{method}.{path}.{body}",
        format="t={timestamp},k={key_id},v1={signature}",
        separator=" ",
    )
    made = config(auth=AuthKind.HMAC, hmac=how)
    new, old = {"secret": "new-secret", "key_id": "k2"}, {"secret": "old-secret", "key_id": "k1"}
    require_registrable("x", made, new, Mode.TEST, STRICT)
    header = headers_of(made, Credentials(new, old), SIGNED)["x-signature"]
    message = b'1700000000.POST./v1/pay/1?expand=a.{"a":1}'
    for text, secret, key in zip(header.split(" "), (new, old), ("k2", "k1"), strict=True):
        start, _, mac = text.partition("v1=")
        assert start == f"t=1700000000,k={key},"
        assert b64decode(mac) == hmac.digest(secret["secret"].encode(), message, "sha512")


def test_what_is_put_into_a_signature_is_not_read_again() -> None:
    how = HmacSignature(header="x-s", format="{key_id} {signature}")
    made = config(auth=AuthKind.HMAC, hmac=how)
    sent = headers_of(made, Credentials({"secret": "secret", "key_id": "{signature}"}), SIGNED)
    assert sent["x-s"].startswith("{signature} ")


@pytest.mark.parametrize(
    "more",
    [
        {"auth": AuthKind.HMAC},
        {"auth": AuthKind.NONE, "hmac": HMAC},
        {"auth": AuthKind.HEADER},
        {"auth": AuthKind.BEARER, "auth_header": "x-key"},
        {"auth": AuthKind.HMAC, "hmac": HmacSignature(header="x-s", signs="{timestamp}")},
        {"auth": AuthKind.HMAC, "hmac": HmacSignature(header="x-s", signs="{body}{body}")},
        {"auth": AuthKind.HMAC, "hmac": HmacSignature(header="x-s", signs="{body}{secret}")},
        {"auth": AuthKind.HMAC, "hmac": HmacSignature(header="x-s", format="{body}")},
        {"auth": AuthKind.HMAC, "hmac": HmacSignature(header="x-s", format="x")},
        {"auth": AuthKind.HMAC, "hmac": HmacSignature(header="x-s", format="{signature}\r\nx: y")},
        {"auth": AuthKind.HMAC, "hmac": HmacSignature(header="x-s", format="{signature}}")},
        {"auth": AuthKind.HMAC, "hmac": HmacSignature(header="host")},
        {"auth": AuthKind.HMAC, "hmac": HmacSignature(header="x-s", separator="\n")},
        {"auth": AuthKind.HEADER, "auth_header": "x-order"},
        {"answer_headers": ("set-cookie",)},
        {"query": ("a b",)},
        {"query": (VISA,)},
        {"answers": "tokenize"},
        {"tokenize": (TokenizedCard("/a", "/b", "/c"),)},
    ],
)
def test_what_contradicts_itself_is_not_registered(more: dict[str, Any]) -> None:
    credentials = {"secret": "secret"} if more.get("hmac") else {}
    if more.get("auth") is AuthKind.HEADER:
        credentials = {"value": "v"}
    if more.get("auth") is AuthKind.BEARER:
        credentials = {"token": "t"}
    with pytest.raises(Invalid):
        require_registrable("x", config(**more), credentials, Mode.TEST, STRICT)


# --- answers ------------------------------------------------------------------------------------------


def cleaned(body: bytes, **more: Any) -> Any:
    given: dict[str, Any] = {"numbers": [VISA], "echoes": [], "wanted": (), **more}
    return clean(given.pop("headers", {}), body, **given)


def test_an_answer_without_anything_secret_is_as_it_came() -> None:
    body = '{"id": "é", "at": 1700000000, "amount": 4242}'
    assert cleaned(body.encode()).body == body


@pytest.mark.parametrize(
    "body",
    [
        VISA.encode(),
        b'{"a":4242424242424242}',
        b"4242 4242-4242 4242",
        b64encode(VISA.encode()),
        VISA.encode("utf-16-le"),
        b"%34%32" * 8,
        b'{"cvc":"737"}',
        b"\\u0034\\u0032" * 8,
    ],
)
def test_a_number_leaves_in_no_form(body: bytes) -> None:
    told = cleaned(body)
    assert told.body is None or (VISA not in told.body and "737" not in told.body)
    assert told.body != body.decode("latin-1")


def test_credentials_leave_in_no_form() -> None:
    secret = 'pa"ss\\word/1'
    credentials = Credentials({"username": "shop", "password": secret}, {"token": "from-before"})
    basic = b64encode(f"shop:{secret}".encode()).decode()
    echo = json.dumps({"p": secret, "b": f"Basic {basic}", "old": "from-before"})
    told = cleaned(echo.encode(), echoes=echoes(credentials)).body
    assert json.loads(told) == {
        "p": "[credential removed]",
        "b": "Basic [credential removed]",
        "old": "[credential removed]",
    }


def test_bytes_that_are_no_text_are_withheld() -> None:
    for body in (b"\xff\xfe", b"a\x00b", b"\x80" * 10):
        told = cleaned(body)
        assert (told.body, told.withheld) == (None, NOT_TEXT)


def test_only_chosen_headers_are_told_and_cleaned() -> None:
    headers = {"x-card": VISA, "set-cookie": "a=b", "x-plain": "1"}
    told = cleaned(b"", headers=headers, wanted=("x-card", "x-plain", "x-missing"))
    assert told.headers.keys() == {"x-card", "x-plain"}
    assert VISA not in told.headers["x-card"]


def test_cards_are_found_where_they_may_stand_and_nowhere_else() -> None:
    places = [TokenizedCard(f"/cards/{n}/a~1b", f"/cards/{n}/m", f"/cards/{n}/y") for n in range(4)]
    given = {
        "cards": [
            {"a/b": VISA, "m": "04", "y": 34},
            {"a/b": 5555555555554444, "m": 1, "y": "2033"},
            {"a/b": "4242", "m": 1, "y": 33},
            {"a/b": VISA, "m": 13, "y": 33},
        ]
    }
    tree, found = cards_in(json.dumps(given).encode(), places)
    assert [(each.exp_month, each.exp_year) for each in found] == [(4, 2034), (1, 2033)]
    for each in found:
        put(tree, each.place, TOKEN)
    assert [card["a/b"] for card in json.loads(encoded(tree))["cards"][:2]] == [TOKEN, TOKEN]
    assert VISA not in repr(found[0])


@given(st.binary() | st.text().map(str.encode), st.text(max_size=20))
def test_whatever_comes_back_is_read(body: bytes, name: str) -> None:
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    tree, found = cards_in(body, [TokenizedCard(pointer, "/m", "/y")])
    assert not found or tree is not None


def test_a_config_is_the_same_however_often_it_is_written() -> None:
    from strongroom.vault.forwarding import store  # noqa: PLC0415 - needs no database

    made: Config = config(
        auth=AuthKind.HMAC, hmac=HMAC, tokenize=(TokenizedCard("/a", "/b", "/c"),)
    )
    text = store.config_text(made)
    assert store.config_text(store._decode(text)) == text
