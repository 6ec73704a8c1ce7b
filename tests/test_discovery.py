"""Discovery against the simulated Space: every log of a range exactly once, whatever the rules of the list."""

from __future__ import annotations

import itertools
import threading
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap_signalwire_logs import discovery as module
from tap_signalwire_logs import windows as windows_module
from tap_signalwire_logs.client import Client
from tap_signalwire_logs.discovery import Discovery
from tap_signalwire_logs.errors import FatalError
from tap_signalwire_logs.instants import DAY, SECOND, parse_instant, to_text
from tests.simulator import Simulator
from tests.simulator.faults import Fault
from tests.simulator.simulator import LIST_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=timezone.utc)
MIDNIGHT = parse_instant("2026-03-08")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of a few logs, so that a few dozen are enough to fill many."""
    monkeypatch.setattr(windows_module, "MOST_LOGS", 12)
    monkeypatch.setattr(windows_module, "TARGET_LOGS", 5)
    monkeypatch.setattr(module, "TARGET_LOGS", 5)


@contextmanager
def discovery_of(sim: Simulator, page_size: int, *, keep_records: bool = False) -> Iterator[Discovery]:
    client = Client(
        f"http://{sim.space}",
        sim.project_id,
        sim.api_token,
        concurrency=4,
        timeout=10,
        max_tries=1,
        user_agent="test",
        stop=threading.Event(),
    )
    with closing(client):
        yield Discovery(
            client.channel("Messaging"),
            LIST_PATH,
            page_size=page_size,
            include_deleted=False,
            keep_records=keep_records,
        )


def discovered(found: Iterator[module.Found]) -> list[tuple[int, str]]:
    return [(created, log_id) for window in found for created, log_id, _ in window.entries.drain()]


# Whole seconds around midnights, days and one crowded moment: where boundary rules differ.
instants = st.one_of(
    st.builds(lambda days, seconds: MIDNIGHT + days * DAY + seconds * SECOND, st.integers(-9, 2), st.integers(-2, 2)),
    st.integers(0, 10 * 86_400).map(lambda seconds: MIDNIGHT - 8 * DAY + seconds * SECOND),
    st.just(MIDNIGHT + 12_345 * SECOND),
    st.just(MIDNIGHT - 3_000 * DAY),
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    created=st.lists(instants, max_size=70),
    granularity=st.sampled_from(["timestamp", "day", "dates_only"]),
    bounds=st.sampled_from(["inclusive", "exclusive"]),
    order=st.sampled_from(["newest", "oldest", "shuffled"]),
    page_size=st.integers(1, 30),
    start=st.one_of(st.none(), instants),
    length=st.integers(1, 11 * 86_400),
    keep_records=st.booleans(),
    history=st.one_of(st.none(), st.tuples(st.integers(-9, 1), st.booleans())),
)
def test_every_log_of_a_range_comes_exactly_once_and_in_order(
    narrow: None,  # noqa: ARG001 - in force for every example
    created: list[int],
    granularity: str,
    bounds: str,
    order: str,
    page_size: int,
    start: int | None,
    length: int,
    keep_records: bool,
    history: tuple[int, bool] | None,
) -> None:
    with Simulator(messages=0, clock=NOW) as sim:
        sim.granularity, sim.bounds, sim.order = granularity, bounds, order
        kept = 0
        if history:
            kept, sim.unbounded = MIDNIGHT + history[0] * DAY, history[1]
            sim.history_limit = date.fromisoformat(to_text(kept)[:10])
        end = (MIDNIGHT - 8 * DAY if start is None else start) + length * SECOND
        ids = [(instant, sim.add({"created_at": to_text(instant)})) for instant in created]
        expected = sorted(place for place in ids if max(start or 0, kept) <= place[0] < end)
        visible = [place for place in expected if place[0] <= parse_instant(NOW.isoformat())]
        with discovery_of(sim, page_size, keep_records=keep_records) as discovery:
            assert discovered(discovery.windows(start, end)) == visible


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("shifting", [False, True], ids=["anchored pages", "pages that shift"])
def test_messages_that_arrive_during_the_walk_double_and_hide_nothing(shifting: bool) -> None:
    with Simulator(messages=0, clock=NOW) as sim:
        sim.shifting = shifting
        clock = parse_instant(NOW.isoformat())
        ids = [(clock - minutes * 60 * SECOND, "") for minutes in range(60)]
        expected = sorted((instant, sim.add({"created_at": to_text(instant)})) for instant, _ in ids)
        taken = []
        with discovery_of(sim, 7) as discovery:
            for window in discovery.windows(clock - DAY, clock + 1):
                sim.add({"created_at": to_text(clock + SECOND)})
                sim.advance(seconds=1)
                taken += [(created, log_id) for created, log_id, _ in window.entries.drain()]
        assert taken == expected


@pytest.mark.usefixtures("narrow")
def test_windows_meet_without_gap_or_overlap_and_cover_the_range() -> None:
    with Simulator(messages=400, days=20, clock=NOW) as sim:
        end = parse_instant(NOW.isoformat())
        start = end - 15 * DAY
        with discovery_of(sim, 10) as discovery:
            found = [window.window for window in discovery.windows(start, end)]
        assert len(found) > 10
        assert found[-1].end == end
        assert start <= found[0].start
        assert all(one.end <= other.start for one, other in itertools.pairwise(found))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("keep_records", [True, False], ids=["for the entries", "for the gets"])
def test_full_windows_are_listed_side_by_side_where_the_entries_are_the_records(
    keep_records: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROBES_ABREAST", 1)
    with Simulator(messages=400, days=20, clock=NOW) as sim:
        sim.latency = 0.02
        with discovery_of(sim, 10, keep_records=keep_records) as discovery:
            found = list(discovery.windows(None, parse_instant(NOW.isoformat()) + 1))
        assert len(found) > 10
        assert sim.max_in_flight == (4 if keep_records else 1)


def test_ten_quiet_years_before_a_busy_one_are_crossed_in_a_few_requests() -> None:
    with Simulator(messages=30_000, days=2, clock=NOW) as sim:
        old = sim.add({"created_at": to_text(parse_instant(NOW.isoformat()) - 3_650 * DAY)})
        with discovery_of(sim, 1_000) as discovery:
            taken = discovered(discovery.windows(None, parse_instant(NOW.isoformat()) + 1))
        assert len(taken) == len(sim.truth())
        assert taken[0][1] == old
        assert len(sim.lists()) < 130


@pytest.mark.parametrize("unbounded", [True, False], ids=["a list may go without a lower bound", "it may not"])
@pytest.mark.parametrize("days", [None, 3_650, 31], ids=["all the history", "ten years", "a day too many"])
def test_a_full_range_that_begins_before_the_kept_history_comes_whole(days: int | None, unbounded: bool) -> None:
    with Simulator(messages=30_000, days=30, clock=NOW) as sim:
        sim.history_limit, sim.unbounded = (NOW - timedelta(days=30)).date(), unbounded
        end = parse_instant(NOW.isoformat()) + 1
        with discovery_of(sim, 1_000) as discovery:
            taken = discovered(discovery.windows(None if days is None else end - days * DAY, end))
        assert len(taken) == len(sim.truth())
        assert len(sim.lists()) < 150


def test_a_list_that_never_ends_within_the_kept_history_is_not_taken_for_whole() -> None:
    with Simulator(messages=200, days=20, clock=NOW) as sim:
        sim.history_limit = (NOW - timedelta(days=30)).date()
        refusal = sim._past_history("page_token").answer.body
        sim.faults.append(Fault("status", "page_number=3", None, status=422, body=refusal))
        with (
            discovery_of(sim, 50) as discovery,
            pytest.raises(FatalError, match=r"2026-02-08 date limit.*`start_date`"),
        ):
            discovered(discovery.windows(None, parse_instant(NOW.isoformat()) + 1))


def test_history_that_is_not_kept_is_passed_over_wherever_the_range_begins(caplog: pytest.LogCaptureFixture) -> None:
    with Simulator(messages=500, days=40, clock=NOW) as sim:
        sim.history_limit = (NOW - timedelta(days=20)).date()
        end = parse_instant(NOW.isoformat()) + 1
        for start in (None, end - 100 * DAY, end - 20 * DAY, end - 5 * DAY):
            expected = sum(parse_instant(record["created_at"]) >= (start or 0) for record in sim.truth().values())
            with discovery_of(sim, 50) as discovery:
                assert len(discovered(discovery.windows(start, end))) == expected
        assert sim.history_limit.isoformat() in caplog.text
