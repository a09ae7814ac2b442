# SPDX-License-Identifier: Apache-2.0
"""Which columns of webhooks hold what is sealed, under which key, for which place. A test finds what is missing."""

from typing import Final

from strongroom.crypto import Place
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import EndpointId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.keys import KeyName, Row, SealedColumn
from strongroom.webhooks.inbound.sealing import NOTICE_FIELD, SECRETS_FIELD
from strongroom.webhooks.inbound.sealing import place_of as inbound_place
from strongroom.webhooks.secrets import place_of

_OUT: Final = load_queries("strongroom.webhooks")
_IN: Final = load_queries("strongroom.webhooks.inbound")


def _endpoint(row: Row, version: int) -> Place:
    return place_of(MerchantId(row.merchant), Mode(row.mode), EndpointId(row.object_id), version)


def _source(row: Row, version: int) -> Place:
    return inbound_place(
        MerchantId(row.merchant), Mode(row.mode), row.object_id, SECRETS_FIELD, version
    )


def _notice(row: Row, version: int) -> Place:
    return inbound_place(
        MerchantId(row.merchant), Mode(row.mode), row.object_id, NOTICE_FIELD, version
    )


ENDPOINT_SECRETS: Final = SealedColumn(
    "webhooks.endpoint.sealed_secrets",
    KeyName.WEBHOOK_SECRETS,
    _OUT["page_of_endpoint_secrets"],
    _OUT["reseal_endpoint_secrets"],
    _OUT["count_endpoint_secrets"],
    _endpoint,
)
SOURCE_SECRETS: Final = SealedColumn(
    "webhooks.source.sealed_secrets",
    KeyName.WEBHOOK_SECRETS,
    _IN["page_of_source_secrets"],
    _IN["reseal_source_secrets"],
    _IN["count_source_secrets"],
    _source,
)
NOTICES: Final = SealedColumn(
    "webhooks.notice.sealed",
    KeyName.WEBHOOK_SECRETS,
    _IN["page_of_notices"],
    _IN["reseal_notices"],
    _IN["count_notices"],
    _notice,
)
#: What the gateway may write, and what the worker may: each seals its own anew, and nobody gains a right by it.
GATEWAY_COLUMNS: Final = (ENDPOINT_SECRETS, SOURCE_SECRETS)
WORKER_COLUMNS: Final = (NOTICES,)
