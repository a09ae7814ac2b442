# SPDX-License-Identifier: Apache-2.0
"""What is shown of a stored token: as much as the access rule and the caller's kind allow."""

from base64 import urlsafe_b64decode
from binascii import Error as NotBase64
from collections.abc import Sequence
from typing import Final

from msgspec import UNSET, UnsetType

from strongroom.kernel.base64url import base64url
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.principal import CallerKind
from strongroom.vault.containers.model import Transform
from strongroom.vault.details import Details
from strongroom.vault.model import StoredToken
from strongroom.vault.wire import NetworkTokenOut, TokenOut

_FINGERPRINT: Final = "fp"
_FINGERPRINT_BYTES: Final = 32
_VERSION_MAX: Final = 10**6


def view_of(
    token: StoredToken,
    *,
    deduplicated: bool = False,
    transform: Transform = Transform.MASK,
    caller: CallerKind | None = None,
    details: Details | None = None,
) -> TokenOut:
    """Return what may be shown of a stored token.

    Args:
        token: as its row knows it.
        deduplicated: whether the caller's number had it already.
        transform: of the access rule that lets the caller at it.
        caller: the kind of the caller's credential; a secret key is told the fingerprint.
        details: what was opened for this call; None: only their names are told.
    """
    shown = transform is not Transform.REDACT
    opened = details if details is not None and shown else Details()
    network_token = opened.network_token
    return TokenOut(
        id=token.token_id,
        object="token",
        mode=token.mode,
        brand=token.brand,
        bin=token.bin if shown else None,
        last4=token.last4 if shown else None,
        exp_month=token.exp_month,
        exp_year=token.exp_year,
        single_use=token.single_use,
        deduplicated=deduplicated,
        created_at=rfc3339(token.created_at),
        expires_at=rfc3339(token.expires_at) if token.expires_at else None,
        metadata=token.metadata,
        cvc_state="absent",
        container=token.container,
        kind=token.kind or UNSET,
        pan_alias=(token.pan_alias or UNSET) if shown else UNSET,
        fingerprint=fingerprint_text(token.fingerprint, token.fingerprint_version, caller)
        if shown
        else UNSET,
        details=names_of(token.details),
        holder=opened.holder or UNSET,
        billing_address=opened.billing_address or UNSET,
        network_token=UNSET
        if network_token is None
        else NetworkTokenOut(network_token.requestor_id, network_token.eci),
        stored_credential=opened.stored_credential or UNSET,
    )


def names_of(details: Sequence[str]) -> list[str] | UnsetType:
    """Return the names of what is sealed beside a number, sorted; nothing where there is none."""
    return sorted(details) if details else UNSET


def fingerprint_text(
    fingerprint: bytes | None, version: int | None, caller: CallerKind | None
) -> str | UnsetType:
    """Print a fingerprint for a secret key; nobody else is told one. It is keyed, and says nothing of the number."""
    if fingerprint is None or caller is not CallerKind.SECRET:
        return UNSET
    return f"{_FINGERPRINT}{version}_{base64url(fingerprint)}"


def read_fingerprint(text: str) -> tuple[int, bytes] | None:
    """Return version and bytes of a printed fingerprint; None: it is none."""
    head, _, body = text.partition("_")
    number = head.removeprefix(_FINGERPRINT)
    if (
        head == number
        or not (number.isascii() and number.isdigit())
        or len(number) > len(str(_VERSION_MAX))
    ):
        return None
    try:
        found = urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except (NotBase64, ValueError):
        return None
    return (int(number), found) if len(found) == _FINGERPRINT_BYTES else None
