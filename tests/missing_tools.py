# SPDX-License-Identifier: Apache-2.0
"""Tests that need a program which is not installed skip with `missing(...)`; they are counted, and fail under CI."""

import os
from typing import Final, NoReturn

import pytest

MARK: Final = "missing tool: "


def missing(tool: str) -> NoReturn:
    """Skip, naming the tool. With CI=true the whole run then fails: a machine for integration has every tool."""
    pytest.skip(MARK + tool)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Say how many tests were skipped for a missing tool, and fail for it where CI=true."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    skipped = [
        report.longrepr[2].partition(MARK)[2]
        for report in reporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple) and MARK in report.longrepr[2]
    ]
    if skipped:
        reporter.write_line(
            f"{len(skipped)} tests skipped for missing tools: {', '.join(sorted(set(skipped)))}"
        )
        if os.environ.get("CI") == "true":
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
