# SPDX-License-Identifier: Apache-2.0
"""The name of a region: where cards rest. A word of the operator's own (`uae`, `me-central-1`), compared as it is."""

import re
from typing import Final

REGION_PATTERN: Final = "^[a-z][a-z0-9-]{0,30}$"
REGION: Final = re.compile(REGION_PATTERN.strip("^$"))
