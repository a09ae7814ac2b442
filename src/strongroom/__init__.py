# SPDX-License-Identifier: Apache-2.0
"""Strongroom: a self-hosted payment gateway with its own card vault."""

from typing import Final

__version__: Final = "0.1.0"
