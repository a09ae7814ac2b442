# SPDX-License-Identifier: Apache-2.0
"""A destination that asks for a certificate is shown the one it was registered with, by every forward that goes there.

The destination here is a server that takes nobody without a certificate of one authority; what it says was shown is
what counts.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from contracts.test_egress_client import Certificates
from database import Databases
from forwarding import ANSWER, Forwarder, forwarder
from peer import Sent, answer, peer
from service import Service, running
from strongroom.crypto import Certified, issue_client_certificate, make_authority
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.mode import Mode
from strongroom.vault.forwarding.book import OPEN_SECONDS, DestinationBook

VISA: Final = "4242424242424242"
BODY: Final = {"pan": "{{ card.number }}"}
NOW: Final = datetime.now(UTC)
#: Whose clients the destination takes.
AUTHORITY: Final = make_authority(NOW)
UNUSABLE: Final = ("/credentials/certificate", "certificate_unusable")


def issued(authority: Certified = AUTHORITY) -> Certified:
    return issue_client_certificate(authority, "shop", NOW)


def key_of(one: Certified) -> str:
    return one.private_key.expose().decode()


def given(one: Certified) -> dict[str, str]:
    """What a destination is registered with."""
    return {"certificate": one.certificate.decode(), "private_key": key_of(one)}


def as_shown(one: Certified) -> bytes:
    return ssl.PEM_cert_to_DER_cert(one.certificate.decode())


def locked(one: Certified) -> str:
    """The same private key behind a passphrase."""
    key = load_pem_private_key(key_of(one).encode(), None)
    sealed = BestAvailableEncryption(b"a passphrase")
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed).decode()


@dataclass(slots=True)
class Demanding:
    """A destination that demands a certificate, and everything it was shown: one a request."""

    ground: Forwarder
    shown: list[bytes] = field(default_factory=list)
    #: What it answers with.
    says: bytes = ANSWER

    async def behave(self, _sent: Sent, writer: asyncio.StreamWriter) -> bytes:
        self.shown.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        return answer(self.says, 201)

    async def register(self, one: Certified | None) -> str:
        """Register it, with a certificate or without any."""
        return await self.ground.register(auth="none", credentials=given(one) if one else {})

    async def forward(self, destination: str, ground: Forwarder | None = None) -> dict[str, Any]:
        """Forward a card, and return what the caller is told."""
        ground = ground or self.ground
        token = (await ground.key.token(VISA))["id"]
        said = await ground.send(destination, BODY, tokens={"card": token})
        assert said.status_code in (200, 202), said.text
        return dict(said.json())

    async def sees(self, destination: str, ground: Forwarder | None = None) -> bytes:
        """Forward a card that must arrive, and return the certificate that came with it."""
        before = len(self.shown)
        told = await self.forward(destination, ground)
        assert (told["outcome"], told["status"]) == ("answered", 201), told
        assert self.ground.peer.requests[-1].json() == {"pan": VISA}
        (shown,) = self.shown[before:]
        return shown

    async def changed(self, destination: str, what: str, body: object = None) -> None:
        said = await self.ground.admin.post(f"/v1/destinations/{destination}{what}", body)
        assert said.status_code == 200, said.text


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """What the destination shows, and demands. With TLS 1.2 it refuses others in the handshake."""
    made = Certificates(tmp_path_factory.mktemp("destination"), "127.0.0.1")
    made.server.verify_mode = ssl.CERT_REQUIRED
    made.server.maximum_version = ssl.TLSVersion.TLSv1_2
    made.server.load_verify_locations(cadata=AUTHORITY.certificate.decode())
    return made


@pytest.fixture(scope="module")
def clock() -> SteppedClock:
    return SteppedClock(NOW)


@pytest.fixture(scope="module")
def process(
    databases: Databases, certificates: Certificates, clock: SteppedClock
) -> "partial[Any]":
    """Starts a process of one Strongroom."""
    return partial(
        running,
        databases,
        databases.server.folder / new_id("svc"),
        clock=clock,
        listens=False,
        worker=False,
        egress_ca=certificates.ca_file,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(process: "partial[Any]") -> AsyncIterator[Service]:
    async with process() as served:
        yield served


@pytest_asyncio.fixture
async def demanding(service: Service, certificates: Certificates) -> AsyncIterator[Demanding]:
    async with demanded(service, certificates) as made:
        yield made


@asynccontextmanager
async def demanded(service: Service, certificates: Certificates) -> AsyncIterator[Demanding]:
    async with forwarder(service) as ground:
        made = Demanding(ground)
        async with peer(made.behave, certificates.server) as listening:
            made.ground = replace(ground, peer=listening)
            yield made


def book_of(service: Service) -> DestinationBook:
    app: Any = service.edges["vault"]._app
    book: DestinationBook = app.state.forwarding.book
    return book


async def test_a_forward_shows_the_certificate_that_its_destination_was_registered_with(
    demanding: Demanding,
) -> None:
    """Each destination its own, though all are one server and two follow each other on open connections."""
    mine, other = issued(), issued()
    first, second = await demanding.register(mine), await demanding.register(other)
    for destination, one in ((first, mine), (second, other), (first, mine)):
        assert await demanding.sees(destination) == as_shown(one)
        read = (await demanding.ground.admin.get(f"/v1/destinations/{destination}")).json()
        assert read["client_certificate"] is True
    assert demanding.ground.peer.connections == 2
    # Without one, or with a stranger's, nobody comes in on what another's certificate opened.
    for wrong in (None, issued(make_authority(NOW))):
        told = await demanding.forward(await demanding.register(wrong))
        assert (told["outcome"], told["body"]) == ("not_sent", None)
    assert len(demanding.ground.peer.requests) == 3


async def test_a_destination_that_is_opened_again_goes_on_with_its_connection(
    demanding: Demanding, service: Service, clock: SteppedClock
) -> None:
    mine = issued()
    destination = await demanding.register(mine)
    await demanding.sees(destination)
    clock.step(timedelta(seconds=OPEN_SECONDS))
    # At once, before what was opened is forgotten.
    await book_of(service).open(demanding.ground.tenant.merchant, Mode.TEST, destination)
    assert await demanding.sees(destination) == as_shown(mine)
    assert demanding.ground.peer.connections == 1


async def test_after_a_rotation_the_new_certificate_is_shown(demanding: Demanding) -> None:
    """And only that: a handshake shows one, so the overlap keeps the one from before for `restore` alone."""
    old, new = issued(), issued()
    destination = await demanding.register(old)
    rotated = {"credentials": given(new), "overlap_seconds": 60}
    changed = {
        name: value
        for name, value in demanding.ground.destination(auth="none", name="renamed").items()
        if name != "credentials"
    }
    assert await demanding.sees(destination) == as_shown(old)
    for what, body, one in (
        ("/rotate", rotated, new),
        ("/restore", None, old),
        ("/rotate", {**rotated, "overlap_seconds": 0}, new),
        ("", changed, new),
    ):
        await demanding.changed(destination, what, body)
        assert await demanding.sees(destination) == as_shown(one), what


async def test_another_process_shows_the_new_certificate_a_second_later(
    demanding: Demanding, process: "partial[Any]", clock: SteppedClock
) -> None:
    """However busy it is: what it shows again, so that connections go on, is the certificate that still holds."""
    old, new = issued(), issued()
    destination = await demanding.register(old)
    ground = demanding.ground
    async with process() as other:
        there = replace(ground, service=other, key=other.vault(ground.tenant.keys[Mode.TEST]))
        assert await demanding.sees(destination, there) == as_shown(old)
        await demanding.changed(destination, "/rotate", {"credentials": given(new)})
        clock.step(timedelta(seconds=OPEN_SECONDS))
        await book_of(other).open(ground.tenant.merchant, Mode.TEST, destination)
        assert await demanding.sees(destination, there) == as_shown(new)


GOOD: Final = issued()
PAIR: Final = given(GOOD)
#: What takes the place of a credential, and how it is refused.
REFUSED: Final[Mapping[str, tuple[Mapping[str, str], tuple[str, str]]]] = {
    "another's key": ({"private_key": key_of(issued())}, UNUSABLE),
    "another's certificate": ({"certificate": issued().certificate.decode()}, UNUSABLE),
    "no certificate": ({"certificate": "nonsense"}, UNUSABLE),
    "no key": ({"private_key": "nonsense"}, UNUSABLE),
    "a key behind a passphrase": ({"private_key": locked(GOOD)}, UNUSABLE),
    "half a key": ({"private_key": PAIR["private_key"][:120]}, UNUSABLE),
    "half a certificate": ({"certificate": PAIR["certificate"][:120]}, UNUSABLE),
    "the one for the other": (
        {"certificate": PAIR["private_key"], "private_key": PAIR["certificate"]},
        UNUSABLE,
    ),
    "an empty certificate": ({"certificate": ""}, ("/credentials/certificate", "malformed")),
    "an empty key": ({"private_key": ""}, ("/credentials/private_key", "malformed")),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_certificate_that_cannot_be_shown_is_refused_by_its_field(
    demanding: Demanding, name: str
) -> None:
    more, expected = REFUSED[name]
    ground = demanding.ground
    mine = issued()
    destination = await demanding.register(mine)
    wrong = {**PAIR, **more}
    for path, body in (
        ("", ground.destination(auth="none", credentials=wrong)),
        (f"/{destination}/rotate", {"credentials": wrong}),
    ):
        said = await ground.admin.post(f"/v1/destinations{path}", body)
        assert said.status_code == 422, said.text
        errors = said.json()["errors"]
        assert [(each["pointer"], each["code"]) for each in errors] == [expected]
        assert "BEGIN" not in said.text
    listed = (await ground.admin.get("/v1/destinations")).json()["data"]
    assert [each["id"] for each in listed] == [destination]
    assert not await ground.records("vault.destination.changed")
    assert await demanding.sees(destination) == as_shown(mine)


@pytest.mark.parametrize("missing", PAIR)
async def test_the_two_come_together(demanding: Demanding, missing: str) -> None:
    """Whoever registered a certificate does not rotate it away, either."""
    ground = demanding.ground
    destination = await demanding.register(issued())
    half = {name: text for name, text in PAIR.items() if name != missing}
    wish = ground.destination(auth="none", credentials=half)
    made = await ground.admin.post("/v1/destinations", wish)
    assert made.status_code == 422, made.text
    for credentials, absent in ((half, {missing}), ({}, set(PAIR))):
        rotated = await ground.admin.post(
            f"/v1/destinations/{destination}/rotate", {"credentials": credentials}
        )
        assert rotated.status_code == 422, rotated.text
        errors = rotated.json()["errors"]
        assert {(each["pointer"], each["code"]) for each in errors} == {
            (f"/credentials/{name}", "required") for name in absent
        }


async def test_the_private_key_is_in_no_answer_no_log_and_no_row(
    demanding: Demanding, service: Service
) -> None:
    """Not even where the destination has it from elsewhere, and repeats it."""
    ground = demanding.ground
    old, new, unused = issued(), issued(), issued()
    destination = await demanding.register(old)
    for one in (old, new):
        if one is new:
            await demanding.changed(destination, "/rotate", {"credentials": given(new)})
        demanding.says = json.dumps({"key": key_of(one)}).encode()
        told = await demanding.forward(destination)
        assert json.loads(told["body"]) == {"key": "[credential removed]"}
    token = (await ground.key.token(VISA))["id"]
    shown = await ground.send(destination, BODY, tokens={"card": token}, dry_run=True)
    assert shown.status_code == 200, shown.text
    mixed = {"certificate": PAIR["certificate"], "private_key": key_of(unused)}
    wish = ground.destination(auth="none", credentials=mixed)
    assert (await ground.admin.post("/v1/destinations", wish)).status_code == 422
    for caller in (ground.admin, ground.key):
        for path in ("", f"/{destination}"):
            assert (await caller.get(f"/v1/destinations{path}")).status_code == 200
    await demanding.changed(destination, "/restore")
    await demanding.changed(destination, "/disable")
    found = await service.look(
        Domain.VAULT,
        "select d::text || encode(d.sealed, 'escape') as row from vault.destination d where merchant_id = $1"
        " union all select f::text from vault.forward f where merchant_id = $1"
        " union all select r::text from idempotency.request r where merchant_id = $1"
        " union all select convert_from(e.payload, 'utf8') from audit.event e where merchant_id = $1",
        ground.tenant.merchant,
    )
    rows = "\n".join(row["row"] for row in found)
    answers = service.answers.file.read_text("utf-8")
    for text in (rows, answers):
        assert destination in text
    log = service.log_text()
    assert "/v1/forward" in log
    for one in (old, new, unused):
        for line in key_of(one).splitlines()[1:-1]:
            for text in (rows, answers, log):
                assert line not in text
