# SPDX-License-Identifier: Apache-2.0
"""Four eyes at the edge: a route marked `approval=` waits until another person has said yes (ASVS 5.0 V2.3.5).

A person who calls it is answered 202 with an approval, and nothing happens. Another person decides. Then the very same
request is sent again with `Strongroom-Approval: apr_…`, and passes once. Who decides what stands in `identity`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
from litestar.handlers import BaseRouteHandler

from strongroom.http.problems import UNDECODABLE
from strongroom.http.request import Answer, Request
from strongroom.kernel.errors import Denied
from strongroom.kernel.invariant import invariant
from strongroom.kernel.mode import Mode

HEADER: Final = "strongroom-approval"


class ApprovalNeedsPerson(Denied):
    """This takes two people: a person asks for it, another approves. A key or a service cannot."""

    code = "approval_needs_person"


class ApprovalAsked(Exception):
    """Not an error: the request waits for another person, and this is what its sender is told."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class ApprovalToken(msgspec.Struct, frozen=True):
    """A token that a request is about, masked."""

    id: str
    brand: str
    last4: str


class ApprovalClaim(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says became of an attempt; how they know is the note."""

    payment: str
    attempt: str
    operation: str
    amount: int
    currency: str
    #: approved, declined or not_sent
    outcome: str
    processor_reference: str | None = None


class ApprovalAbout(msgspec.Struct, frozen=True, kw_only=True):
    """What the second person decides on, and why it is asked for. The approval holds for exactly this.

    Either cards that would leave, with `container` and `method`, or a claim about an attempt.
    """

    #: As whoever asks states it; a word of the audit record.
    purpose: str
    #: In their words.
    note: str | None = None
    #: Empty: every card of the container.
    tokens: list[ApprovalToken] = []
    container: str | None = None
    #: How the cards leave: clear, jwe, jwe_lines or pgp.
    method: str | None = None
    #: The receiver's key: its JWK's thumbprint (RFC 7638) or OpenPGP fingerprint; null where they leave in clear.
    recipient: str | None = None
    #: Cards a second at most.
    rate: int | None = None
    claim: ApprovalClaim | None = None

    def text(self) -> str:
        """Return it in the one form in which it is kept, compared and signed."""
        return _encoder.encode(self).decode()

    @staticmethod
    def read(text: str | None) -> "ApprovalAbout | None":
        """Return what was kept."""
        return None if text is None else msgspec.json.decode(text, type=ApprovalAbout)


_encoder: Final = msgspec.json.Encoder(order="deterministic")


class ApprovalOut(msgspec.Struct, frozen=True):
    """Something that one person asked for and another decides. Of a body no more is kept than `about` says."""

    id: str
    object: str
    #: pending, approved, denied, withdrawn, expired or used
    state: str
    mode: str
    action: str
    method: str
    route: str
    object_id: str | None
    requested_by: str
    requested_at: str
    expires_at: str
    decided_by: str | None
    decided_at: str | None
    reason: str | None
    used_at: str | None
    #: What would be shown, to whom and why; null where the route and the object say all that there is to see.
    about: ApprovalAbout | None = None


EXAMPLE: Final = {
    "id": "apr_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "approval",
    "state": "pending",
    "mode": "live",
    "action": "person_role",
    "method": "POST",
    "route": "/v1/people/{person_id}",
    "object_id": "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CC",
    "requested_by": "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CD",
    "requested_at": "2026-11-20T09:30:00.000000Z",
    "expires_at": "2026-11-20T10:30:00.000000Z",
    "decided_by": None,
    "decided_at": None,
    "reason": None,
    "used_at": None,
    "about": None,
}


def always(request: Request) -> bool:  # noqa: ARG001 - the shape of every condition
    """Whatever the request: it takes two people."""
    return True


def in_live_mode(request: Request) -> bool:
    """It takes two people where it is not a test."""
    return request.principal is not None and request.principal.mode is Mode.LIVE


def where(**fields: object) -> Callable[[Request], bool]:
    """It takes two people where the body says all of this: `where(role="admin")`.

    A body that cannot be read takes two people as well; the route refuses it either way. Of a doubled name the last
    counts, as it does for the route.
    """

    def holds(request: Request) -> bool:
        if not request.body:
            return False
        try:
            body = msgspec.json.decode(request.body)
        except UNDECODABLE:
            return True
        return isinstance(body, dict) and all(
            body.get(name) == value for name, value in fields.items()
        )

    return holds


def listing(name: str, *words: str) -> Callable[[Request], bool]:
    """It takes two people where a list of the body holds one of these words: `listing("permissions", "a:b:c")`.

    What cannot be read, or is no list, takes two people as well; the route refuses it either way.
    """
    wanted = frozenset(words)

    def holds(request: Request) -> bool:
        if not request.body:
            return False
        try:
            body = msgspec.json.decode(request.body)
        except UNDECODABLE:
            return True
        found = body.get(name) if isinstance(body, dict) else None
        if found is None:
            return False
        return not isinstance(found, list) or any(
            isinstance(each, str) and each in wanted for each in found
        )

    return holds


@dataclass(frozen=True, slots=True)
class Approval:
    """What a route says: `approval=Approval("person_role", when=where(role="admin"))`, or only the word.

    The word is for people and for the audit record (`operation`): lower case, letters and underscores.
    """

    action: str
    when: Callable[[Request], bool] = always
    #: Whether keys and services may call the route without anybody's approval.
    machines: bool = False
    #: Whether the route itself asks (`requires.admitted`), when it has seen that what it is about is there: so an id
    #: that is nobody's is answered as everywhere, and nothing waits that cannot be. A test holds the route to asking.
    late: bool = False


class ApprovalGate(Protocol):
    """Who asks for approvals and takes them back: `state.approvals` of a listener with marked routes."""

    async def admit(
        self,
        request: Request,
        action: str,
        object_id: str | None,
        names: Sequence[str] = (),
        about: ApprovalAbout | None = None,
    ) -> None:
        """Let a person's request through that another person has approved, as it was shown to them; it passes once.

        Args:
            request: as it came.
            action: the mark's word.
            object_id: the id in its path that says what it is about.
            names: every id that the same thing may be asked by now, the present one first; none: it has that one
                only. A request by any of them is the same request.

        Raises:
            ApprovalAsked: it waits now.
            Denied: what it carries is no approval for it.
        """


def approval_of(handler: BaseRouteHandler) -> Approval | None:
    """Return a route's mark, if it has one."""
    mark = handler.opt.get("approval")
    if isinstance(mark, str):
        mark = Approval(mark)
    invariant(mark is None or isinstance(mark, Approval), "approval= is a word or an Approval")
    return mark


async def require_approval(
    handler: BaseRouteHandler,
    request: Request,
    gate: ApprovalGate | None,
    object_id: str | None,
    *,
    late: bool = False,
    names: Sequence[str] = (),
    about: ApprovalAbout | None = None,
) -> None:
    """Let through what needs no second person or has one. `names`: see `ApprovalGate.admit`.

    Raises:
        ApprovalNeedsPerson, ApprovalAsked, Denied: see each.
    """
    mark = approval_of(handler)
    if mark is None or mark.late is not late or not mark.when(request):
        return
    if request.principal is None or request.principal.presence is None:
        if mark.machines and request.principal is not None:
            return
        raise ApprovalNeedsPerson
    invariant(gate is not None, "a listener with marked routes has a gate")
    if gate is not None:
        await gate.admit(request, mark.action, object_id, names, about)
