# SPDX-License-Identifier: Apache-2.0
"""A vault that calls: its parts over a real database, a merchant with cards, and a peer in the place of processors."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
from prometheus_client import CollectorRegistry

from contracts.fakes import FakeKeyStore
from database import Databases
from peer import Peer, answer, peer, says
from residence import AtHome
from strongroom.audit import Origin
from strongroom.audit.recorder import EventRecorder
from strongroom.crypto.ids import new_id
from strongroom.db.group_commit import GroupWriter
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database, connect
from strongroom.egress import EgressPolicy
from strongroom.egress.client import Egress
from strongroom.kernel.clock import Clock, SystemClock
from strongroom.kernel.ids import KeyId, MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, Principal
from strongroom.kernel.secret import Secret
from strongroom.keys import KeyName, Purpose
from strongroom.keys.keyring import Keyring
from strongroom.keys.model import PLATFORM_MERCHANT, PLATFORM_MODE
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import VaultMetrics
from strongroom.telemetry.sink import MemorySink
from strongroom.vault import (
    FORM,
    BodySignature,
    Destination,
    Forward,
    Json,
    Route,
    Slot,
    Template,
    slot,
)
from strongroom.vault.connections import VaultConnections
from strongroom.vault.containers.feed import RuleFeed
from strongroom.vault.containers.model import Access, Changer, GranteeKind, RuleWish
from strongroom.vault.containers.service import ContainerDesk
from strongroom.vault.create import TokenMaker
from strongroom.vault.cvc import CvcEpochs
from strongroom.vault.destinations import Destinations
from strongroom.vault.details import FIELDS as DETAIL_FIELDS
from strongroom.vault.details import DetailSealer
from strongroom.vault.diagnosis import Diagnosis
from strongroom.vault.forward import VaultForwarder
from strongroom.vault.held import HeldCvcs
from strongroom.vault.sealing import NUMBER_FIELD, CardSealer
from strongroom.vault.uses import UseRows
from strongroom.vault.wire import CardIn, TokenIn
from strongroom.vault.wishes import Asked
from strongroom.vault.writes import TokenSink, TokenWrite, Written

VISA: Final = "4242424242424242"
API_KEY: Final = "sk-processor-key-of-a-test"
SIGNING: Final = "signing-secret-of-a-test"
ACTOR: Final = new_id("key")

SIMULATOR: Final = Destination(
    processor="simulator",
    routes=(
        Route(
            name="authorize",
            method="POST",
            path=r"/v1/payments",
            slots={
                "/card/number": Slot.CARD_NUMBER,
                "/card/exp_month": Slot.CARD_EXP_MONTH,
                "/card/exp_year": Slot.CARD_EXP_YEAR,
                "/card/cvc": Slot.CARD_CVC,
                "/card/billing_address/line1": Slot.ADDRESS_LINE1,
                "/card/billing_address/city": Slot.ADDRESS_CITY,
                "/card/billing_address/zip": Slot.ADDRESS_POSTAL_CODE,
                "/card/billing_address/state": Slot.ADDRESS_REGION,
                "/card/billing_address/country": Slot.ADDRESS_COUNTRY,
            },
            headers=frozenset({"idempotency-key"}),
        ),
        Route(
            name="network",
            method="POST",
            path=r"/v1/payments",
            slots={
                "/token/number": Slot.CARD_NUMBER,
                "/token/cryptogram": Slot.CARD_CRYPTOGRAM,
            },
        ),
        Route(
            name="find",
            method="GET",
            path=r"/v1/operations",
            content_type="",
            query=frozenset({"reference"}),
        ),
    ),
    credential_fields=frozenset({"api_key", "signing"}),
    credential_headers={"authorization": "Bearer {api_key}"},
    body_signature=BodySignature("x-signature", "signing"),
    answer_headers=frozenset({"content-type", "x-card"}),
)
ACME: Final = replace(SIMULATOR, processor="acme")
#: A processor that takes forms, and gives out keys by mode.
FORMAL: Final = replace(
    SIMULATOR,
    processor="formal",
    routes=tuple(replace(each, content_type=FORM) for each in SIMULATOR.routes[:1]),
    credential_forms={"api_key": {Mode.TEST: "test_[a-z]+", Mode.LIVE: "live_[a-z]+"}},
)
FIND: Final = Template("find", "/v1/operations", {"reference": "att_1"})


def authorize(*, cvc: bool = False, address: bool = False, **more: Any) -> Template:
    """A template for an authorization."""
    billed: Json = {
        "line1": slot(Slot.ADDRESS_LINE1),
        "city": slot(Slot.ADDRESS_CITY),
        "zip": slot(Slot.ADDRESS_POSTAL_CODE),
        "state": slot(Slot.ADDRESS_REGION),
        "country": slot(Slot.ADDRESS_COUNTRY),
    }
    card: dict[str, Json] = {
        "number": slot(Slot.CARD_NUMBER),
        "exp_month": slot(Slot.CARD_EXP_MONTH),
        "exp_year": slot(Slot.CARD_EXP_YEAR),
        **({"cvc": slot(Slot.CARD_CVC)} if cvc else {}),
        **({"billing_address": billed} if address else {}),
    }
    return Template(
        "authorize",
        "/v1/payments",
        {},
        {"idempotency-key": "att_1"},
        {"reference": "att_1", "amount": 1_000, "currency": "AED", "card": card, **more},
    )


class CountingDatabase(Database):
    """Counts how often a connection was lent: a call of one of our functions is one round trip."""

    lent = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["asyncpg.pool.PoolConnectionProxy"]:
        self.lent += 1
        async with super().connection() as connection:
            yield connection


@dataclass(slots=True)
class Process:
    """The parts of one vault process."""

    database: CountingDatabase
    keyring: Keyring
    epochs: CvcEpochs
    connections: VaultConnections
    forwarder: VaultForwarder
    maker: TokenMaker
    egress: Egress
    rules: RuleFeed
    rules_database: Database
    details: DetailSealer
    sealer: CardSealer
    diagnosis_database: Database
    lines: MemorySink


@dataclass(slots=True)
class ForwardGround:
    """One merchant, its simulator connection, and a peer that answers in the simulator's place."""

    databases: Databases
    process: Process
    peer: Peer
    store: FakeKeyStore
    clock: Clock
    merchant: MerchantId = field(default_factory=lambda: MerchantId(new_id("mer")))
    connection: str = field(default_factory=lambda: new_id("con"))

    async def register(self, connection: str | None = None, **more: Any) -> str:
        """Make a connection; what is not said is the ground's own."""
        given = {
            "merchant": self.merchant,
            "mode": Mode.TEST,
            "connection": connection or new_id("con"),
            "processor": "simulator",
            "base_url": self.peer.url,
            "credentials": {"api_key": Secret(API_KEY), "signing": Secret(SIGNING)},
            "actor": ACTOR,
            "origin": Origin(),
            **more,
        }
        await self.process.connections.register(**given)
        return str(given["connection"])

    async def token(
        self,
        number: str = VISA,
        cvc: str | None = None,
        *,
        mode: Mode = Mode.TEST,
        kind: CallerKind = CallerKind.SECRET,
        merchant: MerchantId | None = None,
        exp_month: int = 12,
        **more: Any,
    ) -> tuple[TokenId, str | None]:
        """Make a token, and a sealed CVC with it."""
        principal = Principal(
            KeyId(new_id("key")), kind, merchant or self.merchant, mode, frozenset()
        )
        asked = Asked(principal, Origin(), new_id("req"), self.clock.now(), new_id("req"))
        made = await self.process.maker.create(
            TokenIn(CardIn(number, exp_month, 2034, cvc), **more), asked
        )
        said = json.loads(made.answer)
        return TokenId(said["id"]), said.get("cvc")

    def call(self, template: Template, **more: Any) -> Forward:
        """One call; what is not said is the ground's own."""
        given = {
            "merchant": self.merchant,
            "mode": Mode.TEST,
            "connection": self.connection,
            "template": template,
            "actor": ACTOR,
            "origin": Origin("00" * 32, None),
            "payment": new_id("pay"),
            "attempt": new_id("att"),
            "timeout_seconds": 2.0,
            **more,
        }
        return Forward(**given)

    @property
    def desk(self) -> ContainerDesk:
        """Containers and rules of this ground's vault."""
        process = self.process
        return ContainerDesk(
            process.rules_database, process.maker.recorder, self.clock, process.rules
        )

    async def rule(self, kind: GranteeKind, access: Access, container: str, priority: int) -> None:
        """Make a rule of the ground's merchant, in test mode."""
        by = Changer(self.merchant, Mode.TEST, ACTOR, Origin())
        await self.desk.add_rule(by, RuleWish(container, priority, kind, "*", access))

    async def records(self, merchant: MerchantId | None = None) -> list[Mapping[str, Any]]:
        """What the log says of a merchant, but how its tokens were made."""
        connection = await connect(self.databases.administrator(Domain.VAULT))
        try:
            rows = await connection.fetch(
                "select payload from audit.event where merchant_id = $1 order by xmin::text::bigint, ctid",
                merchant or self.merchant,
            )
        finally:
            await connection.close()
        found = [json.loads(row["payload"]) for row in rows]
        return [
            record
            for record in found
            if record["action"] not in ("vault.token.created", "vault.connection.created")
        ]

    async def actions(self) -> list[str]:
        return [record["action"] for record in await self.records()]


async def started(
    databases: Databases,
    store: FakeKeyStore,
    clock: Clock,
    held: HeldCvcs | None = None,
    more: Sequence[Destination] = (),
) -> Process:
    """Start a vault process; several over one database and key store are one Strongroom. `more`: other processors."""
    database = CountingDatabase(databases.address(Domain.VAULT, Login.VAULT), connections_max=4)
    keyring = Keyring(store, PostgresDataKeyTable(database), clock)
    await keyring.start([Purpose.CARD, Purpose.AUDIT, Purpose.CREDENTIAL])
    row_key = await keyring.current(PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.AUDIT_ROW_MAC)
    recorder = EventRecorder(database, row_key.secret, clock)
    epochs = CvcEpochs(database, store, recorder, clock, VaultMetrics(CollectorRegistry()))
    policy = EgressPolicy(loopback=frozenset({"127.0.0.1"}))
    destinations = Destinations([SIMULATOR, ACME, FORMAL, *more])
    connections = VaultConnections(
        database=database,
        keyring=keyring,
        destinations=destinations,
        policy=policy,
        recorder=recorder,
        clock=clock,
    )
    egress = Egress(policy)
    lines = MemorySink()
    diagnosis_database = Database(databases.address(Domain.VAULT, Login.VAULT), connections_max=1)
    diagnosis = Diagnosis(
        diagnosis_database,
        keyring,
        recorder,
        clock,
        Log(lines, clock=clock),
        (NUMBER_FIELD, *DETAIL_FIELDS),
    )
    sealer = CardSealer(keyring, AtHome(), diagnosis=diagnosis)
    # On connections of its own: those of `database` are counted.
    rules_database = Database(databases.address(Domain.VAULT, Login.VAULT), connections_max=1)
    await rules_database.open()
    rules = RuleFeed(rules_database)
    forwarder = VaultForwarder(
        database=database,
        uses=GroupWriter(UseRows(database)),
        sealer=sealer,
        details=DetailSealer(sealer),
        epochs=epochs,
        connections=connections,
        destinations=destinations,
        egress=egress,
        recorder=recorder,
        clock=clock,
        rules=rules,
        held=held,
    )
    writer: GroupWriter[TokenWrite, Written] = GroupWriter(TokenSink(database))
    maker = TokenMaker(
        sealer=sealer, epochs=epochs, recorder=recorder, writer=writer, clock=clock, rules=rules
    )
    return Process(
        database,
        keyring,
        epochs,
        connections,
        forwarder,
        maker,
        egress,
        rules,
        rules_database,
        DetailSealer(sealer),
        sealer,
        diagnosis_database,
        lines,
    )


async def ended(process: Process) -> None:
    process.forwarder.close()
    await process.connections.close()
    await process.egress.close()
    await process.keyring.close()
    await process.database.close()
    await process.rules_database.close()
    await process.diagnosis_database.close()


@asynccontextmanager
async def forward_ground(
    databases: Databases,
    *,
    held: HeldCvcs | None = None,
    clock: Clock | None = None,
    more: Sequence[Destination] = (),
) -> AsyncIterator[ForwardGround]:
    clock = clock or SystemClock()
    # One store a set of databases: what one ground wrapped in there, the next one unwraps.
    store = _STORES.setdefault(id(databases), FakeKeyStore())
    async with peer(says(answer(b'{"id": "sp_1", "status": "authorized"}', 201))) as listening:
        process = await started(databases, store, clock, held, more)
        try:
            ground = ForwardGround(databases, process, listening, store, clock)
            await ground.register(ground.connection)
            yield ground
        finally:
            await ended(process)


_STORES: Final[dict[int, FakeKeyStore]] = {}
#: A time behind every token's hour and every CVC's half.
LATER: Final = timedelta(hours=2)
START: Final = datetime.now(UTC)
