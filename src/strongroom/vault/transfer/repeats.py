# SPDX-License-Identifier: Apache-2.0
"""Says which cards of a chunk have a token already, or stood in the file before, and who has to pay for being told.

To be told that a number is stored is what a search by number tells, and is bounded with it (`search.limiter`):
 * An import pays for each card that somebody else has stored: one that it has stored itself says nothing new, to
   whoever began it and sends it; of somebody else's import nothing is one's own. A card that was not there costs
   nothing: it has a token now, and a record says how many.
 * A dry run leaves no token behind, so that guessing would cost nothing: it pays for what it looks up, a hundredth for
   a card that is not there, and each chunk is recorded as a search.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from strongroom.db.pool import Transaction
from strongroom.vault.containers.model import Access
from strongroom.vault.transfer.chunks import Chunk, Hands
from strongroom.vault.transfer.model import Import
from strongroom.vault.transfer.store import QUERIES, remember_seen
from strongroom.vault.writes import KNOWN_ELSEWHERE

#: What it costs to be told that a card is not stored, where no token of it is left behind.
MISS_COST: Final = 0.01


class Told(NamedTuple):
    """What is known of a chunk's cards."""

    #: The place of a card that is known → its token; empty: which token is not told.
    known: Mapping[int, str]
    #: What it costs to be told that, in questions.
    cost: float
    #: Cards that were looked up and found, by a dry run.
    found: int = 0


async def taken(tx: Transaction, at: Import, chunk: Chunk, hands: Hands) -> Told:
    """Give the cards of a chunk that have no token theirs; say which ones had one.

    Where a token stands in a container that the sender may not use, that it is there is told, and not which.
    """
    found = await _known(tx, at, chunk, hands)
    if not found:
        return Told(found, 0.0)
    own: set[str] = set()
    if hands.actor == at.created_by:
        rows = await tx.rows(
            QUERIES["own_tokens"],
            at.merchant_id,
            at.mode,
            at.import_id,
            at.created_by,
            sorted(set(found.values())),
        )
        own = {row["token_id"] for row in rows}
    others = sum(token not in own for token in found.values())
    return Told(await _tellable(tx, at, found, hands), float(others))


async def tried(tx: Transaction, at: Import, chunk: Chunk, hands: Hands) -> Told:
    """Say which cards of a dry run's chunk stood in its rows before, or have a token. Makes none."""
    places = {card: place for place, card in enumerate(chunk.seen)}
    if not places:
        return Told({}, 0.0)
    await remember_seen(tx, at)
    # Sorted, as every writer of them does.
    rows = await tx.rows(
        QUERIES["see_cards"], at.merchant_id, at.mode, at.import_id, sorted(places)
    )
    new = {places[row["card"]] for row in rows}
    current = hands.keys.fingerprint.version
    asked = [
        *(
            (place, current, each)
            for place, each in enumerate(chunk.cards.fingerprints)
            if place in new
        ),
        # Without the locks that a writer takes: a dry run writes no identity.
        *(
            (each.item, each.version, each.fingerprint)
            for each in chunk.elsewhere
            if each.item in new
        ),
    ]
    rows = await tx.rows(
        QUERIES["stored_cards"],
        at.merchant_id,
        at.mode,
        [version for _, version, _ in asked],
        [fingerprint for _, _, fingerprint in asked],
    )
    stored = {asked[row["place"] - 1][0] for row in rows}
    repeated = set(places.values()) - new
    # That a card stood in rows that somebody else has sent is as good as that it is stored.
    others = 0 if hands.actor == at.created_by else len(repeated)
    cost = len(stored) + others + MISS_COST * (len(new) - len(stored))
    return Told(dict.fromkeys(repeated | stored, ""), cost, len(stored))


async def _known(tx: Transaction, at: Import, chunk: Chunk, hands: Hands) -> Mapping[int, str]:
    """Return the cards of a chunk that have a token, with it. The others have theirs from now on."""
    places = {
        fingerprint: place
        for place, fingerprint in enumerate(chunk.cards.fingerprints)
        if fingerprint is not None
    }
    if not places:
        return {}
    moving = await _known_elsewhere(tx, at, chunk)
    places = {each: place for each, place in places.items() if place not in moving}
    return moving | await _known_here(tx, at, chunk, hands, places)


async def _tellable(
    tx: Transaction, at: Import, known: Mapping[int, str], hands: Hands
) -> Mapping[int, str]:
    """Leave out the ids of tokens that whoever sends the rows may not use, as every other way in does."""
    rows = await tx.rows(
        QUERIES["containers_of_tokens"], at.merchant_id, at.mode, sorted(set(known.values()))
    )
    usable = {
        row["token_id"]
        for row in rows
        if (granted := hands.access.granted(row["container"])) is not None
        and granted.access.covers(Access.USE)
    }
    return {card: token if token in usable else "" for card, token in known.items()}


async def _known_elsewhere(tx: Transaction, at: Import, chunk: Chunk) -> dict[int, str]:
    """Return the cards that have a token under another version of the fingerprint key, with it.

    Holds their locks until the transaction ends: nobody makes a token of one of them under another version.
    """
    if not chunk.elsewhere:
        return {}
    count = len(chunk.elsewhere)
    found = await tx.rows(
        KNOWN_ELSEWHERE,
        [at.merchant_id],
        [each.lock for each in chunk.elsewhere],
        [at.merchant_id] * count,
        [at.mode] * count,
        [each.version for each in chunk.elsewhere],
        [each.fingerprint for each in chunk.elsewhere],
    )
    return {chunk.elsewhere[row["place"] - 1].item: row["token_id"] for row in found}


async def _known_here(
    tx: Transaction,
    at: Import,
    chunk: Chunk,
    hands: Hands,
    places: Mapping[bytes, int],
) -> dict[int, str]:
    if not places:
        return {}
    # Sorted, as every writer of identities does: two that overlap wait for each other, and do not deadlock.
    fingerprints = sorted(places)
    version = hands.keys.fingerprint.version
    scope = (at.merchant_id, at.mode, version)
    tokens = [chunk.cards.tokens[places[each]] for each in fingerprints]
    taken = await tx.rows(QUERIES["take_identities"], *scope, fingerprints, tokens)
    if len(taken) == len(fingerprints):
        return {}
    new = {row["fingerprint"] for row in taken}
    missing = [each for each in fingerprints if each not in new]
    found = await tx.rows(QUERIES["tokens_of_cards"], *scope, missing)
    return {places[row["fingerprint"]]: row["token_id"] for row in found}
