# SPDX-License-Identifier: Apache-2.0
"""Customers, saved cards and mandates, as values. What is personal is opened for one call, and does not print."""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from strongroom.kernel.ids import CustomerId, MandateId, MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.payments.customers.errors import MandateMissing, MandateRevoked

#: What one customer may have.
CARDS_MAX: Final = 50
MANDATES_MAX: Final = 200
PAGE_ROWS_MAX: Final = 100


class Personal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who somebody is. Sealed where it rests."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None

    def __repr__(self) -> str:
        return "Personal(***)"


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From where somebody agreed. Sealed where it rests."""

    ip_address: str | None = None
    user_agent: str | None = None

    def __repr__(self) -> str:
        return "Evidence(***)"


class MandateStatus(enum.StrEnum):
    """Whether an agreement holds."""

    ACTIVE = "active"
    REVOKED = "revoked"


class MandateMethod(enum.StrEnum):
    """How somebody agreed."""

    APP = "app"
    IN_PERSON = "in_person"
    PAPER = "paper"
    PHONE = "phone"
    WEB = "web"


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody who pays a merchant."""

    merchant_id: MerchantId
    mode: Mode
    customer_id: CustomerId
    reference: str | None
    metadata: Mapping[str, str]
    personal: Personal
    default_card: TokenId | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SavedCard:
    """A token that a customer pays with."""

    customer_id: CustomerId
    token_id: TokenId
    brand: str
    bin: str
    last4: str
    exp_month: int
    exp_year: int
    is_default: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Mandate:
    """That a customer agreed to payments which the merchant begins, with one card."""

    mandate_id: MandateId
    customer_id: CustomerId
    token_id: TokenId
    status: MandateStatus
    method: MandateMethod
    #: Which words were agreed to, as the merchant counts its texts.
    text_version: str
    agreed_at: datetime
    evidence: Evidence
    created_at: datetime
    revoked_at: datetime | None


def require_agreement(mandates: Iterable[tuple[str, MandateStatus]], customer: str | None) -> None:
    """Refuse what a merchant begins where its customer did not agree, or does so no more. Pure.

    Args:
        mandates: whose each mandate of the card is, and whether it holds.
        customer: who pays; None: only the card is known, and what nobody wrote down here may have been agreed to.

    Raises:
        MandateRevoked, MandateMissing: see each.
    """
    found = [status for owner, status in mandates if customer in (None, owner)]
    if MandateStatus.ACTIVE in found:
        return
    if found:
        raise MandateRevoked
    if customer is not None:
        raise MandateMissing
