# SPDX-License-Identifier: Apache-2.0
"""What operators' commands stand on: a composed part of an installation, lent for one piece of work.

Refuses an installation that is not initialised before anything is started or made.
"""

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from strongroom.cli.console import attached, installation

if TYPE_CHECKING:
    from strongroom.cli.installation import Installation
    from strongroom.compose import Composer, Site
    from strongroom.identity import (
        Identity,
        PeopleOffice,
        ProviderBook,
        ServiceBook,
        SigningKeyBook,
    )
    from strongroom.telemetry.sink import Sink

Result = TypeVar("Result")

#: A record's actor has room for nine digits; larger user ids are those of mapped containers.
_UID_LIMIT: Final = 10**9


def actor() -> str:
    """Name who does this, for audit records: the operating system's user, by number."""
    uid = os.getuid()
    return f"operator:uid:{uid}" if uid < _UID_LIMIT else "operator:uid:mapped"


def require_initialised(here: "Installation") -> None:
    """Refuse an installation without secrets, so that no command makes half a one by attaching to it.

    Raises:
        NotInitialised: run `strongroom init`.
    """
    from strongroom.db.logins import Login

    here.login_secret(Login.CONSOLE)
    here.passphrase()


def site_of(here: "Installation") -> "Site":
    """Return what an installation's parts are composed from.

    What an operator does is a security event too: it goes into the server's log where that is a file. Where it is a
    stream of the server's own, the audit records alone say what was done.
    """
    from strongroom.compose import Site
    from strongroom.telemetry.log import Log
    from strongroom.telemetry.metrics import Metrics

    log = Log(_sink_of(here), clock=here.clock)
    return Site(here.settings, here.address, here.passphrase(), log, Metrics(), here.clock)


def _sink_of(here: "Installation") -> "Sink":
    from strongroom.telemetry.sink import MemorySink, open_sink

    if here.settings.log_file is None:
        return MemorySink()
    try:
        return open_sink(here.settings.log_file)
    except OSError:  # another user's file: no reason not to do what an operator asks for
        return MemorySink()


def composed(work: "Callable[[Composer], Awaitable[Result]]") -> Result:
    """Do work with a composer, whether a server runs beside or not; close all that it opened."""
    require_initialised(installation())

    async def inside(here: "Installation") -> Result:
        from strongroom.compose import Composer

        composer = Composer(site_of(here))
        try:
            return await work(composer)
        finally:
            await composer.close()

    return attached(inside)


def with_identity(work: "Callable[[Identity], Awaitable[Result]]") -> Result:
    """Do work on merchants and keys, under the console's login."""

    async def inside(composer: "Composer") -> Result:
        return await work(await composer.operator_identity())

    return composed(inside)


def with_machines(
    work: "Callable[[SigningKeyBook, ServiceBook], Awaitable[Result]]",
) -> Result:
    """Do work on signing keys and services, under the console's login."""

    async def inside(composer: "Composer") -> Result:
        return await work(*await composer.operator_machines())

    return composed(inside)


def with_people(work: "Callable[[PeopleOffice], Awaitable[Result]]") -> Result:
    """Do work on people of any tenant, under the console's login."""

    async def inside(composer: "Composer") -> Result:
        return await work(await composer.operator_people())

    return composed(inside)


def with_providers(work: "Callable[[ProviderBook], Awaitable[Result]]") -> Result:
    """Do work on identity providers of any tenant, under the console's login."""

    async def inside(composer: "Composer") -> Result:
        return await work(await composer.operator_providers())

    return composed(inside)
