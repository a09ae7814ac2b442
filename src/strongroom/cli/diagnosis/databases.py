# SPDX-License-Identifier: Apache-2.0
"""Looks at both databases as each login: who gets in, what it may do, which schema, which partitions, which clock."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from strongroom.cli.diagnosis.finding import Finding, fail, ok, warn
from strongroom.cli.installation import DATABASES, Installation, NotInitialised
from strongroom.config.safety import DatabaseFacts
from strongroom.db.errors import DatabaseAway, SchemaAhead, SchemaBehind, SchemaRefused
from strongroom.db.facts import facts_of
from strongroom.db.logins import LOGINS, Domain, Login
from strongroom.db.migrate import require_current
from strongroom.db.pool import Database
from strongroom.kernel.errors import StrongroomError

MIGRATE: Final = "strongroom migrate"
#: What the server needs at once: today's and tomorrow's, this month's.
_DAYS_NEEDED: Final = 2
_DAYS_WANTED: Final = 5
#: A login of each database that may read the history of its migrations.
_READER: Final = {Domain.VAULT: Login.VAULT, Domain.CORE: Login.GATEWAY}

_LOOK: Final = """
select json_build_object(
    'partitions', (select coalesce(json_agg(c.relname), '[]') from pg_inherits i join pg_class c on c.oid = i.inhrelid
                    where i.inhparent in ('audit.event'::regclass, 'idempotency.request'::regclass)),
    'migrated_at', (select extract(epoch from max(applied_at)) from strongroom.migration),
    'now', extract(epoch from clock_timestamp()))::text
"""


@dataclass(slots=True)
class Seen:
    """What was learnt on the way, for other looks."""

    findings: list[Finding] = field(default_factory=list)
    facts: list[DatabaseFacts] = field(default_factory=list)
    #: The newest moment that either database has on record.
    newest: datetime | None = None
    #: By how much the first database's clock is ahead of this one.
    ahead: timedelta | None = None
    #: The databases that answer and whose schema is this release's.
    usable: list[Domain] = field(default_factory=list)


def server(here: Installation) -> list[Finding]:
    """Start or join the embedded server; the caller detaches. Never makes a database where there is none."""
    name = "database.server"
    if not here.uses_embedded:
        return []
    from strongroom.db.embedded import Embedded

    folder = here.settings.state / "postgres"
    if not (folder / "pgdata").exists():
        return [fail(name, "the embedded database was never made", "strongroom init")]
    try:
        runs = Embedded(folder).process_id is not None
        here.attach()
    except StrongroomError as error:
        return [fail(name, error.detail, f"tail -n 50 {folder / 'server.log'}")]
    return [ok(name, "the embedded server runs" if runs else "the embedded server starts")]


async def databases(here: Installation) -> Seen:
    """Look at both databases."""
    seen = Seen()
    for domain in DATABASES:
        try:
            await _logins(here, domain, seen)
        except DatabaseAway:
            remedy = (
                "strongroom serve"
                if here.uses_embedded
                else f"check the server that STRONGROOM_{domain.upper()}_DATABASE names"
            )
            seen.findings.append(
                fail("database.server", f"the {domain} database does not answer", remedy)
            )
            continue
        except StrongroomError as error:  # such as an address that cannot be read
            remedy = f"set STRONGROOM_{domain.upper()}_DATABASE"
            seen.findings.append(fail("database.server", error.detail, remedy))
            continue
        await _inside(here, domain, seen)
    return seen


async def _logins(here: Installation, domain: Domain, seen: Seen) -> None:
    refused = 0
    for login in sorted(LOGINS[domain]):
        try:
            facts = await facts_of(here.address(domain, login), domain)
        except NotInitialised:
            refused += 1  # its secret is not there: `files.secret` says so
        except DatabaseAway:
            raise
        except StrongroomError as error:
            refused += 1
            remedy = "strongroom init" + ("" if here.uses_embedded else " --administrator URL")
            sentence = f"{login} cannot enter the {domain} database: {error.detail}"
            seen.findings.append(fail("database.login", sentence.rstrip("."), remedy))
        else:
            seen.facts.append(facts)
            wrong = attributes(facts)
            refused += bool(wrong)
            seen.findings += wrong
    if not refused:
        count = len(LOGINS[domain])
        sentence = f"{count} logins enter the {domain} database, none with more rights than its own"
        seen.findings.append(ok("database.login", sentence))


def attributes(facts: DatabaseFacts) -> list[Finding]:
    """Judge what a login may do, and whether what it commits is durable."""
    of, found = f"{facts.login} on the {facts.name} database", []
    name = "database.login"
    if facts.superuser:
        sql = f"alter role {facts.login} nosuperuser"
        found.append(fail(name, f"{of} is a superuser: no tenant is apart from another", sql))
    elif facts.bypasses_rls:
        sql = f"alter role {facts.login} nobypassrls"
        found.append(fail(name, f"{of} bypasses row-level security", sql))
    if facts.owns_tables and facts.login != Login.OWNER:
        sql = f"reassign owned by {facts.login} to {Login.OWNER}"
        found.append(fail(name, f"{of} owns tables, and could change their rules", sql))
    if not facts.fsync:
        sentence = f"the {facts.name} database runs with fsync off: a crash loses what it promised"
        found.append(fail("database.durability", sentence, "alter system set fsync = on"))
    if not facts.synchronous_commit:
        sentence = f"{of} commits without waiting for the disk (synchronous_commit is off)"
        sql = f"alter role {facts.login} reset synchronous_commit"
        found.append(fail("database.durability", sentence, sql))
    return found


async def _inside(here: Installation, domain: Domain, seen: Seen) -> None:
    """Look at schema, partitions and clock through one login."""
    name = "database.schema"
    try:
        database = Database(here.address(domain, _READER[domain]), connections_max=1)
    except NotInitialised:
        return
    try:
        await database.open()
        await require_current(database, domain)
        now = here.clock.now()
        said = json.loads(await database.value(_LOOK))
    except SchemaRefused as error:
        detail = error.detail.rstrip(".").removeprefix(f"the {domain} database ")
        seen.findings.append(fail(name, f"the {domain} database: {detail}", _schema_remedy(error)))
        return
    except StrongroomError as error:
        seen.findings.append(fail(name, f"the {domain} database: {error.detail}", MIGRATE))
        return
    finally:
        await database.close()
    seen.usable.append(domain)
    seen.findings.append(ok(name, f"the {domain} database has this release's schema"))
    seen.findings.append(partitions(domain, said["partitions"], now.date()))
    migrated = datetime.fromtimestamp(said["migrated_at"], UTC)
    seen.newest = max(seen.newest, migrated) if seen.newest else migrated
    seen.ahead = seen.ahead or datetime.fromtimestamp(said["now"], UTC) - now


def _schema_remedy(error: SchemaRefused) -> str:
    if isinstance(error, SchemaBehind):
        return MIGRATE
    if isinstance(error, SchemaAhead):
        return "pip install --upgrade strongroom"
    return "pip install --force-reinstall strongroom: an applied migration is not this release's"


def partitions(domain: Domain, names: Sequence[str], today: date) -> Finding:
    """Judge whether there is a place for what is written today and in the days to come."""
    name = "database.partitions"
    there = set(names)
    days = [f"request_{today + timedelta(days=ahead):%Y%m%d}" for ahead in range(_DAYS_WANTED)]
    following = (today.replace(day=1) + timedelta(days=31)).replace(day=1)
    month, next_month = f"event_{today:%Y%m}", f"event_{following:%Y%m}"
    missing = [each for each in (month, *days[:_DAYS_NEEDED]) if each not in there]
    if missing:
        sentence = (
            f"the {domain} database lacks partitions that are needed now: {', '.join(missing)}"
        )
        return fail(name, sentence, MIGRATE)
    soon = [each for each in (next_month, *days[_DAYS_NEEDED:]) if each not in there]
    if soon:
        sentence = f"the {domain} database lacks partitions that are needed soon: {', '.join(soon)}"
        return warn(name, sentence, MIGRATE)
    return ok(name, f"the {domain} database has the partitions of the days to come")
