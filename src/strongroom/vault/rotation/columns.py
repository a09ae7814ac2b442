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
from strongroom.vault.transfer.opening import PIECE_FIELD, PRIVATE_FIELD
from strongroom.vault.transfer.opening import PURPOSE as TRANSFER_PURPOSE

QUERIES: Final = load_queries("strongroom.vault.rotation")


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column with sealed values, walked by the ids of what they belong to.

    `page` (merchant, mode, after, limit, version, first byte of the algorithm) → id, part, key_version, sealed (null
    where it is as wanted), in the order of ids and parts; `after` is `id`, or `id part` where there are parts.
    `put` (merchant, mode, ids, parts, olds, news, version) → touched. `in_use` (merchant, mode, version) → used.
    `part` is the place's field where a row says it. `count` (merchant, mode, after, limit) → rows, last: an `after`.
    """

    key: KeyName
    page: Query
    put: Query
    in_use: Query
    count: Query
    purpose: str
    #: The field of the place; empty: each row's own `part`.
    field: LiteralString
    #: No more than so many at once: of what is large.
    rows_max: int = 4_000
    #: Of what can be very many rows: (merchant, mode, pages) → rows, about, by a sample of so many pages.
    guess: Query | None = None


TOKENS: Final = SealedColumn(
    KeyName.CARD,
    QUERIES["page_of_tokens"],
    QUERIES["reseal_tokens"],
    QUERIES["card_key_in_use"],
    QUERIES["count_tokens"],
    CARD_PURPOSE,
    NUMBER_FIELD,
    guess=QUERIES["guess_tokens"],
)
CONNECTIONS: Final = SealedColumn(
    KeyName.CREDENTIALS,
    QUERIES["page_of_connections"],
    QUERIES["reseal_connections"],
    QUERIES["credentials_key_in_use"],
    QUERIES["count_connections"],
    CREDENTIAL_PURPOSE,
    "credentials",
)
DESTINATIONS: Final = SealedColumn(
    KeyName.CREDENTIALS,
    QUERIES["page_of_destinations"],
    QUERIES["reseal_destinations"],
    QUERIES["destinations_key_in_use"],
    QUERIES["count_destinations"],
    CREDENTIAL_PURPOSE,
    DESTINATION_FIELD,
)
#: Holders, addresses and what else is sealed beside a number: the field stands in the row.
DETAILS: Final = SealedColumn(
    KeyName.CARD,
    QUERIES["page_of_details"],
    QUERIES["reseal_details"],
    QUERIES["details_key_in_use"],
    QUERIES["count_details"],
    CARD_PURPOSE,
    "",
    guess=QUERIES["guess_details"],
)
#: The private parts of the pairs that other providers encrypt to.
IMPORT_KEYS: Final = SealedColumn(
    KeyName.TRANSFER,
    QUERIES["page_of_import_keys"],
    QUERIES["reseal_import_keys"],
    QUERIES["import_keys_key_in_use"],
    QUERIES["count_import_keys"],
    TRANSFER_PURPOSE,
    PRIVATE_FIELD,
)
#: Pieces of uploads that wait to be opened: a megabyte each, and gone with the import's end.
IMPORT_PIECES: Final = SealedColumn(
    KeyName.TRANSFER,
    QUERIES["page_of_import_pieces"],
    QUERIES["reseal_import_pieces"],
    QUERIES["import_pieces_key_in_use"],
    QUERIES["count_import_pieces"],
    TRANSFER_PURPOSE,
    PIECE_FIELD,
    rows_max=8,
)
COLUMNS: Final = (TOKENS, DETAILS, CONNECTIONS, DESTINATIONS, IMPORT_KEYS, IMPORT_PIECES)
#: By `schema.table.column`: a test compares them with the schema.
NAMES: Final = {
    "vault.token.sealed_number": TOKENS,
    "vault.token_detail.sealed": DETAILS,
    "vault.connection.sealed_credentials": CONNECTIONS,
    "vault.destination.sealed": DESTINATIONS,
    "vault.import_key.sealed_private": IMPORT_KEYS,
    "vault.import_piece.sealed": IMPORT_PIECES,
}
