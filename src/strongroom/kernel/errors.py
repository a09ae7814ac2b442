# SPDX-License-Identifier: Apache-2.0
"""The root of every error that Strongroom raises on purpose, and the families that HTTP tells apart.

StrongroomError            code, status
├── Refused        4xx     the caller can mend it
│   ├── Invalid    422     one or more fields; each names the field and never echoes its value
│   ├── NotThere   404
│   ├── Conflict   409
│   └── Denied     403
└── Unavailable    503     ours to mend; nothing was acknowledged; carries Retry-After
"""

from dataclasses import dataclass
from typing import ClassVar, Final

_INTERNAL: Final = 500


class StrongroomError(Exception):
    """Something that can happen, did."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    #: What a caller is told instead, where more would serve only whoever altered our data; None: what it is.
    told_as: ClassVar["type[StrongroomError] | None"] = None

    def __init__(self, detail: str | None = None) -> None:
        #: The sentence for people. A class's docstring is its message when none is given.
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(self.detail)

    @property
    def is_internal(self) -> bool:
        """Whether only we can mend it, and a caller is told no more than that."""
        return self.status == _INTERNAL


def told(error: StrongroomError) -> StrongroomError:
    """Return what callers are told of an error, now and where it is kept for them: itself, or what it is `told_as`."""
    return error if error.told_as is None else error.told_as()


class Refused(StrongroomError):
    """The request was refused."""

    code = "refused"
    status = 400


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field: a JSON pointer (RFC 6901), a code, and no value."""

    pointer: str
    code: str
    detail: str


class Invalid(Refused):
    """The body does not have the shape this route takes."""

    code = "invalid"
    status = 422

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(error.detail for error in errors) or None)
        self.errors = errors


class NotThere(Refused):
    """There is no such object for this key."""

    code = "not_found"
    status = 404


class Conflict(Refused):
    """The object's present state does not allow this."""

    code = "conflict"
    status = 409


class Denied(Refused):
    """This key may not do that."""

    code = "forbidden"
    status = 403


class Unavailable(StrongroomError):
    """A part that this needs is not answering. Nothing was done that an answer would have acknowledged."""

    code = "unavailable"
    status = 503
    retry_after_seconds: ClassVar[int] = 1

    def __init__(
        self, detail: str | None = None, *, retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(detail)
        #: When asking again may help, where that is known better than the class knows it.
        self.better_after_seconds = retry_after_seconds
