# SPDX-License-Identifier: Apache-2.0
"""`strongroom scan postgres://…` on a real server: what a login can read is looked at, and what it cannot is said."""

import gzip
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from database import Databases
from strongroom.crypto import new_secret_text
from strongroom.db.address import Address
from strongroom.db.errors import LoginRefused
from strongroom.db.logins import Domain
from strongroom.kernel.secret import Secret
from strongroom.vault.discovery.model import Finding, Form, Level, Report
from strongroom.vault.discovery.postgres import DatabaseSearch

CARD = "4242424242424242"
WIDE = f"card {CARD}".encode("utf-16").hex()
PACKED = gzip.compress(f"card {CARD}".encode()).hex()
LOGIN = "scan_reader"
SHOP = f"""
create schema "Shop";
create table "Shop"."Orders" (id bigint, note text, "Pan" varchar(40), extra jsonb, raw bytea, at timestamptz,
                              tags text[], number numeric, doc text, amount int);
insert into "Shop"."Orders" select n, 'nothing', null, '{{}}', null, now(), null, n, null, 1
  from generate_series(1, 700) n;
insert into "Shop"."Orders" (id, note) values (701, 'paid with 4242-4242-4242-4242');
insert into "Shop"."Orders" (id, "Pan") values (702, '{CARD}');
insert into "Shop"."Orders" (id, extra) values (703, '{{"card": {{"number": "{CARD}"}}}}');
insert into "Shop"."Orders" (id, raw) values (704, 'card {CARD}'::bytea), (705, '\\x{WIDE}'), (706, '\\x{PACKED}');
insert into "Shop"."Orders" (id, tags) values (707, array['card', '{CARD}']);
insert into "Shop"."Orders" (id, number) values (708, {CARD});
insert into "Shop"."Orders" (id, doc) values (709, '<pan>{CARD}</pan>');
create materialized view "Shop".copies as select "Pan" as pan from "Shop"."Orders";
create table "Shop".secret (pan text);
insert into "Shop".secret values ('{CARD}');
create table "Shop".half (note text, pan text);
create table "Shop".policed (pan text);
insert into "Shop".policed values ('{CARD}');
alter table "Shop".policed enable row level security;
create view "Shop".broken as select 1;
"""


@pytest_asyncio.fixture
async def reader(databases: Databases) -> AsyncIterator[Address]:
    """Lend a login that may read some of it, and nothing else of that database."""
    password = new_secret_text(128)
    name = databases.names[Domain.CORE]
    await databases.run(
        Domain.CORE,
        f"create role {LOGIN} login password '{password}'",
        f"grant connect on database {name} to {LOGIN}",
        *(each for each in SHOP.split(";\n") if each.strip()),
        f'grant usage on schema "Shop" to {LOGIN}',
        f'grant select on "Shop"."Orders", "Shop".copies, "Shop".policed to {LOGIN}',
        f'grant select (note) on "Shop".half to {LOGIN}',
    )
    address = databases.administrator(Domain.CORE)
    try:
        yield replace(address, user=LOGIN, password=Secret(password))
    finally:
        await databases.run(
            Domain.CORE,
            'drop schema "Shop" cascade',
            f"revoke connect on database {name} from {LOGIN}",
            f"drop role {LOGIN}",
        )


async def searched(address: Address) -> tuple[Report, dict[str, Finding]]:
    search = DatabaseSearch(wanted=lambda each: each.level.reaches(Level.MEDIUM))
    report = await search.run(address)
    return report, {
        f"{each.place.removeprefix('Shop.')}/{each.line}": each
        for each in report.findings
        if each.place.startswith("Shop.")
    }


async def test_every_value_that_can_be_read_is_looked_at(reader: Address) -> None:
    report, found = await searched(reader)
    assert set(found) == {
        "Orders.note/701",
        "Orders.Pan/702",
        "Orders.extra/703",
        "Orders.raw/704",
        "Orders.raw row 705/1",
        "Orders.raw row 706!gzip/1",
        "Orders.tags/707",
        "Orders.number/708",
        "Orders.doc/709",
        "copies.pan/702",
    }
    assert found["Orders.raw row 705/1"].form is Form.UTF16
    assert {each.masked for each in found.values()} == {"424242******4242"}
    assert report.rows >= 709 * 2


async def test_what_cannot_be_read_is_said(reader: Address) -> None:
    report, _ = await searched(reader)
    said = {(each.place, each.reason) for each in report.unread}
    assert {
        ("Shop.secret.pan", "no_permission"),
        ("Shop.half.pan", "no_permission"),
        ("Shop.policed", "row_security"),
    } <= said
    assert ("Shop.half.note", "no_permission") not in said


async def test_an_administrator_sees_all_and_changes_nothing(
    databases: Databases, reader: Address
) -> None:
    report, found = await searched(databases.administrator(Domain.CORE))
    assert {"secret.pan/1", "policed.pan/1"} <= set(found)
    assert not [each for each in report.unread if each.place.startswith("Shop.")]


async def test_a_login_that_is_not_let_in_is_an_error(reader: Address) -> None:
    with pytest.raises(LoginRefused):
        await searched(replace(reader, password=Secret("wrong")))
