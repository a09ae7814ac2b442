# SPDX-License-Identifier: Apache-2.0
"""RFC 9457 problem details: the one place where errors become answers. Echoes no value and no driver's text."""

from typing import Any, Final

import msgspec

from strongroom.http.request import PROBLEM_JSON, Answer
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.errors import FieldError, Invalid, StrongroomError, told

TITLES: Final = {
    400: "Bad request",
    401: "Not authenticated",
    402: "Declined",
    403: "Not permitted",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timed out",
    409: "Conflict",
    410: "Gone",
    413: "Body too large",
    414: "Target too long",
    415: "Unsupported media type",
    422: "Invalid",
    429: "Too many requests",
    431: "Headers too large",
    500: "Internal error",
    503: "Temporarily unavailable",
}
#: A page of this name documents each code; the URI is an identifier and is not fetched.
TYPE_PREFIX: Final = "https://strongroom.example/problems/"


class ProblemField(msgspec.Struct, frozen=True):
    """One field that was refused."""

    pointer: str
    code: str
    detail: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457 problem details with our extension members."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: tuple[ProblemField, ...] = ()
    #: The word of RFC 6749 §5.2, for OAuth clients; only where tokens are given.
    error: str = ""


_encode: Final = msgspec.json.Encoder().encode


def problem_answer(error: StrongroomError, request_id: str) -> Answer:
    """Print an error of ours as an answer: what callers are told of it. The log line has its own code."""
    reason = error.code
    error = told(error)
    status = error.status if error.status in TITLES else 500
    fields = error.errors if isinstance(error, Invalid) else ()
    problem = Problem(
        type=TYPE_PREFIX + error.code,
        title=TITLES[status],
        status=status,
        code=error.code,
        detail=_safe(error.detail),
        request_id=request_id,
        errors=tuple(ProblemField(e.pointer, e.code, _safe(e.detail)) for e in fields),
        error=getattr(error, "oauth_error", ""),
    )
    headers: list[tuple[str, str]] = []
    for name, value in (
        ("retry-after", _seconds_to_wait(error)),
        ("allow", getattr(error, "allow", None)),
        ("www-authenticate", getattr(error, "challenge", None) if status == 401 else None),  # noqa: PLR2004
    ):
        if value is not None:
            headers.append((name, str(value)))
    return Answer(status, _encode(problem), PROBLEM_JSON, headers, {"reason": reason})


def _seconds_to_wait(error: StrongroomError) -> int | None:
    found: int | None = getattr(error, "better_after_seconds", None)
    return getattr(error, "retry_after_seconds", None) if found is None else found


def internal_answer(request_id: str) -> Answer:
    """Print an error that is not ours: nothing about it but the request's id."""
    return problem_answer(
        StrongroomError("something failed here; it is logged under this request id"), request_id
    )


def _safe(detail: str) -> str:
    """Our details hold no values; should one ever hold a card number, it does not leave."""
    return "the request was refused" if has_cardlike(detail) else detail


#: What decoding a body may raise: msgspec leaves wrong UTF-8 and what is nested too deeply to Python.
UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decoding_error(error: Exception, known_fields: frozenset[str] = frozenset()) -> StrongroomError:
    """Turn msgspec's refusal into ours: msgspec names the path, and for some kinds also the value, which is cut.

    Args:
        error: one of `UNDECODABLE`.
        known_fields: words that may be repeated to the caller.
    """
    if not isinstance(error, msgspec.ValidationError):
        return MalformedJson()
    text, _, path = str(error).partition(" - at `")
    pointer = _pointer(path.removeprefix("key` in `").rstrip("`"))
    word = text.partition("`")[2].partition("`")[0]
    if text.startswith("Object missing required field"):
        return Invalid(
            FieldError(f"{pointer}/{word}", "field_missing", f"the field {word} is missing")
        )
    if text.startswith("Object contains unknown field"):
        named = f" {word}" if word in known_fields or _plain_word(word) else ""
        return Invalid(
            FieldError(pointer or "/", "field_unknown", f"the field{named} is not known here")
        )
    if text.startswith("Expected"):
        expected = text.partition("Expected ")[2].partition(",")[0]
        return Invalid(FieldError(pointer or "/", "type_wrong", f"expected {expected}"))
    return Invalid(
        FieldError(pointer or "/", "value_wrong", "the value is not one of those allowed")
    )


def _plain_word(word: str) -> bool:
    return word.replace("_", "").isalpha() and word.isascii() and len(word) <= 40  # noqa: PLR2004


def _pointer(path: str) -> str:
    """Turn msgspec's `$.card.number` into a JSON pointer; a map's key is `[...]` there and stays unnamed."""
    return (
        path.replace("$", "", 1)
        .replace("[...]", "/*")
        .replace(".", "/")
        .replace("[", "/")
        .replace("]", "")
    )


class MalformedForm(StrongroomError):
    """The body is not a form in which each field stands once."""

    code = "malformed_form"
    status = 400


class MalformedJson(StrongroomError):
    """The body is not JSON."""

    code = "malformed_json"
    status = 400


def as_dict(answer: Answer) -> dict[str, Any]:
    """Decode an answer's body, for tests and examples."""
    decoded: dict[str, Any] = msgspec.json.decode(answer.body)
    return decoded
