# SPDX-License-Identifier: Apache-2.0
"""Every bound of the HTTP edge, with its unit. JSON depth is bound by the types a body is decoded into."""

from typing import Final

from strongroom.kernel.invariant import invariant

BODY_BYTES_MAX: Final = 16 * 1024
BULK_BODY_BYTES_MAX: Final = 1024 * 1024
FORWARD_BODY_BYTES_MAX: Final = 384 * 1024
NOTICE_BODY_BYTES_MAX: Final = 64 * 1024
BODY_SECONDS_MAX: Final = 10
HEADER_BYTES_MAX: Final = 16 * 1024
HEADERS_MAX: Final = 64
TARGET_BYTES_MAX: Final = 2_048
HEADER_SECONDS_MAX: Final = 10
HANDLER_SECONDS_MAX: Final = 30
IDEMPOTENCY_KEY_CHARACTERS_MAX: Final = 255
CONNECTIONS_WAITING_MAX: Final = 1_024
REQUESTS_AT_ONCE_MAX: Final = 2_048
JSON_DEPTH_MAX: Final = 32

invariant(BODY_BYTES_MAX < BULK_BODY_BYTES_MAX, "the bulk route takes more")
invariant(BODY_BYTES_MAX < NOTICE_BODY_BYTES_MAX, "processors send more than our own callers")
invariant(BODY_SECONDS_MAX < HANDLER_SECONDS_MAX, "a slow body is the client's fault, said as such")
