# SPDX-License-Identifier: Apache-2.0
"""`strongroom endpoint`, `event` and `listen` against a running gateway, its worker, and a program that listens."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from standardwebhooks.webhooks import Webhook

from command_line import SCRIPT, CommandLine, Ended
from peer import Peer, answer, peer, says
from polling import until
from service import Service, Tenant
from strongroom.crypto.ids import new_id
from strongroom.kernel.mode import Mode

DEADLINE_SECONDS = 20.0


@dataclass(slots=True)
class Desk:
    """A merchant at the command line, and a program of its own that listens."""

    run: CommandLine
    service: Service
    tenant: Tenant
    program: Peer

    async def __call__(self, *arguments: str, stdin: str = "") -> Ended:
        key = ("--key-file", "shop.key")
        ended = await asyncio.to_thread(self.run, *arguments, *key, stdin=stdin)
        assert self.tenant.keys[Mode.TEST] not in ended.out + ended.err
        return ended

    async def done(self, *arguments: str) -> Any:
        ended = await self(*arguments, "--json")
        assert ended.code == 0, ended.err + ended.out
        return ended.json

    async def heard(self, number: int) -> None:
        """Wait until the program was told so often."""
        await until(
            lambda: len(self.program.requests) >= number,
            what="it to be told",
        )


@pytest_asyncio.fixture(loop_scope="session")
async def desk(service: Service, tmp_path: Path) -> AsyncIterator[Desk]:
    tenant = await service.tenant()
    key = tmp_path / "shop.key"
    key.touch(mode=0o600)
    key.write_text(tenant.keys[Mode.TEST] + "\n")
    variables = {
        "STRONGROOM_GATEWAY_URL": f"https://{service.settings.gateway_listen}",
        "STRONGROOM_CA": str(service.authority),
        "STRONGROOM_STATE": str(tmp_path / "state"),
    }
    run = CommandLine(tmp_path, variables, transcript=service.answers.file)
    async with peer(says(answer(b"", 204))) as program:
        yield Desk(run, service, tenant, program)


async def test_an_endpoint_is_made_tested_changed_rotated_and_deleted(desk: Desk) -> None:
    made = await desk.done(
        *("endpoint", "create", "--target", f"{desk.program.url}/hooks", "--description", "orders"),
        *("--type", "payment.captured", "--type", "refund.created"),
    )
    endpoint, secret = made["id"], made["secret"]
    assert made["types"] == ["payment.captured", "refund.created"]
    tested = await desk("endpoint", "test", endpoint)
    assert (tested.code, f"{endpoint} answered 204 in" in tested.plain) == (0, True), tested.plain
    (sent,) = desk.program.requests
    said = Webhook(secret).verify(sent.body, sent.headers)
    assert (said["type"], said["data"]) == ("webhook.test", {"endpoint": endpoint})

    rotated = await desk("endpoint", "rotate", endpoint, "--overlap-hours", "1", "--quiet")
    new = rotated.out.strip()
    assert new.startswith("whsec_")
    assert new != secret
    listed = await desk("endpoint", "list")
    assert f"{endpoint} active {desk.program.url}/hooks payment.captured, refund.created" in (
        listed.plain
    )
    assert secret not in listed.out
    await desk("endpoint", "test", endpoint)
    sent = desk.program.requests[-1]
    for each in (secret, new):
        Webhook(each).verify(sent.body, sent.headers)

    changed = await desk.done(
        "endpoint", "change", endpoint, "--every-type", "--status", "disabled"
    )
    assert (changed["types"], changed["status"]) == ([], "disabled")
    refused = await desk("endpoint", "test", endpoint)
    assert (refused.code, "endpoint_disabled" in refused.plain) == (1, True)
    await desk.done("endpoint", "delete", endpoint, "--yes")
    assert "no endpoints yet" in (await desk("endpoint", "list")).plain


async def test_an_endpoint_that_does_not_answer_well_fails_its_test(desk: Desk) -> None:
    desk.program.behaviour = says(answer(b"", 500))
    made = await desk("endpoint", "create", "--target", desk.program.url, "--quiet")
    assert made.out.startswith("whsec_")
    (endpoint,) = await desk.done("endpoint", "list")
    tested = await desk("endpoint", "test", endpoint["id"])
    assert (tested.code, "answered 500 in" in tested.plain) == (1, True), tested.plain


async def test_events_are_shown_with_their_deliveries_and_delivered_again(desk: Desk) -> None:
    await desk.done("endpoint", "create", "--target", desk.program.url)
    (endpoint,) = await desk.done("endpoint", "list")
    event = (await desk.done("endpoint", "test", endpoint["id"]))["event"]
    (listed,) = await desk.done("event", "list", "--type", "webhook.test", "--limit", "5")
    shown = await desk("event", "show", event)
    assert listed == shown.json
    assert listed["id"] == event
    assert await desk.done("event", "list", "--about", endpoint["id"]) == [listed]
    assert await desk.done("event", "list", "--about", new_id("pay")) == []
    await desk.done("event", "redeliver", event, "--endpoint", endpoint["id"])
    await desk.heard(2)
    assert {sent.headers["webhook-id"] for sent in desk.program.requests} == {event}
    first, second = await desk.done("event", "deliveries", event)
    assert first["id"] != second["id"]
    assert first["status"] == "delivered"
    printed = await desk("event", "deliveries", event)
    assert f"{endpoint['id']} delivered 1 " in printed.plain
    assert "204 delivered" in printed.plain


#: Arguments, exit code, what is said.
REFUSED = [
    (("endpoint", "create", "--target", "https://10.0.0.1/"), 1, "destination_refused"),
    (("endpoint", "create", "--target", "http://shop.example/"), 1, "destination_refused"),
    (
        ("endpoint", "create", "--target", "https://shop.example/", "--type", "nonsense"),
        2,
        "nonsense",
    ),
    (("endpoint", "change", "whe_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"), 2, "say what is to become another"),
    (("endpoint", "test", "whe_1"), 2, "an endpoint's id is whe_"),
    (("endpoint", "rotate", "whe_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"), 1, "endpoint_unknown"),
    (("endpoint", "delete", "whe_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"), 2, "say --yes"),
    (("event", "show", "evt_1"), 2, "an event's id is evt_"),
    (("event", "show", "evt_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"), 1, "event_unknown"),
    (("event", "redeliver", "evt_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"), 1, "event_unknown"),
    (("event", "list", "--about", "shop"), 1, "this is not an object's id"),
    (("listen", "--forward-to", "https://shop.example/"), 2, "say --allow-remote"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), REFUSED)
async def test_what_is_refused_is_said(
    desk: Desk, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended = await desk(*arguments)
    assert (ended.code, said in ended.plain) == (code, True), ended.plain


async def test_a_developer_sees_events_and_has_them_sent_to_a_program(desk: Desk) -> None:
    caller = desk.service.gateway(desk.tenant.keys[Mode.TEST])
    await desk.done("endpoint", "create", "--target", "https://shop.example/")
    (endpoint,) = await desk.done("endpoint", "list")
    before = (await caller.post(f"/v1/endpoints/{endpoint['id']}/test")).json()
    listening = await asyncio.create_subprocess_exec(
        str(SCRIPT),
        *("listen", "--forward-to", f"{desk.program.url}/here", "--every", "0.2"),
        *("--type", "webhook.test", "--key-file", "shop.key"),
        cwd=desk.run.folder,
        env={"PATH": os.environ["PATH"], "HOME": str(desk.run.folder), **desk.run.variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert listening.stderr is not None
    assert listening.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            said = [(await listening.stderr.readline()).decode().strip() for _ in range(3)]
            assert said[2].startswith("listening")
            after = (await caller.post(f"/v1/endpoints/{endpoint['id']}/test")).json()
            line = (await listening.stdout.readline()).decode()
        assert f"webhook.test             {after['id']}  → 204" in line
        await desk.heard(1)
        (sent,) = desk.program.requests
        assert sent.target == "/here"
        assert Webhook(said[1]).verify(sent.body, sent.headers) == after
        assert before["id"] != after["id"], "what happened before is not shown"
        listening.send_signal(signal.SIGINT)
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await listening.wait() == 0
    finally:
        if listening.returncode is None:
            listening.kill()
            await listening.wait()
