# SPDX-License-Identifier: Apache-2.0
"""`strongroom token reveal` against a running vault: as a key, and as two people."""

import asyncio
import json
from pathlib import Path

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey

from command_line import CommandLine
from revealing import VISA, Ground
from service import Service
from signed_in import begin

ARGUMENTS = ("--purpose", "dispute")


@pytest.fixture
async def ground(service: Service) -> Ground:
    return await Ground.on(service)


@pytest.fixture
def run(service: Service, ground: Ground, tmp_path: Path) -> CommandLine:
    (tmp_path / "reveal.key").touch(mode=0o600)
    (tmp_path / "reveal.key").write_text(ground.key)
    variables = {
        "STRONGROOM_URL": f"https://{service.settings.vault_listen}",
        "STRONGROOM_CA": str(service.authority),
        "STRONGROOM_STATE": str(tmp_path / "state"),
    }
    return CommandLine(tmp_path, variables)


async def test_a_key_is_shown_the_card_and_nothing_else_is_printed(
    run: CommandLine, ground: Ground
) -> None:
    token = str(ground.token["id"])
    key = ("--key-file", "reveal.key")
    shown = await asyncio.to_thread(run, "token", "reveal", token, *ARGUMENTS, *key)
    assert (shown.code, shown.out, shown.err) == (0, f"{VISA} 12/2034\n", ""), shown.err
    pair = ECKey.generate_key("P-256")
    (run.folder / "public.jwk").write_text(json.dumps(pair.as_dict(private=False)))
    (run.folder / "private.jwk").write_text(json.dumps(pair.as_dict(private=True)))
    more = ("--jwe-key", "public.jwk")
    sealed = await asyncio.to_thread(run, "token", "reveal", token, *ARGUMENTS, *key, *more)
    opened = jwe.decrypt_compact(sealed.out.strip(), pair, algorithms=["ECDH-ES+A256KW", "A256GCM"])
    assert json.loads(opened.plaintext or b"")["number"] == VISA
    more = ("--jwe-key", "private.jwk")
    kept = await asyncio.to_thread(run, "token", "reveal", token, *ARGUMENTS, *key, *more)
    assert (kept.code, "holds a private key" in kept.plain) == (2, True)
    wrong = await asyncio.to_thread(run, "token", "reveal", token, "--purpose", "why", *key)
    assert (wrong.code, wrong.err.startswith("vault_refused: 422")) == (1, True), wrong.err


async def logged_in(run: CommandLine, service: Service, ground: Ground) -> None:
    """Let the admin who asks be who is logged in on the machine."""
    issued = await begin(service, ground.asker.person)
    session = run.folder / "state" / "client" / "session.json"
    session.parent.mkdir(parents=True)
    session.touch(mode=0o600)
    session.write_text(
        json.dumps(
            {
                "url": f"https://{service.settings.console_listen}",
                "authority": str(service.authority),
                "email": ground.asker.person.email,
                "mode": "test",
                "refresh_token": issued.refresh.expose(),
            }
        )
    )


async def test_a_person_waits_for_another(
    run: CommandLine, service: Service, ground: Ground
) -> None:
    await logged_in(run, service, ground)
    call = ("token", "reveal", str(ground.token["id"]), *ARGUMENTS, "--person")
    waits = await asyncio.to_thread(run, *call)
    assert waits.code == 0, waits.err
    approval = waits.out.strip()
    assert "waits for another person" in waits.plain
    seen = await asyncio.to_thread(run, "approval", "show", approval)
    assert seen.code == 0, seen.err
    told = dict(line.split(maxsplit=1) for line in seen.out.splitlines())
    assert (told["purpose"], told["leave"]) == ("dispute", "clear")
    assert told["cards"] == f"{ground.token['id']} (visa …4242) of container default"
    assert f"asked by   {ground.asker.id}" in seen.out
    assert VISA not in seen.out
    own = await asyncio.to_thread(run, "approval", "approve", approval)
    assert (own.code, "approval_own" in own.err) == (1, True)
    listed = await asyncio.to_thread(run, "approval", "list", "--json")
    assert [each["about"]["purpose"] for each in listed.json if each["id"] == approval] == [
        "dispute"
    ]
    said = await service.console(ground.other.key).post(f"/v1/approvals/{approval}/approve", {})
    assert said.status_code == 200, said.text
    shown = await asyncio.to_thread(run, *call, "--approval", approval)
    assert (shown.code, shown.out) == (0, f"{VISA} 12/2034\n"), shown.err
    again = await asyncio.to_thread(run, *call, "--approval", approval)
    assert (again.code, "approval_not_usable" in again.err) == (1, True)


async def test_an_admin_plants_a_honeytoken_and_sees_who_names_it(
    run: CommandLine, service: Service, ground: Ground
) -> None:
    await logged_in(run, service, ground)
    made = await asyncio.to_thread(run, "token", "honey", "--exp", "11/2034", "--quiet")
    assert made.code == 0, made.err
    token = made.out.strip()
    assert (await ground.vault.get(f"/v1/tokens/{token}")).status_code == 200
    listed = await asyncio.to_thread(run, "token", "honey", "--json")
    (shown,) = listed.json
    assert (shown["token"], shown["uses"]) == (token, 1)
    assert shown["last_used_by"].startswith("key_")
    wrong = await asyncio.to_thread(run, "token", "honey", "--exp", "soon")
    assert wrong.code == 2
