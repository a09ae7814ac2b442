# SPDX-License-Identifier: Apache-2.0
"""The ceremonies without a server: which authenticators are taken, and that only one error family escapes."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soft_authenticator import MODEL, Maker, SoftAuthenticator, b64
from strongroom.compose.passkeys import relying_party
from strongroom.config import SettingRefused, Settings, load_settings
from strongroom.config.settings import Listener, PasskeyAttestation
from strongroom.crypto.ids import new_id
from strongroom.identity.passkeys.ceremony import (
    answered_challenge,
    check_assertion,
    check_registration,
    creation_options,
    credential_id,
    request_options,
    user_handle,
)
from strongroom.identity.passkeys.errors import ProofBroken
from strongroom.identity.passkeys.model import (
    Attestation,
    Passkey,
    Registered,
    RelyingParty,
    counter_went_back,
)
from strongroom.identity.people.model import Person, PersonStatus
from strongroom.kernel.ids import MerchantId, PasskeyId, PersonId
from strongroom.kernel.principal import Role

ORIGIN: Final = "https://console.example"
OPEN: Final = RelyingParty(ORIGIN)
NOW: Final = datetime(2026, 11, 20, tzinfo=UTC)
PERSON: Final = Person(
    PersonId(new_id("usr")),
    MerchantId(new_id("mer")),
    "ada@shop.example",
    "Ada",
    Role.ADMIN,
    PersonStatus.ACTIVE,
    "test",
    NOW,
    None,
)
CHALLENGE: Final = bytes(range(32))
OTHER_MODEL: Final = "11111111-2222-3333-4444-555555555555"
MAKER: Final = Maker()
OF_ANY_MODEL: Final = Maker(model=None)
CARELESS: Final = [Maker(unit="Sales"), Maker(authority=True)]
PROVEN: Final = replace(
    OPEN,
    attestation=Attestation.DIRECT,
    aaguids=frozenset({MODEL}),
    roots=(MAKER.root_pem, OF_ANY_MODEL.root_pem, *(each.root_pem for each in CARELESS)),
)


def registered(party: RelyingParty, authenticator: SoftAuthenticator) -> Registered:
    options = creation_options(party, PERSON, [], CHALLENGE)
    return check_registration(party, authenticator.create(options), CHALLENGE)


def passkey(made: Registered) -> Passkey:
    return Passkey(
        PasskeyId(new_id("psk")),
        PERSON.merchant,
        PERSON.person_id,
        made.credential_id,
        made.public_key,
        made.sign_count,
        made.aaguid,
        made.attestation,
        made.transports,
        made.backup_eligible,
        made.backed_up,
        "key",
        NOW,
        None,
    )


# --- which authenticators are taken --------------------------------------------------------------------


@pytest.mark.parametrize(
    "authenticator",
    [
        SoftAuthenticator(ORIGIN),
        SoftAuthenticator(ORIGIN, maker=MAKER),
        SoftAuthenticator(ORIGIN, vouches_for_itself=True),
    ],
    ids=["none", "of a maker", "self"],
)
def test_without_attestation_every_authenticator_is_taken_and_no_model_believed(
    authenticator: SoftAuthenticator,
) -> None:
    assert registered(OPEN, authenticator).attestation == "none"


@pytest.mark.parametrize("maker", [MAKER, OF_ANY_MODEL], ids=["of the model", "of any model"])
def test_a_model_is_proven_by_its_maker(maker: Maker) -> None:
    made = registered(PROVEN, SoftAuthenticator(ORIGIN, maker=maker))
    assert (made.attestation, made.aaguid) == ("packed", MODEL)


def test_without_a_list_every_model_of_a_maker_is_taken() -> None:
    other = SoftAuthenticator(ORIGIN, maker=OF_ANY_MODEL, model=OTHER_MODEL)
    assert registered(replace(PROVEN, aaguids=frozenset()), other).attestation == "packed"


@pytest.mark.parametrize(
    ("authenticator", "reason"),
    [
        (SoftAuthenticator(ORIGIN), "model_not_proven"),
        (SoftAuthenticator(ORIGIN, vouches_for_itself=True), "model_not_proven"),
        (SoftAuthenticator(ORIGIN, maker=Maker()), "attestation_wrong"),
        (SoftAuthenticator(ORIGIN, maker=MAKER, model=OTHER_MODEL), "model_not_proven"),
        (SoftAuthenticator(ORIGIN, maker=OF_ANY_MODEL, model=OTHER_MODEL), "model_not_allowed"),
        (SoftAuthenticator(ORIGIN, maker=CARELESS[0]), "model_not_proven"),
        (SoftAuthenticator(ORIGIN, maker=CARELESS[1]), "model_not_proven"),
    ],
    ids=[
        "none",
        "self",
        "another maker",
        "another model than certified",
        "another model",
        "a certificate for something else",
        "an authority's certificate",
    ],
)
def test_what_does_not_prove_an_allowed_model_is_refused(
    authenticator: SoftAuthenticator, reason: str
) -> None:
    with pytest.raises(ProofBroken) as refused:
        registered(PROVEN, authenticator)
    assert refused.value.reason == reason


def test_without_a_believed_maker_nothing_is_proven() -> None:
    """The library takes any chain where it has no root: that must never be reached."""
    with pytest.raises(ProofBroken, match="does not hold"):
        registered(replace(PROVEN, roots=()), SoftAuthenticator(ORIGIN, maker=MAKER))


# --- counters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kept", "shown", "copied"),
    [
        (0, 0, False),
        (0, 1, False),
        (1, 2, False),
        (7, 4_294_967_295, False),
        (1, 0, True),
        (1, 1, True),
        (5, 4, True),
    ],
)
def test_a_counter_goes_up_or_is_none(kept: int, shown: int, *, copied: bool) -> None:
    assert counter_went_back(kept, shown) is copied


# --- whatever is sent, one error family ---------------------------------------------------------------------

_AUTHENTICATOR: Final = SoftAuthenticator(ORIGIN)
MADE: Final = _AUTHENTICATOR.create(creation_options(OPEN, PERSON, [], CHALLENGE))
KNOWN: Final = passkey(check_registration(OPEN, MADE, CHALLENGE))
PROOF: Final = _AUTHENTICATOR.get(request_options(OPEN, CHALLENGE, [KNOWN]))
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_only_one_error_escapes_from_a_damaged_answer(data: st.DataObject) -> None:
    """Bytes flipped, cut or put in anywhere in what a browser sends."""
    for given_by_browser, check in (
        (MADE, lambda it: check_registration(OPEN, it, CHALLENGE)),
        (PROOF, lambda it: check_assertion(OPEN, it, CHALLENGE, KNOWN)),
    ):
        checks: list[Callable[[Any], Any]] = [
            answered_challenge,
            credential_id,
            user_handle,
            check,
        ]
        damaged = _damaged(data, given_by_browser)
        for each in checks:
            try:
                each(damaged)
            except ProofBroken:
                continue


def _damaged(data: st.DataObject, given_by_browser: dict[str, Any]) -> dict[str, Any]:
    response = dict(given_by_browser["response"])
    name = data.draw(st.sampled_from(sorted(set(response) - {"transports"})))
    text = response[name]
    at = data.draw(st.integers(0, len(text)))
    put = data.draw(st.binary(max_size=6).map(b64) | st.text(max_size=4))
    cut = data.draw(st.integers(0, 8))
    response[name] = text[:at] + put + text[at + cut :]
    return {**given_by_browser, "response": response}


@settings(max_examples=200, deadline=None)
@given(_json)
def test_only_one_error_escapes_from_any_client_data(said: object) -> None:

    text = b64(json.dumps(said).encode())
    answer = {"rawId": "AAAA", "response": {"clientDataJSON": text, "attestationObject": text}}
    with pytest.raises(ProofBroken):
        check_registration(OPEN, answer, CHALLENGE)


# --- settings ------------------------------------------------------------------------------------------------


def test_the_origin_is_localhost_and_the_consoles_port_unless_told() -> None:
    here = Settings(console_listen=Listener("127.0.0.1", 9446))
    assert relying_party(here) == RelyingParty("https://localhost:9446")
    assert relying_party(here).rp_id == "localhost"
    there = load_settings({"STRONGROOM_CONSOLE_ORIGIN": "https://console.example", "HOME": "/tmp"})
    assert relying_party(there).rp_id == "console.example"


@pytest.mark.parametrize(
    "origin",
    [
        "console.example",
        "http://console.example",
        "https://console.example/",
        "https://Console.example",
        "https://console.example:443",
        "https://127.0.0.1",
        "https://[::1]:8446",
        "https://user@console.example",
        "https://console.example:99999999",
    ],
)
def test_an_origin_is_written_as_a_browser_prints_it(origin: str) -> None:
    with pytest.raises(SettingRefused, match="STRONGROOM_CONSOLE_ORIGIN"):
        load_settings({"STRONGROOM_CONSOLE_ORIGIN": origin, "HOME": "/tmp"})


def test_models_are_believed_only_with_their_makers(tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_bytes(b"two of them\n" + MAKER.root_pem + Maker().root_pem)
    party = relying_party(
        Settings(
            passkey_attestation=PasskeyAttestation.DIRECT,
            passkey_models=(MODEL,),
            passkey_roots=roots,
        )
    )
    assert (len(party.roots), party.roots[0]) == (2, MAKER.root_pem)
    assert party.aaguids == {MODEL}
    for wrong in (
        Settings(passkey_attestation=PasskeyAttestation.DIRECT),
        Settings(
            passkey_attestation=PasskeyAttestation.DIRECT, passkey_roots=tmp_path / "none.pem"
        ),
        Settings(passkey_models=(MODEL,)),
    ):
        with pytest.raises(SettingRefused):
            relying_party(wrong)


def test_a_model_that_is_no_aaguid_is_refused() -> None:
    with pytest.raises(SettingRefused, match="STRONGROOM_PASSKEY_MODELS"):
        load_settings({"STRONGROOM_PASSKEY_MODELS": "yubikey", "HOME": "/tmp"})
