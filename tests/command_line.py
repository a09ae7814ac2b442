# SPDX-License-Identifier: Apache-2.0
"""The real console script in a process of its own, with an environment of its own, and all that it printed."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from strongroom.cli.installation import DATABASES, Installation
from strongroom.config import Settings
from strongroom.db.logins import Domain
from strongroom.db.pool import connect
from strongroom.kernel.clock import SystemClock

SCRIPT: Final = Path(sys.executable).with_name("strongroom")
SECONDS_MAX: Final = 60


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed for scripts."""
        return json.loads(self.out)

    @property
    def plain(self) -> str:
        """What it printed to people, on one line and without the frames around it."""
        return re.sub(r"[\s│╭╮╰╯─]+", " ", self.err + self.out).strip()


@dataclass(slots=True)
class CommandLine:
    """Runs `strongroom …` in a folder. What was printed is kept in `transcript`, if there is one."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    transcript: Path | None = None

    def __call__(
        self, *arguments: str, stdin: str = "", program: Sequence[str] = (), **variables: str
    ) -> Ended:
        """Run it to its end."""
        ended = subprocess.run(
            [*(program or [str(SCRIPT)]), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            timeout=SECONDS_MAX,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(self.folder),
                "LC_ALL": "C.UTF-8",
                **self.variables,
                **variables,
            },
        )
        if self.transcript is not None:
            with self.transcript.open("a", encoding="utf-8") as file:
                file.write(f"{ended.stdout}\n{ended.stderr}\n")
        assert "Traceback" not in ended.stderr, ended.stderr
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def done(self, *arguments: str, **more: Any) -> Ended:
        """Run what must succeed."""
        ended = self(*arguments, **more)
        assert ended.code == 0, ended.err + ended.out
        return ended


@dataclass(slots=True)
class Installed:
    """An installation of its own, initialised by the command line; this process keeps its database running."""

    run: CommandLine
    here: Installation

    @property
    def state(self) -> Path:
        """Its state folder."""
        return self.here.settings.state

    async def sql(self, domain: Domain | None, *statements: str) -> None:
        """Run statements as the superuser, in one of its databases or beside them."""
        name = "postgres" if domain is None else DATABASES[domain]
        connection = await connect(self.here.bootstrap(name))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def installed(ports: Sequence[int]) -> Iterator[Installed]:
    """Lend a new installation. As root it is below /var/lib, where the database's account reaches it."""
    parent = Path("/var/lib") if os.geteuid() == 0 else Path(tempfile.gettempdir())
    folder = parent / f"strongroom-tests-{os.getpid()}"
    folder.mkdir(mode=0o711, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=folder)).resolve()
    place.chmod(0o711)
    settings = Settings(state=place / "state")
    run = CommandLine(
        place,
        {
            "STRONGROOM_STATE": str(settings.state),
            "STRONGROOM_VAULT_LISTEN": f"127.0.0.1:{ports[0]}",
            "STRONGROOM_GATEWAY_LISTEN": f"127.0.0.1:{ports[1]}",
            "STRONGROOM_WEBHOOKS_LISTEN": f"127.0.0.1:{ports[2]}",
            "STRONGROOM_CONSOLE_LISTEN": f"127.0.0.1:{ports[3]}",
        },
    )
    here = Installation(settings, SystemClock())
    try:
        run.done("init")
        here.attach()
        yield Installed(run, here)
    finally:
        here.detach()
        shutil.rmtree(place, ignore_errors=True)
        if not any(folder.iterdir()):
            folder.rmdir()
