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
    sorter: ExternalSorter[tuple[int, str]] = ExternalSorter(itemgetter(0), run_length=run_length)
    for item in items:
        sorter.add(item)
        first.setdefault(item[0], item)
    assert sorter.count == 500
    assert list(sorter.drain()) == [first[key] for key in sorted(first)]


@pytest.mark.parametrize("run_length", [7, 1000], ids=lambda length: f"runs of {length}")
def test_items_in_either_order_come_out_ascending(run_length: int) -> None:
    for step in (1, -1):
        sorter: ExternalSorter[tuple[int, bytes]] = ExternalSorter(itemgetter(0), run_length=run_length)
        for page in range(0, 100, 10)[::step]:
            sorter.extend([(number, b"x") for number in range(page, page + 10)[::step]])
        assert [number for number, _ in sorter.drain()] == list(range(100))


@pytest.mark.parametrize("step", [pytest.param(1, id="ascending"), pytest.param(-1, id="descending")])
def test_runs_that_reach_into_some_others_are_merged_with_those(step: int) -> None:
    pages = [range(11), range(10, 20), range(20, 30), range(25, 60), range(30, 32), range(60, 70), range(69, 80)]
    sorter: ExternalSorter[tuple[int, int]] = ExternalSorter(itemgetter(0), run_length=1)
    first: dict[int, int] = {}
    for place, page in enumerate(pages[::step]):
        sorter.extend([(number, place) for number in page[::step]])
        for number in page:
            first.setdefault(number, place)
    assert list(sorter.drain()) == sorted(first.items())


def test_a_sorter_that_is_closed_gives_nothing_and_leaves_no_file() -> None:
    sorter: ExternalSorter[tuple[int]] = ExternalSorter(itemgetter(0), run_length=2)
    sorter.extend([(1,), (2,), (3,)])
    file = sorter._file
    assert file is not None
    sorter.close()
    assert file.closed
    assert list(sorter.drain()) == []


def test_a_sorter_holds_no_more_in_memory_than_its_run() -> None:
    sorter: ExternalSorter[tuple[int]] = ExternalSorter(itemgetter(0), run_length=10)
    for number in range(95):
        sorter.add((number,))
        assert len(sorter._items) < 10
    assert len(list(sorter.drain())) == 95


def test_a_drained_sorter_has_no_file_left() -> None:
    sorter: ExternalSorter[tuple[int]] = ExternalSorter(itemgetter(0), run_length=2)
    for number in range(5):
        sorter.add((number,))
    assert sorter._file is not None
    file = sorter._file
    list(sorter.drain())
    assert file.closed
