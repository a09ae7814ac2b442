# SPDX-License-Identifier: Apache-2.0
"""Which columns of the vault's database hold what is sealed, under which key, for which place. Others join this list.

A column that holds sealed values and is not here keeps the version it was sealed under: `in_use` refuses to destroy it
only if the column is here.
"""

from dataclasses import dataclass
from typing import Final, LiteralString

from strongroom.db.queries import Query, load_queries
from strongroom.keys import KeyName
from strongroom.vault.connections import PURPOSE as CREDENTIAL_PURPOSE
from strongroom.vault.forwarding.book import FIELD as DESTINATION_FIELD
from strongroom.vault.sealing import CARD_PURPOSE, NUMBER_FIELD

QUERIES: Final = load_queries("strongroom.vault.rotation")


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column with sealed values, walked by the ids of what they belong to.

    `page` (merchant, mode, after, limit, version, first byte of the algorithm) → id, part, key_version, sealed (null
    where it is as wanted), in the order of ids and parts; `after` is `id`, or `id part` where there are parts.
    `put` (merchant, mode, ids, parts, olds, news, version) → touched. `in_use` (merchant, mode, version) → used.
    `part` is the place's field where a row says it.
    """

    key: KeyName
    page: Query
    put: Query
    in_use: Query
    purpose: str
    #: The field of the place; empty: each row's own `part`.
    field: LiteralString


TOKENS: Final = SealedColumn(
    KeyName.CARD,
    QUERIES["page_of_tokens"],
    QUERIES["reseal_tokens"],
    QUERIES["card_key_in_use"],
    CARD_PURPOSE,
    NUMBER_FIELD,
)
CONNECTIONS: Final = SealedColumn(
    KeyName.CREDENTIALS,
    QUERIES["page_of_connections"],
    QUERIES["reseal_connections"],
    QUERIES["credentials_key_in_use"],
    CREDENTIAL_PURPOSE,
    "credentials",
)
DESTINATIONS: Final = SealedColumn(
    KeyName.CREDENTIALS,
    QUERIES["page_of_destinations"],
    QUERIES["reseal_destinations"],
    QUERIES["destinations_key_in_use"],
    CREDENTIAL_PURPOSE,
    DESTINATION_FIELD,
)
#: Holders, addresses and what else is sealed beside a number: the field stands in the row.
DETAILS: Final = SealedColumn(
    KeyName.CARD,
    QUERIES["page_of_details"],
    QUERIES["reseal_details"],
    QUERIES["details_key_in_use"],
    CARD_PURPOSE,
    "",
)
COLUMNS: Final = (TOKENS, DETAILS, CONNECTIONS, DESTINATIONS)
