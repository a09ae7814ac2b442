# SPDX-License-Identifier: Apache-2.0
"""`python -m strongroom` is `strongroom`."""

from strongroom.cli import main

main()
