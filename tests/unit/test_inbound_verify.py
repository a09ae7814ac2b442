# SPDX-License-Identifier: Apache-2.0
"""Verifiers of notices: what is believed, and when. Any bytes and headers give verified or rejected, nothing else."""

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notice_makers import SENDERS
from strongroom.crypto import aes_gcm_encrypt, hmac_sha256, random_bytes
from strongroom.kernel.secret import Secret
from strongroom.simulator.notices import signature
from strongroom.webhooks.inbound import (
    VERIFIERS,
    NoticeRejected,
    RawNotice,
    VerifiedNotice,
)

NOW: Final = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
T: Final = int(NOW.timestamp())
CONNECTION: Final = "con_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
EVENT: Final = "se_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
BODY: Final = json.dumps({"id": EVENT, "type": "payment.captured", "data": {}}).encode()
OLD, NEW, FOREIGN = (f"sim_wh_{name}_0123456789" for name in ("old", "new", "foreign"))
HEX_KEY: Final = bytes(range(32)).hex()
BASE64_KEY: Final = base64.b64encode(bytes(range(32))).decode()
SECRETS: Final = {scheme: sender.secret for scheme, sender in SENDERS.items()} | {
    "simulator": OLD,
    "aes_gcm_hex": HEX_KEY,
    "aes_gcm_base64": BASE64_KEY,
}


def mac(secret: str = OLD, body: bytes = BODY, t: int | str = T) -> str:
    return hmac_sha256(secret.encode(), f"{t}.".encode() + body).hex()


def judged(
    scheme: str,
    headers: dict[str, str],
    body: bytes,
    secrets: Sequence[str],
    now: datetime = NOW,
) -> VerifiedNotice | str:
    """Return the notice, or the reason why it is none."""
    raw = RawNotice(CONNECTION, headers, body)
    try:
        return VERIFIERS[scheme].verify(raw, [Secret(each) for each in secrets], now)
    except NoticeRejected as rejected:
        return rejected.reason


def simulator(
    header: str | None, body: bytes = BODY, secrets: Sequence[str] = (OLD,), seconds: float = 0
) -> VerifiedNotice | str:
    headers = {} if header is None else {"sim-signature": header}
    return judged("simulator", headers, body, secrets, NOW + timedelta(seconds=seconds))


# --- the simulator's scheme ---------------------------------------------------------------------------


def test_what_the_simulator_sends_is_believed() -> None:
    verified = simulator(signature((FOREIGN, OLD), BODY, NOW))
    assert verified == VerifiedNotice(BODY, EVENT, "simulator")


GOOD: Final = f"t={T},v1={mac()}"
#: What it is, the header, the body, the secrets, why it is rejected (None: it is believed).
SIGNED: Final[list[tuple[str, str | None, bytes, Sequence[str], str | None]]] = [
    ("good", GOOD, BODY, (OLD,), None),
    ("another signature before", f"t={T},v1={mac(FOREIGN)},v1={mac()}", BODY, (OLD,), None),
    ("another signature behind", f"t={T},v1={mac()},v1={mac(FOREIGN)}", BODY, (OLD,), None),
    ("ten signatures", f"t={T}" + f",v1={mac(FOREIGN)}" * 9 + f",v1={mac()}", BODY, (OLD,), None),
    ("in rotation, by the old one", GOOD, BODY, (NEW, OLD), None),
    ("in rotation, by the new one", f"t={T},v1={mac(NEW)}", BODY, (NEW, OLD), None),
    ("rotated away", GOOD, BODY, (NEW,), "signature_wrong"),
    ("no secret", GOOD, BODY, (), "no_secret"),
    ("no header", None, BODY, (OLD,), "signature_absent"),
    ("an empty header", "", BODY, (OLD,), "signature_malformed"),
    ("another secret", f"t={T},v1={mac(FOREIGN)}", BODY, (OLD,), "signature_wrong"),
    ("another time", f"t={T + 1},v1={mac()}", BODY, (OLD,), "signature_wrong"),
    ("a leading zero in the time", f"t=0{T},v1={mac()}", BODY, (OLD,), "signature_wrong"),
    ("another body", GOOD, BODY + b" ", (OLD,), "signature_wrong"),
    ("no body", GOOD, b"", (OLD,), "signature_wrong"),
    ("no time", f"v1={mac()}", BODY, (OLD,), "signature_malformed"),
    ("no signature", f"t={T}", BODY, (OLD,), "signature_malformed"),
    ("two times", f"t={T},t={T},v1={mac()}", BODY, (OLD,), "signature_malformed"),
    ("the time behind", f"v1={mac()},t={T}", BODY, (OLD,), "signature_malformed"),
    ("a second time behind", f"{GOOD},t={T + 9}", BODY, (OLD,), "signature_malformed"),
    ("a time that is none", f"t=now,v1={mac()}", BODY, (OLD,), "signature_malformed"),
    ("a negative time", f"t=-{T},v1={mac()}", BODY, (OLD,), "signature_malformed"),
    ("a time of 400 digits", f"t={'9' * 400},v1={mac()}", BODY, (OLD,), "signature_malformed"),
    ("a time in other digits", f"t=١٢٣,v1={mac()}", BODY, (OLD,), "signature_malformed"),
    ("a space", f"t={T}, v1={mac()}", BODY, (OLD,), "signature_malformed"),
    ("a line's end", GOOD + "\n", BODY, (OLD,), "signature_malformed"),
    ("capitals", f"t={T},v1={mac().upper()}", BODY, (OLD,), "signature_malformed"),
    ("a short signature", f"t={T},v1={mac()[:-2]}", BODY, (OLD,), "signature_malformed"),
    ("an empty signature", f"t={T},v1=", BODY, (OLD,), "signature_malformed"),
    ("another scheme", f"t={T},v0={mac()}", BODY, (OLD,), "signature_malformed"),
    ("eleven signatures", f"t={T}" + f",v1={mac()}" * 11, BODY, (OLD,), "signature_malformed"),
    ("a long header", GOOD + "," * 2_000, BODY, (OLD,), "signature_malformed"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "header", "body", "secrets", "reason"), SIGNED, ids=[row[0] for row in SIGNED]
)
def test_signatures(
    what: str, header: str | None, body: bytes, secrets: Sequence[str], reason: str | None
) -> None:
    verdict = simulator(header, body, secrets)
    assert verdict == (VerifiedNotice(BODY, EVENT, "simulator") if reason is None else reason)


#: How late it arrives in seconds, expected.
TIMES: Final = [
    (0, None),
    (299.999, None),
    (300, None),
    (300.001, "too_old"),
    (86_400, "too_old"),
    (-300, None),
    (-300.001, "too_new"),
]


@pytest.mark.parametrize(("seconds", "reason"), TIMES)
def test_times(seconds: float, reason: str | None) -> None:
    verdict = simulator(GOOD, seconds=seconds)
    assert verdict == (reason or VerifiedNotice(BODY, EVENT, "simulator"))


def test_who_cannot_sign_does_not_learn_that_it_is_late() -> None:
    assert simulator(f"t={T - 9_999},v1={mac()}") == "signature_wrong"


#: Authentic, and yet nothing: an event has a name.
NAMELESS: Final = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"{" * 10_000,
    b'{"id": 7}',
    b'{"id": "se_1"}',
    b'{"id": "se_01kahx3mz4v8q2t6n0r5w7y9cb"}',
    b'{"id": "evt_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"}',
    b'{"id": "' + EVENT.encode() + b'"} {}',
    b'{"id": "' + b"s" * 60_000 + b'"}',
]


@pytest.mark.parametrize("body", NAMELESS, ids=[repr(body[:24]) for body in NAMELESS])
def test_an_event_without_a_name_is_rejected(body: bytes) -> None:
    assert simulator(f"t={T},v1={mac(body=body)}", body) == "body_malformed"


# --- encrypted schemes --------------------------------------------------------------------------------

WRITE: Final[dict[str, Callable[[bytes], str]]] = {
    "aes_gcm_hex": bytes.hex,
    "aes_gcm_base64": lambda data: base64.b64encode(data).decode(),
}
ENCRYPTED: Final = sorted(WRITE)


def encrypted(scheme: str, clear: bytes, key: str | None = None) -> tuple[dict[str, str], bytes]:
    key = key or SECRETS[scheme]
    raw_key = bytes.fromhex(key) if scheme == "aes_gcm_hex" else base64.b64decode(key)
    iv, ciphertext, tag = aes_gcm_encrypt(raw_key, clear)
    write = WRITE[scheme]
    headers = {"x-initialization-vector": write(iv), "x-authentication-tag": write(tag)}
    return headers, write(ciphertext).encode()


def body_of(verdict: VerifiedNotice | str) -> bytes | str:
    return verdict.body if isinstance(verdict, VerifiedNotice) else verdict


@pytest.mark.parametrize("scheme", ENCRYPTED)
@given(clear=st.binary(max_size=2_000))
def test_what_was_encrypted_for_us_is_believed_as_it_was(scheme: str, clear: bytes) -> None:
    headers, body = encrypted(scheme, clear)
    verified = judged(scheme, headers, body, [SECRETS[scheme]])
    assert isinstance(verified, VerifiedNotice)
    assert (verified.body, verified.scheme) == (clear, scheme)
    assert verified.event_key.startswith(f"{scheme}:")
    assert len(verified.event_key) <= 255
    assert judged(scheme, headers, body, [SECRETS[scheme]]) == verified, "the same notice again"


@pytest.mark.parametrize("scheme", ENCRYPTED)
def test_secrets_in_rotation(scheme: str) -> None:
    other = WRITE[scheme](random_bytes(32))
    headers, body = encrypted(scheme, b"{}")
    mine = SECRETS[scheme]
    assert body_of(judged(scheme, headers, body, [other, mine])) == b"{}"
    assert body_of(judged(scheme, headers, body, [mine, other])) == b"{}"
    assert judged(scheme, headers, body, [other]) == "not_authentic"
    assert judged(scheme, headers, body, ["not a key"]) == "not_authentic"
    assert judged(scheme, headers, body, []) == "no_secret"


@pytest.mark.parametrize("scheme", ENCRYPTED)
def test_how_it_is_written_makes_no_other_event_of_it(scheme: str) -> None:
    headers, body = encrypted(scheme, b'{"a": 1}')
    first = judged(scheme, headers, body, [SECRETS[scheme]])
    ways = [body + b"\r\n", b" " + body]
    if scheme == "aes_gcm_hex":
        ways += [body.upper(), json.dumps({"encryptedBody": body.decode()}).encode()]
    for way in ways:
        assert judged(scheme, headers, way, [SECRETS[scheme]]) == first
    again, body_again = encrypted(scheme, b'{"a": 1}')
    other = judged(scheme, again, body_again, [SECRETS[scheme]])
    assert isinstance(first, VerifiedNotice)
    assert isinstance(other, VerifiedNotice)
    assert other.event_key != first.event_key, "encrypted anew is another notice"


IV, TAG = "x-initialization-vector", "x-authentication-tag"
#: What is changed of a good notice in hexadecimal, expected.
CHANGED: Final[list[tuple[str, dict[str, str | None], bytes | None, str]]] = [
    ("no IV", {IV: None}, None, "header_absent"),
    ("no tag", {TAG: None}, None, "header_absent"),
    ("an empty IV", {IV: ""}, None, "not_authentic"),
    ("an empty tag", {TAG: ""}, None, "not_authentic"),
    ("a short tag", {TAG: "00" * 12}, None, "not_authentic"),
    ("a long IV", {IV: "00" * 16}, None, "not_authentic"),
    ("an IV of half a byte", {IV: "0" * 23}, None, "header_malformed"),
    ("an IV with spaces", {IV: "00 " * 12}, None, "header_malformed"),
    ("an IV in other digits", {IV: "٠" * 24}, None, "header_malformed"),
    ("a tag that is none", {TAG: "zz" * 16}, None, "header_malformed"),
    ("no body", {}, b"", "not_authentic"),
    ("a body that is none", {}, b"hello", "body_malformed"),
    ("a body with a space in it", {}, b"00 00", "body_malformed"),
    ("a body beyond ASCII", {}, "é".encode(), "body_malformed"),
    ("a wrapper of something else", {}, b'{"encryptedBody": 7}', "body_malformed"),
    ("a wrapper without", {}, b'{"body": "00"}', "body_malformed"),
    ("half a wrapper", {}, b'{"encryptedBody": "00"', "body_malformed"),
    ("a wrapper in a wrapper", {}, b'{"encryptedBody": "{}"}', "body_malformed"),
]


@pytest.mark.parametrize(
    ("what", "changes", "body", "reason"), CHANGED, ids=[row[0] for row in CHANGED]
)
def test_encrypted_and_changed(
    what: str, changes: dict[str, str | None], body: bytes | None, reason: str
) -> None:
    headers, good = encrypted("aes_gcm_hex", b"{}")
    changed = {name: value for name, value in {**headers, **changes}.items() if value is not None}
    assert judged("aes_gcm_hex", changed, good if body is None else body, [HEX_KEY]) == reason


# --- every scheme -------------------------------------------------------------------------------------

HEADERS: Final = sorted({name for verifier in VERIFIERS.values() for name in verifier.headers})
ADYEN_NAMES: Final = (
    "NotificationRequestItem", "pspReference", "eventCode", "success", "amount", "value", "additionalData",
    "hmacSignature",
)  # fmt: skip
LIKELY: Final = st.one_of(
    st.text(max_size=80),
    st.from_regex(r"t=[0-9]{1,12}(,v1=[0-9a-f]{64}){0,3}", fullmatch=True),
    st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    st.binary(min_size=32, max_size=32).map(lambda data: base64.b64encode(data).decode()),
    st.binary(max_size=32).map(bytes.hex),
    st.binary(max_size=32).map(lambda data: base64.b64encode(data).decode()),
)
BODIES: Final = st.one_of(
    st.binary(max_size=300),
    LIKELY.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.just(BODY),
    st.dictionaries(st.sampled_from(["id", "encryptedBody", "x"]), LIKELY).map(
        lambda made: json.dumps(made).encode()
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | LIKELY,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(ADYEN_NAMES), inner, max_size=5)
        ),
    ).map(lambda made: json.dumps({"live": "false", "notificationItems": [made]}).encode()),
)


@pytest.mark.parametrize("scheme", sorted(VERIFIERS))
@settings(max_examples=200)
@given(
    headers=st.dictionaries(st.sampled_from(HEADERS), LIKELY),
    body=BODIES,
    own=st.booleans(),
)
def test_whatever_comes_is_verified_or_rejected_and_nothing_else(
    scheme: str, *, headers: dict[str, str], body: bytes, own: bool
) -> None:
    secrets = [SECRETS[scheme]] if own else []
    verdict = judged(scheme, headers, body, secrets)
    assert isinstance(verdict, str), "nobody guesses a signature"


@given(
    body=st.binary(max_size=400),
    late=st.integers(-10_000, 10_000),
    secret=st.sampled_from([OLD, NEW, FOREIGN]),
)
def test_what_is_signed_is_verified_or_rejected_and_nothing_else(
    body: bytes, late: int, secret: str
) -> None:
    """Who holds the secret may sign anything; it has a name and a time, or it is rejected."""
    verdict = simulator(signature((secret,), body, NOW), body, (OLD, NEW), late)
    assert isinstance(verdict, str), "random bytes are no event"
    named = BODY + b" " * len(body)
    believed = simulator(signature((secret,), named, NOW), named, (OLD, NEW), late)
    assert isinstance(believed, VerifiedNotice) == (secret != FOREIGN and abs(late) <= 300)


@pytest.mark.parametrize("scheme", ["simulator", *ENCRYPTED])
@given(data=st.data())
def test_a_bit_that_flips_is_noticed(scheme: str, data: st.DataObject) -> None:
    if scheme == "simulator":
        headers, body = {"sim-signature": GOOD}, BODY
    else:
        headers, body = encrypted(scheme, BODY)
    first = judged(scheme, headers, body, [SECRETS[scheme]])
    assert isinstance(first, VerifiedNotice)
    where = data.draw(st.sampled_from(["body", *headers]))
    before = body if where == "body" else headers[where].encode()
    at = data.draw(st.integers(0, len(before) - 1))
    changed = bytearray(before)
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    if where == "body":
        body = bytes(changed)
    else:
        headers = {**headers, where: changed.decode("latin-1")}
    verdict = judged(scheme, headers, body, [SECRETS[scheme]])
    # A flip may turn a digit's case, or the unused bits at the end of base64: then it is the same notice still.
    assert isinstance(verdict, str) or (scheme != "simulator" and verdict == first)


@pytest.mark.parametrize("scheme", sorted(VERIFIERS))
def test_a_notice_prints_nothing_of_itself(scheme: str) -> None:
    raw = RawNotice(CONNECTION, {"sim-signature": GOOD}, BODY)
    assert mac() not in repr(raw)
    assert EVENT not in repr(raw)
    assert "captured" not in repr(VerifiedNotice(BODY, EVENT, scheme))


#: Scheme, secret, whether it has the scheme's form.
FORMS: Final = [
    ("simulator", OLD, True),
    ("simulator", "", False),
    ("simulator", "short", False),
    ("simulator", "with a space in it", False),
    ("simulator", "x" * 201, False),
    ("simulator", OLD + "\n", False),
    ("aes_gcm_hex", HEX_KEY, True),
    ("aes_gcm_hex", HEX_KEY.upper(), True),
    ("aes_gcm_hex", HEX_KEY[:-2], False),
    ("aes_gcm_hex", HEX_KEY + "00", False),
    ("aes_gcm_hex", "", False),
    ("aes_gcm_hex", BASE64_KEY, False),
    ("aes_gcm_base64", BASE64_KEY, True),
    ("aes_gcm_base64", BASE64_KEY[:-1], False),
    ("aes_gcm_base64", "", False),
    ("aes_gcm_base64", HEX_KEY, False),
    ("aes_gcm_base64", "é", False),
]


@pytest.mark.parametrize(("scheme", "secret", "accepted"), FORMS)
def test_forms_of_secrets(scheme: str, secret: str, *, accepted: bool) -> None:
    assert VERIFIERS[scheme].accepts(Secret(secret)) is accepted


def test_every_scheme_names_itself_and_its_headers() -> None:
    assert {name: verifier.scheme for name, verifier in VERIFIERS.items()} == {
        name: name for name in SECRETS
    }
    assert [name for name, verifier in VERIFIERS.items() if not verifier.headers] == ["adyen"]
    for verifier in VERIFIERS.values():
        assert all(name == name.lower() for name in verifier.headers)
