from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import pytest

from tap_signalwire_logs.errors import Stopped
from tap_signalwire_logs.fetch import Pool, Prefetch, in_order
from tap_signalwire_logs.log_stream import Due

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

Result = TypeVar("Result")


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(8, "test")
    yield pool
    pool.close()


def results_in_order(
    tasks: Iterable[int | None],
    start: Callable[[int], Future[Result]],
    *,
    ahead: int,
    stop: threading.Event | None = None,
    before_wait: Callable[[], None] = lambda: None,
) -> Iterator[Result]:
    for _, future in in_order(tasks, start, ahead=ahead, stop=stop or threading.Event(), before_wait=before_wait):
        assert future
        yield future.result()


def test_what_is_held_back_is_handed_on_before_each_wait(pool: Pool) -> None:
    waits: list[int] = []
    gate = threading.Event()

    def before_wait() -> None:
        waits.append(len(taken))
        gate.set()

    def start(number: int) -> Future[int]:
        return pool.submit(lambda: number if number < 3 or gate.wait(10) else -1)

    taken: list[int] = []
    taken.extend(results_in_order(range(6), start, ahead=6, before_wait=before_wait))
    assert taken == list(range(6))
    assert waits


def test_a_task_with_nothing_to_wait_for_keeps_its_place(pool: Pool) -> None:
    results = in_order(
        range(9),
        lambda number: pool.submit(partial(time.sleep, 0.01)) if number % 2 else None,
        ahead=9,
        stop=threading.Event(),
        before_wait=lambda: None,
    )
    assert [number for number, _ in results] == list(range(9))


def test_results_keep_the_order_of_their_tasks_whoever_is_first(pool: Pool) -> None:
    def slow_when_even(number: int) -> int:
        time.sleep(0.01 if number % 2 == 0 else 0)
        return number

    results = results_in_order(range(50), lambda n: pool.submit(partial(slow_when_even, n)), ahead=16)
    assert list(results) == list(range(50))


def test_no_more_than_the_given_number_is_begun_ahead_of_the_first_result(pool: Pool) -> None:
    gate = threading.Event()
    begun: list[int] = []

    def start(number: int) -> Future[int]:
        begun.append(number)
        if number == 6:
            gate.set()
        return pool.submit(lambda: number if gate.wait(10) else -1)

    results = results_in_order(range(100), start, ahead=7)
    assert next(results) == 0
    assert begun == list(range(7))


def test_a_task_that_failed_raises_at_its_place(pool: Pool) -> None:
    def fail_at_three(number: int) -> int:
        if number == 3:
            raise KeyError(number)
        return number

    results = results_in_order(range(9), lambda n: pool.submit(partial(fail_at_three, n)), ahead=4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError):
        next(results)


def test_what_is_done_is_handed_on_while_the_next_task_is_not_ready(pool: Pool) -> None:
    finished = threading.Event()

    def tasks() -> Iterator[int | None]:
        yield 1
        assert finished.wait(10)
        time.sleep(0.05)
        yield None
        pytest.fail("the first result should have been handed on before")

    def task() -> str:
        finished.set()
        return "done"

    results = results_in_order(tasks(), lambda _: pool.submit(task), ahead=9)
    assert next(results) == "done"


def test_a_stop_ends_the_wait_for_a_result(pool: Pool) -> None:
    stop, never = threading.Event(), threading.Event()
    results = results_in_order([1], lambda _: pool.submit(never.wait), ahead=1, stop=stop)
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(Stopped):
        next(results)
    never.set()


def test_prefetched_items_come_in_order_and_the_error_after_them() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError

    prefetched = iter(Prefetch(items(), "test", threading.Event()))
    taken: list[int] = []
    while len(taken) < 2:
        item = next(prefetched)
        if item is not None:
            taken.append(item)
    assert taken == [1, 2]
    with pytest.raises(KeyError):
        list(prefetched)


def test_closing_ends_the_thread_that_prefetches() -> None:
    def items() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    prefetched = Prefetch(items(), "test-of-closing", threading.Event())
    assert next(item for item in prefetched if item is not None) == 0
    prefetched.close()
    deadline = time.monotonic() + 10
    while any(thread.name == "test-of-closing" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_waiting_log_is_handed_on_once_even_where_its_created_at_has_changed() -> None:
    waiting = Due([(1, "a"), (2, "b"), (3, "c")])
    assert [log.log_id for log in waiting.before((2, "b"))] == ["a"]
    assert not waiting.gives_way_to("a"), "it was handed on"
    assert waiting.gives_way_to("c"), "listed before its place"
    assert waiting.gives_way_to("new")
    assert [log.log_id for log in waiting.before(None)] == ["b"]
