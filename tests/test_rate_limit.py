"""The pace under limits of many kinds, on a clock of the test's own."""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import pytest

from tap_signalwire_logs.rate_limit import MAX_PER_SECOND, RateLimit
from tap_signalwire_logs.retry import RetriableFailure, wait_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

CONCURRENCY = 32
GETS = 600


class Space(Protocol):
    """What a request meets: whether it is allowed now."""

    def allows(self, now: float, seconds: float) -> bool: ...


@dataclass
class Bucket:
    """So many requests a second, and so many at once."""

    rate: float
    burst: float
    tokens: float = field(init=False)
    filled: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def allows(self, now: float, seconds: float) -> bool:  # noqa: ARG002 - a limit of another kind needs it
        self.tokens = min(self.burst, self.tokens + (now - self.filled) * self.rate)
        self.filled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class Window:
    """So many requests in each whole second."""

    most: int
    second: int = -1
    count: int = 0

    def allows(self, now: float, seconds: float) -> bool:  # noqa: ARG002 - a limit of another kind needs it
        if int(now) != self.second:
            self.second, self.count = int(now), 0
        self.count += 1
        return self.count <= self.most


@dataclass
class AtOnce:
    """So many requests at the same time."""

    most: int
    busy_until: list[float] = field(default_factory=list)

    def allows(self, now: float, seconds: float) -> bool:
        self.busy_until = [until for until in self.busy_until if until > now]
        if len(self.busy_until) >= self.most:
            return False
        self.busy_until.append(now + seconds)
        return True


@dataclass
class Outcome:
    seconds: float = 0.0
    refused: int = 0
    limit: RateLimit = field(default_factory=RateLimit)
    sent: list[float] = field(default_factory=list)


def simulate(  # noqa: C901 - its small functions share one state
    space: Space,
    *,
    latency: float,
    retry_after: float | None = None,
    seed: int = 0,
    gets: int = GETS,
    concurrency: int = CONCURRENCY,
) -> Outcome:
    """Gets of a client as it would send them, answered by a Space; a clock that is nobody's but theirs."""
    random.seed(seed)  # of the retries' jitter
    chance = random.Random(seed)
    done = Outcome()
    limit = done.limit
    events: list[tuple[float, int, Callable[[], None]]] = []
    order = itertools.count()
    state = {"now": 0.0, "left": gets, "retries": 0, "in_flight": 0, "answered": 0, "wake": -1.0}

    def at(moment: float, what: Callable[[], None]) -> None:
        heapq.heappush(events, (moment, next(order), what))

    def hand_out() -> None:
        while state["in_flight"] < concurrency and (state["retries"] or state["left"]):
            now = state["now"]
            wait = limit.wait(now)
            if wait > 0:
                if state["wake"] < now:
                    state["wake"] = now + wait
                    # A loop's timers come a little late.
                    at(now + wait + min(chance.expovariate(1_000), 0.01), hand_out)
                return
            limit.sent(now)
            done.sent.append(now)
            state["retries" if state["retries"] else "left"] -= 1
            state["in_flight"] += 1
            at(now + latency / 2 + 0.0003 * chance.random(), lambda sent=now: arrive(sent))  # type: ignore[misc] # a bound default

    def arrive(sent: float) -> None:
        now = state["now"]
        is_allowed = space.allows(now, latency)
        back = (latency if isinstance(space, AtOnce) and is_allowed else latency / 2) * (1 + chance.random() / 10)
        at(now + back + 0.0003 * chance.random(), lambda: receive(sent, is_allowed=is_allowed))

    def receive(sent: float, *, is_allowed: bool) -> None:
        now = state["now"]
        if is_allowed:
            state["answered"] += 1
            limit.answered(now, sent)
        else:
            done.refused += 1
            limit.refused(now, sent, in_flight=int(state["in_flight"]), retry_after=retry_after)
            failure = RetriableFailure("429", "throttled", 429, retry_after)
            at(now + wait_seconds(failure, 1), again)
        state["in_flight"] -= 1
        hand_out()

    def again() -> None:
        state["retries"] += 1
        hand_out()

    hand_out()
    while state["answered"] < gets:
        state["now"], _, what = heapq.heappop(events)
        what()
    done.seconds = state["now"]
    return done


@pytest.mark.parametrize("retry_after", [None, 0.0, 1.0], ids=["no word", "Retry-After 0", "Retry-After 1"])
@pytest.mark.parametrize("latency", [0.0, 0.02, 0.2], ids=["0 ms", "20 ms", "200 ms"])
@pytest.mark.parametrize(("rate", "burst"), [(500, 5), (60, 15), (25, 25), (5, 1)], ids=lambda number: f"{number:g}")
def test_a_bucket_is_read_at_nearly_its_rate(rate: int, burst: int, latency: float, retry_after: float | None) -> None:
    ideal = max(GETS / rate, GETS * latency / CONCURRENCY)
    runs = [simulate(Bucket(rate, burst), latency=latency, retry_after=retry_after, seed=seed) for seed in range(5)]
    assert max(run.seconds for run in runs) <= 1.5 * ideal
    assert max(run.refused for run in runs) < GETS / 2


@pytest.mark.parametrize("latency", [0.02, 0.2], ids=["20 ms", "200 ms"])
@pytest.mark.parametrize("most", [1, 4, 10])
def test_a_limit_of_requests_at_once_is_found_too(most: int, latency: float) -> None:
    run = simulate(AtOnce(most), latency=latency)
    assert run.seconds <= 1.7 * GETS * latency / most
    assert run.refused < GETS / 2


@pytest.mark.parametrize("latency", [0.0, 0.02, 0.2], ids=["0 ms", "20 ms", "200 ms"])
def test_so_many_in_each_second_is_found_too(latency: float) -> None:
    run = simulate(Window(25), latency=latency, retry_after=1.0)
    assert run.seconds <= 1.5 * GETS / 25
    assert run.refused < GETS / 2


@pytest.mark.parametrize("concurrency", [1, 4, 64, 256])
def test_the_pace_does_not_hang_on_the_concurrency(concurrency: int) -> None:
    run = simulate(Bucket(60, 15), latency=0.02, retry_after=1.0, concurrency=concurrency)
    ideal = max(GETS / 60, GETS * 0.02 / concurrency)
    assert run.seconds <= 1.5 * ideal


def test_without_a_refusal_nothing_is_held_back() -> None:
    run = simulate(Bucket(1e9, 1e9), latency=0.02)
    assert run.refused == 0
    assert not run.limit.is_on
    assert run.seconds < 1.2 * GETS * 0.02 / CONCURRENCY


def test_one_refusal_alone_costs_a_moment_and_no_more() -> None:
    limit = RateLimit()
    limit.refused(10.0, 9.9, in_flight=32, retry_after=None)
    assert limit.is_on
    before = limit.per_second
    now = 10.0
    for _ in range(200):
        now += max(limit.wait(now), 0.0)
        limit.sent(now)
        limit.answered(now + 0.1, now)
    assert limit.per_second > 5 * before


def test_a_limit_that_is_gone_is_forgotten() -> None:
    limit = RateLimit()
    for place in range(100):
        limit.refused(place / 10, place / 10 - 0.05, in_flight=4, retry_after=None)
    now = 10.0
    while limit.is_on:
        now += max(limit.wait(now), 0.001)
        limit.sent(now)
        limit.answered(now, now - 0.001)
        assert now < 100
    assert limit.per_second > MAX_PER_SECOND


def test_a_limit_that_falls_is_followed() -> None:
    space = Bucket(500, 5)

    class Falling:
        def allows(self, now: float, seconds: float) -> bool:
            if now > 1:
                space.rate = 20
            return space.allows(now, seconds)

    run = simulate(Falling(), latency=0.02, gets=900)
    assert run.refused < 300
    assert run.seconds < 1 + 1.5 * (900 - 400) / 20


def test_a_longer_retry_after_is_a_pause_for_all() -> None:
    limit = RateLimit()
    limit.refused(10.0, 9.9, in_flight=32, retry_after=7.0)
    assert limit.wait(10.0) == pytest.approx(7.0)
    assert limit.wait(16.9) == pytest.approx(0.1)
    assert limit.wait(17.0) <= 0


@pytest.mark.parametrize("retry_after", [0.0, 1.0, None])
def test_a_second_or_less_is_no_pause_for_all(retry_after: float | None) -> None:
    limit = RateLimit()
    limit.refused(10.0, 9.9, in_flight=32, retry_after=retry_after)
    assert limit.wait(10.01) <= 0


def test_what_was_sent_before_the_pace_was_lowered_does_not_lower_it_again() -> None:
    limit = RateLimit()
    limit.refused(10.0, 9.9, in_flight=32, retry_after=None)
    once = limit.per_second
    for _ in range(31):
        limit.refused(10.0, 9.9, in_flight=32, retry_after=None)
    assert limit.per_second == once
    limit.refused(10.2, 10.1, in_flight=32, retry_after=None)
    assert limit.per_second <= once / 2
