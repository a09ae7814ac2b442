# SPDX-License-Identifier: Apache-2.0
"""One example for each operation, shown in the OpenAPI document."""

from typing import Any, Final

RECEIVED: Final[dict[str, Any]] = {"received": True}
