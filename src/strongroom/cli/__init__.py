# SPDX-License-Identifier: Apache-2.0
"""The command line: one noun a file. Prints for people; `--json` for scripts; errors in one sentence, exit code 1."""

from strongroom.cli.app import main

__all__ = ["main"]
