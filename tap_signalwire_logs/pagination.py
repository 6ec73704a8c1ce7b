"""Walking a list's pages by `links.next`: to the very end, on the same origin, or with an error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec
from requests.utils import requote_uri

from tap_signalwire_logs.errors import InvalidResponseError, PaginationError
from tap_signalwire_logs.origin import same_origin

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from tap_signalwire_logs.client import Client

Taken = TypeVar("Taken")

MAX_STALE_PAGES = 1_000
"""Pages in a row that are empty, or show just what another has shown."""

# IDs become a part of the get endpoint's path, and must not be able to name another path.
SAFE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~-]*")


@dataclass(frozen=True)
class Page(Generic[Taken]):
    """One page: what `take` made of its entries, a hash of them (0 for none), and the next link (None on the last)."""

    taken: Taken
    digest: int
    next: str | None


async def iter_pages(
    client: Client,
    path: str,
    params: Mapping[str, str | int] | None,
    take: Callable[[list[msgspec.Raw]], tuple[Taken, int]],
    *,
    needs_links: bool = True,
    max_stale_pages: int = MAX_STALE_PAGES,
    max_tries: int | None = None,
) -> AsyncGenerator[Page[Taken], None]:
    """Pages in the service's order; an empty page that has a next is just a page.

    Args:
        client: The Space.
        path: The endpoint.
        params: Its query parameters.
        take: Makes of a page's entries what is wanted of them, and a hash that tells pages apart (0 for no entries).
        needs_links: Whether a body without `links` is none, rather than the only page.
        max_stale_pages: Pages in a row with nothing new after which the list is taken for endless.
        max_tries: Tries of each request, where they are not the client's.

    Raises:
        PaginationError: The links repeat, lead to another host, or never end with nothing new.
        RequestError, FatalError: As `Client.get`.
    """
    decode = partial(_decode_page, _decode_list if needs_links else _decode_data, take)
    target = path
    seen: set[str] = set()
    shown = {0}
    stale = 0
    while True:
        page = await client.get(target, params, decode=decode, is_page=True, max_tries=max_tries)
        yield page
        if page.next is None:
            return
        url = _absolute(client.origin + target, page.next)
        if not same_origin(url, client.origin):
            message = f"GET {path}: `links.next` points to another host; not followed"
            raise PaginationError(message)
        stale = stale + 1 if page.digest in shown else 0
        if url in seen or stale > max_stale_pages:
            message = f"GET {path}: pagination loop: `links.next` repeats"
            raise PaginationError(message)
        seen.add(url)
        shown.add(page.digest)
        parts = urlsplit(requote_uri(url))
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        params = None


def _decode_page(
    decode: Callable[[bytes | bytearray], _List | _Data],
    take: Callable[[list[msgspec.Raw]], tuple[Taken, int]],
    body: bytes | bytearray,
) -> Page[Taken]:
    """Page that a body holds.

    Raises:
        InvalidResponseError: It holds none.
    """
    if not body.isascii():
        body.decode()  # the texts of entries are not looked into here
    try:
        page = decode(body)
    except msgspec.ValidationError as error:
        message = f"the body is no page of logs ({error})"
        raise InvalidResponseError(message) from None
    if page.links.next == "":
        message = "`links.next` is empty"
        raise InvalidResponseError(message)
    return Page(*take(page.data), page.links.next)


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


class _List(msgspec.Struct):
    links: _Links
    data: list[msgspec.Raw]


class _Data(msgspec.Struct):
    data: list[msgspec.Raw]
    links: _Links = msgspec.field(default_factory=_Links)


_decode_list = msgspec.json.Decoder(_List).decode
_decode_data = msgspec.json.Decoder(_Data).decode
