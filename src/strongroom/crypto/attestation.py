# SPDX-License-Identifier: Apache-2.0
"""What a maker's certificate says of an authenticator (WebAuthn §8.2.1). Chains are checked elsewhere."""

from typing import Final
from uuid import UUID

from cryptography import x509
from cryptography.x509.oid import NameOID

from strongroom.crypto.errors import CertificateUnreadable

#: id-fido-gen-ce-aaguid: an OCTET STRING of the model's 16 bytes.
_MODEL: Final = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")
_OCTET_STRING_OF_16: Final = b"\x04\x10"
_UNIT: Final = "Authenticator Attestation"


def attested_model(certificate: bytes) -> str | None:
    """Return the model (AAGUID) that an attestation certificate is for, or None where it names none.

    Args:
        certificate: DER, the first of a packed attestation's chain.

    Raises CertificateUnreadable for one that is no attestation certificate: another version or organizational unit, or
    an authority's.
    """
    try:
        read = x509.load_der_x509_certificate(certificate)
        units = read.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        constraints = read.extensions.get_extension_for_class(x509.BasicConstraints).value
        named = [each.value for each in read.extensions if each.oid == _MODEL]
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise CertificateUnreadable from error
    if read.version is not x509.Version.v3 or constraints.ca or [u.value for u in units] != [_UNIT]:
        raise CertificateUnreadable
    if not named:
        return None
    value = named[0].value if isinstance(named[0], x509.UnrecognizedExtension) else b""
    if len(value) != len(_OCTET_STRING_OF_16) + 16 or not value.startswith(_OCTET_STRING_OF_16):
        raise CertificateUnreadable
    return str(UUID(bytes=value[2:]))
