# SPDX-License-Identifier: Apache-2.0
"""Changes of files that are audit records: recorded first and done then, because no transaction holds both.

A database that cannot be reached refuses before any file changes (promise 3). A crash between the two leaves a record
of what did not happen, never the reverse; the same command again does it, and records it again. What fails while it is
done is recorded a second time, with the outcome `failed`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, final

from strongroom.audit import PLATFORM, Origin, Outcome
from strongroom.cli.authorities import Authorities, Change, Planned
from strongroom.cli.operating import actor, composed
from strongroom.kernel.errors import StrongroomError

if TYPE_CHECKING:
    from strongroom.audit import Recorder
    from strongroom.compose import Composer
    from strongroom.db.pool import Database
    from strongroom.kernel.clock import Clock

Result = TypeVar("Result")


class ChangeFailed(StrongroomError):
    """A file could not be written. It is recorded that this failed; some of it may have been done."""

    code = "pki_not_written"


@final
class Changer:
    """Records what is planned, then does it."""

    def __init__(
        self, authorities: Authorities, database: "Database", recorder: "Recorder", clock: "Clock"
    ) -> None:
        self._authorities = authorities
        self._database = database
        self._recorder = recorder
        self._clock = clock

    async def do(self, plan: "Callable[[], Planned[Result]]") -> Result:
        """Plan, record and do, with no other command in between.

        Raises:
            DatabaseAway, and what the recorder raises: nothing has changed.
            ChangeFailed: a file could not be written; that is recorded too. Also what the plan raises.
        """
        with self._authorities.alone():
            planned = plan()
            await self._record(planned.changes, Outcome.SUCCESS)
            try:
                return planned.carry_out()
            except OSError as error:
                await self._record(planned.changes, Outcome.FAILED)
                raise ChangeFailed(f"a file could not be written: {error.strerror}") from None

    async def _record(self, changes: Sequence[Change], outcome: Outcome) -> None:
        if not changes:
            return
        async with self._database.transaction([PLATFORM]) as tx:
            for change in changes:
                record = self._recorder.make(
                    change.action,
                    actor=actor(),
                    merchant=None,
                    mode=None,
                    thing=change.thing,
                    origin=Origin(),
                    now=self._clock.now(),
                    details=change.details,
                    outcome=outcome,
                )
                await self._recorder.insert(tx, record)


def with_changer(authorities: Authorities, work: Callable[[Changer], Awaitable[Result]]) -> Result:
    """Do work on the authorities, recorded under the console's login."""

    async def inside(composer: "Composer") -> Result:
        database, recorder = await composer.operator_recorder()
        return await work(Changer(authorities, database, recorder, composer.site.clock))

    return composed(inside)
