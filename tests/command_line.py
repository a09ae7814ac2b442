# SPDX-License-Identifier: Apache-2.0
"""The real console script in a process of its own, with an environment of its own, and all that it printed."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

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
