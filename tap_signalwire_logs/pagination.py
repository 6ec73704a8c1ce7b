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

MOST_EMPTY_PAGES = 1_000

# IDs become a part of the get endpoint's path, and must not be able to name another path.
SAFE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~-]*")


class Listed(msgspec.Struct, frozen=True):
    """What every entry of a list has, whatever its family; a stub of a deleted log has `discarded_at` beside it."""

    id: str
    created_at: str
    discarded_at: Any = None


@dataclass(frozen=True)
class Page(Generic[Taken]):
    """One page: how many entries it had, what was made of them, and the link to the next page (None on the last)."""

    count: int
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
        FatalError: The list can't be walked to its end: a loop, a link to another origin, or no end of empty pages.
        ExhaustedError, MissingError, UnauthorizedError: As `Channel.get`.
    """
    target = path
    query: Mapping[str, str | int] | None = parameters
    seen: set[str] = set()
    empty = 0
    while True:
        page = channel.get(target, query, decode=partial(_decode_page, take))
        yield page
        if page.next is None:
            return
        url = urljoin(channel.origin + target, page.next)
        if not same_origin(url, channel.origin):
            message = f"GET {path}: the next page lies on another origin, which is not followed; the list is incomplete"
            raise FatalError(message)
        empty = 0 if page.count else empty + 1
        if url in seen or empty > MOST_EMPTY_PAGES:
            message = f"GET {path}: the pages go round in circles; the list is incomplete, run again later"
            raise FatalError(message)
        seen.add(url)
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
    return Page(len(entries), take(entries), page.links.next)


class _Links(msgspec.Struct):
    next: str | None = None


class _Body(msgspec.Struct):
    links: _Links
    data: list[msgspec.Raw]


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_entry = msgspec.json.Decoder(Listed).decode
