# SPDX-License-Identifier: Apache-2.0
"""Promise 1, with roles apart: no process but the vault's ever has a card number in its memory or on its lines."""

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from apart import Apart, Till, apart, till
from peer import Peer, answer, peer, says
from polling import until
from promises.memory import bytes_of, found_in, holds, require_readable
from promises.tap import Line, tapped_database, tapped_port
from strongroom.audit import Origin
from strongroom.cli.installation import DATABASES
from strongroom.config.internal import internal_files
from strongroom.config.roles import ServedRole
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.egress.internal import InternalClient
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import synthetic_number
from strongroom.simulator import Fault
from strongroom.telemetry.canary import Wanted, search_stream
from strongroom.vault import Forward, Template
from strongroom.vault.internal.remote import RemoteVault

#: Of the synthetic range, whose numbers stand in no list that a process reads.
NUMBER = synthetic_number(31_907_446_852)
#: What the sabotage cases plant.
PLANTED = synthetic_number(31_907_446_853)
OTHERS = [role for role in ServedRole if role is not ServedRole.VAULT]

pytestmark = pytest.mark.timeout(300)


@dataclass(slots=True)
class Scene:
    """Five processes, a shop, and taps on the lines between them."""

    made: Apart
    till: Till
    database: Line
    port: Line
    answers: list[bytes]
    #: The merchant's own program, which the worker tells of events.
    endpoint: Peer

    def pid(self, role: ServedRole) -> int:
        return self.made.processes[role].pid


@asynccontextmanager
async def staged() -> AsyncIterator[Scene]:
    """Every role a process of its own, started by `strongroom serve --role`."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="t-", dir="/var/tmp")))
        made = stack.enter_context(apart(STRONGROOM_PROCESSOR_TIMEOUT_SECONDS="8"))
        core = made.site.here.bootstrap(DATABASES[Domain.CORE])
        database = await stack.enter_async_context(tapped_database(core, folder))
        pki = made.site.state / "pki" / "vault"
        port = await stack.enter_async_context(tapped_port(pki, made.ports["vault_internal"]))
        (folder / "dsn").write_text(database.place)
        made.begin(ServedRole.VAULT)
        await made.ready(ServedRole.VAULT)
        for role in OTHERS:
            made.begin(
                role,
                STRONGROOM_CORE_DATABASE=f"file:{folder / 'dsn'}",
                STRONGROOM_VAULT_INTERNAL_URL=port.place,
            )
        for role in OTHERS:
            await made.ready(role)
        shop = await stack.enter_async_context(till(made, folder / "simulator"))
        answers: list[bytes] = []

        async def keep(response: object) -> None:
            answers.append(await response.aread())  # type: ignore[attr-defined]

        shop.gateway.client.event_hooks["response"].append(keep)
        endpoint = await stack.enter_async_context(peer(says(answer(b"", 204))))
        wish = {"url": f"{endpoint.url}/hooks"}
        assert (await shop.gateway.post("/v1/endpoints", wish)).status_code == 201
        try:
            yield Scene(made, shop, database, port, answers, endpoint)
        finally:
            await asyncio.to_thread(made.close)  # before the lines that it ends on


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene() -> AsyncIterator[Scene]:
    async with staged() as lent:
        for role in ServedRole:
            require_readable(lent.pid(role))
        yield lent


async def told(scene: Scene, payment: str, statuses: set[str]) -> None:
    """Wait until a payment stands so."""

    async def look() -> bool | None:
        answer = await scene.till.gateway.get(f"/v1/payments/{payment}")
        return answer.json()["status"] in statuses or None

    await until(look, what=f"{payment} to be {statuses}")


async def a_days_work(scene: Scene) -> None:
    """A card is charged, refunded, found again after lost answers, and told of by notices."""
    shop = scene.till
    paid = await shop.pay(NUMBER, cvc="907")
    assert paid.status_code == 201, paid.text
    assert paid.json()["status"] == "succeeded"
    refund = await shop.gateway.post(f"/v1/payments/{paid.json()['id']}/refunds", {"amount": 100})
    assert refund.status_code == 201, refund.text
    for fault in (Fault.ERROR_500_AFTER, Fault.CUT_BEFORE):
        await shop.simulated.control.demand(fault, "authorize")
        lost = await shop.pay(NUMBER, cvc="907")
        assert lost.status_code == 202, lost.text
        await told(scene, lost.json()["id"], {"succeeded", "requires_confirmation"})
    await shop.simulated.control.until_told()

    async def delivered() -> bool | None:
        told_of = b" ".join(each.body for each in scene.endpoint.requests)
        return (b"payment.captured" in told_of and b"refund.succeeded" in told_of) or None

    await until(delivered, what="the merchant to be told")
    assert (await shop.gateway.post("/v1/payments", {"card": {"number": "1"}})).status_code == 422


def on_the_lines(scene: Scene, number: str) -> list[str]:
    """Say where a number went between processes."""
    lines = {
        "to the database": scene.database.tap.sent,
        "from the database": scene.database.tap.received,
        "to the vault": scene.port.tap.sent,
        "from the vault": scene.port.tap.received,
        "answers": b"\n".join(scene.answers),
        "events": b"\n".join(each.body for each in scene.endpoint.requests),
    }
    return [
        f"{place}: the number, {each.form}"
        for place, said in lines.items()
        for each in search_stream([bytes(said)], Wanted([number]), place=place)
    ]


async def test_no_other_process_has_it_in_memory_or_on_a_line(scene: Scene) -> None:
    """Roles apart, a card is charged, refunded and found again: memory and lines of all but the vault are searched."""
    await a_days_work(scene)
    for role in OTHERS:
        pid = scene.pid(role)
        assert bytes_of(pid) > 20_000_000, "this is a whole process"
        assert not found_in(pid, NUMBER, role)
    assert b"/internal/v1/forward" in scene.port.tap.sent, "the calls went over this line"
    assert b"card.number" in scene.port.tap.sent
    assert len(scene.database.tap.sent) > 20_000
    assert not on_the_lines(scene, NUMBER)


async def test_sabotage_while_a_call_is_under_way_the_vault_has_it(scene: Scene) -> None:
    """The same search of the vault's memory finds the number while the processor takes its time to answer."""
    control = scene.till.simulated.control
    await control.faults(latency_ms=5_000)
    try:
        call = asyncio.create_task(scene.till.pay(PLANTED, cvc="316"))

        async def seen() -> bool | None:
            return await asyncio.to_thread(holds, scene.pid(ServedRole.VAULT), PLANTED) or None

        await until(seen, what="the number in the vault's memory")
        found = await asyncio.to_thread(found_in, scene.pid(ServedRole.VAULT), PLANTED, "vault")
        assert found, "the search that looks for every form sees it too"
        assert (await call).status_code in (201, 202), "a process that stood still may be late"
    finally:
        await control.faults(latency_ms=0)
    assert not found_in(scene.pid(ServedRole.GATEWAY), PLANTED, ServedRole.GATEWAY)


@pytest.mark.parametrize("role", [role for role in OTHERS if role is not ServedRole.WORKER])
async def test_sabotage_a_process_that_is_sent_one_has_it(scene: Scene, role: ServedRole) -> None:
    """A caller who sends a number to another role's listener, and waits in the middle: the search finds it there."""
    trusted = ssl.create_default_context(cafile=str(scene.made.authority))
    port = scene.made.ports[role]
    planted = synthetic_number(41_907_000_000 + port)
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted)
    body = f'{{"number": "{planted}", "padding": "'.encode()
    head = f"POST /v1/inbound/con_x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {scene.till.gateway.key}\r\n"
    head += "content-type: application/json\r\ncontent-length: 4000\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    try:

        async def seen() -> bool | None:
            return await asyncio.to_thread(holds, scene.pid(role), planted) or None

        await until(seen, what=f"the number in the memory of {role}")
        assert await asyncio.to_thread(found_in, scene.pid(role), planted, role)
    finally:
        writer.close()


async def test_sabotage_one_that_is_said_to_the_vault_is_found_on_the_line(scene: Scene) -> None:
    """A gateway that had a number and put it into a call: the same search of the line finds it."""
    planted = synthetic_number(51_907_446_852)
    files = internal_files(scene.made.site.here.settings, ServedRole.GATEWAY)
    client = InternalClient(scene.port.place, files)
    call = Forward(
        merchant=MerchantId(new_id("mer")),
        mode=Mode.TEST,
        connection=new_id("con"),
        template=Template("authorize", "/v1/payments", {}, {}, {"number": planted}),
        actor=new_id("key"),
        origin=Origin(),
    )
    try:
        with pytest.raises(StrongroomError):
            await RemoteVault(client, SystemClock()).forward(call)
    finally:
        await client.close()
    assert {each.partition(":")[0] for each in on_the_lines(scene, planted)} == {"to the vault"}
