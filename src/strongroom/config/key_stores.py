# SPDX-License-Identifier: Apache-2.0
"""What the settings of the key stores must be: each alone, and all that a store needs together. Touches nothing."""

import re
from collections.abc import Mapping
from typing import Any, Final

from strongroom.config.key_store_settings import KeyStoreName
from strongroom.config.settings import Settings

#: The roots by purpose (`keys.purposes`, which this layer does not know).
PURPOSES: Final = frozenset({"audit", "card", "credential", "identity", "webhook"})

_ADDRESS: Final = re.compile(
    r"https?://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[1-9][0-9]{0,4})?/?"
)
_KEY_RING: Final = re.compile(
    r"projects/[a-z0-9.:-]{1,100}/locations/[a-z0-9-]{1,63}/keyRings/[A-Za-z0-9_-]{1,63}"
)


def read_address(text: str, _variables: Mapping[str, str]) -> str:
    """Read a server's address. Raises ValueError."""
    if _ADDRESS.fullmatch(text) is None:
        raise ValueError("expected https://HOST or https://HOST:PORT")
    return text.rstrip("/")


def read_key_ring(text: str, _variables: Mapping[str, str]) -> str:
    """Read the name of a key ring. Raises ValueError."""
    if _KEY_RING.fullmatch(text) is None:
        raise ValueError("expected projects/PROJECT/locations/LOCATION/keyRings/RING")
    return text


def read_purposes(text: str, _variables: Mapping[str, str]) -> tuple[str, ...]:
    """Read purposes, comma-separated. Raises ValueError."""
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if not PURPOSES.issuperset(words):
        raise ValueError("expected of " + ", ".join(sorted(PURPOSES)))
    return words


def missing(given: Mapping[str, Any]) -> list[str]:
    """Name what the chosen key store needs and was not given, and what excludes each other."""
    match given.get("key_store"):
        case KeyStoreName.GCP_KMS:
            return [] if given.get("gcp_kms_key_ring") else [_needs("GCP_KMS_KEY_RING")]
        case KeyStoreName.TRANSIT:
            return _missing_for_transit(given)
        case KeyStoreName.PKCS11:
            needed = ("pkcs11_module", "pkcs11_pin")
            return [_needs(name.upper()) for name in needed if not given.get(name)]
        case _:
            return []


def faults_of_stores(settings: Settings) -> list[str]:
    """Return what of these settings production refuses (promise 8)."""
    found = []
    if settings.key_store is KeyStoreName.PKCS11 and "softhsm" in str(settings.pkcs11_module):
        found.append("STRONGROOM_PKCS11_MODULE is SoftHSM, which keeps the roots in files")
    if settings.gcp_kms_endpoint:
        found.append("STRONGROOM_GCP_KMS_ENDPOINT points Google Cloud KMS at another endpoint")
    if (settings.transit_url or "").startswith("http://"):
        found.append("STRONGROOM_TRANSIT_URL is plain HTTP: keys would cross the network in clear")
    elif settings.transit_url and settings.transit_ca is None:
        found.append("STRONGROOM_TRANSIT_CA is not set: name who certifies the Transit store")
    if settings.transit_token_file is not None:
        found.append("STRONGROOM_TRANSIT_TOKEN_FILE is a long-lived token: log in by AppRole")
    return found


def _missing_for_transit(given: Mapping[str, Any]) -> list[str]:
    found = [] if given.get("transit_url") else [_needs("TRANSIT_URL")]
    role, secret, token = (
        given.get(name) is not None
        for name in ("transit_role_id", "transit_secret_id_file", "transit_token_file")
    )
    if token and (role or secret):
        found.append("STRONGROOM_TRANSIT_TOKEN_FILE: AppRole is set as well; which is it?")
    elif not token:
        found += [] if role else [_needs("TRANSIT_ROLE_ID")]
        found += [] if secret else [_needs("TRANSIT_SECRET_ID_FILE")]
    return found


def _needs(name: str) -> str:
    return f"STRONGROOM_{name}: the key store needs it"
