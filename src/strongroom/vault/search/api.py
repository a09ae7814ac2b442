# SPDX-License-Identifier: Apache-2.0
"""The route that searches tokens. Never a GET: a card number does not stand in a URL."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body

from strongroom.http.examples import answers
from strongroom.kernel.permissions import Permission
from strongroom.vault.asking import caller_of, shown
from strongroom.vault.search import examples
from strongroom.vault.search.wire import SearchIn
from strongroom.vault.wire import TokenPage


@post(
    "/v1/tokens/search",
    requires=Permission.VAULT_TOKEN_SEARCH,
    status_code=200,
    summary="Search tokens",
    description=(
        "Newest first: those of which all holds that is asked for, in the containers that the caller may read. By "
        "number or fingerprint it finds what was made with `deduplicate`, and asks are limited. By anything but those "
        "and the last four a call looks at 20,000 tokens at most: a page may be short, or empty, and have a next one."
    ),
    tags=["tokens"],
    responses=answers(200, TokenPage, examples.PAGE, 400, 401, 403, 413, 415, 422, 429, 503),
)
async def search_tokens(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[SearchIn, Body(examples=[Example(value=examples.SEARCH_IN)])],
    state: State,
) -> TokenPage:
    """Return a page of what was found."""
    page = await state.vault.search.find(await caller_of(state, request), data)
    return TokenPage(
        [shown(request, each) for each in page.found],
        page.following is not None,
        page.following,
    )


ROUTES: Final = (search_tokens,)
