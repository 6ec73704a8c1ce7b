"""Walking a list's pages by `links.next`: to the very end, on the same origin, or with an error."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from tap_signalwire_logs.client import FatalError, same_origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_signalwire_logs.client import Client

MOST_EMPTY_PAGES = 1_000

# IDs become a part of the get endpoint's path, and must not be able to name another path.
SAFE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~-]*")


def walk(
    client: Client, path: str, parameters: Mapping[str, str | int], *, scope: str
) -> Iterator[list[dict[str, Any]]]:
    """Entries of each page, in the service's order; an empty page that has a next is just a page.

    Raises:
        FatalError: The list can't be walked to its end: a loop, a link to another origin, or no end of empty pages.
        ExhaustedError, MissingError, UnauthorizedError: As `Client.get`.
    """
    target = path
    query: Mapping[str, str | int] | None = parameters
    seen: set[str] = set()
    empty = 0
    while True:
        body = client.get(target, query, scope=scope, accepts=what_is_wrong_with_page)
        yield body["data"]
        link = body["links"].get("next")
        if link is None:
            return
        url = urljoin(client.origin + target, link)
        if not same_origin(url, client.origin):
            message = f"GET {path}: the next page lies on another origin, which is not followed; the list is incomplete"
            raise FatalError(message)
        empty = 0 if body["data"] else empty + 1
        if url in seen or empty > MOST_EMPTY_PAGES:
            message = f"GET {path}: the pages go round in circles; the list is incomplete, run again later"
            raise FatalError(message)
        seen.add(url)
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        query = None


def what_is_wrong_with_page(body: Any) -> str | None:
    """Why a decoded body is no page of logs, or None: each entry needs an ID that is safe in a path."""
    if not isinstance(body, dict) or not isinstance(body.get("data"), list) or not isinstance(body.get("links"), dict):
        return "the body is no page of `links` and `data`"
    link = body["links"].get("next")
    if link is not None and (not isinstance(link, str) or not link):
        return "`links.next` is no link"
    for entry in body["data"]:
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or not SAFE_ID.fullmatch(entry["id"]):
            return "an entry of the page has no usable `id`"
        if not isinstance(entry.get("created_at"), str):
            return "an entry of the page has no `created_at`"
    return None
