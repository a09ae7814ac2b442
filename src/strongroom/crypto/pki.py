# SPDX-License-Identifier: Apache-2.0
"""A small certificate authority for one installation, so that even the laptop speaks TLS, and roles know each other.

Issues certificates for servers, and for clients of an internal port. It is not a public CA: whoever connects must be
given its certificate.
"""

import ipaddress
from collections.abc import Mapping, Sequence
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
#: Of a certificate that is a role on an internal port.
ROLE_LIFETIME: Final = timedelta(days=30)
#: A certificate is valid from a little before it was made, for machines whose clock is behind.
CLOCK_TOLERANCE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate and its private key, both PEM (the key PKCS #8, not encrypted: its file must be 0600)."""

    certificate: bytes
    private_key: Secret[bytes]


def make_authority(now: datetime, name: str = "Strongroom local authority") -> Certified:
    """Make a self-signed P-256 authority: it signs certificates and their revocation, but no further authorities."""
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
    authority: Certified,
    names: Sequence[str],
    now: datetime,
    lifetime: timedelta = SERVER_LIFETIME,
) -> Certified:
    """Issue a certificate for a server's DNS names and IP addresses.

    Raises CertificateUnreadable when the authority's PEM is not a certificate with its own EC key.
    """
    invariant(bool(names), "a server certificate names at least one server")
    # The names stand in the subject alternative name (RFC 9525); clients ignore the subject.
    return _issued(
        authority,
        subject=x509.Name([]),
        names=[_general_name(name) for name in names],
        usage=ExtendedKeyUsageOID.SERVER_AUTH,
        now=now,
        lifetime=lifetime,
    )


def issue_client_certificate(
    authority: Certified, name: str, now: datetime, lifetime: timedelta = ROLE_LIFETIME
) -> Certified:
    """Issue a certificate that lets its holder in where this authority's clients are taken, and serves nothing.

    `name` is for people and for a list: what counts is which authority signed (RFC 5280 §4.2.1.12, clientAuth).
    Raises CertificateUnreadable when the authority's PEM is not a certificate with its own EC key.
    """
    return _issued(
        authority,
        subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        names=[x509.DNSName(name)],
        usage=ExtendedKeyUsageOID.CLIENT_AUTH,
        now=now,
        lifetime=lifetime,
    )


def make_revocation_list(
    authority: Certified, serials: Mapping[int, datetime], now: datetime, number: int
) -> bytes:
    """Sign the list of an authority's certificates that are revoked (RFC 5280 §5), PEM. An empty list is one too.

    Raises CertificateUnreadable when the authority's PEM is not a certificate with its own EC key.
    """
    issuer, issuer_key = _read_authority(authority)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(now - CLOCK_TOLERANCE)
        .next_update(now + AUTHORITY_LIFETIME)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    for serial, since in sorted(serials.items()):
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since).build()
        )
    return builder.sign(issuer_key, SHA256()).public_bytes(Encoding.PEM)


def certificate_expiries(certificates: bytes) -> list[datetime]:
    """Return when each certificate of a PEM file ends, in UTC. Raises CertificateUnreadable."""
    try:
        return [each.not_valid_after_utc for each in x509.load_pem_x509_certificates(certificates)]
    except ValueError as error:
        raise CertificateUnreadable from error


def certificate_serial(certificate: bytes) -> int:
    """Return the serial number of the first certificate of a PEM file. Raises CertificateUnreadable."""
    try:
        return x509.load_pem_x509_certificate(certificate).serial_number
    except ValueError as error:
        raise CertificateUnreadable from error


def certificate_thumbprint(certificate: bytes) -> str:
    """Return the SHA-256 of a PEM certificate's DER form, in hexadecimal (RFC 8705 §3.1 has it in base64url).

    Raises CertificateUnreadable.
    """
    try:
        return x509.load_pem_x509_certificate(certificate).fingerprint(SHA256()).hex()
    except ValueError:
        raise CertificateUnreadable from None


def _issued(
    authority: Certified,
    *,
    subject: x509.Name,
    names: Sequence[x509.GeneralName],
    usage: x509.ObjectIdentifier,
    now: datetime,
    lifetime: timedelta,
) -> Certified:
    issuer, issuer_key = _read_authority(authority)
    key = generate_private_key(SECP256R1())
    issuer_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    certificate = (
        _builder(now, lifetime, key)
        .subject_name(subject)
        .issuer_name(issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        # Critical where there is no subject beside it (RFC 5280 §4.2.1.6).
        .add_extension(x509.SubjectAlternativeName(names), critical=not list(subject))
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
