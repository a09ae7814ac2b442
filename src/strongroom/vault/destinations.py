# SPDX-License-Identifier: Apache-2.0
"""What each processor's adapter registered: its routes and where slots may stand in them, its credentials.

`matched` returns proof that a template is one of these; what differs in any way is refused. Pure.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlencode

from strongroom.kernel.invariant import invariant
from strongroom.kernel.mode import Mode
from strongroom.vault.errors import TemplateRefused
from strongroom.vault.template import FORM, JSON, Json, Slot, Template, require_form, slots_of

#: The processor of our own: takes the synthetic range, exists in test mode only.
SIMULATOR: Final = "simulator"
PATH_CHARACTERS_MAX: Final = 512
VALUE_CHARACTERS_MAX: Final = 1_024

_WORD: Final = re.compile(r"[a-z][a-z_]{0,47}[0-9]{0,3}")
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
_HOST: Final = re.compile(r"(?:\*[.-])?[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_FIELD: Final = re.compile(r"\{([a-z][a-z_]{0,31})\}")
_POINTER: Final = re.compile(r"(?:/(?:[^~/]|~[01])+)+")
#: Headers that say who asks, or where a message ends: never a template's.
_RESERVED: Final = frozenset("authorization content-length content-type cookie host".split())


@dataclass(frozen=True, slots=True)
class Route:
    """One request that an adapter makes."""

    #: A word of the audit log: `authorize`, `capture`, `find`.
    name: str
    method: str
    #: A regular expression that the whole path matches.
    path: str
    #: `application/json`, `application/x-www-form-urlencoded`, or empty for a request without a body.
    content_type: str = JSON
    #: JSON pointer into the body, a form's too → what may stand there. A template may leave a slot out, and may not put
    #: one elsewhere.
    slots: Mapping[str, Slot] = field(default_factory=dict)
    #: Headers that a template may set, in lower case.
    headers: frozenset[str] = frozenset()
    #: Names that a template's query may have.
    query: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class BodySignature:
    """A header with the hex HMAC-SHA-256 of the body as it is sent, keyed by a field of the credentials (UTF-8)."""

    header: str
    field: str


@dataclass(frozen=True, slots=True)
class Destination:
    """A processor, as its adapter registered it."""

    processor: str
    routes: tuple[Route, ...]
    credential_fields: frozenset[str]
    #: Header in lower case → text with `{field}` in the place of a credential: `Bearer {api_key}`.
    credential_headers: Mapping[str, str]
    body_signature: BodySignature | None = None
    #: Headers of an answer that leave the vault, in lower case.
    answer_headers: frozenset[str] = frozenset({"content-type"})
    answer_bytes_max: int = 256 * 1024
    timeout_seconds: float = 20.0
    #: Hosts that a connection may lead to, each exact or `*` and the end of a name, which begins with `.` or `-`.
    #: Empty: whichever egress allows.
    hosts: frozenset[str] = frozenset()
    #: Field of the credentials → the form that it has in each mode, where the processor tells its modes apart so: a
    #: key of the other mode is refused before it is kept.
    credential_forms: Mapping[str, Mapping[Mode, str]] = field(default_factory=dict)
    #: Hosts of one mode, where a processor keeps its modes apart: they stand in the place of `hosts` for that mode.
    hosts_by_mode: Mapping[Mode, frozenset[str]] = field(default_factory=dict)

    def takes_host(self, host: str, mode: Mode) -> bool:
        """Tell whether a connection of that mode may lead to that host (in lower case)."""
        hosts = self.hosts_by_mode.get(mode, self.hosts)
        return not hosts or any(_is_host(host, each) for each in hosts)


@dataclass(frozen=True, slots=True)
class Matched:
    """A template that is one of the registered routes; only `Destinations.matched` makes one."""

    destination: Destination
    route: Route
    #: Path and query, ready to stand behind a connection's address.
    target: str
    headers: Mapping[str, str]
    body: Json
    slots: frozenset[Slot]


class Destinations:
    """Every processor that this process may call."""

    def __init__(self, destinations: Iterable[Destination]) -> None:
        self._destinations: dict[str, Destination] = {}
        self._routes: dict[tuple[str, str], tuple[Route, re.Pattern[str]]] = {}
        for destination in destinations:
            _require_sound(destination)
            invariant(destination.processor not in self._destinations, "a processor stands once")
            self._destinations[destination.processor] = destination
            for route in destination.routes:
                key = destination.processor, route.name
                invariant(key not in self._routes, "a route's name stands once")
                self._routes[key] = route, re.compile(route.path)

    def find(self, processor: str, mode: Mode) -> Destination | None:
        """Return a processor that may be called in that mode; the simulator never is in live."""
        if processor == SIMULATOR and mode is not Mode.TEST:
            return None
        return self._destinations.get(processor)

    def matched(self, processor: str, mode: Mode, template: Template) -> Matched:
        """Return proof that the template is a registered route of that processor.

        Raises:
            TemplateRefused: it differs in route, path, query, headers, body or the place of a slot.
        """
        destination = self.find(processor, mode)
        known = self._routes.get((processor, template.route))
        if destination is None or known is None:
            raise TemplateRefused("no adapter registered this route")
        route, path = known
        if (
            len(template.path) > PATH_CHARACTERS_MAX
            or _PATH.fullmatch(template.path) is None
            or path.fullmatch(template.path) is None
        ):
            raise TemplateRefused("the path is not the route's")
        _require_texts(template.query, route.query, "a query parameter")
        _require_texts(template.headers, route.headers, "a header")
        if (template.body is None) != (route.content_type == ""):
            raise TemplateRefused("a route has a body, or it has none")
        slots = slots_of(template.body)
        if route.content_type == FORM:
            require_form(template.body)
        for pointer, slot in slots.items():
            if route.slots.get(pointer) is not slot:
                raise TemplateRefused("a slot stands where the route has none")
        # What follows `?` is encoded here, so that no value makes a parameter of its own.
        query = "?" + urlencode(template.query, quote_via=quote, safe="") if template.query else ""
        return Matched(
            destination,
            route,
            template.path + query,
            template.headers,
            template.body,
            frozenset(slots.values()),
        )


def _is_host(host: str, pattern: str) -> bool:
    if not pattern.startswith("*"):
        return host == pattern
    # Something stands for the star.
    return host.endswith(pattern[1:]) and len(host) >= len(pattern)


def filled_headers(destination: Destination, credentials: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that carry the credentials."""
    return {
        name: _FIELD.sub(lambda found: credentials[found[1]], text)
        for name, text in destination.credential_headers.items()
    }


def _require_texts(given: Mapping[str, str], allowed: frozenset[str], what: str) -> None:
    for name, value in given.items():
        if name not in allowed:
            raise TemplateRefused(f"{what} is not the route's")
        # Types do not hold at run time: a slot in the place of a text would be filled by nobody, and printed.
        if (
            not isinstance(value, str)
            or len(value) > VALUE_CHARACTERS_MAX
            or _VALUE.fullmatch(value) is None
        ):
            raise TemplateRefused(f"{what} is not printable text")


def _require_sound(destination: Destination) -> None:
    """Stop at a registration that contradicts itself: adapters are ours."""
    invariant(_WORD.fullmatch(destination.processor) is not None, "a processor's name is a word")
    signature = destination.body_signature
    signed = frozenset() if signature is None else frozenset({signature.header})
    carried = frozenset(destination.credential_headers)
    for name in carried | signed:
        invariant(_NAME.fullmatch(name) is not None, "headers are in lower case")
    invariant(not carried & signed, "a header carries a credential or a signature")
    named = {
        name for text in destination.credential_headers.values() for name in _FIELD.findall(text)
    }
    if signature is not None:
        named.add(signature.field)
    invariant(named <= destination.credential_fields, "headers name fields of the credentials")
    for name, forms in destination.credential_forms.items():
        invariant(name in destination.credential_fields, "forms are of fields of the credentials")
        invariant(set(forms) == set(Mode), "a field has a form in each mode")
    for pattern in destination.hosts.union(*destination.hosts_by_mode.values()):
        # A bare `*example.com` would take `evilexample.com` too.
        invariant(_HOST.fullmatch(pattern) is not None, "a host is exact, or `*.` or `*-` and more")
    for route in destination.routes:
        invariant(_WORD.fullmatch(route.name) is not None, "a route's name is a word")
        invariant(route.content_type in {"", FORM, JSON}, "a body is JSON, a form, or nothing")
        invariant(not route.slots or route.content_type != "", "slots stand in a body")
        invariant(all(map(_POINTER.fullmatch, route.slots)), "a slot's place is a JSON pointer")
        invariant(
            all(map(_NAME.fullmatch, route.headers))
            and not route.headers & (_RESERVED | carried | signed),
            "a template's headers are its own",
        )
