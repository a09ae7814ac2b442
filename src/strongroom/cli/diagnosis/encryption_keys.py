# SPDX-License-Identifier: Apache-2.0
"""Looks whether an encryption key is overdue to be rotated (PCI DSS 3.7.4)."""

from collections.abc import Sequence
from typing import Final

from strongroom.cli.diagnosis.finding import Finding, ok, warn
from strongroom.cli.installation import Installation, NotInitialised
from strongroom.cli.operating import site_of
from strongroom.compose import Composer
from strongroom.kernel.errors import StrongroomError

NAME: Final = "keys.period"


async def cryptoperiods(here: Installation) -> list[Finding]:
    """Look at every key of both databases. What keeps them from being looked at is said elsewhere."""
    try:
        composer = Composer(site_of(here))
    except NotInitialised:
        return []  # a secret is not there: `files.secret` says which
    try:
        keys = await composer.operator_keys()
        found = await keys.inventory(counted=False)
        return [judged([each.name for each in found if each.overdue])]
    except StrongroomError:
        return []
    finally:
        await composer.close()


def judged(overdue: Sequence[str]) -> Finding:
    """Judge by the names of what is overdue."""
    if not overdue:
        return ok(NAME, "no encryption key is overdue to be rotated")
    names = ", ".join(sorted(set(overdue)))
    sentence = f"{len(overdue)} encryption keys are overdue to be rotated: {names}"
    return warn(NAME, sentence, "strongroom keys list --overdue")
