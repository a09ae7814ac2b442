# SPDX-License-Identifier: Apache-2.0
"""A token as it will be, and the audit records of what one call made (ADR-0027). Pure but for their ids and salts.

A token that is made alone has a record of its own. Those of a call for many share what is the same of them: one record
names up to 32 tokens with their last four. It says of a token what its own would say.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from strongroom.audit import Action, NewRecord, Recorder, token_facts
from strongroom.vault.wire import TokenOut
from strongroom.vault.wishes import Asked
from strongroom.vault.writes import TokenRow

#: With this many the row stays below two kilobytes; PostgreSQL would compress a longer one.
TOKENS_A_RECORD: Final = 32

#: An enumeration is asked for its members by name every time.
_CREATED: Final = Action.VAULT_TOKEN_CREATED
_DEDUPLICATED: Final = Action.VAULT_TOKEN_DEDUPLICATED


class Made(NamedTuple):
    """A token as it will be; `row` is None where the card has that token already."""

    kept: TokenOut
    sent: TokenOut
    row: TokenRow | None
    last4: str


def record_of(made: Made, asked: Asked, recorder: Recorder) -> NewRecord:
    """Return the record of one token."""
    return _record(
        _CREATED if made.row is not None else _DEDUPLICATED,
        {"brand": made.kept.brand, "cvc_state": made.sent.cvc_state, "last4": made.last4},
        made.kept.id,
        asked,
        recorder,
    )


def records_of(made: Sequence[Made], asked: Asked, recorder: Recorder) -> Sequence[NewRecord]:
    """Return the records of what one call made: every token is named in exactly one."""
    kinds: dict[tuple[bool, str, str], list[Made]] = {}
    for each in made:
        kind = (each.row is not None, each.kept.brand, each.sent.cvc_state)
        kinds.setdefault(kind, []).append(each)
    records = []
    for (is_new, brand, cvc_state), alike in kinds.items():
        action = _CREATED if is_new else _DEDUPLICATED
        for at in range(0, len(alike), TOKENS_A_RECORD):
            some = alike[at : at + TOKENS_A_RECORD]
            if len(some) == 1:
                records.append(record_of(some[0], asked, recorder))
                continue
            named = token_facts([(one.kept.id, one.last4) for one in some])
            facts = {"brand": brand, "cvc_state": cvc_state, **named}
            records.append(_record(action, {**facts, "count": len(some)}, None, asked, recorder))
    return records


def _record(
    action: Action,
    details: Mapping[str, str | int],
    thing: str | None,
    asked: Asked,
    recorder: Recorder,
) -> NewRecord:
    principal = asked.principal
    return recorder.make(
        action,
        actor=principal.subject,
        merchant=principal.merchant,
        mode=principal.mode,
        thing=thing,
        origin=asked.origin,
        now=asked.now,
        details=details,
    )
