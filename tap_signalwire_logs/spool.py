"""Sorting more items than memory should hold: sorted runs in a temporary file, merged on the way out."""

from __future__ import annotations

import heapq
import pickle
import tempfile
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Item = TypeVar("Item")

RUN_LENGTH = 5_000
BLOCK_LENGTH = 50


class Spool(Generic[Item]):
    """Takes items in any order, gives them back sorted, and one for each key.

    Args:
        key: The order of the items; of those with one key the first added comes out.
        run_length: Items held in memory; the rest waits in a nameless temporary file.
    """

    def __init__(self, key: Callable[[Item], Any], *, run_length: int = RUN_LENGTH) -> None:
        """Begin empty; no file is made before one is needed."""
        self._key = key
        self._run_length = run_length
        self._items: list[Item] = []
        self._file: IO[bytes] | None = None
        self._runs: list[list[int]] = []
        self.count = 0

    def add(self, item: Item) -> None:
        """Take one item."""
        self._items.append(item)
        self.count += 1
        if len(self._items) >= self._run_length:
            self._spill()

    def drain(self) -> Iterator[Item]:
        """Every item once, in order; the spool is empty and its file gone afterwards."""
        self._items.sort(key=self._key)
        runs = [self._read(blocks) for blocks in self._runs]
        previous = object()
        for item in heapq.merge(*runs, self._items, key=self._key):
            key = self._key(item)
            if key != previous:
                yield item
            previous = key
        self.close()

    def close(self) -> None:
        """Drop what is left, and the file."""
        self._items = []
        self._runs = []
        if self._file:
            self._file.close()
            self._file = None

    def _spill(self) -> None:
        self._items.sort(key=self._key)
        self._file = self._file or tempfile.TemporaryFile(prefix="tap-signalwire-logs-")  # noqa: SIM115 - outlives this call
        blocks = []
        for first in range(0, len(self._items), BLOCK_LENGTH):
            blocks.append(self._file.tell())
            pickle.dump(self._items[first : first + BLOCK_LENGTH], self._file, pickle.HIGHEST_PROTOCOL)
        self._runs.append(blocks)
        self._items = []

    def _read(self, blocks: list[int]) -> Iterator[Item]:
        for place in blocks:
            if self._file is None:
                return
            self._file.seek(place)
            yield from pickle.load(self._file)  # noqa: S301 - our own bytes, in a file that has no name
