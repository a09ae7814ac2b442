# SPDX-License-Identifier: Apache-2.0
"""Settings of the edge: what can be read, and that a proxy is believed only where one is named."""

import pytest

from strongroom.config import ForwardedHeader, SettingRefused, load_settings

PROXIES = {"STRONGROOM_TRUSTED_PROXIES": "10.0.5.0/28, 2001:db8::/64"}


def test_they_are_read() -> None:
    settings = load_settings(
        {
            **PROXIES,
            "STRONGROOM_FORWARDED_HEADER": "forwarded",
            "STRONGROOM_PROXY_PROTOCOL": "true",
            "STRONGROOM_CLIENT_CERTIFICATE_HEADER": "X-Client-Certificate",
            "STRONGROOM_CONSOLE_FROM": "203.0.113.0/24",
        }
    )
    assert settings.trusted_proxies == ("10.0.5.0/28", "2001:db8::/64")
    assert settings.forwarded_header is ForwardedHeader.FORWARDED
    assert settings.proxy_protocol
    assert settings.client_certificate_header == "x-client-certificate"
    assert settings.console_from == ("203.0.113.0/24",)


def test_nobody_is_believed_unless_told() -> None:
    settings = load_settings({})
    assert settings.trusted_proxies == ()
    assert settings.forwarded_header is ForwardedHeader.NONE
    assert not settings.proxy_protocol
    assert settings.client_certificate_header is None


REFUSED = {
    "STRONGROOM_TRUSTED_PROXIES": ("10.0.5.1/28", "proxy.example", "10.0.0.0/8;::1"),
    "STRONGROOM_CONSOLE_FROM": ("203.0.113.7/24", "office"),
    "STRONGROOM_OPERATIONS_FROM": ("10.0.0.1/8",),
    "STRONGROOM_FORWARDED_HEADER": ("x-real-ip", "X-Forwarded-For, forwarded"),
    "STRONGROOM_PROXY_PROTOCOL": ("yes",),
    "STRONGROOM_CLIENT_CERTIFICATE_HEADER": ("authorization", "x-", "x client", "x-a\n"),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values]
)
def test_what_cannot_be_read_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingRefused, match=name) as refused:
        load_settings({**PROXIES, name: value})
    assert value not in str(refused.value).replace("begins with x-", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRONGROOM_FORWARDED_HEADER", "x-forwarded-for"),
        ("STRONGROOM_PROXY_PROTOCOL", "true"),
        ("STRONGROOM_CLIENT_CERTIFICATE_HEADER", "x-client-certificate"),
    ],
)
def test_a_proxy_that_is_believed_has_a_name(name: str, value: str) -> None:
    with pytest.raises(SettingRefused, match="STRONGROOM_TRUSTED_PROXIES"):
        load_settings({name: value})
