# SPDX-License-Identifier: Apache-2.0
"""`strongroom routing` against a running gateway: rules go in and out as a file; a test tells where payments go."""

import json

import pytest

from api.test_cli_payment import Till, connecting, till
from strongroom.crypto.ids import new_id

__all__ = ["till"]  # the fixture of a merchant at the command line


async def test_rules_are_written_shown_taken_back_and_tested(till: Till) -> None:
    first = (await till.done("connection", "list"))[0]["id"]
    second = (await till.done(*connecting(till.simulated.url), "--name", "other"))["id"]
    empty = await till("routing", "history")
    assert "no routing rules yet" in empty.plain
    assert (await till("routing", "show")).code == 1
    rules = {
        "rules": [
            {
                "name": "uae-debit",
                "connections": [{"connection": first}],
                "when": {"country": ["AE"], "funding": ["debit"]},
            },
            {
                "name": "rest",
                "connections": [
                    {"connection": second, "weight": 3},
                    {"connection": first, "weight": 1},
                ],
                "when": {"currency": ["AED"], "amount": {"max": 100_000}},
            },
        ]
    }
    (till.run.folder / "rules.json").write_text(json.dumps(rules))
    (till.run.folder / "ranges.csv").write_text(
        "first,last,country,funding\n" + "424242,424242,AE,debit\n510000,559999,,credit\n"
    )
    written = await till("routing", "set", "rules.json", "--note", "the two accounts")
    assert (written.code, "uae-debit" in written.plain) == (0, True)
    assert "version 1 holds since" in written.plain
    assert "amount max 100000" in written.plain
    assert f"{second} (3 shares)" in written.plain

    loaded = await till("routing", "load-ranges", "ranges.csv", "--replace")
    assert "loaded 2 ranges" in loaded.plain
    listed = await till.done("routing", "ranges")
    assert [(each["first"], each["country"], each["funding"]) for each in listed] == [
        ("424242", "AE", "debit"),
        ("510000", "unknown", "credit"),
    ]
    asked = ("routing", "test", "--amount", "10.50", "--currency", "AED")
    debit = await till(*asked, "--bin", "424242")
    assert "rule uae-debit of version 1; country AE, funding debit" in debit.plain
    payment = new_id("pay")
    split = [await till.done(*asked, "--payment", payment) for _ in range(2)]
    assert split[0] == split[1]
    assert split[0]["route"]["rule"] == "rest"
    named = await till.done(*asked, "--connection", first, "--metadata", "channel=web")
    assert (named["connection"], named["route"]["by"]) == (first, "request")
    none = await till.done("routing", "test", "--amount", "10.50", "--currency", "USD")
    assert (none["connection"], none["route"]["by"]) == (second, "default")

    shown = await till.done("routing", "show")
    (till.run.folder / "again.json").write_text(json.dumps(shown))
    draft = await till("routing", "set", "again.json", "--draft", "--replaces", "1")
    assert "version 2 does not hold" in draft.plain
    late = await till("routing", "set", "again.json", "--replaces", "2")
    assert (late.code, "routing_rules_changed" in late.plain) == (1, True)
    assert (await till("routing", "activate", "2")).plain.strip() == "version 2 holds"
    assert (await till.done("routing", "activate", "1"))["version"] == 1
    history = await till("routing", "history")
    assert "the two accounts" in history.plain
    assert [each["version"] for each in await till.done("routing", "history")] == [2, 1]

    paid = await till.paid()
    attempts = await till("payment", "attempts", paid["id"])
    assert "uae-debit (version 1)" in attempts.plain

    away = await till("routing", "set", "again.json", "--note", "x" * 201)
    assert away.code == 1
    (till.run.folder / "none.json").write_text('{"rules": []}')
    assert "no rules" in (await till("routing", "set", "none.json")).plain


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        ("not json", ("set",), "cannot be read as JSON"),
        ("[]", ("set",), "holds no rules"),
        ('{"rules": 1}', ("set",), "holds no rules"),
        ("first,last\n1,2\n", ("load-ranges",), "begins with the line"),
    ],
)
async def test_a_file_that_is_none_is_said_before_anything_is_sent(
    till: Till, content: str, arguments: tuple[str, ...], said: str
) -> None:
    (till.run.folder / "wrong").write_text(content)
    ended = await till("routing", *arguments, "wrong")
    assert ended.code == 2
    assert said in ended.plain
