"""Work on threads, results in order."""

from __future__ import annotations

import queue
import threading
from collections import deque
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tap_signalwire_logs.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Result = TypeVar("Result")
Task = TypeVar("Task")
Item = TypeVar("Item")

POLL_SECONDS = 0.2
IDLE_SECONDS = 0.02


class Pool:
    """Daemon threads that run tasks: unlike `ThreadPoolExecutor`'s, they never hold up the end of the process."""

    def __init__(self, threads: int, name: str) -> None:
        """Start no thread before there is work for it."""
        self._threads = threads
        self._name = name
        self._started = 0
        self._closed = False
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()

    def submit(self, task: Callable[[], Result]) -> Future[Result]:
        """Run a task on one of the threads."""
        future: Future[Result] = Future()
        self._tasks.put((future, task))
        if self._started < self._threads:
            self._started += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        return future

    def close(self) -> None:
        """Let each thread end after the task in its hands; what is queued is dropped."""
        self._closed = True
        for _ in range(self._started):
            self._tasks.put(None)

    def _work(self) -> None:
        while (work := self._tasks.get()) and not self._closed:
            future, task = work
            try:
                future.set_result(task())
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is taken
                future.set_exception(error)


def in_order(
    tasks: Iterable[Task | None],
    start: Callable[[Task], Future[Result] | None],
    *,
    ahead: int,
    stop: threading.Event,
    before_wait: Callable[[], None],
) -> Iterator[tuple[Task, Future[Result] | None]]:
    """Tasks in their order, each with its finished future, at most `ahead` of them begun and not yet handed on.

    A task of None means that none is ready yet: what is done is handed on in the meantime.

    Args:
        tasks: What is to be done.
        start: Begins one; None where there is nothing to wait for.
        ahead: The most tasks begun and not handed on.
        stop: Ends the waiting.
        before_wait: Called before each wait.

    Raises:
        Stopped: `stop` was set while a result was awaited.
    """
    begun: deque[tuple[Task, Future[Result] | None]] = deque()
    for task in tasks:
        if task is None:
            before_wait()
        else:
            begun.append((task, start(task)))
        while begun:
            future = begun[0][1]
            if future is not None and not future.done():
                if len(begun) < ahead:
                    break
                before_wait()
                _await(future, stop)
            yield begun.popleft()
    for task, future in begun:
        if future is not None and not future.done():
            before_wait()
            _await(future, stop)
        yield task, future


def together(one: Future[Any], other: Future[Any]) -> Future[tuple[Any, Any]]:
    """Both results, once both are there; the first's error goes before the second's."""
    both: Future[tuple[Any, Any]] = Future()
    left = [one, other]

    def settle(_: Future[Any]) -> None:
        left.pop()
        if left:
            return
        error = one.exception() or other.exception()
        if error:
            both.set_exception(error)
        else:
            both.set_result((one.result(), other.result()))

    for future in (one, other):
        future.add_done_callback(settle)
    return both


def _await(future: Future[Any], stop: threading.Event) -> None:
    while not future.done():
        if stop.is_set():
            raise Stopped
        wait([future], POLL_SECONDS)


class Prefetch(Generic[Item]):
    """Runs an iterator on a thread of its own, one item ahead of who takes them.

    Iterating gives None where the next item is not ready, after a short wait.
    """

    def __init__(self, items: Iterator[Item], name: str, stop: threading.Event) -> None:
        """Start the thread."""
        self._stop = stop
        self._closed = threading.Event()
        self._slots: queue.Queue[tuple[bool, Item | BaseException | None]] = queue.Queue(maxsize=1)
        threading.Thread(target=self._run, args=(items,), name=name, daemon=True).start()

    def __iter__(self) -> Iterator[Item | None]:
        """Items in order, None between them while one is awaited.

        Raises:
            Stopped: `stop` was set.
        """
        while True:
            try:
                last, item = self._slots.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                if self._stop.is_set():
                    raise Stopped from None
                yield None
                continue
            if isinstance(item, BaseException):
                raise item
            if last:
                return
            yield item

    def close(self) -> None:
        """Let the thread end; it may finish the request in its hands first."""
        self._closed.set()

    def _run(self, items: Iterator[Item]) -> None:
        try:
            for item in items:
                if not self._put(last=False, item=item):
                    return
            self._put(last=True, item=None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are taken
            self._put(last=True, item=error)

    def _put(self, *, last: bool, item: Item | BaseException | None) -> bool:
        while not self._closed.is_set():
            try:
                self._slots.put((last, item), timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False
