"""The sweep's memory: what it finds, what it costs, how small it is, and what it survives."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tap_signalwire_logs.digests import BUCKET_LOGS, MAX_CHARS, Compared, Comparison, Digests, Rewritten, fingerprint
from tap_signalwire_logs.instants import DAY, SECOND, parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterable

START = parse_instant("2026-01-01T00:00:00Z")
WEEK = 7 * DAY


@dataclass
class Log:
    """A log of a simulated Space: what its list entry and its get are like, and what was written of it."""

    number: int
    created: int
    version: int = 0
    is_odd: bool = False
    """Whether the list entry and the get differ in form, for good."""
    deleted: bool = False
    written: int | None = None

    @property
    def listed(self) -> int:
        return fingerprint(f"{self.number} {self.version}".encode())

    @property
    def got(self) -> int:
        return fingerprint(f"{self.number} {self.version} as got".encode()) if self.is_odd else self.listed


@dataclass
class Space:
    """Logs in order, written through digests as the tap does it."""

    digests: Digests
    logs: list[Log] = field(default_factory=list)

    def write(self, log: Log) -> None:
        """A log comes out for the first time, or again because it waited."""
        if log.written is None:
            self.digests.add(log.created, log.got, log.listed)
        else:
            self.digests.replace(log.created, log.written, log.got)
        log.written = log.got

    def listing(self, start: int, end: int) -> list[Log]:
        shown = [log for log in self.logs if not log.deleted and start <= log.created < end]
        return sorted(shown, key=lambda log: (log.created, log.number))

    def compare(self, start: int, end: int) -> Iterable[Compared[Log]]:
        comparison: Comparison[Log] = Comparison(self.digests, start, end)
        for log in self.listing(comparison.start, end):
            yield from comparison.add(log.created, log.listed, log)
        yield from comparison.finish()

    def sweep(self, start: int, end: int, most: int | None = None) -> int:
        """Write again what lies in buckets that differ, and note it; gives how many logs that were."""
        written = 0
        for compared in itertools.islice(self.compare(start, end), most):
            for log in compared.logs:
                log.written = log.got
            written += len(compared.logs)
            if compared.differs:
                rewritten = [Rewritten(log.created, log.got, log.listed) for log in compared.logs]
                self.digests.rewrite(compared.start, compared.end, rewritten)
            self.digests.cursor = compared.end
            # A STATE may be written after any bucket, and merge some.
            self.digests.dump()
        return written

    def stale(self, start: int, end: int) -> list[Log]:
        return [log for log in self.listing(start, end) if log.written != log.got]


def space_of(logs: int, *, span: int = WEEK, seed: int = 1, odd: bool = False, **options: Any) -> Space:
    """A Space of logs that are all written."""
    chance = random.Random(seed)
    created = sorted(chance.randrange(START, START + span) for _ in range(logs))
    space = Space(Digests(**options), [Log(number, at, is_odd=odd) for number, at in enumerate(created)])
    for log in space.logs:
        space.write(log)
    return space


END = START + WEEK


@pytest.mark.parametrize("odd", [pytest.param(False, id="one form"), pytest.param(True, id="list and get differ")])
@pytest.mark.parametrize("logs", [0, 1, 40, 5_000])
def test_nothing_differs_where_nothing_changed(logs: int, odd: bool) -> None:
    assert not [compared for compared in space_of(logs, odd=odd).compare(START, END) if compared.differs]


@pytest.mark.parametrize("case", ["changed", "late", "deleted", "moved to another second"])
def test_one_log_that_changed_costs_its_bucket_once(case: str) -> None:
    space = space_of(20_000)
    log = space.logs[7_000]
    if case == "changed":
        log.version += 1
    elif case == "late":
        space.logs.append(Log(20_000, log.created))
    elif case == "deleted":
        log.deleted = True
    else:
        log.created += 1
        log.version += 1
    assert 0 < space.sweep(START, END) <= BUCKET_LOGS + 1
    assert not space.stale(START, END)
    assert space.sweep(START, END) == 0


def test_logs_that_are_listed_no_more_are_counted_once_and_where() -> None:
    space = space_of(2_000)
    for log in space.logs[500:503]:
        log.deleted = True
    fewer = [compared for compared in space.compare(START, END) if compared.fewer]
    assert sum(compared.fewer for compared in fewer) == 3
    assert fewer[0].start <= space.logs[500].created
    space.sweep(START, END)
    assert not any(compared.fewer for compared in space.compare(START, END))


def test_a_log_written_again_on_its_way_is_not_written_once_more() -> None:
    space = space_of(1_000)
    for log in space.logs[100:300]:
        log.version += 1
        space.write(log)
    assert space.sweep(START, END) == 0


def test_a_difference_of_form_is_learned_once_for_a_bucket() -> None:
    space = space_of(2_000, odd=True)
    space.digests = Digests()
    for log in space.logs:
        space.digests.add(log.created, log.got)
    assert space.sweep(START, END) == 2_000
    assert space.sweep(START, END) == 0
    space.logs[0].version += 1
    assert 0 < space.sweep(START, END) <= BUCKET_LOGS
    assert not space.stale(START, END)
    assert space.sweep(START, END) == 0


@pytest.mark.parametrize(
    "doubt",
    [
        pytest.param(lambda digests, log: digests.replace(log.created, None, log.got), id="replaced"),
        pytest.param(lambda digests, log: digests.discard(log.created, None), id="discarded"),
        pytest.param(lambda digests, log: digests.doubt(log.created, log.created + 1), id="doubted"),
    ],
)
def test_a_bucket_that_is_not_known_differs_until_it_is_written_again(doubt: Any) -> None:
    space = space_of(3_000)
    doubt(space.digests, space.logs[1_000])
    space.digests = Digests.load(space.digests.dump())
    assert 0 < space.sweep(START, END) <= BUCKET_LOGS
    assert space.sweep(START, END) == 0


def test_a_log_of_which_nothing_was_written_again_keeps_its_bucket_unknown() -> None:
    space = space_of(10)
    space.digests.rewrite(START, None, [Rewritten(log.created, None, log.listed) for log in space.logs[:1]])
    assert [compared.differs for compared in space.compare(START, END)] == [True]


def test_a_log_that_is_discarded_is_expected_no_more() -> None:
    space = space_of(500)
    log = space.logs[50]
    log.deleted = True
    space.digests.discard(log.created, log.written)
    assert space.sweep(START, END) == 0


def test_digests_that_know_nothing_have_all_written_once_in_parts_of_a_bucket() -> None:
    space = space_of(5_000)
    space.digests = Digests()
    parts = [len(compared.logs) for compared in space.compare(START, END)]
    assert sum(parts) == 5_000
    assert max(parts) <= BUCKET_LOGS + 1
    assert space.sweep(START, END) == 5_000
    assert space.sweep(START, END) == 0


def test_what_was_shown_before_the_first_bucket_differs() -> None:
    space = space_of(100, span=DAY)
    for log in space.logs:
        log.created += DAY
    space.digests = Digests()
    for log in space.logs:
        space.write(Log(log.number, log.created))
    space.logs.append(Log(100, START + 5 * SECOND))
    assert space.sweep(START, END) == 1
    assert space.sweep(START, END) == 0


def test_a_sweep_goes_on_at_its_cursor_after_any_bucket() -> None:
    space = space_of(3_000)
    for log in space.logs[::700]:
        log.version += 1
    for _ in range(100):
        start = space.digests.cursor if space.digests.cursor is not None else START
        space.sweep(start, END, most=1)
        space.digests = Digests.load(space.digests.dump())
        if space.digests.cursor is None:
            break
    assert not space.stale(START, END)
    assert space.sweep(START, END) == 0


def test_logs_after_the_range_s_end_are_not_missed_in_it() -> None:
    space = space_of(3_000)
    middle = START + WEEK // 2
    assert space.sweep(START, middle) == 0
    assert space.sweep(middle, END) == 0
    assert all(compared.end and compared.end <= middle for compared in space.compare(START, middle))


def test_many_logs_make_narrow_buckets_and_few_wide_ones() -> None:
    few, many = space_of(70).digests, space_of(70_000).digests
    assert len(few) <= 8
    assert 70_000 / len(many) <= BUCKET_LOGS + 1
    wide, narrow = few.bucket_at(START + DAY), many.bucket_at(START + DAY)
    assert wide.until
    assert narrow.until
    assert wide.until - wide.start > 10 * (narrow.until - narrow.start)


def test_a_second_of_many_logs_is_one_bucket() -> None:
    space = Space(Digests(), [Log(number, START + number) for number in range(2_000)])
    for log in space.logs:
        space.write(log)
    assert len(space.digests) == 1
    space.logs[5].version += 1
    assert space.sweep(START, END) == 2_000
    assert space.sweep(START, END) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("logs", "days", "chars", "largest"),
    [
        pytest.param(10_000, 7, 1_000, 256, id="ten thousand a week"),
        pytest.param(1_000_000, 7, 35_000, 257, id="a million a week"),
        pytest.param(10_000_000, 7, MAX_CHARS, 600, id="ten million a week"),
        pytest.param(128_000_000, 90, MAX_CHARS, 10_000, id="ten million a week for ninety days"),
    ],
)
def test_a_dump_stays_small(logs: int, days: int, chars: int, largest: int) -> None:
    step = max(logs // 400_000, 1)
    digests = Digests(max_chars=MAX_CHARS // step)
    chance = random.Random(3)
    for number in range(0, logs, step):
        # One of so many logs stands for all, in a room that is as many times smaller.
        digests.add(START + number * days * DAY // logs, chance.getrandbits(64))
        if number % (50_000 * step) == 0:
            digests.dump()
    assert len(digests.dump()) * step <= chars
    sizes = [digests.bucket_at(START + hour * 3_600 * SECOND).logs for hour in range(days * 24)]
    assert max(sizes) <= largest


@pytest.mark.slow
@pytest.mark.parametrize("odd", [pytest.param(False, id="one form"), pytest.param(True, id="list and get differ")])
def test_a_dump_that_had_to_merge_still_tells_what_changed(odd: bool) -> None:
    space = space_of(50_000, odd=odd)
    text = Digests.load(space.digests.dump(), max_chars=500).dump()
    assert len(text) <= 500
    space.digests = Digests.load(text, max_chars=500)
    assert space.sweep(START, END) == 0
    space.logs[10_000].version += 1
    assert 0 < space.sweep(START, END) <= 20_000
    assert not space.stale(START, END)


def test_a_large_bucket_that_differed_is_cut_into_small_ones() -> None:
    space = space_of(50_000)
    space.digests = Digests.load(Digests.load(space.digests.dump(), max_chars=500).dump())
    log = space.logs[10_000]
    log.version += 1
    assert space.sweep(START, END) > BUCKET_LOGS
    log.version += 1
    assert 0 < space.sweep(START, END) <= BUCKET_LOGS


def test_buckets_grow_where_room_is_little_old_ones_first_and_shrink_again_where_it_is_not() -> None:
    space = space_of(50_000)
    chars = len(space.digests.dump()) * 3 // 4
    digests = Digests.load(space.digests.dump(), max_chars=chars)
    digests.dump()
    assert digests.bucket_logs > BUCKET_LOGS
    assert digests.bucket_at(START + DAY // 10).logs > BUCKET_LOGS + 1
    assert digests.bucket_at(END - DAY).logs <= BUCKET_LOGS + 1
    digests.prune(END - DAY)
    for _ in range(20):
        digests.dump()
    assert digests.bucket_logs == BUCKET_LOGS


def test_what_a_bucket_has_before_a_part_that_is_rewritten_is_not_known() -> None:
    space = space_of(200, span=DAY)
    middle = space.logs[100].created // SECOND * SECOND
    rest = [Rewritten(log.created, log.got, log.listed) for log in space.logs if log.created >= middle]
    space.digests.rewrite(middle, None, rest)
    assert space.sweep(START, END) == 200 - len(rest)
    assert space.sweep(START, END) == 0


def test_a_bucket_that_is_not_known_is_not_forgotten_when_it_is_merged() -> None:
    space = space_of(5_000)
    log = space.logs[2_000]
    log.version += 1
    space.digests.replace(log.created, log.written, log.got)
    space.digests.doubt(log.created, log.created + 1)
    space.digests = Digests.load(space.digests.dump(), max_chars=200)
    assert len(Digests.load(space.digests.dump())) < 10
    assert space.sweep(START, END)
    assert not space.stale(START, END)


def test_few_logs_that_were_not_known_are_not_in_one_bucket_that_a_later_sweep_lists_whole() -> None:
    space = space_of(50)
    space.digests = Digests()
    space.sweep(START, END)
    late = START + 5 * DAY
    assert Comparison[Log](space.digests, late, END).start >= late - 2 * DAY


def test_buckets_that_a_sweep_has_still_to_compare_are_merged_last() -> None:
    space = space_of(50_000)
    ahead = [space.digests.bucket_at(START + WEEK // 2 + hour * 3_600 * SECOND) for hour in range(24)]
    chars = len(space.digests.dump()) * 3 // 4
    space.digests = Digests.load(space.digests.dump(), max_chars=chars)
    space.digests.cursor = START + WEEK // 2
    assert len(space.digests.dump()) <= chars
    assert [space.digests.bucket_at(known.start) for known in ahead] == ahead
    assert space.sweep(space.digests.cursor, END) == 0


def test_old_buckets_are_dropped_and_the_rest_stays() -> None:
    space = space_of(10_000)
    before = len(space.digests)
    space.digests.prune(START + 5 * DAY)
    assert len(space.digests) < before / 2
    assert space.sweep(START + 5 * DAY, END) == 0


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="absent"),
        pytest.param({"1": 2}, id="another type"),
        pytest.param("", id="empty"),
        pytest.param("0.AAAA", id="another version"),
        pytest.param("1.", id="nothing after the version"),
        pytest.param("1.!!!", id="no base64"),
        pytest.param("1.AAAAAAAA", id="too short"),
        pytest.param(lambda text: text[:-8], id="cut"),
        pytest.param(lambda text: text[:40] + ("A" if text[40] != "A" else "B") + text[41:], id="one letter changed"),
    ],
)
def test_what_is_no_dump_is_taken_for_nothing_known(text: Any) -> None:
    dump = space_of(3_000).digests.dump()
    digests = Digests.load(text(dump) if callable(text) else text)
    assert (len(digests), digests.cursor, digests.swept) == (0, None, None)


def test_a_dump_is_one_text_that_json_needs_not_escape_and_comes_back_the_same() -> None:
    digests = space_of(3_000, odd=True).digests
    digests.cursor, digests.swept = START + DAY, -5
    text = digests.dump()
    again = Digests.load(text)
    assert (again.dump(), again.cursor, again.swept) == (text, START + DAY, -5)
    assert text.isascii()
    assert not set(text) & set('"\\<>&$')


class History:
    """What may befall a Space and the tap, step by step, each with a number that chance draws."""

    def __init__(self, room: int, bucket_logs: int) -> None:
        self.space = Space(Digests())
        self.room, self.bucket_logs = room, bucket_logs
        self.clock = START
        self.reload(0)

    def written(self, number: int) -> list[Log]:
        """One of the logs that were written, where there is any."""
        written = [log for log in self.space.logs if log.written is not None]
        return [written[number % len(written)]] if written else []

    def write(self, number: int) -> None:
        for _ in range(number % 7):
            self.clock += number * SECOND // 3
            log = Log(len(self.space.logs), self.clock, is_odd=number % 5 == 0)
            self.space.logs.append(log)
            self.space.write(log)

    def show_late(self, number: int) -> None:
        created = START + number * SECOND % (self.clock - START + 1)
        self.space.logs.append(Log(len(self.space.logs), created))

    def change(self, number: int) -> None:
        for log in self.written(number):
            log.version += 1

    def refresh(self, number: int) -> None:
        for log in self.written(number):
            log.version += 1
            self.space.write(log)

    def delete(self, number: int) -> None:
        for log in self.written(number):
            log.deleted = True

    def forget(self, number: int) -> None:
        for log in self.written(number):
            self.space.digests.replace(log.created, None, log.got)
            log.written = log.got

    def sweep(self, _: int) -> None:
        self.space.sweep(START, self.clock + 1)

    def sweep_a_part(self, number: int) -> None:
        self.space.sweep(START, self.clock + 1, most=number % 4)

    def lose(self, _: int) -> None:
        self.space.digests = Digests(max_chars=self.room)

    def reload(self, _: int) -> None:
        self.space.digests = Digests.load(self.space.digests.dump(), max_chars=self.room)
        self.space.digests.bucket_logs = self.bucket_logs


STEPS = [
    *(History.write, History.show_late, History.change, History.refresh, History.delete, History.forget),
    *(History.sweep, History.sweep_a_part, History.reload, History.lose),
]


@given(
    st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 2**16)), max_size=60),
    st.sampled_from([150, 300, MAX_CHARS]),
    st.integers(1, 8),
)
@settings(deadline=None, max_examples=150)
def test_one_more_sweep_makes_the_target_equal_whatever_happened(steps: Any, room: int, bucket_logs: int) -> None:
    history = History(room, bucket_logs)
    for step, number in steps:
        step(history, number)
    space, end = history.space, history.clock + 1
    space.sweep(START, end)
    assert not space.stale(START, end)
    # Buckets that are merged in the middle of a sweep cost one more.
    assert space.sweep(START, end) == 0 or room < MAX_CHARS
    assert not space.stale(START, end)


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from([0, 1, SECOND, 90 * SECOND, DAY, 2 * DAY]), max_size=30), st.booleans()),
        max_size=6,
    ),
    st.integers(1, 8),
)
@example([([DAY, 0], False), ([0, SECOND], False)], 1).via("more logs of one second than a bucket has")
@settings(deadline=None)
def test_logs_that_are_added_together_are_as_if_one_by_one(rows: Any, bucket_logs: int) -> None:
    together, one_by_one = Digests(), Digests()
    together.bucket_logs = one_by_one.bucket_logs = bucket_logs
    for number, (steps, is_sealed) in enumerate(rows):
        created = [START + number * DAY + step for step in itertools.accumulate(steps)]
        written = [fingerprint(f"{number} {place}".encode()) for place in range(len(created))]
        together.add_in_order(created, written)
        for at, value in zip(created, written, strict=True):
            one_by_one.add(at, value)
        if is_sealed:
            together.seal()
            one_by_one.seal()
    assert together.dump() == one_by_one.dump()
    assert together.newest == one_by_one.newest
