# SPDX-License-Identifier: Apache-2.0
"""Live and test are apart in every key, foreign key, associated data, data key and idempotency scope."""

import enum


class Mode(enum.StrEnum):
    """Which of the two worlds an object belongs to."""

    LIVE = "live"
    TEST = "test"
