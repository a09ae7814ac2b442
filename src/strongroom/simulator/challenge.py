# SPDX-License-Identifier: Apache-2.0
"""The page on which a customer passes or fails a 3-D Secure challenge: HTML that needs no script. Pure."""

import base64
from html import escape
from typing import Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from strongroom.crypto import sha256
from strongroom.kernel.money import Money
from strongroom.simulator.books import Payment, Status

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #14213d; --paper: #f4f6fa; --card: #fff; --line: #d5dbe6; --yes: #0b6b3a;
  --no: #8f1d2c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf4; --paper: #10151f; --card: #1a2230; --line: #35415a;
  --yes: #157f48; --no: #a82a3c; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 26rem; padding: 2rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .75rem; }
p.where { margin: 0 0 .5rem; font-size: .875rem; letter-spacing: .04em; text-transform: uppercase; }
h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.25; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; margin: 0 0 1.5rem; }
dt { opacity: .75; }
dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
form { display: grid; gap: .75rem; }
button { padding: .75rem 1rem; border: 2px solid transparent; border-radius: .5rem; color: #fff; background: var(--yes);
  font: inherit; font-weight: 600; cursor: pointer; }
button.no { color: var(--ink); background: transparent; border-color: var(--no); }
button:focus-visible { outline: 3px solid #3b82f6; outline-offset: 2px; }
"""
_HASH: Final = base64.b64encode(sha256(_STYLE.encode())).decode()


def challenge_page(payment: Payment) -> str:
    """Return the page of a payment: two buttons while it waits, or a sentence that it is over."""
    if payment.status is not Status.REQUIRES_ACTION:
        return over_page()
    amount = escape(str(Money(payment.amount, payment.currency)))
    return _page(
        "Is it you who pays?",
        f"<dl><dt>To</dt><dd>{escape(payment.account)}</dd>"
        f"<dt>Amount</dt><dd>{amount}</dd>"
        f"<dt>Card</dt><dd>{escape(payment.card.brand)} ending in {escape(payment.card.last4)}</dd></dl>"
        '<form method="post">'
        '<button name="outcome" value="approve">Approve</button>'
        '<button class="no" name="outcome" value="fail">Fail</button>'
        "</form>",
    )


def over_page() -> str:
    """Return the page of a challenge that was answered, or has expired."""
    return _page(
        "This challenge is over", "<p>It was answered before. You can close this page.</p>"
    )


def done_page() -> str:
    """Return the page after a challenge of a payment that has no return_url."""
    return _page("Thank you", "<p>The payment goes on without you. You can close this page.</p>")


def page_headers(payment: Payment | None) -> dict[str, str]:
    """Return a page's headers. A form may lead where its answer redirects to, and nowhere else."""
    targets = "'self'"
    if payment is not None and payment.return_url is not None:
        parts = urlsplit(payment.return_url)
        targets += f" {parts.scheme}://{parts.netloc}"
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action {targets}; "
        "frame-ancestors 'none'; base-uri 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


def return_address(return_url: str, payment_id: str) -> str:
    """Return a return_url with the payment's id behind what is in its query."""
    parts = urlsplit(return_url)
    query = "&".join(part for part in (parts.query, urlencode({"payment": payment_id})) if part)
    return urlunsplit(parts._replace(query=query))


def _page(title: str, content: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        '<body><main><p class="where">Simulated bank · no money moves</p>'
        f"<h1>{escape(title)}</h1>{content}</main></body></html>"
    )
