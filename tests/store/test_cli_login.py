# SPDX-License-Identifier: Apache-2.0
"""`strongroom setup`, `login` and `logout` against the console: what is asked, kept, printed and never printed.

What other parts of the console offer (opening a link, the password, refreshing and ending a session) stands here small.
"""

import asyncio
import json
import os
import pty
import re
import select
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyotp
import pytest_asyncio
from litestar import Request as LitestarRequest
from litestar import post
from litestar.datastructures import State

from command_line import SCRIPT, CommandLine, Ended
from database import Databases
from logging_in import PASSWORD, WRONG, App, Ground, grounded
from service import free_ports
from strongroom.crypto import new_secret_text
from strongroom.http import PUBLIC, Unauthenticated
from strongroom.http.requires import principal_of
from strongroom.http.server import Endpoint, Servers
from strongroom.identity.people.model import Person
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.permissions import Permission

SHORT = "short"


class LinkIn(msgspec.Struct):
    link: str


class PasswordIn(msgspec.Struct):
    ticket: str
    password: str


class RefreshIn(msgspec.Struct):
    refresh_token: str
    mode: str


@post("/v1/setup", requires=PUBLIC, status_code=200)
async def open_link(data: LinkIn, state: State) -> dict[str, Any]:
    ticket = data.link.rpartition("#link_")[2]
    person = state.tickets.people.get(ticket)
    if person is None:
        raise Unauthenticated("link")
    return {"ticket": ticket, "name": person.name, "email": person.email, "role": person.role}


@post("/v1/setup/password", requires=PUBLIC, status_code=204)
async def set_password(data: PasswordIn) -> None:
    if data.password == SHORT:
        raise Invalid(FieldError("/password", "password_short", "a password has 12 characters"))


@post("/v1/session/refresh", requires=PUBLIC, status_code=200)
async def refresh(data: RefreshIn, state: State) -> dict[str, Any]:
    """A refresh token holds once."""
    session = state.sessions.refreshes.pop(data.refresh_token, None)
    if session not in state.sessions.open:
        raise Unauthenticated("refresh")
    successor = new_secret_text(256)
    state.sessions.refreshes[successor] = session
    return {
        "access_token": state.sessions._token(session).expose(),
        "refresh_token": successor,
        "expires_in": 300,
    }


@post("/v1/session/end", requires=Permission.IDENTITY_OWN_MANAGE, status_code=204)
async def end(request: LitestarRequest[Any, Any, State], state: State) -> None:
    presence = principal_of(request).presence
    assert presence is not None
    del state.sessions.open[presence.session]


@dataclass
class Here:
    """A console that serves, and a client's folder."""

    ground: Ground
    run: CommandLine

    @property
    def url(self) -> str:
        return self.run.variables["STRONGROOM_CONSOLE_URL"]

    @property
    def file(self) -> Path:
        return self.run.folder / "state" / "client" / "session.json"

    async def ran(self, *arguments: str, stdin: str = "", **variables: str) -> Ended:
        return await asyncio.to_thread(self.run, *arguments, stdin=stdin, **variables)

    async def ready(self) -> tuple[Person, App, list[str]]:
        person = await self.ground.person()
        app, codes = await self.ground.app(person)
        return person, app, codes

    async def log_in(self, person: Person, app: App) -> None:
        ended = await self.ran(
            "login", "--email", person.email, "--mode", "test", stdin=f"{PASSWORD}\n{app.code()}\n"
        )
        assert ended.code == 0, ended.err
        self.ground.clock.step(timedelta(seconds=30))


@pytest_asyncio.fixture(loop_scope="session")
async def here(databases: Databases, tmp_path: Path) -> AsyncIterator[Here]:
    (port,) = free_ports(1)
    async with grounded(databases, routes=(open_link, set_password, refresh, end)) as ground:
        servers = Servers([Endpoint("console", ground.edge, "127.0.0.1", port, None)])
        await servers.start()
        try:
            variables = {
                "STRONGROOM_CONSOLE_URL": f"http://127.0.0.1:{port}",
                "STRONGROOM_STATE": str(tmp_path / "state"),
                "COLUMNS": "200",
            }
            yield Here(ground, CommandLine(tmp_path, variables))
        finally:
            await servers.stop()


async def test_whoever_logs_in_is_kept_in_a_file_of_their_own(here: Here) -> None:
    person, app, _ = await here.ready()
    await here.log_in(person, app)
    assert here.file.stat().st_mode & 0o777 == 0o600
    assert here.file.parent.stat().st_mode & 0o777 == 0o700
    kept = json.loads(here.file.read_text())
    assert set(kept) == {"url", "authority", "email", "mode", "refresh_token"}
    assert (kept["url"], kept["email"], kept["mode"]) == (here.url, person.email, "test")
    assert sorted(each.name for each in here.file.parent.iterdir()) == ["session.json"]
    assert len(here.ground.sessions.open) == 1


async def test_an_address_may_be_a_line_too(here: Here) -> None:
    person, app, _ = await here.ready()
    lines = f"{person.email}\n{PASSWORD}\n{app.code()}\n"
    assert (await here.ran("login", stdin=lines)).code == 0


async def test_a_wrong_login_says_no_more_than_the_console_and_keeps_nothing(here: Here) -> None:
    person, app, _ = await here.ready()
    for email, password in ((person.email, WRONG), ("nobody@shop.example", PASSWORD)):
        ended = await here.ran("login", "--email", email, stdin=f"{password}\n{app.code()}\n")
        assert ended.code == 1
        assert "login_refused" in ended.plain
        assert password not in ended.out + ended.err
    assert not here.file.exists()


async def test_a_recovery_code_logs_in_and_says_how_many_are_left(here: Here) -> None:
    person, _, codes = await here.ready()
    ended = await here.ran(
        "login", "--recovery", "--email", person.email, stdin=f"{PASSWORD}\n{codes[0]}\n"
    )
    assert (ended.code, "recovery codes left: 9" in ended.plain) == (0, True)
    assert codes[0] not in ended.out + ended.err


async def test_logging_out_ends_the_session_and_forgets_it(here: Here) -> None:
    person, app, _ = await here.ready()
    await here.log_in(person, app)
    ended = await here.ran("logout")
    assert (ended.code, "logged out" in ended.plain) == (0, True), ended.plain
    assert not here.file.exists()
    assert not here.ground.sessions.open
    ended = await here.ran("logout")
    assert (ended.code, "Nobody is logged in here" in ended.plain) == (0, True)


async def test_a_session_that_has_ended_is_forgotten(here: Here) -> None:
    person, app, _ = await here.ready()
    await here.log_in(person, app)
    here.ground.sessions.open.clear()
    ended = await here.ran("logout")
    assert (ended.code, "the session has ended: strongroom login" in ended.plain) == (0, True)
    assert not here.file.exists()


async def test_a_file_that_others_can_read_is_refused(here: Here) -> None:
    person, app, _ = await here.ready()
    await here.log_in(person, app)
    here.file.chmod(0o644)
    ended = await here.ran("logout")
    assert (ended.code, "session_file_refused" in ended.plain) == (1, True)
    here.file.chmod(0o600)
    here.file.write_text("{}")
    ended = await here.ran("logout")
    assert (ended.code, "holds no session" in ended.plain) == (1, True)


async def test_a_link_sets_up_in_a_script(here: Here) -> None:
    """A program on this machine reads what the QR code says from a file, and answers with a code."""
    person = await here.ground.person()
    link = f"{here.url}/setup#link_{here.ground.tickets.new(person)}"
    process = await asyncio.create_subprocess_exec(
        str(SCRIPT),
        *("setup", "--uri-file", "app.uri", "--png", "app.png"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=here.run.folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(here.run.folder), **here.run.variables},
    )
    assert process.stdin is not None
    process.stdin.write(f"{link}\n{PASSWORD}\n".encode())
    file = here.run.folder / "app.uri"
    async with asyncio.timeout(30):
        while not file.exists() or not file.read_text().endswith("\n"):
            await asyncio.sleep(0.05)
    read = pyotp.parse_uri(file.read_text().strip())
    assert isinstance(read, pyotp.TOTP)
    app = App(read.secret, here.ground.clock)
    process.stdin.write(f"{app.code()}\n".encode())
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    codes = out.decode().splitlines()
    assert len(codes) == 10
    assert all(re.fullmatch(r"(?:[0-9A-Z]{4}-){3}[0-9A-Z]{4}", code) for code in codes)
    said = err.decode()
    assert f"Ada <{person.email}>, admin" in said
    assert "▀" in said
    assert PASSWORD not in said
    for name in ("app.uri", "app.png"):
        assert (here.run.folder / name).stat().st_mode & 0o777 == 0o600
    assert (here.run.folder / "app.png").read_bytes().startswith(b"\x89PNG")
    here.ground.clock.step(timedelta(seconds=30))
    await here.log_in(person, app)


async def test_a_link_that_is_none_sets_up_nothing(here: Here) -> None:
    ended = await here.ran("setup", f"{here.url}/setup#link_x", stdin=f"{PASSWORD}\n")
    assert (ended.code, "401" in ended.plain) == (1, True)


async def test_a_script_is_not_asked_again(here: Here) -> None:
    person = await here.ground.person()
    link = f"{here.url}/setup#link_{here.ground.tickets.new(person)}"
    ended = await here.ran("setup", link, stdin=f"{SHORT}\n{PASSWORD}\n")
    assert (ended.code, "a password has 12 characters" in ended.plain) == (1, True)


def typed_at_a_terminal(here: Here, arguments: list[str], answers: dict[str, Any]) -> str:
    """Run a command at a terminal, answer what it asks in any order, and return all that the terminal showed."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [str(SCRIPT), *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=here.run.folder,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(here.run.folder),
            "TERM": "xterm",
            **here.run.variables,
        },
    )
    os.close(slave)
    shown, seen = "", 0
    while True:
        ready, _, _ = select.select([master], [], [], 30)
        assert ready, f"it says nothing more: {shown}"
        try:
            shown += os.read(master, 4096).decode(errors="replace")
        except OSError:
            break
        for question, answer in answers.items():
            at = shown.find(f"{question}: ", seen)
            if at >= 0:
                seen = at + len(question)
                text = answer(shown) if callable(answer) else answer.pop(0)
                os.write(master, f"{text}\n".encode())
                break
    os.close(master)
    process.wait(30)
    return shown


async def test_a_person_is_asked_again_and_sees_no_secret_they_typed(here: Here) -> None:
    person = await here.ground.person()
    link = f"{here.url}/setup#link_{here.ground.tickets.new(person)}"
    typed: list[str] = []
    clock = here.ground.clock

    def code(shown: str) -> str:
        key = re.findall(r"or type its key: ([A-Z2-7 ]+)", shown)[-1].replace(" ", "")
        app = App(key, clock)
        typed.append(app.code() if typed else "000000")
        return typed[-1]

    answers = {
        "New password": [SHORT, PASSWORD, PASSWORD],
        "The same again": [SHORT, WRONG, PASSWORD],
        "Code of the app": code,
    }
    shown = await asyncio.to_thread(typed_at_a_terminal, here, ["setup", link], answers)
    assert "a password has 12 characters" in shown
    assert "the two are not the same" in shown
    assert "this is not the code that the app shows now" in shown
    assert PASSWORD not in shown
    assert typed[-1] not in shown
    assert len(re.findall(r"(?:[0-9A-Z]{4}-){3}[0-9A-Z]{4}", shown)) == 10
