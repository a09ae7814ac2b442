# SPDX-License-Identifier: Apache-2.0
"""The two ceremonies of WebAuthn Level 3: what is asked of a browser, and whether its answer holds.

The only file that imports `webauthn`. What can be named is checked here first, so that the audit log says which check
failed; then the library verifies everything again, signature and attestation included. Touches no database.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, options_to_json_dict, parse_attestation_object
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AttestationFormat,
    AttestationObject,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from strongroom.crypto.attestation import attested_model
from strongroom.crypto.digest import equal, sha256
from strongroom.crypto.errors import CertificateUnreadable
from strongroom.identity.passkeys.errors import ProofBroken
from strongroom.identity.passkeys.model import (
    CHALLENGE_SECONDS,
    Asserted,
    Attestation,
    Passkey,
    Registered,
    RelyingParty,
)
from strongroom.identity.people.model import Person

#: In the order in which we like them; RSA is what Windows Hello has.
ALGORITHMS: Final = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
#: The formats that prove a model by a certificate chain. (Self attestation proves nothing about the model.)
PROVING_FORMATS: Final = frozenset(
    {
        AttestationFormat.ANDROID_KEY,
        AttestationFormat.APPLE,
        AttestationFormat.PACKED,
        AttestationFormat.TPM,
    }
)
_TRANSPORTS: Final = {each.value: each for each in AuthenticatorTransport}
_CREATE: Final = "webauthn.create"
_GET: Final = "webauthn.get"
# Authenticator data (WebAuthn §6.1): SHA-256 of the RP id, a byte of flags, a counter of four bytes.
_RP_HASH_BYTES: Final = 32
_HEAD_BYTES: Final = 37
_USER_PRESENT: Final = 0x01
_USER_VERIFIED: Final = 0x04


class _ClientData(msgspec.Struct, frozen=True):
    """What a browser says of the ceremony (WebAuthn §5.8.1)."""

    type: str
    challenge: str
    origin: str
    crossOrigin: bool = False  # noqa: N815 - the specification's name
    topOrigin: str | None = None  # noqa: N815 - likewise


def creation_options(
    party: RelyingParty, person: Person, known: Sequence[Passkey], challenge: bytes
) -> dict[str, Any]:
    """Return the options of `navigator.credentials.create`, as JSON (WebAuthn §5.4)."""
    options = generate_registration_options(
        rp_id=party.rp_id,
        rp_name=party.name,
        user_id=person.person_id.encode(),
        user_name=person.email,
        user_display_name=person.name,
        challenge=challenge,
        timeout=CHALLENGE_SECONDS * 1_000,
        attestation=AttestationConveyancePreference(party.attestation.value),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            require_resident_key=True,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[_described(passkey) for passkey in known],
        supported_pub_key_algs=ALGORITHMS,
    )
    # The browser then says whether the passkey can be found without an id; one that cannot is refused.
    return {**options_to_json_dict(options), "extensions": {"credProps": True}}


def request_options(
    party: RelyingParty, challenge: bytes, allowed: Sequence[Passkey] = ()
) -> dict[str, Any]:
    """Return the options of `navigator.credentials.get`, as JSON (WebAuthn §5.5). Without `allowed`, any passkey."""
    options = generate_authentication_options(
        rp_id=party.rp_id,
        challenge=challenge,
        timeout=CHALLENGE_SECONDS * 1_000,
        allow_credentials=[_described(passkey) for passkey in allowed],
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json_dict(options)


def answered_challenge(credential: Mapping[str, Any]) -> bytes:
    """Return the challenge that an answer claims to answer. A claim only.

    Raises:
        ProofBroken: it cannot be read.
    """
    return _bytes(_client_data(credential).challenge)


def credential_id(credential: Mapping[str, Any]) -> bytes:
    """Return the id of the credential that an answer claims to come from. A claim only.

    Raises:
        ProofBroken: it cannot be read.
    """
    return _bytes(credential["rawId"])


def user_handle(credential: Mapping[str, Any]) -> str | None:
    """Return whose passkey the authenticator says this is: our person's id. A claim only.

    Raises:
        ProofBroken: it cannot be read.
    """
    text = credential["response"].get("userHandle")
    return None if not text else _bytes(text).decode("ascii", "replace")


def check_registration(
    party: RelyingParty, credential: Mapping[str, Any], challenge: bytes
) -> Registered:
    """Return what an authenticator made, or say which check failed (WebAuthn §7.1).

    Raises:
        ProofBroken: and nothing else, whatever the answer is.
    """
    _check_client_data(party, credential, challenge, _CREATE)
    try:
        made = parse_attestation_object(_bytes(credential["response"]["attestationObject"]))
    except Exception as error:
        raise ProofBroken("malformed") from error
    _check_rp(party, made.auth_data.rp_id_hash)
    _check_presence(present=made.auth_data.flags.up, verified=made.auth_data.flags.uv)
    extensions = credential.get("clientExtensionResults") or {}
    if (extensions.get("credProps") or {}).get("rk") is False:
        raise ProofBroken("not_discoverable")
    roots = _believed(party, made)
    try:
        verified = verify_registration_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=party.rp_id,
            expected_origin=party.origin,
            require_user_verification=True,
            supported_pub_key_algs=ALGORITHMS,
            pem_root_certs_bytes_by_fmt=roots,
        )
    except Exception as error:
        raise ProofBroken("attestation_wrong") from error
    if not equal(verified.credential_id, credential_id(credential)):
        raise ProofBroken("credential_wrong")
    direct = party.attestation is Attestation.DIRECT
    if direct:
        _check_model(party, made, verified.aaguid)
    return Registered(
        verified.credential_id,
        verified.credential_public_key,
        verified.sign_count,
        verified.aaguid,
        AttestationFormat(verified.fmt if direct else AttestationFormat.NONE).value,
        tuple(
            word
            for word in credential["response"].get("transports") or ()
            if isinstance(word, str) and word in _TRANSPORTS
        ),
        verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
        verified.credential_backed_up,
    )


def check_assertion(
    party: RelyingParty, credential: Mapping[str, Any], challenge: bytes, passkey: Passkey
) -> Asserted:
    """Return what an authenticator signed, or say which check failed (WebAuthn §7.2, but for the counter).

    Raises:
        ProofBroken: and nothing else, whatever the answer is.
    """
    _check_client_data(party, credential, challenge, _GET)
    if not equal(credential_id(credential), passkey.credential_id):
        raise ProofBroken("credential_wrong")
    head = _bytes(credential["response"]["authenticatorData"])
    if len(head) < _HEAD_BYTES:
        raise ProofBroken("malformed")
    flags = head[_RP_HASH_BYTES]
    _check_rp(party, head[:_RP_HASH_BYTES])
    _check_presence(
        present=bool(flags & _USER_PRESENT),
        verified=bool(flags & _USER_VERIFIED),
    )
    try:
        verified = verify_authentication_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=party.rp_id,
            expected_origin=party.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=0,  # compared by `model.counter_went_back`, under a lock
            require_user_verification=True,
        )
    except Exception as error:
        raise ProofBroken("signature_wrong") from error
    eligible = verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE
    if eligible is not passkey.backup_eligible:  # WebAuthn §7.2 step 18: never changes
        raise ProofBroken("backup_eligibility_changed")
    return Asserted(verified.new_sign_count, eligible, verified.credential_backed_up)


def _believed(
    party: RelyingParty, made: AttestationObject
) -> Mapping[AttestationFormat, list[bytes]]:
    """Return the makers that are believed. Without `direct` an attestation is taken for what it is: a claim."""
    if party.attestation is Attestation.NONE:
        return {}
    if made.fmt not in PROVING_FORMATS:
        raise ProofBroken("model_not_proven")
    if not made.att_stmt.x5c or not party.roots:  # the library checks no chain where it has no root
        raise ProofBroken("model_not_proven")
    return {made.fmt: list(party.roots)}


def _check_model(party: RelyingParty, made: AttestationObject, model: str) -> None:
    """Compare the model with the maker's certificate, which the library leaves out, and with those allowed."""
    if made.fmt == AttestationFormat.PACKED:
        try:
            certified = attested_model((made.att_stmt.x5c or [b""])[0])
        except CertificateUnreadable as error:
            raise ProofBroken("model_not_proven") from error
        if certified not in (None, model):
            raise ProofBroken("model_not_proven")
    if party.aaguids and model not in party.aaguids:
        raise ProofBroken("model_not_allowed")


def _client_data(credential: Mapping[str, Any]) -> _ClientData:
    try:
        return msgspec.json.decode(
            _bytes(credential["response"]["clientDataJSON"]), type=_ClientData
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProofBroken("malformed") from error


def _check_client_data(
    party: RelyingParty, credential: Mapping[str, Any], challenge: bytes, kind: str
) -> None:
    said = _client_data(credential)
    if said.type != kind:
        raise ProofBroken("ceremony_wrong")
    if not equal(_bytes(said.challenge), challenge):
        raise ProofBroken("challenge_wrong")
    # A page of ours inside another's frame is none of ours: the edge forbids frames, and this does so again.
    if said.origin != party.origin or said.crossOrigin or said.topOrigin is not None:
        raise ProofBroken("origin_wrong")


def _check_rp(party: RelyingParty, shown: bytes) -> None:
    if not equal(shown, sha256(party.rp_id.encode())):
        raise ProofBroken("relying_party_wrong")


def _check_presence(*, present: bool, verified: bool) -> None:
    if not present:
        raise ProofBroken("user_not_present")
    if not verified:
        raise ProofBroken("user_not_verified")


def _described(passkey: Passkey) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(
        id=passkey.credential_id,
        transports=[_TRANSPORTS[word] for word in passkey.transports if word in _TRANSPORTS],
    )


def _bytes(text: object) -> bytes:
    """Decode base64url (RFC 4648 §5, without padding), strictly: one text for one value."""
    if not isinstance(text, str):
        raise ProofBroken("malformed")
    try:
        decoded = base64url_to_bytes(text)
    except ValueError as error:  # binascii.Error is one
        raise ProofBroken("malformed") from error
    return decoded
