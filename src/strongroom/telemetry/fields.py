# SPDX-License-Identifier: Apache-2.0
"""Every field a log line may have, and what it means. Whatever is not here is dropped and counted.

A golden file keeps the list (tests/golden/log_fields.txt); a field once shipped never changes its meaning.
None holds a card number, a CVC, a secret, a request body, a path or an address.
"""

from types import MappingProxyType
from typing import Final

#: On every line. Outside a request, request_id and trace_hash name the run of the process.
ALWAYS: Final = ("timestamp", "level", "event_type", "request_id", "trace_hash")

FIELDS: Final = MappingProxyType(
    {
        # always
        "timestamp": "when, RFC 3339 in UTC with microseconds",
        "level": "debug, info, warning, error or critical",
        "event_type": "what happened: dotted words, constant in the code",
        "request_id": "the request, or the run of the process outside one",
        "trace_hash": "SHA-256 of request_id in hexadecimal; also in traces and audit records",
        # who
        "user_id": "the API key or person that asked",
        "merchant_id": "the merchant it concerns",
        "mode": "live or test",
        # a payment, a token
        "transaction_id": "the payment",
        "amount_minor": "its amount in the currency's minor units",
        "currency": "ISO 4217, upper case",
        "token_id": "the token",
        "scheme": "the card's scheme",
        "outcome": "how it went, in one word of the domain",
        "processor": "the processor's name",
        # HTTP
        "listener": "which listener answered",
        "method": "the request's method",
        "route": "the route's template, never the path",
        "status": "the answer's HTTP status",
        "duration_ms": "how long it took, in milliseconds",
        "replayed": "true if the answer is an idempotent replay",
        # audit
        "audit_event_id": "the audit record",
        "leaf_hash": "the audit record's leaf hash in hexadecimal",
        "tree": "which audit tree",
        "tree_size": "how many leaves the tree has",
        "root_hash": "the tree's root in hexadecimal",
        "sink": "the audit or log sink",
        # security events
        "action": "the action of the audit record, in its words",
        "severity": "of a security event: low, medium, high or critical",
        "object_id": "what it was done to",
        # keys
        "key_purpose": "what the key is for",
        "key_version": "which version of the key",
        "key_store": "which key store",
        # work in the background
        "job": "the job",
        "done": "how much of it is done",
        "total": "how much there is",
        "rows": "how many rows",
        "attempt": "which attempt, from 1",
        # trouble
        "code": "the error's code as the API shows it",
        "error_class": "the exception's class, never its message",
        "causes": "the classes of the exceptions behind it",
        "frames": "where it was raised: file:line:function, innermost last",
        "reason": "a sentence, with card numbers and credentials taken out",
        "retry_after_seconds": "when to try again",
        "logger": "which library wrote the message",
        "check": "the name of a health check or of a start-up check",
        # the process
        "role": "the process's role",
        "pid": "the process's number",
        "version": "the version of Strongroom",
        "port": "the port it listens on",
        # the log itself
        "fields_dropped": "how many fields of this line were not on this list",
        "lines_lost": "how many lines could not be written",
        "redaction": "`removed` if the finished line had something to take out, `redaction_failed` if it was withheld",
    }
)

NAMES: Final = frozenset(FIELDS)
#: Sentences that may come from elsewhere: these are searched for more than the others.
FREE_TEXT: Final = frozenset({"reason"})


def describe() -> str:
    """Return the list as the golden file and the documentation show it."""
    return "".join(f"{name}: {meaning}\n" for name, meaning in sorted(FIELDS.items()))
