# SPDX-License-Identifier: Apache-2.0
"""Reads a merchant's request for its destination: what differs in any way from what was registered is refused. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote, urlencode

from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.vault.forwarding.bodies import Body, Value, joined, read_body
from strongroom.vault.forwarding.language import NAME, OPEN, SLOTS_MAX, Field, Slot, Text, read_text
from strongroom.vault.forwarding.model import (
    HEADER_VALUE,
    TOKENS_MAX,
    VALUE_CHARACTERS_MAX,
    Config,
)
from strongroom.vault.forwarding.paths import fits
from strongroom.vault.forwarding.values import SEALED_BESIDE, Proof

_TOKEN_ID: Final = "tok_"  # noqa: S105 - the prefix of an id


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as its merchant wrote it."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    #: Names of tokens, and their ids.
    tokens: Mapping[str, str]
    #: Names or ids of tokens, and sealed CVCs of them.
    cvcs: Mapping[str, str] = field(repr=False)
    #: Names or ids of tokens, and what their issuers are shown once.
    proofs: Mapping[str, Proof] = field(repr=False)
    body: object


@dataclass(frozen=True, slots=True)
class Read:
    """A request that is its destination's, with its slots."""

    method: str
    #: Path and query, ready to stand behind the destination's address.
    target: str
    headers: Mapping[str, Text]
    body: Body
    #: Ids, each once, in the order in which slots name them.
    tokens: Sequence[str]
    #: A sealed CVC a token, where a slot asks for one.
    cvcs: Mapping[str, str] = field(repr=False)
    #: A cryptogram a token, likewise. Nothing of it is kept.
    proofs: Mapping[str, Proof] = field(repr=False)
    names: Mapping[str, str]
    #: Every slot that what is sealed beside the number fills.
    beside: Sequence[Slot]

    def token_of(self, slot: Slot) -> str:
        """Return the id of the token that a slot means."""
        return self.names.get(slot.token, slot.token)

    def under(self, ids: Mapping[str, str]) -> "Read":
        """Return the same request by the ids that its tokens have now.

        Args:
            ids: of each that is asked for here, the present one; two may be of one token.

        Raises:
            Invalid: there are two sealed CVCs, or two cryptograms, of one token.
        """
        cvcs = {ids[token]: text for token, text in self.cvcs.items()}
        if len(cvcs) != len(self.cvcs):
            raise _cvc_twice()
        proofs = {ids[token]: proof for token, proof in self.proofs.items()}
        if len(proofs) != len(self.proofs):
            raise _cryptogram_twice()
        # A slot names its token by a name of the request's, or by an id. No name has the form of an id.
        names = {name: ids.get(token, token) for name, token in self.names.items()}
        return replace(
            self,
            tokens=tuple(dict.fromkeys(ids[token] for token in self.tokens)),
            cvcs=cvcs,
            proofs=proofs,
            names={**ids, **names},
        )

    def filled_headers(self, value_of: Value) -> dict[str, str]:
        """Return the headers with their slots filled.

        Raises:
            Invalid: a value does not fit into a header.
        """
        filled = {name: joined(text, value_of) for name, text in self.headers.items()}
        for name, value in filled.items():
            if not value.isascii() or HEADER_VALUE.fullmatch(value) is None:
                raise Invalid(
                    FieldError(f"/headers/{name}", "slot_unfit", "a value does not fit here")
                )
        return filled


def read_request(asked: Asked, config: Config) -> Read:
    """Read a request.

    Raises:
        Invalid: naming what does not fit.
    """
    if asked.method not in config.methods:
        raise Invalid(
            FieldError("/method", "method_refused", "this destination is not called by this method")
        )
    if not fits(asked.path, config.path) or has_cardlike(asked.path):
        raise Invalid(
            FieldError("/path", "path_refused", "this is not a path of the destination's")
        )
    headers = dict(_headers(asked, config))
    body = read_body(config.content_type, asked.body)
    slots = [*(s for text in headers.values() for s in text if isinstance(s, Slot)), *body.slots]
    if not slots:
        raise Invalid(
            FieldError(
                "/body", "slot_missing", "a forward has a slot: without a card, call directly"
            )
        )
    if len(slots) > SLOTS_MAX:
        raise Invalid(FieldError("/body", "slots_too_many", "a request has too many slots"))
    names = _names(asked)
    tokens = _tokens(slots, names)
    proofs = _proofs(asked, slots, names)
    return Read(
        asked.method,
        asked.path + _query(asked, config),
        headers,
        body,
        tokens,
        _cvcs(asked, slots, names),
        proofs,
        names,
        tuple(dict.fromkeys(_beside(slots, names, proofs))),
    )


def _headers(asked: Asked, config: Config) -> Iterator[tuple[str, Text]]:
    for given, value in asked.headers.items():
        name = given.lower()
        # A name that is not registered is the caller's own text, and is not repeated.
        if name not in config.request_headers:
            raise Invalid(
                FieldError("/headers", "header_refused", "this destination takes no such header")
            )
        if len(value) > VALUE_CHARACTERS_MAX:
            raise Invalid(
                FieldError(f"/headers/{name}", "header_refused", "a header's value is too long")
            )
        text = read_text(value, f"/headers/{name}")
        # Looked at before anything is opened: what stands between slots splits no request.
        whole = joined(text, lambda _: "0")
        if not whole.isascii() or HEADER_VALUE.fullmatch(whole) is None:
            raise Invalid(
                FieldError(f"/headers/{name}", "header_refused", "printable ASCII, and not empty")
            )
        yield name, text


def _query(asked: Asked, config: Config) -> str:
    for name, value in asked.query.items():
        if name not in config.query:
            raise Invalid(
                FieldError("/query", "query_refused", "this destination takes no such parameter")
            )
        if OPEN in value or has_cardlike(value) or len(value) > VALUE_CHARACTERS_MAX:
            raise Invalid(
                FieldError(
                    f"/query/{name}", "query_refused", "no card stands in a URL, nor a long text"
                )
            )
    # Encoded here, so that no value makes a parameter of its own.
    return "?" + urlencode(asked.query, quote_via=quote, safe="") if asked.query else ""


def _names(asked: Asked) -> Mapping[str, str]:
    for name in asked.tokens:
        if NAME.fullmatch(name) is None:
            raise Invalid(
                FieldError("/tokens", "name_malformed", "a token's name is a lower-case word")
            )
    return asked.tokens


def _tokens(slots: Sequence[Slot], names: Mapping[str, str]) -> Sequence[str]:
    found: dict[str, None] = {}
    for slot in slots:
        if slot.token not in names and not slot.token.startswith(_TOKEN_ID):
            raise Invalid(
                FieldError("/tokens", "name_unknown", "a slot names a token that `tokens` has not")
            )
        found[names.get(slot.token, slot.token)] = None
    if len(found) > TOKENS_MAX:
        raise Invalid(
            FieldError("/tokens", "tokens_too_many", f"a request has {TOKENS_MAX} tokens at most")
        )
    return tuple(found)


def _cvcs(asked: Asked, slots: Sequence[Slot], names: Mapping[str, str]) -> Mapping[str, str]:
    """Return the sealed CVC of each token that has a slot for one: no more of them, and no fewer."""
    needed = {names.get(s.token, s.token) for s in slots if s.field is Field.CVC}
    given = {names.get(name, name): text for name, text in asked.cvcs.items()}
    if len(given) != len(asked.cvcs) or len(set(given.values())) != len(given):
        raise _cvc_twice()
    if needed != given.keys():
        raise Invalid(
            FieldError(
                "/cvcs", "cvc_mismatch", "a slot for a CVC needs a sealed one, and only that"
            )
        )
    return given


def _cvc_twice() -> Invalid:
    return Invalid(FieldError("/cvcs", "cvc_twice", "a token has one sealed CVC, of its own"))


def _cryptogram_twice() -> Invalid:
    return Invalid(
        FieldError("/cryptograms", "cryptogram_twice", "a token has one cryptogram, of its own")
    )


def _proofs(asked: Asked, slots: Sequence[Slot], names: Mapping[str, str]) -> Mapping[str, Proof]:
    """Return the cryptogram of each token that has a slot for one: no more of them, and no fewer."""
    needed = {names.get(s.token, s.token) for s in slots if s.field is Field.CRYPTOGRAM}
    given = {names.get(name, name): proof for name, proof in asked.proofs.items()}
    texts = {proof.cryptogram for proof in given.values()}
    if len(given) != len(asked.proofs) or len(texts) != len(given):
        raise _cryptogram_twice()
    if needed != given.keys():
        raise Invalid(
            FieldError(
                "/cryptograms",
                "cryptogram_mismatch",
                "a slot for a cryptogram needs one with the request, and only that",
            )
        )
    return given


def _beside(
    slots: Sequence[Slot], names: Mapping[str, str], proofs: Mapping[str, Proof]
) -> Iterator[Slot]:
    for slot in slots:
        proof = proofs.get(names.get(slot.token, slot.token))
        told = slot.field is Field.ECI and proof is not None and proof.eci is not None
        if slot.field in SEALED_BESIDE and not told:
            yield slot
