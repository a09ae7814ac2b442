# SPDX-License-Identifier: Apache-2.0
"""`strongroom token` against a running vault: masked answers, precise refusals, no card number in anything printed."""

import asyncio
import os
import pty
import re
import select
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from canary import CVC, NUMBER
from command_line import SCRIPT, CommandLine, Ended
from service import Service, Tenant, free_ports
from strongroom.kernel.mode import Mode

SPACED = " ".join(NUMBER[at : at + 4] for at in range(0, 16, 4))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def run(
    service: Service, tenant: Tenant, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[CommandLine]:
    """A client of the service; what it prints is searched for the canary together with the service's answers."""
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
        },
        transcript=service.answers.file,
    )


async def ran(run: CommandLine, *arguments: str, stdin: str = "", **variables: str) -> Ended:
    """Run a command while this process serves."""
    ended = await asyncio.to_thread(run, *arguments, stdin=stdin, **variables)
    for text in (NUMBER, SPACED, NUMBER[:12], NUMBER[4:]):
        assert text not in ended.out + ended.err
    return ended


async def test_a_card_goes_in_and_only_its_mask_comes_out(run: CommandLine) -> None:
    key = ("--key-file", "backend.key")
    made = await ran(
        run,
        *("token", "create", "--exp", "12/2034", "--cvc", "--metadata", "order=1042", "--json"),
        *key,
        stdin=f"{SPACED}\n{CVC}\n",
    )
    assert made.code == 0, made.err
    token = made.json
    assert (token["bin"], token["last4"], token["cvc_state"]) == (NUMBER[:6], NUMBER[-4:], "sealed")
    assert token["metadata"] == {"order": "1042"}

    same, read, listed = await asyncio.gather(
        ran(
            run,
            *("token", "create", "--exp", "1/2035", "--deduplicate", "--quiet", *key),
            stdin=NUMBER,
        ),
        ran(run, "token", "read", token["id"], *key),
        ran(run, "token", "list", "--limit", "1", "--json", *key),
    )
    assert re.fullmatch(r"tok_[0-9A-Z]{26}\n", same.out)
    assert f"visa {NUMBER[:6]}…{NUMBER[-4:]} 12/2034" in read.plain
    assert len(listed.json) == 1

    refused = await ran(run, "token", "delete", token["id"], *key)
    assert (refused.code, "say --yes" in refused.plain) == (2, True)
    deleted = await ran(run, "token", "delete", token["id"], "--yes", "--json", *key)
    assert deleted.json == {"id": token["id"], "object": "token", "deleted": True}
    gone = await ran(run, "token", "read", token["id"], *key)
    assert (gone.code, gone.err.startswith("vault_refused: 404 token_unknown: ")) == (1, True)


async def test_a_token_has_a_holder_and_an_alias_and_stands_where_it_is_told(
    run: CommandLine,
) -> None:
    key = ("--key-file", "backend.key")
    more = ("--container", "default", "--holder", "Amal Haddad", "--alias")
    made = await ran(run, *CREATE, *more, *key, stdin=NUMBER)
    assert made.code == 0, made.err
    token = made.plain.split()[4]
    read = await ran(run, "token", "read", token, *key)
    for line in ("container: default", "holder: Amal Haddad", "alias: "):
        assert line in read.plain
    alias = read.plain.partition("alias: ")[2].split()[0]
    assert re.fullmatch(r"[0-9]{16}", alias)
    elsewhere = await ran(run, *CREATE, "--container", "cards/none", *key, stdin=NUMBER)
    assert (elsewhere.code, "vault_access_refused" in elsewhere.plain) == (1, True), elsewhere.plain


CREATE = ("token", "create", "--exp", "12/2034")
#: Arguments, standard input, exit code, what is said.
REFUSALS = [
    (
        (*CREATE,),
        NUMBER[:-1] + "7",
        1,
        "vault_refused: 422 invalid: /card/number the number's last",
    ),
    (("token", "create", "--exp", "12/2020"), NUMBER, 1, "vault_refused: 422 invalid: /card/exp_"),
    ((*CREATE, "--cvc"), f"{NUMBER}\n12345\n", 1, "vault_refused: 422 invalid: /card/cvc"),
    ((*CREATE, "--cvc"), NUMBER, 2, "CVC is missing: give it as a line of standard input"),
    ((*CREATE,), "", 2, "Card number is missing: give it as a line of standard input"),
    (("token", "create", "--exp", "13/2034"), NUMBER, 2, "--exp is MM/YYYY, such as 12/2030"),
    ((*CREATE, "--metadata", "order"), NUMBER, 2, "--metadata is KEY=VALUE"),
]


async def test_what_is_refused_is_said_and_not_repeated(run: CommandLine) -> None:
    key = ("--key-file", "backend.key")
    calls = (ran(run, *arguments, *key, stdin=stdin) for arguments, stdin, _, _ in REFUSALS)
    for (arguments, _, code, said), ended in zip(
        REFUSALS, await asyncio.gather(*calls), strict=True
    ):
        assert (arguments, ended.code, said in ended.plain) == (arguments, code, True), ended.plain


async def test_a_key_comes_from_the_environment_or_a_private_file(
    run: CommandLine, tenant: Tenant
) -> None:
    key = tenant.keys[Mode.TEST]
    (run.folder / "open.key").write_text(key)
    (run.folder / "open.key").chmod(0o644)
    (run.folder / "empty.key").touch(mode=0o600)
    by_variable, wrong, opened, empty, absent = await asyncio.gather(
        ran(run, "token", "list", "--json", STRONGROOM_KEY=key),
        ran(run, "token", "list", STRONGROOM_KEY=key[:-1] + ("a" if key[-1] != "a" else "b")),
        ran(run, "token", "list", "--key-file", "open.key"),
        ran(run, "token", "list", "--key-file", "empty.key"),
        ran(run, "token", "list", "--key-file", "absent.key"),
    )
    assert by_variable.code == 0, by_variable.err
    assert wrong.err.startswith("vault_refused: 401 ")
    assert opened.err == ("key_file_refused: others can read open.key: chmod 600 open.key\n")
    assert empty.err == "key_file_refused: empty.key is empty\n"
    assert absent.err == "key_file_refused: absent.key: No such file or directory\n"
    assert all(key not in each.out + each.err for each in (by_variable, wrong, opened))


async def test_without_a_url_it_is_this_machines_installation(
    run: CommandLine, service: Service
) -> None:
    settings = service.settings
    here = {
        "STRONGROOM_URL": "",
        "STRONGROOM_CA": "",
        "STRONGROOM_STATE": str(settings.state),
        "STRONGROOM_VAULT_LISTEN": str(settings.vault_listen),
    }
    ended = await ran(run, "token", "list", "--json", "--key-file", "backend.key", **here)
    assert ended.code == 0, ended.err


async def test_what_is_typed_at_a_terminal_is_not_shown(run: CommandLine, tenant: Tenant) -> None:
    command = (str(SCRIPT), "token", "create", "--exp", "12/2034", "--cvc", "--quiet")

    def typed() -> str:
        terminal, child = pty.openpty()
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(run.folder), **run.variables}
        with subprocess.Popen(
            command,
            stdin=child,
            stdout=child,
            stderr=child,
            env=environment,
            start_new_session=True,
        ) as process:
            os.close(child)
            shown = b""
            answers = [(b"API key: ", tenant.keys[Mode.TEST]), (b"Card number: ", SPACED)]
            for prompt, answer in [*answers, (b"CVC: ", CVC)]:
                while prompt not in shown:
                    shown += os.read(terminal, 1024)
                os.write(terminal, answer.encode() + b"\n")
            while process.poll() is None or select.select([terminal], [], [], 0)[0]:
                try:
                    shown += os.read(terminal, 1024)
                except OSError:  # the other side is closed
                    break
            assert process.wait(timeout=20) == 0, shown
        os.close(terminal)
        return shown.decode()

    shown = await asyncio.to_thread(typed)
    printed, count = re.subn(r"tok_[0-9A-Z]{26}", "", shown)
    assert count == 1
    assert not any(text in printed for text in (NUMBER, SPACED, CVC, tenant.keys[Mode.TEST]))


async def test_whom_it_talks_to_is_verified(run: CommandLine, service: Service) -> None:
    (port,) = free_ports(1)
    (run.folder / "no.pem").write_text("hello")
    key = ("--key-file", "backend.key")
    system, away, plain, stranger, broken = await asyncio.gather(
        ran(run, "token", "list", *key, STRONGROOM_CA=""),
        ran(run, "token", "list", *key, "--url", f"https://127.0.0.1:{port}"),
        ran(run, *CREATE, *key, "--url", "http://vault.example:8443", stdin=NUMBER),
        ran(run, "token", "list", *key, "--url", "ftp://127.0.0.1"),
        ran(run, "token", "list", *key, "--ca", "no.pem"),
    )
    assert system.err.startswith("certificate_refused: The vault's certificate does not verify")
    assert away.err.startswith(f"vault_away: no vault answers at https://127.0.0.1:{port}")
    assert plain.err.startswith("vault_url_refused: ")
    assert stranger.err.startswith("vault_url_refused: ")
    assert broken.err.startswith("certificate_refused: no.pem is not a PEM file")
    assert {each.code for each in (system, away, plain, stranger, broken)} == {1}


async def test_an_answer_that_is_lost_names_what_to_repeat(run: CommandLine) -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        ended = await ran(
            run,
            *(*CREATE, "--key-file", "backend.key", "--url", f"http://127.0.0.1:{port}"),
            stdin=NUMBER,
        )
    assert ended.code == 1
    key = re.search(r"repeat this with --idempotency-key (cli-[0-9A-Za-z]{22})\n", ended.err)
    assert key, ended.err
    again = [
        await ran(
            run,
            *(*CREATE, "--key-file", "backend.key", "--idempotency-key", key[1], "--quiet"),
            stdin=NUMBER,
        )
        for _ in range(2)
    ]
    assert again[0].out == again[1].out


def test_a_folder_without_an_installation_is_not_touched(run: CommandLine) -> None:
    assert not Path(run.variables["STRONGROOM_STATE"]).exists()
