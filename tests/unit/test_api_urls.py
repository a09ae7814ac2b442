# SPDX-License-Identifier: Apache-2.0
"""Under which URLs callers reach the listeners: what a proof of possession must name."""

from dataclasses import replace

import pytest

from strongroom.compose.sessions import urls_of
from strongroom.config import Listener, Settings, load_settings
from strongroom.config.errors import SettingRefused


def test_without_the_setting_each_listener_has_its_own() -> None:
    settings = Settings(vault_listen=Listener("::1", 8443))
    assert urls_of(settings, "vault") == ("https://[::1]:8443",)
    assert urls_of(settings, "gateway") == ("https://127.0.0.1:8444",)
    assert urls_of(replace(settings, plain_http=True), "vault") == ("http://[::1]:8443",)


def test_with_it_all_have_these() -> None:
    given = {"STRONGROOM_API_URLS": "https://vault.example, https://api.example:8443"}
    settings = load_settings(given)
    for listener in ("vault", "gateway", "console"):
        assert urls_of(settings, listener) == ("https://vault.example", "https://api.example:8443")


@pytest.mark.parametrize("text", ["vault.example", "https://", "https://a@b.example", "ftp://x"])
def test_what_is_no_url_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingRefused, match="STRONGROOM_API_URLS"):
        load_settings({"STRONGROOM_API_URLS": text})
