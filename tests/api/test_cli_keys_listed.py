# SPDX-License-Identifier: Apache-2.0
"""`strongroom keys` on a real installation: when keys are due and retired, rates, and a root changed under a card."""

import asyncio
from collections.abc import Awaitable, Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from command_line import Installed, installed
from paying import VISA
from residence import AtHome
from service import card, free_ports
from strongroom.cli.installation import DATABASES
from strongroom.cli.operating import site_of
from strongroom.compose import Composer
from strongroom.crypto import Algorithm
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import connect
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.keys import KeyName, Purpose
from strongroom.vault.sealing import CardSealer


@pytest.fixture(scope="module")
def site() -> Iterator[Installed]:
    with installed(free_ports(4)) as made:
        yield made


def merchant_of(site: Installed) -> str:
    return str(site.run.done("merchant", "create", "Corner Shop", "--json").json["id"])


async def found(site: Installed, sql: str, *values: object) -> list[Any]:
    """Ask the vault's database as its superuser."""
    connection = await connect(site.here.bootstrap(DATABASES[Domain.VAULT]))
    try:
        return list(await connection.fetch(sql, *values))
    finally:
        await connection.close()


def row_of(printed: str, *words: str) -> dict[str, str]:
    """The line of a printed table that has all these words, by its columns: each begins under its heading."""
    heading, *lines = printed.splitlines()
    (line,) = [each for each in lines if set(words) <= set(each.split())]
    names = heading.split()
    starts = [heading.index(name) for name in names]
    ends = [*starts[1:], len(line)]
    return {
        name: line[start:end].strip() for name, start, end in zip(names, starts, ends, strict=True)
    }


def test_a_version_says_when_it_is_due_and_since_when_another_seals(site: Installed) -> None:
    run, merchant = site.run, merchant_of(site)
    of = ("--merchant", merchant, "--mode", "test")
    for _ in range(3):
        run.done("keys", "rotate", "webhook_secrets", *of)
    every = run.done("keys", "list", "--json").json
    listed = {each["version"]: each for each in every if each["merchant"] == merchant}
    made = {version: each["made_at"] for version, each in listed.items()}
    due = rfc3339(datetime.fromisoformat(made[3]) + timedelta(days=365))
    assert {
        version: (each["rotates_at"], each["overdue"], each["retired_at"])
        for version, each in listed.items()
    } == {1: (None, False, made[2]), 2: (None, False, made[3]), 3: (due, False, None)}
    roots = [each for each in every if each["kind"] == "root"]
    assert {each["retired_at"] for each in roots} == {None}
    printed = run.done("keys", "list").out
    one, three = (row_of(printed, merchant, version) for version in "13")
    assert (one["due"], one["retired"], one["uses"]) == ("", made[2][:10], "0")
    assert (three["due"], three["retired"], three["uses"]) == (due[:10], "", "")


def test_what_is_overdue_is_listed_alone_and_is_an_exit_status(site: Installed) -> None:
    run, old, older = site.run, new_id("mer"), new_id("mer")
    put = (
        "insert into keys.data_key (merchant_id, mode, name, version, purpose, state, wrapped, mac, made_at)"
        " values ('{}', 'live', 'card', {}, 'card', '{}', '', decode(repeat('00', 32), 'hex'),"
        " now() - interval '{} days')"
    )
    rows = [
        (old, 1, "retiring", 900),  # seals nothing any more
        (old, 2, "active", 364),
        (older, 1, "active", 366),
    ]
    asyncio.run(site.sql(Domain.VAULT, *(put.format(*row) for row in rows)))
    try:
        told = run("keys", "list", "--overdue", "--json")
        printed = run("keys", "list", "--overdue")
        every = run.done("keys", "list", "--json").json
    finally:
        gone = f"delete from keys.data_key where merchant_id in ('{old}', '{older}')"
        asyncio.run(site.sql(Domain.VAULT, gone))
    assert told.code == 1, told.err
    (only,) = told.json
    assert (only["merchant"], only["name"], only["version"]) == (older, "card", 1)
    due = rfc3339(datetime.fromisoformat(only["made_at"]) + timedelta(days=365))
    assert (only["rotates_at"], only["overdue"], only["retired_at"]) == (due, True, None)
    assert printed.code == 1, printed.err
    assert [line.split()[1] for line in printed.out.splitlines()] == ["merchant", older]
    assert row_of(printed.out, older)["due"] == due[:10]
    assert {each["merchant"] for each in every if each["overdue"]} == {older}
    none = run("keys", "list", "--overdue")
    assert (none.code, none.out) == (0, "no key is overdue\n")


ACTOR = "operator:tests"
#: What a job of the vault moves, at a rate.
RATED = {"card", "credentials", "fingerprint", "transfer"}


async def rated(site: Installed, merchant: str) -> dict[tuple[str, str, str], str | int | None]:
    """Ask for every key's rotation and re-seal at a rate; return the rate of the job, or the refusal."""
    composer = Composer(site_of(site.here))
    answers: dict[tuple[str, str, str], str | int | None] = {}

    async def answered(asked: Awaitable[tuple[int, str | None]]) -> str | int | None:
        try:
            _, job = await asked
        except StrongroomError as error:
            return "--rate" if "--rate" in error.detail else error.code
        kept = await found(site, "select rate from vault.job where job_id = $1", job)
        return kept[0]["rate"] if kept else "passed over"

    try:
        keys = await composer.operator_keys()
        for name in RATED:  # there must be one before
            await keys.rotate(merchant, Mode.TEST, name, None, ACTOR)
        for name in KeyName:
            for owner in ("", merchant):
                of, whose = (owner, Mode.TEST, name.value), "merchant's" if owner else "platform's"
                answers["rotate", whose, name] = await answered(keys.rotate(*of, 7, ACTOR))
                answers["reseal", whose, name] = await answered(keys.reseal(*of, None, 7, ACTOR))
    finally:
        await composer.close()
    return answers


def test_a_rate_is_the_jobs_or_is_refused_and_never_passed_over(site: Installed) -> None:
    merchant = merchant_of(site)
    answers = asyncio.run(rated(site, merchant))
    taken = {asked for asked, answer in answers.items() if answer == 7}
    assert taken == {(what, "merchant's", name) for what in ("rotate", "reseal") for name in RATED}
    assert {answer for asked, answer in answers.items() if asked not in taken} == {
        "--rate",
        "key_not_rotated",
    }
    by_rate = {asked for asked, answer in answers.items() if answer == "--rate"}
    assert {
        ("rotate", "merchant's", "idempotency"),
        ("rotate", "merchant's", "webhook_secrets"),
        ("rotate", "platform's", "card"),
        ("reseal", "merchant's", "totp_secrets"),
    } <= by_rate
    every = site.run.done("keys", "list", "--json").json
    assert {each["name"] for each in every if each["merchant"] == merchant} == RATED


def test_the_command_takes_a_rate_or_says_whose_it_is(site: Installed) -> None:
    run, merchant = site.run, merchant_of(site)
    of = ("--merchant", merchant, "--mode", "test")
    run.done("keys", "rotate", "card", *of)
    begun = [
        (rate, run.done("keys", what, "card", *of, *more, "--json").json["job"])
        for what, more, rate in (
            ("rotate", ("--rate", "7"), 7),
            ("reseal", ("--rate", "9"), 9),
            ("reseal", (), None),
        )
    ]
    for rate, job in begun:
        sql = "select rate from vault.job where job_id = $1"
        ((kept,),) = asyncio.run(found(site, sql, job))
        assert kept == rate
    run.done("keys", "rotate", "webhook_secrets", *of)
    sentence = "invalid: --rate is for a merchant's card, credentials, fingerprint and transfer: "
    for what in ("rotate", "reseal"):
        refused = run("keys", what, "webhook_secrets", *of, "--rate", "7")
        assert (refused.code, refused.err.startswith(sentence)) == (1, True), refused.err
    refused = run("keys", "reseal", "webhook_secrets", *of, "--algorithm", "A256GCM")
    told = "invalid: only cards have a choice of algorithm\n"
    assert (refused.code, refused.err) == (1, told), refused.err
    assert run.done("keys", "rotate", "webhook_secrets", *of, "--json").json["version"] == 2


async def stored(site: Installed, key: str) -> str:
    """Store a card as a merchant's server does; return its token."""
    composer = Composer(site_of(site.here))
    try:
        edge: Any = await composer.vault()
        async with httpx.AsyncClient(
            base_url="https://vault.test", transport=httpx.ASGITransport(app=edge)
        ) as client:
            made = await client.post(
                "/v1/tokens",
                json={"card": card(VISA)},
                headers={"authorization": f"Bearer {key}", "idempotency-key": "the card"},
            )
            assert made.status_code == 201, made.text
            return str(made.json()["id"])
    finally:
        await composer.close()


async def opened(site: Installed, merchant: str, token: str, sealed: bytes, version: int) -> str:
    """Open a number as the vault does for a forward, in a process that has no key at hand yet."""
    composer = Composer(site_of(site.here))
    try:
        database = await composer.database(Domain.VAULT, Login.VAULT)
        keyring = await composer.keyring(database, Purpose.CARD)
        sealer = CardSealer(keyring, AtHome(), Algorithm.A256CBC_HS512, composer.site.clock)
        pan = await sealer.open_number(
            sealed,
            mode=Mode.TEST,
            merchant=MerchantId(merchant),
            token=TokenId(token),
            key_version=version,
        )
        return pan.digits_for_forwarding()
    finally:
        await composer.close()


def test_a_root_is_rotated_under_a_card_that_nothing_touches(site: Installed) -> None:
    run, merchant = site.run, merchant_of(site)
    of = ("--merchant", merchant, "--mode", "test")
    key = run.done("key", "create", *of, "--kind", "sk", "--name", "shop", "--quiet").out.strip()
    token = asyncio.run(stored(site, key))

    def kept() -> tuple[dict[str, Any], bytes]:
        (row,) = asyncio.run(found(site, "select * from vault.token where token_id = $1", token))
        sql = "select wrapped from keys.data_key where merchant_id = $1 and name = 'card'"
        ((wrapped,),) = asyncio.run(found(site, sql, merchant))
        return dict(row), wrapped

    row, wrapped = kept()
    assert row["sealed_number"]
    assert run.done("keys", "rotate-root", "card", "--json").json["rewrapped"] > 0
    after, wrapped_after = kept()
    assert after["sealed_number"] == row["sealed_number"]
    assert after == row, "no column of it"
    assert wrapped_after != wrapped, "its key is wrapped anew"
    sealed, version = bytes(after["sealed_number"]), after["key_version"]
    assert asyncio.run(opened(site, merchant, token, sealed, version)) == VISA
