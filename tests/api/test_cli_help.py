# SPDX-License-Identifier: Apache-2.0
"""Every command says what it does with an example, takes no secret as an argument, and help is there at once."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from command_line import CommandLine
from strongroom.cli.app import app
from strongroom.config import load_settings
from strongroom.config.load import client_key

#: What help may import besides Typer and its own modules: small parts of the standard library.
LIGHT = {"base64", "binascii", "encodings.ascii", "shlex"}


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_the_commands_are_those_that_are_documented() -> None:
    assert sorted(COMMANDS) == [
        "access decide",
        "access due",
        "access review",
        "access start",
        "access-rule add",
        "access-rule list",
        "access-rule remove",
        "approval approve",
        "approval deny",
        "approval list",
        "approval show",
        "approval withdraw",
        "audit checkpoint",
        "audit export",
        "audit key",
        "audit prove",
        "audit status",
        "audit tail",
        "audit tree restart",
        "audit verify",
        "audit verify-proof",
        "backup create",
        "backup drill",
        "backup keygen",
        "backup restore",
        "brake allow",
        "brake block",
        "brake end",
        "brake incidents",
        "brake list",
        "brake remove",
        "brake set",
        "brake show",
        "brake test",
        "connection create",
        "connection credentials",
        "connection disable",
        "connection discard",
        "connection health",
        "connection list",
        "connection next",
        "connection promote",
        "connection restore",
        "connection rotate",
        "connection show",
        "connection test",
        "container list",
        "container remove",
        "container set",
        "customer agree",
        "customer cards",
        "customer create",
        "customer erase",
        "customer forget-card",
        "customer list",
        "customer mandates",
        "customer revoke",
        "customer save-card",
        "customer show",
        "demo",
        "destination create",
        "destination disable",
        "destination list",
        "destination restore",
        "destination rotate",
        "destination show",
        "destination update",
        "dispute list",
        "dispute show",
        "doctor",
        "endpoint change",
        "endpoint create",
        "endpoint delete",
        "endpoint list",
        "endpoint rotate",
        "endpoint test",
        "erasure create",
        "erasure list",
        "erasure show",
        "event deliveries",
        "event list",
        "event redeliver",
        "event show",
        "export",
        "import",
        "import-key create",
        "import-key show",
        "init",
        "job cancel",
        "job list",
        "job pause",
        "job rate",
        "job resume",
        "job show",
        "job watch",
        "key create",
        "key list",
        "key revoke",
        "key-store init",
        "key-store rotate",
        "key-store show",
        "keys destroy",
        "keys list",
        "keys progress",
        "keys reseal",
        "keys rotate",
        "keys rotate-root",
        "ledger balance",
        "ledger check",
        "ledger statement",
        "listen",
        "login",
        "logout",
        "merchant create",
        "merchant list",
        "merchant show",
        "migrate",
        "network list",
        "network remove",
        "network set",
        "payment attempts",
        "payment cancel",
        "payment capture",
        "payment confirm",
        "payment create",
        "payment hold",
        "payment increment",
        "payment list",
        "payment resolve",
        "payment show",
        "person enable",
        "person invite",
        "person list",
        "person reset",
        "person role",
        "person suspend",
        "person unlock",
        "pki init",
        "pki issue",
        "pki list",
        "pki revoke",
        "pki rotate",
        "provider change",
        "provider create",
        "provider disable",
        "provider list",
        "receipt get",
        "receipt keys",
        "receipt verify",
        "reconcile",
        "reconciliation again",
        "reconciliation lines",
        "reconciliation list",
        "reconciliation show",
        "refund create",
        "refund list",
        "refund show",
        "retry cancel",
        "retry off",
        "retry set",
        "retry show",
        "routing activate",
        "routing history",
        "routing load-ranges",
        "routing ranges",
        "routing set",
        "routing show",
        "routing test",
        "scan",
        "secret list",
        "secret rotate",
        "serve",
        "service create",
        "service list",
        "service revoke",
        "service revoke-certificate",
        "service rotate-key",
        "setup",
        "signing-key list",
        "signing-key rotate",
        "simulator",
        "token create",
        "token delete",
        "token honey",
        "token list",
        "token read",
        "token reveal",
        "vault mapping",
        "vault retokenize",
    ]


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_a_sentence_and_an_example_of_itself(path: str) -> None:
    command = COMMANDS[path]
    assert re.match(r"[A-Z].*\.", command.help or ""), "a sentence"
    assert f"strongroom {path}" in (command.epilog or ""), "an example of this command"
    for option in command.params:
        if option.name != "help":
            assert option.help, f"{path} says what {option.name} is"


@pytest.mark.parametrize("path", COMMANDS)
def test_an_example_uses_options_that_exist(path: str) -> None:
    command = COMMANDS[path]
    known = {name for option in command.params for name in option.opts}
    example = (command.epilog or "").partition(f"strongroom {path}")[2]
    assert set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", example)) <= known


@pytest.mark.parametrize("path", COMMANDS)
def test_no_command_takes_a_card_or_a_secret_as_an_argument(path: str) -> None:
    words = {
        word
        for option in COMMANDS[path].params
        for name in (option.name, *option.opts)
        if not name.endswith("file")  # names where it is kept
        for word in re.split(r"[-_]+", name.lower())
    }
    assert not words & {"number", "card", "pan", "passphrase", "password", "secret"}
    if "cvc" in words:  # a flag: read the CVC too
        assert next(each for each in COMMANDS[path].params if each.name == "cvc").is_flag


def imported_for_help(run: CommandLine, main: str) -> set[str]:
    """Return the modules that a command line has imported when it has printed its help."""
    program = (
        f"import json, sys\n{main}\nsys.argv = ['strongroom', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    ended = run(program=[sys.executable, "-c", program])
    return set(json.loads(ended.err.splitlines()[-1]))


def test_help_imports_nothing_but_its_own_modules(tmp_path: Path) -> None:
    run = CommandLine(tmp_path)
    ours = imported_for_help(run, "from strongroom.cli.app import main")
    # Typer's own are there for any program that it helps with.
    empty = imported_for_help(run, "import typer\ndef main(): typer.run(lambda: None)")
    more = {each for each in ours - empty if each.partition(".")[0] != "strongroom"}
    assert more <= LIGHT
    roots = {".".join(each.split(".")[:2]) for each in ours if each.startswith("strongroom.")}
    assert roots == {f"strongroom.{each}" for each in ("cli", "config", "db", "kernel")}


#: Arguments, exit code, what is said.
USAGE = [
    ((), 2, "Usage: strongroom"),
    (("--version",), 0, "strongroom 0.1.0"),
    (("nonsense",), 2, "No such command 'nonsense'"),
    (("token", "read"), 2, "Missing argument 'ID'"),
    (("token", "read", "tok_1"), 2, "a token's id is tok_ and 26 letters and digits"),
    (("key", "list"), 2, "Missing option '--merchant'"),
    (("key", "list", "--merchant", "shop"), 2, "a merchant's id is mer_"),
    (("merchant", "list"), 1, "not_initialised: This installation is not initialised"),
    (("audit", "status"), 1, "not_initialised: This installation is not initialised"),
    (("token", "list"), 1, "key_missing: No API key: set STRONGROOM_KEY"),
]


async def test_wrong_usage_is_two_and_a_refusal_is_one(tmp_path: Path) -> None:
    state = tmp_path / "state"
    run = CommandLine(tmp_path, {"STRONGROOM_STATE": str(state)})
    calls = (asyncio.to_thread(run, *arguments) for arguments, _, _ in USAGE)
    for (arguments, code, said), ended in zip(USAGE, await asyncio.gather(*calls), strict=True):
        assert (arguments, ended.code, said in ended.plain) == (arguments, code, True), ended.plain
    assert not state.exists(), "nothing is made by asking"


@pytest.mark.parametrize(
    "arguments",
    [
        ("token", "read", "4242424242424242"),
        ("token", "create", "--exp", "12/2030", "4242 4242 4242 4242"),
        ("merchant", "create", "shop 5555-5555-5555-4444"),
        ("token", "create", "--metadata=note=378282246310005"),
    ],
)
def test_a_card_number_among_the_arguments_is_refused_and_not_repeated(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    ended = CommandLine(tmp_path)(*arguments)
    assert ended.code == 2
    assert "give card numbers on standard input" in ended.err
    assert not re.search(r"[0-9]{4}", ended.out + ended.err)


def test_what_a_client_finds_in_the_environment_is_no_setting() -> None:
    found = {"STRONGROOM_KEY": " sk_test_x\n", "STRONGROOM_URL": "https://v", "STRONGROOM_CA": "/c"}
    assert load_settings({**found, "HOME": "/tmp"}).vault_listen.port == 8443
    key = client_key(found)
    assert key is not None
    assert key.expose() == "sk_test_x"
    assert client_key({"STRONGROOM_KEY": " "}) is None
