# SPDX-License-Identifier: Apache-2.0
"""Chapter 4: read masked, list, delete; and what a sealed CVC is good for."""

import json
from typing import Final

from strongroom.cli.scenario.client import Answer, masked, short
from strongroom.cli.scenario.story import Story
from strongroom.kernel.cardlike import has_cardlike_bytes

TITLE: Final = "4 · Read masked, list, delete"
_LIST: Final = 5


async def play(story: Story) -> None:
    """Play it."""
    made = await _read(story)
    await _list(story)
    await _sealed_cvc(story)
    await _delete(story, made)


async def _read(story: Story) -> Answer:
    shop, check, number = story.shop.secret, story.report.check, story.card()
    made = await shop.tokenize(number, metadata={"customer": "c-20"})
    read = await shop.get(f"/v1/tokens/{made['id']}")
    differences = read.differs(
        200,
        id=made["id"],
        bin=number[:6],
        last4=number[-4:],
        metadata={"customer": "c-20"},
        cvc=None,
    )
    differences += ["what looks like a card number"] if has_cardlike_bytes(read.body) else []
    check(
        f"read {short(made['id'])}",
        f"{read.status} {masked(number)} 12/2034  {read.took}",
        differences,
    )
    story.report.note(_excerpt(read))
    answer = await story.live.get(f"/v1/tokens/{made['id']}")
    check(
        "the same token, by the merchant's live key",
        answer.problem(),
        answer.differs_from_refusal(404, "token_unknown"),
    )
    return made


def _excerpt(read: Answer) -> str:
    """Return what is shown of a card, as it came."""
    names = ("brand", "bin", "last4", "exp_month", "exp_year")
    return json.dumps({name: read[name] for name in names})


async def _list(story: Story) -> None:
    market, check = story.market.secret, story.report.check
    made = [str((await market.tokenize(story.card()))["id"]) for _ in range(_LIST)]
    seen: list[str] = []
    differences: list[str] = []
    cursor, pages = "", 0
    while len(seen) < _LIST and pages < _LIST:
        page = await market.get(f"/v1/tokens?limit=2{cursor}")
        differences += page.differs(200)
        seen += [token["id"] for token in page["data"] or ()]
        cursor, pages = f"&cursor={page['next_cursor']}", pages + 1
    if seen[:_LIST] != made[::-1]:
        differences.append("the newest tokens do not come first, or one is missing")
    check(
        f"list {_LIST} tokens, two a page",
        f"200 {pages} pages, newest first, none twice",
        differences,
    )
    for what, query in (("a page of 101", "limit=101"), ("a cursor that is none", "cursor=tok_1")):
        answer = await market.get(f"/v1/tokens?{query}")
        check(what, answer.problem(), answer.differs_from_refusal(422, "invalid"))


async def _sealed_cvc(story: Story) -> None:
    """A sealed CVC is bound to its token and is good once."""
    shop, check = story.shop.secret, story.report.check
    one, other = [await shop.tokenize(story.card()) for _ in range(2)]
    path = f"/v1/tokens/{one['id']}/cvc"
    sealed = await shop.send("POST", path, {"cvc": "737"})
    text = str(sealed["cvc"])
    check(
        "seal a CVC that was typed again",
        f"{sealed.status} {short(text)}",
        sealed.differs(200, token=one["id"]),
    )
    flipped = text[:-1] + ("A" if text[-1] != "A" else "Q")
    tries = (
        ("an altered one", path, flipped, 422, "cvc_invalid"),
        ("with another token", f"/v1/tokens/{other['id']}/cvc", text, 422, "cvc_invalid"),
    )
    for what, place, value, status, code in tries:
        answer = await shop.send("POST", f"{place}/discard", {"cvc": value})
        check(what, answer.problem(), answer.differs_from_refusal(status, code))
    gone = await shop.send("POST", f"{path}/discard", {"cvc": text})
    check(
        "discard it", f"{gone.status} nothing opens it any more", gone.differs(200, discarded=True)
    )
    again = await shop.send("POST", f"{path}/discard", {"cvc": text})
    check("once more", again.problem(), again.differs_from_refusal(409, "cvc_used"))


async def _delete(story: Story, made: Answer) -> None:
    shop, check, path = story.shop.secret, story.report.check, f"/v1/tokens/{made['id']}"
    deleted = await shop.send("DELETE", path)
    check(f"delete {short(made['id'])}", f"{deleted.status}  {deleted.took}", deleted.differs(204))
    for what, method in (("read it", "GET"), ("delete it again", "DELETE")):
        answer = await shop.send(method, path)
        check(what, answer.problem(), answer.differs_from_refusal(404, "token_unknown"))
