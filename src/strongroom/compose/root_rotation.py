# SPDX-License-Identifier: Apache-2.0
"""A newer version of a root in an HSM's token: recorded before the token makes it, and again if it does not."""

from strongroom.audit import PLATFORM, Action, Origin, Outcome, Recorder
from strongroom.compose.key_stores import open_pkcs11
from strongroom.compose.site import Site
from strongroom.db.pool import Database
from strongroom.kernel.errors import StrongroomError
from strongroom.keys import Purpose


async def rotate_token_root(
    site: Site, database: Database, recorder: Recorder, purpose: Purpose, actor: str
) -> int:
    """Have the token make the next version of a root; return it. What older versions wrapped opens as before.

    Raises what the store raises; then no version was made, or one that the next run finds.
    """

    async def record(outcome: Outcome) -> None:
        async with database.transaction([PLATFORM]) as tx:
            made = recorder.make(
                Action.KEYS_ROOT_ROTATED,
                actor=actor,
                merchant=None,
                mode=None,
                thing=f"root:{purpose}",
                origin=Origin(),
                now=site.clock.now(),
                details={"purpose": purpose.value},
                outcome=outcome,
            )
            await recorder.insert(tx, made)

    store = await open_pkcs11(site.settings)
    try:
        await record(Outcome.SUCCESS)
        try:
            ((_, version),) = await store.make_roots({purpose}, site.clock.now(), next_version=True)
        except StrongroomError:
            await record(Outcome.FAILED)
            raise
        return version
    finally:
        await store.close()
