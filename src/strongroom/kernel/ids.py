# SPDX-License-Identifier: Apache-2.0
"""Object ids: a prefix, `_`, and 26 characters of Crockford base32 over a time-ordered 128-bit value.

Never a 13–19-digit number, and never a secret: what an id opens is decided by permissions. Time order keeps
index pages and WAL small (a third less at 10⁷ rows than random ids).
"""

import re
from datetime import UTC, datetime
from typing import Final, NewType

MerchantId = NewType("MerchantId", str)
TokenId = NewType("TokenId", str)
KeyId = NewType("KeyId", str)
AuditId = NewType("AuditId", str)
PaymentId = NewType("PaymentId", str)
AttemptId = NewType("AttemptId", str)
RefundId = NewType("RefundId", str)
DisputeId = NewType("DisputeId", str)
ConnectionId = NewType("ConnectionId", str)
EventId = NewType("EventId", str)
EndpointId = NewType("EndpointId", str)
DeliveryId = NewType("DeliveryId", str)
NoticeId = NewType("NoticeId", str)
PersonId = NewType("PersonId", str)
SessionId = NewType("SessionId", str)
ApprovalId = NewType("ApprovalId", str)
ServiceId = NewType("ServiceId", str)
NetworkId = NewType("NetworkId", str)
PasskeyId = NewType("PasskeyId", str)
InvitationId = NewType("InvitationId", str)
AccessRuleId = NewType("AccessRuleId", str)
DestinationId = NewType("DestinationId", str)
JobId = NewType("JobId", str)
ImportId = NewType("ImportId", str)
ImportKeyId = NewType("ImportKeyId", str)
ErasureId = NewType("ErasureId", str)
OutboxId = NewType("OutboxId", str)
ReportId = NewType("ReportId", str)
CustomerId = NewType("CustomerId", str)
MandateId = NewType("MandateId", str)

#: Every prefix that exists. A prefix once shipped is never given another meaning.
PREFIXES: Final = frozenset(
    (
        "mer tok pay att ref dsp cus con evt whe dlv key usr ses apr aud req cvk ntc svc inv psk net sso rvw brk "
        "rul dst job ers imp imk obx rcn blk inc mnd"
    ).split()
)

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
#: Of the 80 random bits, those in the last twelve characters.
_LOW_BITS: Final = 60
_LOW_MASK: Final = (1 << _LOW_BITS) - 1
_BODY: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def encode_id(prefix: str, milliseconds: int, entropy: bytes) -> str:
    """Print an id from a Unix time in milliseconds and ten random bytes."""
    random = int.from_bytes(entropy[:10], "big")
    # In two parts that a machine word holds: every token, record and event has an id.
    high, low = (milliseconds << 20) | (random >> _LOW_BITS), random & _LOW_MASK
    pairs = _PAIRS
    return (
        f"{prefix}_{pairs[high >> 60]}{pairs[(high >> 50) & 1023]}{pairs[(high >> 40) & 1023]}"
        f"{pairs[(high >> 30) & 1023]}{pairs[(high >> 20) & 1023]}{pairs[(high >> 10) & 1023]}{pairs[high & 1023]}"
        f"{pairs[low >> 50]}{pairs[(low >> 40) & 1023]}{pairs[(low >> 30) & 1023]}{pairs[(low >> 20) & 1023]}"
        f"{pairs[(low >> 10) & 1023]}{pairs[low & 1023]}"
    )


#: From a random byte to a character: five of its bits.
_CHARACTERS: Final = bytes(ord(_ALPHABET[byte & 31]) for byte in range(256))


def id_start(milliseconds: int) -> str:
    """Return the first ten characters of the ids of a millisecond."""
    pairs = _PAIRS
    return (
        f"{pairs[milliseconds >> 40]}{pairs[(milliseconds >> 30) & 1023]}{pairs[(milliseconds >> 20) & 1023]}"
        f"{pairs[(milliseconds >> 10) & 1023]}{pairs[milliseconds & 1023]}"
    )


def print_id(prefix: str, start: str, entropy: bytes) -> str:
    """Print an id from `id_start` and sixteen random bytes, of each of which five bits are used."""
    return f"{prefix}_{start}{entropy.translate(_CHARACTERS).decode()}"


def print_ids(prefix: str, start: str, entropy: bytes) -> list[str]:
    """Print ids as `print_id` does, one from every sixteen random bytes, in ascending order."""
    before, random = f"{prefix}_{start}", entropy.translate(_CHARACTERS).decode()
    return sorted([before + random[at : at + 16] for at in range(0, len(random), 16)])


def is_id(prefix: str, text: str) -> bool:
    """Tell whether the text has the form of an id of that prefix."""
    return text.startswith(prefix + "_") and _BODY.fullmatch(text, len(prefix) + 1) is not None


def id_time(text: str) -> datetime:
    """Return when an id was made (milliseconds)."""
    value = 0
    for character in text.rpartition("_")[2][:10]:
        value = value * 32 + _ALPHABET.index(character)
    return datetime.fromtimestamp(value / 1000, UTC)


def id_floor(prefix: str, moment: datetime) -> str:
    """Return the smallest id of a moment (for partition bounds): what lies below is older."""
    return encode_id(prefix, int(moment.timestamp() * 1000), bytes(10))
