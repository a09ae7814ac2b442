# SPDX-License-Identifier: Apache-2.0
"""The leaf of the audit tree: one act, as the exact bytes that are hashed, stored and exported.

The format is for ever. Fields are declared in alphabetical order and every text is printable ASCII that needs no
escape, so that msgspec's JSON is RFC 8785's. Refuses personal data: an address enters only through `salted`.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from strongroom.audit.actions import (
    FACT_NUMBER_LIMIT,
    NUMBER_FACTS,
    TEXT_FACTS,
    Action,
    Outcome,
)
from strongroom.audit.errors import RecordRefused
from strongroom.crypto.digest import sha256
from strongroom.kernel.base64url import base64url
from strongroom.kernel.invariant import invariant
from strongroom.kernel.mode import Mode

SALT_BYTES: Final = 32
#: No record is longer (a C2SP entry bundle would carry 65,535).
RECORD_BYTES_MAX: Final = 4096
VERSION: Final = 1


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One act. Every field is always present; `None` prints as null. Texts have the forms of `LEAF`."""

    action: Action
    #: Who did it: a key's or a user's id, or a name of ours such as `system:sealer` or `anonymous`.
    actor: str
    #: Masked facts from the lists in `actions`.
    details: Mapping[str, str | int]
    event_id: str
    #: The tenant; null where an act belongs to none.
    merchant: str | None
    mode: Mode | None
    #: What it was done to; null for a list.
    object: str | None
    #: `salted(…)` of the caller's address; null where nobody called.
    origin: str | None
    outcome: Outcome
    #: Hex SHA-256 that ties the log line, the trace and this record.
    request_hash: str | None
    #: 32 random bytes (`salt_text`): without them a short predictable leaf could be guessed from its hash.
    salt: str
    #: RFC 3339 with microseconds and `Z` (`kernel.clock.rfc3339`).
    time: str
    #: The payment that the act belongs to.
    transaction_id: str | None
    v: Literal[1] = VERSION


_ID: Final = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"
_NAME_PART: Final = r"(?:[a-z][a-z_]{0,31}[0-9]{0,9}|[0-9]{1,9})"
_NAME: Final = rf"[a-z][a-z_]{{0,31}}(?:[:.]{_NAME_PART}){{0,5}}"
_THING: Final = rf'"(?:[a-z]{{3}}_{_ID}|{_NAME})"'
_HASH: Final = r'"[0-9a-f]{64}"'
_FACT: Final = r'"[a-z0-9_]{1,32}":(?:"[ -!#-\[\]-~]{1,320}"|[0-9]{1,12})'

#: The one expression that every leaf matches, field by field. `encode` checks what it made against it, so that no
#: leaf is ever written which `decode` would refuse.
LEAF: Final = re.compile(
    (
        r'\{"action":"[a-z_.]{5,96}"'
        rf',"actor":{_THING}'
        rf',"details":\{{(?:{_FACT}(?:,{_FACT}){{0,11}})?\}}'
        rf',"event_id":"aud_(?=0){_ID}"'  # made before the year 3084, as the time is before 2100
        rf',"merchant":(?:null|"mer_{_ID}")'
        r',"mode":(?:null|"live"|"test")'
        rf',"object":(?:null|{_THING})'
        rf',"origin":(?:null|{_HASH})'
        r',"outcome":"[a-z]{6,7}"'
        rf',"request_hash":(?:null|{_HASH})'
        r',"salt":"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"'
        r',"time":"20[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])'
        r'T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"'
        rf',"transaction_id":(?:null|"[a-z]{{3}}_{_ID}")'
        r',"v":1\}'
    ).encode()
)

# "deterministic" sorts the details; a Struct's fields keep the order in which they are declared.
_encoder: Final = msgspec.json.Encoder(order="deterministic")
_decoder: Final = msgspec.json.Decoder(AuditRecord, strict=True)


def encode(record: AuditRecord) -> bytes:
    """Return the canonical bytes (RFC 8785) that are hashed and stored.

    Raises Bug where a field does not have its form or a fact is not on the list: such a record is never written.
    """
    payload = _encoder.encode(record)
    invariant(
        len(payload) <= RECORD_BYTES_MAX
        and LEAF.fullmatch(payload) is not None
        and _facts_hold(record.details)
        and _is_moment(record.time),
        "an audit record's fields have their forms",
    )
    return payload


def decode(payload: bytes) -> AuditRecord:
    """Read a leaf back. Raises RecordRefused, and nothing else, for bytes that `encode` does not write."""
    if len(payload) > RECORD_BYTES_MAX or LEAF.fullmatch(payload) is None:
        raise RecordRefused("the fields do not have the forms of a record")
    try:
        record = _decoder.decode(payload)
    except msgspec.DecodeError as error:  # ValidationError is one of these
        raise RecordRefused("a word is not one of the format's") from error
    if not _facts_hold(record.details):
        raise RecordRefused("a fact is not one that a record may carry")
    if not _is_moment(record.time):
        raise RecordRefused("the time is not a day of the calendar")
    if _encoder.encode(record) != payload:
        raise RecordRefused("the bytes are not canonical")
    return record


def salt_text(salt: bytes) -> str:
    """Print a record's salt: 32 random bytes as base64url without padding (RFC 4648 §5)."""
    invariant(len(salt) == SALT_BYTES, "a record's salt has 32 bytes")
    return base64url(salt)


def salted(salt: bytes, value: str) -> str:
    """Return hex SHA-256(salt ‖ value): the only form in which personal data enters a record.

    The salt is 32 random bytes kept beside the clear value in the erasable table and nowhere else. It is never the
    record's own salt: that one stays in the tree, and all IPv4 addresses can be tried in seconds.
    """
    invariant(len(salt) == SALT_BYTES, "a salt has 32 bytes")
    return sha256(salt + value.encode()).hex()


def _facts_hold(details: Mapping[str, str | int]) -> bool:
    for name, value in details.items():
        form = TEXT_FACTS.get(name)
        if form is None:
            if name not in NUMBER_FACTS or not isinstance(value, int):
                return False
            if not 0 <= value < FACT_NUMBER_LIMIT:
                return False
        elif not isinstance(value, str) or form.fullmatch(value) is None:
            return False
    return True


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
