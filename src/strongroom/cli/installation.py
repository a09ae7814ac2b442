# SPDX-License-Identifier: Apache-2.0
"""An installation on this machine: its state folder, secrets, certificates, embedded server and schemas.

Everything that is made is made once and kept; a second run finds it. Secrets are files of mode 0600.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from strongroom.config import KeyStoreName, Settings
from strongroom.config.roles import ALL_ROLES, ServedRole
from strongroom.crypto import (
    Certified,
    certificate_expiry,
    issue_server_certificate,
    make_authority,
    new_secret_text,
)
from strongroom.db.address import Address, parse_dsn
from strongroom.db.embedded import Embedded
from strongroom.db.logins import Domain, Login, domains_of, logins_of, prepare
from strongroom.db.migrate import migrate
from strongroom.http.server import Tls
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.secret import Secret

if TYPE_CHECKING:
    from strongroom.compose import KeyFile, SecretBook
    from strongroom.db.address import PasswordSource

Result = TypeVar("Result")

DATABASES: Final[Mapping[Domain, str]] = {
    Domain.VAULT: "strongroom_vault",
    Domain.CORE: "strongroom_core",
}
PASSPHRASE_BITS: Final = 256
LOGIN_BITS: Final = 256
#: A local certificate is made anew when it has less than this left.
CERTIFICATE_LEFT_MIN: Final = timedelta(days=14)
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")

Progress = Callable[[str], None]


class NotInitialised(StrongroomError):
    """This installation is not initialised: run `strongroom init`."""

    code = "not_initialised"


class Installation:
    """What the commands start from."""

    def __init__(
        self, settings: Settings, clock: Clock, roles: frozenset[ServedRole] = ALL_ROLES
    ) -> None:
        self.settings = settings
        self.clock = clock
        #: What is served from here; what other roles need is not opened.
        self.roles = roles
        self._stack = ExitStack()
        self._embedded: Embedded | None = None

    @property
    def uses_embedded(self) -> bool:
        """Whether a database that these roles reach is one of the embedded server."""
        given = {
            Domain.VAULT: self.settings.vault_database,
            Domain.CORE: self.settings.core_database,
        }
        return any(given[domain] is None for domain in domains_of(self.roles))

    def attach(self) -> None:
        """Start or join the embedded server, if it is used."""
        if self.uses_embedded and self._embedded is None:
            embedded = Embedded(
                self.settings.state / "postgres", binaries=self.settings.postgres_binaries
            )
            embedded.attach()
            self._embedded = embedded

    def detach(self) -> bool:
        """Leave the embedded server; the last one out stops it. Tell whether that was us."""
        embedded, self._embedded = self._embedded, None
        return embedded.detach() if embedded is not None else False

    @property
    def server_log(self) -> Path | None:
        """The embedded server's own log."""
        return self._embedded.log_file if self._embedded is not None else None

    def bootstrap(self, database: str = "postgres") -> Address:
        """Return the embedded server's administrator, for `init` and for searching the databases."""
        if self._embedded is None:
            raise NotInitialised("the embedded server is not started")
        return self._embedded.bootstrap_address(database)

    def address(self, domain: Domain, login: Login) -> Address:
        """Return where a login finds its database."""
        dsn = (
            self.settings.vault_database if domain is Domain.VAULT else self.settings.core_database
        )
        secret = self.login_secret(login)
        if dsn is not None:
            text = self.secrets.at_hand(dsn).expose()
            found = replace(parse_dsn(text, user=login.value), user=login.value, password=secret)
        elif self._embedded is None:
            raise NotInitialised("the embedded server is not started")
        else:
            found = self._embedded.connection(DATABASES[domain], user=login.value, password=secret)
        return replace(found, passwords=self._password_of(login))

    @cached_property
    def secrets(self) -> "SecretBook":
        """What the settings' references lead to, all read at first use.

        Raises:
            SecretsMissing: names every one that cannot be read.
        """
        from strongroom import compose

        book = compose.open_secrets(self.settings)
        logins = sorted({login for _, login in logins_of(self.roles)})
        _read(book.load(compose.wanted_secrets(self.settings, logins)))
        return book

    def _password_of(self, login: Login) -> "PasswordSource":
        from strongroom import compose

        return compose.LoginPassword(self.secrets, compose.login_reference(self.settings, login))

    def login_secret(self, login: Login) -> Secret[str]:
        """Return a login's password. Raises NotInitialised, SecretUnreadable."""
        if self.settings.login_passwords is not None:
            from strongroom import compose

            reference = compose.login_reference(self.settings, login)
            return _read(self.secrets.current(reference))
        path = self.settings.login_folder / login.value
        try:
            return Secret(path.read_text("utf-8").strip())
        except FileNotFoundError:
            raise NotInitialised from None

    def make_secrets(self) -> None:
        """Make the state folder, the passphrase of the key file and the logins' passwords, each once."""
        state = self.settings.state
        # The embedded server's own user passes through the folder as root's guest: it may not list it.
        if not state.exists():
            state.mkdir(parents=True, exist_ok=True, mode=0o711)
            state.chmod(0o711)  # whatever the umask
        for folder in (self.settings.login_folder, state / "keys", state / "tls"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.settings.key_file_passphrase is None:
            write_once(self._passphrase_file, new_secret_text(PASSPHRASE_BITS))
        for login in Login if self.settings.login_passwords is None else ():
            write_once(self.settings.login_folder / login.value, new_secret_text(LOGIN_BITS))

    @property
    def _passphrase_file(self) -> Path:
        return self.settings.state / "keys" / "passphrase"

    @property
    def uses_default_secret(self) -> bool:
        """Whether keys stand behind a passphrase that we made ourselves."""
        settings = self.settings
        return settings.key_store is KeyStoreName.FILE and settings.key_file_passphrase is None

    def passphrase(self) -> Secret[str]:
        """Return the passphrase of the key file with every root; nothing where roles have files of their own."""
        if self.roles != ALL_ROLES or self.settings.key_store is not KeyStoreName.FILE:
            return Secret("")
        if self.settings.key_file_passphrase is not None:
            return self.secrets.at_hand(self.settings.key_file_passphrase)
        try:
            return Secret(self._passphrase_file.read_text("utf-8").strip())
        except FileNotFoundError:
            raise NotInitialised from None

    async def make_databases(self, progress: Progress, administrator: Address | None = None) -> int:
        """Make logins, databases, schemas and grants; return how many migrations ran."""
        ran = 0
        secrets = {login: self.login_secret(login) for login in Login}
        for domain, name in DATABASES.items():
            admin = administrator or (self.bootstrap() if self._embedded else None)
            if admin is not None:
                progress(f"logins and database {name}")
                await prepare(admin, domain, name, secrets)
            ran += await migrate(
                self.address(domain, Login.OWNER),
                domain,
                lambda file: progress(f"migration {file}"),
            )
        return ran

    def make_keys(self) -> bool:
        """Make the key file, if that is the key store; tell whether it was made now."""
        from strongroom import compose

        return compose.make_key_file(self.settings, self.passphrase(), self.clock)

    def split_keys(self) -> int:
        """Give each role a key file with the roots that it needs and no others; return how many were written."""
        from strongroom import compose

        if self.settings.key_store is not KeyStoreName.FILE:
            return 0
        for role in ServedRole:
            write_once(self._role_passphrase_file(role), new_secret_text(PASSPHRASE_BITS))
        files = {role: self._role_key(role) for role in ServedRole}
        return compose.split_key_file(self.settings, self.passphrase(), files)

    def role_keys(self) -> "tuple[KeyFile, ...]":
        """Return the key files of the roles that are served from here; none where it serves all, or asks a KMS.

        Raises:
            NotInitialised: a role has none.
        """
        if self.settings.key_store is not KeyStoreName.FILE or self.roles == ALL_ROLES:
            return ()
        return tuple(self._role_key(role) for role in sorted(self.roles))

    def _role_key(self, role: ServedRole) -> "KeyFile":
        from strongroom import compose

        try:
            passphrase = self._role_passphrase_file(role).read_text("utf-8").strip()
        except FileNotFoundError:
            raise NotInitialised(
                f"there is no key file of the role {role}: run `strongroom pki init`"
            ) from None
        return compose.KeyFile(self.settings.state / "keys" / f"{role}.sealed", Secret(passphrase))

    def _role_passphrase_file(self, role: ServedRole) -> Path:
        return self.settings.state / "keys" / f"{role}.passphrase"

    @property
    def authority_file(self) -> Path:
        """The local CA's certificate, for clients to trust."""
        return self.settings.state / "tls" / "ca.pem"

    def tls(self) -> Tls | None:
        """Return the server's certificate: the one given, or one of the local CA, made when it is due."""
        if self.settings.plain_http:
            return None
        if self.settings.tls_certificate is not None and self.settings.tls_key is not None:
            return Tls(self.settings.tls_certificate, self.settings.tls_key)
        folder = self.settings.state / "tls"
        certificate, key = folder / "server.pem", folder / "server.key"
        now = self.clock.now()
        if (
            not certificate.exists()
            or certificate_expiry(certificate.read_bytes()) < now + CERTIFICATE_LEFT_MIN
        ):
            settings = self.settings
            listeners = (
                settings.vault_listen,
                settings.gateway_listen,
                settings.webhooks_listen,
                settings.console_listen,
                settings.worker_listen,
            )
            hosts = {each.host for each in listeners}
            names = sorted({*LOCAL_NAMES, *hosts} - {"0.0.0.0", "::"})  # noqa: S104 - not a name
            issued = issue_server_certificate(self._authority(), names, now)
            write_private(key, issued.private_key.expose())
            write_private(certificate, issued.certificate)
        return Tls(certificate, key)

    def _authority(self) -> Certified:
        key = self.settings.state / "tls" / "ca.key"
        if not key.exists():
            made = make_authority(self.clock.now())
            write_private(key, made.private_key.expose())
            write_private(self.authority_file, made.certificate)
            self.authority_file.chmod(0o644)
        return Certified(self.authority_file.read_bytes(), Secret(key.read_bytes()))


def _read(work: Coroutine[Any, Any, Result]) -> Result:
    """Await what reads secrets, from code that may run inside a loop or outside of one."""
    with ThreadPoolExecutor(max_workers=1) as aside:
        return aside.submit(asyncio.run, work).result()


def write_once(path: Path, text: str) -> bool:
    """Write a new file of mode 0600, durably; leave one that is there alone. Tell whether it was written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return True


def write_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 in one step: readers see the old or the new one."""
    aside = path.with_name(path.name + ".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
