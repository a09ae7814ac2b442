# SPDX-License-Identifier: Apache-2.0
"""The how-tos of the key stores grant each role its own roots and no others: what they say is what the code uses."""

import re

import pytest

from docs.pages import ROOT
from strongroom.config.roles import ServedRole
from strongroom.keys import ROLE_ROOTS, Purpose

PAGES = ("use-aws-kms", "use-google-cloud-kms", "use-openbao-transit")
_GRANT = re.compile(
    r'^(?:allow|grant) +(?:strongroom-)?(?P<role>[a-z]+) +"(?P<purposes>[a-z ]+)"', re.MULTILINE
)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_grants_each_role_its_own_roots(page: str) -> None:
    text = (ROOT / "docs" / "howto" / f"{page}.md").read_text("utf-8")
    granted = {
        ServedRole(found["role"]): {Purpose(word) for word in found["purposes"].split()}
        for found in _GRANT.finditer(text)
    }
    assert granted == ROLE_ROOTS
    made = re.search(r"for purpose in (?P<purposes>[a-z ]+); do", text)
    assert made is not None
    assert {Purpose(word) for word in made["purposes"].split()} == set(Purpose)
