# SPDX-License-Identifier: Apache-2.0
"""Database addresses: what is read, what is refused, and that a refusal never repeats a password."""

import traceback
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.db.address import Address, AddressRefused, parse_dsn
from strongroom.kernel.secret import Secret


def parts(address: Address) -> tuple[object, ...]:
    return (
        address.host,
        address.port,
        address.database,
        address.user,
        address.password.expose() if address.password else None,
        address.tls,
        str(address.ca_file) if address.ca_file else None,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://u:p@db/core", ("db", 5432, "core", "u", "p", "verify-full", None)),
        ("postgres://u@db:6432/core", ("db", 6432, "core", "u", None, "verify-full", None)),
        ("postgresql://u:@db/core", ("db", 5432, "core", "u", None, "verify-full", None)),
        (
            "postgresql://u:p@db/core?sslmode=disable",
            ("db", 5432, "core", "u", "p", "disable", None),
        ),
        (
            "postgresql://u:p@db/core?sslmode=verify-full&sslrootcert=/etc/ca%20x.pem",
            ("db", 5432, "core", "u", "p", "verify-full", "/etc/ca x.pem"),
        ),
        (
            "postgresql://u:p@db/core?sslrootcert=system",
            ("db", 5432, "core", "u", "p", "verify-full", None),
        ),
        (
            "postgresql://u%40x:p%2F%3A%40%23%3F%25@db/my%20core",
            ("db", 5432, "my core", "u@x", "p/:@#?%", "verify-full", None),
        ),
        ("postgresql://u:a:b@db/core", ("db", 5432, "core", "u", "a:b", "verify-full", None)),
        ("postgresql://u:p@[::1]:99/core", ("::1", 99, "core", "u", "p", "verify-full", None)),
        (
            "postgresql://u:p@[fe80::1]/core",
            ("fe80::1", 5432, "core", "u", "p", "verify-full", None),
        ),
        (
            "postgresql:///core?host=/run/Pg&user=u&password=p",
            ("/run/Pg", 5432, "core", "u", "p", "disable", None),
        ),
        (
            "postgresql://u:p@/core?host=/run/pg&port=6000",
            ("/run/pg", 6000, "core", "u", "p", "disable", None),
        ),
        (
            "postgresql://u:p@%2Frun%2FPg:6000/core",
            ("/run/Pg", 6000, "core", "u", "p", "disable", None),
        ),
        ("postgresql://u:p@db?dbname=core", ("db", 5432, "core", "u", "p", "verify-full", None)),
    ],
)
def test_address_is_read(text: str, expected: tuple[object, ...]) -> None:
    assert parts(parse_dsn(text)) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "begins with postgresql://"),
        ("mysql://u:hunter2@db/core", "begins with postgresql://"),
        ("u:hunter2@db/core", "begins with postgresql://"),
        ("postgresql://u:hunter2@/core", "names no host"),
        ("postgresql://u:hunter2@a,b/core", "several hosts"),
        ("postgresql://:hunter2@db/core", "names no user"),
        ("postgresql://db/core", "names no user"),
        ("postgresql://u:hunter2@db", "names no database"),
        ("postgresql://u:hunter2@db/", "names no database"),
        ("postgresql://u:hunter2@db:0/core", "port"),
        ("postgresql://u:hunter2@db:65536/core", "port"),
        ("postgresql://u:hunter2@db:x/core", "port"),
        ("postgresql://u:hunter2@db:/core", "port"),
        ("postgresql://u:hunter2@db:٣/core", "port"),
        ("postgresql://u:/hunter2@db/core", "holds a /"),
        ("postgresql://u:?hunter2@db/core", "takes only"),
        ("postgresql://u:#hunter2@db/core", "holds a #"),
        ("postgresql://u:hunter2 @db/core", "space"),
        ("postgresql://u:hunter2\n@db/core", "control"),
        ("postgresql://u:%hunter2@db/core", "encodes nothing"),
        ("postgresql://u:hunter2%ff@db/core", "not UTF-8"),
        ("postgresql://u:hunter2%00@db/core", "NUL"),
        ("postgresql://u:hunter2@[::1/core", "[ ]"),
        ("postgresql://u:hunter2@[::1]x/core", "[ ]"),
        ("postgresql://u:hunter2@db/core?host=/run/pg", "gives host twice"),
        ("postgresql://u:x@db/core?password=hunter2", "gives password twice"),
        ("postgresql://u:hunter2@db/core?sslmode=disable&sslmode=verify-full", "sslmode twice"),
        ("postgresql://u:hunter2@db/core?options=-cfsync%3Doff", "takes only"),
        ("postgresql://u:hunter2@db/core?sslmode", "takes only"),
        ("postgresql://u:hunter2@db/core?sslmode=require", "do not check who answers"),
        ("postgresql://u:hunter2@db/core?sslmode=prefer", "do not check who answers"),
        ("postgresql://u:hunter2@db/core?sslmode=verify-ca", "do not check who answers"),
        ("postgresql://u:hunter2@/core?host=/run&sslmode=verify-full", "a socket has no TLS"),
        ("postgresql://u:hunter2@db/core?sslmode=disable&sslrootcert=/x", "TLS is disabled"),
        ("postgresql://u:hunter2@db/core?sslrootcert=ca.pem", "absolute path"),
    ],
)
def test_address_is_refused_without_its_password(text: str, says: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        parse_dsn(text)
    assert says in refused.value.detail
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


@given(
    password=st.text(min_size=1).filter(lambda text: "\0" not in text and text.strip()),
    user=st.text(min_size=1).filter(lambda text: "\0" not in text),
    database=st.text(min_size=1).filter(lambda text: "\0" not in text),
    port=st.integers(1, 65535),
)
def test_what_is_encoded_is_read_back(password: str, user: str, database: str, port: int) -> None:
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    address = parse_dsn(f"postgresql://{login}@db:{port}/{quote(database, safe='')}")
    assert parts(address)[:5] == ("db", port, database, user, password)


@given(before=st.text(), after=st.text(), query=st.text())
def test_only_one_error_escapes_and_it_repeats_nothing(before: str, after: str, query: str) -> None:
    text = f"postgresql://{before}hunter2{after}@db/core?{query}"
    said = ""
    try:
        parse_dsn(text)
    except AddressRefused as error:
        said = "".join(traceback.format_exception(error))
    assert "hunter2" not in said


def test_address_prints_no_password() -> None:
    address = Address("db", 5432, "core", "u", Secret("hunter2"), ca_file=Path("/ca"))
    assert "hunter2" not in repr(address)
    assert not address.is_socket
    assert parse_dsn("postgresql://u@%2Frun/core").is_socket


def test_a_user_may_be_given_beside_the_address() -> None:
    assert parse_dsn("postgresql://db/core", user="strongroom_vault").user == "strongroom_vault"
    assert parse_dsn("postgresql://me@db/core", user="strongroom_vault").user == "me"
