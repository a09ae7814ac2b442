# SPDX-License-Identifier: Apache-2.0
"""Imports over HTTP: parts, results, what is refused, going on after anything, and files that come encrypted."""

import asyncio
import json
from collections.abc import Iterable
from itertools import product
from typing import Any

import pysequoia
import pytest
from joserfc import jwe
from joserfc.jwk import ECKey

from canary import NUMBER
from polling import until
from service import Caller, Service, Tenant
from strongroom.crypto import sha256
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import synthetic_number
from strongroom.vault.transfer.model import CHUNK_ROWS, PART_BYTES_MAX

VISA = "4242424242424242"
HEADER = "number,exp_month,exp_year\n"


@pytest.fixture
async def vault(service: Service) -> Caller:
    return await service.shop()


def lines(numbers: Iterable[str], header: str = HEADER) -> bytes:
    return (header + "".join(f"{number},12,2034\n" for number in numbers)).encode()


async def begun(vault: Caller, **wish: Any) -> str:
    answer = await vault.post("/v1/imports", {"format": "csv", **wish})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def part(vault: Caller, of: str, offset: int, content: bytes, *, last: bool = False) -> Any:
    return await vault.send(
        "PUT",
        f"/v1/imports/{of}/content?offset={offset}&last={str(last).lower()}",
        content=content,
        headers={"content-type": "text/csv"},
        idempotency=None,
    )


async def fed(vault: Caller, of: str, content: bytes, size: int = PART_BYTES_MAX) -> dict[str, Any]:
    """Send a file in parts, as a client does."""
    offset = 0
    while True:
        chunk = content[offset : offset + size]
        last = offset + len(chunk) == len(content)
        answer = await part(vault, of, offset, chunk, last=last)
        assert answer.status_code == 200, answer.text
        if last:
            return dict(answer.json())
        assert answer.json()["offset"] > offset
        offset = answer.json()["offset"]


async def results(vault: Caller, of: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    row = "1"
    while True:
        answer = await vault.get(f"/v1/imports/{of}/results?row={row}")
        assert answer.status_code == 200, answer.text
        found += [json.loads(line) for line in answer.text.splitlines()]
        if (row := answer.headers.get("strongroom-next-row", "")) == "":
            return found


def counts(found: dict[str, Any]) -> tuple[int, int, int, int]:
    return found["rows"], found["created"], found["duplicates"], found["refused"]


async def records(service: Service, of: str) -> list[dict[str, Any]]:
    rows = await service.look(
        Domain.VAULT,
        "select convert_from(payload, 'utf8') as payload from audit.event"
        " where position($1::text in convert_from(payload, 'utf8')) > 0 order by xid, payload",
        of,
    )
    return [json.loads(row["payload"]) for row in rows]


async def test_a_file_in_parts(service: Service, vault: Caller) -> None:
    numbers = [synthetic_number(n) for n in range(1, 5_001)]
    of = await begun(vault)
    ended = await fed(vault, of, lines(numbers), size=40_000)
    assert (ended["state"], counts(ended)) == ("done", (5_000, 5_000, 0, 0))
    found = await results(vault, of)
    assert [each["row"] for each in found] == list(range(1, 5_001))
    assert [each["last4"] for each in found] == [number[-4:] for number in numbers]
    token = (await vault.get(f"/v1/tokens/{found[4_321]['token']}")).json()
    assert (token["last4"], token["brand"]) == (numbers[4_321][-4:], "synthetic")
    told = await records(service, of)
    assert told[0]["action"] == "vault.import.started"
    assert told[-1]["action"] == "vault.import.ended"
    assert told[-1]["details"]["count"] == 5_000
    assert told[-1]["details"]["digest"] == ended["digest"]
    made = [each for each in told if each["action"] == "vault.token.created"]
    assert sum(each["details"]["count"] for each in made) == 5_000
    assert len(made) < 60
    assert len({each["details"]["digest"] for each in made}) == len(made)
    assert made[-1]["details"]["digest"] == ended["digest"]


async def test_the_digest_is_of_the_rows_however_they_came(vault: Caller) -> None:
    content = lines(synthetic_number(n) for n in range(1, 300))
    ended = [
        await fed(vault, await begun(vault, dry_run=True), content, size=size)
        for size in (300, 7_000, PART_BYTES_MAX)
    ]
    assert len({each["digest"] for each in ended}) == 1
    other = await fed(vault, await begun(vault, dry_run=True), content.replace(b"12,", b"11,", 1))
    assert other["digest"] != ended[0]["digest"]


async def test_a_dry_run_keeps_nothing_and_names_no_token(service: Service, vault: Caller) -> None:
    """Whether a number has a token is told to whoever may ask for it, recorded, and not by the thousand."""
    await vault.token(VISA, deduplicate=True)
    of = await begun(vault, dry_run=True)
    ended = await fed(vault, of, lines([VISA, synthetic_number(1), synthetic_number(1), "x"]))
    assert counts(ended) == (4, 1, 2, 1)
    found = await results(vault, of)
    assert [each["status"] for each in found] == ["duplicate", "created", "duplicate", "refused"]
    assert not any("token" in each for each in found)
    told = [each for each in await records(service, of) if each["action"] == "vault.token.searched"]
    assert [each["details"] for each in told] == [{"basis": "dry_run", "count": 1}]
    assert len((await vault.get("/v1/tokens")).json()["data"]) == 1


async def test_a_card_that_has_a_token_keeps_it(vault: Caller) -> None:
    known = await vault.token(VISA, deduplicate=True)
    of = await begun(vault)
    one = synthetic_number(77)
    ended = await fed(vault, of, lines([VISA, one, VISA, one]))
    assert counts(ended) == (4, 1, 3, 0)
    found = await results(vault, of)
    assert [each["status"] for each in found] == ["duplicate", "created", "duplicate", "duplicate"]
    assert found[0]["token"] == found[2]["token"] == known["id"]
    assert found[1]["token"] == found[3]["token"]
    again = await fed(vault, await begun(vault), lines([VISA, one]))
    assert counts(again) == (2, 0, 2, 0)
    apart = await fed(vault, await begun(vault, deduplicate=False), lines([VISA, VISA]))
    assert counts(apart) == (2, 2, 0, 0)


async def test_refused_rows_do_not_stop_the_others(vault: Caller) -> None:
    of = await begun(vault)
    content = (
        HEADER.encode() + b"\n" + f"{VISA},1,2020\n{VISA},12,2034\n{NUMBER}7777,1,2030\n".encode()
    )
    ended = await fed(vault, of, content)
    assert counts(ended) == (4, 1, 0, 3)
    assert [each.get("problem") for each in await results(vault, of)] == [
        "row_empty",
        "card_expired",
        None,
        "number_malformed",
    ]


async def test_a_providers_own_columns(vault: Caller) -> None:
    wish = {
        "delimiter": ";",
        "columns": {
            "number": "PAN",
            "expiry": "Exp",
            "external_id": "Ref",
            "metadata": {"customer": "Cust"},
        },
    }
    of = await begun(vault, **wish)
    content = f'Ref;Cust;PAN;Exp;Junk\r\ncard_1;"c;1";{VISA};12/34;"a\nb"\r\n=1+1;;5555555555554444;1/30;\r\n'
    ended = await fed(vault, of, content.encode())
    assert counts(ended) == (2, 2, 0, 0)
    found = await results(vault, of)
    assert found[0]["external_id"] == "card_1"
    token = (await vault.get(f"/v1/tokens/{found[0]['token']}")).json()
    assert token["metadata"] == {"customer": "c;1", "external_id": "card_1"}
    as_csv = (await vault.get(f"/v1/imports/{of}/results?as_csv=true")).text
    assert as_csv.splitlines()[0] == "row,status,token,brand,last4,external_id,problem,field"
    assert ",'=1+1," in as_csv


async def test_json_lines(vault: Caller) -> None:
    of = await begun(vault, format="jsonl", columns={"number": "card.number", "expiry": "card.exp"})
    content = f'{{"card":{{"number":"{VISA}","exp":"12/34"}}}}\n{{"card":{{"cvc":"123"}}}}\n[]'
    assert counts(await fed(vault, of, content.encode())) == (3, 1, 0, 2)
    assert [each.get("problem") for each in await results(vault, of)] == [
        None,
        "cvc_member_refused",
        "row_malformed",
    ]


#: A file, and why its import has failed.
FILES = [
    (b"", "header_missing"),
    (f"{VISA},12,2034\n".encode(), "header_missing"),
    (b"number,exp_month,exp_year,cvc\n", "cvc_column_refused"),
    (b"number,exp\n", "column_missing"),
    (b"\xff\xfe\n", "header_malformed"),
    (HEADER.encode() + b"x" * 20_000, "row_too_long"),
]


@pytest.mark.parametrize(("content", "problem"), FILES)
async def test_files_that_are_something_else(
    service: Service, vault: Caller, content: bytes, problem: str
) -> None:
    of = await begun(vault)
    answer = await part(vault, of, 0, content, last=True)
    assert (answer.status_code, answer.json()["code"]) == (422, "import_content_refused")
    found = (await vault.get(f"/v1/imports/{of}")).json()
    assert (found["state"], found["problem"]) == ("failed", problem)
    told = (await records(service, of))[-1]
    assert (told["action"], told["outcome"]) == ("vault.import.ended", "failed")
    assert told["details"]["reason"] == problem
    assert (await part(vault, of, 0, b"")).json()["code"] == "import_ended"


async def test_a_part_is_taken_once(vault: Caller) -> None:
    content = lines(synthetic_number(n) for n in range(1, 101))
    of = await begun(vault)
    sent = await asyncio.gather(*(part(vault, of, 0, content) for _ in range(4)))
    assert sorted(each.status_code for each in sent) == [200, 409, 409, 409]
    found = (await vault.get(f"/v1/imports/{of}")).json()
    assert counts(found) == (100, 100, 0, 0)
    wrong = await part(vault, of, found["offset"] - 1, b"x")
    assert wrong.json()["code"] == "import_offset_wrong"
    ended = await part(vault, of, found["offset"], b"", last=True)
    assert ended.json()["state"] == "done"
    assert len(await results(vault, of)) == 100


async def test_two_at_once_of_the_same_cards(vault: Caller) -> None:
    """As many of them as may be told at once; `test_transfer_repeats` has more."""
    shared = [synthetic_number(n) for n in range(1, 21)]
    apart = [synthetic_number(n) for n in range(21, 4 * CHUNK_ROWS)]
    half = len(apart) // 2
    files = [[*shared, *apart[:half]], [*apart[half:], *reversed(shared)]]
    one, two = await begun(vault), await begun(vault)
    ended = await asyncio.gather(fed(vault, one, lines(files[0])), fed(vault, two, lines(files[1])))
    assert sum(each["created"] for each in ended) == len(shared) + len(apart)
    assert sum(each["duplicates"] for each in ended) == len(shared)
    tokens = {each["token"] for of in (one, two) for each in await results(vault, of)}
    assert len(tokens) == len(shared) + len(apart)


async def test_what_is_stored_is_told_no_faster_than_by_searches(vault: Caller) -> None:
    """Whichever way it is asked for, and in whatever order."""
    stored = lines(synthetic_number(n) for n in range(1, 301))
    assert counts(await fed(vault, await begun(vault), stored)) == (300, 300, 0, 0)
    assert counts(await fed(vault, await begun(vault), stored)) == (300, 0, 300, 0)
    search = await vault.post("/v1/tokens/search", {"number": VISA}, idempotency=None)
    assert (search.status_code, search.json()["code"]) == (429, "rate_limited")
    new = lines(synthetic_number(n) for n in range(301, 401))
    # Whether a chunk waits says nothing of what is in it.
    for wish, content in product(
        ({}, {"dry_run": True}), (stored, new, HEADER.encode() + b"x,,\n")
    ):
        of = await begun(vault, **wish)
        answer = await part(vault, of, 0, content, last=True)
        assert (answer.status_code, answer.json()["code"]) == (429, "import_slowed")
        # Of three hundred fifty were free, and five more a second.
        assert 1 < int(answer.headers["retry-after"]) <= 50
        found = (await vault.get(f"/v1/imports/{of}")).json()
        assert (found["state"], found["offset"], found["rows"]) == ("open", 0, 0)
    apart = await fed(vault, await begun(vault, deduplicate=False), new)
    assert counts(apart) == (100, 100, 0, 0), "what looks for nothing is told nothing"


async def test_a_part_is_bounded(vault: Caller) -> None:
    of = await begun(vault)
    assert (await part(vault, of, 0, b"x" * (PART_BYTES_MAX + 1))).status_code == 413


async def test_a_canceled_import_takes_nothing_more(service: Service, vault: Caller) -> None:
    of = await begun(vault)
    await part(vault, of, 0, lines([VISA]))
    canceled = await vault.post(f"/v1/imports/{of}/cancel")
    assert (canceled.json()["state"], canceled.json()["created"]) == ("canceled", 1)
    assert (await part(vault, of, canceled.json()["offset"], b"x")).json()["code"] == "import_ended"
    assert (await vault.post(f"/v1/imports/{of}/cancel")).status_code == 409
    assert (await records(service, of))[-1]["details"]["result"] == "canceled"


async def test_an_import_is_its_tenants_and_modes(
    service: Service, tenant: Tenant, vault: Caller
) -> None:
    of = await begun(vault)
    for key in tenant.keys.values():
        other = service.vault(key)
        for answer in (
            await other.get(f"/v1/imports/{of}"),
            await other.get(f"/v1/imports/{of}/results"),
            await other.post(f"/v1/imports/{of}/cancel"),
            await part(other, of, 0, lines([VISA])),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "import_unknown")


async def test_live_mode_takes_no_test_number(service: Service, tenant: Tenant) -> None:
    live = service.vault(tenant.keys[Mode.LIVE])
    of = await begun(live)
    assert counts(await fed(live, of, lines([VISA, synthetic_number(1)]))) == (2, 0, 0, 2)


@pytest.mark.parametrize(
    "wish",
    [
        {"format": "xml"},
        {"delimiter": "x"},
        {"columns": {"number": "cvc"}},
        {"columns": {"numbers": "x"}},
        {"container": "nowhere"},
        {"encryption": "jwe_lines", "format": "csv"},
    ],
)
async def test_wishes_that_cannot_be(vault: Caller, wish: dict[str, Any]) -> None:
    answer = await vault.post("/v1/imports", {"format": "csv", **wish})
    assert answer.status_code in (403, 422), answer.text


# --- files that come encrypted -----------------------------------------------------------------------


async def key_of(vault: Caller) -> dict[str, Any]:
    answer = await vault.post("/v1/imports/key")
    assert answer.status_code == 201, answer.text
    assert (await vault.get("/v1/imports/key")).json() == answer.json()
    return dict(answer.json())


def sealed_jwe(jwk: dict[str, Any], clear: bytes, **header: str) -> str:
    protected = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", **header}
    return jwe.encrypt_compact(
        protected, clear, ECKey.import_key(jwk), algorithms=list(protected.values())
    )


def sealed_pgp(certificate: str, clear: bytes, *, armor: bool = False) -> bytes:
    recipient = pysequoia.Cert.from_bytes(certificate.encode())
    return bytes(pysequoia.encrypt(clear, recipients=[recipient], armor=armor))


async def settled(vault: Caller, of: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = dict((await vault.get(f"/v1/imports/{of}")).json())
        return None if found["state"] in ("open", "received") else found

    return await until(look, what="the import to end")


async def test_there_is_a_key_before_there_is_an_encrypted_file(vault: Caller) -> None:
    answer = await vault.post("/v1/imports", {"format": "csv", "encryption": "pgp"})
    assert (answer.status_code, answer.json()["code"]) == (404, "import_key_unknown")
    assert (await vault.get("/v1/imports/key")).status_code == 404


async def test_jwe_lines(vault: Caller) -> None:
    key = await key_of(vault)
    row = json.dumps({"number": VISA, "exp_month": 12, "exp_year": 2034}).encode()
    good = sealed_jwe(key["jwk"], row)
    other = ECKey.generate_key("P-256").as_dict(private=False)
    head, encrypted, vector, content, tag = good.split(".")
    flipped = content[:-2] + ("A" if content[-2] != "A" else "B") + content[-1]
    bad = [
        sealed_jwe(dict(other), row),
        f"{head}.{encrypted}.{vector}.{flipped}.{tag}",
        good[:-3],
        sealed_jwe(key["jwk"], row, zip="DEF"),
        "x.y.z",
        row.decode(),
        "....",
    ]
    of = await begun(vault, format="jsonl", encryption="jwe_lines")
    ended = await fed(vault, of, "\n".join([good, *bad]).encode())
    assert counts(ended) == (8, 1, 0, 7)
    assert {each.get("problem") for each in (await results(vault, of))[1:]} == {"jwe_refused"}


@pytest.mark.parametrize("armor", [False, True])
async def test_a_pgp_file(service: Service, vault: Caller, armor: bool) -> None:  # noqa: FBT001
    key = await key_of(vault)
    await key_of(vault)  # a file may have been sealed for an earlier one
    content = lines(synthetic_number(n) for n in range(1, 3_001))
    sealed = sealed_pgp(key["certificate"], content, armor=armor)
    of = await begun(vault, encryption="pgp")
    taken = await fed(vault, of, sealed, size=20_000)
    assert taken["state"] == "received"
    ended = await settled(vault, of)
    assert (ended["state"], counts(ended)) == ("done", (3_000, 3_000, 0, 0))
    assert (ended["digest_kind"], ended["digest"]) == ("sha256", sha256(sealed).hex())
    assert len(await results(vault, of)) == 3_000
    pieces = await service.look(
        Domain.VAULT, "select 1 from vault.import_piece where import_id = $1", of
    )
    assert not pieces


async def test_a_jwe_file(vault: Caller) -> None:
    key = await key_of(vault)
    sealed = sealed_jwe(key["jwk"], lines([VISA, synthetic_number(3)]))
    of = await begun(vault, encryption="jwe")
    await fed(vault, of, sealed.encode(), size=100)
    ended = await settled(vault, of)
    assert (ended["state"], counts(ended)) == ("done", (2, 2, 0, 0))


@pytest.mark.parametrize("how", ["cut", "flipped", "other key", "clear", "empty"])
@pytest.mark.parametrize("encryption", ["pgp", "jwe"])
async def test_a_file_that_does_not_open_brings_nothing(
    service: Service, vault: Caller, how: str, encryption: str
) -> None:
    key = await key_of(vault)
    content = lines([NUMBER, *(synthetic_number(n) for n in range(1, 5_000))])
    if encryption == "pgp":
        foreign = str(pysequoia.Tsk.generate(user_id="x").extract_certificate())
        sealed = sealed_pgp(foreign if how == "other key" else key["certificate"], content)
    else:
        other = dict(ECKey.generate_key("P-256").as_dict(private=False))
        sealed = sealed_jwe(other if how == "other key" else key["jwk"], content).encode()
    middle = len(sealed) // 2
    sent = {
        "cut": sealed[:-40],
        "flipped": sealed[:middle] + bytes([sealed[middle] ^ 1]) + sealed[middle + 1 :],
        "other key": sealed,
        "clear": content,
        "empty": b"",
    }[how]
    of = await begun(vault, encryption=encryption)
    await fed(vault, of, sent)
    ended = await settled(vault, of)
    assert (ended["state"], counts(ended)) == ("failed", (0, 0, 0, 0))
    assert ended["problem"] in ("pgp_refused", "jwe_refused")
    assert not (await vault.get("/v1/tokens")).json()["data"]
    told = (await records(service, of))[-1]
    assert (told["action"], told["outcome"]) == ("vault.import.ended", "failed")


async def test_the_canary_by_every_way_in(service: Service, vault: Caller) -> None:
    """What is searched for at the end of all these tests goes in right, and in places where no card may be."""
    key = await key_of(vault)
    row = json.dumps({"number": NUMBER, "exp_month": 12, "exp_year": 2034}).encode()
    before = service.metrics.exposition().decode()
    plain = await fed(vault, await begun(vault), lines([NUMBER, f"x{NUMBER}"]))
    assert counts(plain) == (2, 1, 0, 1)
    assert service.metrics.exposition().decode() != before
    of = await begun(vault, format="jsonl", encryption="jwe_lines")
    assert counts(await fed(vault, of, sealed_jwe(key["jwk"], row).encode()))[2] == 1
    of = await begun(vault, encryption="pgp")
    await fed(vault, of, sealed_pgp(key["certificate"], lines([NUMBER])))
    assert counts(await settled(vault, of))[2] == 1
    wish = {"columns": {"external_id": "id", "metadata": {"note": "note"}}}
    of = await begun(vault, **wish)
    strayed = "number,exp_month,exp_year,id,note\n" + "".join(
        f"{row}\n"
        for row in (
            f"{NUMBER},12,2034,{NUMBER},",
            f"{NUMBER},12,2034,,{NUMBER}",
            f",{NUMBER},{NUMBER},{NUMBER},",
        )
    )
    assert counts(await fed(vault, of, strayed.encode())) == (3, 0, 0, 3)
    beside = {
        "holder": "h",
        "billing_address": {"country": "c", "line1": "l"},
        "stored_credential": {"initiator": "i", "mandate_text": "m"},
        "container": "k",
        "expires_at": "e",
        "alias": "a",
    }
    of = await begun(vault, columns=beside)
    strayed = "number,exp_month,exp_year,h,c,l,i,m,k,e,a\n" + "".join(
        f"{NUMBER},12,2034,{','.join(NUMBER if at == place else '' for at in range(8))}\n"
        for place in range(8)
    )
    assert counts(await fed(vault, of, strayed.encode())) == (8, 0, 0, 8)
    assert NUMBER not in json.dumps(await results(vault, of))
    for content in (f"{NUMBER},12,2034\n", f"number,{NUMBER}\n"):
        answer = await part(vault, await begun(vault), 0, content.encode(), last=True)
        assert answer.status_code == 422
    for body in (
        {"format": NUMBER},
        {"format": "csv", "columns": {"number": NUMBER}},
        {"format": "csv", "columns": {"billing_address": {"city": NUMBER}}},
        {"format": "jsonl", "columns": {"whole_metadata": NUMBER}},
        {"format": "csv", "container": NUMBER},
    ):
        assert (await vault.post("/v1/imports", body)).status_code in (403, 422)
