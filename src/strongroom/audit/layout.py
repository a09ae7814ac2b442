# SPDX-License-Identifier: Apache-2.0
"""The files of an export and of a tenant's bundle: what the writer writes and the verifier reads.

Manifests are not signed. They say what to expect; only checkpoints and proofs are believed.
"""

from typing import Final, Literal, TypeVar

import msgspec

from strongroom.audit.errors import ExportRefused

#: One canonical leaf a line, in the order of the tree, from index 0.
RECORDS: Final = "records.jsonl"
#: The tree's own leaf hashes, 32 bytes each: where records and checkpoints disagree they show which record it is.
LEAF_HASHES: Final = "leaf_hashes.bin"
#: Every signed note in the order of signing, an empty line between two.
CHECKPOINTS: Final = "checkpoints.txt"
EXPORT_MANIFEST: Final = "export.json"
BUNDLE_MANIFEST: Final = "bundle.json"
#: A tenant's proofs, `<event id>.tlog-proof` each.
PROOFS: Final = "proofs"
MANIFEST_BYTES_MAX: Final = 4096


class ExportManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a whole tree's export says of itself."""

    checkpoints: int
    format: Literal["strongroom-audit-export@v1"] = "strongroom-audit-export@v1"
    made_at: str
    origin: str
    size: int
    tree: str


class BundleManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tenant's bundle says of itself."""

    format: Literal["strongroom-audit-bundle@v1"] = "strongroom-audit-bundle@v1"
    made_at: str
    merchant: str
    origin: str
    records: int
    tree: str


M = TypeVar("M", ExportManifest, BundleManifest)


def encode_manifest(manifest: ExportManifest | BundleManifest) -> bytes:
    """Print a manifest as the file's bytes."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode_manifest(content: bytes, kind: type[M]) -> M:
    """Read a manifest. Raises ExportRefused, and nothing else."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ExportRefused("the manifest is not one of this format") from error
