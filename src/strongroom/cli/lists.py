# SPDX-License-Identifier: Apache-2.0
"""Lists of a running Strongroom's things: asked for page by page, printed for people or for scripts."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from strongroom.cli.console import out, print_json, progress

if TYPE_CHECKING:
    from strongroom.cli.client import Client

#: Things a page, as many as the API gives at once.
PAGE_LENGTH_MAX: Final = 100


def newest(
    client: "Client", path: str, limit: int, query: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Return the newest things of a list, at most `limit`. A terminal shows how far it is.

    Raises:
        VaultAway, AnswerLost, VaultRefused: see each.
    """
    found: list[dict[str, Any]] = []
    asked = dict(query or {})
    with progress() as bar:
        task = bar.add_task(path.rpartition("/")[2], total=limit)
        while len(found) < limit:
            asked["limit"] = str(min(PAGE_LENGTH_MAX, limit - len(found)))
            page = client.ask("GET", path, query=asked)
            found += page["data"]
            bar.update(task, completed=len(found))
            if not page["has_more"]:
                break
            asked["cursor"] = page["next_cursor"]
    return found


def print_list(
    found: list[dict[str, Any]],
    show: Callable[[list[dict[str, Any]]], None],
    *,
    none: str,
    as_json: bool,
) -> None:
    """Print what was found: JSON for scripts; for people `show` does it, or `none` says that there is nothing."""
    if as_json:
        print_json(found)
    elif found:
        show(found)
    else:
        out.print(none)
