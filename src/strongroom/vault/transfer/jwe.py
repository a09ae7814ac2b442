# SPDX-License-Identifier: Apache-2.0
"""The one door to JWE (RFC 7516, compact): open what was sealed for an import key, seal for an export's receiver.

Three key managements and one content encryption exist here, whatever a header asks for; nothing is unzipped.
"""

from collections.abc import Mapping
from typing import Any, Final

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from strongroom.kernel.ids import ImportKeyId
from strongroom.kernel.secret import Secret
from strongroom.vault.transfer.columns import RowMalformed
from strongroom.vault.transfer.errors import RecipientRefused

#: For import keys, and for receivers with a P-256 key.
EC_ALGORITHM: Final = "ECDH-ES+A256KW"
RSA_ALGORITHM: Final = "RSA-OAEP-256"
CONTENT_ENCRYPTION: Final = "A256GCM"
_OPENED: Final = (EC_ALGORITHM, "ECDH-ES", CONTENT_ENCRYPTION)
_RSA_BITS_MIN: Final = 3_072
_MEMBERS: Final = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}


def make_key(key_id: ImportKeyId) -> tuple[Secret[dict[str, str]], dict[str, str]]:
    """Make a P-256 key: its private and its public JWK."""
    key = ECKey.generate_key("P-256")
    private = {name: str(value) for name, value in key.as_dict(private=True).items()}
    public = {name: private[name] for name in _MEMBERS["EC"]}
    return Secret(private), {**public, "alg": EC_ALGORITHM, "use": "enc", "kid": key_id}


class Opener:
    """Opens compact JWEs that were sealed for one of a tenant's import keys."""

    def __init__(self, jwks: tuple[Secret[dict[str, str]], ...]) -> None:
        self._keys = [ECKey.import_key(dict(each.expose())) for each in jwks]

    def open(self, sealed: bytes) -> bytes:
        """Return what was sealed.

        Raises:
            RowMalformed: `jwe_refused`: not one, altered, for another key, or with an algorithm that is not taken.
        """
        for key in self._keys:
            try:
                found = jwe.decrypt_compact(sealed.strip(), key, algorithms=list(_OPENED))
            except (JoseError, ValueError, TypeError, KeyError, RecursionError):
                continue
            if found.plaintext is not None and "zip" not in found.headers():
                return found.plaintext
        raise RowMalformed("jwe_refused")


class Recipient:
    """A receiver that has a JWK."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Take a public key.

        Raises:
            RecipientRefused: it is none that this seals for, or a private one.
        """
        kind = str(given.get("kty"))
        if kind not in _MEMBERS or "d" in given:
            raise RecipientRefused
        try:
            public = {name: str(given[name]) for name in _MEMBERS[kind]}
            key = ECKey.import_key(public) if kind == "EC" else RSAKey.import_key(public)  # type: ignore[arg-type]
            raw: Any = key.public_key
        except (JoseError, ValueError, TypeError, KeyError):
            raise RecipientRefused from None
        if (kind == "EC" and public["crv"] != "P-256") or raw.key_size < (
            _RSA_BITS_MIN if kind == "RSA" else 0
        ):
            raise RecipientRefused
        self._key = key
        #: RFC 7638.
        self.fingerprint = key.thumbprint()
        self._header = {
            "alg": EC_ALGORITHM if kind == "EC" else RSA_ALGORITHM,
            "enc": CONTENT_ENCRYPTION,
            "cty": "json",
            "kid": str(given.get("kid") or self.fingerprint),
        }
        self._algorithms = [self._header["alg"], CONTENT_ENCRYPTION]

    def seal(self, clear: bytes) -> bytes:
        """Return a compact JWE that only the receiver opens."""
        return jwe.encrypt_compact(
            dict(self._header), clear, self._key, algorithms=self._algorithms
        ).encode()
