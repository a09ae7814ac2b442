# SPDX-License-Identifier: Apache-2.0
"""What the gateway's nouns refuse before they ask anybody: wrong usage ends with 2 and says what is right."""

import pytest
import typer
from typer.testing import CliRunner

from strongroom.cli import connection, payment, pki, refund, serve

APP = typer.Typer()
for _noun in (payment, refund, connection, pki, serve):
    _noun.register(APP)
CREATE = ("payment", "create", "--currency", "AED", "--amount")
CONNECT = ("connection", "create", "--processor", "simulator", "--account", "a", "--base-url", "u")
SOME = "pay_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
#: Arguments, what is said.
USAGE: list[tuple[tuple[str, ...], str]] = [
    ((*CREATE, "10.5"), "AED has 2 decimals"),
    (("payment", "capture", SOME, "--amount", "0"), "an amount is more than nothing"),
    ((*CREATE, "ten"), "an amount is whole minor units (1050), or has decimals (10.50)"),
    (("payment", "create", "--currency", "aed", "--amount", "1"), "no ISO 4217 currency"),
    ((*CREATE, "1", "--token", "tok_1"), "a token is tok_ and 26 letters and digits"),
    ((*CREATE, "1", "--connection", "con_1"), "a connection is con_ and 26 letters and digits"),
    ((*CREATE, "1", "--metadata", "order"), "--metadata is KEY=VALUE"),
    (("payment", "show", "pay_1"), "a payment's id is pay_ and 26 letters and digits"),
    (("payment", "capture", "4"), "a payment's id is pay_ and 26 letters and digits"),
    (("payment", "list", "--since", "yesterday"), "a time is a date or a time in ISO 8601"),
    (("payment", "list", "--until", "2034-13-01"), "a time is a date or a time in ISO 8601"),
    (("refund", "show", "ref_1"), "a refund's id is ref_ and 26 letters and digits"),
    (("refund", "create", "pay_1"), "a payment's id is pay_ and 26 letters and digits"),
    (("connection", "test", "con_1"), "a connection's id is con_ and 26 letters and digits"),
    (CONNECT, "--webhook-secret-file is needed"),
    ((*CONNECT, "--webhook-secret-file", "-"), "--credential NAME=FILE is needed"),
    (
        (*CONNECT, "--webhook-secret-file", "-", "--credential", "api_key"),
        "the value stands in the file",
    ),
    (("pki", "issue", "console"), "console: one of server, gateway, worker"),
    (("pki", "issue", "gateway", "--days", "0"), "greater than or equal to 1"),
    (("pki", "rotate", "--step", "both"), "'both' is not one of"),
    (("serve", "--role", "everything"), "'everything' is not one of"),
    (("connection", "rotate", SOME.replace("pay", "con")), "nothing to rotate"),
]


@pytest.mark.parametrize(("arguments", "said"), USAGE, ids=[" ".join(a) for a, _ in USAGE])
def test_wrong_usage_is_two_and_says_what_is_right(arguments: tuple[str, ...], said: str) -> None:
    ended = CliRunner().invoke(APP, arguments, env={"COLUMNS": "200", "STRONGROOM_KEY": "sk_test"})
    assert (ended.exit_code, said in ended.output) == (2, True), ended.output
