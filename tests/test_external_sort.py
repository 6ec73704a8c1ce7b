from __future__ import annotations

import random
from operator import itemgetter

import pytest

from tap_signalwire_logs.external_sort import ExternalSorter


@pytest.mark.parametrize("run_length", [3, 10, 1000], ids=lambda length: f"runs of {length}")
def test_items_come_out_sorted_and_one_for_each_key(run_length: int) -> None:
    items = [(number % 97, f"added {number}") for number in range(500)]
    random.Random(7).shuffle(items)
    first: dict[int, tuple[int, str]] = {}
    spool: ExternalSorter[tuple[int, str]] = ExternalSorter(itemgetter(0), run_length=run_length)
    for item in items:
        spool.add(item)
        first.setdefault(item[0], item)
    assert spool.count == 500
    assert list(spool.drain()) == [first[key] for key in sorted(first)]


def test_a_spool_holds_no_more_in_memory_than_its_run() -> None:
    spool: ExternalSorter[tuple[int]] = ExternalSorter(itemgetter(0), run_length=10)
    for number in range(95):
        spool.add((number,))
        assert len(spool._items) < 10
    assert len(list(spool.drain())) == 95


def test_a_drained_spool_has_no_file_left() -> None:
    spool: ExternalSorter[tuple[int]] = ExternalSorter(itemgetter(0), run_length=2)
    for number in range(5):
        spool.add((number,))
    assert spool._file is not None
    file = spool._file
    list(spool.drain())
    assert file.closed
