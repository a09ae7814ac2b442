# SPDX-License-Identifier: Apache-2.0
"""Routes of the gateway's listener about the ledger: accounts, postings, and whether it agrees with the payments."""

from datetime import datetime
from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import get
from litestar.datastructures import State
from litestar.params import Parameter

from strongroom.http.examples import answers
from strongroom.http.requires import principal_of
from strongroom.kernel.clock import in_utc, rfc3339
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.permissions import Permission
from strongroom.payments import examples
from strongroom.payments.books import PAGE_ROWS_MAX, Books, Entries, PlaceOf
from strongroom.payments.books_wire import (
    DifferencesOut,
    PostingPage,
    TrialBalanceOut,
    difference_out,
    posting_out,
    trial_balance_out,
)
from strongroom.payments.postings import Account


@get(
    "/v1/ledger/balance",
    requires=Permission.PAYMENTS_LEDGER_READ,
    summary="Read the trial balance",
    description=(
        "What every account comes to, in each currency by itself. `receivable` is what processors owe for captures, "
        "before their fees and payouts."
    ),
    tags=["ledger"],
    responses=answers(200, TrialBalanceOut, examples.TRIAL_BALANCE, 401, 403, 429, 503),
)
async def read_trial_balance(
    request: LitestarRequest[Any, Any, State], state: State
) -> TrialBalanceOut:
    """Return the trial balance."""
    books: Books = state.books
    principal = principal_of(request)
    return trial_balance_out(list(await books.trial_balance(principal.merchant, principal.mode)))


@get(
    "/v1/ledger/postings",
    requires=Permission.PAYMENTS_LEDGER_READ,
    summary="List postings",
    description="Oldest first; every filter narrows. `account` finds postings on either side of it.",
    tags=["ledger"],
    responses=answers(200, PostingPage, examples.POSTINGS, 401, 403, 422, 429, 503),
)
async def list_postings(
    request: LitestarRequest[Any, Any, State],
    state: State,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_ROWS_MAX, description="Rows a page")] = 20,
    cursor: Annotated[
        str | None, Parameter(max_length=160, description="`next_cursor` of the page before")
    ] = None,
    account: Annotated[Account | None, Parameter(description="On either side")] = None,
    currency: Annotated[
        str | None, Parameter(pattern="^[A-Z]{3}$", description="Three letters (ISO 4217)")
    ] = None,
    payment: Annotated[str | None, Parameter(max_length=30, description="Of this payment")] = None,
    made_from: Annotated[datetime | None, Parameter(description="Not before (RFC 3339)")] = None,
    made_to: Annotated[datetime | None, Parameter(description="Before (RFC 3339)")] = None,
) -> PostingPage:
    """Return a page of postings."""
    books: Books = state.books
    if payment is not None and not is_id("pay", payment):
        raise Invalid(
            FieldError("/payment", "parameter_wrong", "a payment is pay_ and 26 characters")
        )
    principal = principal_of(request)
    page, last = await books.statement(
        principal.merchant,
        principal.mode,
        Entries(account, currency, payment, in_utc(made_from), in_utc(made_to)),
        None if cursor is None else _place(cursor),
        limit,
    )
    following = None if last is None else f"{rfc3339(last.made_at)}/{last.payment}/{last.cause}"
    return PostingPage([posting_out(each) for each in page], last is not None, following)


@get(
    "/v1/ledger/check",
    requires=Permission.PAYMENTS_LEDGER_READ,
    summary="Compare the ledger with the payments",
    description="Adds up what was posted for each payment, and shows those whose balances say otherwise.",
    tags=["ledger"],
    responses=answers(200, DifferencesOut, examples.LEDGER_CHECK, 401, 403, 429, 503),
)
async def check_ledger(request: LitestarRequest[Any, Any, State], state: State) -> DifferencesOut:
    """Return what differs."""
    books: Books = state.books
    principal = principal_of(request)
    found = await books.differences(principal.merchant, principal.mode)
    return DifferencesOut("ledger_check", not found, [difference_out(each) for each in found])


def _place(cursor: str) -> PlaceOf:
    moment, _, rest = cursor.partition("/")
    payment, _, cause = rest.partition("/")
    try:
        made_at = datetime.fromisoformat(moment)
    except ValueError:
        made_at = None
    if made_at is None or made_at.tzinfo is None or not is_id("pay", payment) or "\x00" in cause:
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))
    return PlaceOf(made_at, payment, cause)


ROUTES: Final = (read_trial_balance, list_postings, check_ledger)
