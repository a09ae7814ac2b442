# SPDX-License-Identifier: Apache-2.0
"""Promise 3: a use or a reveal of a card is recorded before the card is opened, in each way in which one is."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from joserfc.jwk import ECKey

from approving import Two
from database import Databases, Server, fresh_databases
from forwarding import Forwarder, forwarder
from paying import Shop, open_shop
from polling import until
from promises.forgetting import ForgetfulComposer, forget_in
from revealing import VISA
from revealing import Ground as Revealing
from service import Service, running
from strongroom.db.logins import Domain
from strongroom.simulator import running_simulator
from strongroom.vault.errors import CannotReadCard
from strongroom.vault.pan import Pan
from strongroom.vault.sealing import CardSealer


@dataclass(frozen=True, slots=True)
class Ground:
    """A Strongroom in which a card can be opened in every way."""

    service: Service
    revealing: Revealing
    forwarder: Forwarder
    destination: str
    shop: Shop

    async def records(self, action: str) -> int:
        """How many records of an action everybody can read now."""
        (row,) = await self.service.look(
            Domain.VAULT,
            "select count(*) as n from audit.event where convert_from(payload, 'utf8')::jsonb ->> 'action' = $1",
            action,
        )
        return int(row["n"])

    async def reveal(self, _seen: Sequence[int]) -> bool:
        return _is_done(await self.revealing.ask(), 200)

    async def forward(self, _seen: Sequence[int]) -> bool:
        token = (await self.forwarder.key.token(VISA))["id"]
        body = {"pan": f"{{{{ {token}.number }}}}"}
        return _is_done(await self.forwarder.send(self.destination, body), 200)

    async def charge(self, _seen: Sequence[int]) -> bool:
        answer = await self.shop.pay()
        return _is_done(answer, 201) and answer.json()["status"] == "succeeded"

    async def export(self, seen: Sequence[int]) -> bool:
        """Export one card. A job whose card does not open tries again for long: it is ended after its second try."""
        vault = self.service.vault(self.revealing.asker.key)
        both = Two(vault, self.service.console(self.revealing.other.key))
        key = json.dumps(ECKey.generate_key("P-256").as_dict(private=False))
        begun = await both.done(
            "/v1/exports", {"encryption": "jwe_lines", "recipient": key, "purpose": "recovery"}
        )
        assert begun.status_code == 201, begun.text
        export = begun.json()["id"]

        async def far_enough() -> Mapping[str, Any] | None:
            found = dict((await vault.get(f"/v1/exports/{export}")).json())
            return found if found["ended_at"] is not None or len(seen) > 1 else None

        found = await until(far_enough, what="the export to end or to try again")
        if found["ended_at"] is None:
            assert (await vault.post(f"/v1/jobs/{export}/cancel")).status_code == 200
        return bool(found["state"] == "done")


def _is_done(answer: httpx.Response, status: int) -> bool:
    assert answer.status_code == status or VISA not in answer.text
    return answer.status_code == status


#: Opens a card; is told what was seen at each opening so far, and tells whether it came to what was asked for.
Way = Callable[[Ground, Sequence[int]], Awaitable[bool]]
#: The ways in which a card is opened, each with the record that says so before.
WAYS: Final[dict[str, tuple[Way, str]]] = {
    "reveal": (Ground.reveal, "vault.token.revealed"),
    "forward": (Ground.forward, "vault.token.forwarded"),
    "charge": (Ground.charge, "vault.token.used"),
    "export": (Ground.export, "vault.token.revealed"),
}


async def made_ground(stack: AsyncExitStack, service: Service, folder: Path) -> Ground:
    forwards = await stack.enter_async_context(forwarder(service))
    simulated = await stack.enter_async_context(running_simulator(folder))
    shop = await open_shop(service, simulated, notices=False)
    destination = await forwards.register()
    return Ground(service, await Revealing.on(service), forwards, destination, shop)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ground(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ground]:
    folder = tmp_path_factory.mktemp("opened")
    async with AsyncExitStack() as stack:
        served = running(databases, folder, listens=False)
        service = await stack.enter_async_context(served)
        yield await made_ground(stack, service, tmp_path_factory.mktemp("processor"))


async def require_recorded_before_opened(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, name: str, *, opens: bool
) -> None:
    """While a card is being opened, everybody else can read that it is; and when it does not open, it stays said."""
    way, action = WAYS[name]
    seen: list[int] = []
    real = CardSealer.open_number

    async def watched(self: CardSealer, *sealed: Any, **place: Any) -> Pan:
        seen.append(await ground.records(action))
        if not opens:
            raise CannotReadCard
        return await real(self, *sealed, **place)

    before = await ground.records(action)
    with monkeypatch.context() as patched:
        patched.setattr(CardSealer, "open_number", watched)
        assert await way(ground, seen) is opens
    assert seen, "nothing was opened"
    assert set(seen) == {before + 1}, "opened before everybody could read of it"
    assert await ground.records(action) == before + 1


@pytest.mark.parametrize("opens", [True, False], ids=["opens", "does_not_open"])
@pytest.mark.parametrize("name", WAYS)
async def test_a_card_is_opened_when_its_record_is_committed(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, *, name: str, opens: bool
) -> None:
    """A reveal, a forward, a charge and an export are in the log before a card is opened, whether it opens or not."""
    await require_recorded_before_opened(ground, monkeypatch, name, opens=opens)


# --- sabotage ---------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def forgetful(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ground]:
    folder = tmp_path_factory.mktemp("forgetful")
    async with AsyncExitStack() as stack:
        databases = await stack.enter_async_context(fresh_databases(server))
        served = running(databases, folder, listens=False, composer_class=ForgetfulComposer)
        service = await stack.enter_async_context(served)
        await forget_in(databases, Domain.VAULT, "use_card", "begin_forward")
        yield await made_ground(stack, service, tmp_path_factory.mktemp("processor"))


@pytest.mark.parametrize("name", WAYS)
async def test_sabotage_a_card_that_is_opened_without_its_record_is_noticed(
    forgetful: Ground, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """With the inserts cut out, a card is opened and nobody can read that it is: the same check is red."""
    with pytest.raises(AssertionError, match="opened before everybody could read of it"):
        await require_recorded_before_opened(forgetful, monkeypatch, name, opens=True)
