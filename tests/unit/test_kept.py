# SPDX-License-Identifier: Apache-2.0
"""What is kept of an answer for many tokens prints the same bytes again, whatever the answer held."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from strongroom.vault.kept import TOKENS_MIN, kept_form, printed_again
from strongroom.vault.wire import ItemProblem, TokenItem, TokenOut, TokensOut

TEXT = st.text(max_size=12)
MAYBE = st.none() | TEXT
LEFT_OUT = st.just(UNSET) | TEXT


def token(**more: object) -> TokenOut:
    """Return a token as it is answered with."""
    told = {
        "id": "tok_01M8FD9A7D01VTX8X3X9APQGTV",
        "object": "token",
        "mode": "test",
        "brand": "synthetic",
        "bin": "000000",
        "last4": "0005",
        "exp_month": 12,
        "exp_year": 2034,
        "single_use": False,
        "deduplicated": False,
        "created_at": "2026-11-27T21:06:23.083155Z",
        "expires_at": None,
        "metadata": {},
        "cvc_state": "absent",
    }
    return TokenOut(**{**told, **more})  # type: ignore[arg-type]  # by name


TOKENS = st.fixed_dictionaries(
    {
        "id": TEXT,
        "brand": st.sampled_from(["visa", "synthetic"]),
        "bin": MAYBE,
        "exp_month": st.integers(1, 12),
        "deduplicated": st.booleans(),
        "expires_at": MAYBE,
        "metadata": st.dictionaries(TEXT, TEXT, max_size=2),
        "cvc_state": st.sampled_from(["absent", "sealed", "not_replayable"]),
    },
    optional={"fingerprint": LEFT_OUT, "pan_alias": LEFT_OUT, "details": st.lists(TEXT)},
).map(lambda told: token(**told))
ITEMS = TOKENS.map(lambda made: (made, None)) | st.builds(
    ItemProblem, TEXT, TEXT, st.lists(st.dictionaries(TEXT, TEXT, max_size=2), max_size=2)
).map(lambda problem: (None, problem))


def result(items: list[tuple[TokenOut | None, ItemProblem | None]]) -> TokensOut:
    """Return the answer that holds these."""
    data = [TokenItem(at, token=made, problem=wrong) for at, (made, wrong) in enumerate(items)]
    refused = sum(wrong is not None for _, wrong in items)
    return TokensOut("list", len(items) - refused, refused, data)


@given(
    st.lists(TOKENS.map(lambda made: (made, None)), min_size=1, max_size=24)
    | st.lists(ITEMS, max_size=12)
)
def test_a_repeat_is_told_the_same_bytes(
    items: list[tuple[TokenOut | None, ItemProblem | None]],
) -> None:
    made = result(items)
    printed = msgspec.json.encode(made)
    assert printed_again(kept_form(made, printed)) == printed


def test_what_tokens_share_is_kept_once() -> None:
    made = result([(token(id=f"tok_{place:026d}"), None) for place in range(500)])
    printed = msgspec.json.encode(made)
    kept = kept_form(made, printed)
    assert len(kept) < len(printed) / 8
    assert kept.count(b"2026-11-27T21:06:23.083155Z") == 1
    assert kept.count(b"tok_") == 500


@pytest.mark.parametrize(
    "items",
    [
        [(token(), None)] * (TOKENS_MIN - 1),
        [(token(), None)] * TOKENS_MIN + [(None, ItemProblem("card_expired", "", []))],
        [(token(), None)] * TOKENS_MIN + [(token(pan_alias="1"), None)],
    ],
    ids=["few", "a problem", "a field that some have"],
)
def test_what_is_not_folded_is_kept_as_it_was_sent(
    items: list[tuple[TokenOut | None, ItemProblem | None]],
) -> None:
    made = result(items)
    printed = msgspec.json.encode(made)
    assert kept_form(made, printed) is printed
