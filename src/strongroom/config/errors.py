# SPDX-License-Identifier: Apache-2.0
"""Why a configuration is not taken.

SettingRefused         one or more settings cannot be read; names every one
UnsafeConfiguration    production would start unsafe; names every fault at once (promise 8)
"""

from collections.abc import Sequence

from strongroom.kernel.errors import StrongroomError


class SettingRefused(StrongroomError):
    """A setting cannot be read."""

    code = "setting_refused"


class UnsafeConfiguration(StrongroomError):
    """This configuration is not safe for production."""

    code = "unsafe_configuration"

    def __init__(self, faults: Sequence[str]) -> None:
        listed = "".join(f"\n  - {fault}" for fault in faults)
        super().__init__(f"refusing to start in production, {len(faults)} faults:{listed}")
        self.faults = tuple(faults)
