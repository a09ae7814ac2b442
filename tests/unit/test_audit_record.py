# SPDX-License-Identifier: Apache-2.0
"""The leaf format: canonical, for ever, and closed to anything that is not on its lists."""

import json
import re
import string
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from strongroom.audit.actions import FACT_NUMBER_LIMIT, NUMBER_FACTS, TEXT_FACTS, Action, Outcome
from strongroom.audit.errors import RecordRefused
from strongroom.audit.merkle import leaf_hash
from strongroom.audit.record import (
    RECORD_BYTES_MAX,
    AuditRecord,
    decode,
    encode,
    salt_text,
    salted,
)
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.ids import encode_id
from strongroom.kernel.invariant import Bug
from strongroom.kernel.mode import Mode
from unit.audit_trees import MERCHANT, made_record

GOLDEN = Path(__file__).parent.parent / "golden"

ids = st.builds(
    encode_id,
    st.sampled_from(["tok", "key", "usr", "mer"]),
    st.integers(0, 2**45 - 1),
    st.binary(min_size=10, max_size=10),
)
moments = st.integers(0, 3_000_000_000_000_000).map(
    lambda microseconds: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)
hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
facts = st.dictionaries(
    st.sampled_from([*TEXT_FACTS, *NUMBER_FACTS]), st.none(), max_size=12
).flatmap(
    lambda names: st.fixed_dictionaries(
        {
            name: st.from_regex(
                TEXT_FACTS[name], fullmatch=True, alphabet=st.characters(codec="ascii")
            )
            if name in TEXT_FACTS
            else st.integers(0, FACT_NUMBER_LIMIT - 1)
            for name in names
        }
    )
)
records = st.builds(
    AuditRecord,
    action=st.sampled_from(Action),
    actor=ids | st.sampled_from(["anonymous", "system:sealer", "operator:cli", "job:reseal.3"]),
    details=facts,
    event_id=st.builds(
        encode_id,
        st.just("aud"),
        st.integers(0, 2**45 - 1),
        st.binary(min_size=10, max_size=10),
    ),
    merchant=st.none()
    | st.builds(
        encode_id, st.just("mer"), st.integers(0, 2**45), st.binary(min_size=10, max_size=10)
    ),
    mode=st.none() | st.sampled_from(Mode),
    object=st.none() | ids | st.just("tree:core.1"),
    origin=st.none() | hashes,
    outcome=st.sampled_from(Outcome),
    request_hash=st.none() | hashes,
    salt=st.binary(min_size=32, max_size=32).map(salt_text),
    time=moments.map(rfc3339),
    transaction_id=st.none() | ids,
)


@given(records)
def test_what_is_encoded_is_rfc_8785_and_is_read_back(record: AuditRecord) -> None:
    payload = encode(record)
    assert payload == rfc8785.dumps(json.loads(payload))
    assert payload == rfc8785.dumps(msgspec.to_builtins(record))
    assert b"\n" not in payload
    assert len(payload) <= RECORD_BYTES_MAX
    assert decode(payload) == record


@given(st.binary() | st.text().map(str.encode))
def test_arbitrary_bytes_are_refused_and_nothing_else(payload: bytes) -> None:
    with pytest.raises(RecordRefused):
        decode(payload)


@given(records, st.data())
def test_a_changed_byte_is_refused_or_is_another_leaf(
    record: AuditRecord, data: st.DataObject
) -> None:
    payload = encode(record)
    at = data.draw(st.integers(0, len(payload) - 1))
    changed = bytearray(payload)
    changed[at] ^= data.draw(st.integers(1, 255))
    assert leaf_hash(bytes(changed)) != leaf_hash(payload)
    try:
        read = decode(bytes(changed))
    except RecordRefused:
        return
    assert read != record
    assert encode(read) == changed


def mended(**changes: object) -> bytes:
    """A record's bytes with other values, in the canonical order of keys."""
    record = {**msgspec.to_builtins(made_record(1)), **changes}
    return rfc8785.dumps({name: value for name, value in record.items() if value != "left out"})


PAN = "4242424242424242"


@pytest.mark.parametrize(
    "payload",
    [
        mended(action="vault.token.stolen"),
        mended(actor=PAN),
        mended(actor="jane@example.com"),
        mended(actor="system sealer"),
        mended(details={"pan": PAN}),
        mended(details={"brand": PAN}),
        mended(details={"brand": "V"}),
        mended(details={"last4": "42424"}),
        mended(details={"last4": 4242}),
        mended(details={"count": "3"}),
        mended(details={"count": True}),
        mended(details={"count": -1}),
        mended(details={"count": 1.5}),
        mended(details={"count": 10**12}),
        mended(details={"count": None}),
        mended(details={"count": [1]}),
        mended(details={"reason": "no\nway"}),
        mended(details=None),
        mended(event_id=encode_id("tok", 1, bytes(10))),
        mended(event_id=encode_id("aud", 2**48 - 1, bytes(10))),
        mended(extra=1),
        mended(merchant="mer_1"),
        mended(merchant="left out"),
        mended(mode="production"),
        mended(object=PAN),
        mended(origin="10.0.0.1"),
        mended(outcome="succeed"),
        mended(request_hash="ABC"),
        mended(salt="A" * 42 + "B"),
        mended(salt="A" * 42),
        mended(time="2026-02-30T12:00:00.000000Z"),
        mended(time="2026-03-01T12:00:00Z"),
        mended(time="2026-03-01T12:00:00.000000+00:00"),
        mended(time="2026-03-01T24:00:00.000000Z"),
        mended(transaction_id="payment 1"),
        mended(v=2),
        mended(v="1"),
        mended() + b"\n",
        mended().replace(b",", b", ", 1),
        mended().replace(b'"last4"', b'"brand"'),
        mended().replace(b'"brand":"visa","last4":"4242"', b'"last4":"4242","brand":"visa"'),
        mended().replace(b"visa", rb"vis\u0061"),
        mended() + b" " * RECORD_BYTES_MAX,
    ],
)
def test_what_is_not_a_canonical_record_is_refused(payload: bytes) -> None:
    with pytest.raises(RecordRefused):
        decode(payload)


def test_the_mended_record_itself_is_read() -> None:
    assert decode(mended()) == made_record(1)


@pytest.mark.parametrize(
    "changes",
    [
        {"actor": PAN},
        {"details": {"pan": PAN}},
        {"details": {"brand": PAN}},
        {"details": {"count": True}},
        {"details": {"count": int(PAN)}},
        {"details": {"route": f"GET /v1/tokens/{PAN}"}},
        {"event_id": "aud_1"},
        {"object": "a card"},
        {"origin": "10.0.0.1"},
        {"salt": ""},
        {"time": "2026-02-30T12:00:00.000000Z"},
        {"transaction_id": "\u2028"},
    ],
)
def test_a_record_that_could_not_be_read_back_is_never_made(changes: dict[str, object]) -> None:
    record = msgspec.structs.replace(made_record(1), **changes)
    with pytest.raises(Bug):
        encode(record)


def test_no_fact_admits_a_card_number() -> None:
    for form in TEXT_FACTS.values():
        for text in (PAN, "a" + PAN, PAN + "a", f"GET /{PAN}", "4242 4242 4242 4242"):
            assert form.fullmatch(text) is None
    assert len(str(FACT_NUMBER_LIMIT - 1)) < 13


def test_actions_keep_their_grammar() -> None:
    words = [action.value for action in Action]
    assert words == sorted(words)
    assert all(action.name == action.value.replace(".", "_").upper() for action in Action)
    for word in words:
        assert re.fullmatch(r"[a-z]+\.[a-z_]+\.(?:[a-z]+ed|kept|made|read|reset|withdrawn)", word)
        assert len(word) <= 96
    outcomes = [outcome.value for outcome in Outcome]
    assert outcomes == sorted(outcomes)


def test_words_are_for_ever() -> None:
    """Rewrite a golden file only to add a line to it."""
    assert [action.value for action in Action] == (GOLDEN / "audit_actions.txt").read_text().split()
    kinds = dict.fromkeys(TEXT_FACTS, "text") | dict.fromkeys(NUMBER_FACTS, "number")
    lines = [f"{name} {kind}" for name, kind in sorted(kinds.items())]
    assert lines == (GOLDEN / "audit_facts.txt").read_text().splitlines()
    assert list(TEXT_FACTS) == sorted(TEXT_FACTS)


def test_the_leaf_is_for_ever() -> None:
    """Version 1's bytes and hash. Never rewrite these: a change of format is a new version."""
    known = json.loads((GOLDEN / "audit_leaf_v1.json").read_text())
    record = made_record(7)
    assert encode(record).decode() == known["payload"]
    assert leaf_hash(encode(record)).hex() == known["leaf_hash"]
    assert decode(known["payload"].encode()) == record


def test_fields_stand_in_alphabetical_order() -> None:
    assert list(AuditRecord.__struct_fields__) == sorted(AuditRecord.__struct_fields__)


def test_salts() -> None:
    assert len(salt_text(bytes(32))) == 43
    assert set(salt_text(b"\xff" * 32)) <= set(string.ascii_letters + string.digits + "-_")
    assert salted(b"s" * 32, "192.0.2.1") == sha256(b"s" * 32 + b"192.0.2.1").hexdigest()
    with pytest.raises(Bug):
        salt_text(bytes(31))
    with pytest.raises(Bug):
        salted(b"", "192.0.2.1")


def test_a_record_of_no_tenant() -> None:
    record = msgspec.structs.replace(
        made_record(1, moment=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=1)),
        action=Action.AUDIT_TREE_STARTED,
        actor="system:sealer",
        details={},
        merchant=None,
        mode=None,
        object="tree:core.1",
        request_hash=None,
    )
    assert decode(encode(record)) == record
    assert MERCHANT.encode() not in encode(record)
