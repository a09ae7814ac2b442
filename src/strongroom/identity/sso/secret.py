# SPDX-License-Identifier: Apache-2.0
"""A provider's client secret, sealed for its place: tenant, provider, purpose."""

from typing import Final

from strongroom.crypto import Algorithm, CannotOpen, Place
from strongroom.identity.sso.errors import ProviderUnreadable
from strongroom.identity.sso.model import Provider, ProviderId
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.keys import DataKeys, KeyName

PURPOSE: Final = "identity"
#: People and their providers belong to a tenant and to no mode; its keys are those of live.
_MODE: Final = Mode.LIVE


async def seal_secret(
    keys: DataKeys, merchant: MerchantId, provider: ProviderId, secret: Secret[str]
) -> tuple[bytes, int]:
    """Return the sealed secret and the version of its key.

    Raises:
        KeyStoreUnavailable: the key is not open, and the key store does not answer.
    """
    key = await keys.current(merchant, _MODE, KeyName.PROVIDER_SECRETS)
    place = place_of(merchant, provider, key.version)
    sealer = key.sealer(Algorithm.A256CBC_HS512, PURPOSE)
    return sealer.seal(secret.expose().encode(), place), key.version


async def open_secret(keys: DataKeys, provider: Provider) -> Secret[str]:
    """Return a provider's secret.

    Raises:
        ProviderUnreadable: it was altered or moved, or its key is lost.
        KeyStoreUnavailable: its key is not open, and the key store does not answer.
    """
    key = await keys.version(
        provider.merchant, _MODE, KeyName.PROVIDER_SECRETS, provider.key_version
    )
    place = place_of(provider.merchant, provider.provider_id, provider.key_version)
    try:
        clear = key.sealer(Algorithm.A256CBC_HS512, PURPOSE).open(provider.sealed_secret, place)
    except CannotOpen:
        raise ProviderUnreadable from None
    return Secret(clear.decode())


def place_of(merchant: MerchantId, provider: ProviderId, key_version: int) -> Place:
    """Return where a provider's client secret is sealed for."""
    return Place(
        algorithm=Algorithm.A256CBC_HS512,
        mode=_MODE,
        merchant=merchant,
        object_id=provider,
        field="client_secret",
        key_version=key_version,
        purpose=PURPOSE,
    )
