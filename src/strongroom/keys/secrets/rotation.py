# SPDX-License-Identifier: Apache-2.0
"""Another value for a secret, in four steps of which each may be done twice: create, set, test, finish.

To rotate a secret:
 1. Create: a new value is kept as pending beside the current one; one of a run that was cut off is taken instead.
 2. Set: whoever checks the secret takes the pending value from now on.
 3. Test: it does.
 4. Finish: the pending value becomes the current one.

Who uses the secret holds the current value until it is refused, then tries the pending one: between (2) and (4) both a
connection that is open and one that is new work. Cut off anywhere, the same call again completes it.
"""

from collections.abc import Callable
from typing import Protocol

from strongroom.config import SecretReference
from strongroom.kernel.secret import Secret
from strongroom.keys.errors import SecretNotTaken
from strongroom.keys.secrets.ports import SecretKeeper


class SecretHolder(Protocol):
    """Checks a secret: a database server."""

    async def takes(self, value: Secret[str]) -> bool:
        """Tell whether it lets someone in with this value."""

    async def change(self, now: Secret[str], then: Secret[str]) -> None:
        """Take another value from now on. Doing it twice is doing it once."""


async def begin(
    keeper: SecretKeeper, reference: SecretReference, new_value: Callable[[], Secret[str]]
) -> Secret[str]:
    """Do step 1, and return the pending value. Raises SecretUnreadable."""
    await keeper.read(reference)  # one that is not there is made by its owner, not here
    pending = await keeper.pending(reference)
    if pending is None:
        await keeper.create(reference, new_value())
        # What is kept counts, not what was to be kept: another run may have been first.
        pending = await keeper.pending(reference)
    if pending is None:
        raise SecretNotTaken("the keeper did not keep the new value as pending")
    return pending


async def complete(
    keeper: SecretKeeper, reference: SecretReference, holder: SecretHolder, pending: Secret[str]
) -> None:
    """Do steps 2 to 4.

    Raises:
        SecretNotTaken: the holder lets nobody in with the new value; the current one stays current.
        SecretUnreadable, and what the holder raises: cut off; the same call again completes it.
    """
    if not await holder.takes(pending):  # (2)
        await holder.change(await keeper.read(reference), pending)
    if not await holder.takes(pending):  # (3)
        raise SecretNotTaken
    await keeper.finish(reference)  # (4)
