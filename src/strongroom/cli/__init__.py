# SPDX-License-Identifier: Apache-2.0
"""The command line: one noun a file. Prints for people; `--json` for scripts; errors in one sentence, exit code 1."""


def main() -> None:
    """Run the command line. The nouns are imported here: a server's process that is no command needs none of them."""
    from strongroom.cli.app import main as run

    run()


__all__ = ["main"]
