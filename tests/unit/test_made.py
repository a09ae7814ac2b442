# SPDX-License-Identifier: Apache-2.0
"""The records of a call for many tokens: each token is named once, in the call's order, in rows that stay short."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from named_tokens import named
from strongroom.audit import Origin
from strongroom.audit.record import decode
from strongroom.audit.recorder import EventRecorder
from strongroom.crypto.ids import new_id, new_ids
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, Principal
from strongroom.kernel.schemes import SCHEMES
from strongroom.kernel.secret import Secret
from strongroom.vault.made import Made, records_of
from strongroom.vault.wire import TokenOut
from strongroom.vault.wishes import Asked
from strongroom.vault.writes import TokenRow

#: With what stands beside it in its row, a longer payload would be compressed by PostgreSQL.
PAYLOAD_BYTES_MAX = 1_850
LONGEST_BRAND = max((scheme.name for scheme in SCHEMES), key=len)


def made(count: int, brand: str = "visa", *, known: bool = False) -> list[Made]:
    row = None if known else cast("TokenRow", object())
    return [
        Made(view, view, row, view.last4 or "")
        for number, token in enumerate(new_ids("tok", count))
        for view in [_view(token, brand, f"{number:04}")]
    ]


def _view(token: str, brand: str, last4: str) -> TokenOut:
    now = "2026-01-02T03:04:05.000000Z"
    return TokenOut(
        token, "token", "test", brand, "424242", last4, 12, 2034, False, False, now, None, {}, "not_replayable"
    )  # fmt: skip


def records(tokens: list[Made]) -> list[bytes]:
    merchant = MerchantId(new_id("mer"))
    principal = Principal(new_id("key"), CallerKind.SECRET, merchant, Mode.TEST, frozenset())
    asked = Asked(principal, Origin("a" * 64, "b" * 64), "key", datetime.now(UTC), "req")
    recorder = EventRecorder(cast("Any", None), Secret(bytes(32)), SystemClock())
    return [record.payload for record in records_of(tokens, asked, recorder)]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, 1), (2, 1), (8, 1), (9, 1), (32, 1), (33, 2), (64, 2), (65, 3), (1_000, 32)],
)
def test_each_token_is_named_once_and_in_order(count: int, expected: int) -> None:
    tokens = made(count)
    written = records(tokens)
    assert len(written) == expected
    names = [(name, said["last4"]) for payload in written for name, said in named(payload).items()]
    assert names == [(each.kept.id, each.last4) for each in tokens]


def test_one_that_is_left_alone_has_the_record_that_it_would_have_had_by_itself() -> None:
    known = made(1, known=True)
    written = [decode(payload) for payload in records([*made(5), *made(1, "amex"), *known])]
    assert [(each.action, each.object is None) for each in written] == [
        ("vault.token.created", True),
        ("vault.token.created", False),
        ("vault.token.deduplicated", False),
    ]
    assert TokenId(written[2].object or "") == known[0].kept.id
    assert set(written[2].details) == {"brand", "cvc_state", "last4"}


def test_the_longest_record_is_still_short() -> None:
    (payload,) = records(made(32, LONGEST_BRAND, known=True))
    assert len(payload) <= PAYLOAD_BYTES_MAX
    assert decode(payload).details["count"] == 32
