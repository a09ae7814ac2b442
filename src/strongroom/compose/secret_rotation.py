# SPDX-License-Identifier: Apache-2.0
"""Rotates the passwords of the database logins: joins the steps, the keeper, the servers and the audit log.

No transaction spans a keeper, a server and the log: each rotation is recorded before a server is told, and again with
the outcome `failed` if it did not come to its end. A crash in between leaves a record of what the next run completes.
"""

from typing import Final, final

from strongroom.audit import PLATFORM, Action, Origin, Outcome, Recorder
from strongroom.compose.secrets import keeper_of, login_reference
from strongroom.compose.site import Site
from strongroom.crypto import new_secret_text
from strongroom.db.logins import LOGINS, Domain, Login
from strongroom.db.passwords import LoginPasswords
from strongroom.db.pool import Database
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.secret import Secret
from strongroom.keys.errors import SecretNotTaken
from strongroom.keys.secrets.rotation import begin, complete

PASSWORD_BITS: Final = 256


@final
class SecretRotation:
    """Rotates one login's password at a time."""

    def __init__(self, site: Site, database: Database, recorder: Recorder) -> None:
        self._site = site
        self._database = database
        self._recorder = recorder

    async def rotate(self, login: Login, actor: str) -> None:
        """Give a login another password; run again, it completes what was cut off.

        Raises:
            SecretNotTaken: where its password is kept, only its owner can change it; or the server refuses.
            SecretUnreadable, DatabaseAway, LoginRefused: see each; nothing is lost.
        """
        settings = self._site.settings
        reference = login_reference(settings, login)
        keeper = keeper_of(settings, reference)
        if keeper is None:
            raise SecretNotTaken(
                f"{reference.scheme}: is only read here; rotate it where it is kept"
            )
        pending = await begin(keeper, reference, lambda: Secret(new_secret_text(PASSWORD_BITS)))
        await self._record(login, actor, Outcome.SUCCESS)
        try:
            domains = [domain for domain in Domain if login in LOGINS[domain]]
            addresses = [self._site.addresses(domain, login) for domain in domains]
            await complete(keeper, reference, LoginPasswords(addresses), pending)
        except StrongroomError:
            await self._record(login, actor, Outcome.FAILED)
            raise

    async def _record(self, login: Login, actor: str, outcome: Outcome) -> None:
        async with self._database.transaction([PLATFORM]) as tx:
            record = self._recorder.make(
                Action.KEYS_SECRET_ROTATED,
                actor=actor,
                merchant=None,
                mode=None,
                thing=f"login:{login}",
                origin=Origin(),
                now=self._site.clock.now(),
                details={"operation": "password"},
                outcome=outcome,
            )
            await self._recorder.insert(tx, record)
