"""Walking a list's pages by `links.next`: to the very end, on the same origin, or with an error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec
from requests.utils import requote_uri

from tap_signalwire_logs.errors import FatalError, NoAnswerError
from tap_signalwire_logs.origin import same_origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tap_signalwire_logs.client import Channel

Taken = TypeVar("Taken")

MOST_BARREN_PAGES = 1_000
"""Pages in a row that are empty, or show just what another has shown."""

# IDs become a part of the get endpoint's path, and must not be able to name another path.
SAFE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~-]*")


class Listed(msgspec.Struct, frozen=True):
    """What every entry of a list has, whatever its family; a stub of a deleted log has `discarded_at` beside it."""

    id: str
    created_at: str
    discarded_at: Any = None


@dataclass(frozen=True)
class Page(Generic[Taken]):
    """One page: a hash of its IDs (0 for none), what was made of its entries, and the next link (None on the last)."""

    ids: int
    taken: Taken
    next: str | None


def walk(
    channel: Channel,
    path: str,
    parameters: Mapping[str, str | int],
    take: Callable[[list[tuple[Listed, msgspec.Raw]]], Taken],
) -> Iterator[Page[Taken]]:
    """Pages in the service's order; an empty page that has a next is just a page.

    Args:
        channel: The Space.
        path: The list endpoint.
        parameters: Its query parameters.
        take: Makes of a page's entries, each with its own JSON, what is wanted of them. It runs on the client's thread,
            so that of many lists walked at once no more than one page is held in memory.

    Raises:
        FatalError: The list can't be walked to its end: a loop, a link to another origin, or no end of pages with
            nothing new.
        ExhaustedError, MissingError, UnauthorizedError: As `Channel.get`.
    """
    target = path
    query: Mapping[str, str | int] | None = parameters
    seen: set[str] = set()
    shown = {0}
    barren = 0
    while True:
        page = channel.get(target, query, decode=partial(_decode_page, take))
        yield page
        if page.next is None:
            return
        url = _absolute(channel.origin + target, page.next)
        if not same_origin(url, channel.origin):
            message = f"GET {path}: the next page lies on another origin, which is not followed; the list is incomplete"
            raise FatalError(message)
        barren = barren + 1 if page.ids in shown else 0
        if url in seen or barren > MOST_BARREN_PAGES:
            message = f"GET {path}: the pages go round in circles; the list is incomplete, run again later"
            raise FatalError(message)
        seen.add(url)
        shown.add(page.ids)
        parts = urlsplit(requote_uri(url))
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        query = None


def _decode_page(take: Callable[[list[tuple[Listed, msgspec.Raw]]], Taken], body: bytes | bytearray) -> Page[Taken]:
    """Page that a body holds.

    Raises:
        NoAnswerError: It holds none, or an entry without an ID that is safe in a path, or without created_at.
    """
    if not body.isascii():
        body.decode()  # the texts of entries are not looked into here
    try:
        page = _decode_body(body)
        entries = [(_decode_entry(raw), raw) for raw in page.data]
    except msgspec.ValidationError as error:
        message = f"the body is no page of logs ({error})"
        raise NoAnswerError(message) from None
    if page.links.next == "" or not all(SAFE_ID.fullmatch(listed.id) for listed, _ in entries):
        message = "`links.next` is no link, or an entry has no usable `id`"
        raise NoAnswerError(message)
    ids = hash(tuple([listed.id for listed, _ in entries])) if entries else 0
    return Page(ids, take(entries), page.links.next)


def _absolute(base: str, link: str) -> str:
    """URL of a link; an empty one, which has no origin, where it is none at all."""
    try:
        url = urljoin(base, link)
        urlsplit(url)
    except ValueError:
        return ""
    return url


class _Links(msgspec.Struct):
    next: str | None = None


class _Body(msgspec.Struct):
    links: _Links
    data: list[msgspec.Raw]


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_entry = msgspec.json.Decoder(Listed).decode
