# SPDX-License-Identifier: Apache-2.0
"""The one place where a key store is opened: a case for each kind that the settings can name.

There is no fallback from one to another. What a store needs is imported where it is opened: the clients' libraries
take longer to import than everything else of a server, and a process needs one of them.
"""

import asyncio
from collections.abc import Sequence

from strongroom.compose.site import KeyFile, key_file
from strongroom.config import KeyStoreName, Settings
from strongroom.kernel.secret import Secret
from strongroom.keys import KeyStore, Purpose
from strongroom.keys.stores.file import FileKeyStore


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
    )


def _named(prefix: str, purposes: frozenset[Purpose]) -> dict[Purpose, str]:
    """Return each root's name in a store that knows them by name: the prefix, then the purpose."""
    return {purpose: prefix + purpose.value for purpose in sorted(purposes)}
