# SPDX-License-Identifier: Apache-2.0
"""The guard as a table: which URLs and addresses may be called, and the word for those that may not."""

import ipaddress
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.egress import (
    DestinationRefused,
    EgressPolicy,
    EgressPolicyMalformed,
    check_address,
    check_url,
)

NOTHING: Final = EgressPolicy()
LOCAL: Final = EgressPolicy(loopback=frozenset({"127.0.0.1:8460", "127.0.0.2", "[::1]:8460"}))

#: URL, what comes of it under a policy that excepts nothing.
URLS: Final = [
    ("https://api.example.com", "https://api.example.com/"),
    ("https://api.example.com/", "https://api.example.com/"),
    ("https://API.Example.com/v1/A?b=C", "https://api.example.com/v1/A?b=C"),
    ("https://api.example.com:443/v1", "https://api.example.com/v1"),
    ("https://api.example.com?x=1", "https://api.example.com/?x=1"),
    ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
    ("https://api.example.com/a%20b@c:d", "https://api.example.com/a%20b@c:d"),
    ("https://8.8.8.8/", "https://8.8.8.8/"),
    ("https://[2606:4700:0::1]/", "https://[2606:4700::1]/"),
    # scheme and port
    ("http://api.example.com/", "scheme_plain"),
    ("https://api.example.com:8443/", "port_not_registered"),
    ("https://api.example.com:0443/", "url_malformed"),
    ("https://api.example.com:99999/", "url_malformed"),
    ("https://api.example.com:/", "url_malformed"),
    ("https://api.example.com:443:443/", "url_malformed"),
    ("ftp://api.example.com/", "url_malformed"),
    ("HTTPS://api.example.com/", "url_malformed"),
    ("file:///etc/passwd", "url_malformed"),
    ("gopher://api.example.com/", "url_malformed"),
    ("//api.example.com/", "url_malformed"),
    ("api.example.com", "url_malformed"),
    ("https:api.example.com", "url_malformed"),
    ("https:/api.example.com", "url_malformed"),
    ("https:///api.example.com", "url_malformed"),
    ("https://", "url_malformed"),
    ("", "url_malformed"),
    # users, fragments, characters
    ("https://user@api.example.com/", "url_userinfo"),
    ("https://user:secret@api.example.com/", "url_userinfo"),
    ("https://api.example.com@127.0.0.1/", "url_userinfo"),
    ("https://api.example.com%40127.0.0.1/", "url_malformed"),
    ("https://api.example.com/#x", "url_fragment"),
    ("https://api.example.com#@127.0.0.1/", "url_fragment"),
    ("https://api.example.com\\@127.0.0.1/", "url_characters"),
    ("https:\\\\api.example.com/", "url_characters"),
    (" https://api.example.com/", "url_characters"),
    ("https://api.example.com/ x", "url_characters"),
    ("https://api.example.com/\r\nHost: x", "url_characters"),
    ("https://api.example.com/\x00", "url_characters"),
    ("https://api.exa\tmple.com/", "url_characters"),
    ("https://bücher.example/", "url_characters"),
    ("https://①②⑦.0.0.1/", "url_characters"),
    ("https://127。0。0。1/", "url_characters"),
    ("https://api.example.com/%zz", "url_malformed"),
    ("https://api.example.com/%2", "url_malformed"),
    ("https://api.exa%6dple.com/", "url_malformed"),
    ("https://api.example.com/a{b}", "url_malformed"),
    ("https://api.example.com/" + "a" * 2_048, "url_too_long"),
    # names
    ("https://localhost/", "host_not_public"),
    ("https://intranet/", "host_not_public"),
    ("https://api.localhost/", "host_not_public"),
    ("https://printer.local/", "host_not_public"),
    ("https://metadata.google.internal/", "host_not_public"),
    ("https://router.home.arpa/", "host_not_public"),
    ("https://api.example.com./", "host_malformed"),
    ("https://.example.com/", "host_malformed"),
    ("https://api..example.com/", "host_malformed"),
    ("https://-api.example.com/", "host_malformed"),
    ("https://api_.example.com/", "url_malformed"),
    ("https://" + "a" * 64 + ".example.com/", "host_malformed"),
    ("https://" + "a." * 130 + "com/", "host_malformed"),
    # numbers that some reader takes for an address
    ("https://2130706433/", "host_number"),
    ("https://0x7f000001/", "host_number"),
    ("https://0x7f.0.0.1/", "host_number"),
    ("https://0177.0.0.1/", "host_number"),
    ("https://127.1/", "host_number"),
    ("https://127.0.1/", "host_number"),
    ("https://127.0.0.1./", "host_number"),
    ("https://127.0.0.01/", "host_number"),
    ("https://127.0.0.256/", "host_number"),
    ("https://1.2.3.4.5/", "host_number"),
    ("https://api.example.0x7f/", "host_number"),
    ("https://0/", "host_number"),
    # addresses
    ("https://0.0.0.0/", "address_unspecified"),
    ("https://0.1.2.3/", "address_reserved"),
    ("https://127.0.0.1/", "address_loopback"),
    ("http://127.0.0.1:8460/", "address_loopback"),
    ("https://127.255.255.254/", "address_loopback"),
    ("https://10.0.0.1/", "address_private"),
    ("https://172.16.0.1/", "address_private"),
    ("https://172.31.255.255/", "address_private"),
    ("https://192.168.1.1/", "address_private"),
    ("https://100.64.0.1/", "address_shared"),
    ("https://100.100.100.200/", "address_metadata"),
    ("https://169.254.169.254/latest/meta-data/", "address_metadata"),
    ("https://169.254.170.2/", "address_metadata"),
    ("https://168.63.129.16/", "address_metadata"),
    ("https://169.254.0.1/", "address_link_local"),
    ("https://192.0.0.192/", "address_reserved"),
    ("https://192.0.2.1/", "address_reserved"),
    ("https://198.18.0.1/", "address_reserved"),
    ("https://198.51.100.7/", "address_reserved"),
    ("https://203.0.113.7/", "address_reserved"),
    ("https://224.0.0.1/", "address_multicast"),
    ("https://240.0.0.1/", "address_reserved"),
    ("https://255.255.255.255/", "address_reserved"),
    ("https://[::]/", "address_unspecified"),
    ("https://[::1]/", "address_loopback"),
    ("https://[0:0:0:0:0:0:0:1]/", "address_loopback"),
    ("https://[::ffff:127.0.0.1]/", "address_embedded"),
    ("https://[::ffff:7f00:1]/", "address_embedded"),
    ("https://[::ffff:8.8.8.8]/", "address_embedded"),
    ("https://[::127.0.0.1]/", "address_embedded"),
    ("https://[::ffff:0:127.0.0.1]/", "address_embedded"),
    ("https://[64:ff9b::7f00:1]/", "address_embedded"),
    ("https://[64:ff9b:1::7f00:1]/", "address_embedded"),
    ("https://[2002:7f00:1::]/", "address_embedded"),
    ("https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/", "address_embedded"),
    ("https://[2606:4700::5efe:7f00:1]/", "address_embedded"),
    ("https://[fe80::1]/", "address_link_local"),
    ("https://[fe80::1%25eth0]/", "url_malformed"),
    ("https://[fd00:ec2::254]/", "address_metadata"),
    ("https://[fd00::1]/", "address_private"),
    ("https://[fc00::1]/", "address_private"),
    ("https://[fec0::1]/", "address_private"),
    ("https://[ff02::1]/", "address_multicast"),
    ("https://[2001:db8::1]/", "address_reserved"),
    ("https://[2001:20::1]/", "address_reserved"),
    ("https://[3fff::1]/", "address_reserved"),
    ("https://[5f00::1]/", "address_reserved"),
    ("https://[100::1]/", "address_reserved"),
    ("https://[4000::1]/", "address_reserved"),
    ("https://[::1/", "url_malformed"),
    ("https://[1:2:3]/", "host_malformed"),
    ("https://[::1]x/", "url_malformed"),
]


@pytest.mark.parametrize(("url", "expected"), URLS)
def test_a_url(url: str, expected: str) -> None:
    if expected.startswith("https://"):
        assert check_url(url, NOTHING).url == expected
        return
    with pytest.raises(DestinationRefused) as refused:
        check_url(url, NOTHING)
    assert refused.value.reason == expected
    assert url == "" or url not in str(refused.value)


#: URL, what comes of it where `127.0.0.1:8460`, `127.0.0.2` and `[::1]:8460` are excepted.
EXCEPTED: Final = [
    ("http://127.0.0.1:8460/v1?a=b", "http://127.0.0.1:8460/v1?a=b"),
    ("https://127.0.0.1:8460/", "https://127.0.0.1:8460/"),
    ("http://127.0.0.2/", "http://127.0.0.2/"),
    ("http://127.0.0.2:1/", "http://127.0.0.2:1/"),
    ("http://[::1]:8460/", "http://[::1]:8460/"),
    ("http://[0::1]:8460/", "http://[::1]:8460/"),
    ("http://127.0.0.1:8461/", "address_loopback"),
    ("http://127.0.0.1/", "address_loopback"),
    ("http://127.0.0.3:8460/", "address_loopback"),
    ("http://[::1]/", "address_loopback"),
    ("http://[::ffff:127.0.0.1]:8460/", "address_embedded"),
    ("http://localhost:8460/", "host_not_public"),
    ("http://127.1:8460/", "host_number"),
    ("http://user@127.0.0.1:8460/", "url_userinfo"),
    ("http://10.0.0.1:8460/", "address_private"),
    ("http://8.8.8.8/", "scheme_plain"),
]


@pytest.mark.parametrize(("url", "expected"), EXCEPTED)
def test_an_exact_loopback_address_may_be_excepted(url: str, expected: str) -> None:
    if expected.startswith("http"):
        assert check_url(url, LOCAL).url == expected
    else:
        with pytest.raises(DestinationRefused) as refused:
            check_url(url, LOCAL)
        assert refused.value.reason == expected
    production = EgressPolicy(loopback=LOCAL.loopback, production=True)
    with pytest.raises(DestinationRefused):
        check_url(url, production)


@pytest.mark.parametrize(
    "entry",
    ["localhost", "localhost:1", "10.0.0.1", "8.8.8.8:443", "127.0.0.1:0", "127.0.0.1:70000",
     "127.0.0.1:", "127.1", "127.0.0.0/8", "*", "", "::", "[::1", "::ffff:127.0.0.1", "0.0.0.1"],
)  # fmt: skip
def test_nothing_but_loopback_is_excepted(entry: str) -> None:
    with pytest.raises(EgressPolicyMalformed):
        EgressPolicy(loopback=frozenset({entry}))


def test_a_registered_port_is_the_only_other_one() -> None:
    url = "https://api.example.com:8443/x"
    assert check_url(url, NOTHING, port=8443).url == url
    assert check_url(url, NOTHING, port=None).port == 8443
    for other in ("https://api.example.com/x", "https://api.example.com:8444/x"):
        with pytest.raises(DestinationRefused):
            check_url(other, NOTHING, port=8443)
    with pytest.raises(DestinationRefused):  # a port does not take TLS away
        check_url("http://api.example.com:8443/x", NOTHING, port=8443)


@given(st.ip_addresses())
def test_an_address_that_passes_is_a_public_one(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    try:
        check_address(str(address), NOTHING, 443)
    except DestinationRefused:
        return
    assert address.is_global
    assert not address.is_multicast


@given(st.text(max_size=80) | st.from_regex(r"https?://[a-z0-9.\[\]:@\\/#?%-]{0,60}"))
def test_any_text_is_a_target_or_refused(text: str) -> None:
    try:
        target = check_url(text, NOTHING, port=None)
    except DestinationRefused:
        return
    assert target.scheme == "https"
    # What was read once reads the same a second time.
    assert check_url(target.url, NOTHING, port=None) == target


@pytest.mark.parametrize("text", ["", "x", "fe80::1%eth0", "127.0.0.1%", "1.2.3"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(DestinationRefused):
        check_address(text, NOTHING, 443)
