# SPDX-License-Identifier: Apache-2.0
"""The only package that touches cryptography. Joins well-known parts; holds no primitive of its own."""

from strongroom.crypto.aead import (
    DATA_KEY_BYTES,
    VERSION_BYTES,
    Algorithm,
    Binding,
    Place,
    Sealer,
    algorithm_of,
    encode_parts,
)
from strongroom.crypto.digest import (
    SHA256_BYTES,
    Sha256,
    equal,
    hkdf_sha256,
    hmac_sha256,
    hmac_sha512,
    sha256,
    sha256_file,
    sha512,
)
from strongroom.crypto.errors import (
    CannotOpen,
    CertificateUnreadable,
    CryptoRefused,
    PassphraseTooShort,
    SignatureInvalid,
)
from strongroom.crypto.gcm import aes_gcm_decrypt, aes_gcm_encrypt
from strongroom.crypto.parcel import (
    RecipientRefused,
    new_parcel_identity,
    open_parcel,
    seal_parcel,
)
from strongroom.crypto.passphrase import (
    MINIMUM_PASSPHRASE_CHARACTERS,
    open_with_passphrase,
    seal_with_passphrase,
)
from strongroom.crypto.pki import (
    Certified,
    certificate_expiries,
    certificate_expiry,
    certificate_serial,
    certificate_thumbprint,
    issue_client_certificate,
    issue_server_certificate,
    make_authority,
    make_revocation_list,
)
from strongroom.crypto.random import base62, base62_length, entropy, new_secret_text, random_bytes
from strongroom.crypto.scram import scram_verifier
from strongroom.crypto.sign import SigningKey, verify

__all__ = [
    "DATA_KEY_BYTES",
    "MINIMUM_PASSPHRASE_CHARACTERS",
    "SHA256_BYTES",
    "VERSION_BYTES",
    "Algorithm",
    "Binding",
    "CannotOpen",
    "CertificateUnreadable",
    "Certified",
    "CryptoRefused",
    "PassphraseTooShort",
    "Place",
    "RecipientRefused",
    "Sealer",
    "Sha256",
    "SignatureInvalid",
    "SigningKey",
    "aes_gcm_decrypt",
    "aes_gcm_encrypt",
    "algorithm_of",
    "base62",
    "base62_length",
    "certificate_expiries",
    "certificate_expiry",
    "certificate_serial",
    "certificate_thumbprint",
    "encode_parts",
    "entropy",
    "equal",
    "hkdf_sha256",
    "hmac_sha256",
    "hmac_sha512",
    "issue_client_certificate",
    "issue_server_certificate",
    "make_authority",
    "make_revocation_list",
    "new_parcel_identity",
    "new_secret_text",
    "open_parcel",
    "open_with_passphrase",
    "random_bytes",
    "scram_verifier",
    "seal_parcel",
    "seal_with_passphrase",
    "sha256",
    "sha256_file",
    "sha512",
    "verify",
]
