# SPDX-License-Identifier: Apache-2.0
"""A small certificate authority for one installation, so that even the laptop speaks TLS.

Issues server certificates only. It is not a public CA: whoever connects must be given its certificate.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from strongroom.crypto.errors import CertificateUnreadable
from strongroom.kernel.invariant import invariant
from strongroom.kernel.secret import Secret

AUTHORITY_LIFETIME: Final = timedelta(days=3650)
SERVER_LIFETIME: Final = timedelta(days=90)
#: A certificate is valid from a little before it was made, for machines whose clock is behind.
CLOCK_TOLERANCE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate and its private key, both PEM (the key PKCS #8, not encrypted: its file must be 0600)."""

    certificate: bytes
    private_key: Secret[bytes]


def make_authority(now: datetime, name: str = "Strongroom local authority") -> Certified:
    """Make a self-signed P-256 authority that may sign server certificates but no further authorities."""
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(now, AUTHORITY_LIFETIME, key)
        .subject_name(subject)
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, SHA256())
    )
    return _certified(certificate, key)


def issue_server_certificate(
    authority: Certified, names: Sequence[str], now: datetime
) -> Certified:
    """Issue a certificate for a server's DNS names and IP addresses, valid for 90 days.

    Raises CertificateUnreadable when the authority's PEM is not a certificate with its own EC key.
    """
    invariant(bool(names), "a server certificate names at least one server")
    issuer, issuer_key = _read_authority(authority)
    key = generate_private_key(SECP256R1())
    issuer_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    certificate = (
        _builder(now, SERVER_LIFETIME, key)
        # The names stand in the subject alternative name (RFC 9525); clients ignore the subject.
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer_identifier, critical=False)
        .sign(issuer_key, SHA256())
    )
    return _certified(certificate, key)


def certificate_expiry(certificate: bytes) -> datetime:
    """Return when the first certificate of a PEM file ends, in UTC. Raises CertificateUnreadable."""
    try:
        return x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    except ValueError as error:
        raise CertificateUnreadable from error


def _read_authority(
    authority: Certified,
) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate(authority.certificate)
        key = load_pem_private_key(authority.private_key.expose(), password=None)
    except (ValueError, TypeError) as error:
        raise CertificateUnreadable from error
    if not isinstance(key, EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise CertificateUnreadable
    return certificate, key


def _builder(
    now: datetime, lifetime: timedelta, key: EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .public_key(key.public_key())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + lifetime)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _certified(certificate: x509.Certificate, key: EllipticCurvePrivateKey) -> Certified:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Certified(certificate.public_bytes(Encoding.PEM), Secret(pem))
