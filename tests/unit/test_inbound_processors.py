# SPDX-License-Identifier: Apache-2.0
"""Forgeries of Stripe's and Checkout.com's notices, a table each; and what holds for the notices of every scheme."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notice_makers import (
    CONNECTION,
    NOW,
    SENDERS,
    Sender,
    adyen_envelope,
    adyen_item,
    good,
    judged,
    sha256_of,
)
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.webhooks.inbound import VERIFIERS, NoticeRejected, RawNotice, VerifiedNotice
from strongroom.webhooks.inbound.references import has_card_number

T: Final = int(NOW.timestamp())
STRIPE, ADYEN, PLATFORM, CHECKOUT = (
    SENDERS[each] for each in ("stripe", "adyen", "adyen_platform", "checkout")
)
KEY: Final = ADYEN.secret

# --- Stripe -------------------------------------------------------------------------------------------

EVENT: Final = STRIPE.event(id="evt_1PgafmB7WZ01zgkW")


def v1(secret: str = STRIPE.secret, body: bytes = EVENT, t: int | str = T) -> str:
    return sha256_of(secret.encode(), f"{t}.".encode() + body).hex()


ALONE: Final = f"t={T},v1={v1()}"
#: What it is, the header, why it is rejected (None: it is believed).
STRIPE_HEADERS: Final[list[tuple[str, str | None, str | None]]] = [
    ("good", ALONE, None),
    ("another signature before", f"t={T},v1={v1(STRIPE.other)},v1={v1()}", None),
    ("another signature behind", f"{ALONE},v1={v1(STRIPE.other)}", None),
    ("the time behind", f"v1={v1()},t={T}", None),
    ("a test signature beside", f"{ALONE},v0={'6' * 64}", None),
    ("a scheme to come", f"t={T},v1={v1()},v2a={base64.b64encode(b'x' * 40).decode()}", None),
    ("a scheme to come, empty", f"{ALONE},v9=", None),
    ("ten signatures", f"t={T}" + f",v1={v1(STRIPE.other)}" * 9 + f",v1={v1()}", None),
    ("no header", None, "signature_absent"),
    ("an empty header", "", "signature_malformed"),
    ("v0 alone", f"t={T},v0={v1()}", "signature_malformed"),
    ("v0 that would hold, v1 that does not", f"t={T},v0={v1()},v1={v1(STRIPE.other)}", "signature_wrong"),
    ("another secret", f"t={T},v1={v1(STRIPE.other)}", "signature_wrong"),
    ("the secret without its prefix", f"t={T},v1={v1(STRIPE.secret.removeprefix('whsec_'))}", "signature_wrong"),
    ("the body without its time", f"t={T},v1={sha256_of(STRIPE.secret.encode(), EVENT).hex()}", "signature_wrong"),
    ("another time", f"t={T + 1},v1={v1()}", "signature_wrong"),
    ("a leading zero in the time", f"t=0{T},v1={v1()}", "signature_wrong"),
    ("two headers as one", f"{ALONE}, {ALONE}", "signature_malformed"),
    ("two times", f"t={T},{ALONE}", "signature_malformed"),
    ("two times, the second later", f"{ALONE},t={T + 9}", "signature_malformed"),
    ("no time", f"v1={v1()}", "signature_malformed"),
    ("no signature", f"t={T}", "signature_malformed"),
    ("truncated", ALONE[:-2], "signature_malformed"),
    ("one digit more", ALONE + "0", "signature_malformed"),
    ("upper-case hex", f"t={T},v1={v1().upper()}", "signature_malformed"),
    ("a good one beside a malformed one", f"{ALONE},v1=zz", "signature_malformed"),
    ("a space", f"t={T}, v1={v1()}", "signature_malformed"),
    ("a space behind", ALONE + " ", "signature_malformed"),
    ("a line's end", ALONE + "\n", "signature_malformed"),
    ("a comma behind", ALONE + ",", "signature_malformed"),
    ("another separator", ALONE.replace(",", ";"), "signature_malformed"),
    ("a part without a value", f"{ALONE},v2", "signature_malformed"),
    ("capitals in a name", f"T={T},v1={v1()}", "signature_malformed"),
    ("a time that is none", f"t=now,v1={v1()}", "signature_malformed"),
    ("a negative time", f"t=-{T},v1={v1()}", "signature_malformed"),
    ("a time with a fraction", f"t={T}.0,v1={v1()}", "signature_malformed"),
    ("a time in other digits", f"t=١٢٣,v1={v1()}", "signature_malformed"),
    ("a time of 400 digits", f"t={'9' * 400},v1={v1()}", "signature_malformed"),
    ("eleven signatures", f"t={T}" + f",v1={v1()}" * 11, "signature_malformed"),
    ("a long header", ALONE + ",v0=" + "0" * 2_000, "signature_malformed"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "header", "reason"), STRIPE_HEADERS, ids=[row[0] for row in STRIPE_HEADERS]
)
def test_headers_of_stripe(what: str, header: str | None, reason: str | None) -> None:
    verdict = judged(STRIPE, {} if header is None else {"stripe-signature": header}, EVENT)
    expected = VerifiedNotice(EVENT, "evt_1PgafmB7WZ01zgkW", "stripe", mode=Mode.TEST)
    assert verdict == (reason or expected)


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [(0, None), (300, None), (300.001, "too_old"), (-300, None), (-300.001, "too_new")],
)
def test_times_of_stripe(seconds: float, reason: str | None) -> None:
    """Both ways: Stripe's own libraries let the future pass."""
    verdict = judged(
        STRIPE, {"stripe-signature": ALONE}, EVENT, now=NOW + timedelta(seconds=seconds)
    )
    assert (verdict if isinstance(verdict, str) else None) == reason
    forged = {"stripe-signature": f"t={T - 9_999},v1={v1()}"}
    assert judged(STRIPE, forged, EVENT) == "signature_wrong", "a stranger learns of no clock"


# --- Checkout.com -------------------------------------------------------------------------------------

CKO: Final = CHECKOUT.event(id="evt_az5sblvku4ge3dwpztvyizgcau")
MAC: Final = sha256_of(CHECKOUT.secret.encode(), CKO).hex()
TWO: Final = {"cko-signature": MAC, "authorization": "Bearer two words"}
WITH_SECOND: Final = f"{CHECKOUT.secret} Bearer two words"
#: What it is, the headers, the secret, why it is rejected.
CHECKOUT_HEADERS: Final[list[tuple[str, dict[str, str], str, str | None]]] = [
    ("good", {"cko-signature": MAC}, CHECKOUT.secret, None),
    ("a header that nobody asked for", {"cko-signature": MAC, "authorization": "x"}, CHECKOUT.secret, None),
    ("both factors", TWO, WITH_SECOND, None),
    ("no header", {}, CHECKOUT.secret, "signature_absent"),
    ("an empty header", {"cko-signature": ""}, CHECKOUT.secret, "signature_malformed"),
    ("another key", {"cko-signature": MAC}, CHECKOUT.secret + "x", "signature_wrong"),
    ("two headers as one", {"cko-signature": f"{MAC}, {MAC}"}, CHECKOUT.secret, "signature_malformed"),
    ("truncated", {"cko-signature": MAC[:-2]}, CHECKOUT.secret, "signature_malformed"),
    ("one digit more", {"cko-signature": MAC + "0"}, CHECKOUT.secret, "signature_malformed"),
    ("a space before", {"cko-signature": " " + MAC}, CHECKOUT.secret, "signature_malformed"),
    ("a line's end", {"cko-signature": MAC + "\n"}, CHECKOUT.secret, "signature_malformed"),
    ("upper-case hex", {"cko-signature": MAC.upper()}, CHECKOUT.secret, "signature_malformed"),
    ("in base64", {"cko-signature": MAC[:43] + "="}, CHECKOUT.secret, "signature_malformed"),
    ("other digits", {"cko-signature": "٠" * 64}, CHECKOUT.secret, "signature_malformed"),
    ("no second factor", {"cko-signature": MAC}, WITH_SECOND, "authorization_wrong"),
    ("a wrong second factor", {**TWO, "authorization": "bearer two words"}, WITH_SECOND, "authorization_wrong"),
    ("a part of it", {"cko-signature": MAC, "authorization": "Bearer two"}, WITH_SECOND, "authorization_wrong"),
    ("beyond ASCII", {"cko-signature": MAC, "authorization": "é\ud800"}, WITH_SECOND, "authorization_wrong"),
    ("the second factor alone", {"authorization": "Bearer two words"}, WITH_SECOND, "signature_absent"),
    ("a wrong first factor", {**TWO, "cko-signature": "0" * 64}, WITH_SECOND, "signature_wrong"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "headers", "secret", "reason"),
    CHECKOUT_HEADERS,
    ids=[row[0] for row in CHECKOUT_HEADERS],
)
def test_headers_of_checkout(
    what: str, headers: dict[str, str], secret: str, reason: str | None
) -> None:
    expected = VerifiedNotice(CKO, "evt_az5sblvku4ge3dwpztvyizgcau", "checkout")
    assert judged(CHECKOUT, headers, CKO, secret) == (reason or expected)


def test_two_factors_of_two_secrets_are_none() -> None:
    old, new = f"{CHECKOUT.secret} old-header-value", "signature-key-new%1 new-header-value"
    mixed = {"cko-signature": MAC, "authorization": "new-header-value"}
    assert judged(CHECKOUT, mixed, CKO, old, new) == "authorization_wrong"
    both = {"cko-signature": MAC, "authorization": "old-header-value"}
    assert good(CHECKOUT, both, CKO, new, old).body == CKO


# --- all of them --------------------------------------------------------------------------------------

OURS: Final = sorted(SENDERS)


@pytest.mark.parametrize("scheme", OURS)
def test_secrets_in_rotation(scheme: str) -> None:
    sender = SENDERS[scheme]
    headers, body = sender.sign(sender.event(), sender.secret, NOW)
    expected = good(sender, headers, body)
    assert good(sender, headers, body, sender.other, sender.secret) == expected
    assert good(sender, headers, body, sender.secret, sender.other) == expected
    assert judged(sender, headers, body, sender.other) in ("signature_wrong", "not_authentic")
    raw = RawNotice(CONNECTION, headers, body)
    with pytest.raises(NoticeRejected) as none:
        VERIFIERS[scheme].verify(raw, [], NOW)
    assert none.value.reason == "no_secret"


@pytest.mark.parametrize("scheme", OURS)
def test_a_kind_of_event_that_nobody_knows_is_believed(scheme: str) -> None:
    sender = SENDERS[scheme]
    novelty = sender.event(type="novelty.happened", novelty={"of": [1, None]})
    if scheme == "adyen":
        novelty = adyen_envelope(adyen_item(eventCode="A_NOVELTY", novelty=[None]))
    good(sender, *sender.sign(novelty, sender.secret, NOW))


@pytest.mark.parametrize("scheme", OURS)
@given(data=st.data())
def test_no_byte_of_what_is_signed_may_change(scheme: str, data: st.DataObject) -> None:
    sender = SENDERS[scheme]
    headers, body = sender.sign(sender.event(), sender.secret, NOW)
    first = good(sender, headers, body)
    at = data.draw(st.integers(0, len(body) - 1))
    changed = bytearray(body)
    changed[at] ^= data.draw(st.integers(1, 255))
    verdict = judged(sender, headers, bytes(changed))
    if isinstance(verdict, VerifiedNotice):
        # Where fields are signed and not bytes, what is signed is what it was; where text is encrypted, its meaning is.
        assert scheme in ("adyen", "aes_gcm_hex")
        assert (verdict.signed, verdict.event_key) == (first.signed, first.event_key)
        assert scheme == "adyen" or verdict.body == first.body


#: Signed with the secret, and no event all the same.
NAMELESS: Final[list[tuple[Sender, bytes]]] = [
    (SENDERS[scheme], body)
    for scheme, bodies in {
        "stripe": [b"", b"{}", b"[]", b'{"id": 7}', b'{"id": "evt_"}', b'{"id": "se_1"}', b'{"id": "evt_a b"}',
                   b'{"id": "evt_1\\n"}', b'{"id": "evt_1", "livemode": "no"}', b'{"id": "evt_1"} {}',
                   b'{"id": "evt_' + b"x" * 300 + b'"}', b"\xff\xfe", b"{" * 9_000],
        "checkout": [b"", b"{}", b"null", b'{"id": null}', b'{"id": "act_1"}', b'{"id": "evt_\xc3\xa9"}',
                     b'{"id": "evt_1:2"}', b'{"id": "evt_' + b"x" * 300 + b'"}', b"[" * 9_000],
        "adyen_platform": [b"", b"7", b'"x"', b"[]", b'{"environment": "both"}', b"\xff", b"[" * 9_000],
    }.items()
    for body in bodies
]  # fmt: skip


@pytest.mark.parametrize(("sender", "body"), NAMELESS, ids=lambda each: repr(each)[:30])
def test_what_has_no_name_is_rejected(sender: Sender, body: bytes) -> None:
    headers, _ = sender.sign(body, sender.secret, NOW)
    assert judged(sender, headers, body) == "body_malformed"


#: Secret, whether it has the scheme's form.
FORMS: Final[list[tuple[str, str, bool]]] = [
    ("stripe", STRIPE.secret, True),
    ("stripe", "whsec_" + "aZ0+/=_-" * 4, True),
    ("stripe", STRIPE.secret.removeprefix("whsec_"), False),
    ("stripe", STRIPE.secret.upper(), False),
    ("stripe", "whsec_", False),
    ("stripe", "whsec_short", False),
    ("stripe", STRIPE.secret + "\n", False),
    ("stripe", STRIPE.secret + " ", False),
    ("stripe", "", False),
    ("checkout", CHECKOUT.secret, True),
    ("checkout", CHECKOUT.other, True),
    ("checkout", "short", False),
    ("checkout", "", False),
    ("checkout", CHECKOUT.secret + " ", False),
    ("checkout", CHECKOUT.secret + "  x", False),
    ("checkout", " " + CHECKOUT.secret, False),
    ("checkout", CHECKOUT.secret + "\nx", False),
    ("checkout", CHECKOUT.secret + " é", False),
    ("checkout", CHECKOUT.secret + " trailing ", False),
    *((scheme, *row) for scheme in ("adyen", "adyen_platform") for row in (
        (KEY, True), (KEY.lower(), True), (KEY[:-1], False), (KEY[:-2], False), (KEY + "00", False), ("", False),
        (KEY[:-1] + "g", False), (KEY + "\n", False), (" ".join([KEY[:32], KEY[32:]]), False), ("٠" * 64, False),
    )),
]  # fmt: skip


@pytest.mark.parametrize(("scheme", "secret", "accepted"), FORMS)
def test_forms_of_secrets(scheme: str, secret: str, *, accepted: bool) -> None:
    assert VERIFIERS[scheme].accepts(Secret(secret)) is accepted


#: Scheme, body, the mode that it says.
MODES: Final[list[tuple[Sender, bytes, Mode | None]]] = [
    (STRIPE, STRIPE.event(livemode=True), Mode.LIVE),
    (STRIPE, STRIPE.event(livemode=False), Mode.TEST),
    (STRIPE, STRIPE.event(livemode=None), None),
    (CHECKOUT, CHECKOUT.event(), None),
    (ADYEN, ADYEN.event(live="true"), Mode.LIVE),
    (ADYEN, ADYEN.event(live=True), Mode.LIVE),
    (ADYEN, ADYEN.event(live="false"), Mode.TEST),
    (PLATFORM, PLATFORM.event(environment="live"), Mode.LIVE),
    (PLATFORM, PLATFORM.event(environment="test"), Mode.TEST),
    (PLATFORM, PLATFORM.event(environment=None), None),
]


@pytest.mark.parametrize(("sender", "body", "mode"), MODES, ids=lambda each: repr(each)[:24])
def test_what_it_says_of_its_mode(sender: Sender, body: bytes, mode: Mode | None) -> None:
    assert good(sender, *sender.sign(body, sender.secret, NOW)).mode is mode


@pytest.mark.parametrize("scheme", OURS)
def test_a_notice_prints_nothing_of_what_it_says(scheme: str) -> None:
    sender = SENDERS[scheme]
    found = good(sender, *sender.sign(sender.event(), sender.secret, NOW))
    found = replace(found, beside=(found,))
    assert "captured" not in repr(found)
    assert "ShopCOM" not in repr(found)


#: Fifteen digits that have the prefix, length and check digit of a Diners number.
LIKE_DINERS: Final = "360000000000004"
#: What stands in a notice, whether it counts as a card number.
HOLDS: Final[list[tuple[str, bool]]] = [
    (f'{{"networkTxReference": "{LIKE_DINERS}"}}', False),
    (f'{{"network_transaction_id":"{LIKE_DINERS}"}}', False),
    (f'{{"scheme_id" :\n"{LIKE_DINERS}", "n": 1}}', False),
    (f'{{"networkTxReference": "{LIKE_DINERS}", "scheme_id": "{LIKE_DINERS}"}}', False),
    (f'{{"reference": "{LIKE_DINERS}"}}', True),
    (f'{{"networkTxReference": {LIKE_DINERS}}}', True),
    (f'{{"networkTxReference": "{LIKE_DINERS} "}}', True),
    (f'{{"networkTxReference": "{LIKE_DINERS}", "number": "{LIKE_DINERS}"}}', True),
    (f'{{"x-networkTxReference": "{LIKE_DINERS}"}}', True),
    (f'{{"network\\u0054xReference": "{LIKE_DINERS}"}}', True),
    ('{"networkTxReference": "4242424242424242"}', True),
    ('{"networkTxReference": "MCC123456789012"}', False),
]


@pytest.mark.parametrize(("body", "expected"), HOLDS)
def test_a_networks_reference_is_no_card_number(body: str, *, expected: bool) -> None:
    assert has_cardlike(LIKE_DINERS), "it would be refused"
    assert has_card_number(body.encode()) is expected


ACKNOWLEDGED: Final[Callable[[str], tuple[int, bytes, str]]] = lambda scheme: (  # noqa: E731 - a table of one row
    (202, b"[accepted]", "text/plain")
    if scheme.startswith("adyen")
    else (200, b'{"received":true}', "application/json")
)


@pytest.mark.parametrize("scheme", sorted(VERIFIERS))
def test_each_is_answered_as_its_sender_expects(scheme: str) -> None:
    said = VERIFIERS[scheme].acknowledgement
    assert (said.status, said.body, said.media_type) == ACKNOWLEDGED(scheme)
