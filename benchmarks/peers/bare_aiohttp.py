"""aiohttp by hand: pages one after another, gets by a fixed number of workers, JSON lines in the list's order.

Nothing is retried, nothing is remembered.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import TextIO

LIST_PATH = "/api/messaging/logs"
PAGE_SIZE = 1_000


def main() -> None:
    """Read the arguments and open the output."""
    settings_file, mode, concurrency, output = sys.argv[1:]
    settings = json.loads(Path(settings_file).read_text(encoding="utf-8"))
    with Path(output).open("w", encoding="utf-8") as lines:
        asyncio.run(extract(settings, mode, int(concurrency), lines))


async def extract(settings: dict[str, Any], mode: str, concurrency: int, lines: TextIO) -> None:
    """List the logs, and in mode `get` get each of them."""
    async with aiohttp.ClientSession(
        f"http://{settings['space']}",
        auth=aiohttp.BasicAuth(settings["project_id"], settings["api_token"]),
        connector=aiohttp.TCPConnector(limit=concurrency),
    ) as session:
        if mode == "get":
            await get_all(session, concurrency, lines)
        else:
            async for log in listed(session):
                lines.write(json.dumps(log) + "\n")


async def get_all(session: aiohttp.ClientSession, workers: int, lines: TextIO) -> None:
    """Get every listed log; a bounded queue feeds the workers while the list is walked on."""
    queue: asyncio.Queue[tuple[str, asyncio.Future[Any]] | None] = asyncio.Queue(workers * 4)
    loop = asyncio.get_running_loop()
    in_order: deque[asyncio.Future[Any]] = deque()
    tasks = [asyncio.create_task(work(session, queue)) for _ in range(workers)]
    async for log in listed(session):
        future: asyncio.Future[Any] = loop.create_future()
        in_order.append(future)
        await queue.put((log["id"], future))
        while in_order and in_order[0].done():
            lines.write(json.dumps(in_order.popleft().result()) + "\n")
    for _ in tasks:
        await queue.put(None)
    for future in in_order:
        lines.write(json.dumps(await future) + "\n")
    await asyncio.gather(*tasks)


async def work(session: aiohttp.ClientSession, queue: asyncio.Queue[tuple[str, asyncio.Future[Any]] | None]) -> None:
    """Get one log after another until there are no more."""
    while entry := await queue.get():
        log_id, future = entry
        try:
            async with session.get(f"{LIST_PATH}/{log_id}", raise_for_status=True) as answer:
                future.set_result(json.loads(await answer.read()))
        except aiohttp.ClientError as error:
            future.set_exception(error)


async def listed(session: aiohttp.ClientSession) -> AsyncIterator[dict[str, Any]]:
    """Entries of every page."""
    url: str | None = f"{LIST_PATH}?page_size={PAGE_SIZE}"
    while url:
        async with session.get(url, raise_for_status=True) as answer:
            page = json.loads(await answer.read())
        for log in page["data"]:
            yield log
        url = page["links"].get("next")


if __name__ == "__main__":
    main()
