# SPDX-License-Identifier: Apache-2.0
"""A labelled set for the search of card numbers, made anew by a seed: lines with a card, and lines without one.

Cards are published test numbers only. What is no card is made to look like one where such things do: a share of random
ids has a scheme's prefix and a check digit that holds, as in any log. Run, it prints the figures.
"""

import random
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from strongroom.kernel.published import TEST_NUMBERS
from strongroom.kernel.schemes import complete_luhn
from strongroom.vault.discovery.model import Kind, Level, masked
from strongroom.vault.discovery.search import Searcher

SEED: Final = 20261126
CARDS: Final = 3_000
OTHERS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the set. `card` is the number in it, if it is labelled a card."""

    kind: str
    text: str
    card: str | None


#: How people and programs write a card down. `{n}` plain, `{g}` in groups.
CARD_LINES: Final = {
    "log, named field": "2026-11-20T22:07:31.123Z INFO pay card_number={n} amount=1050 currency=AED",
    "log, pan": "ERROR authorize failed: pan={n} code=05",
    "log, in groups": "customer paid with {g} by phone",
    "log, bare": "WARN unexpected value {n} in body",
    "log, bare groups": "WARN unexpected value {g} in body",
    "json": '{{"id": "ord_81", "card": {{"number": "{n}", "exp_month": 12, "exp_year": 2034}}}}',
    "json, camel": '{{"orderId": 71, "cardNumber": "{n}", "cvv": "123"}}',
    "json, bare": '{{"type": "note", "text": "{n}"}}',
    "json, number field": '{{"number": "{n}", "brand": "x"}}',
    "csv with header": "holder,number,expiry\nA B,{n},12/34",
    "csv without": "1042,A B,{n},12/34,10.50",
    "csv, one column": "{n}",
    "tsv": "1042\tA B\t{n}\t2034-12",
    "sql": "INSERT INTO payments (id, pan, exp) VALUES (1042, '{n}', '1234');",
    "xml": "<Payment><PAN>{n}</PAN><Expiry>1234</Expiry></Payment>",
    "soap": "<ns:AccountNumber>{n}</ns:AccountNumber>",
    "form": "amount=1050&currency=AED&cc={n}&exp=1234",
    "query": "GET /pay?card={n}&amount=10 HTTP/1.1",
    "mail": "Hi, my card is {g}, exp 12/34, please charge it again. Thanks",
    "chat": "its {g} thx",
    "mail, French": "Ma carte bancaire : {g}, expire le 12/34",
    "mail, Arabic": "رقم البطاقة {g} تنتهي 12/34",
    "ticket": "Customer called about order 88123. CC {n} was declined.",
    "exception": "ValueError: invalid literal: '{n}' (CreditCard.number)",
    "track 2": ";{n}=34121010000012300000?",
    "iso 8583": "DE002={n} DE004=000000001050",
    "touching": "ERROR authorize failed: pan{n}",
    "file's name": "GET /receipts/card{n}.pdf HTTP/1.1",
    "table": "| {n} | visa | 12/34 |",
    "yaml": "card:\n  number: '{n}'\n  holder: A B",
    "markdown": "* `{n}`: used by QA on 2026-11-20",
    "code": 'const CARD = "{n}"; // do not commit',
}


def digits(made: random.Random, count: int) -> str:
    return "".join(made.choice("0123456789") for _ in range(count))


def fours(made: random.Random, count: int) -> str:
    return " ".join(digits(made, 4) for _ in range(count))


def grouped(number: str, made: random.Random) -> str:
    between = made.choice(" -.\u00a0")
    sizes = (4, 6, 5) if len(number) == 15 else (4, 6, 4) if len(number) == 14 else (4,) * 5
    parts, at = [], 0
    for size in sizes:
        parts.append(number[at : at + size])
        at += size
    return between.join(part for part in parts if part)


def likely(made: random.Random) -> str:
    """An id that could be a card's by its digits: it begins with 4 or 5, and its check digit holds."""
    return complete_luhn(made.choice("45") + made.choice("12345") + digits(made, 13))


def others(made: random.Random) -> Iterator[tuple[str, str]]:
    """Yield one line of every kind that holds no card."""
    moment = 1_700_000_000 + made.randrange(90_000_000)
    yield (
        "trace id",
        f'{{"trace_id":"{uuid.UUID(int=made.getrandbits(128)).hex}","n":{digits(made, 9)}}}',
    )
    yield "uuid", f"request {uuid.UUID(int=made.getrandbits(128))} done"
    yield "id, sixteen digits", f"order_id={digits(made, 16)} status=paid"
    yield "id, json", f'{{"id": {made.randrange(10**15, 10**16)}, "state": "open"}}'
    yield "snowflake", f'"message_id":"{made.randrange(10**17, 10**19)}"'
    yield "likely id", f"transactionId: {likely(made)}"
    yield "likely tracking", f"tracking number {likely(made)} shipped"
    yield "nanoseconds", f"ts={moment}{digits(made, 9)} level=info"
    yield "microseconds", f"at {moment}{digits(made, 6)} took 3ms"
    yield "milliseconds", f'"timestamp":{moment}{digits(made, 3)},'
    yield (
        "compact time",
        f"backup-2026{made.randrange(1, 13):02d}{made.randrange(1, 29):02d}{digits(made, 6)}.tar",
    )
    yield "float", f'"score": 0.{digits(made, 16)}'
    yield "coordinates", f"lat=25.{digits(made, 15)} lng=55.{digits(made, 14)}"
    yield (
        "iban",
        f"AE{digits(made, 2)} {fours(made, 4)} {digits(made, 3)}",
    )
    yield "ean", f"ean13 {digits(made, 13)} in stock"
    yield "imei", f"imei: {complete_luhn('35' + digits(made, 12))}"
    yield "phone", f"call +971 {digits(made, 2)} {digits(made, 3)} {digits(made, 4)}"
    yield "hash", f"sha1 {made.getrandbits(160):040x}"
    yield "decimal hash", f"checksum {made.getrandbits(64)}"
    yield (
        "amounts",
        fours(made, 6),
    )
    yield "version", f"build 4.{digits(made, 4)}.{digits(made, 4)}.{digits(made, 4)}"
    yield "hexadecimal", made.randbytes(24).hex(" ")
    yield "alias", f"pan_alias=99{digits(made, 13)}"
    yield "bare number", f"value {digits(made, 16)} read"


def labelled() -> Iterator[Line]:
    """Yield the set."""
    made = random.Random(SEED)
    numbers = sorted(TEST_NUMBERS)
    templates = sorted(CARD_LINES.items())
    for index in range(CARDS):
        kind, template = templates[index % len(templates)]
        number = made.choice(numbers)
        yield Line(kind, template.format(n=number, g=grouped(number, made)), number)
    count = 0
    while count < OTHERS:
        for kind, text in others(made):
            # A random alias may check by chance; then it is none.
            yield Line(kind, text, None)
            count += 1


@dataclass(slots=True)
class Figures:
    """What came of the set, for findings of at least one level."""

    cards: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    others: int = 0
    invented: Counter[str] = field(default_factory=Counter)

    @property
    def missed_share(self) -> float:
        return sum(self.missed.values()) / self.cards

    @property
    def invented_share(self) -> float:
        return sum(self.invented.values()) / self.others


def measured() -> dict[Level, Figures]:
    """Search every line of the set by itself."""
    searcher = Searcher()
    figures = {level: Figures() for level in Level}
    for line in labelled():
        hits = [hit for hit in searcher.hits(line.text.encode()) if hit.kind is not Kind.ALIAS]
        for level, each in figures.items():
            told = {hit.masked for hit in hits if hit.level.reaches(level)}
            if line.card is None:
                each.others += 1
                each.invented[line.kind] += bool(told)
            else:
                each.cards += 1
                each.missed[line.kind] += masked(line.card) not in told
    return figures


if __name__ == "__main__":
    for level, each in measured().items():
        sys.stdout.write(
            f"{level}: of {each.cards} cards {each.missed_share:.2%} missed, "
            f"of {each.others} other lines {each.invented_share:.2%} told\n"
        )
        for name, found in (("missed", each.missed), ("told", each.invented)):
            shown = ", ".join(f"{kind} {count}" for kind, count in found.most_common(8) if count)
            sys.stdout.write(f"  {name}: {shown or 'none'}\n")
