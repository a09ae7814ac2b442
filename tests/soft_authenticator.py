# SPDX-License-Identifier: Apache-2.0
"""An authenticator in software that does what it is told, also what none should do. Speaks a browser's JSON.

`create` answers the options of a registration, `get` those of a login or step-up; what they lie about is an argument.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from secrets import token_bytes
from typing import Any, Final
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from webauthn.helpers import encode_cbor

PRESENT: Final = 0x01
VERIFIED: Final = 0x04
ELIGIBLE: Final = 0x08
BACKED_UP: Final = 0x10
ATTESTED: Final = 0x40
BOTH: Final = PRESENT | VERIFIED
MODEL: Final = "5f3b1c1e-6a0f-4e6b-9b6e-2f0d2a7c9e11"


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def client_data(kind: str, challenge: str, origin: str, **more: object) -> bytes:
    return json.dumps(
        {"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False, **more}
    ).encode()


class Maker:
    """Who makes authenticators and vouches for their model with a certificate."""

    def __init__(
        self,
        *,
        model: str | None = MODEL,
        unit: str = "Authenticator Attestation",
        authority: bool = False,
    ) -> None:
        """Make a root, and a certificate for one model (None: for any) with what it should not have."""
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self._root_name = _name(f"Maker root {token_bytes(4).hex()}", "Attestation Root")
        self.root = _certificate(
            self._root_name, self._root_key, self._root_name, self._root_key, authority=True
        )
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = _certificate(
            _name("Maker batch", unit),
            self.key,
            self._root_name,
            self._root_key,
            authority=authority,
            model=model,
        )

    @property
    def root_pem(self) -> bytes:
        return self.root.public_bytes(Encoding.PEM)


def _name(common: str, unit: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "AE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Maker"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
    model: str | None = None,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if model is not None:  # id-fido-gen-ce-aaguid
        value = b"\x04\x10" + UUID(model).bytes
        extension = x509.UnrecognizedExtension(
            x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4"), value
        )
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer_key, SHA256())


@dataclass
class Credential:
    """One passkey in it."""

    key: ec.EllipticCurvePrivateKey
    credential_id: bytes
    user_handle: str
    rp_id: str
    counter: int = 0


@dataclass
class SoftAuthenticator:
    """Holds passkeys. `counts` is whether its counter goes up with each use."""

    origin: str
    counts: bool = False
    flags: int = BOTH
    model: str = MODEL
    maker: Maker | None = None
    #: Signs its attestation with the passkey's own key (self attestation), where there is no maker.
    vouches_for_itself: bool = False
    credentials: list[Credential] = field(default_factory=list)

    def create(
        self, options: dict[str, Any], *, flags: int | None = None, rk: bool = True, **lies: Any
    ) -> dict[str, Any]:
        """Make a passkey. `lies` may name origin, kind, challenge, rp_id or what client data says besides."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = Credential(
            key, token_bytes(32), options["user"]["id"], lies.pop("rp_id", options["rp"]["id"])
        )
        said = client_data(
            lies.pop("kind", "webauthn.create"),
            lies.pop("challenge", options["challenge"]),
            lies.pop("origin", self.origin),
            **lies,
        )
        public = key.public_key().public_numbers()
        cose = {
            1: 2,
            3: -7,
            -1: 1,
            -2: public.x.to_bytes(32, "big"),
            -3: public.y.to_bytes(32, "big"),
        }
        data = (
            self._head(made, (self.flags if flags is None else flags) | ATTESTED)
            + UUID(self.model).bytes
            + len(made.credential_id).to_bytes(2, "big")
            + made.credential_id
            + encode_cbor(cose)
        )
        attestation = encode_cbor({**self._vouched(made, data, said), "authData": data})
        self.credentials.append(made)
        return {
            "id": b64(made.credential_id),
            "rawId": b64(made.credential_id),
            "type": "public-key",
            "response": {
                "clientDataJSON": b64(said),
                "attestationObject": b64(attestation),
                "transports": ["internal", "telepathy"],
            },
            "clientExtensionResults": {"credProps": {"rk": rk}},
            "authenticatorAttachment": "platform",
        }

    def get(
        self,
        options: dict[str, Any],
        *,
        credential: Credential | None = None,
        flags: int | None = None,
        counter: int | None = None,
        user_handle: str | None = "",
        **lies: Any,
    ) -> dict[str, Any]:
        """Sign a challenge with one of its passkeys; the last one where none is named."""
        chosen = credential or self.credentials[-1]
        if self.counts:
            chosen.counter += 1
        said = client_data(
            lies.pop("kind", "webauthn.get"),
            lies.pop("challenge", options["challenge"]),
            lies.pop("origin", self.origin),
            **{name: value for name, value in lies.items() if name not in ("rp_id", "key")},
        )
        head = self._head(
            chosen,
            self.flags if flags is None else flags,
            counter=counter,
            rp_id=lies.get("rp_id"),
        )
        key = lies.get("key", chosen.key)
        signature = key.sign(head + sha256(said).digest(), ec.ECDSA(SHA256()))
        return {
            "id": b64(chosen.credential_id),
            "rawId": b64(chosen.credential_id),
            "type": "public-key",
            "response": {
                "clientDataJSON": b64(said),
                "authenticatorData": b64(head),
                "signature": b64(signature),
                "userHandle": chosen.user_handle if user_handle == "" else user_handle,
            },
            "authenticatorAttachment": "platform",
        }

    def _head(
        self,
        credential: Credential,
        flags: int,
        *,
        counter: int | None = None,
        rp_id: str | None = None,
    ) -> bytes:
        count = credential.counter if counter is None else counter
        rp_hash = sha256((rp_id or credential.rp_id).encode()).digest()
        return rp_hash + bytes([flags]) + count.to_bytes(4, "big")

    def _vouched(self, made: Credential, data: bytes, said: bytes) -> dict[str, Any]:
        signed = data + sha256(said).digest()
        if self.maker is not None:
            signature = self.maker.key.sign(signed, ec.ECDSA(SHA256()))
            chain = [self.maker.certificate.public_bytes(Encoding.DER)]
            statement = {"alg": -7, "sig": signature, "x5c": chain}
            return {"fmt": "packed", "attStmt": statement}
        if self.vouches_for_itself:
            signature = made.key.sign(signed, ec.ECDSA(SHA256()))
            return {"fmt": "packed", "attStmt": {"alg": -7, "sig": signature}}
        return {"fmt": "none", "attStmt": {}}
