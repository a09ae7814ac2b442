# SPDX-License-Identifier: Apache-2.0
"""A test that is skipped for a missing tool is counted, and is a failure where CI=true."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_a_missing_tool_is_named_counted_and_fails_under_ci(
    tmp_path: Path, ci: str, code: int
) -> None:
    (tmp_path / "test_one.py").write_text(
        "from missing_tools import missing\ndef test_it():\n    missing('frobnicator')\n", "utf-8"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "missing_tools", str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(TESTS), "PATH": "/usr/bin:/bin", "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == code, ran.stdout
    assert "1 tests skipped for missing tools: frobnicator" in ran.stdout
