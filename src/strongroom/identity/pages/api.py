# SPDX-License-Identifier: Apache-2.0
"""Routes of the console's listener that serve the pages where people sign in, and what those load."""

from typing import Final

from strongroom.http.pages import page_route

_HERE: Final = "strongroom.identity.pages"

ROUTES: Final = (
    page_route("/login", _HERE, "login.html", "The page where people log in"),
    page_route("/setup", _HERE, "setup.html", "The page that a set-up link opens"),
    page_route("/account", _HERE, "account.html", "The page of one's own account"),
    page_route("/pages/strongroom.css", _HERE, "strongroom.css", "How the pages look"),
    page_route("/pages/mark.svg", _HERE, "mark.svg", "The pages' mark"),
    page_route("/pages/talk.js", _HERE, "talk.js", "How the pages talk to the API"),
    page_route("/pages/login.js", _HERE, "login.js", "What the login page does"),
    page_route("/pages/setup.js", _HERE, "setup.js", "What the set-up page does"),
    page_route("/pages/account.js", _HERE, "account.js", "What the account page does"),
)
