# SPDX-License-Identifier: Apache-2.0
"""A token as it will be, and the audit records of what one call made (ADR-0027). Pure but for the records' salts.

A token that is made alone has a record of its own. Those of a call for many share what is the same of them: one record
names up to 32 tokens with their last four, in facts that hold eight each. It says of a token what its own would say.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from strongroom.audit import Action, NewRecord, Recorder
from strongroom.vault.wire import TokenOut
from strongroom.vault.wishes import Asked
from strongroom.vault.writes import TokenRow

#: Of as many the row is still below two kilobytes, from where on PostgreSQL would compress it.
TOKENS_A_RECORD: Final = 32
#: The form of a fact admits no more.
_TOKENS_A_FACT: Final = 8

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
            facts = {"brand": brand, "cvc_state": cvc_state, **_named(some)}
            records.append(_record(action, {**facts, "count": len(some)}, None, asked, recorder))
    return records


def _named(some: Sequence[Made]) -> dict[str, str]:
    """Name tokens in facts: an id in groups, as `audit.grouped` prints one, without its prefix; then the last four."""
    names = [
        f"{token[4:12]}-{token[12:20]}-{token[20:28]}-{token[28:]}:{last4}"
        for token, last4 in [(each.kept.id, each.last4) for each in some]
    ]
    return {
        f"tokens_{number}": ",".join(names[at : at + _TOKENS_A_FACT])
        for number, at in enumerate(range(0, len(names), _TOKENS_A_FACT), start=1)
    }


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
