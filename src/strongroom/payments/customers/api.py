# SPDX-License-Identifier: Apache-2.0
"""Routes of the gateway's listener about customers, their saved cards and their mandates: parse, call, print."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import delete, get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.audit import Recorder
from strongroom.http.examples import answers
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.permissions import Permission
from strongroom.payments.acting import by_of
from strongroom.payments.customers import examples
from strongroom.payments.customers.model import PAGE_ROWS_MAX
from strongroom.payments.customers.service import CustomerService
from strongroom.payments.customers.wire import (
    CustomerChangeIn,
    CustomerIn,
    CustomerOut,
    CustomerPage,
    MandateIn,
    MandateOut,
    MandatesOut,
    SavedCardIn,
    SavedCardOut,
    SavedCardsOut,
    card_out,
    customer_out,
    mandate_out,
)

_TAGS: Final = ["customers"]


@dataclass(frozen=True, slots=True)
class CustomerDesk:
    """What the routes call; `compose` joins it."""

    service: CustomerService
    recorder: Recorder
    clock: Clock


@post(
    "/v1/customers",
    requires=Permission.PAYMENTS_CUSTOMER_UPDATE,
    summary="Make a customer",
    description="Name, email and phone are sealed. `reference` is your own name for them.",
    tags=_TAGS,
    responses=answers(201, CustomerOut, examples.CUSTOMER, 400, 401, 403, 413, 415, 422, 429, 503),
)
async def create_customer(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[CustomerIn, Body(examples=[Example(value=examples.CUSTOMER_IN)])],
    state: State,
) -> CustomerOut:
    """Make a customer."""
    desk: CustomerDesk = state.customers
    return customer_out(await desk.service.create(data, await by_of(desk, request)))


@get(
    "/v1/customers",
    requires=Permission.PAYMENTS_CUSTOMER_READ,
    summary="List customers",
    description="Newest first; those who were erased are not among them.",
    tags=_TAGS,
    responses=answers(200, CustomerPage, examples.CUSTOMERS, 401, 403, 422, 429, 503),
)
async def list_customers(
    request: LitestarRequest[Any, Any, State],
    state: State,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_ROWS_MAX, description="Rows a page")] = 20,
    cursor: Annotated[str | None, Parameter(description="`next_cursor` of the page before")] = None,
    reference: Annotated[
        str | None, Parameter(max_length=100, description="Your own name for them")
    ] = None,
) -> CustomerPage:
    """Return a page of customers."""
    if cursor is not None and not is_id("cus", cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))
    if reference is not None and "\x00" in reference:
        raise Invalid(FieldError("/reference", "parameter_wrong", "a reference has no NUL"))
    desk: CustomerDesk = state.customers
    page, following = await desk.service.page(await by_of(desk, request), cursor, reference, limit)
    return CustomerPage([customer_out(each) for each in page], following is not None, following)


@get(
    "/v1/customers/{customer_id:str}",
    requires=Permission.PAYMENTS_CUSTOMER_READ,
    summary="Read a customer",
    description="With what is personal, and the card that they pay with.",
    tags=_TAGS,
    responses=answers(200, CustomerOut, examples.CUSTOMER, 401, 403, 404, 429, 503),
)
async def read_customer(
    request: LitestarRequest[Any, Any, State], state: State, customer_id: str
) -> CustomerOut:
    """Return a customer."""
    desk: CustomerDesk = state.customers
    return customer_out(await desk.service.read(customer_id, await by_of(desk, request)))


@post(
    "/v1/customers/{customer_id:str}",
    requires=Permission.PAYMENTS_CUSTOMER_UPDATE,
    status_code=200,
    summary="Change a customer",
    description="What is absent stays, what is null goes.",
    tags=_TAGS,
    responses=answers(
        200, CustomerOut, examples.CUSTOMER, 400, 401, 403, 404, 413, 415, 422, 429, 503
    ),
)
async def change_customer(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[CustomerChangeIn, Body(examples=[Example(value=examples.CUSTOMER_CHANGE)])],
    state: State,
    customer_id: str,
) -> CustomerOut:
    """Change a customer."""
    desk: CustomerDesk = state.customers
    return customer_out(await desk.service.change(customer_id, data, await by_of(desk, request)))


@delete(
    "/v1/customers/{customer_id:str}",
    requires=Permission.PAYMENTS_CUSTOMER_DELETE,
    step_up=True,
    status_code=204,
    summary="Erase a customer",
    description=(
        "Who they are, their saved cards, and from where they agreed is gone; their mandates are revoked. Payments "
        "keep the id. The tokens stay in the vault: delete or erase them there."
    ),
    tags=_TAGS,
    responses=answers(204, None, None, 401, 403, 404, 429, 503),
)
async def erase_customer(
    request: LitestarRequest[Any, Any, State], state: State, customer_id: str
) -> None:
    """Erase a customer."""
    desk: CustomerDesk = state.customers
    await desk.service.erase(customer_id, await by_of(desk, request))


@post(
    "/v1/customers/{customer_id:str}/cards",
    requires=Permission.PAYMENTS_CUSTOMER_UPDATE,
    summary="Save a card",
    description=(
        "A token that lasts. The first one is the default; payments that name the customer alone take that. Saving a "
        "card again makes it the default, where that is asked for."
    ),
    tags=_TAGS,
    responses=answers(
        201, SavedCardOut, examples.CARD, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503
    ),
)
async def save_card(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[SavedCardIn, Body(examples=[Example(value=examples.CARD_IN)])],
    state: State,
    customer_id: str,
) -> SavedCardOut:
    """Save a card."""
    desk: CustomerDesk = state.customers
    shown = await desk.service.save_card(customer_id, data, await by_of(desk, request))
    return card_out(shown.card, shown.mandate)


@get(
    "/v1/customers/{customer_id:str}/cards",
    requires=Permission.PAYMENTS_CUSTOMER_READ,
    summary="List saved cards",
    description="Newest first, each with the mandate that holds for it.",
    tags=_TAGS,
    responses=answers(200, SavedCardsOut, examples.CARDS, 401, 403, 404, 429, 503),
)
async def list_cards(
    request: LitestarRequest[Any, Any, State], state: State, customer_id: str
) -> SavedCardsOut:
    """Return a customer's saved cards."""
    desk: CustomerDesk = state.customers
    found = await desk.service.cards(customer_id, await by_of(desk, request))
    shown = [card_out(each.card, each.mandate) for each in found]
    return SavedCardsOut(shown, has_more=False, next_cursor=None)


@delete(
    "/v1/customers/{customer_id:str}/cards/{token_id:str}",
    requires=Permission.PAYMENTS_CUSTOMER_UPDATE,
    status_code=204,
    summary="Forget a saved card",
    description="Its mandates are revoked. The token stays in the vault.",
    tags=_TAGS,
    responses=answers(204, None, None, 401, 403, 404, 429, 503),
)
async def forget_card(
    request: LitestarRequest[Any, Any, State], state: State, customer_id: str, token_id: str
) -> None:
    """Save a card no more."""
    desk: CustomerDesk = state.customers
    await desk.service.forget_card(customer_id, token_id, await by_of(desk, request))


@post(
    "/v1/customers/{customer_id:str}/mandates",
    requires=Permission.PAYMENTS_CUSTOMER_UPDATE,
    summary="Write down a mandate",
    description=(
        "That the customer agreed to payments which you begin with one of their cards: when, how, and to which of your "
        "texts. Address and user agent are sealed."
    ),
    tags=_TAGS,
    responses=answers(
        201, MandateOut, examples.MANDATE, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503
    ),
)
async def create_mandate(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[MandateIn, Body(examples=[Example(value=examples.MANDATE_IN)])],
    state: State,
    customer_id: str,
) -> MandateOut:
    """Write down what a customer agreed to."""
    desk: CustomerDesk = state.customers
    return mandate_out(await desk.service.agree(customer_id, data, await by_of(desk, request)))


@get(
    "/v1/customers/{customer_id:str}/mandates",
    requires=Permission.PAYMENTS_CUSTOMER_READ,
    summary="List mandates",
    description="Newest first, revoked ones too.",
    tags=_TAGS,
    responses=answers(200, MandatesOut, examples.MANDATES, 401, 403, 404, 429, 503),
)
async def list_mandates(
    request: LitestarRequest[Any, Any, State], state: State, customer_id: str
) -> MandatesOut:
    """Return a customer's mandates."""
    desk: CustomerDesk = state.customers
    found = await desk.service.mandates(customer_id, await by_of(desk, request))
    return MandatesOut([mandate_out(each) for each in found], has_more=False, next_cursor=None)


@post(
    "/v1/customers/{customer_id:str}/mandates/{mandate_id:str}/revoke",
    requires=Permission.PAYMENTS_CUSTOMER_UPDATE,
    status_code=200,
    summary="Revoke a mandate",
    description="From here on nothing that you begin with its card is sent. Safe to repeat.",
    tags=_TAGS,
    responses=answers(200, MandateOut, examples.REVOKED, 401, 403, 404, 415, 429, 503),
)
async def revoke_mandate(
    request: LitestarRequest[Any, Any, State], state: State, customer_id: str, mandate_id: str
) -> MandateOut:
    """Revoke a mandate."""
    desk: CustomerDesk = state.customers
    return mandate_out(
        await desk.service.revoke(customer_id, mandate_id, await by_of(desk, request))
    )


ROUTES: Final = (
    create_customer,
    list_customers,
    read_customer,
    change_customer,
    erase_customer,
    save_card,
    list_cards,
    forget_card,
    create_mandate,
    list_mandates,
    revoke_mandate,
)
