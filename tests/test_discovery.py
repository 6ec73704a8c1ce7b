"""Discovery against the simulated Space: every log of a range exactly once, whatever the rules of the list."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import aclosing, asynccontextmanager
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap_signalwire_logs import discovery as module
from tap_signalwire_logs import windows as windows_module
from tap_signalwire_logs.client import Client
from tap_signalwire_logs.discovery import Discovery
from tap_signalwire_logs.entries import EntryReader
from tap_signalwire_logs.errors import FatalError, RejectedError
from tap_signalwire_logs.instants import DAY, SECOND, parse_instant, to_text
from tests.simulator import Simulator
from tests.simulator.faults import Fault
from tests.simulator.simulator import LIST_PATH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tap_signalwire_logs.discovery import WindowListing

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=timezone.utc)
CLOCK = parse_instant(NOW.isoformat())
MIDNIGHT = parse_instant("2026-03-08")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of a few logs, so that a few dozen are enough to fill many."""
    monkeypatch.setattr(windows_module, "MAX_LOGS", 12)


@asynccontextmanager
async def discovery_of(
    sim: Simulator, page_size: int, *, at_once: int = 1, target_logs: int = windows_module.TARGET_LOGS, **options: Any
) -> AsyncIterator[Discovery]:
    client = Client(
        f"http://{sim.space}",
        sim.project_id,
        sim.api_token,
        scope="Messaging",
        concurrency=4,
        timeout=10,
        max_tries=1,
        user_agent="test",
    )
    settings = {"include_deleted": False, **options}
    async with client:
        yield Discovery(
            client,
            LIST_PATH,
            EntryReader(),
            page_size=page_size,
            windows_at_once=at_once,
            target_logs=target_logs,
            **settings,
        )


def windows_of(sim: Simulator, page_size: int, start: int | None, end: int, **options: Any) -> list[WindowListing]:
    async def collect() -> list[WindowListing]:
        async with (
            discovery_of(sim, page_size, **options) as discovery,
            aclosing(discovery.windows(start, end)) as listings,
        ):
            return [listing async for listing in listings]

    return asyncio.run(collect())


def entries_of(listings: list[WindowListing]) -> list[tuple[int, str]]:
    return [(created, log_id) for listing in listings for created, log_id, _, _ in listing.drain()]


def discovered(sim: Simulator, page_size: int, start: int | None, end: int, **options: Any) -> list[tuple[int, str]]:
    listings = windows_of(sim, page_size, start, end, **options)
    assert not [unread for listing in listings for unread in listing.unread]
    return entries_of(listings)


# Whole seconds around midnights, days and one crowded moment: where boundary rules differ.
instants = st.one_of(
    st.builds(lambda days, seconds: MIDNIGHT + days * DAY + seconds * SECOND, st.integers(-9, 2), st.integers(-2, 2)),
    st.integers(0, 10 * 86_400).map(lambda seconds: MIDNIGHT - 8 * DAY + seconds * SECOND),
    st.just(MIDNIGHT + 12_345 * SECOND),
    st.just(MIDNIGHT - 3_000 * DAY),
)


@pytest.mark.slow
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
    at_once=st.sampled_from([1, 4]),
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
    at_once: int,
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
        visible = [place for place in expected if place[0] <= CLOCK]
        assert discovered(sim, page_size, start, end, at_once=at_once, target_logs=5) == visible


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("shifting", [False, True], ids=["anchored pages", "pages that shift"])
def test_messages_that_arrive_during_the_walk_double_and_hide_nothing(shifting: bool) -> None:
    with Simulator(messages=0, clock=NOW) as sim:
        sim.shifting = shifting
        ids = [(CLOCK - minutes * 60 * SECOND, "") for minutes in range(60)]
        expected = sorted((instant, sim.add({"created_at": to_text(instant)})) for instant, _ in ids)
        taken = []

        async def walk() -> None:
            async with (
                discovery_of(sim, 7, target_logs=5) as discovery,
                aclosing(discovery.windows(CLOCK - DAY, CLOCK + 1)) as listings,
            ):
                async for listing in listings:
                    sim.add({"created_at": to_text(CLOCK + SECOND)})
                    sim.advance(seconds=1)
                    taken.extend(entries_of([listing]))

        asyncio.run(walk())
        assert taken == expected


@pytest.mark.usefixtures("narrow")
def test_windows_meet_without_gap_or_overlap_and_cover_the_range() -> None:
    with Simulator(messages=400, days=20, clock=NOW) as sim:
        start = CLOCK - 15 * DAY
        found = [listing.window for listing in windows_of(sim, 10, start, CLOCK, target_logs=5)]
        assert len(found) > 10
        assert found[-1].end == CLOCK
        assert start == found[0].start
        assert all(one.end == other.start for one, other in itertools.pairwise(found))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("at_once", [4, 1], ids=["for the entries", "for the gets"])
def test_full_windows_are_listed_side_by_side_where_the_entries_are_the_records(at_once: int) -> None:
    with Simulator(messages=400, days=20, clock=NOW) as sim:
        sim.latency = 0.02
        found = windows_of(sim, 10, None, CLOCK + 1, at_once=at_once, target_logs=5)
        assert len(found) > 10
        if at_once == 4:
            assert sim.max_in_flight == 4
        else:
            # The next window beside the one that is read, and what was begun before that one was split.
            assert sim.max_in_flight <= module.WINDOWS_PER_SLOT + 1


def test_ten_quiet_years_before_a_busy_one_are_crossed_in_a_few_requests() -> None:
    with Simulator(messages=30_000, days=2, clock=NOW) as sim:
        old = sim.add({"created_at": to_text(CLOCK - 3_650 * DAY)})
        taken = discovered(sim, 1_000, None, CLOCK + 1)
        assert len(taken) == len(sim.truth())
        assert taken[0][1] == old
        assert len(sim.lists()) < 130


@pytest.mark.slow
@pytest.mark.parametrize("unbounded", [True, False], ids=["a list may go without a lower bound", "it may not"])
@pytest.mark.parametrize("days", [None, 3_650, 31], ids=["all the history", "ten years", "a day too many"])
def test_a_full_range_that_begins_before_the_kept_history_comes_whole(days: int | None, unbounded: bool) -> None:
    with Simulator(messages=30_000, days=30, clock=NOW) as sim:
        sim.history_limit, sim.unbounded = (NOW - timedelta(days=30)).date(), unbounded
        end = CLOCK + 1
        taken = discovered(sim, 1_000, None if days is None else end - days * DAY, end)
        assert len(taken) == len(sim.truth())
        assert len(sim.lists()) < 150


def test_a_list_that_never_ends_within_the_kept_history_is_not_taken_for_whole() -> None:
    with Simulator(messages=200, days=20, clock=NOW) as sim:
        sim.history_limit = (NOW - timedelta(days=30)).date()
        refusal = sim._past_history("page_token").answer.body
        sim.faults.append(Fault("status", "page_number=[1-9]", times=None, status=422, body=refusal))
        with pytest.raises(FatalError, match=r"2026-02-08 date limit.*`start_date`"):
            discovered(sim, 50, None, CLOCK + 1)


def test_history_that_is_not_kept_is_passed_over_wherever_the_range_begins(caplog: pytest.LogCaptureFixture) -> None:
    with Simulator(messages=500, days=40, clock=NOW) as sim:
        sim.history_limit = (NOW - timedelta(days=20)).date()
        end = CLOCK + 1
        for start in (None, end - 100 * DAY, end - 20 * DAY, end - 5 * DAY):
            expected = sum(parse_instant(record["created_at"]) >= (start or 0) for record in sim.truth().values())
            assert len(discovered(sim, 50, start, end)) == expected
        assert sim.history_limit.isoformat() in caplog.text


# What can't be read


@pytest.mark.parametrize("granularity", ["timestamp", "day", "dates_only"])
@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
def test_what_can_not_be_read_is_the_smallest_part_and_all_else_comes(
    granularity: str, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIST_AGAIN_SECONDS", 0.0)
    with Simulator(messages=0, clock=NOW) as sim:
        sim.granularity, sim.order = granularity, order
        ids = [(CLOCK - 20 * DAY + hours * 3_600 * SECOND, "") for hours in range(0, 480, 4)]
        logs = sorted((instant, sim.add({"created_at": to_text(instant)})) for instant, _ in ids)
        bad = logs[len(logs) // 2]

        def spoil(page: dict[str, Any]) -> Any:
            return b"{" if any(entry["id"] == bad[1] for entry in page["data"]) else page

        sim.fault("rewrite", path=r"/logs\?", times=None, rewrite=spoil)
        listings = windows_of(sim, 50, CLOCK - 21 * DAY, CLOCK + 1)
        unread = [window for listing in listings for window, _ in listing.unread]
        taken = entries_of(listings)
        assert all(one.end == other.start for one, other in itertools.pairwise(listing.window for listing in listings))
        assert any(window.holds(bad[0]) for window in unread)
        missing = [place for place in logs if place not in taken]
        assert all(any(window.holds(created) for window in unread) for created, _ in missing)
        # In days, the day before and the day after are asked for along with it.
        width = sum(window.width for window in unread)
        assert width <= (4 * SECOND if granularity == "timestamp" else 3 * DAY)
        assert taken == [place for place in logs if place not in missing]


def test_a_list_that_is_refused_from_the_first_request_on_is_not_searched() -> None:
    with Simulator(messages=50, days=5, clock=NOW) as sim:
        sim.fault("status", path=r"/logs\?", times=None, status=400, body=b'{"error":"Bad Request"}')
        with pytest.raises(FatalError, match="400"):
            windows_of(sim, 50, None, CLOCK + 1)
        assert len(sim.lists()) == 1


@pytest.mark.parametrize("status", [400, 422])
def test_a_log_is_found_by_its_id_and_created_at(status: int) -> None:
    with Simulator(messages=0, clock=NOW) as sim:
        created = CLOCK - DAY
        ids = [sim.add({"created_at": to_text(created + second * SECOND)}) for second in range(-2, 3)]

        async def find() -> list[bytes | None]:
            async with discovery_of(sim, 2) as discovery:
                return [
                    await discovery.find(ids[2].upper(), created),
                    await discovery.find("nowhere", created),
                ]

        entry, none = asyncio.run(find())
        assert entry is not None
        assert ids[2].encode() in entry
        assert none is None
        sim.fault("status", path=r"/logs\?", times=None, status=status, body=b'{"error":"no"}')
        with pytest.raises(RejectedError, match=str(status)):
            asyncio.run(find())
