# SPDX-License-Identifier: Apache-2.0
"""Who was cancelled: the task at hand, or only what it waits for. Touches nothing."""

import asyncio


def is_being_cancelled() -> bool:
    """Tell whether somebody cancels the task at hand.

    A client library that is closed cancels the futures on which callers wait. Those meet a CancelledError that nobody
    meant for them; let through, it would end what they are part of without a word.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
