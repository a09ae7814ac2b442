# SPDX-License-Identifier: Apache-2.0
"""HTTP: the edge every request passes, the routes' guard, problems, and the server. Knows no domain."""

from strongroom.http.auth import Authenticator, Credential, Unauthenticated
from strongroom.http.request import Answer, Request
from strongroom.http.requires import PUBLIC

__all__ = ["PUBLIC", "Answer", "Authenticator", "Credential", "Request", "Unauthenticated"]
