# SPDX-License-Identifier: Apache-2.0
"""The authority of the vault's internal port, in `state`/pki/vault: who may call, who answers, who no longer may.

Whoever holds a certificate of this authority *is* a caller of the vault, so it signs nothing else. Files are replaced
whole; processes that run read them anew. Nothing here is needed to serve but the certificates: the authority's key can
be kept elsewhere, and brought back to issue.

    authorities.pem         whom both sides trust: the present authority, and others while one follows the other
    authority-1.pem, .key   an authority, by its number
    revoked-1.pem           the list of its certificates that were revoked
    server.pem, .key        what the vault shows; gateway.pem and worker.pem: what the callers show
    issued.json             what was issued
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from strongroom.cli.installation import write_private
from strongroom.config.roles import CALLERS
from strongroom.crypto import (
    Certified,
    certificate_expiry,
    certificate_serial,
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

    def make(self) -> bool:
        """Make the first authority; tell whether it was made now."""
        if self.exists:
            return False
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._make_authority(1)
        self._save(_Book((1,), 1, self._now))
        return True

    def issue(
        self, name: str, hosts: Sequence[str], lifetime: timedelta, target: Path | None = None
    ) -> Issued:
        """Issue a certificate and put it, with its key, into the folder or elsewhere.

        Args:
            name: `server`, or the role that it lets in.
            hosts: what callers find the server by.
            lifetime: how long it lasts.
            target: another folder, for a process on another machine; gets the authorities too.
        """
        book = self._book()
        made = self._certified(self._authority(book.issuing), name, hosts, lifetime)
        issued = Issued(
            serial=f"{certificate_serial(made.certificate):x}",
            name=name,
            authority=book.issuing,
            made_at=self._now,
            ends_at=certificate_expiry(made.certificate),
            elsewhere=target is not None,
        )
        # In the book first: what was issued can always be revoked.
        self._save(msgspec.structs.replace(book, issued=(*book.issued, issued)))
        folder = target or self.folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(folder / f"{name}.key", made.private_key.expose())
        write_private(folder / f"{name}.pem", made.certificate)
        if target is not None:
            write_private(
                target / "authorities.pem", (self.folder / "authorities.pem").read_bytes()
            )
        return issued

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

    def revoke(self, which: str) -> Sequence[Issued]:
        """Revoke a certificate by its serial number, or all of a name but the one in the folder.

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
        self._save(book)
        for number in sorted({each.authority for each in meant} & set(book.trusted)):
            self._write_list(number, book)
        return meant

    # --- an authority that follows another ------------------------------------------------------------

    def trust_next(self) -> int:
        """Make the next authority and trust it beside the present one; return its number.

        Raises:
            RotationOutOfOrder: one is on its way already.
        """
        book = self._book()
        if len(book.trusted) > 1:
            raise RotationOutOfOrder("a new authority is trusted already: the next step is issue")
        number = book.trusted[-1] + 1
        self._make_authority(number)
        trusted = (*book.trusted, number)
        self._save(msgspec.structs.replace(book, trusted=trusted, added_at=self._now))
        self._write_trusted(trusted)
        return number

    def issue_by_next(self, hosts: Sequence[str], lifetime: timedelta) -> Sequence[Issued]:
        """Let the newest authority issue from now on, and issue every certificate anew.

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
        self._save(msgspec.structs.replace(book, issuing=book.trusted[-1], added_at=self._now))
        return [self.issue(name, hosts, lifetime) for name in NAMES]

    def forget_former(self) -> Sequence[int]:
        """Trust only the newest authority; return the numbers of those that are trusted no more.

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
        self._save(msgspec.structs.replace(book, trusted=(book.issuing,)))
        self._write_trusted((book.issuing,))
        for number in former:
            (self.folder / f"revoked-{number}.pem").unlink(missing_ok=True)
            (self.folder / f"authority-{number}.key").unlink(missing_ok=True)
        return former

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

    def _make_authority(self, number: int) -> None:
        # A name of its own: who checks a list of revoked certificates finds the authority by its name.
        made = make_authority(self._now, f"Strongroom vault port {number} {self._now:%Y%m%d%H%M%S}")
        place = self.folder / f"authority-{number}.pem"
        write_private(place.with_suffix(".key"), made.private_key.expose())
        write_private(place, made.certificate)
        if not (self.folder / "authorities.pem").exists():
            self._write_trusted((number,))
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
