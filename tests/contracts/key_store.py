# SPDX-License-Identifier: Apache-2.0
"""What every key store must do. A new one is done when this suite is green over it."""

import asyncio
import base64
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from strongroom.kernel.invariant import Bug
from strongroom.kernel.secret import Secret
from strongroom.keys import CannotUnwrap, KeyStore, KeyStoreUnavailable, NewDataKey, Purpose

CONTEXT = {"merchant": "mer_1", "mode": "test", "name": "card", "version": "1"}

OTHER_CONTEXTS = {
    "another value": CONTEXT | {"merchant": "mer_2"},
    "another case": CONTEXT | {"merchant": "MER_1"},
    "one entry less": {name: CONTEXT[name] for name in ("merchant", "mode", "name")},
    "one entry more": CONTEXT | {"more": "x"},
    "another name": {"tenant" if name == "mode" else name: CONTEXT[name] for name in CONTEXT},
    "two values swapped": CONTEXT | {"mode": "card", "name": "test"},
    "a boundary moved": CONTEXT | {"merchant": "mer_", "mode": "1test"},
}


Rotate = Callable[[Purpose], Awaitable[None]]


class KeyStoreContract:
    """Subclass it, and override `store` with a fixture of the implementation, made anew for each test."""

    #: Where alteration begins: what lies before says which root wrapped, and a store may refuse that its way.
    first_altered_byte = 0

    #: What a store may say of bytes that no root of its own wrapped.
    refuses_foreign_bytes_with: type[Exception] | tuple[type[Exception], ...] = CannotUnwrap

    @pytest.fixture
    def store(self) -> KeyStore:
        raise NotImplementedError

    @pytest.fixture
    def rotate(self) -> Rotate:
        """Makes the next version of a root, as a person does in the store. Override it where there are versions."""
        pytest.skip("this store has no versions of a root that a test can make")

    @pytest.mark.parametrize("purpose", Purpose)
    async def test_a_data_key_is_made_and_unwraps(self, store: KeyStore, purpose: Purpose) -> None:
        new = await store.generate(purpose, CONTEXT)
        plaintext = new.plaintext.expose()
        assert len(plaintext) == 32
        assert plaintext not in new.wrapped
        assert (await store.unwrap(purpose, new.wrapped, CONTEXT)).expose() == plaintext

    async def test_no_two_data_keys_are_the_same(self, store: KeyStore) -> None:
        made = [await store.generate(Purpose.CARD, CONTEXT) for _ in range(5)]
        assert len({new.plaintext.expose() for new in made}) == 5
        assert len({new.wrapped for new in made}) == 5

    @pytest.mark.parametrize("size", [1, 32, 4096])
    async def test_what_was_wrapped_unwraps(self, store: KeyStore, size: int) -> None:
        plaintext = bytes(number % 251 for number in range(size))
        wrapped = await store.wrap(Purpose.AUDIT, plaintext, CONTEXT)
        assert (await store.unwrap(Purpose.AUDIT, wrapped, CONTEXT)).expose() == plaintext

    async def test_wrapping_twice_gives_other_bytes(self, store: KeyStore) -> None:
        assert await store.wrap(Purpose.CARD, b"x" * 32, CONTEXT) != await store.wrap(
            Purpose.CARD, b"x" * 32, CONTEXT
        )

    @pytest.mark.parametrize("size", [0, 4097])
    async def test_data_is_not_wrapped_as_a_key(self, store: KeyStore, size: int) -> None:
        with pytest.raises(Bug):
            await store.wrap(Purpose.CARD, bytes(size), CONTEXT)

    async def test_the_order_of_a_context_means_nothing(self, store: KeyStore) -> None:
        new = await store.generate(Purpose.CARD, CONTEXT)
        backwards = dict(reversed(CONTEXT.items()))
        unwrapped = await store.unwrap(Purpose.CARD, new.wrapped, backwards)
        assert unwrapped.expose() == new.plaintext.expose()

    @pytest.mark.parametrize("other", OTHER_CONTEXTS.values(), ids=OTHER_CONTEXTS)
    async def test_another_context_does_not_unwrap(
        self, store: KeyStore, other: dict[str, str]
    ) -> None:
        new = await store.generate(Purpose.CARD, CONTEXT)
        with pytest.raises(CannotUnwrap):
            await store.unwrap(Purpose.CARD, new.wrapped, other)

    @pytest.mark.parametrize(
        "context", [{}, {"a": ""}, {"": "a"}, {"strongroom:purpose": "card"}, {"a": "x" * 4096}]
    )
    async def test_a_context_that_binds_nothing_is_a_bug(
        self, store: KeyStore, context: dict[str, str]
    ) -> None:
        for call in (
            store.generate(Purpose.CARD, context),
            store.wrap(Purpose.CARD, b"x", context),
            store.unwrap(Purpose.CARD, b"x", context),
        ):
            with pytest.raises(Bug):
                await call

    async def test_another_purpose_does_not_unwrap(self, store: KeyStore) -> None:
        new = await store.generate(Purpose.CARD, CONTEXT)
        for purpose in set(Purpose) - {Purpose.CARD}:
            with pytest.raises(CannotUnwrap):
                await store.unwrap(purpose, new.wrapped, CONTEXT)

    async def test_altered_bytes_do_not_unwrap(self, store: KeyStore) -> None:
        wrapped = (await store.generate(Purpose.CARD, CONTEXT)).wrapped
        for position in range(self.first_altered_byte, len(wrapped)):
            altered = bytearray(wrapped)
            altered[position] ^= 1 << position % 8
            with pytest.raises(CannotUnwrap):
                await store.unwrap(Purpose.CARD, bytes(altered), CONTEXT)

    async def test_cut_and_foreign_bytes_do_not_unwrap(self, store: KeyStore) -> None:
        wrapped = (await store.generate(Purpose.CARD, CONTEXT)).wrapped
        for cut in (b"", wrapped[:-1], wrapped + b"\x00"):
            with pytest.raises(CannotUnwrap):
                await store.unwrap(Purpose.CARD, cut, CONTEXT)
        for foreign in (b"\x01", b"x" * 100, wrapped[1:]):
            with pytest.raises(self.refuses_foreign_bytes_with):
                await store.unwrap(Purpose.CARD, foreign, CONTEXT)

    async def test_a_rotated_root_opens_what_it_wrapped_and_what_is_wrapped_again_is_bound_alike(
        self, store: KeyStore, rotate: Rotate
    ) -> None:
        """A root is rotated by unwrapping and wrapping the data keys; nothing that they sealed is touched."""
        purposes = (Purpose.CARD, Purpose.AUDIT)
        before = {purpose: await store.generate(purpose, CONTEXT) for purpose in purposes}
        await rotate(Purpose.CARD)
        for purpose, new in before.items():
            opened = await store.unwrap(purpose, new.wrapped, CONTEXT)
            assert opened.expose() == new.plaintext.expose()
            again = await store.wrap(purpose, opened.expose(), CONTEXT)
            assert again != new.wrapped
            opened = await store.unwrap(purpose, again, CONTEXT)
            assert opened.expose() == new.plaintext.expose()
            with pytest.raises(CannotUnwrap):
                await store.unwrap(purpose, again, CONTEXT | {"merchant": "mer_2"})
        roots = await store.describe()
        assert {root.purpose for root in roots} == set(Purpose)
        assert all(root.enabled for root in roots)

    async def test_many_at_once_get_each_its_own(self, store: KeyStore) -> None:
        made = await asyncio.gather(*(store.generate(Purpose.CARD, CONTEXT) for _ in range(40)))
        opened = await asyncio.gather(
            *(store.unwrap(Purpose.CARD, new.wrapped, CONTEXT) for new in made)
        )
        assert [secret.expose() for secret in opened] == [new.plaintext.expose() for new in made]

    async def test_it_describes_every_root(self, store: KeyStore) -> None:
        roots = await store.describe()
        assert {root.purpose for root in roots} == set(Purpose)
        assert len({root.key_id for root in roots}) == len(roots) == len(Purpose)
        assert all(root.enabled and root.algorithm for root in roots)
        assert all(root.created.astimezone(UTC) <= datetime.now(UTC) for root in roots)

    async def test_nothing_prints_a_key(self, store: KeyStore) -> None:
        new = await store.generate(Purpose.CARD, CONTEXT)
        assert "Secret(***)" in repr(new)
        assert repr(new.plaintext.expose()) not in repr(new) + repr(vars(store))

    async def test_a_closed_store_is_away(self, store: KeyStore) -> None:
        new = await store.generate(Purpose.CARD, CONTEXT)
        await store.close()
        for call in (
            store.generate(Purpose.CARD, CONTEXT),
            store.wrap(Purpose.CARD, b"x", CONTEXT),
            store.unwrap(Purpose.CARD, new.wrapped, CONTEXT),
            store.describe(),
        ):
            with pytest.raises(KeyStoreUnavailable):
                await call

    async def test_what_is_too_large_to_be_a_wrapped_key_does_not_unwrap(
        self, store: KeyStore
    ) -> None:
        wrapped = (await store.generate(Purpose.CARD, CONTEXT)).wrapped
        for large in (wrapped + bytes(10_000), bytes(100_000)):
            with pytest.raises(self.refuses_foreign_bytes_with):
                await store.unwrap(Purpose.CARD, large, CONTEXT)

    async def test_what_wrapped_for_one_merchant_opens_for_no_other_under_load(
        self, store: KeyStore
    ) -> None:
        """Answers do not get mixed up: of many at once, each merchant opens its own and nobody else's."""
        merchants = [CONTEXT | {"merchant": f"mer_{number}"} for number in range(12)]
        made = await asyncio.gather(*(store.generate(Purpose.CARD, each) for each in merchants))
        opened = await asyncio.gather(
            *(
                store.unwrap(Purpose.CARD, new.wrapped, merchants[(at + shift) % len(merchants)])
                for at, new in enumerate(made)
                for shift in (0, 1)
            ),
            return_exceptions=True,
        )
        for at, new in enumerate(made):
            own, others = opened[2 * at : 2 * at + 2]
            assert isinstance(own, Secret)
            assert own.expose() == new.plaintext.expose()
            assert isinstance(others, CannotUnwrap)

    async def test_no_refusal_prints_what_was_to_be_kept(self, store: KeyStore) -> None:
        """Neither an error nor what it grew from shows a key, in whatever spelling it went to the store."""
        plaintext = b"a key that must not be printed"
        context = CONTEXT | {"merchant": "mer_secret"}
        wrapped = await store.wrap(Purpose.CARD, plaintext, context)
        errors = []
        for call in (
            store.unwrap(Purpose.CARD, wrapped, CONTEXT),
            store.unwrap(Purpose.AUDIT, wrapped, context),
            store.unwrap(Purpose.CARD, wrapped[:-1], context),
        ):
            with pytest.raises(CannotUnwrap) as raised:
                await call
            errors.append(raised.value)
        await store.close()
        with pytest.raises(KeyStoreUnavailable) as away:
            await store.wrap(Purpose.CARD, plaintext, context)
        for error in (*errors, away.value):
            printed = "".join(traceback.format_exception(error)) + repr(error)
            for spelling in (plaintext, wrapped):
                assert repr(spelling)[2:-1] not in printed
                assert base64.b64encode(spelling).decode() not in printed
                assert spelling.hex() not in printed

    async def test_who_is_being_answered_when_it_closes_gets_a_key_or_hears_that_it_is_away(
        self, store: KeyStore
    ) -> None:
        await store.generate(Purpose.CARD, CONTEXT)
        calls = [asyncio.create_task(store.generate(Purpose.CARD, CONTEXT)) for _ in range(20)]
        for _ in range(3):
            await asyncio.sleep(0)  # they are on their way
        async with asyncio.timeout(10):
            await store.close()
            results = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(result) for result in results} <= {NewDataKey, KeyStoreUnavailable}, results
