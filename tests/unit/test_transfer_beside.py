# SPDX-License-Identifier: Apache-2.0
"""What rows give a token beside its card: the same wish as by `POST /v1/tokens`, refused for the same reasons."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.http.problems import decoding_error
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.errors import Invalid
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import synthetic_number
from strongroom.vault.cards import read_metadata
from strongroom.vault.details import Details
from strongroom.vault.transfer.columns import RowMalformed, check_wish, find_columns
from strongroom.vault.transfer.export import printed
from strongroom.vault.transfer.model import (
    BESIDE,
    EXPORTED,
    Columns,
    Encryption,
    Format,
    ImportWish,
)
from strongroom.vault.transfer.reading import ReadRow, RowReader
from strongroom.vault.transfer.wire import ColumnsIn, ImportIn, wish_of
from strongroom.vault.wire import (
    BillingAddress,
    NetworkTokenIn,
    StoredCredential,
    TokenBeside,
    TokenIn,
)
from strongroom.vault.wishes import read_beside

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
CARD = synthetic_number(1)
VISA = "4242424242424242"
SOON = "2027-01-01T00:00:00Z"
OWN = ImportWish(Format.JSONL, columns=EXPORTED)
WITH_CONTAINER = ImportWish(
    Format.JSONL, columns=Columns(beside={name: name for name in BESIDE}, whole_metadata="metadata")
)


def members(shape: type[msgspec.Struct], before: str = "") -> set[str]:
    """The paths of everything that a shape holds."""
    found: set[str] = set()
    info = msgspec.inspect.type_info(shape)
    assert isinstance(info, msgspec.inspect.StructType)
    for each in info.fields:
        kinds = (
            each.type.types if isinstance(each.type, msgspec.inspect.UnionType) else (each.type,)
        )
        inner = [kind.cls for kind in kinds if isinstance(kind, msgspec.inspect.StructType)]
        found |= members(inner[0], f"{before}{each.name}.") if inner else {before + each.name}
    return found


def test_a_row_gives_whatever_the_single_route_takes() -> None:
    """A field that is added there is added here, or left out for a reason that stands here."""
    left_out = {"network_token.cryptogram", "network_token.cryptogram_expires_at"}
    assert members(TokenBeside) == set(BESIDE) | left_out
    core = {"exported", "number", "exp_month", "exp_year", "expiry", "external_id"}
    assert members(ColumnsIn) - core - {"metadata", "whole_metadata"} == set(BESIDE)


def row_of(**more: Any) -> bytes:
    return msgspec.json.encode({"number": CARD, "exp_month": 12, "exp_year": 2034, **more})


def read(row: bytes, wish: ImportWish = WITH_CONTAINER) -> ReadRow:
    return RowReader(wish, Mode.TEST, NOW).read(row)


#: Of a row what is besides the card, and the problem and field of its refusal.
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"holder": VISA}, "card_number_refused", "/holder"),
    ({"holder": "x" * 101}, "type_wrong", "/holder"),
    ({"holder": "a\nb"}, "type_wrong", "/holder"),
    ({"holder": "a\0b"}, "type_wrong", "/holder"),
    ({"holder": ["x"]}, "row_malformed", "/holder"),
    ({"holder": 4.5}, "row_malformed", "/holder"),
    ({"billing_address": {"line1": "x"}}, "field_missing", "/billing_address/country"),
    ({"billing_address": {"country": "ae"}}, "type_wrong", "/billing_address/country"),
    ({"billing_address": {"country": "ARE"}}, "type_wrong", "/billing_address/country"),
    ({"billing_address": "Dubai"}, "row_malformed", "/billing_address"),
    ({"billing_address": {"country": {}}}, "row_malformed", "/billing_address"),
    *(
        (
            {"billing_address": {"country": "AE", name: VISA}},
            "card_number_refused",
            "/billing_address",
        )
        for name in ("line1", "line2", "city", "region")
    ),
    (
        {"billing_address": {"country": "AE", "postal_code": "4242424242424242"}},
        "card_number_refused",
        "/billing_address",
    ),
    (
        {"billing_address": {"country": "AE", "postal_code": "1" * 17}},
        "type_wrong",
        "/billing_address/postal_code",
    ),
    ({"network_token": {"eci": "05"}}, "field_missing", "/network_token/requestor_id"),
    (
        {"network_token": {"requestor_id": "4001003027"}},
        "type_wrong",
        "/network_token/requestor_id",
    ),
    (
        {"network_token": {"requestor_id": "40010030273", "eci": "5"}},
        "type_wrong",
        "/network_token/eci",
    ),
    ({"stored_credential": {"mandate_text": "x"}}, "field_missing", "/stored_credential/initiator"),
    ({"stored_credential": {"initiator": "bank"}}, "value_wrong", "/stored_credential/initiator"),
    *(
        (
            {"stored_credential": {"initiator": "merchant", name: VISA}},
            "card_number_refused",
            "/stored_credential",
        )
        for name in ("scheme_transaction_id", "mandate_reference", "mandate_text")
    ),
    (
        {"stored_credential": {"initiator": "merchant", "scheme_transaction_id": "x-1"}},
        "type_wrong",
        "/stored_credential/scheme_transaction_id",
    ),
    (
        {"stored_credential": {"initiator": "merchant", "agreed_at": "yesterday"}},
        "value_wrong",
        "/stored_credential/agreed_at",
    ),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "moment_out_of_range", "/expires_at"),
    ({"expires_at": "2027-01-01T00:00:00"}, "moment_out_of_range", "/expires_at"),
    ({"expires_at": "2099-01-01T00:00:00Z"}, "moment_out_of_range", "/expires_at"),
    ({"expires_at": 1_800_000_000}, "value_wrong", "/expires_at"),
    ({"expires_at": "soon"}, "value_wrong", "/expires_at"),
    ({"alias": "perhaps"}, "value_wrong", "/alias"),
    ({"container": "x" * 161}, "type_wrong", "/container"),
    ({"metadata": []}, "row_malformed", "/metadata"),
    ({"metadata": {"note": VISA}}, "card_number_refused", "/metadata"),
    ({"metadata": {"note": 1}}, "type_wrong", "/metadata/*"),
    ({"metadata": {"note": "x" * 501}}, "type_wrong", "/metadata/*"),
    ({"metadata": {"a b": "x"}}, "type_wrong", "/metadata"),
    ({"metadata": {f"k{n}": "x" for n in range(21)}}, "type_wrong", "/metadata"),
]


@pytest.mark.parametrize(("more", "code", "field"), REFUSED)
def test_refusals(more: Mapping[str, Any], code: str, field: str) -> None:
    with pytest.raises(RowMalformed) as refused:
        read(row_of(**more))
    assert (refused.value.code, refused.value.field) == (code, field)
    assert "4242" not in f"{refused.value!r}{vars(refused.value)}"


@pytest.mark.parametrize(
    ("more", "code", "field"),
    [each for each in REFUSED if each[1] != "row_malformed" and "alias" not in each[0]],
)
def test_the_single_route_refuses_for_the_same_reason(
    more: Mapping[str, Any], code: str, field: str
) -> None:
    card = {"number": CARD, "exp_month": 12, "exp_year": 2034}
    text = msgspec.json.encode({"card": card, **_as_texts(more)})
    try:
        wish = msgspec.json.decode(text, type=TokenIn)
        read_beside(wish, NOW)
        read_metadata(wish.metadata)
    except msgspec.ValidationError as error:
        ours = decoding_error(error)
    except Invalid as error:
        ours = error
    assert isinstance(ours, Invalid)
    assert (ours.errors[0].code, ours.errors[0].pointer) == (code, field)


def _as_texts(more: Mapping[str, Any]) -> dict[str, Any]:
    """A number that a row may have where the route takes a text."""
    return {
        name: str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in more.items()
    }


def test_a_csv_gives_the_same() -> None:
    columns = {name: name.upper() for name in BESIDE}
    wish = ImportWish(Format.CSV, columns=Columns(beside=columns))
    header = ",".join(["number", "exp_month", "exp_year", *columns.values(), "cryptogram"])
    places = find_columns(header.encode(), wish)
    values = [
        *("Amal Haddad", "AE", "1 Harbour Street", "", "Dubai", "", "12345", "40010030273", "05"),
        *("merchant", "MCC1234560123", "m-17", "", SOON, "cards", SOON, "TRUE"),
    ]
    row = ",".join([CARD, "12", "2034", *values, "AgAAAAAAAIR8CQrXcIhbQAAAAAA="])
    found = RowReader(wish, Mode.TEST, NOW, places=places).read(row.encode())
    assert found.beside is not None
    assert found.beside.wish == TokenBeside(
        container="cards",
        expires_at=datetime(2027, 1, 1, tzinfo=UTC),
        alias=True,
        holder="Amal Haddad",
        billing_address=BillingAddress("AE", "1 Harbour Street", None, "Dubai", None, "12345"),
        network_token=NetworkTokenIn("40010030273", "05"),
        stored_credential=StoredCredential(
            "merchant", "MCC1234560123", "m-17", None, datetime(2027, 1, 1, tzinfo=UTC)
        ),
    )
    assert set(found.beside.details) == {
        "holder",
        "billing_address",
        "network_token",
        "stored_credential",
    }
    bare = ",".join([CARD, "12", "2034", *[""] * (len(values) + 1)])
    assert RowReader(wish, Mode.TEST, NOW, places=places).read(bare.encode()).beside is None


@pytest.mark.parametrize(
    ("column", "code"),
    [
        ("cryptogram", "cryptogram_refused"),
        ("network_token.cryptogram", "cryptogram_refused"),
        ("3ds cavv", "cryptogram_refused"),
        ("TAVV", "cryptogram_refused"),
        ("card.cvc", "cvc_column_refused"),
        (VISA, "column_malformed"),
    ],
)
def test_what_no_column_may_be(column: str, code: str) -> None:
    for columns in (Columns(beside={"holder": column}), Columns(metadata={"note": column})):
        with pytest.raises(Invalid) as refused:
            check_wish(ImportWish(Format.CSV, columns=columns))
        assert [each.code for each in refused.value.errors] == [code]


def test_wishes_that_cannot_be() -> None:
    for columns, code in (
        (Columns(beside={"network_token.cryptogram": "x"}), "column_unknown"),
        (Columns(whole_metadata="metadata"), "format_wrong"),
    ):
        with pytest.raises(Invalid) as refused:
            check_wish(ImportWish(Format.CSV, columns=columns))
        assert [each.code for each in refused.value.errors] == [code]


def test_the_names_of_an_export_with_some_said_otherwise() -> None:
    asked = msgspec.convert(
        {
            "format": "jsonl",
            "encryption": "jwe_lines",
            "columns": {
                "exported": True,
                "external_id": "id",
                "container": "container",
                "billing_address": {"country": "billing_address.land"},
            },
        },
        ImportIn,
    )
    wish = wish_of(asked)
    check_wish(wish)
    assert wish.encryption is Encryption.JWE_LINES
    assert wish.columns.whole_metadata == "metadata"
    assert wish.columns.beside == {
        **EXPORTED.beside,
        "container": "container",
        "billing_address.country": "billing_address.land",
    }
    row = row_of(id="tok_1", metadata={"external_id": "old", "customer": "c-1"}, container="cards")
    found = read(row, wish)
    assert found.metadata == '{"customer":"c-1","external_id":"tok_1"}'
    assert found.beside is not None
    assert found.beside.wish.container == "cards"


LINE = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20
).filter(lambda text: not has_cardlike(text))
MOMENTS = st.datetimes(
    NOW.replace(tzinfo=None) + timedelta(days=1),
    datetime(2050, 1, 1),  # noqa: DTZ001 - the zone is drawn
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=4)), timezone(-timedelta(hours=3.5))]),
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


WISHES = st.builds(
    TokenBeside,
    expires_at=maybe(MOMENTS),
    alias=st.booleans(),
    holder=maybe(LINE),
    billing_address=maybe(
        st.builds(
            BillingAddress,
            country=st.sampled_from(["AE", "DE", "US"]),
            line1=maybe(LINE),
            line2=maybe(LINE),
            city=maybe(LINE),
            region=maybe(LINE),
            postal_code=maybe(st.from_regex(r"[0-9A-Z -]{1,10}", fullmatch=True)).filter(
                lambda text: text is None or not has_cardlike(text)
            ),
        )
    ),
    network_token=maybe(
        st.builds(
            NetworkTokenIn,
            requestor_id=st.from_regex(r"[0-9]{11}", fullmatch=True),
            eci=maybe(st.from_regex(r"[0-9]{2}", fullmatch=True)),
        )
    ),
    stored_credential=maybe(
        st.builds(
            StoredCredential,
            initiator=st.sampled_from(["customer", "merchant"]),
            scheme_transaction_id=maybe(st.from_regex(r"[A-Z]{1,9}[0-9]{0,6}", fullmatch=True)),
            mandate_reference=maybe(LINE),
            mandate_text=maybe(LINE),
            agreed_at=maybe(MOMENTS | st.just(datetime(2020, 1, 1))),  # noqa: DTZ001 - as it is taken
        )
    ),
)
METADATA = st.dictionaries(
    st.from_regex(r"[A-Za-z][a-z_.-]{0,9}", fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20).filter(
        lambda text: not has_cardlike(text)
    ),
    max_size=5,
)


@given(WISHES, METADATA)
def test_what_is_printed_for_a_receiver_is_read_as_it_was_wished(
    wish: TokenBeside, metadata: dict[str, str]
) -> None:
    details: Any = read_beside(wish, NOW)
    row = {
        "token_id": "tok_1",
        "exp_month": 12,
        "exp_year": 2034,
        "brand": "synthetic",
        "metadata": msgspec.json.encode(metadata).decode() if metadata else None,
        "created_at": NOW,
        # As the database gives it out.
        "expires_at": wish.expires_at and wish.expires_at.astimezone(UTC),
        "container": "default",
        "pan_alias": "9912345678900001" if wish.alias else None,
    }
    found = read(printed(row, CARD, Details(**details)), OWN)
    asked = wish == TokenBeside()
    assert (found.beside is None) == asked
    assert asked or (found.beside is not None and found.beside.wish == wish)
    assert (found.pan.last4, found.exp_month, found.exp_year) == (CARD[-4:], 12, 2034)
    assert msgspec.json.decode(found.metadata or "{}") == metadata
