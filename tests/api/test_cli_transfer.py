# SPDX-License-Identifier: Apache-2.0
"""`strongroom import`, `import-key` and `export` against a running vault."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pysequoia
import pytest
import pytest_asyncio

from canary import NUMBER
from command_line import CommandLine, Ended
from service import Service, Tenant
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import synthetic_number


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def run(
    service: Service, tenant: Tenant, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[CommandLine]:
    folder = tmp_path_factory.mktemp("client")
    key = folder / "backend.key"
    key.touch(mode=0o600)
    key.write_text(tenant.keys[Mode.TEST] + "\n")
    yield CommandLine(
        folder,
        {
            "STRONGROOM_URL": f"https://{service.settings.vault_listen}",
            "STRONGROOM_CA": str(service.authority),
            "STRONGROOM_STATE": str(folder / "state"),
            "STRONGROOM_KEY": tenant.keys[Mode.TEST],
        },
        transcript=service.answers.file,
    )


async def ran(run: CommandLine, *arguments: str) -> Ended:
    ended = await asyncio.to_thread(run, *arguments)
    assert NUMBER not in ended.out + ended.err
    return ended


def cards(folder: Path, name: str = "cards.csv", count: int = 50) -> Path:
    rows = [f"{synthetic_number(n)};12/34;c-{n}\n" for n in range(1, count)]
    path = folder / name
    path.write_text("pan;exp;customer\n" + "".join(rows) + f"{NUMBER}x;12/34;\n")
    return path


MAPPED = (
    "--delimiter",
    ";",
    "--column",
    "number=pan",
    "--column",
    "expiry=exp",
    "--metadata",
    "customer=customer",
)


async def test_a_file_is_imported(run: CommandLine, tmp_path: Path) -> None:
    file = cards(tmp_path)
    tried = await ran(run, "import", str(file), *MAPPED, "--dry-run", "--json")
    assert (tried.code, tried.json["created"], tried.json["refused"]) == (0, 49, 1)
    found = tmp_path / "results.csv"
    ended = await ran(run, "import", str(file), *MAPPED, "--results", str(found))
    assert ended.code == 0, ended.plain
    assert "49" in ended.out
    lines = found.read_text().splitlines()
    assert len(lines) == 51
    assert lines[-1].endswith(",number_malformed,")
    assert NUMBER not in found.read_text()
    of = json.loads((await ran(run, "import", str(file), *MAPPED, "--json")).out)
    assert (of["duplicates"], of["digest"]) == (49, tried.json["digest"])
    again = await ran(run, "import", str(file), *MAPPED, "--resume", of["id"], "--json")
    assert again.json["rows"] == 50, "what is done is done"


async def test_what_stands_beside_a_card(run: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "named.csv"
    rows = [
        f"{synthetic_number(n)};12/34;Amal Haddad;{land}\n" for n, land in ((71, "AE"), (72, "x"))
    ]
    file.write_text("pan;exp;name;land\n" + "".join(rows))
    beside = ("--column", "holder=name", "--column", "billing_address.country=land")
    found = tmp_path / "results.jsonl"
    ended = await ran(run, "import", str(file), *MAPPED[:-2], *beside, "--results", str(found))
    assert ended.code == 0, ended.plain
    created, refused = (json.loads(line) for line in found.read_text().splitlines())
    assert (refused["problem"], refused["field"]) == ("type_wrong", "/billing_address/country")
    token = (await ran(run, "token", "read", created["token"], "--json")).json
    assert (token["holder"], token["billing_address"]["country"]) == ("Amal Haddad", "AE")
    row = {"number": synthetic_number(73), "exp_month": 12, "exp_year": 2034, "id": "tok_before"}
    exported = tmp_path / "exported.jsonl"
    exported.write_text(json.dumps({**row, "holder": "B", "metadata": {"a": "b"}}) + "\n")
    own = ("--as-exported", "--column", "external_id=id", "--results", str(found))
    assert (await ran(run, "import", str(exported), *own)).code == 0
    token_id = json.loads(found.read_text())["token"]
    token = (await ran(run, "token", "read", token_id, "--json")).json
    assert token["holder"] == "B"
    assert token["metadata"] == {"a": "b", "external_id": "tok_before"}


async def test_an_import_that_is_slowed_goes_on(
    run: CommandLine, service: Service, tmp_path: Path
) -> None:
    file = tmp_path / "stored.csv"
    file.write_text(f"pan;exp;customer\n{synthetic_number(80)};12/34;c-1\n")
    first = await ran(run, "import", str(file), *MAPPED, "--json")
    assert first.json["created"] == 1
    numbers = service.parts.search._numbers
    while numbers.charge(first.json["created_by"], 55) <= 0:
        pass
    again = await ran(run, "import", str(file), *MAPPED, "--json")
    assert (again.code, again.json["state"], again.json["duplicates"]) == (0, "done", 1)


async def test_an_encrypted_file_is_imported(run: CommandLine, tmp_path: Path) -> None:
    made = await ran(run, "import-key", "create")
    shown = await ran(run, "import-key", "show")
    assert made.out == shown.out
    assert (await ran(run, "import-key", "show", "--jwk")).json["crv"] == "P-256"
    recipient = pysequoia.Cert.from_bytes(shown.out.encode())
    file = tmp_path / "cards.csv.pgp"
    clear = cards(tmp_path).read_bytes()
    file.write_bytes(pysequoia.encrypt(clear, recipients=[recipient], armor=False))
    ended = await ran(run, "import", str(file), *MAPPED, "--json", "--dry-run")
    assert (ended.code, ended.json["state"], ended.json["rows"]) == (0, "done", 50)
    wrong = tmp_path / "wrong.csv.pgp"
    wrong.write_bytes(file.read_bytes()[:-30])
    failed = await ran(run, "import", str(wrong), *MAPPED)
    assert failed.code != 0
    assert "pgp_refused" in failed.plain


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "nowhere.csv"),
        ("import", "{file}", "--resume", "x"),
        ("import", "{other}"),
        ("import", "{file}", "--column", "cvc=cvc"),
        ("import", "{file}", "--column", "holder=x", "--column", "holder.first=y"),
        ("import", "{file}", "--as-exported"),
        ("export", "--to", "x"),
        ("export", "--to", "x", "--job", "y"),
        ("export", "--to", "x", "--to-key", "{file}"),
        ("export", "--to", "x", "--to-key", "{file}", "--purpose", "because"),
    ],
)
async def test_what_cannot_be(run: CommandLine, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    other = tmp_path / "cards.bin"
    other.write_bytes(b"x")
    named = [each.format(file=cards(tmp_path), other=other) for each in arguments]
    ended = await ran(run, *named)
    assert ended.code != 0
    assert "Traceback" not in ended.err
