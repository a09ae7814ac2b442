# SPDX-License-Identifier: Apache-2.0
"""Why a card is not shown. What the vault refuses everywhere stands in `vault.errors`; none holds a digit.

Refused
├── RevealSingleUse         409   the token is for one payment and is never shown
├── RevealStopped           403   the caller revealed too much at once
├── RevealStopUnknown       404
└── RevealStopOwn           403   nobody lifts their own
Invalid                     422   purpose, note or `jwe_key`: one FieldError each
"""

from strongroom.kernel.errors import Conflict, Denied, NotThere


class RevealSingleUse(Conflict):
    """A single-use token stands for one payment: its card is not shown."""

    code = "reveal_single_use"


class RevealStopped(Denied):
    """This caller revealed too many cards at once: until somebody else lifts it or its time passes, none is shown."""

    code = "reveal_stopped"


class RevealStopUnknown(NotThere):
    """No such caller is stopped."""

    code = "reveal_stop_unknown"


class RevealStopOwn(Denied):
    """Nobody lifts a stop of their own."""

    code = "reveal_stop_own"
