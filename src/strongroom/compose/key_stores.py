# SPDX-License-Identifier: Apache-2.0
"""The one place where a key store is opened: a case for each kind that the settings can name.

There is no fallback from one to another. What a store needs is imported where it is opened: the clients' libraries
take longer to import than everything else of a server, and a process needs one of them.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from strongroom.compose.secrets import open_secrets, transit_identity
from strongroom.compose.site import KeyFile, key_file
from strongroom.config import KeyStoreName, Settings
from strongroom.kernel.secret import Secret
from strongroom.keys import KeyStore, KeyStoreRefused, Purpose
from strongroom.keys.stores.file import FileKeyStore

if TYPE_CHECKING:
    from strongroom.keys.stores.pkcs11 import Pkcs11KeyStore


async def open_key_store(
    settings: Settings,
    passphrase: Secret[str],
    *,
    purposes: frozenset[Purpose] = frozenset(Purpose),
    role_keys: Sequence[KeyFile] = (),
) -> KeyStore:
    """Open the key store that the settings name.

    Args:
        settings: which store, and where.
        passphrase: opens the key file that holds every root.
        purposes: the roots that a KMS is asked for; its grants decide which it lets this process use.
        role_keys: key files of roles, opened in the place of the one with every root.
    """
    match settings.key_store:
        case KeyStoreName.FILE:
            return await _file(role_keys or (KeyFile(key_file(settings), passphrase),))
        case KeyStoreName.AWS_KMS:
            return await _aws_kms(settings, purposes)
        case KeyStoreName.PKCS11:
            return await open_pkcs11(settings, purposes)
        case KeyStoreName.GCP_KMS:
            return _gcp_kms(settings, purposes)
        case KeyStoreName.TRANSIT:
            return _transit(settings, purposes)


async def _file(files: Sequence[KeyFile]) -> KeyStore:
    opened = [
        await asyncio.to_thread(FileKeyStore.open, file.path, file.passphrase) for file in files
    ]
    return opened[0] if len(opened) == 1 else FileKeyStore.merged(opened)


async def _aws_kms(settings: Settings, purposes: frozenset[Purpose]) -> KeyStore:
    from strongroom.keys.stores.aws_kms import AwsKmsKeyStore  # noqa: PLC0415 - see above

    return await AwsKmsKeyStore.open(
        _named(settings.aws_kms_key_prefix, purposes),
        region=settings.aws_region or "",
        endpoint_url=settings.aws_endpoint,
        merchant_keys=frozenset(Purpose(word) for word in settings.aws_kms_merchant_keys),
    )


def _gcp_kms(settings: Settings, purposes: frozenset[Purpose]) -> KeyStore:
    from strongroom.egress.google_identity import file_tokens, machine_tokens  # noqa: PLC0415
    from strongroom.keys.stores.gcp_kms import GcpKmsKeyStore  # noqa: PLC0415

    credentials = settings.gcp_credentials
    return GcpKmsKeyStore.open(
        _named(f"{settings.gcp_kms_key_ring}/cryptoKeys/{settings.gcp_kms_key_prefix}", purposes),
        machine_tokens() if credentials is None else file_tokens(credentials),
        endpoint=settings.gcp_kms_endpoint,
    )


def _transit(settings: Settings, purposes: frozenset[Purpose]) -> KeyStore:
    from strongroom.keys.stores.transit import TransitKeyStore  # noqa: PLC0415

    return TransitKeyStore.open(
        _named(settings.transit_key_prefix, purposes),
        transit_identity(settings),
        url=settings.transit_url or "",
        mount=settings.transit_mount,
        namespace=settings.transit_namespace,
        authorities=settings.transit_ca,
    )


async def open_pkcs11(
    settings: Settings, purposes: frozenset[Purpose] = frozenset(Purpose)
) -> "Pkcs11KeyStore":
    """Open the token that the settings name, whose roots can be made, too. The PIN is read whenever it is needed."""
    from strongroom.keys.stores.pkcs11 import Pkcs11KeyStore  # noqa: PLC0415 - see above
    from strongroom.keys.stores.pkcs11_token import TokenPlace  # noqa: PLC0415 - see above

    module, pin = settings.pkcs11_module, settings.pkcs11_pin
    if module is None or pin is None:
        raise KeyStoreRefused("set STRONGROOM_PKCS11_MODULE and STRONGROOM_PKCS11_PIN")
    place = TokenPlace(str(module), settings.pkcs11_token, settings.pkcs11_key_prefix)
    book = open_secrets(settings)
    return await Pkcs11KeyStore.open(place, partial(book.anew, pin), purposes=purposes)


def _named(prefix: str, purposes: frozenset[Purpose]) -> dict[Purpose, str]:
    """Return each root's name in a store that knows them by name: the prefix, then the purpose."""
    return {purpose: prefix + purpose.value for purpose in sorted(purposes)}
