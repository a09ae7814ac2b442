# SPDX-License-Identifier: Apache-2.0
"""What tokens have beside their cards, in by imports and out by exports: nothing of it is lost, nothing in clear."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from database import Databases
from store.transfer_ground import Ground, Parts, ground_of
from strongroom.crypto.ids import new_id
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.kernel.pan_alias import is_pan_alias
from strongroom.kernel.schemes import synthetic_number
from strongroom.vault.containers.errors import AccessRefused
from strongroom.vault.containers.model import Access, Transform
from strongroom.vault.details import DetailSealer, SealedDetail
from strongroom.vault.transfer import chunks
from strongroom.vault.transfer.errors import ContentRefused
from strongroom.vault.transfer.model import (
    BESIDE,
    EXPORTED,
    Columns,
    Encryption,
    ExportPurpose,
    ExportWish,
    Format,
    Import,
    ImportState,
    ImportWish,
)
from strongroom.vault.transfer.store import RowResult

OWN = ImportWish(Format.JSONL, columns=EXPORTED)
PLACED = ImportWish(Format.JSONL, columns=Columns(beside={name: name for name in BESIDE}))
HOLDER = "Amal Haddad"
ENDS = (datetime.now(UTC) + timedelta(days=400)).replace(microsecond=0).isoformat()
#: What a card has or has not; every combination is a card.
PARTS: list[dict[str, Any]] = [
    {"holder": HOLDER},
    {"billing_address": {"country": "AE", "line1": "1 Harbour Street", "postal_code": "12345"}},
    {"network_token": {"requestor_id": "40010030273", "eci": "05"}},
    {
        "stored_credential": {
            "initiator": "merchant",
            "scheme_transaction_id": "MCC1234560123",
            "mandate_reference": "m-17",
            "agreed_at": "2026-11-20T09:30:00.25+04:00",
        }
    },
    {"expires_at": ENDS},
    {"alias": True},
    {"metadata": {"customer": "c-17", "note": ""}},
]


@pytest_asyncio.fixture(loop_scope="session")
async def ground(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ground]:
    async with ground_of(databases, tmp_path_factory.mktemp("transfer")) as ground:
        yield ground


def card(serial: int, **more: Any) -> dict[str, Any]:
    return {"number": synthetic_number(serial), "exp_month": 12, "exp_year": 2034, **more}


def file_of(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


async def imported(parts: Parts, wish: ImportWish, content: bytes) -> Import:
    of = await parts.imports.begin(parts.caller, wish)
    return await parts.feed(of, content, 1_000_000)


async def results(parts: Parts, of: Import) -> list[RowResult]:
    found: list[RowResult] = []
    while part := await parts.imports.results(parts.caller.principal, of.import_id, len(found)):
        found += part.results
    return found


async def stored(ground: Ground, parts: Parts) -> dict[str, dict[str, Any]]:
    """Everything that tokens of a merchant have beside their numbers, by the last four digits."""
    found: dict[str, dict[str, Any]] = {}
    sealer = DetailSealer(parts.sealer)
    for row in await ground.look(
        "select token_id, last4, exp_month, exp_year, kind, expires_at, metadata::text as metadata, pan_alias,"
        " container from vault.token where merchant_id = $1",
        parts.merchant,
    ):
        rows = await ground.look(
            "select field, sealed, key_version, expires_at from vault.token_detail"
            " where merchant_id = $1 and token_id = $2",
            parts.merchant,
            row["token_id"],
        )
        assert all(HOLDER.encode() not in each["sealed"] for each in rows)
        sealed = [SealedDetail(each["field"], each["sealed"], each["key_version"]) for each in rows]
        token = TokenId(row["token_id"])
        facts = {
            **dict(row),
            "details": await sealer.open(sealed, Mode.TEST, parts.merchant, token),
            "pan_alias": row["pan_alias"] and is_pan_alias(row["pan_alias"]),
        }
        facts.pop("token_id")
        found[row["last4"]] = facts
    return found


async def test_what_leaves_one_vault_comes_into_another_as_it_was(ground: Ground) -> None:
    """Every combination of what a card has beside its number, out and in again for another merchant."""
    here = ground.parts
    there = Parts(here.database, here.keyring, MerchantId(new_id("mer")))
    rows = [
        card(
            n + 1,
            **{k: v for bit, part in enumerate(PARTS) if n >> bit & 1 for k, v in part.items()},
        )
        for n in range(1 << len(PARTS))
    ]
    first = await imported(here, OWN, file_of(*rows))
    assert (first.counts.created, first.counts.refused) == (len(rows), 0)
    key = await there.keys.make(there.caller)
    job = await here.exports.begin(
        here.caller,
        ExportWish(
            "default", Encryption.JWE_LINES, json.dumps(dict(key.jwk)), ExportPurpose.PORTABILITY
        ),
    )
    async with here.running():
        ended = await here.exported(job)
    pieces = [
        (await here.exports.piece(here.merchant, Mode.TEST, job.job_id, number)).content
        for number in range(int(ended.result["pieces"] or 0))
    ]
    wish = replace(OWN, encryption=Encryption.JWE_LINES)
    again = await imported(there, wish, b"".join(pieces))
    assert (again.counts.created, again.counts.refused) == (len(rows), 0)
    before, after = await stored(ground, here), await stored(ground, there)
    assert before == after
    assert len(after) == len(rows)
    # That the comparison is of something: the card that has everything has it.
    last = after[synthetic_number(len(rows))[-4:]]
    details = last["details"]
    assert (details.holder, details.network_token.eci) == (HOLDER, "05")
    assert details.stored_credential.agreed_at == datetime.fromisoformat(
        "2026-11-20T09:30:00.25+04:00"
    )
    assert (last["kind"], last["pan_alias"]) == ("network_token", True)
    assert last["expires_at"] == datetime.fromisoformat(ENDS)
    assert json.loads(last["metadata"]) == {"customer": "c-17", "note": ""}


async def containers(ground: Ground, *names: str) -> None:
    for name in names:
        await ground.look(
            "insert into vault.container (merchant_id, mode, name, created_by, created_at, updated_at)"
            " values ($1, 'test', $2, 'x', now(), now())",
            ground.merchant,
            name,
        )


async def test_a_row_says_where_its_token_stands(ground: Ground) -> None:
    await containers(ground, "cards", "others")
    ground.parts.rules.inside = {"cards": Access.USE, "others": Access.MASK}
    of = await imported(
        ground.parts,
        PLACED,
        file_of(
            card(1, container="cards", holder=HOLDER),
            card(2),
            card(3, container="others"),
            card(4, container="nowhere"),
        ),
    )
    found = [(each.status, each.problem, each.field) for each in await results(ground.parts, of)]
    assert found == [
        ("created", "", ""),
        ("created", "", ""),
        ("refused", "vault_access_refused", "/container"),
        ("refused", "container_unknown", "/container"),
    ]
    kept = await stored(ground, ground.parts)
    assert [kept[synthetic_number(n)[-4:]]["container"] for n in (1, 2)] == ["cards", "default"]
    told = [each["details"] for each in await ground.records(of.import_id)]
    assert [each.get("container") for each in told] == ["default", "cards", "default", None]


async def test_records_say_how_many_went_into_which_container(ground: Ground) -> None:
    await containers(ground, "cards", "others")
    ground.parts.rules.inside = {"cards": Access.USE, "others": Access.USE}
    wish = replace(PLACED, container="others")
    rows = [
        card(1),
        *(card(serial, container="cards") for serial in (2, 3, 4)),
        card(5, container="default"),
        card(2, container="default"),
        {"number": "x"},
    ]
    of = await imported(ground.parts, wish, file_of(*rows))
    told = await ground.records(of.import_id)
    made = [each["details"] for each in told if each["action"] == "vault.token.created"]
    names = ("container", "count", "duplicates", "refused")
    assert sorted(tuple(each[name] for name in names) for each in made) == [
        ("cards", 3, 1, 1),
        ("default", 1, 0, 0),
        ("others", 1, 0, 0),
    ]
    assert len({each["digest"] for each in made}) == 1
    assert (told[-1]["details"]["count"], told[-1]["details"].get("container")) == (5, None)
    # Where no row names one, the end says which.
    plain = await imported(
        ground.parts, replace(wish, columns=replace(wish.columns, beside={})), file_of(card(9))
    )
    assert (await ground.records(plain.import_id))[-1]["details"]["container"] == "others"


async def test_of_a_row_is_shown_what_its_own_container_gives(ground: Ground) -> None:
    """And not the import's, nor that in which the token stood once."""
    await containers(ground, "cards", "moved", "shut", "veiled")
    rules = ground.parts.rules
    rules.inside = dict.fromkeys(("cards", "moved", "shut", "veiled"), Access.USE)
    wish = replace(
        PLACED, container="cards", columns=replace(PLACED.columns, external_id="external")
    )
    rows = [
        card(serial, container=name, external=f"x-{serial}")
        for serial, name in enumerate(("cards", "shut", "veiled", "cards", "cards", "cards"), 1)
    ]
    of = await imported(ground.parts, wish, file_of(*rows, {"number": "x"}))
    before = await results(ground.parts, of)
    last4s = [synthetic_number(serial)[-4:] for serial in range(1, 7)]
    assert [each.last4 for each in before] == [*last4s, ""]
    await ground.look(
        "update vault.token set container = 'shut' where token_id = $1", before[3].token
    )
    await ground.look("delete from vault.token where token_id = $1", before[4].token)
    rules.inside |= {"cards": Access.MASK, "shut": Access.NONE, "veiled": Access.MASK}
    rules.gives = Access.NONE
    rules.shows_inside["veiled"] = Transform.REDACT
    found = await results(ground.parts, of)
    assert found[0] == before[0]
    assert found[2] == msgspec.structs.replace(before[2], last4="")
    for place in (1, 3, 4):  # not to be read, moved to where it is not, gone
        assert found[place] == RowResult("created")
    assert found[5:] == before[5:]
    rules.inside["cards"] = Access.NONE
    with pytest.raises(AccessRefused):
        await results(ground.parts, of)


async def test_a_container_of_a_row_that_ends_fails_the_import(ground: Ground) -> None:
    """The rules are up to two seconds old: here they still give what is not there any more."""
    ground.parts.rules.inside = {"gone": Access.USE}
    of = await ground.parts.imports.begin(ground.parts.caller, PLACED)
    with pytest.raises(ContentRefused):
        await ground.parts.feed(of, file_of(card(1, container="gone")), 1_000_000)
    ended = await ground.parts.imports.read(ground.merchant, Mode.TEST, of.import_id)
    assert (ended.state, ended.problem) == (ImportState.FAILED, "container_unknown")
    assert await ground.tokens() == 0


async def test_an_alias_that_is_taken_is_drawn_again(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "new_alias", lambda _pan: "9900000000000001")
    content = file_of(card(1, alias=True, holder=HOLDER), card(2, alias=True), card(3))
    of = await imported(ground.parts, OWN, content)
    assert of.counts.created == 3
    rows = await ground.look(
        "select pan_alias from vault.token where merchant_id = $1 and pan_alias is not null",
        ground.merchant,
    )
    assert len({row["pan_alias"] for row in rows}) == 2
    assert all(is_pan_alias(row["pan_alias"]) for row in rows)
    details = await ground.look(
        "select field from vault.token_detail where merchant_id = $1", ground.merchant
    )
    assert [row["field"] for row in details] == ["holder"]


async def test_a_card_that_has_a_token_keeps_what_it_has(ground: Ground) -> None:
    await imported(ground.parts, OWN, file_of(card(1, holder=HOLDER)))
    content = file_of(card(1, holder="Somebody Else"), card(2), card(2, holder="Late"))
    of = await imported(ground.parts, OWN, content)
    assert [each.status for each in await results(ground.parts, of)] == [
        "duplicate",
        "created",
        "duplicate",
    ]
    kept = await stored(ground, ground.parts)
    assert kept[synthetic_number(1)[-4:]]["details"].holder == HOLDER
    assert kept[synthetic_number(2)[-4:]]["details"].holder is None


async def test_a_row_that_is_wrong_beside_its_card_is_refused_alone(ground: Ground) -> None:
    number = synthetic_number(9)
    rows = [
        card(1, holder=number),
        card(2, billing_address={"country": "ae"}),
        card(3, holder=HOLDER),
    ]
    for dry_run in (True, False):
        of = await imported(ground.parts, replace(OWN, dry_run=dry_run), file_of(*rows))
        found = await results(ground.parts, of)
        assert [(each.problem, each.field) for each in found] == [
            ("card_number_refused", "/holder"),
            ("type_wrong", "/billing_address/country"),
            ("", ""),
        ]
        assert number not in repr(found)
    assert await ground.tokens() == 1
