# SPDX-License-Identifier: Apache-2.0
"""Looks at one database's audit log: does it hold together, is it sealed in time, do its sinks hold what it holds."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from strongroom.cli.diagnosis.databases import Seen
from strongroom.cli.diagnosis.finding import Finding, fail, ok, warn
from strongroom.cli.installation import Installation, NotInitialised
from strongroom.cli.operating import site_of
from strongroom.compose import Composer
from strongroom.db.logins import Domain
from strongroom.kernel.errors import StrongroomError

if TYPE_CHECKING:
    from strongroom.audit import LogState, SinkState

#: A running sealer needs a second or two.
LAG_WANTED: Final = timedelta(seconds=30)
LAG_MAX: Final = timedelta(minutes=5)


async def audit_logs(here: Installation, seen: Seen, *, served: bool) -> list[Finding]:
    """Look at the logs of the usable databases. `served`: a server of this installation should seal them now."""
    try:
        composer = Composer(site_of(here))
    except NotInitialised:
        return []  # a secret is not there: `files.secret` says which
    now = here.clock.now()
    found: list[Finding] = []
    try:
        for domain in seen.usable:
            found += await _log(composer, domain, seen, now, served=served)
    finally:
        await composer.close()
    return found


async def _log(
    composer: Composer, domain: Domain, seen: Seen, now: datetime, *, served: bool
) -> list[Finding]:
    try:
        state = await (await composer.audit_log(domain)).overview().state()
    except StrongroomError as error:
        sentence = f"the {domain} log cannot be looked at: {error.detail.rstrip('.')}"
        return [fail("audit.log", sentence, f"strongroom audit status --tree {domain}")]
    newest = [each for each in (seen.newest, state.checkpoint_at) if each is not None]
    seen.newest = max(newest, default=None)
    found = [standing(domain, state), lag(domain, state, now, served=served)]
    return found + [sink(domain, each, state.size) for each in state.sinks]


def standing(domain: Domain, state: "LogState") -> Finding:
    """Judge whether the tree in the database is one that a sealer of ours left there."""
    if state.fault is not None:
        remedy = "page whoever answers for it: data were altered, or an old database was restored"
        return fail("audit.log", f"the {domain} log: {state.fault.rstrip('.')}", remedy)
    if state.origin is None:
        return ok("audit.log", f"the {domain} log begins when the server first runs")
    return ok(
        "audit.log", f"the {domain} log holds {state.size} records under its newest signature"
    )


def lag(domain: Domain, state: "LogState", now: datetime, *, served: bool) -> Finding:
    """Judge how long records have waited to be sealed. Without a server nothing seals, and nothing is lost."""
    name = "audit.lag"
    if state.waiting_since is None:
        return ok(name, f"every record of the {domain} log is sealed")
    waited = now - state.waiting_since
    sentence = f"{state.waiting} records of the {domain} log wait, the oldest for {_spoken(waited)}"
    if not served:
        return warn(name, f"{sentence}; no server runs that would seal them", "strongroom serve")
    remedy = (
        f"strongroom audit status --tree {domain}; then the server's log (audit.sealing_failed)"
    )
    if waited > LAG_MAX:
        return fail(name, sentence, remedy)
    if waited > LAG_WANTED:
        return warn(name, sentence, remedy)
    return ok(name, sentence)


def sink(domain: Domain, held: "SinkState", size: int) -> Finding:
    """Judge whether a sink answers and holds a part of this tree."""
    name = "audit.sink"
    if held.fault is not None:
        rolled_back = held.head is not None
        remedy = (
            f"restore the newest database; if it is lost, strongroom audit tree restart --tree {domain}"
            if rolled_back
            else "look at STRONGROOM_AUDIT_SINK: its owner, its mode, its disk"
        )
        return fail(name, f"the {domain} log's {held.name} sink: {held.fault.rstrip('.')}", remedy)
    if held.head is None:
        if size == 0:
            return ok(name, f"the {domain} log's {held.name} sink is empty, as the log is")
        sentence = f"the {domain} log's {held.name} sink holds nothing of {size} records"
        return warn(name, sentence, "strongroom serve publishes them, or says why not")
    if held.head.size < size:
        sentence = f"the {domain} log's {held.name} sink holds {held.head.size} of {size} records"
        return warn(name, sentence, "strongroom serve publishes the rest, or says why not")
    return ok(name, f"the {domain} log's {held.name} sink holds all {size} records")


def _spoken(duration: timedelta) -> str:
    seconds = max(0, int(duration.total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"  # noqa: PLR2004 - two minutes
