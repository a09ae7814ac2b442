# SPDX-License-Identifier: Apache-2.0
"""The local authority: a TLS client that trusts it accepts the server's names and no others."""

import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from strongroom.crypto import (
    CertificateUnreadable,
    Certified,
    certificate_expiries,
    certificate_expiry,
    certificate_serial,
    issue_client_certificate,
    issue_server_certificate,
    make_authority,
    make_revocation_list,
)
from strongroom.kernel.secret import Secret

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AUTHORITY = make_authority(NOW)
SERVER = issue_server_certificate(AUTHORITY, ["vault.internal", "127.0.0.1", "::1"], NOW)


def handshake(name: str, *, trusting: Certified, server: Certified) -> str | None:
    """Shake hands in memory at the machine's time; return the TLS version."""
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "certificate"), Path(folder, "key")
        certificate.write_bytes(server.certificate)
        key.write_bytes(server.private_key.expose())
        listening.load_cert_chain(certificate, key)
    calling = ssl.create_default_context(cadata=trusting.certificate.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        calling.wrap_bio(to_client, to_server, server_hostname=name),
        listening.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends[0].version()


@pytest.mark.parametrize("name", ["vault.internal", "127.0.0.1", "::1"])
def test_a_client_that_trusts_the_authority_connects(name: str) -> None:
    now = datetime.now(UTC)
    authority = make_authority(now)
    server = issue_server_certificate(authority, ["vault.internal", "127.0.0.1", "::1"], now)
    assert handshake(name, trusting=authority, server=server) == "TLSv1.3"


def test_a_client_refuses_another_name_and_another_authority() -> None:
    now = datetime.now(UTC)
    authority = make_authority(now)
    server = issue_server_certificate(authority, ["vault.internal"], now)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake("elsewhere.internal", trusting=authority, server=server)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake("vault.internal", trusting=make_authority(now), server=server)


def verify_at(moment: datetime) -> None:
    store = Store([x509.load_pem_x509_certificate(AUTHORITY.certificate)])
    verifier = PolicyBuilder().store(store).time(moment)
    server = x509.load_pem_x509_certificate(SERVER.certificate)
    verifier.build_server_verifier(x509.DNSName("vault.internal")).verify(server, [])


def test_it_holds_for_ninety_days() -> None:
    assert certificate_expiry(SERVER.certificate) == NOW + timedelta(days=90)
    verify_at(NOW - timedelta(minutes=5))
    verify_at(NOW + timedelta(days=90))
    for moment in (NOW - timedelta(minutes=6), NOW + timedelta(days=90, seconds=1)):
        with pytest.raises(VerificationError):
            verify_at(moment)


def test_a_server_certificate_cannot_issue_another() -> None:
    other = issue_server_certificate(
        Certified(SERVER.certificate, SERVER.private_key), ["evil.internal"], NOW
    )
    store = Store([x509.load_pem_x509_certificate(AUTHORITY.certificate)])
    verifier = PolicyBuilder().store(store).time(NOW)
    with pytest.raises(VerificationError):
        verifier.build_server_verifier(x509.DNSName("evil.internal")).verify(
            x509.load_pem_x509_certificate(other.certificate),
            [x509.load_pem_x509_certificate(SERVER.certificate)],
        )


def test_what_is_no_authority_is_refused() -> None:
    for authority in (
        Certified(b"", AUTHORITY.private_key),
        Certified(AUTHORITY.certificate, Secret(b"")),
        Certified(AUTHORITY.certificate, SERVER.private_key),
    ):
        with pytest.raises(CertificateUnreadable):
            issue_server_certificate(authority, ["vault.internal"], NOW)
    with pytest.raises(CertificateUnreadable):
        certificate_expiry(b"not a certificate")


def test_the_private_key_does_not_print() -> None:
    assert "PRIVATE KEY" not in repr(SERVER)


# --- certificates that are a role ---------------------------------------------------------------------


def loaded(certificate: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate)


def test_a_clients_certificate_lets_in_and_serves_nothing() -> None:
    authority = make_authority(NOW)
    made = loaded(issue_client_certificate(authority, "gateway", NOW).certificate)
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    made.verify_directly_issued_by(loaded(authority.certificate))
    assert made.not_valid_after_utc == NOW + timedelta(days=30)
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_list_of_revoked_certificates_names_them_and_is_signed() -> None:
    authority = make_authority(NOW)
    gone = issue_client_certificate(authority, "worker", NOW)
    serial = certificate_serial(gone.certificate)
    printed = make_revocation_list(authority, {serial: NOW}, NOW, 2)
    listed = x509.load_pem_x509_crl(printed)
    assert [each.serial_number for each in listed] == [serial]
    key = loaded(authority.certificate).public_key()
    assert listed.is_signature_valid(key)  # type: ignore[arg-type]
    other = loaded(make_authority(NOW).certificate).public_key()
    assert not listed.is_signature_valid(other)  # type: ignore[arg-type]
    assert len(x509.load_pem_x509_crl(make_revocation_list(authority, {}, NOW, 1))) == 0


def test_a_bundle_says_when_each_ends() -> None:
    first, second = make_authority(NOW), make_authority(NOW + timedelta(days=1))
    ends = certificate_expiries(first.certificate + second.certificate)
    assert ends[1] - ends[0] == timedelta(days=1)
    with pytest.raises(CertificateUnreadable):
        certificate_expiries(b"nothing")
