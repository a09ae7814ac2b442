# SPDX-License-Identifier: Apache-2.0
"""What the console's routes of single sign-on stand on, as one value."""

from dataclasses import dataclass

from strongroom.identity.sso.providers import Providers
from strongroom.identity.sso.sign_in import SignIn


@dataclass(frozen=True, slots=True)
class Sso:
    """The parts behind the routes (`state.sso`)."""

    providers: Providers
    sign_in: SignIn
