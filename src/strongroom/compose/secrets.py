# SPDX-License-Identifier: Apache-2.0
"""Where secrets are read from: a source for each scheme of references, and what the settings ask for at start.

What reaches a keeper over a network is imported where it is asked for: most installations use one, or none.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

from strongroom.config import KeyStoreName, SecretReference, SecretScheme, Settings, parse_reference
from strongroom.config.load import process_environment
from strongroom.config.references import LOGIN_SLOT
from strongroom.db.logins import Login
from strongroom.kernel.secret import Secret
from strongroom.keys.errors import KeyStoreRefused, SecretUnreadable
from strongroom.keys.secrets.book import SecretBook
from strongroom.keys.secrets.local import EnvironmentSecrets, FileSecrets
from strongroom.keys.secrets.ports import SecretKeeper, SecretSource

if TYPE_CHECKING:
    from strongroom.keys.stores.transit_login import TransitIdentity

PREFIX: Final = "STRONGROOM_"


def open_secrets(settings: Settings) -> SecretBook:
    """Return the book of this process's secrets. Reads none yet."""
    sources: dict[SecretScheme, SecretSource] = {
        SecretScheme.ENVIRONMENT: EnvironmentSecrets(process_environment()),
        SecretScheme.FILE: FileSecrets(),
        SecretScheme.AWS: _Asked(partial(_aws_source, settings)),
        SecretScheme.GOOGLE: _Asked(partial(_google_source, settings)),
        SecretScheme.VAULT: _Asked(partial(_vault_source, settings)),
    }
    return SecretBook(sources, monotonic, settings.secret_seconds)


def keeper_of(settings: Settings, reference: SecretReference) -> SecretKeeper | None:
    """Return what changes the secret behind a reference; None where only its owner can."""
    match reference.scheme:
        case SecretScheme.FILE:
            return FileSecrets()
        case SecretScheme.AWS:
            return _aws(settings)
        case _:
            return None


def login_reference(settings: Settings, login: Login) -> SecretReference:
    """Return where a login's password is: where the settings say, else a file of the logins' folder."""
    if settings.login_passwords is not None:
        return parse_reference(settings.login_passwords.replace(LOGIN_SLOT, login.value))
    return SecretReference(SecretScheme.FILE, str(settings.login_folder / login.value))


def wanted_secrets(settings: Settings, logins: Sequence[Login]) -> dict[str, SecretReference]:
    """Return what must be there at start, by the setting that asks for it."""
    given = {
        "VAULT_DATABASE": settings.vault_database,
        "CORE_DATABASE": settings.core_database,
    }
    if settings.key_store is KeyStoreName.FILE:
        given["KEY_FILE_PASSPHRASE"] = settings.key_file_passphrase
    if settings.key_store is KeyStoreName.PKCS11:
        given["PKCS11_PIN"] = settings.pkcs11_pin
    wanted = {PREFIX + name: each for name, each in given.items() if each is not None}
    if settings.login_passwords is not None:
        wanted |= {
            f"{PREFIX}LOGIN_PASSWORDS ({login})": login_reference(settings, login)
            for login in logins
        }
    return wanted


class LoginPassword:
    """Implements `db.address.PasswordSource` over a reference."""

    def __init__(self, book: SecretBook, reference: SecretReference) -> None:
        self._book = book
        self._reference = reference
        self._rotating: Secret[str] | None = None

    async def at_hand(self) -> Secret[str]:
        """Return the one under rotation if that held last, else the current one."""
        return self._rotating or await self._book.current(self._reference)

    async def anew(self) -> Sequence[Secret[str]]:
        """Return the current one, read now, and the one that is being rotated in."""
        self._rotating = None
        return await self._book.candidates(self._reference)

    def held(self, password: Secret[str]) -> None:
        """Begin with this one from now on, until it is refused."""
        self._rotating = password


class _Asked:
    """Implements `SecretSource` over one that is made for each piece of work: a client belongs to one event loop."""

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[SecretSource]]) -> None:
        self._make = make

    async def read(self, reference: SecretReference) -> Secret[str]:
        """Ask it."""
        async with self._make() as source:
            return await source.read(reference)

    async def pending(self, reference: SecretReference) -> Secret[str] | None:
        """Ask it."""
        async with self._make() as source:
            return await source.pending(reference)


def _aws(settings: Settings) -> SecretKeeper:
    from strongroom.keys.secrets.aws import AwsSecrets  # noqa: PLC0415 - see above

    if not settings.aws_region:
        raise SecretUnreadable("STRONGROOM_AWS_REGION is not set")
    return AwsSecrets(region=settings.aws_region, endpoint_url=settings.aws_endpoint)


@asynccontextmanager
async def _aws_source(settings: Settings) -> AsyncIterator[SecretSource]:
    yield _aws(settings)


def transit_identity(settings: Settings) -> "TransitIdentity":
    """Return who this process is to OpenBao or Vault, for its keys and for its secrets."""
    from strongroom.keys.stores.transit_login import AppRole, TokenFile  # noqa: PLC0415 - see above

    if settings.transit_token_file is not None:
        return TokenFile(settings.transit_token_file)
    if settings.transit_role_id is None or settings.transit_secret_id_file is None:
        raise KeyStoreRefused("no login to OpenBao or Vault is set (STRONGROOM_TRANSIT_*)")
    return AppRole(
        settings.transit_role_id, settings.transit_secret_id_file, settings.transit_approle_mount
    )


@asynccontextmanager
async def _vault_source(settings: Settings) -> AsyncIterator[SecretSource]:
    from strongroom.egress.fixed import FixedService, ServiceUrlRefused  # noqa: PLC0415
    from strongroom.keys.secrets.openbao import VaultSecrets  # noqa: PLC0415

    if not settings.transit_url:
        raise SecretUnreadable("STRONGROOM_TRANSIT_URL is not set")
    headers = {"x-vault-request": "true"}
    if settings.transit_namespace:
        headers["x-vault-namespace"] = settings.transit_namespace
    try:
        identity = transit_identity(settings)
        service = FixedService(settings.transit_url, authorities=settings.transit_ca)
    except (KeyStoreRefused, ServiceUrlRefused) as error:
        raise SecretUnreadable(error.detail) from error
    source = VaultSecrets(service, identity, headers)
    try:
        yield source
    finally:
        await source.close()


@asynccontextmanager
async def _google_source(settings: Settings) -> AsyncIterator[SecretSource]:
    from strongroom.egress.fixed import FixedService  # noqa: PLC0415 - see above
    from strongroom.egress.google_identity import (  # noqa: PLC0415
        EVERYTHING_SCOPE,
        file_tokens,
        machine_tokens,
    )
    from strongroom.keys.secrets.google import ENDPOINT, GoogleSecrets  # noqa: PLC0415

    credentials = settings.gcp_credentials
    tokens = machine_tokens() if credentials is None else file_tokens(credentials, EVERYTHING_SCOPE)
    source = GoogleSecrets(FixedService(ENDPOINT), tokens)
    try:
        yield source
    finally:
        await source.close()
