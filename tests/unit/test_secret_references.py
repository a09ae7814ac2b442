# SPDX-License-Identifier: Apache-2.0
"""References to secrets: what is one, what is none, and that what is none is never repeated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.config import SecretScheme, SettingRefused, load_settings, parse_reference
from strongroom.config.references import parse_login_passwords

GOOD = {
    "env:DSN": ("env", "DSN", None, None),
    "env:_a1": ("env", "_a1", None, None),
    "file:/run/secrets/dsn": ("file", "/run/secrets/dsn", None, None),
    "file:C#@x": ("file", "C#@x", None, None),
    "aws-sm:strongroom/db": ("aws-sm", "strongroom/db", None, None),
    "aws-sm:strongroom/db#password": ("aws-sm", "strongroom/db", "password", None),
    "aws-sm:db#password@AWSPREVIOUS": ("aws-sm", "db", "password", "AWSPREVIOUS"),
    "aws-sm:db@AWSPREVIOUS": ("aws-sm", "db", None, "AWSPREVIOUS"),
    "aws-sm:arn:aws:secretsmanager:me-central-1:123456789012:secret:db-AbCdEf#p": (
        "aws-sm",
        "arn:aws:secretsmanager:me-central-1:123456789012:secret:db-AbCdEf",
        "p",
        None,
    ),
    "gcp-sm:shop-1/db": ("gcp-sm", "shop-1/db", None, None),
    "gcp-sm:example.com:shop/db#password@7": ("gcp-sm", "example.com:shop/db", "password", "7"),
    "vault:secret/strongroom/db#password": ("vault", "secret/strongroom/db", "password", None),
    "vault:secret/db#password@3": ("vault", "secret/db", "password", "3"),
}

BAD = [
    *(
        "",
        ":",
        "hunter2",
        "postgresql://u:hunter2@db/x",
        "Env:A",
        "envA",
        "env",
        "http://x",
        "aws:x",
    ),
    *("env:", "env:1A", "env:A B", "env:A=hunter2", "env:A\n", "env: A", "file:", "file:\0"),
    *("aws-sm:", "aws-sm:a b", "aws-sm:a#", "aws-sm:a#b@", "aws-sm:a@b@c", "aws-sm:#b"),
    *("aws-sm:a#b#c", "aws-sm:ä", "aws-sm:a#b c", "aws-sm:a?b", "aws-sm:" + "a" * 2049),
    *("gcp-sm:db", "gcp-sm:a/b/c", "gcp-sm:A/b", "gcp-sm:a/", "gcp-sm:/b", "gcp-sm:a/b@latest"),
    *("gcp-sm:a/b@0", "gcp-sm:a/../b", "gcp-sm:a/b?x", "gcp-sm:a/b#"),
    *("vault:db#p", "vault:secret/db", "vault:/secret/db#p", "vault:secret//db#p"),
    *("vault:secret/../sys/raw#p", "vault:secret/./db#p", "vault:secret/db?x=1#p"),
    *("vault:secret/db#", "vault:secret/db#p@0", "vault:secret/db/#p", "vault:secret/%2e%2e/x#p"),
    "vault:secret/" + "a/" * 40 + "b#p",
]


@pytest.mark.parametrize(("text", "parts"), GOOD.items(), ids=GOOD)
def test_a_reference_is_read_and_prints_as_it_was_written(
    text: str, parts: tuple[str, str, str | None, str | None]
) -> None:
    found = parse_reference(text)
    assert (found.scheme, found.name, found.field, found.version) == parts
    assert str(found) == text


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_reference_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|begins with") as refused:
        parse_reference(text)
    assert "hunter2" not in str(refused.value)
    if len(text) > 8:
        assert text not in str(refused.value)


@given(st.text(max_size=60))
def test_nothing_else_happens_whatever_is_given(text: str) -> None:
    for scheme in ("", *(f"{each}:" for each in SecretScheme)):
        try:
            found = parse_reference(scheme + text)
        except ValueError:
            continue
        assert parse_reference(str(found)) == found
        if found.scheme is SecretScheme.VAULT:
            assert ".." not in found.name.split("/")


@pytest.mark.parametrize(
    "text", ["aws-sm:strongroom/db", "env:{login}", "{login}", "vault:{login}#p"]
)
def test_a_reference_for_every_login_names_the_login(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|passwords|begins"):
        parse_login_passwords(text)


def test_every_malformed_reference_of_the_settings_is_named_at_once() -> None:
    with pytest.raises(SettingRefused) as refused:
        load_settings(
            {
                "STRONGROOM_VAULT_DATABASE": "postgresql://u:hunter2@db/x",
                "STRONGROOM_PKCS11_PIN": "hunter2",
                "STRONGROOM_LOGIN_PASSWORDS": "aws-sm:hunter2",
            }
        )
    for name in ("VAULT_DATABASE", "PKCS11_PIN", "LOGIN_PASSWORDS"):
        assert f"STRONGROOM_{name}" in refused.value.detail
    assert "hunter2" not in refused.value.detail
