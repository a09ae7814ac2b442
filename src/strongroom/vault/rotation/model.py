# SPDX-License-Identifier: Apache-2.0
"""What can be rotated, and what a rotation is."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from strongroom.kernel.ids import JobId
from strongroom.keys import CACHE_SECONDS, KeyName

#: The keys of a merchant that the vault rotates.
ROTATABLE: Final = frozenset(
    {
        KeyName.CARD,
        KeyName.CREDENTIALS,
        KeyName.FINGERPRINT,
        KeyName.IDEMPOTENCY,
        KeyName.TRANSFER,
    }
)
#: Under which something lasting is sealed or looked up: what a job moves.
MOVED: Final = ROTATABLE - {KeyName.IDEMPOTENCY}
#: A job that moves things ends no earlier than so long after the rotation: nobody seals under the version before then.
SETTLING: Final = timedelta(seconds=15)
#: A version may be destroyed so long after the next one was made: twice what any process keeps a key, watching or not.
RETIREMENT: Final = timedelta(seconds=2 * CACHE_SECONDS)


@dataclass(frozen=True, slots=True)
class Rotated:
    """A key that was rotated: its version, and the job that moves what the versions before have sealed, if there is."""

    name: KeyName
    version: int
    job_id: JobId | None
