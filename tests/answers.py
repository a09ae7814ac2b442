# SPDX-License-Identifier: Apache-2.0
"""The one checker that every HTTP answer of every test passes, and the file that keeps them for the canary.

An answer has the headers that every answer has; an error is an RFC 9457 problem; and no part of a card number that
was sent comes back, but for the first six and last four digits of a success.
"""

import json
import re
import unicodedata
from pathlib import Path
from typing import Final
from urllib.parse import unquote_plus

import httpx
import jsonschema

from strongroom.http.edge import SECURITY_HEADERS
from strongroom.http.pages import POLICY
from strongroom.kernel.ids import is_id
from strongroom.kernel.pan_alias import is_pan_alias

_SCHEMA: Final = jsonschema.Draft202012Validator(
    json.loads((Path(__file__).parent / "vectors/data/http-specs/problem.json").read_text("utf-8")),
    format_checker=jsonschema.FormatChecker(),
)
#: What an error may repeat of a number: fewer digits than this in a row.
ERROR_DIGITS: Final = 5
#: In a success: first six and last four, and ids that hold digits by chance.
SUCCESS_DIGITS: Final = 9

#: The end of the path of the one route that shows a card.
REVEAL: Final = "/reveal"
_SHOWN: Final = re.compile(rb"(?<=\"number\":\")[0-9]{13,19}(?=\")")
_NUMBER: Final = re.compile(r"[0-9](?:[ .+_-]{0,3}[0-9]){11,18}(?![0-9])")
_RUN: Final = re.compile(r"[0-9]{5,}")
#: SHA-256 as it is sent and comes back: one in twenty has digits enough in a row, inside a word.
_DIGEST: Final = re.compile(r"\b[0-9a-f]{64}\b")
_JSON_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})")


class Echo(AssertionError):
    """An answer repeats a part of a card number that was sent."""


def sent_numbers(text: str) -> set[str]:
    """Return what could be card numbers in a request: plain, escaped, grouped or in other scripts' digits."""
    text = _JSON_ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), unquote_plus(text))
    text = _DIGEST.sub("", text)
    plain = "".join(
        character if character.isascii() else str(unicodedata.decimal(character, character))
        for character in text
    )
    return {re.sub(r"[^0-9]", "", found) for found in _NUMBER.findall(plain)}


def refuse_echo(sent: set[str], answer: str, digits: int) -> None:
    """Raise `Echo` if the answer holds so many digits of a number in a row."""
    pieces = {number[at : at + digits] for number in sent for at in range(len(number) - digits + 1)}
    for run in _RUN.findall(answer):
        for at in range(len(run) - digits + 1):
            if run[at : at + digits] in pieces:
                raise Echo(f"{digits} digits of a number that was sent are in the answer")


def text_of(request: httpx.Request) -> str:
    """Return everything of a request in which a number could stand."""
    try:
        body = request.content
    except httpx.RequestNotRead:
        body = b""
    headers = "\n".join(value for name, value in request.headers.items() if name != "host")
    return f"{request.url.raw_path.decode()}\n{headers}\n{body.decode('utf-8', 'replace')}"


def check(request: httpx.Request, response: httpx.Response) -> None:
    """Check one answer whose body was read."""
    request_id = response.headers.get("request-id", "")
    assert is_id("req", request_id), "every answer names its request"
    expected = dict(SECURITY_HEADERS)
    if response.headers["content-type"].startswith("text/html"):
        expected["content-security-policy"] = POLICY
    for name, value in expected.items():
        assert response.headers.get_list(name) == [value], name
    assert response.headers["server"] == "strongroom", "no version, no product but ours"
    assert not {"x-powered-by", "via"} & set(response.headers), "no banner"
    # An alias is no card number, and comes back as it is.
    sent = {number for number in sent_numbers(text_of(request)) if not is_pan_alias(number)}
    headers = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
    text = f"{headers}\n{response.text}".replace(request_id, "")
    if response.status_code < 400:
        refuse_echo(sent, text, SUCCESS_DIGITS)
        return
    refuse_echo(sent, text, ERROR_DIGITS)
    if request.method == "HEAD" or request.url.path == "/readyz":  # whose 503 is a list of checks
        return
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    _SCHEMA.validate(problem)
    assert problem["status"] == response.status_code
    assert problem["request_id"] == request_id
    assert problem["type"].endswith(problem["code"])
    if response.status_code in (429, 503):
        assert int(response.headers["retry-after"]) >= 1
    if response.status_code == 401:
        assert response.headers["www-authenticate"].startswith(("Bearer ", "DPoP "))


class Answers:
    """Checks answers and keeps them."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.count = 0

    async def passes(self, response: httpx.Response) -> None:
        """Be httpx's hook for responses."""
        await response.aread()
        self.keep(response)
        check(response.request, response)

    def keep(self, response: httpx.Response) -> None:
        self.count += 1
        head = f"{response.status_code} {response.headers}\n".encode()
        content = response.content
        if response.status_code == 200 and response.request.url.path.endswith(REVEAL):
            # The one answer that may hold a card number does; everything else of it is kept.
            content = b"".join(_SHOWN.split(content))
        with self.file.open("ab") as file:
            file.write(head + content + b"\n")
