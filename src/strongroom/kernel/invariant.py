# SPDX-License-Identifier: Apache-2.0
"""What cannot happen. What can happen is an error of `kernel.errors`; this is for our own reasoning."""


class Bug(Exception):
    """This code is wrong. Not a StrongroomError, so no handler can turn it into a 4xx."""


def invariant(holds: bool, because: str) -> None:  # noqa: FBT001 - the one boolean that reads well in place
    """Stop if our own reasoning failed. Unlike `assert`, survives `python -O`."""
    if not holds:
        raise Bug(because)
