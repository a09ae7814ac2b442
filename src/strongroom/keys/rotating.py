# SPDX-License-Identifier: Apache-2.0
"""How each key is rotated, as a table: a test holds every key to it. Says why where one is not rotated by itself."""

import enum
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from strongroom.keys.model import DataKey
from strongroom.keys.purposes import KEYRING_MAC, KeyName


class Rotating(enum.StrEnum):
    """What a rotation of a key means."""

    #: What older versions have sealed is sealed anew, and then they can be destroyed.
    MOVES = "moves"
    #: What older versions have hashed or signed goes on being verified with them; nothing is moved.
    VERIFIES = "verifies"
    #: A command of its own does it.
    ELSEWHERE = "elsewhere"
    #: What it has hashed can be looked for under one version only: it would end.
    ENDS = "ends"
    #: It guards the rows of other keys, and is wrapped anew with its root.
    WITH_ROOT = "with_root"


ROTATING: Final[Mapping[KeyName, Rotating]] = {
    KeyName.API_KEY_HASH: Rotating.ENDS,
    KeyName.APPROVAL_FINGERPRINT: Rotating.ENDS,
    KeyName.AUDIT_ROW_MAC: Rotating.ENDS,
    KeyName.CARD: Rotating.MOVES,
    KeyName.CHECKPOINT_SEED: Rotating.VERIFIES,
    KeyName.CREDENTIALS: Rotating.MOVES,
    KeyName.CUSTOMER_DATA: Rotating.MOVES,
    KeyName.CUSTOMER_HASH: Rotating.ENDS,
    KeyName.FINGERPRINT: Rotating.MOVES,
    KeyName.IDEMPOTENCY: Rotating.VERIFIES,
    KeyName.LOGIN_HASH: Rotating.ENDS,
    KeyName.PASSWORD_PEPPER: Rotating.VERIFIES,
    KeyName.PROVIDER_SECRETS: Rotating.MOVES,
    KeyName.RECEIPT_SIGNING_SEED: Rotating.VERIFIES,
    KeyName.REFRESH_TOKENS: Rotating.ENDS,
    KeyName.REQUEST_FINGERPRINT: Rotating.VERIFIES,
    KeyName.SETUP_LINK_HASH: Rotating.ENDS,
    KeyName.SIGN_IN_HASH: Rotating.ENDS,
    KeyName.TOKEN_SIGNING_SEED: Rotating.ELSEWHERE,
    KeyName.TOTP_SECRETS: Rotating.MOVES,
    KeyName.TRANSFER: Rotating.MOVES,
    KeyName.WEBHOOK_SECRETS: Rotating.MOVES,
    **dict.fromkeys(KEYRING_MAC.values(), Rotating.WITH_ROOT),
}
#: What an operator is told of a key that is not rotated by itself.
INSTEAD: Final[Mapping[KeyName, str]] = {
    KeyName.API_KEY_HASH: "every API key would end: give out new ones, and revoke the old ones",
    KeyName.APPROVAL_FINGERPRINT: "every request that waits for its second person would be asked again",
    KeyName.AUDIT_ROW_MAC: "records that are not sealed yet would pass for altered until every process knows of it",
    KeyName.CUSTOMER_HASH: "every block and allowance of a card or an e-mail address would end: put them anew",
    KeyName.LOGIN_HASH: "every recovery code would end",
    KeyName.REFRESH_TOKENS: "every session would end: end those that should, by person",
    KeyName.SETUP_LINK_HASH: "every set-up link would end: withdraw those that should",
    KeyName.SIGN_IN_HASH: "every sign-in under way, and every link of a person to a provider, would end",
    KeyName.TOKEN_SIGNING_SEED: "rotate it by `strongroom signing-key rotate`",
    **dict.fromkeys(
        KEYRING_MAC.values(), "it is wrapped anew with its root: `strongroom keys rotate-root`"
    ),
}
#: Repeats of requests are known for so long by the fingerprint of their body.
REPEATS: Final = timedelta(hours=48)
#: For so long after a rotation, what is looked for by a keyed hash is written under the version before: every process
#: knows both by then.
ACTIVATION: Final = timedelta(seconds=10)


def phase(
    current: DataKey, older: Sequence[DataKey], now: datetime
) -> tuple[DataKey, Sequence[DataKey]]:
    """Say which version of a key that hashes writes, and under which others something may be known.

    In the first seconds after a rotation it is the one before: a process that does not know of the new one yet looks
    only there.

    Args:
        current: the newest version.
        older: those before it that still open, newest first.
        now: the process's time.
    """
    made_at = current.made_at
    if older and made_at is not None and now < made_at + ACTIVATION:
        return older[0], (current, *older[1:])
    return current, older
