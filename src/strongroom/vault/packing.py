# SPDX-License-Identifier: Apache-2.0
"""The columns of `put_tokens` as `put_columns` takes them (ADR-0024): each one text or one run of bytes.

For batches of a hundred tokens and more, of one call or of many: the driver spends 0.3 to 0.9 µs on every element of
an array. See `db.columns`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from strongroom.db.columns import (
    moments,
    numbers,
    padded_run,
    run_of_bytes,
    run_of_hashes,
    texts,
    width,
)

#: How each column is sent, by the name of what `put_tokens` takes; what is not named is sent as it is.
_WAYS: Final[Mapping[str, Callable[[Any], object]]] = {
    **dict.fromkeys(("k_merchant", "k_mode", "k_key", "k_claim", "k_object"), texts),
    **dict.fromkeys(
        ("t_token", "t_brand", "t_bin", "t_last4", "t_metadata", "t_created_by"), texts
    ),
    **dict.fromkeys(("t_container", "t_kind", "t_alias", "a_event"), texts),
    **dict.fromkeys(("k_status", "t_group", "t_key_version", "t_exp_month", "t_exp_year"), numbers),
    **dict.fromkeys(("t_fp_version", "t_single_use", "a_group"), numbers),
    **dict.fromkeys(("t_expires_at", "t_created_at"), moments),
    **dict.fromkeys(("k_fingerprint", "t_fingerprint", "a_leaf", "a_mac"), run_of_hashes),
    "t_sealed": run_of_bytes,
    "a_payload": padded_run,
}


def packed(names: Sequence[str], values: Sequence[Any]) -> list[object]:
    """Return what `put_columns` takes: how many rows and how wide, and then the columns of `put_tokens`.

    Args:
        names: of what `put_tokens` takes, in order.
        values: its arguments: a list a column, None for one of nulls alone.
    """
    columns = dict(zip(names, values, strict=True))
    counts = [len(columns[name]) for name in ("k_key", "t_token", "a_event")]
    widths = [width(columns[name]) for name in ("t_sealed", "a_payload")]
    sent = [
        value if value is None or name not in _WAYS else _WAYS[name](value)
        for name, value in columns.items()
    ]
    return [*counts, *widths, *sent]
