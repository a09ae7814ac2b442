# SPDX-License-Identifier: Apache-2.0
"""`strongroom keys` on a real installation: the inventory, a rotation, and a root rotated under its data keys."""

import asyncio
from collections.abc import Iterator

import pytest

from command_line import Installed, installed
from service import free_ports
from strongroom.cli.operating import site_of
from strongroom.compose import Composer
from strongroom.compose.operator_keys import NOTED_EVERY
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.db.queries import Query
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.mode import Mode
from strongroom.keys import KeyName, Purpose
from strongroom.vault.canary import hear_canary


@pytest.fixture(scope="module")
def site() -> Iterator[Installed]:
    with installed(free_ports(4)) as made:
        yield made


def test_a_merchants_key_is_rotated_and_listed(site: Installed) -> None:
    run = site.run
    merchant = run.done("merchant", "create", "Corner Shop", "--json").json["id"]
    first = run.done("keys", "rotate", "card", "--merchant", merchant, "--mode", "test", "--json")
    assert first.json == {"name": "card", "version": 1, "job": None}, "there was none"
    second = run.done("keys", "rotate", "card", "--merchant", merchant, "--mode", "test", "--json")
    assert second.json["version"] == 2
    assert second.json["job"].startswith("job_")
    listed = run.done("keys", "list", "--json").json
    mine = {each["version"]: each["state"] for each in listed if each["merchant"] == merchant}
    assert mine == {1: "retiring", 2: "active"}
    stored = [each["algorithms_in_use"] for each in listed if each["merchant"] == merchant]
    assert stored == [[], []], "no card yet"
    assert "A256CBC-HS512" in run.done("keys", "list").out
    roots = {each["name"] for each in listed if each["kind"] == "root"}
    assert roots == {"audit", "card", "credential", "identity", "webhook"}
    assert run.done("keys", "list", "--overdue").out == "no key is overdue\n"
    early = run("keys", "destroy", "card", "1", "--merchant", merchant, "--mode", "test", "--yes")
    assert (early.code, early.err.partition(":")[0]) == (1, "key_still_serves")
    assert run("keys", "rotate", "cards", "--merchant", merchant).code == 2


#: Every key, whose it is said to be, and what the command answers: a version, or the code of its refusal.
ROTATED: list[tuple[str, str, int | str]] = [
    ("api_key_hash", "--platform", "key_not_rotated"),
    ("approval_fingerprint", "--platform", "key_not_rotated"),
    ("audit_row_mac", "--platform", "key_not_rotated"),
    ("card", "--merchant", 1),
    ("card", "--platform", 2),
    ("checkpoint_seed", "--platform", 2),
    ("credentials", "--merchant", 1),
    ("customer_data", "--merchant", 1),
    ("customer_hash", "--merchant", "key_not_rotated"),
    ("fingerprint", "--merchant", 1),
    ("idempotency", "--merchant", 1),
    ("keyring_mac_audit", "--platform", "key_not_rotated"),
    ("keyring_mac_card", "--platform", "key_not_rotated"),
    ("keyring_mac_credential", "--platform", "key_not_rotated"),
    ("keyring_mac_identity", "--platform", "key_not_rotated"),
    ("keyring_mac_webhook", "--platform", "key_not_rotated"),
    ("login_hash", "--platform", "key_not_rotated"),
    ("password_pepper", "--platform", "key_version_unknown"),  # nobody has a password yet
    ("provider_secrets", "--merchant", 1),
    ("receipt_signing_seed", "--platform", "key_version_unknown"),  # no receipt was given yet
    ("refresh_tokens", "--platform", "key_not_rotated"),
    ("request_fingerprint", "--merchant", 1),
    ("setup_link_hash", "--platform", "key_not_rotated"),
    ("sign_in_hash", "--platform", "key_not_rotated"),
    ("token_signing_seed", "--platform", "key_not_rotated"),
    ("totp_secrets", "--merchant", 1),
    ("transfer", "--merchant", 1),
    ("webhook_secrets", "--merchant", 1),
]


#: Whose older version is looked at afterwards.
TWICE = ("request_fingerprint", "totp_secrets", "transfer", "webhook_secrets")


async def served(site: Installed) -> None:
    """Have the vault's role run once: it makes keys of the platform, and seals its canary."""
    composer = Composer(site_of(site.here))
    try:
        await composer.vault()
    finally:
        await composer.close()


async def canary_sings(site: Installed) -> None:
    composer = Composer(site_of(site.here))
    try:
        database = await composer.database(Domain.VAULT, Login.VAULT)
        await hear_canary(database, await composer.keyring(database, Purpose.CARD))
        async with database.transaction() as tx:
            row = await tx.row(Query("sealed", (), "select key_version from vault.canary"))
        assert row is not None
        assert row["key_version"] == 2
    finally:
        await composer.close()


async def answered(site: Installed, merchant: str) -> list[tuple[str, str, int | str]]:
    """Rotate every key as the command does; return what each was answered."""
    composer, found = Composer(site_of(site.here)), list[tuple[str, str, int | str]]()
    try:
        keys = await composer.operator_keys()
        for name, whose, _ in ROTATED:
            owner = "" if whose == "--platform" else merchant
            try:
                version, _ = await keys.rotate(owner, Mode.TEST, name, None, "operator:tests")
                found.append((name, whose, version))
            except StrongroomError as error:
                found.append((name, whose, error.code))
    finally:
        await composer.close()
    return found


def test_every_key_is_rotated_or_the_command_says_what_to_do_instead(site: Installed) -> None:
    run = site.run
    asyncio.run(served(site))
    assert {name for name, _, _ in ROTATED} == {each.value for each in KeyName}
    merchant = run.done("merchant", "create", "Every Key", "--json").json["id"]
    assert asyncio.run(answered(site, merchant)) == ROTATED
    asyncio.run(canary_sings(site))
    refused = run("keys", "rotate", "api_key_hash", "--platform")
    assert (refused.code, refused.err.partition(":")[0]) == (1, "key_not_rotated")
    assert "every API key would end" in refused.err
    owner = ("--merchant", merchant, "--mode", "test")
    for name in TWICE:
        assert run.done("keys", "rotate", name, *owner, "--json").json["version"] == 2
    listed = run.done("keys", "progress", "--json").json
    assert {(each["column"], each["mode"], each["state"]) for each in listed} == {
        ("identity.totp.sealed_secret", None, "waiting"),
        ("webhooks.endpoint.sealed_secrets", "test", "waiting"),
        ("webhooks.notice.sealed", "test", "waiting"),
        ("webhooks.source.sealed_secrets", "test", "waiting"),
    }
    shown = run.done("keys", "list", "--json").json
    retiring = {
        each["name"]: each["uses"]
        for each in shown
        if each["merchant"] == merchant and each["state"] == "retiring"
    }
    assert retiring == {
        "request_fingerprint": None,  # nothing is sealed under it
        "totp_secrets": 0,
        "transfer": 0,
        "webhook_secrets": 0,
    }
    early = run("keys", "destroy", "webhook_secrets", "1", *owner, "--yes")
    assert (early.code, early.err.partition(":")[0]) == (1, "key_still_serves")
    again = run("keys", "reseal", "request_fingerprint", *owner)
    assert (again.code, again.err.partition(":")[0]) == (1, "key_not_rotated")
    assert run("keys", "rotate", "card").code == 2, "whose?"
    assert run("keys", "rotate", "card", "--merchant", merchant, "--platform").code == 2


@pytest.mark.parametrize("purpose", ["card", "identity", "audit"])
def test_a_root_is_rotated_and_everything_goes_on(site: Installed, purpose: str) -> None:
    run = site.run
    before = {
        (each["where"], each["merchant"], each["mode"], each["name"], each["version"])
        for each in run.done("keys", "list", "--json").json
        if each["kind"] == "data_key"
    }
    done = run.done("keys", "rotate-root", purpose, "--json").json
    assert done["rewrapped"] > 0
    again = run.done("keys", "rotate-root", purpose, "--rewrap-only", "--json").json
    assert again["rewrapped"] >= done["rewrapped"], "safe to repeat"
    listed = run.done("keys", "list", "--json").json
    (root,) = [each for each in listed if each["kind"] == "root" and each["name"] == purpose]
    assert root["where"].endswith(f"#{purpose}/2")
    assert before <= {
        (each["where"], each["merchant"], each["mode"], each["name"], each["version"])
        for each in listed
    }
    # What hangs from the root opens, and its rows carry their MACs.
    made = run.done("merchant", "create", f"After {purpose}", "--json").json["id"]
    run.done(
        "key",
        "create",
        "--merchant",
        made,
        "--mode",
        "test",
        "--kind",
        "sk",
        "--name",
        "n",
        "--quiet",
    )


async def cut_off(site: Installed) -> tuple[int, int, int]:
    """Wrap anew, and be cut off on the way; then again, and from the beginning. Return how many each wrapped."""
    composer = Composer(site_of(site.here))
    try:
        keys = await composer.operator_keys()
        for _ in range(9):
            merchant = new_id("mer")
            for name in ("card", "fingerprint", "idempotency"):
                await keys.rotate(merchant, Mode.LIVE, name, None, "operator:tests")
        counts: list[int] = []

        class Killed(Exception):
            pass

        def told(done: int) -> None:
            counts.append(done)
            if done == NOTED_EVERY + 3 and len(counts) == done:
                raise Killed

        with pytest.raises(Killed):
            await keys.rewrap(Purpose.CARD, "operator:tests", told, resume=True)
        counts.append(-1)
        total = await keys.rewrap(Purpose.CARD, "operator:tests", told, resume=True)
        resumed = len(counts) - counts.index(-1) - 1
        counts.append(-2)
        assert await keys.rewrap(Purpose.CARD, "operator:tests", told, resume=True) == total
        whole = len(counts) - counts.index(-2) - 1
        return total, resumed, whole
    finally:
        await composer.close()


def test_wrapping_anew_goes_on_where_it_was_cut_off(site: Installed) -> None:
    total, resumed, whole = asyncio.run(cut_off(site))
    assert total == whole > NOTED_EVERY + 3
    assert resumed == total - NOTED_EVERY, "what was noted is not done again"
