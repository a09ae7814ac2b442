# SPDX-License-Identifier: Apache-2.0
"""What the vault may answer instead of a token. None holds a number, a code or a part of one.

Refused
├── TokenUnknown            404   not there, another tenant's, of the other mode, deleted or expired
├── Invalid                 422   one FieldError a field
├── http.idempotency        400, 409, 422   the request's key is missing, malformed, taken or in flight
├── AliasTaken              409   all of several draws, which says something about how many there are
├── SingleUse               409   keep it first
├── NotANetworkToken        409
├── CryptogramUsed          409   used before, expired, or never there
├── CvcInvalid              422   altered, of another token, merchant or mode
├── CvcExpired              410   its epoch key is gone
├── CvcUsed                 409   used or discarded before
├── CardNotForProcessor     422   a card that only the simulator takes was sent elsewhere
├── ConnectionUnknown       404   not there, another tenant's or of the other mode
├── ConnectionExists        409   the id is taken
├── NothingStaged           409   no next credentials are there
├── StagedMeanwhile         409   other next credentials than those that are meant
├── NothingToRestore        409   no credentials from before are kept any more
├── MerchantErased          403   its keys were destroyed
└── ConnectionDisabled      409
TemplateRefused             500   an adapter asked for what it did not register: a bug of ours
CannotReadCard              503   data altered or key lost: page someone
├── CardEnvelopeCut         503   a part of it is missing
├── CardEnvelopeUnknown     503   of no format that was shipped
│   (those below are for operators: callers are told card_unreadable, see `diagnosis`)
├── CardAlgorithmAltered    its first byte names another algorithm than sealed it
├── CardKeyWrong            sealed under another version of the key than its row says
├── CardOfAnotherField      sealed for another field of this token
├── CardOfAnotherMode       sealed for the other mode
└── CardOfAnotherToken      sealed for another token of the merchant
CannotReadCredentials       503   likewise, of a connection
"""

from typing import ClassVar

from strongroom.kernel.errors import (
    Conflict,
    Denied,
    NotThere,
    Refused,
    StrongroomError,
    Unavailable,
)


class TokenUnknown(NotThere):
    """There is no such token."""

    code = "token_unknown"


class AliasTaken(Conflict):
    """No free alias was drawn for this card; try again."""

    code = "pan_alias_taken"


class SingleUse(Conflict):
    """A single-use token cannot be given this: keep it first."""

    code = "token_single_use"


class NotANetworkToken(Conflict):
    """This token is a card's: it has no requestor and no cryptogram."""

    code = "not_a_network_token"


class CryptogramUsed(Conflict):
    """This network token's cryptogram was used before, or its time is over."""

    code = "cryptogram_used"


class CvcInvalid(Refused):
    """This is not a sealed CVC of this token."""

    code = "cvc_invalid"
    status = 422


class CvcExpired(Refused):
    """This sealed CVC's time has passed."""

    code = "cvc_expired"
    status = 410


class CvcUsed(Conflict):
    """This sealed CVC was used before."""

    code = "cvc_used"


class CardNotForProcessor(Refused):
    """This card is of the synthetic range, which only the simulator takes."""

    code = "card_not_for_processor"
    status = 422


class ConnectionUnknown(NotThere):
    """There is no such connection."""

    code = "connection_unknown"


class ConnectionExists(Conflict):
    """There is a connection with this id."""

    code = "connection_exists"


class ConnectionDisabled(Conflict):
    """This connection is disabled."""

    code = "connection_disabled"


class NothingStaged(Conflict):
    """No next credentials are there: set them first."""

    code = "nothing_staged"


class StagedMeanwhile(Conflict):
    """Other next credentials were set since: look at what is there, and try it."""

    code = "staged_meanwhile"


class NothingToRestore(Conflict):
    """No credentials from before are kept: there were none, or their overlap is over."""

    code = "nothing_to_restore"


class MerchantErased(Denied):
    """Every key of this merchant was destroyed in this mode: it keeps no cards any more."""

    code = "merchant_erased"


class TemplateRefused(StrongroomError):
    """A request to a processor does not have the form that its adapter registered."""

    code = "template_refused"


class CannotReadCard(Unavailable):
    """A stored card does not open: it was altered or its key is lost."""

    code = "card_unreadable"
    retry_after_seconds: ClassVar[int] = 60


class CardEnvelopeCut(CannotReadCard):
    """A stored card is not whole: a part of what was sealed is missing."""

    code = "card_envelope_cut"


class CardEnvelopeUnknown(CannotReadCard):
    """A stored card is of a format that this release does not know."""

    code = "card_envelope_unknown"


class CardAlgorithmAltered(CannotReadCard):
    """A stored card says that it is sealed with another algorithm than it is."""

    code = "card_algorithm_altered"
    told_as = CannotReadCard


class CardKeyWrong(CannotReadCard):
    """A stored card is sealed under another version of the key than its row says."""

    code = "card_key_wrong"
    told_as = CannotReadCard


class CardOfAnotherField(CannotReadCard):
    """What is stored here was sealed for another field of this token."""

    code = "card_of_another_field"
    told_as = CannotReadCard


class CardOfAnotherMode(CannotReadCard):
    """A stored card was sealed for the other mode."""

    code = "card_of_another_mode"
    told_as = CannotReadCard


class CardOfAnotherToken(CannotReadCard):
    """A stored card was sealed for another token of this merchant."""

    code = "card_of_another_token"
    told_as = CannotReadCard


class CannotReadCredentials(Unavailable):
    """A connection's credentials do not open: its row was altered or their key is lost."""

    code = "credentials_unreadable"
    retry_after_seconds: ClassVar[int] = 60
