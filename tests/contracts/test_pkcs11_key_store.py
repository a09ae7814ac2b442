# SPDX-License-Identifier: Apache-2.0
"""The key store suite over a PKCS#11 token (SoftHSM2), and what is its own: PINs, lost sessions, roots that leave."""

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, TokenFlag

from contracts.key_store import CONTEXT, KeyStoreContract, Rotate
from contracts.soft_hsm import PIN, SoftToken, new_token
from strongroom.kernel.secret import Secret
from strongroom.keys import (
    CannotUnwrap,
    KeyStore,
    KeyStoreRefused,
    KeyStoreUnavailable,
    Purpose,
    RootDisabled,
)
from strongroom.keys.stores import pkcs11_token
from strongroom.keys.stores.pkcs11 import PinSource, Pkcs11KeyStore
from strongroom.keys.stores.pkcs11_token import PinRefused, TokenPlace, refused_by

NOW = datetime.now(UTC).replace(microsecond=0)


async def opened(token: SoftToken, pin: PinSource | None = None, **more: Any) -> Pkcs11KeyStore:
    """Open a store. The library looks for new tokens only when it is initialised again."""
    pkcs11.lib(token.place.module).reinitialize()
    return await Pkcs11KeyStore.open(token.place, pin or token.pin, **more)


@pytest.fixture(scope="module")
async def token() -> SoftToken:
    made = new_token()
    store = await opened(made)
    assert await store.make_roots(Purpose, NOW) == [(purpose, 1) for purpose in sorted(Purpose)]
    await store.close()
    return made


@pytest.fixture
async def bare() -> SoftToken:
    """A token without roots."""
    return new_token()


class TestPkcs11KeyStore(KeyStoreContract):
    @pytest.fixture
    async def store(self, token: SoftToken) -> AsyncIterator[KeyStore]:
        store = await Pkcs11KeyStore.open(token.place, token.pin)
        yield store
        await store.close()

    @pytest.fixture
    def rotate(self, store: KeyStore) -> Rotate:
        async def rotated(purpose: Purpose) -> None:
            assert isinstance(store, Pkcs11KeyStore)
            await store.make_roots({purpose}, NOW, next_version=True)

        return rotated


# --- roots -------------------------------------------------------------------------------------------------


async def test_roots_are_made_once_and_never_leave_the_token(bare: SoftToken) -> None:
    store = await opened(bare)
    assert await store.make_roots({Purpose.CARD}, NOW) == [(Purpose.CARD, 1)]
    assert await store.make_roots(Purpose, NOW) == [
        (purpose, 1) for purpose in sorted(set(Purpose) - {Purpose.CARD})
    ]
    assert await store.make_roots(Purpose, NOW) == []
    root = store._session._roots[Purpose.CARD, 1].key  # type: ignore[union-attr]
    with pytest.raises(pkcs11.AttributeSensitive):
        root[Attribute.VALUE]
    assert root[Attribute.LABEL] == "strongroom-card"
    described = await store.describe()
    assert {each.created for each in described} == {NOW}
    assert {each.key_id for each in described} == {
        f"{bare.place.token}#strongroom-{purpose}/1" for purpose in Purpose
    }
    await store.close()


async def test_a_newer_root_wraps_and_the_older_one_opens(bare: SoftToken) -> None:
    store, late = await opened(bare), None
    await store.make_roots(Purpose, NOW)
    late = await Pkcs11KeyStore.open(bare.place, bare.pin)
    before = await store.wrap(Purpose.CARD, b"before", CONTEXT)
    assert await store.make_roots({Purpose.CARD}, NOW, next_version=True) == [(Purpose.CARD, 2)]
    after = await store.wrap(Purpose.CARD, b"after", CONTEXT)
    assert (before[1:5], after[1:5]) == (b"\0\0\0\1", b"\0\0\0\2")
    for each in (store, late):  # one that was opened before looks again
        assert (await each.unwrap(Purpose.CARD, before, CONTEXT)).expose() == b"before"
        assert (await each.unwrap(Purpose.CARD, after, CONTEXT)).expose() == b"after"
    with pytest.raises(CannotUnwrap):
        await store.unwrap(Purpose.CARD, after[:4] + b"\1" + after[5:], CONTEXT)
    await store.close()
    await late.close()


ROOTS_REFUSED = {
    "extractable": ({Attribute.EXTRACTABLE: True}, 256, "extractable"),
    "not sensitive": ({Attribute.SENSITIVE: False}, 256, "extractable"),
    "too short": ({}, 128, "AES-256"),
    "without a version": ({Attribute.ID: b"x"}, 256, "CKA_ID"),
    "of version 0": ({Attribute.ID: b"\0\0\0\0"}, 256, "CKA_ID"),
    "there twice": ({Attribute.ID: b"\0\0\0\1"}, 256, "two keys"),
}


@pytest.mark.parametrize(("template", "bits", "words"), ROOTS_REFUSED.values(), ids=ROOTS_REFUSED)
async def test_a_key_that_is_no_root_is_refused(
    bare: SoftToken, template: dict[Attribute, Any], bits: int, words: str
) -> None:
    store = await opened(bare)
    await store.make_roots({Purpose.AUDIT}, NOW)
    await store.close()
    given = {
        Attribute.ID: b"\0\0\0\1" if template else b"\0\0\0\2",
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
    } | template
    number = given.pop(Attribute.ID)
    label = "strongroom-audit" if words == "two keys" else "strongroom-card"
    with (
        pkcs11.lib(bare.place.module)
        .get_token(token_label=bare.place.token)
        .open(rw=True, user_pin=PIN) as session
    ):
        session.generate_key(KeyType.AES, bits, id=number, label=label, store=True, template=given)
    with pytest.raises(KeyStoreRefused, match=words):
        await Pkcs11KeyStore.open(bare.place, bare.pin)


async def test_a_root_that_may_not_decrypt_is_disabled(bare: SoftToken) -> None:
    store = await opened(bare)
    await store.make_roots(set(Purpose) - {Purpose.CARD}, NOW)
    await store.close()
    with (
        pkcs11.lib(bare.place.module)
        .get_token(token_label=bare.place.token)
        .open(rw=True, user_pin=PIN) as session
    ):
        template = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
        session.generate_key(
            KeyType.AES,
            256,
            id=b"\0\0\0\1",
            label="strongroom-card",
            store=True,
            template=template | {Attribute.DECRYPT: False},
        )
    store = await Pkcs11KeyStore.open(bare.place, bare.pin)
    described = await store.describe()
    assert [root.purpose for root in described if not root.enabled] == [Purpose.CARD]
    with pytest.raises(RootDisabled):
        await store.wrap(Purpose.CARD, b"x", CONTEXT)
    await store.close()


async def test_a_root_that_is_missing_is_told(bare: SoftToken) -> None:
    store = await opened(bare)
    with pytest.raises(KeyStoreRefused, match="no card root"):
        await store.generate(Purpose.CARD, CONTEXT)
    with pytest.raises(KeyStoreRefused, match="no root for: audit, card"):
        await store.describe()
    await store.close()
    audit_only = await Pkcs11KeyStore.open(bare.place, bare.pin, purposes={Purpose.AUDIT})
    await audit_only.make_roots({Purpose.AUDIT}, NOW)
    assert [root.purpose for root in await audit_only.describe()] == [Purpose.AUDIT]
    await audit_only.close()


# --- PINs --------------------------------------------------------------------------------------------------


async def test_a_wrong_pin_is_given_once_and_never_again(
    token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []
    login = pkcs11_token._logged_in

    def counted(token: Any, pin: Secret[str], *, writing: bool) -> Any:
        tries.append(pin.expose())
        return login(token, pin, writing=writing)

    monkeypatch.setattr(pkcs11_token, "_logged_in", counted)
    answer = "11111111"

    async def pin() -> Secret[str]:
        return Secret(answer)

    store = Pkcs11KeyStore(token.place, Purpose, pin, 6)
    for _ in range(3):
        with pytest.raises(PinRefused) as refused:
            await store.generate(Purpose.CARD, CONTEXT)
        assert answer not in str(refused.value)
    assert tries == ["11111111"]
    answer = PIN  # what the reference names was mended: that one is tried
    await store.generate(Purpose.CARD, CONTEXT)
    assert tries == ["11111111", PIN]
    await store.close()


@pytest.mark.parametrize(
    ("flags", "refused"),
    [
        (TokenFlag.USER_PIN_LOCKED, True),
        (TokenFlag.USER_PIN_FINAL_TRY, True),
        (TokenFlag.USER_PIN_COUNT_LOW, False),
        (TokenFlag.TOKEN_INITIALIZED | TokenFlag.LOGIN_REQUIRED, False),
        (TokenFlag.SO_PIN_LOCKED | TokenFlag.SO_PIN_FINAL_TRY, False),
    ],
)
def test_a_token_that_would_lock_is_given_no_pin(flags: TokenFlag, *, refused: bool) -> None:
    assert (refused_by(flags) is not None) is refused


# --- sessions ----------------------------------------------------------------------------------------------


async def test_a_lost_session_is_opened_again_once_for_all(
    token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await Pkcs11KeyStore.open(token.place, token.pin)
    new = await store.generate(Purpose.CARD, CONTEXT)
    opens = 0
    login = pkcs11_token._logged_in

    def counted(token: Any, pin: Secret[str], *, writing: bool) -> Any:
        nonlocal opens
        opens += 1
        return login(token, pin, writing=writing)

    monkeypatch.setattr(pkcs11_token, "_logged_in", counted)
    store._session._session.close()  # type: ignore[union-attr]
    unwrapped = await asyncio.gather(
        *(store.unwrap(Purpose.CARD, new.wrapped, CONTEXT) for _ in range(20))
    )
    assert {each.expose() for each in unwrapped} == {new.plaintext.expose()}
    assert opens == 1
    await store.close()


async def test_a_token_that_is_gone_is_away_and_comes_back(bare: SoftToken) -> None:
    store = await opened(bare)
    await store.make_roots(Purpose, NOW)
    new = await store.generate(Purpose.CARD, CONTEXT)
    aside = bare.folder.with_name(bare.folder.name + ".away")
    bare.folder.rename(aside)
    store._session._session.close()  # type: ignore[union-attr]
    aside_elsewhere = bare.folder.parent.parent / aside.name
    aside.rename(aside_elsewhere)
    for _ in range(2):
        with pytest.raises(KeyStoreUnavailable):
            await store.unwrap(Purpose.CARD, new.wrapped, CONTEXT)
    shutil.move(aside_elsewhere, bare.folder)
    opened_again = await store.unwrap(Purpose.CARD, new.wrapped, CONTEXT)
    assert opened_again.expose() == new.plaintext.expose()
    await store.close()


@pytest.mark.parametrize("wrong", ["module", "token"])
async def test_a_module_or_token_that_is_not_there_is_away(token: SoftToken, wrong: str) -> None:
    place = {
        "module": TokenPlace("/nowhere/libhsm.so", token.place.token, "strongroom-"),
        "token": TokenPlace(token.place.module, "nobody's", "strongroom-"),
    }[wrong]
    with pytest.raises(KeyStoreUnavailable):
        await Pkcs11KeyStore.open(place, token.pin)


async def test_all_calls_are_made_on_one_thread(
    token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    wrap = pkcs11_token.TokenSession.wrap

    def watched(self: Any, *arguments: Any) -> bytes:
        threads.add(threading.current_thread().name)
        return wrap(self, *arguments)

    monkeypatch.setattr(pkcs11_token.TokenSession, "wrap", watched)
    one = await Pkcs11KeyStore.open(token.place, token.pin)
    other = await Pkcs11KeyStore.open(token.place, token.pin)
    await asyncio.gather(
        *(store.generate(Purpose.CARD, CONTEXT) for store in (one, other) for _ in range(50))
    )
    assert len(threads) == 1
    assert threads != {threading.main_thread().name}
    await one.close()
    await other.close()


async def test_a_store_does_not_follow_into_another_process(token: SoftToken) -> None:
    store = await Pkcs11KeyStore.open(token.place, token.pin)
    store._process = os.getpid() + 1
    with pytest.raises(KeyStoreRefused, match="another process"):
        await store.describe()
    store._process = os.getpid()
    await store.close()


async def test_a_token_that_hangs_holds_nobody_up(
    token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    store = await Pkcs11KeyStore.open(token.place, token.pin, call_timeout_seconds=0.2)
    monkeypatch.setattr(
        pkcs11_token.TokenSession, "describe", lambda _self: release.wait(10) and []
    )
    try:
        with pytest.raises(KeyStoreUnavailable):
            await store.describe()
    finally:
        release.set()
    await store.close()
