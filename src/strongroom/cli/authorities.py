# SPDX-License-Identifier: Apache-2.0
"""The authority of the vault's internal port, in `state`/pki/vault: who may call, who answers, who no longer may.

Whoever holds a certificate of this authority *is* a caller of the vault, so it signs nothing else. Files are replaced
whole, in an order in which a crash locks nobody out and the same command again makes it whole; processes that run read
them anew. A change is planned first, recorded, and then carried out. The authority's key can be kept elsewhere.

    authorities.pem         whom both sides trust: the present authority, and others while one follows the other
    authority-1.pem, .key   an authority, by its number
    revoked-1.pem           the list of its certificates that were revoked
    server.pem, .key        what the vault shows; gateway.pem and worker.pem: what the callers show
    issued.json             what was issued
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from strongroom.audit import Action
from strongroom.cli.installation import write_private
from strongroom.config.roles import CALLERS
from strongroom.crypto import (
    Certified,
    certificate_expiry,
    certificate_serial,
    certificate_thumbprint,
    issue_client_certificate,
    issue_server_certificate,
    make_authority,
    make_revocation_list,
)
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.errors import Conflict, NotThere
from strongroom.kernel.secret import Secret

SERVER: Final = "server"
#: Everything that an installation on one machine needs.
NAMES: Final = (SERVER, *sorted(role.value for role in CALLERS))
#: A certificate with less than this left is due.
DUE: Final = timedelta(days=10)
#: By then every process of this machine that runs trusts what was added: the watch, and the server before it.
SETTLED: Final = timedelta(seconds=12)
_GROUP: Final = 8
Result = TypeVar("Result")


class AuthorityAbsent(NotThere):
    """There is no authority of the vault's internal port: run `strongroom pki init`."""

    code = "pki_absent"


class RotationOutOfOrder(Conflict):
    """The steps of a rotation are trust, issue, forget, in this order."""

    code = "pki_step_out_of_order"


class CertificateUnknown(NotThere):
    """No such certificate was issued here."""

    code = "pki_certificate_unknown"


class Issued(msgspec.Struct, frozen=True):
    """A certificate that was issued."""

    serial: str
    name: str
    authority: int
    made_at: datetime
    ends_at: datetime
    revoked_at: datetime | None = None
    #: Where it was written, if not into the folder: for a process on another machine.
    elsewhere: bool = False
    #: Its SHA-256, as audit records name it.
    thumbprint: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What is about to change, in the words of the audit log."""

    action: Action
    thing: str
    details: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Planned(Generic[Result]):
    """What was decided, and no file knows of yet."""

    #: What is to be recorded before it is carried out; nothing, if there is nothing to do.
    changes: tuple[Change, ...]
    carry_out: Callable[[], Result]


class _Book(msgspec.Struct, frozen=True):
    """What the folder's own book says."""

    #: Numbers of the authorities that are trusted; the last one is the newest.
    trusted: tuple[int, ...]
    #: Which of them issues.
    issuing: int
    #: When the newest was added.
    added_at: datetime
    issued: tuple[Issued, ...] = ()
    lists_made: int = 0


class Authorities:
    """The folder."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self.folder = folder
        self._now = now

    # --- looking --------------------------------------------------------------------------------------

    @property
    def exists(self) -> bool:
        """Whether there is an authority."""
        return (self.folder / "issued.json").exists()

    def issued(self) -> Sequence[Issued]:
        """Return every certificate that was issued and has not ended, in order. Raises AuthorityAbsent."""
        return [each for each in self._book().issued if each.ends_at > self._now]

    def trusted(self) -> Sequence[int]:
        """Return the numbers of the authorities that are trusted. Raises AuthorityAbsent."""
        return self._book().trusted

    def in_use(self, each: Issued) -> bool:
        """Tell whether a certificate is the one that lies in the folder."""
        path = self.folder / f"{each.name}.pem"
        return path.exists() and f"{certificate_serial(path.read_bytes()):x}" == each.serial

    def due(self) -> Sequence[str]:
        """Return whose certificates are not there or end soon."""
        found = []
        for name in NAMES:
            path = self.folder / f"{name}.pem"
            if not path.exists() or certificate_expiry(path.read_bytes()) < self._now + DUE:
                found.append(name)
        return found

    # --- making ---------------------------------------------------------------------------------------

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other commands from planning while one is planned and carried out."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def make(self) -> Planned[bool]:
        """Plan the first authority; what is carried out tells whether it was made now."""
        if self.exists:
            return Planned((), lambda: False)
        made = self._new_authority(1)

        def carry_out() -> bool:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._write_authority(1, made)
            self._write_trusted((1,))
            self._save(_Book((1,), 1, self._now))
            return True

        return Planned((_changed("make", 1, made),), carry_out)

    def issue(
        self, name: str, hosts: Sequence[str], lifetime: timedelta, target: Path | None = None
    ) -> Planned[Issued]:
        """Plan a certificate, which is put, with its key, into the folder or elsewhere.

        Args:
            name: `server`, or the role that it lets in.
            hosts: what callers find the server by.
            lifetime: how long it lasts.
            target: another folder, for a process on another machine; gets the authorities too.
        """
        return self._issue(self._book().issuing, name, hosts, lifetime, target)

    def _issue(
        self,
        number: int,
        name: str,
        hosts: Sequence[str],
        lifetime: timedelta,
        target: Path | None = None,
    ) -> Planned[Issued]:
        made = self._certified(self._authority(number), name, hosts, lifetime)
        issued = Issued(
            serial=f"{certificate_serial(made.certificate):x}",
            name=name,
            authority=number,
            made_at=self._now,
            ends_at=certificate_expiry(made.certificate),
            elsewhere=target is not None,
            thumbprint=certificate_thumbprint(made.certificate),
        )

        def carry_out() -> Issued:
            book = self._book()
            # In the book first: what was issued can always be revoked.
            self._save(msgspec.structs.replace(book, issued=(*book.issued, issued)))
            folder = target or self.folder
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(folder / f"{name}.key", made.private_key.expose())
            write_private(folder / f"{name}.pem", made.certificate)
            if target is not None:
                trusted = (self.folder / "authorities.pem").read_bytes()
                write_private(target / "authorities.pem", trusted)
            return issued

        change = Change(
            Action.KEYS_CERTIFICATE_ISSUED,
            f"certificate:{name}",
            {
                **_certificate(issued.thumbprint),
                "key_version": number,
                "lifetime_seconds": int(lifetime.total_seconds()),
            },
        )
        return Planned((change,), carry_out)

    def _certified(
        self, authority: Certified, name: str, hosts: Sequence[str], lifetime: timedelta
    ) -> Certified:
        """Issue, with a number that the command line takes for no card's."""
        while True:
            made = (
                issue_server_certificate(authority, hosts, self._now, lifetime)
                if name == SERVER
                else issue_client_certificate(authority, name, self._now, lifetime)
            )
            if not has_cardlike(f"{certificate_serial(made.certificate):x}"):
                return made

    def revoke(self, which: str) -> Planned[Sequence[Issued]]:
        """Plan to revoke a certificate by its serial number, or all of a name but the one in the folder.

        Raises:
            CertificateUnknown: none is meant.
        """
        book = self._book()
        meant = [
            each
            for each in book.issued
            if each.revoked_at is None
            and (each.serial == which or (each.name == which and not self.in_use(each)))
        ]
        if not meant:
            raise CertificateUnknown
        issued = tuple(
            msgspec.structs.replace(each, revoked_at=self._now) if each in meant else each
            for each in book.issued
        )
        book = msgspec.structs.replace(book, issued=issued, lists_made=book.lists_made + 1)

        def carry_out() -> Sequence[Issued]:
            # The book last: what it calls revoked is on the list that the port refuses by.
            for number in sorted({each.authority for each in meant} & set(book.trusted)):
                self._write_list(number, book)
            self._save(book)
            return meant

        changes = tuple(
            Change(
                Action.KEYS_CERTIFICATE_REVOKED,
                f"certificate:{each.name}",
                {**_certificate(each.thumbprint), "key_version": each.authority},
            )
            for each in meant
        )
        return Planned(changes, carry_out)

    # --- an authority that follows another ------------------------------------------------------------

    def trust_next(self) -> Planned[int]:
        """Plan the next authority, trusted beside the present one; what is carried out returns its number.

        Raises:
            RotationOutOfOrder: one is on its way already.
        """
        book = self._book()
        if len(book.trusted) > 1:
            raise RotationOutOfOrder("a new authority is trusted already: the next step is issue")
        number = book.trusted[-1] + 1
        made = self._new_authority(number)

        def carry_out() -> int:
            trusted = (*book.trusted, number)
            self._write_authority(number, made)
            self._write_trusted(trusted)
            # The book last: what it calls trusted is in the file that processes read.
            self._save(msgspec.structs.replace(book, trusted=trusted, added_at=self._now))
            return number

        return Planned((_changed("trust", number, made),), carry_out)

    def issue_by_next(self, hosts: Sequence[str], lifetime: timedelta) -> Planned[Sequence[Issued]]:
        """Plan that the newest authority issues from now on, and every certificate is issued anew.

        Raises:
            RotationOutOfOrder: it is not trusted yet, or has not been for long enough.
        """
        book = self._book()
        if len(book.trusted) == 1 or book.issuing == book.trusted[-1]:
            raise RotationOutOfOrder("no new authority waits: the first step is trust")
        left = book.added_at + SETTLED - self._now
        if left > timedelta():
            raise RotationOutOfOrder(
                f"not every process trusts the new authority yet: wait {left.seconds + 1} s"
            )
        number = book.trusted[-1]
        each = [self._issue(number, name, hosts, lifetime) for name in NAMES]

        def carry_out() -> Sequence[Issued]:
            self._save(msgspec.structs.replace(book, issuing=number, added_at=self._now))
            return [planned.carry_out() for planned in each]

        changes = [change for planned in each for change in planned.changes]
        return Planned((_changed("issue", number), *changes), carry_out)

    def forget_former(self) -> Planned[Sequence[int]]:
        """Plan to trust only the newest authority; what is carried out returns those that are trusted no more.

        Raises:
            RotationOutOfOrder: certificates of the former are in use.
        """
        book = self._book()
        former = [number for number in book.trusted if number != book.issuing]
        if not former or book.issuing != book.trusted[-1]:
            raise RotationOutOfOrder(
                "there is nothing to forget: the steps are trust, issue, forget"
            )
        left = book.added_at + SETTLED - self._now
        if left > timedelta():
            raise RotationOutOfOrder(
                f"not every process shows its new certificate yet: wait {left.seconds + 1} s"
            )
        used = [each for each in self.issued() if each.authority in former and self.in_use(each)]
        if used:
            raise RotationOutOfOrder(f"a certificate of the former is in use: {used[0].name}")

        def carry_out() -> Sequence[int]:
            self._write_trusted((book.issuing,))
            for number in former:
                (self.folder / f"revoked-{number}.pem").unlink(missing_ok=True)
                (self.folder / f"authority-{number}.key").unlink(missing_ok=True)
            self._save(msgspec.structs.replace(book, trusted=(book.issuing,)))
            return former

        return Planned(tuple(_changed("forget", number) for number in former), carry_out)

    # --- files ----------------------------------------------------------------------------------------

    def _book(self) -> _Book:
        try:
            return msgspec.json.decode((self.folder / "issued.json").read_bytes(), type=_Book)
        except FileNotFoundError:
            raise AuthorityAbsent from None

    def _save(self, book: _Book) -> None:
        write_private(self.folder / "issued.json", msgspec.json.encode(book))

    def _authority(self, number: int) -> Certified:
        place = self.folder / f"authority-{number}.pem"
        try:
            key = place.with_suffix(".key").read_bytes()
        except FileNotFoundError:
            raise AuthorityAbsent(
                f"the key of the authority is not here: {place.stem}.key"
            ) from None
        return Certified(place.read_bytes(), Secret(key))

    def _new_authority(self, number: int) -> Certified:
        # A name of its own: who checks a list of revoked certificates finds the authority by its name.
        return make_authority(self._now, f"Strongroom vault port {number} {self._now:%Y%m%d%H%M%S}")

    def _write_authority(self, number: int, made: Certified) -> None:
        place = self.folder / f"authority-{number}.pem"
        write_private(place.with_suffix(".key"), made.private_key.expose())
        write_private(place, made.certificate)
        # The list is there before the authority is trusted: the port wants one of each, or none.
        empty = make_revocation_list(made, {}, self._now, 1)
        write_private(self.folder / f"revoked-{number}.pem", empty)

    def _write_trusted(self, numbers: Sequence[int]) -> None:
        parts = [(self.folder / f"authority-{each}.pem").read_bytes() for each in reversed(numbers)]
        write_private(self.folder / "authorities.pem", b"".join(parts))

    def _write_list(self, number: int, book: _Book) -> None:
        serials = {
            int(each.serial, 16): each.revoked_at
            for each in book.issued
            if each.authority == number and each.revoked_at is not None
        }
        made = make_revocation_list(
            self._authority(number), serials, self._now, book.lists_made + 1
        )
        write_private(self.folder / f"revoked-{number}.pem", made)


def _certificate(thumbprint: str) -> Mapping[str, str]:
    """Print a thumbprint as the fact `certificate` carries it, in groups of eight; books of old have none."""
    groups = [thumbprint[at : at + _GROUP] for at in range(0, len(thumbprint), _GROUP)]
    return {"certificate": "-".join(groups)} if groups else {}


def _changed(operation: str, number: int, made: Certified | None = None) -> Change:
    thumbprint = "" if made is None else certificate_thumbprint(made.certificate)
    return Change(
        Action.KEYS_AUTHORITY_CHANGED,
        f"authority:{number}",
        {"operation": operation, **_certificate(thumbprint)},
    )
