# SPDX-License-Identifier: Apache-2.0
"""Which columns of identity hold what is sealed, under which key, for which place. A test finds what is missing."""

from typing import Final

from strongroom.crypto import Algorithm, Place
from strongroom.db.queries import load_queries
from strongroom.identity.factors.model import FactorPlace
from strongroom.identity.factors.service import PURPOSE
from strongroom.identity.sso.model import ProviderId
from strongroom.identity.sso.secret import place_of
from strongroom.kernel.ids import MerchantId, PersonId
from strongroom.keys import KeyName, Row, SealedColumn

_FACTORS: Final = load_queries("strongroom.identity.factors")
_SSO: Final = load_queries("strongroom.identity.sso")


def _totp(row: Row, version: int) -> FactorPlace:
    return FactorPlace(
        Algorithm.A256CBC_HS512,
        PURPOSE,
        MerchantId(row.merchant),
        PersonId(row.object_id),
        version,
    )


def _provider(row: Row, version: int) -> Place:
    return place_of(MerchantId(row.merchant), ProviderId(row.object_id), version)


TOTP_SECRETS: Final = SealedColumn(
    "identity.totp.sealed_secret",
    KeyName.TOTP_SECRETS,
    _FACTORS["page_of_totp_secrets"],
    _FACTORS["reseal_totp_secrets"],
    _FACTORS["count_totp_secrets"],
    _totp,
)
PROVIDER_SECRETS: Final = SealedColumn(
    "identity.provider.sealed_secret",
    KeyName.PROVIDER_SECRETS,
    _SSO["page_of_provider_secrets"],
    _SSO["reseal_provider_secrets"],
    _SSO["count_provider_secrets"],
    _provider,
)
#: All of them belong to the console's role.
COLUMNS: Final = (TOTP_SECRETS, PROVIDER_SECRETS)
