"""Sorting more items than memory should hold: sorted runs in a temporary file, merged on the way out."""

from __future__ import annotations

import heapq
import itertools
import marshal
import operator
import os
import tempfile
from typing import IO, TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

Item = TypeVar("Item", bound="tuple[Any, ...]")
Anything = TypeVar("Anything")

RUN_LENGTH = 5_000
BLOCK_LENGTH = 128


class _Run(NamedTuple):
    first: Any
    last: Any
    blocks: Iterable[list[Any]]


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
        return itertools.chain.from_iterable(self.drain_blocks())

    def drain_blocks(self) -> Iterator[list[Item]]:
        """The same in blocks, which is less to do than item by item."""
        last: Any = object()
        for block in self._merged():
            keys = list(map(self._key, block))
            is_new = list(map(operator.ne, keys, [last, *keys]))
            last = keys[-1]
            yield block if all(is_new) else list(itertools.compress(block, is_new))
        self.close()

    def close(self) -> None:
        """Drop what is left, and the file."""
        self._items = []
        self._runs = []
        if self._file:
            self._file.close()
            self._file = None

    def _merged(self) -> Iterator[list[Item]]:
        """Blocks in order: runs that reach into each other merged, the others one after another."""
        if self._items:
            self._runs.append(self._sorted_run())
        runs = self._runs
        group: list[int] = []
        reach: Any = None
        for place in sorted(range(len(runs)), key=lambda place: (runs[place].first, runs[place].last)):
            if group and reach < runs[place].first:
                yield from self._merge(group)
                group = []
            reach = max(reach, runs[place].last) if group else runs[place].last
            group.append(place)
        yield from self._merge(group)

    def _merge(self, places: list[int]) -> Iterable[list[Item]]:
        if len(places) == 1:
            return self._runs[places[0]].blocks
        # Of items with one key, the one that was added first comes first.
        items = (itertools.chain.from_iterable(self._runs[place].blocks) for place in sorted(places))
        return blocks_of(heapq.merge(*items, key=self._key), BLOCK_LENGTH)

    def _sorted_run(self) -> _Run:
        self._items.sort(key=self._key)
        return _Run(self._key(self._items[0]), self._key(self._items[-1]), blocks_of(self._items, BLOCK_LENGTH))

    def _spill(self) -> None:
        run = self._sorted_run()
        self._file = self._file or tempfile.TemporaryFile(prefix="tap-signalwire-logs-")  # noqa: SIM115 - outlives this call
        places = []
        place = self._file.seek(0, os.SEEK_END)
        for block in run.blocks:
            packed = marshal.dumps(block)
            self._file.write(packed)
            places.append((place, len(packed)))
            place += len(packed)
        self._runs.append(run._replace(blocks=self._read(places)))
        self._items = []

    def _read(self, places: list[tuple[int, int]]) -> Iterator[list[Item]]:
        for place, size in places:
            if self._file is None:
                return
            self._file.seek(place)
            yield marshal.loads(self._file.read(size))  # noqa: S302 - our own bytes, in a file that has no name


def blocks_of(items: Iterable[Anything], length: int) -> Iterator[list[Anything]]:
    """Items in lists of this length; the last may be shorter."""
    rest = iter(items)
    while block := list(itertools.islice(rest, length)):
        yield block
