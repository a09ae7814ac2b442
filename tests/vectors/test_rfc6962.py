# SPDX-License-Identifier: Apache-2.0
"""Merkle roots and proofs against the vectors that transparency-dev/merkle publishes."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from strongroom.audit.errors import ProofRefused
from strongroom.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)

DATA = Path(__file__).parent / "data" / "rfc6962-merkle"


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DATA / name).read_text())
    return content


INCLUSION = read("inclusion.json")
CONSISTENCY = read("consistency.json")
TREES = read("leaves-roots.json")


def hashes(encoded: list[str] | None) -> list[bytes]:
    return [b64decode(one) for one in encoded or []]


@pytest.mark.parametrize("name", INCLUSION)
def test_inclusion(name: str) -> None:
    case = INCLUSION[name]

    def verify() -> None:
        verify_inclusion(
            b64decode(case["leafHash"]),
            index=case["leafIdx"],
            size=case["treeSize"],
            proof=hashes(case["proof"]),
            root=b64decode(case["root"]),
        )

    if case["wantErr"]:
        with pytest.raises(ProofRefused):
            verify()
    else:
        verify()


@pytest.mark.parametrize("name", CONSISTENCY)
def test_consistency(name: str) -> None:
    case = CONSISTENCY[name]

    def verify() -> None:
        verify_consistency(
            old=case["size1"],
            new=case["size2"],
            old_root=b64decode(case["root1"]),
            new_root=b64decode(case["root2"]),
            proof=hashes(case["proof"]),
        )

    if case["wantErr"]:
        with pytest.raises(ProofRefused):
            verify()
    else:
        verify()


@pytest.mark.parametrize("size", range(9))
def test_roots(size: int) -> None:
    leaves = [leaf_hash(bytes.fromhex(one)) for one in TREES["leaves_hex"][:size]]
    assert Frontier().appended(leaves).root().hex() == TREES["roots_hex_by_size"][size]


def test_the_vectors_are_all_there() -> None:
    assert len(INCLUSION) == len(CONSISTENCY) == 98
    assert sum(not case["wantErr"] for case in INCLUSION.values()) == 6
    assert sum(not case["wantErr"] for case in CONSISTENCY.values()) == 6
    assert EMPTY_ROOT.hex() == TREES["roots_hex_by_size"][0]
