# SPDX-License-Identifier: Apache-2.0
"""Which columns of customers hold what is sealed, under which key, for which place."""

from typing import Final

from strongroom.crypto import Place
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.keys import KeyName, Row, SealedColumn
from strongroom.payments.customers.sealing import EVIDENCE_FIELD, PERSONAL_FIELD, place_of

_QUERIES: Final = load_queries("strongroom.payments.customers")


def _personal(row: Row, version: int) -> Place:
    return place_of(
        MerchantId(row.merchant), Mode(row.mode), row.object_id, PERSONAL_FIELD, version
    )


def _evidence(row: Row, version: int) -> Place:
    return place_of(
        MerchantId(row.merchant), Mode(row.mode), row.object_id, EVIDENCE_FIELD, version
    )


PERSONAL: Final = SealedColumn(
    "payments.customer.sealed_personal",
    KeyName.CUSTOMER_DATA,
    _QUERIES["page_of_personal"],
    _QUERIES["reseal_personal"],
    _QUERIES["count_personal"],
    _personal,
)
EVIDENCE: Final = SealedColumn(
    "payments.mandate.sealed_evidence",
    KeyName.CUSTOMER_DATA,
    _QUERIES["page_of_evidence"],
    _QUERIES["reseal_evidence"],
    _QUERIES["count_evidence"],
    _evidence,
)
#: The gateway writes both.
COLUMNS: Final = (PERSONAL, EVIDENCE)
