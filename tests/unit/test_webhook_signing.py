# SPDX-License-Identifier: Apache-2.0
"""What we sign is what an implementation that is not ours verifies; secrets do not print; rotation overlaps."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from strongroom.kernel.events import EventType
from strongroom.kernel.invariant import Bug
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.webhooks import (
    EndpointTested,
    event_schema,
    event_schemas,
    make_event,
    new_secret,
    signed_headers,
    signing_key,
)
from strongroom.webhooks.envelope import PAYLOAD_BYTES_MAX
from strongroom.webhooks.secrets import SECRETS_MAX, EndpointSecret, rotated

NOW = datetime.now(UTC)
EVENT = "evt_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"


def headers(*secrets: Secret[str], body: bytes, at: datetime | None = None) -> dict[str, str]:
    """Sign; the other package looks at the machine's clock, so unless told otherwise it is signed now."""
    keys = [signing_key(secret) for secret in secrets]
    moment = at or datetime.now(UTC)
    return dict(signed_headers(keys, EVENT, int(moment.timestamp()), body))


@given(text=st.text())
def test_the_independent_package_verifies_any_body(text: str) -> None:
    body = msgspec.json.encode({"text": text.encode("utf-8", "replace").decode()})
    secret = new_secret()
    assert Webhook(secret.expose()).verify(body, headers(secret, body=body)) == msgspec.json.decode(
        body
    )


#: What is altered on the way.
ALTERED: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "nothing": lambda _: {},
    "the id": lambda _: {"webhook-id": "evt_01KAHX3MZ4V8Q2T6N0R5W7Y9CC"},
    "the time": lambda sent: {"webhook-timestamp": str(int(sent["webhook-timestamp"]) + 1)},
}


@pytest.mark.parametrize(
    ("what", "body"), [("nothing", b'{"a": 2}'), ("the id", b'{"a": 1}'), ("the time", b'{"a": 1}')]
)
def test_the_independent_package_refuses_what_was_altered(what: str, body: bytes) -> None:
    secret = new_secret()
    sent = headers(secret, body=b'{"a": 1}')
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(secret.expose()).verify(body, sent | ALTERED[what](sent))


def test_during_a_rotation_either_secret_verifies_and_no_other() -> None:
    old, new, other = new_secret(), new_secret(), new_secret()
    sent = headers(new, old, body=b"{}")
    assert len(sent["webhook-signature"].split(" ")) == 2
    for each in (old, new):
        Webhook(each.expose()).verify(b"{}", sent)
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(other.expose()).verify(b"{}", sent)


def test_a_secret_is_the_base64_of_32_random_bytes() -> None:
    made = {new_secret().expose() for _ in range(50)}
    assert len(made) == 50
    for text in made:
        assert text.startswith("whsec_")
        assert len(b64decode(text.removeprefix("whsec_"), validate=True)) == 32
    assert "whsec" not in repr(new_secret())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "whsec_" + b64encode(bytes(23)).decode(),
        "whsec_" + b64encode(bytes(65)).decode(),
        "whsec_" + "!" * 44,
        b64encode(bytes(32)).decode(),
    ],
)
def test_what_is_no_secret_of_ours_signs_nothing(text: str) -> None:
    with pytest.raises(Bug):
        signing_key(Secret(text))


def test_nothing_is_sent_unsigned() -> None:
    with pytest.raises(Bug):
        signed_headers([], EVENT, 1, b"{}")


# --- rotation ----------------------------------------------------------------------------------------


def texts(secrets: object) -> list[str]:
    assert isinstance(secrets, list)
    return [each.text.expose() for each in secrets]


def test_a_rotated_secret_holds_for_the_overlap_and_no_longer() -> None:
    first, second, third = (Secret(f"whsec_{n}") for n in "abc")
    one = rotated([EndpointSecret(first)], second, NOW, 3_600)
    assert texts(one) == ["whsec_b", "whsec_a"]
    assert one[0].until is None
    assert one[1].until == NOW + timedelta(hours=1)
    assert one[1].holds(NOW + timedelta(minutes=59))
    assert not one[1].holds(NOW + timedelta(hours=1))
    # A second rotation lengthens nothing, and an ended secret is dropped.
    two = rotated(one, third, NOW + timedelta(minutes=30), 86_400)
    assert texts(two) == ["whsec_c", "whsec_b", "whsec_a"]
    assert two[2].until == NOW + timedelta(hours=1)
    assert texts(rotated(two, first, NOW + timedelta(hours=2), 0)) == ["whsec_a"]


def test_no_more_than_a_few_hold_at_once() -> None:
    secrets = [EndpointSecret(new_secret())]
    for _ in range(10):
        secrets = list(rotated(secrets, new_secret(), NOW, 86_400))
    assert len(secrets) == SECRETS_MAX
    assert secrets[0].until is None


# --- events ------------------------------------------------------------------------------------------


def test_an_event_is_what_its_schema_says() -> None:
    made = make_event(EventType.WEBHOOK_TEST, "whe_1", EndpointTested("whe_1"), Mode.TEST, NOW)
    said = msgspec.json.decode(made.payload)
    assert list(said) == ["id", "type", "timestamp", "mode", "api_version", "data"]
    assert (said["id"], said["type"], said["data"]) == (
        made.id,
        "webhook.test",
        {"endpoint": "whe_1"},
    )
    assert datetime.fromisoformat(said["timestamp"]) == NOW
    schema = event_schema(EventType.WEBHOOK_TEST, EndpointTested)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(said)
    wrong: dict[str, Any]
    for wrong in ({**said, "type": "payment.captured"}, {**said, "id": "evt_1"}, {"data": {}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(schema).validate(wrong)


def test_every_type_has_a_schema() -> None:
    others: dict[EventType, type[msgspec.Struct]] = {
        each: EndpointTested for each in EventType if each is not EventType.WEBHOOK_TEST
    }
    schemas = event_schemas(others)
    assert sorted(schemas) == sorted(EventType)
    with pytest.raises(KeyError):
        event_schemas({})


def test_an_event_without_a_bound_is_a_bug() -> None:
    with pytest.raises(Bug):
        make_event(
            EventType.PAYMENT_CREATED, "pay_1", {"x": "x" * PAYLOAD_BYTES_MAX}, Mode.TEST, NOW
        )
