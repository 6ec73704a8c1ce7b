"""The pace of requests to a Space that limits them: found from its refusals, without a clock of its own.

A Space says only that it was too much, never how much is allowed. What it allows shows between two refusals: its
allowance was used up at both, so the answers between, over the time between, are its rate, whatever burst it grants.
"""

from __future__ import annotations

import math
from collections import deque

QUIET_SECONDS = 1.0
"""A longer Retry-After is meant for all requests; up to here the header's grain says no more than 'later'."""

MIN_PER_SECOND = 2.0
MAX_PER_SECOND = 10_000.0
# A rate is measured over so many answers; below it, only an upper bound is known.
MEASURED_ANSWERS = 16
MARGIN = 0.95
# A few refusals among many answers are chance, and the price of knowing the limit.
MANY_ANSWERS = 64
ANSWERS_PER_REFUSAL = 12
# Lowered by so much, and by twice as much in each round trip where most is refused again; in the end, measured anew.
LOWERED = 0.1
VAIN_REQUESTS = 3
MAX_IN_VAIN = 2
# What was measured may be too little: more is tried in steps until one is refused.
RAMP = 1.5
STEP = 1.12
STEP_ROUND_TRIPS = 4
HOLD_SECONDS = 2.0
GROWTH_PER_SECOND = 0.1
GROWTH_DOUBLES_SECONDS = 1.5
MAX_GROWTH_DOUBLINGS = 4
OFF_AFTER_SECONDS = 60.0
# A loop that is late may catch up on so much.
LATE_SECONDS = 0.005


class RateLimit:
    """When the next request may be sent. All times are seconds of one clock that the caller reads.

    `is_on` is False until the first refusal, and again once the limit is gone: then nothing need be asked or told.
    """

    def __init__(self) -> None:
        self.is_on = False
        self.per_second = math.inf
        self.quiet_until = -math.inf
        self._next = 0.0
        self._goal = math.inf
        self._round_trip = 0.0
        self._lowered_at = 0.0
        self._grown_at = 0.0
        self._first_refusal = 0.0
        self._answers = 0
        self._measured = 0
        self._round_answers = 0
        self._refusals = 0
        self._in_vain = 0
        self._is_stepping = False
        self._steps = 0
        self._recent: deque[float] = deque(maxlen=MEASURED_ANSWERS + 1)

    def wait(self, now: float) -> float:
        """Seconds until the next request may be sent; none of them where it is 0 or less."""
        if not self.is_on:
            return 0.0
        self._grow(now)
        return max(self._next, self.quiet_until) - now

    def sent(self, now: float) -> None:
        """Take note of a request."""
        if self.is_on:
            self._next = max(self._next, now - LATE_SECONDS) + 1 / self.per_second

    def answered(self, now: float, sent: float) -> None:
        """Take note of an answer to a request that was sent then."""
        if not self.is_on:
            return
        if sent >= self._first_refusal:
            # Earlier ones may have spent what the Space allows as a burst.
            self._answers += 1
            self._measured += 1
            self._round_answers += 1
            self._recent.append(now)
        self._round_trip += (now - sent - self._round_trip) / 8
        if self.per_second < self._goal:
            # Doubles within a round trip, until it was found what is allowed.
            step = min((RAMP - 1) / max(self._round_trip, 1e-4), self.per_second / 4)
            self.per_second = min(self.per_second + step, self._goal, MAX_PER_SECOND)
        elif (
            self._is_stepping
            and self._answers >= MEASURED_ANSWERS
            and now - self._lowered_at > STEP_ROUND_TRIPS * self._round_trip
        ):
            self._steps += 1
            self._aim(now, self.per_second * STEP)
            self.per_second = self._goal

    def refused(self, now: float, sent: float, *, in_flight: int, retry_after: float | None) -> None:
        """Take note of a 429, or of another answer that tells of a limit.

        Args:
            now: When it came.
            sent: When its request was sent.
            in_flight: Requests in flight, this one included.
            retry_after: Seconds that it asks for.
        """
        if retry_after is not None and retry_after > QUIET_SECONDS:
            self.quiet_until = max(self.quiet_until, now + retry_after)
        if not self.is_on:
            self._begin(now, now - sent, in_flight)
        elif sent >= self._lowered_at:
            self._refusals += 1
            self._lower(now)

    def _begin(self, now: float, round_trip: float, in_flight: int) -> None:
        self.is_on = True
        self._round_trip = round_trip
        self._next = now
        self._measure(now, in_flight / 2 / max(round_trip, 1e-3))

    def _measure(self, now: float, per_second: float) -> None:
        self.per_second = min(max(per_second, MIN_PER_SECOND), MAX_PER_SECOND)
        self._goal = math.inf
        self._is_stepping = False
        self._steps = 0
        self._lowered_at = self._grown_at = self._first_refusal = now
        self._answers = self._measured = self._round_answers = self._refusals = self._in_vain = 0
        self._recent.clear()

    def _lower(self, now: float) -> None:
        """Once in a round trip: what was sent before the pace was lowered tells nothing of the new one."""
        answers, refusals = self._answers, self._refusals
        sent = (now - self._lowered_at) * self.per_second
        is_vain = sent >= VAIN_REQUESTS and self._round_answers < sent / 2
        if self._goal == math.inf and answers < MEASURED_ANSWERS:
            seconds = now - self._first_refusal
            most = (answers + 1) / seconds if seconds else math.inf
            self.per_second = max(min(self.per_second / 2, most), MIN_PER_SECOND)
        elif self._goal == math.inf:
            whole = answers / (now - self._first_refusal)
            recent = MEASURED_ANSWERS / (now - self._recent[0]) if len(self._recent) > MEASURED_ANSWERS else 0
            self._aim(now, MARGIN * max(whole, recent))
            self._is_stepping = True
        elif self._steps:
            self._is_stepping = False
            self._steps = 0
            whole = self._measured / (now - self._first_refusal)
            self._aim(now, min(max(MARGIN * whole, self.per_second / STEP**2), MARGIN * self.per_second / STEP))
        elif is_vain or answers < MANY_ANSWERS or refusals * ANSWERS_PER_REFUSAL > answers:
            self._in_vain = self._in_vain + 1 if is_vain else 0
            if self._in_vain > MAX_IN_VAIN:
                self._measure(now, self.per_second / 2)
            else:
                self._aim(now, self.per_second * (1 - LOWERED * 2**self._in_vain))
        self._lowered_at = now
        self._round_answers = 0

    def _aim(self, now: float, goal: float) -> None:
        self._goal = max(goal, MIN_PER_SECOND)
        self.per_second = min(self.per_second, self._goal)
        self._grown_at = now
        self._answers = self._refusals = 0

    def _grow(self, now: float) -> None:
        """Try for more once nothing was refused for a while: a little first, then faster."""
        held = now - self._lowered_at - HOLD_SECONDS
        if held <= 0 or self._is_stepping or self.per_second < self._goal:
            self._grown_at = now
        else:
            growth = GROWTH_PER_SECOND * 2 ** min(held / GROWTH_DOUBLES_SECONDS, MAX_GROWTH_DOUBLINGS)
            self.per_second *= math.exp(growth * (now - self._grown_at))
            self._goal = self.per_second
            self._grown_at = now
        if held > OFF_AFTER_SECONDS or (held > 0 and self.per_second >= MAX_PER_SECOND):
            self.is_on = False
            self.per_second = math.inf
