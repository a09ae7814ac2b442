# SPDX-License-Identifier: Apache-2.0
"""Chapter 1: the processors' published test cards become tokens; what is no card, or no request, is refused."""

import asyncio
from typing import Any, Final, NamedTuple

from strongroom.cli.scenario.client import ANY, Answer, masked, short
from strongroom.cli.scenario.story import Story
from strongroom.kernel.published import TEST_NUMBERS
from strongroom.kernel.schemes import classify

TITLE: Final = "1 · Cards in, tokens out"

#: Published by Stripe, Adyen and Checkout.com: number, the scheme's word, CVC.
SHOWN: Final = (
    ("4242424242424242", "visa", "737"),
    ("4000056655665556", "visa", None),
    ("5555555555554444", "mastercard", "123"),
    ("2223003122003222", "mastercard", None),
    ("5105105105105100", "mastercard", None),
    ("378282246310005", "amex", "1234"),
    ("6011111111111117", "discover", "321"),
    ("3056930009020004", "diners", None),
    ("36227206271667", "diners", None),
    ("3566002020360505", "jcb", "555"),
    ("6200000000000005", "unionpay", None),
    ("5066991111111118", "elo", None),
    ("6062828888666688", "hipercard", None),
    ("6771798021000008", "maestro", None),
)

_VISA: Final = "4242424242424242"
_CARD: Final[dict[str, Any]] = {"number": _VISA, "exp_month": 12, "exp_year": 2034}


def _with(**fields: object) -> dict[str, Any]:
    return {"card": {**_CARD, **fields}}


class Wrong(NamedTuple):
    """One field that is wrong, where the refusal must point, and the word that it must use."""

    what: str
    body: Any
    pointer: str
    code: str


_NO_SCHEMES: Final = "1" + "0" * 14 + "8"
WRONG: Final = (
    Wrong(
        "wrong check digit", _with(number=_VISA[:-1] + "1"), "/card/number", "number_checksum_wrong"
    ),
    Wrong("too few digits", _with(number=_VISA[:12]), "/card/number", "number_malformed"),
    Wrong("spaces", _with(number="4242 4242 4242 4242"), "/card/number", "number_malformed"),
    Wrong("no scheme's number", _with(number=_NO_SCHEMES), "/card/number", "scheme_unknown"),
    Wrong("a JSON number", _with(number=int(_VISA)), "/card/number", "type_wrong"),
    Wrong("expired in 2020", _with(exp_year=2020), "/card/exp_year", "card_expired"),
    Wrong("good until 2099", _with(exp_year=2099), "/card/exp_year", "expiry_impossible"),
    Wrong("month 13", _with(exp_month=13), "/card/exp_month", "type_wrong"),
    Wrong("four digits of CVC, a Visa", _with(cvc="1234"), "/card/cvc", "cvc_malformed"),
    Wrong("an unknown field", _with(holder="J. Doe"), "/card", "field_unknown"),
    Wrong("no expiry", {"card": {"number": _VISA}}, "/card/exp_month", "field_missing"),
    Wrong(
        "a card number in metadata",
        {"card": _CARD, "metadata": {"note": f"paid by {_VISA}"}},
        "/metadata",
        "card_number_refused",
    ),
)
#: Bodies that are no request at all: what, body, status, code.
MALFORMED: Final = (
    ("JSON that ends too early", b'{"card":{"number":"' + _VISA.encode(), 400, "malformed_json"),
    ("100 brackets deep", b"[" * 100 + b"]" * 100, 422, "invalid"),
    ("a body of 20 KiB", {"card": _CARD, "metadata": {"a": "x" * 20_480}}, 413, "body_too_large"),
)


async def play(story: Story) -> None:
    """Play it."""
    note = story.report.note
    note(
        f"{story.shop.name} sends POST /v1/tokens over TLS; first six and last four digits are shown"
    )
    await _shown(story)
    await _all_published(story)
    note("what is no card is refused, with the place and the reason and no value")
    shop = story.shop.secret
    for what, wish, pointer, code in WRONG:
        answer = await shop.send("POST", "/v1/tokens", wish, name=shop.name())
        _refused(story, what, answer, 422, "invalid", pointer, code)
    for what, body, status, code in MALFORMED:
        answer = await shop.send("POST", "/v1/tokens", body, name=shop.name())
        _refused(story, what, answer, status, code)
    await _refused_requests(story)
    await _itemised(story)
    report, ledger = story.report, story.ledger
    differences = [f"{ledger.echoes} did"] if ledger.echoes else []
    report.check(
        "no answer repeats a number of its request", f"{ledger.answers} answers", differences
    )


async def _shown(story: Story) -> None:
    """One request a card, so that each is seen."""
    for number, brand, cvc in SHOWN:
        answer = await story.shop.secret.tokenize(number, cvc=cvc)
        differences = answer.differs(
            201,
            object="token",
            mode="test",
            brand=brand,
            bin=number[:6],
            last4=number[-4:],
            single_use=False,
            cvc_state="sealed" if cvc else "absent",
            **({"cvc": ANY, "cvc_expires_at": ANY} if cvc else {"cvc": None}),
        )
        seal = "  CVC sealed" if cvc else ""
        story.report.check(
            f"{brand} {masked(number)}{' with a CVC' if cvc else ''}",
            f"{answer.status} {short(answer['id'])}{seal}  {answer.took}",
            differences,
        )


async def _all_published(story: Story) -> None:
    """Every other number that a processor publishes for testing, in one call."""
    numbers = sorted(TEST_NUMBERS - {number for number, _, _ in SHOWN})
    wishes = [{"card": {**_CARD, "number": number}} for number in numbers]
    client = story.shop.secret
    answer = await client.send("POST", "/v1/tokens/bulk", {"tokens": wishes}, name=client.name())
    differences = answer.differs(200, created=len(numbers), refused=0)
    brands: dict[str, int] = {}
    for number, item in zip(numbers, answer["data"] or (), strict=False):
        token = item.get("token") or {}
        wanted = (str(classify(number)), number[:6], number[-4:])
        if (token.get("brand"), token.get("bin"), token.get("last4")) != wanted:
            differences.append(f"{masked(number)}: {item.get('problem') or token.get('brand')}")
        story.ledger.made.add(str(token.get("id")))
        brands[wanted[0]] = brands.get(wanted[0], 0) + 1
    story.report.check(
        f"{len(numbers)} more published test numbers, one call",
        f"{answer.status} {answer['created']} tokens of {len(brands)} schemes  {answer.took}",
        differences,
    )


def _refused(
    story: Story,
    what: str,
    answer: Answer,
    status: int,
    code: str,
    pointer: str = "",
    field_code: str = "",
) -> None:
    differences = answer.differs_from_refusal(status, code, pointer, field_code)
    story.report.check(what, answer.problem(), differences)


async def _refused_requests(story: Story) -> None:
    """The request, not the card, is wrong."""
    story.report.note("and so is what is no request")
    shop = story.shop.secret
    good = {"card": _CARD}
    unnamed = await shop.send("POST", "/v1/tokens", good)
    _refused(story, "no Idempotency-Key", unnamed, 400, "idempotency_key_missing")
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = await shop.send("POST", "/v1/tokens", good, name=shop.name(), headers=form)
    _refused(story, "not application/json", answer, 415, "content_type_wrong")
    _refused(story, "no key", await story.stranger.tokenize(_VISA), 401, "unauthenticated")
    altered = shop.with_key((shop.key or "")[:-1] + "!")
    _refused(
        story, "a key with a typing error", await altered.tokenize(_VISA), 401, "unauthenticated"
    )
    answer = await story.live.tokenize(_VISA)
    _refused(
        story,
        "a test number with a live key",
        answer,
        422,
        "invalid",
        "/card/number",
        "test_number_in_live_mode",
    )
    answer = await shop.get(f"/v1/tokens/{_VISA}")
    _refused(story, "a card number in a URL", answer, 422, "card_number_refused")
    answer = await story.shop.gateway.send("POST", "/v1/keys", {"kind": "rk", "name": _VISA})
    _refused(story, "a card number to the gateway", answer, 422, "card_number_refused")


async def _itemised(story: Story) -> None:
    """Many at once: each item has a result of its own."""
    good = [{"card": {**_CARD, "number": story.card()}} for _ in range(7)]
    bad = [WRONG[0].body, WRONG[5].body, {"card": 1}]
    client = story.shop.secret
    answer = await client.send(
        "POST", "/v1/tokens/bulk", {"tokens": [*good[:5], *bad, *good[5:]]}, name=client.name()
    )
    differences = answer.differs(200, created=7, refused=3)
    items = answer["data"] or []
    refused = [item["index"] for item in items if "problem" in item]
    if refused != [5, 6, 7]:
        differences.append(f"refused: expected items 5, 6, 7, got {refused}")
    story.ledger.made.update(item["token"]["id"] for item in items if "token" in item)
    story.report.check(
        "10 cards in one call, 3 of them wrong",
        f"{answer.status} {answer['created']} made, {answer['refused']} refused: items 5, 6, 7",
        differences,
    )
    many = await client.send(
        "POST", "/v1/tokens/bulk", {"tokens": [{"card": _CARD}] * 1_001}, name=client.name()
    )
    _refused(story, "1,001 cards in one call", many, 422, "invalid", "/tokens", "type_wrong")


async def first_token(story: Story) -> Answer:
    """Make the very first token, for the clock; connections to both listeners are opened beside it."""
    async with asyncio.TaskGroup() as group:
        made = group.create_task(story.shop.secret.tokenize(story.card()))
        group.create_task(story.market.secret.get("/v1/tokens?limit=1"))
    return made.result()
