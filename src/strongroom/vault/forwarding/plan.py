# SPDX-License-Identifier: Apache-2.0
"""A forward that was checked and not yet recorded, and the request that it becomes once its cards are open. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from strongroom.audit import grouped
from strongroom.egress import Outgoing
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.vault.containers.model import Granted
from strongroom.vault.details import SealedDetail
from strongroom.vault.finding import Caller
from strongroom.vault.forwarding.book import OpenDestination
from strongroom.vault.forwarding.credentials import Signed, headers_of
from strongroom.vault.forwarding.errors import HolderMissing
from strongroom.vault.forwarding.language import Field, Slot
from strongroom.vault.forwarding.requests import Read
from strongroom.vault.forwarding.values import SEALED_BESIDE, CardFacts, OpenCard, value_of


@dataclass(frozen=True, slots=True)
class Sender:
    """Who forwards, under which key, and the request that it is."""

    caller: Caller
    key: str
    #: The request's id.
    claim: str


@dataclass(frozen=True, slots=True)
class Preview:
    """The request as it would be sent, masked."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that was checked, before anything is recorded."""

    opened: OpenDestination
    read: Read
    cards: Mapping[str, CardFacts]
    granted: Mapping[str, Granted]
    #: What is sealed beside the numbers, of the tokens of which a slot asks for it.
    beside: Mapping[str, Sequence[SealedDetail]]


def facts_of(card: CardFacts, plan: Plan) -> Mapping[str, str | int]:
    """What a record says of a card that leaves."""
    return {
        "brand": card.brand,
        "container": card.container,
        "destination": grouped(plan.opened.destination.destination_id),
        "last4": card.last4,
        "method": plan.read.method.lower(),
        "operation": "forward",
    }


def slot_empty(slot: Slot) -> FieldError:
    """Name a slot that its token has nothing for: by the two words of the language, and no value."""
    return FieldError(
        f"/tokens/{slot.token}",
        "slot_empty",
        f"a slot asks for {slot.field.value}, and this token has none",
    )


def require_filled(read: Read, found: Mapping[str, Sequence[SealedDetail]]) -> None:
    """Refuse slots whose tokens hold nothing of the kind, before anything is recorded.

    Raises:
        HolderMissing: a slot asks for a holder.
        Invalid: a slot asks for something else; names each.
    """
    held = {(token, each.field) for token, rows in found.items() for each in rows}
    empty = [
        slot for slot in read.beside if (read.token_of(slot), SEALED_BESIDE[slot.field]) not in held
    ]
    if any(slot.field is Field.HOLDER for slot in empty):
        raise HolderMissing
    if empty:
        raise Invalid(*map(slot_empty, empty))


def url_of(opened: OpenDestination, read: Read) -> str:
    """Return where a request goes."""
    return opened.target.origin + read.target


def outgoing_of(plan: Plan, cards: Mapping[str, OpenCard], seconds: float) -> Outgoing:
    """Fill the slots and put the credentials in front: (5).

    Raises:
        Invalid: a value does not fit where its slot stands.
    """
    opened, read = plan.opened, plan.read
    config = opened.destination.config

    def value(slot: Slot) -> str:
        found = value_of(cards[read.token_of(slot)], slot.field)
        if found is None:
            raise Invalid(slot_empty(slot))
        return found

    headers = read.filled_headers(value)
    body = read.body.filled(value)
    if len(body) > config.request_bytes_max:
        raise Invalid(FieldError("/body", "body_too_large", "beyond what the destination takes"))
    headers |= {"content-type": config.content_type.value}
    headers |= headers_of(
        config, opened.credentials, Signed(read.method, read.target, body, int(seconds))
    )
    return Outgoing(
        read.method,
        url_of(opened, read),
        headers,
        body,
        config.timeout_ms / 1_000,
        config.answer_bytes_max,
        opened.target.port,
        opened.identity,
    )
