# SPDX-License-Identifier: Apache-2.0
"""Why something about what merchants are told is refused.

Refused
├── NotThere
│   ├── EndpointUnknown        404
│   └── EventUnknown           404
├── Conflict
│   ├── EndpointBusy           409
│   ├── EndpointDisabled       409
│   └── EndpointsFull          409
└── egress.DestinationRefused  422   an address that may not be called
EndpointSecretsUnreadable      503   data altered or key lost: page someone
"""

from typing import ClassVar

from strongroom.kernel.errors import Conflict, NotThere, Unavailable


class EndpointUnknown(NotThere):
    """There is no such endpoint."""

    code = "endpoint_unknown"


class EventUnknown(NotThere):
    """There is no such event."""

    code = "event_unknown"


class EndpointBusy(Conflict):
    """This endpoint is being changed by somebody else; nothing was done, try again."""

    code = "endpoint_busy"


class EndpointDisabled(Conflict):
    """This endpoint is disabled: it is told nothing until it is made active."""

    code = "endpoint_disabled"


class EndpointsFull(Conflict):
    """This merchant has as many endpoints as it can have: delete one."""

    code = "endpoints_full"


class EndpointSecretsUnreadable(Unavailable):
    """An endpoint's secrets do not open: its row was altered or their key is lost."""

    code = "endpoint_secrets_unreadable"
    retry_after_seconds: ClassVar[int] = 60
