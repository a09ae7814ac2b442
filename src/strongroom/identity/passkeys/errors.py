# SPDX-License-Identifier: Apache-2.0
"""Why passkeys are refused.

Refused
├── NotThere
│   └── PasskeyUnknown     404
├── PasskeyRefused         422   a new passkey is not what this installation takes
├── PasskeyKnown           409   the authenticator has a passkey here already
└── PasskeyNotAccepted     401   a proof does not hold: one answer, whatever the reason
ProofBroken                      inside this package: which check failed
"""

from strongroom.http.auth import Unrecognized
from strongroom.kernel.errors import Conflict, NotThere, Refused, StrongroomError


class PasskeyUnknown(NotThere):
    """There is no such passkey."""

    code = "passkey_unknown"


class PasskeyRefused(Refused):
    """This passkey is not one that is taken here."""

    code = "passkey_refused"
    status = 422


class PasskeyKnown(Conflict):
    """This authenticator holds a passkey for this installation already."""

    code = "passkey_known"


class PasskeyNotAccepted(Unrecognized):
    """The passkey was not accepted."""

    code = "passkey_not_accepted"
    status = 401


class ProofBroken(StrongroomError):
    """A ceremony's answer does not hold. `reason` is a word for the audit log and is never told to the caller."""

    code = "proof_broken"

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason
