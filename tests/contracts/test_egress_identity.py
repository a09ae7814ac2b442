# SPDX-License-Identifier: Apache-2.0
"""A destination that asks for a certificate is shown one, which never was in a file."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.test_egress_client import Certificates
from peer import answer, peer, says
from strongroom.crypto import Certified, issue_client_certificate, make_authority
from strongroom.egress import (
    Answered,
    EgressPolicy,
    IdentityUnusable,
    NotSent,
    Outgoing,
    TlsIdentity,
    require_usable,
)
from strongroom.egress.client import Egress
from strongroom.kernel.secret import Secret

NOW = datetime.now(UTC)


def identity_of(issued: Certified) -> TlsIdentity:
    return TlsIdentity(issued.certificate.decode(), Secret(issued.private_key.expose().decode()))


@pytest.fixture
def authority() -> Certified:
    return make_authority(NOW)


@pytest.fixture
def server(tmp_path: Path, authority: Certified) -> Certificates:
    """A server that takes clients of this authority only. With TLS 1.2 it refuses others in the handshake."""
    made = Certificates(tmp_path, "127.0.0.1")
    made.server.verify_mode = ssl.CERT_REQUIRED
    made.server.maximum_version = ssl.TLSVersion.TLSv1_2
    made.server.load_verify_locations(cadata=authority.certificate.decode())
    return made


async def test_a_certificate_is_shown_and_its_connections_are_kept_apart(
    server: Certificates, authority: Certified
) -> None:
    policy = EgressPolicy(frozenset({"127.0.0.1"}), server.ca_file)
    mine = identity_of(issue_client_certificate(authority, "shop", NOW))
    strangers = identity_of(issue_client_certificate(make_authority(NOW), "shop", NOW))
    async with peer(says(answer()), server.server) as listening:
        egress = Egress(policy)

        async def sent(identity: TlsIdentity | None) -> object:
            request = Outgoing(
                "POST", listening.url, {}, b"{}", 2.0, 1_024, listening.port, identity
            )
            return await egress.send(request)

        try:
            for _ in range(2):
                assert isinstance(await sent(mine), Answered)
            assert listening.connections == 1
            # Nobody comes in on a connection that another's certificate opened.
            assert isinstance(await sent(None), NotSent)
            assert isinstance(await sent(strangers), NotSent)
            assert len(listening.requests) == 2
        finally:
            await egress.close()


def test_what_cannot_be_shown_is_refused(authority: Certified) -> None:
    one, other = [issue_client_certificate(authority, "shop", NOW) for _ in range(2)]
    require_usable(identity_of(one))
    good, key = one.certificate.decode(), one.private_key.expose().decode()
    for certificate, private_key in (
        (good, other.private_key.expose().decode()),
        ("", key),
        (good, ""),
        ("nonsense", key),
        (good, "nonsense"),
        (key, good),
        (
            good,
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        ),
    ):
        with pytest.raises(IdentityUnusable) as refused:
            require_usable(TlsIdentity(certificate, Secret(private_key)))
        assert "BEGIN" not in str(refused.value)
    assert "BEGIN" not in repr(identity_of(one))
