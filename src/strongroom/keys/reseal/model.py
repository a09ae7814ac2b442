# SPDX-License-Identifier: Apache-2.0
"""Columns with sealed values, and how far each is sealed anew. No value here holds anything in clear."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from strongroom.crypto import Binding
from strongroom.db.queries import Query
from strongroom.keys.model import CACHE_SECONDS
from strongroom.keys.purposes import KeyName

#: A column is walked no earlier than so long after the rotation: until then some process may seal under the version
#: before, in rows that the walk has passed. Three times what a process takes to know of a rotation at the latest.
SETTLING: Final = timedelta(seconds=15)
#: A version may be destroyed so long after the next one was made: twice what any process keeps a key, watching or not.
RETIREMENT: Final = timedelta(seconds=2 * CACHE_SECONDS)
#: So many rows at most are counted for what is said of a key's uses.
USES_COUNTED_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class Row:
    """Where a sealed value is: whose, of which object, and which of its values where it has several."""

    merchant: str
    mode: str
    object_id: str
    part: str


#: Where a value of a row is sealed for, under a version of the key.
PlaceOf = Callable[[Row, int], Binding]


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of the core database with sealed values, walked by the ids of what they belong to.

    `page` (merchant, mode, after, limit, version) → id, part, key_version, sealed (null where of this version), in the
    order of ids and parts; `after` is `id`, or `id part` where there are parts. `put` (merchant, mode, ids, parts,
    olds, news, version) → touched, and touches only what still holds `olds`. `count` (merchant, mode, version, most) →
    rows, at most so many; without a version of all.
    """

    #: `schema.table.column`.
    name: str
    key: KeyName
    page: Query
    put: Query
    count: Query
    place: PlaceOf


@dataclass(frozen=True, slots=True)
class Reseal:
    """How far a column of a tenant is."""

    merchant: str
    mode: str
    name: str
    part: str
    version: int
    state: str
    cursor: str
    total: int
    looked: int
    resealed: int
    #: What did not open: altered, moved, or its key is lost. It keeps its version from being destroyed.
    unread: int
    #: The code of the failure that it waits out; None while it goes well.
    problem: str | None
    failures: int
    run_at: datetime
    created_by: str
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None
