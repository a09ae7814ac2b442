# SPDX-License-Identifier: Apache-2.0
"""Each import contract bites: one breach is injected into a copy of the package for each, and refused."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Contract, the file that breaks it (one that is not there is a new module), the import.
BREACHES = [
    ("layers", "kernel/money.py", "import strongroom.vault"),
    ("pan", "compose/composer.py", "import strongroom.vault.pan"),
    ("front-doors-vault", "cli/init.py", "import strongroom.vault.create"),
    ("front-doors-payments", "cli/init.py", "import strongroom.payments.service"),
    ("front-doors-webhooks", "payments/errors.py", "import strongroom.webhooks.inbound.inbox"),
    (
        "processors-apart",
        "payments/processors/second.py",
        "import strongroom.payments.processors.simulator",
    ),
    ("door-egress", "webhooks/deliver.py", "import aiohttp"),
    ("front-doors-identity", "cli/init.py", "import strongroom.identity.store"),
    ("front-doors-audit", "vault/errors.py", "import strongroom.audit.recorder"),
    ("front-doors-keys", "vault/errors.py", "import strongroom.keys.keyring"),
    ("door-crypto", "vault/errors.py", "import hashlib"),
    ("door-db", "vault/errors.py", "import asyncpg"),
    ("pure", "vault/cards.py", "import socket"),
    ("acyclic", "db/errors.py", "import strongroom.keys"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contracts")
    shutil.copytree(
        ROOT / "src" / "strongroom",
        folder / "strongroom",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(ROOT / "pyproject.toml", folder / "pyproject.toml")
    return folder


def _lint(folder: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    program = "import sys; from importlinter.cli import lint_imports_command as c; c(sys.argv[1:])"
    chosen = [word for contract in contracts for word in ("--contract", contract)]
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache", "--no-logo", *chosen],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_contract_of_the_project_has_a_breach_here() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    assert {contract["id"] for contract in contracts} == {breach[0] for breach in BREACHES}


@pytest.mark.parametrize(("contract", "file", "line"), BREACHES, ids=[b[0] for b in BREACHES])
def test_a_breach_is_refused(copy: Path, contract: str, file: str, line: str) -> None:
    path = copy / "strongroom" / file
    before = path.read_text("utf-8") if path.exists() else None
    try:
        path.write_text(f"{before or ''}\n{line}\n", "utf-8")
        refused = _lint(copy, contract)
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before, "utf-8")
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "BROKEN" in refused.stdout
