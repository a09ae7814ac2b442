# SPDX-License-Identifier: Apache-2.0
"""`strongroom doctor`: what is wrong with this installation, and what to do. Mends nothing, makes nothing.

An embedded database that is not running is started to be looked at, and stopped afterwards.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from strongroom.cli.console import installation, out, print_json, progress, run

if TYPE_CHECKING:
    from rich.progress import Progress

    from strongroom.cli.diagnosis.databases import Seen
    from strongroom.cli.diagnosis.finding import Finding
    from strongroom.cli.installation import Installation

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_STEPS = 5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", epilog="Example: strongroom doctor --json")(doctor)


def doctor(
    *,
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    problems: bool = typer.Option(False, "--problems", help="Leave out what is well."),
) -> None:
    """Say what is wrong with this installation, and what to do. Exit code 1 if anything fails."""
    from strongroom.cli.diagnosis.finding import Level, fail, failed
    from strongroom.config import SettingRefused

    try:
        here = installation()
    except SettingRefused as error:
        remedy = "unset or mend each: docs/reference/config.md"
        found, production = [fail("settings", error.detail, remedy)], False
        faults: list[str] | None = None
    else:
        with progress() as bar:
            found, faults = _examine(here, bar)
        production = here.settings.production
    wrong = failed(found) or (production and bool(faults))
    if problems:
        found = [finding for finding in found if finding.level is not Level.OK]
    if as_json:
        print_json(_printed(found, faults, wrong=wrong))
    else:
        _print(found, faults, production=production)
    if wrong:
        raise typer.Exit(1)


def _examine(here: "Installation", bar: "Progress") -> "tuple[list[Finding], list[str] | None]":
    """Look at everything, from the ground up; what cannot be looked at without the rest is left out."""
    from strongroom.cli.diagnosis import (
        audit_log,
        databases,
        encryption_keys,
        files,
        internal_port,
        machine,
    )
    from strongroom.cli.diagnosis.finding import failed
    from strongroom.db.logins import Domain

    task = bar.add_task("machine", total=_STEPS)

    def step(name: str) -> None:
        bar.update(task, description=name, advance=1)

    settings, now = here.settings, here.clock.now()
    found = [machine.python(), machine.system(), machine.user(), machine.dumps()]
    found += [machine.open_files(), *machine.disk(settings), *machine.binaries(here)]
    found += files.state_folder(here)
    if not settings.state.is_dir():
        return found, None
    elsewhere = files.references(here)
    found += elsewhere
    if failed(elsewhere):
        return found, None  # databases and keys are behind them
    step("files")
    found += files.secrets([*files.secret_files(here), *internal_port.secret_files(here)])
    found += run(files.key_store(here))
    found += files.certificate(here, now)
    found += internal_port.certificates(here, now)
    certificate = settings.tls_certificate or settings.state / "tls" / "server.pem"
    ports, served = machine.ports(settings, certificate)
    found += ports
    step("databases")
    seen = databases.Seen()
    found += databases.server(here)
    try:
        if not here.uses_embedded or here.server_log is not None:
            seen = run(databases.databases(here))
            found += seen.findings
            step("audit")
            found += run(audit_log.audit_logs(here, seen, served=served))
            if len(seen.usable) == len(Domain):
                found += run(encryption_keys.cryptoperiods(here))
    finally:
        here.detach()
    database = None if seen.ahead is None else now + seen.ahead
    found.append(machine.clock(now, newest=seen.newest, database=database))
    step("production")
    return found, _faults(here, seen)


def _faults(here: "Installation", seen: "Seen") -> list[str]:
    """Return what a start in production would refuse, of what could be looked at."""
    from strongroom.cli.hardening import can_be_dumped
    from strongroom.config import StartFacts, faults
    from strongroom.config.load import has_static_cloud_credentials
    from strongroom.db.logins import logins_of

    roles = {(domain.value, login.value) for domain, login in logins_of(here.roles)}
    facts = StartFacts(
        databases=tuple(each for each in seen.facts if (each.name, each.login) in roles),
        embedded_database=here.uses_embedded,
        static_cloud_credentials=has_static_cloud_credentials(
            google_file=here.settings.gcp_credentials
        ),
        dumpable=can_be_dumped(),
        default_secret=here.uses_default_secret,
        sink_outside_database=here.settings.audit_sink is not None,
    )
    return list(faults(here.settings, facts))


def _printed(
    found: "Iterable[Finding]", faults: list[str] | None, *, wrong: bool
) -> dict[str, Any]:
    return {
        "ok": not wrong,
        "findings": [
            {
                "name": finding.name,
                "level": finding.level.value,
                "sentence": finding.sentence,
                "remedy": finding.remedy,
            }
            for finding in found
        ],
        "production_refuses": faults,
    }


def _print(found: "Iterable[Finding]", faults: list[str] | None, *, production: bool) -> None:
    """Print for people. Nothing that was found is read as markup."""
    for finding in found:
        line = Text.assemble(
            (f"{finding.level:<5}", _STYLES[finding.level]),
            f"{finding.name:<20} ",
            finding.sentence,
        )
        out.print(line, soft_wrap=True)
        if finding.remedy:
            out.print(Text(f"{'':25} → {finding.remedy}", style="cyan"), soft_wrap=True)
    if faults is None:  # too little is there to judge
        return
    if not faults:
        out.print("\nproduction refuses nothing here")
        return
    out.print(
        Text("\nproduction refuses to start:" if production else "\nproduction would refuse:"),
        style="bold red" if production else "bold",
    )
    for fault in faults:
        out.print(Text(f"  - {fault}"), soft_wrap=True)
