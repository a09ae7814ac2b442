# SPDX-License-Identifier: Apache-2.0
"""The server's process of a demo: makes what is missing, serves, and stops in order when the demo leaves.

Says steps, `ready` and `stopped`. It never outlives a demo that was killed (see `child`).
"""

import asyncio
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from strongroom.cli.scenario.child import Voice, until_told
from strongroom.cli.scenario.folder import DemoFolder, MerchantKeys, demo_settings
from strongroom.cli.scenario.places import Places
from strongroom.config import Settings
from strongroom.db.embedded import Embedded
from strongroom.kernel.errors import StrongroomError

if TYPE_CHECKING:
    from strongroom.cli.installation import Installation
    from strongroom.identity import Identity

ACTOR: Final = "operator:demo"
NAMES: Final = ("Corner Shop", "Palm Market")


def main() -> None:
    """Serve until the end of standard input, SIGTERM or SIGINT."""
    voice = Voice()
    settings = demo_settings(**Places.read(sys.argv[1:]).overrides())
    database = Embedded(settings.state / "postgres", binaries=settings.postgres_binaries)
    # The database starts in a process of its own while this one imports what it needs.
    with ThreadPoolExecutor(1) as pool:
        attaching = pool.submit(database.attach)
        try:
            _run(settings, attaching, voice)
        except StrongroomError as error:
            voice.say("failed", code=error.code, detail=error.detail)
            sys.exit(1)
        finally:
            stopped = database.detach()
            voice.say("stopped", whole=stopped)


def _run(settings: Settings, attaching: "Future[Embedded]", voice: Voice) -> None:
    from strongroom.cli.console import run
    from strongroom.cli.installation import Installation
    from strongroom.kernel.clock import SystemClock

    here = Installation(settings, SystemClock())
    try:
        run(_serve(here, attaching, voice))
    finally:
        here.detach()


async def _serve(here: "Installation", attaching: "Future[Embedded]", voice: Voice) -> None:
    from strongroom.cli.serving import Serving

    stop = asyncio.Event()
    await until_told(stop)
    voice.say("step", text="code loaded")
    here.make_secrets()
    made, _ = await asyncio.gather(asyncio.to_thread(here.make_keys), asyncio.to_thread(here.tls))
    if made:
        voice.say("step", text="key roots and a local certificate authority made")
    await asyncio.wrap_future(attaching)
    await asyncio.to_thread(here.attach)
    voice.say("step", text="PostgreSQL runs")
    migrations = await here.make_databases(lambda _: None)
    if migrations:
        voice.say("step", text=f"two databases made, {migrations} migrations")
    serving = Serving(here)
    try:
        served, merchants = await asyncio.gather(serving.start(), _merchants(here))
        DemoFolder(here.settings.state).keep_merchants(merchants)
        voice.say(
            "ready",
            vault=served.vault,
            gateway=served.gateway,
            webhooks=served.webhooks,
            console=served.console,
        )
        await stop.wait()
        voice.say("stopping")
    finally:
        await serving.stop()
    voice.say("step", text="requests finished, writers drained, audit log sealed, pools closed")


async def _merchants(here: "Installation") -> list[MerchantKeys]:
    """Return the two merchants with keys that hold: those of the last run, or new ones."""
    from strongroom.cli.operating import site_of
    from strongroom.compose import Composer

    composer = Composer(site_of(here))
    try:
        identity = await composer.operator_identity()
        kept = DemoFolder(here.settings.state).merchants()
        if len(kept) == len(NAMES) and all([await _holds(identity, each) for each in kept]):
            return kept
        return [await _made(identity, name, live=not index) for index, name in enumerate(NAMES)]
    finally:
        await composer.close()


async def _holds(identity: "Identity", known: MerchantKeys) -> bool:
    from strongroom.kernel.ids import MerchantId
    from strongroom.kernel.mode import Mode

    merchant = MerchantId(known.merchant)
    keys = [key for mode in Mode for key in await identity.keys(merchant, mode)]
    good = {key.key_id for key in keys if key.revoked_at is None and key.expires_at is None}
    return all(key["id"] in good for key in known.keys.values())


async def _made(identity: "Identity", name: str, *, live: bool) -> MerchantKeys:
    from strongroom.audit import Origin
    from strongroom.identity import KeyWish
    from strongroom.kernel.mode import Mode
    from strongroom.kernel.principal import KeyKind

    merchant = await identity.create_merchant(name, actor=ACTOR, origin=Origin())
    wanted = [("sk", KeyKind.SECRET, Mode.TEST), ("pk", KeyKind.PUBLIC, Mode.TEST)]
    if live:
        wanted.append(("live", KeyKind.SECRET, Mode.LIVE))
    keys = {}
    for word, kind, mode in wanted:
        wish = KeyWish(merchant.merchant_id, mode, kind, f"demo {word}")
        made = await identity.create_key(wish, actor=ACTOR, origin=Origin())
        keys[word] = {"id": str(made.key.key_id), "text": made.text.expose()}
    return MerchantKeys(merchant.merchant_id, name, keys)


if __name__ == "__main__":
    main()
