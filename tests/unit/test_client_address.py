# SPDX-License-Identifier: Apache-2.0
"""Whose address a request came from: a table of what proxies and liars write, and what holds for any of it."""

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.config import ForwardedHeader
from strongroom.http.client_address import ForwardedMalformed, client_address
from strongroom.kernel.addresses import AddressMalformed, Networks, parse_address, parse_network

PROXIES = Networks.parse(["10.0.0.0/8", "fd00::/8"])
PROXY = "10.0.0.1"
XFF, FORWARDED = ForwardedHeader.X_FORWARDED_FOR, ForwardedHeader.FORWARDED


def found(peer: str, lines: list[str], header: ForwardedHeader) -> str:
    try:
        return str(client_address(parse_address(peer), lines, proxies=PROXIES, header=header))
    except ForwardedMalformed:
        return "malformed"


#: Peer, the header's lines, the caller.
X_FORWARDED_FOR: list[tuple[str, list[str], str]] = [
    (PROXY, ["203.0.113.7"], "203.0.113.7"),
    (PROXY, ["6.6.6.6, 203.0.113.7"], "203.0.113.7"),
    (PROXY, ["6.6.6.6", "203.0.113.7"], "203.0.113.7"),
    (PROXY, ["203.0.113.7", "10.0.0.2"], "203.0.113.7"),
    (PROXY, ["203.0.113.7, 10.0.0.2,10.0.0.3"], "203.0.113.7"),
    (PROXY, ["6.6.6.6, 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
    (PROXY, [" \t203.0.113.7\t "], "203.0.113.7"),
    (PROXY, ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    (PROXY, ["203.0.113.7:4711"], "203.0.113.7"),
    (PROXY, ["2001:db8::7"], "2001:db8::7"),
    (PROXY, ["2001:0DB8:0::0007"], "2001:db8::7"),
    (PROXY, ["[2001:db8::7]"], "2001:db8::7"),
    (PROXY, ["[2001:db8::7]:443"], "2001:db8::7"),
    (PROXY, ["::ffff:203.0.113.7"], "203.0.113.7"),
    (PROXY, ["203.0.113.7, ::ffff:10.0.0.2"], "203.0.113.7"),
    ("fd00::1", ["203.0.113.7"], "203.0.113.7"),
    ("::ffff:10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
    (PROXY, ['garbage, , ", 203.0.113.7'], "203.0.113.7"),
    (PROXY, [], PROXY),
    # nobody else is believed
    ("203.0.113.9", ["6.6.6.6"], "203.0.113.9"),
    ("203.0.113.9", ["10.0.0.2"], "203.0.113.9"),
    ("203.0.113.9", ["not an address"], "203.0.113.9"),
    ("2001:db8::9", ["6.6.6.6"], "2001:db8::9"),
    # what would have to be believed is no address
    (PROXY, [""], "malformed"),
    (PROXY, ["203.0.113.7,"], "malformed"),
    (PROXY, ["203.0.113.7, garbage, 10.0.0.2"], "malformed"),
    (PROXY, ["unknown"], "malformed"),
    (PROXY, ["localhost"], "malformed"),
    (PROXY, ["203.0.113.7 6.6.6.6"], "malformed"),
    (PROXY, ["203.0.113"], "malformed"),
    (PROXY, ["203.0.113.007"], "malformed"),
    (PROXY, ["3405803783"], "malformed"),
    (PROXY, ["203.0.113.7/32"], "malformed"),
    (PROXY, ["203.0.113.7:"], "malformed"),
    (PROXY, ["203.0.113.7:65536"], "malformed"),
    (PROXY, ["203.0.113.7:80a"], "malformed"),
    (PROXY, ["203.0.113.7:٣"], "malformed"),
    (PROXY, ["[203.0.113.7]"], "malformed"),
    (PROXY, ["[2001:db8::7"], "malformed"),
    (PROXY, ["2001:db8::7]"], "malformed"),
    (PROXY, ["[2001:db8::7]443"], "malformed"),
    (PROXY, ["[2001:db8::7]:"], "malformed"),
    (PROXY, ["fe80::1%eth0"], "malformed"),
    (PROXY, ['"203.0.113.7"'], "malformed"),
    (PROXY, ["for=203.0.113.7"], "malformed"),
    (PROXY, [", ".join(["10.0.0.2"] * 17)], "malformed"),
    (PROXY, [", ".join(["203.0.113.7", *["10.0.0.2"] * 15])], "203.0.113.7"),
]

RFC_7239: list[tuple[str, list[str], str]] = [
    (PROXY, ["for=203.0.113.7"], "203.0.113.7"),
    (PROXY, ["For=203.0.113.7;Proto=https;by=10.0.0.1"], "203.0.113.7"),
    (PROXY, ["proto=https ; for=203.0.113.7"], "203.0.113.7"),
    (PROXY, ['for="203.0.113.7:4711"'], "203.0.113.7"),
    (PROXY, ['for="[2001:db8::7]"'], "2001:db8::7"),
    (PROXY, ['for="[2001:db8::7]:443";host="a,b;c"'], "2001:db8::7"),
    (PROXY, ['for="20\\3.0.113.7"'], "203.0.113.7"),
    (PROXY, ["for=6.6.6.6, for=203.0.113.7"], "203.0.113.7"),
    (PROXY, ["for=6.6.6.6", "for=203.0.113.7"], "203.0.113.7"),
    (PROXY, ["for=203.0.113.7,for=10.0.0.2", "for=10.0.0.3"], "203.0.113.7"),
    (PROXY, ["for=203.0.113.7, for=unknown, for=10.0.0.2"], "malformed"),
    (PROXY, ["for=unknown, for=203.0.113.7"], "203.0.113.7"),
    (PROXY, ["garbage", "for=203.0.113.7"], "203.0.113.7"),
    (PROXY, [], PROXY),
    ("203.0.113.9", ["for=6.6.6.6"], "203.0.113.9"),
    # somebody opened a quotation mark for the proxy's part to fall into
    (PROXY, ['for="6.6.6.6, for=203.0.113.7'], "malformed"),
    (PROXY, ['for=6.6.6.6;x=", for="[2001:db8::7]"'], "malformed"),
    (PROXY, ['for=6.6.6.6;x="\\", for=203.0.113.7'], "malformed"),
    (PROXY, ["for=_hidden"], "malformed"),
    (PROXY, ["for=[2001:db8::7]"], "malformed"),
    (PROXY, ["for=203.0.113.7;for=6.6.6.6"], "malformed"),
    (PROXY, ["for=203.0.113.7;"], "malformed"),
    (PROXY, ["for=203.0.113.7,"], "malformed"),
    (PROXY, ["for = 203.0.113.7"], "malformed"),
    (PROXY, ["for="], "malformed"),
    (PROXY, ['for=""'], "malformed"),
    (PROXY, ["proto=https"], "malformed"),
    (PROXY, ["203.0.113.7"], "malformed"),
    (PROXY, [""], "malformed"),
    (PROXY, ["for=203.0.113.7 proto=https"], "malformed"),
    (PROXY, ["for=203.0.113.7\x00"], "malformed"),
]


@pytest.mark.parametrize(("peer", "lines", "caller"), X_FORWARDED_FOR)
def test_x_forwarded_for(peer: str, lines: list[str], caller: str) -> None:
    assert found(peer, lines, XFF) == caller


@pytest.mark.parametrize(("peer", "lines", "caller"), RFC_7239)
def test_forwarded(peer: str, lines: list[str], caller: str) -> None:
    assert found(peer, lines, FORWARDED) == caller


def test_nobody_is_believed_where_no_header_is_named() -> None:
    assert found(PROXY, ["203.0.113.7"], ForwardedHeader.NONE) == PROXY


addresses = st.ip_addresses().map(str).filter(lambda text: not text.startswith("::ffff:"))
strangers = addresses.filter(lambda text: parse_address(text) not in PROXIES)
hops = st.lists(st.sampled_from(["10.0.0.2", "10.255.0.9", "fd00::2"]), max_size=8)
headers = st.sampled_from([XFF, FORWARDED])


def written(node: str, header: ForwardedHeader) -> str:
    """What a proxy writes for a node."""
    if header is XFF:
        return node
    return f'for="[{node}]"' if ":" in node else f"for={node}"


@given(strangers, hops, st.lists(addresses, max_size=5), headers, st.data())
def test_whatever_a_caller_adds_to_the_left_changes_nothing(
    caller: str, behind: list[str], lies: list[str], header: ForwardedHeader, data: Any
) -> None:
    nodes = [written(node, header) for node in [*lies, caller, *behind]]
    lines: list[str] = []
    while nodes:  # the same list, on however many lines
        many = data.draw(st.integers(1, len(nodes)))
        lines.append(data.draw(st.sampled_from([",", ", ", " ,\t"])).join(nodes[:many]))
        nodes = nodes[many:]
    assert found(PROXY, lines, header) == str(ipaddress.ip_address(caller))


@given(strangers, st.lists(st.text(max_size=60), max_size=4), headers)
def test_a_stranger_is_always_itself(peer: str, lines: list[str], header: ForwardedHeader) -> None:
    assert found(peer, lines, header) == str(ipaddress.ip_address(peer))


@given(
    st.lists(st.text(alphabet='for=",;[]:.%0123456789abf_ \t\\', max_size=60), max_size=4), headers
)
def test_any_text_is_an_address_or_refused(lines: list[str], header: ForwardedHeader) -> None:
    answer = found(PROXY, lines, header)
    assert answer == "malformed" or parse_address(answer)


@given(st.text(alphabet='for=",;[]:.% \\x', max_size=40), strangers)
def test_no_left_part_on_a_line_of_its_own_swallows_the_proxys(left: str, caller: str) -> None:
    assert found(PROXY, [left, written(caller, FORWARDED)], FORWARDED) == str(
        ipaddress.ip_address(caller)
    )


# --- networks ----------------------------------------------------------------------------------------

#: What is given, and its one form or None.
CIDRS: list[tuple[str, str | None]] = [
    ("203.0.113.0/24", "203.0.113.0/24"),
    ("203.0.113.7", "203.0.113.7/32"),
    ("2001:DB8::/32", "2001:db8::/32"),
    ("2001:db8::7", "2001:db8::7/128"),
    ("0.0.0.0/0", "0.0.0.0/0"),
    ("::/0", "::/0"),
    ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
    ("203.0.113.1/24", None),
    ("2001:db8::1/32", None),
    ("203.0.113.0/33", None),
    ("203.0.113.0/-1", None),
    ("203.0.113/24", None),
    ("fe80::1%eth0", None),
    ("fe80::%1/64", None),
    (" 203.0.113.0/24", None),
    ("", None),
    ("/24", None),
    ("localhost", None),
]


@pytest.mark.parametrize(("text", "form"), CIDRS)
def test_a_network_has_one_form(text: str, form: str | None) -> None:
    if form is None:
        with pytest.raises(AddressMalformed):
            parse_network(text)
    else:
        assert str(parse_network(text)) == form


@given(st.ip_addresses(), st.lists(st.tuples(st.ip_addresses(), st.integers(0, 128)), max_size=5))
def test_membership_is_what_the_standard_library_says(address: Any, parts: Any) -> None:
    networks = [
        ipaddress.ip_network((each, min(prefix, each.max_prefixlen)), strict=False)
        for each, prefix in parts
    ]
    assert (address in Networks(networks)) == any(
        address in each for each in networks if each.version == address.version
    )
