# SPDX-License-Identifier: Apache-2.0
"""Set-up links and tickets: 256 random bits each, kept as keyed hashes under names of their own.

A link's secret stands behind the `#` of its address: browsers do not send that part (ASVS 5.0 V14.2.1).
"""

import re
from typing import Final

from strongroom.crypto.digest import hmac_sha256
from strongroom.crypto.random import new_secret_text
from strongroom.kernel.secret import Secret

_BITS: Final = 256
_LINK: Final = re.compile(r"link_[0-9A-Za-z]{43}")
_TICKET: Final = re.compile(r"ticket_[0-9A-Za-z]{43}")


def new_link_secret() -> Secret[str]:
    """Return the secret of a new link."""
    return Secret("link_" + new_secret_text(_BITS))


def new_ticket() -> Secret[str]:
    """Return a new ticket."""
    return Secret("ticket_" + new_secret_text(_BITS))


def link_of(console_url: str, secret: Secret[str]) -> Secret[str]:
    """Return the address that a person opens."""
    return Secret(f"{console_url.rstrip('/')}/setup#{secret.expose()}")


def link_hash(key: Secret[bytes], link: Secret[str]) -> bytes | None:
    """Return the kept form of a link, given whole or as its secret; None for what has not the form of one."""
    text = link.expose().rpartition("#")[2]
    return hash_of(key, Secret(text)) if _LINK.fullmatch(text) else None


def ticket_hash(key: Secret[bytes], ticket: Secret[str]) -> bytes | None:
    """Return the kept form of a ticket; None for what has not the form of one."""
    return hash_of(key, ticket) if _TICKET.fullmatch(ticket.expose()) else None


def hash_of(key: Secret[bytes], secret: Secret[str]) -> bytes:
    """Return the kept form of a secret that we made; its beginning says whether it is a link's or a ticket."""
    return hmac_sha256(key.expose(), secret.expose().encode())
