# SPDX-License-Identifier: Apache-2.0
"""What a forward, or a change of destinations, may be refused with. None holds a number, a code or a secret.

Refused
├── DestinationUnknown      404   not there, another tenant's or of the other mode
├── DestinationDisabled     409
├── TooManyDestinations     409   a tenant has so many at most
├── CardNotForDestination   422   a card of the synthetic range leaves to a loopback address only
├── HolderMissing           422   a slot asks for a holder, and the token has none
├── TakesTwoPeople          403   a live destination is not registered at the machine itself
└── Invalid                 422   one FieldError a field of request or destination, or an empty slot
CannotReadDestination       503   its row was altered or its key is lost: page someone
"""

from typing import ClassVar

from strongroom.kernel.errors import Conflict, Denied, NotThere, Refused, Unavailable


class DestinationUnknown(NotThere):
    """There is no such destination."""

    code = "destination_unknown"


class DestinationDisabled(Conflict):
    """This destination is disabled."""

    code = "destination_disabled"


class TooManyDestinations(Conflict):
    """This merchant has as many destinations as it can have; disabled ones count."""

    code = "destinations_too_many"


class TakesTwoPeople(Denied):
    """In live mode it takes two people: one asks the vault's API for it, another approves. Here it is not done."""

    code = "takes_two_people"


class CardNotForDestination(Refused):
    """A card of the synthetic range leaves to a destination on this machine only."""

    code = "card_not_for_destination"
    status = 422


class HolderMissing(Refused):
    """A slot asks for the card's holder, and this token has none."""

    code = "holder_missing"
    status = 422


class CannotReadDestination(Unavailable):
    """A destination does not open: its row was altered or its key is lost."""

    code = "destination_unreadable"
    retry_after_seconds: ClassVar[int] = 60
