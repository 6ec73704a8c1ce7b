"""Sorting more items than memory should hold: sorted runs in a temporary file, merged on the way out."""

from __future__ import annotations

import heapq
import itertools
import marshal
import os
import tempfile
from typing import IO, TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

Item = TypeVar("Item", bound="tuple[Any, ...]")

RUN_LENGTH = 5_000
BLOCK_LENGTH = 100


class _Run(NamedTuple):
    first: Any
    last: Any
    items: Iterable[Any]


class ExternalSorter(Generic[Item]):
    """Takes items in any order, gives them back sorted, and one for each key.

    Args:
        key: The order of the items, which are tuples of what `marshal` knows; of those with one key the first added
            comes out.
        run_length: Items held in memory; the rest waits in a nameless temporary file.
    """

    def __init__(self, key: Callable[[Item], Any], *, run_length: int = RUN_LENGTH) -> None:
        """Begin empty; no file is made before one is needed."""
        self._key = key
        self._run_length = run_length
        self._items: list[Item] = []
        self._file: IO[bytes] | None = None
        self._runs: list[_Run] = []
        self.count = 0

    def add(self, item: Item) -> None:
        """Take one item."""
        self.extend((item,))

    def extend(self, items: Collection[Item]) -> None:
        """Take items."""
        self._items += items
        self.count += len(items)
        if len(self._items) >= self._run_length:
            self._spill()

    def drain(self) -> Iterator[Item]:
        """Every item once, in order; the spool is empty and its file gone afterwards."""
        key_of = self._key
        previous = object()
        for item in self._merged():
            key = key_of(item)
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

    def _merged(self) -> Iterator[Item]:
        """All items in order; runs that don't reach into each other, as of a list in order, one after another."""
        if self._items:
            self._runs.append(self._sorted_run())
        in_order = sorted(self._runs, key=lambda run: (run.first, run.last))
        if all(one.last < other.first for one, other in itertools.pairwise(in_order)):
            return itertools.chain.from_iterable(run.items for run in in_order)
        return heapq.merge(*(run.items for run in self._runs), key=self._key)

    def _sorted_run(self) -> _Run:
        self._items.sort(key=self._key)
        return _Run(self._key(self._items[0]), self._key(self._items[-1]), self._items)

    def _spill(self) -> None:
        run = self._sorted_run()
        self._file = self._file or tempfile.TemporaryFile(prefix="tap-signalwire-logs-")  # noqa: SIM115 - outlives this call
        blocks = []
        place = self._file.seek(0, os.SEEK_END)
        for first in range(0, len(self._items), BLOCK_LENGTH):
            block = marshal.dumps(self._items[first : first + BLOCK_LENGTH])
            self._file.write(block)
            blocks.append((place, len(block)))
            place += len(block)
        self._runs.append(run._replace(items=self._read(blocks)))
        self._items = []

    def _read(self, blocks: list[tuple[int, int]]) -> Iterator[Item]:
        for place, size in blocks:
            if self._file is None:
                return
            self._file.seek(place)
            yield from marshal.loads(self._file.read(size))  # noqa: S302 - our own bytes, in a file that has no name
