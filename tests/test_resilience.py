"""Nothing holds up the rest, and nothing is gone on one word: kinds of trouble, each with cases of its own.

Each test records a row of the table that closes the test output: what was tried, and what was lost, held up, doubled
or leaked.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import signal
import subprocess
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from tap_signalwire_logs.instants import parse_instant
from tests.simulator import Simulator
from tests.support.run import COMMAND, STREAMS, Run, config_for, environment, run_tap, write_json
from tests.support.subject import SUBJECTS, Subject, catalog_with

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Attack = Callable[..., None]

pytestmark = pytest.mark.slow

GET = r"/logs/[0-9a-f]"
LIST = r"/(logs|conferences)\?"
NOT_FOUND = b'{"error":"Not Found"}'
FINAL = {"status": "received", "direction": "inbound"}
WAITING = {"status": "queued", "direction": "outbound-api"}
QUICK: dict[str, Any] = {"backoff_max_tries": 2, "request_timeout": 5}
WITH_GET = [subject for subject in SUBJECTS if subject.has_get]

of_each_get = pytest.mark.parametrize("subject", WITH_GET, ids=lambda subject: subject.stream)
of_each_stream = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.stream)
from_each_source = pytest.mark.parametrize("record_source", ["get", "list"])


def now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)


def wrong_in(found: dict[Any, Any], truth: dict[Any, Any]) -> int:
    """How many records a target lacks, or has otherwise."""
    return sum(found.get(key) != record for key, record in truth.items())


def doubled_in(subject: Subject, run: Run) -> int:
    return len(run.records) - len(subject.found(run))


def named_logs(run: Run) -> set[str]:
    """IDs of the logs that the run's last words name as not read."""
    found = re.findall(r"\d+ logs not read: ([^;]*);", run.log)
    return {log_id for names in found for log_id in names.removesuffix(" and more").split(", ")}


def named_ranges(run: Run) -> list[tuple[int, int]]:
    """Ranges of created_at that the run's last words name as not read."""
    found = re.findall(r"\d+ ranges of created_at not read: ([^;]*);", run.log)
    ranges = [name for names in found for name in names.removesuffix(" and more").split(", ")]
    return [(parse_instant(start), parse_instant(end)) for start, _, end in (one.partition(" to ") for one in ranges)]


def is_named(log: dict[str, Any], run: Run) -> bool:
    created = parse_instant(log["created_at"])
    return log["id"] in named_logs(run) or any(start <= created < end for start, end in named_ranges(run))


# Gone on one word


@of_each_get
@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(404, b"404 page not found\n", id="404 in plain text"),
        pytest.param(404, b"<html><h1>Not Found</h1></html>", id="404 in HTML"),
        pytest.param(404, b"", id="404 without a body"),
        pytest.param(404, b"{}", id="404 with an empty object"),
        pytest.param(404, b'{"message":"no Route matched with those values"}', id="404 of a gateway's JSON"),
        pytest.param(410, b"Gone", id="410 in plain text"),
        pytest.param(202, b"", id="202"),
        pytest.param(204, b"", id="204"),
        pytest.param(206, b'{"id":', id="206"),
    ],
)
def test_what_is_not_the_service_s_own_word_is_tried_again(
    status: int, body: bytes, subject: Subject, tmp_path: Path, attack: Attack, request: pytest.FixtureRequest
) -> None:
    with subject.space(30) as sim:
        sim.fault("status", path=GET, status=status, body=body, times=25)
        sim.fault("status", path=LIST, status=status, body=body)
        run = subject.run(tmp_path, sim)
        assert run.code == 0, run.log
        found, truth = subject.found(run), subject.truth(sim)
        attack(
            f"gone on one word: {request.node.callspec.id}",
            26,
            "tried again",
            lost=wrong_in(found, truth),
            doubled=doubled_in(subject, run),
            leaked=int(sim.api_token in run.log),
        )


@of_each_stream
@pytest.mark.parametrize("status", [404, 410])
def test_one_word_of_the_service_does_not_empty_a_list(
    status: int, subject: Subject, tmp_path: Path, attack: Attack
) -> None:
    with subject.space(30) as sim:
        sim.fault("status", path=LIST, status=status, body=NOT_FOUND)
        run = subject.run(tmp_path, sim)
        assert run.code == 0, run.log
        truth = subject.truth(sim)
        lost = wrong_in(subject.found(run), truth)
        attack(f"{subject.stream}: list {status} once", 1, "listed again", lost=lost, doubled=0, leaked=0)


@of_each_stream
def test_a_list_that_is_not_found_for_ever_is_not_an_empty_one(
    subject: Subject, tmp_path: Path, attack: Attack
) -> None:
    with subject.space(30) as sim:
        sim.fault("status", path=LIST, status=404, body=NOT_FOUND, times=None)
        run = subject.run(tmp_path, sim, **QUICK)
        assert run.code == 1
        assert not run.states or "replication_key_value" not in run.state["bookmarks"][subject.stream]
        sim.faults.clear()
        rest = subject.run(tmp_path, sim, state=run.state if run.states else {})
        assert rest.code == 0
        lost = wrong_in(subject.found(run, rest), subject.truth(sim))
        attack(f"{subject.stream}: list 404 for ever", 1, "run failed, resumed", lost=lost, doubled=0, leaked=0)


@of_each_get
def test_logs_that_wait_are_not_gone_because_one_run_did_not_find_them(
    subject: Subject, tmp_path: Path, attack: Attack
) -> None:
    if subject.stream == "voice_log_events":
        fields: dict[str, Any] = {"status": "in-progress"}
    else:
        fields = WAITING if subject.stream == "message_logs" else {"status": "in-progress"}
    with subject.space(10) as sim:
        ids = [sim.add(fields, family=subject.family) for _ in range(5)]
        first = subject.run(tmp_path, sim)
        assert first.code == 0, first.log
        sim.fault("status", path=f"/logs/({'|'.join(ids)})", status=404, body=NOT_FOUND, times=None)
        sim.advance(minutes=30)
        without = subject.run(tmp_path, sim, state=first.state, on_missing="fail")
        assert set(ids) <= set(without.state["bookmarks"][subject.stream]["waiting"])
        sim.faults.clear()
        for log_id in ids:
            sim.change(log_id, status="failed")
        sim.advance(minutes=30)
        last = subject.run(tmp_path, sim, state=without.state)
        assert last.code == 0, last.log
        lost = wrong_in(subject.found(first, without, last), subject.truth(sim))
        attack(f"{subject.stream}: 404 of what waits", 5, "they came", lost=lost, doubled=0, leaked=0)


# One thing holds up all


def _of_another_log(body: Any) -> Any:
    return {**body, "id": "9ee38635-899a-490a-bfd1-9e72f5eea53c"} if "id" in body else []


@of_each_get
@pytest.mark.parametrize(
    ("kind", "details"),
    [
        *(
            pytest.param("status", {"status": status, "body": b'{"error":"no"}'}, id=str(status))
            for status in (400, 405, 409, 418, 422, 429, 451, 500, 501, 503)
        ),
        pytest.param("status", {"status": 404, "body": NOT_FOUND}, id="404"),
        pytest.param("status", {"status": 404, "body": b"nowhere"}, id="404 of a gateway"),
        pytest.param("rewrite", {"rewrite": _of_another_log}, id="another log's body"),
        pytest.param("rewrite", {"rewrite": lambda _: [1]}, id="no object"),
        pytest.param("empty", {}, id="nothing"),
        pytest.param("truncated_json", {}, id="half of it"),
        pytest.param("reset", {}, id="a reset"),
    ],
)
def test_one_log_that_can_not_be_had_holds_up_no_other(
    kind: str,
    details: dict[str, Any],
    subject: Subject,
    tmp_path: Path,
    attack: Attack,
    request: pytest.FixtureRequest,
) -> None:
    with subject.space(30) as sim:
        truth = subject.truth(sim)
        first_of = sorted(truth.values(), key=lambda record: record.get("created_at") or record["event_at"])
        is_events = subject.stream == "voice_log_events"
        log_id = first_of[3]["log_id" if is_events else "id"]
        sim.fault(kind, path=f"/{log_id}", times=None, **details)
        run = subject.run(tmp_path, sim, **QUICK)
        again = subject.run(tmp_path, sim, state=run.state, **QUICK)
        rest = {key: record for key, record in truth.items() if log_id not in (key, record.get("log_id"))}
        held_up = wrong_in(subject.found(run), rest)
        is_gone = details.get("body") == NOT_FOUND
        if is_events:
            assert (run.code, again.code) == (1, 0 if is_gone else 1), "there is no list entry to stand in"
            assert named_logs(run) == {log_id}
            assert named_logs(again) == (set() if is_gone else {log_id})
            assert again.records == []
        else:
            assert (run.code, again.code) == (0, 0), again.log
            assert "the list entry is the record for now" in run.log
            assert subject.found(run) == truth
        assert run.state["bookmarks"][subject.stream]["replication_key_value"]
        assert log_id in again.state["bookmarks"][subject.stream]["waiting"] or is_gone
        sim.faults.clear()
        last = subject.run(tmp_path, sim, state=again.state)
        assert last.code == 0, last.log
        assert log_id not in last.state["bookmarks"][subject.stream]["waiting"] or not is_events
        attack(
            f"one log holds up all: {request.node.callspec.id}",
            1,
            "named, came later" if is_events else "its list entry stood in",
            lost=wrong_in(subject.found(run, again, last), rest if is_events and is_gone else truth),
            held_up=held_up,
            doubled=sum(doubled_in(subject, each) for each in (run, again, last)),
            leaked=int(sim.api_token in run.log + again.log),
        )


@pytest.mark.parametrize("status", [400, 409, 422, 500])
def test_one_configured_log_that_is_refused_holds_up_no_other(
    status: int, sim: Simulator, tmp_path: Path, attack: Attack
) -> None:
    ids = sorted(sim.truth())[:30]
    sim.fault("status", path=ids[4], status=status, times=None, body=b'{"error":"no"}')
    run = run_tap(tmp_path, config_for(sim, message_log_ids=ids, **QUICK))
    assert run.code == 1
    assert named_logs(run) == {ids[4]}
    others = {log_id: sim.truth()[log_id] for log_id in ids if log_id != ids[4]}
    held_up = wrong_in(run.by_id, others)
    attack(f"one of 30 configured IDs: {status}", 1, "named", lost=0, held_up=held_up, doubled=0, leaked=0)


@pytest.mark.parametrize(
    ("broken", "status"), [("fax_logs", 500), ("conference_logs", 422), ("message_logs", 403), ("voice_logs", 400)]
)
def test_one_family_whose_list_fails_holds_up_no_other(
    broken: str, status: int, tmp_path: Path, attack: Attack
) -> None:
    others = {"voice_logs": 12, "fax_logs": 12, "video_logs": 12, "conference_logs": 12}
    with Simulator(messages=12, families=others, seed=7, days=3) as sim:
        path = {"conference_logs": r"conferences\?"}.get(
            broken, rf"/{broken.split('_', maxsplit=1)[0].replace('message', 'messaging')}/logs\?"
        )
        sim.fault("status", path=path, status=status, times=None, body=b'{"error":"no"}')
        run = run_tap(tmp_path, config_for(sim, **QUICK), catalog=catalog_with(*STREAMS))
        assert run.code == 1
        held_up = 0
        for subject in SUBJECTS:
            if subject.family != broken:
                of_stream = [
                    m["record"] for m in run.messages if m.get("stream") == subject.stream and m["type"] == "RECORD"
                ]
                held_up += wrong_in({subject.key(record): record for record in of_stream}, subject.truth(sim))
        assert broken in run.log.splitlines()[-1]
        attack(f"{broken}: list {status}", 1, "the other streams came", lost=0, held_up=held_up, doubled=0, leaked=0)


@from_each_source
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda raw: raw.replace(b"MARK", b"caf\xe9"), id="a Latin-1 byte"),
        pytest.param(lambda raw: raw.replace(b"MARK", b"a\xff\xfeb"), id="bytes of no encoding"),
        pytest.param(lambda raw: raw.replace(b"MARK", b"a\xe2\x82"), id="half a UTF-8 character"),
        pytest.param(lambda raw: raw.replace(b"MARK", b"a\x01b"), id="a raw control character"),
        pytest.param(lambda raw: raw.replace(b"MARK", b"a\nb\tc"), id="a raw line break"),
        pytest.param(lambda raw: raw.replace(b"MARK", b"a\x00b"), id="a raw NUL"),
        pytest.param(lambda raw: raw.replace(b"0.123", b"NaN"), id="NaN"),
        pytest.param(lambda raw: raw.replace(b"0.123", b"-Infinity"), id="-Infinity"),
        pytest.param(lambda raw: b"\xef\xbb\xbf" + raw, id="a byte-order mark"),
    ],
)
def test_one_odd_text_holds_up_no_log(
    spoil: Any, record_source: str, tmp_path: Path, attack: Attack, request: pytest.FixtureRequest
) -> None:
    with Simulator(messages=20, seed=7, days=3) as sim:
        odd = sim.add({**FINAL, "error_message": "MARK", "charge": 0.123})

        def rewrite(body: Any) -> bytes:
            return bytes(spoil(json.dumps(body, default=float).encode()))

        sim.fault("rewrite", times=None, rewrite=rewrite)
        run = run_tap(tmp_path, config_for(sim, record_source=record_source))
        assert run.code == 0, run.log
        truth = sim.truth()
        assert odd in run.by_id
        del truth[odd]
        attack(
            f"one odd text: {request.node.callspec.id}",
            1,
            "mended",
            lost=len(truth.keys() - run.by_id.keys()),
            held_up=0,
            doubled=len(run.records) - len(run.by_id),
            leaked=0,
        )


@of_each_stream
@pytest.mark.parametrize("granularity", ["timestamp", "dates_only"])
def test_a_page_that_always_fails_holds_up_only_the_smallest_range(
    granularity: str, subject: Subject, tmp_path: Path, attack: Attack
) -> None:
    with subject.space(60, days=8) as sim:
        sim.granularity = granularity
        logs = sorted(sim.truth(family=subject.family).values(), key=lambda log: log["created_at"])
        bad = logs[31]["id"]
        sim.fault("status", path=LIST, shows=bad.encode(), status=500, times=None)
        run = subject.run(tmp_path, sim, page_size=25, **QUICK)
        assert run.code == 1
        assert named_ranges(run)
        assert is_named(logs[31], run)
        named = {log["id"] for log in logs if is_named(log, run)}
        width = sum(end - start for start, end in named_ranges(run))
        assert width <= (4_000_000 if granularity == "timestamp" else 3 * 86_400_000_000)
        truth = subject.truth(sim)
        rest = {key: record for key, record in truth.items() if not named & {key, record.get("log_id")}}
        held_up = wrong_in(subject.found(run), rest)
        again = subject.run(tmp_path, sim, state=run.state, page_size=25, **QUICK)
        assert again.code == 1
        assert named_ranges(again), "it is asked for again, and named again"
        assert not set(subject.found(again)) & set(rest) or not subject.has_get
        sim.faults.clear()
        last = subject.run(tmp_path, sim, state=again.state)
        assert last.code == 0, last.log
        assert last.state["bookmarks"][subject.stream]["unread"] == []
        attack(
            f"{subject.stream}: a page that always fails, {granularity}",
            1,
            "the range named, came later",
            lost=wrong_in(subject.found(run, again, last), truth),
            held_up=held_up,
            doubled=sum(doubled_in(subject, each) for each in (run, again, last)),
            leaked=0,
        )


def test_logs_of_which_no_page_can_be_read_come_once_when_that_ends(
    empty_sim: Simulator, tmp_path: Path, attack: Attack
) -> None:
    sim = empty_sim
    for days in (3, 2):
        created = (sim.clock - timedelta(days=days)).isoformat().replace("+00:00", "Z")
        log_id = sim.add({**FINAL, "created_at": created})
        sim.fault("status", path=LIST, shows=log_id.encode(), status=500, times=None)
    first = run_tap(tmp_path, config_for(sim, **QUICK))
    assert first.code == 1
    assert all(is_named(log, first) for log in sim.truth().values())
    assert "replication_key_value" not in first.bookmark
    sim.faults.clear()
    second = run_tap(tmp_path, config_for(sim), state=first.state)
    assert second.code == 0
    third = run_tap(tmp_path, config_for(sim), state=second.state)
    lost = wrong_in(second.by_id, sim.truth())
    attack("no page can be read", 2, "came later", lost=lost, doubled=len(third.records), leaked=0)


@pytest.mark.parametrize("from_ids", [False, True], ids=["discovered", "configured"])
def test_many_logs_in_a_row_that_fail_for_ever_are_no_outage(
    from_ids: bool, sim: Simulator, tmp_path: Path, attack: Attack
) -> None:
    logs = sorted(sim.truth().values(), key=lambda log: (log["created_at"], log["id"]))
    bad = {log["id"] for log in logs[100:160]}
    sim.fault("status", path=rf"/logs/({'|'.join(bad)})$", status=500, times=None)
    settings = {"message_log_ids": [log["id"] for log in logs]} if from_ids else {}
    run = run_tap(tmp_path, config_for(sim, concurrency=2, **settings, **QUICK))
    assert run.code == int(from_ids), "a list entry stands in for a log that the list shows"
    assert "in a row" not in run.log
    others = {log_id: log for log_id, log in sim.truth().items() if not from_ids or log_id not in bad}
    held_up = wrong_in(run.by_id, others)
    attack(
        f"60 logs in a row fail for ever, {'configured' if from_ids else 'discovered'}",
        60,
        "all others came",
        lost=0,
        held_up=held_up,
        doubled=len(run.records) - len(run.by_id),
        leaked=0,
    )


@pytest.mark.parametrize("granularity", ["timestamp", "dates_only"])
def test_days_in_a_row_with_a_page_that_fails_hold_up_only_themselves(
    granularity: str, sim: Simulator, tmp_path: Path, attack: Attack
) -> None:
    sim.granularity = granularity
    days = sorted({log["created_at"][:10] for log in sim.truth().values()})
    first_of = {day: min(log["id"] for log in sim.truth().values() if log["created_at"][:10] == day) for day in days}
    for day in days[8:14]:
        sim.fault("status", path=LIST, shows=first_of[day].encode(), status=500, times=None)
    run = run_tap(tmp_path, config_for(sim, **QUICK))
    assert run.code == 1
    assert "requests in a row" not in run.log
    # Where filters take whole days, a day's list can't be asked for without its neighbours.
    bad = set(days[7:15])
    others = {log_id: log for log_id, log in sim.truth().items() if log["created_at"][:10] not in bad}
    named = [log for log in sim.truth().values() if is_named(log, run)]
    assert {first_of[day] for day in days[8:14]} <= {log["id"] for log in named}
    sim.faults.clear()
    last = run_tap(tmp_path, config_for(sim), state=run.state)
    assert last.code == 0
    attack(
        f"a page of six days in a row fails, {granularity}",
        6,
        "the ranges named, came later",
        lost=wrong_in({**run.by_id, **last.by_id}, sim.truth()),
        held_up=wrong_in(run.by_id, others),
        doubled=len(run.records) - len(run.by_id),
        leaked=0,
    )


# A list has one way to fail


@from_each_source
@pytest.mark.parametrize("times", [1, None], ids=["once", "for ever"])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(400, b'{"error":"Bad Request"}', id="400"),
        pytest.param(404, NOT_FOUND, id="404"),
        pytest.param(410, b'{"error":"Gone"}', id="410"),
        pytest.param(
            422, b'{"errors":[{"code":"page_token_is_invalid","attribute":"page_token","message":"no"}]}', id="422"
        ),
        pytest.param(500, b'{"error":"Internal Server Error"}', id="500"),
    ],
)
def test_a_page_token_that_is_refused_hides_no_log(
    status: int,
    body: bytes,
    times: int | None,
    record_source: str,
    tmp_path: Path,
    attack: Attack,
    request: pytest.FixtureRequest,
) -> None:
    with Simulator(messages=150, seed=7, days=10) as sim:
        sim.fault("status", path=r"page_number=[1-9]", status=status, body=body, times=times)
        run = run_tap(tmp_path, config_for(sim, record_source=record_source, page_size=40, **QUICK))
        assert run.code == 0, run.log
        attack(
            f"page token refused: {request.node.callspec.id}",
            1,
            "listed again" if times else "listed narrower",
            lost=wrong_in(run.by_id, sim.truth()),
            doubled=len(run.records) - len(run.by_id),
            leaked=0,
        )


@from_each_source
@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_list_that_goes_no_deeper_than_ten_pages_hides_no_log(
    status: int, order: str, record_source: str, tmp_path: Path, attack: Attack
) -> None:
    with Simulator(messages=300, seed=7, days=10) as sim:
        sim.order = order
        sim.fault("status", path=r"page_number=\d\d", status=status, body=b'{"error":"too deep"}', times=None)
        run = run_tap(tmp_path, config_for(sim, record_source=record_source, page_size=10, **QUICK))
        assert run.code == 0, run.log
        lost, doubled = wrong_in(run.by_id, sim.truth()), len(run.records) - len(run.by_id)
        name = f"ten pages deep at most: {status}, {order}, {record_source}"
        attack(name, 1, "listed narrower", lost=lost, doubled=doubled, leaked=0)


@from_each_source
@pytest.mark.parametrize("kind", ["hang", "drip"])
def test_a_page_that_takes_too_long_is_tried_smaller(
    kind: str, record_source: str, tmp_path: Path, attack: Attack
) -> None:
    with Simulator(messages=60, seed=7, days=10) as sim:
        sim.fault(kind, path=r"page_size=(1000|250)\b", seconds=3, times=None)
        settings: dict[str, Any] = {**QUICK, "request_timeout": 0.5}
        run = run_tap(tmp_path, config_for(sim, record_source=record_source, **settings))
        assert run.code == 0, run.log
        assert "trying pages of 62 logs" in run.log
        lost = wrong_in(run.by_id, sim.truth())
        attack(f"a large page: {kind}, {record_source}", 1, "smaller pages", lost=lost, doubled=0, leaked=0)


# A part for the whole


@pytest.mark.parametrize("size", [1, 2, 3])
def test_events_that_come_in_pages_come_all(size: int, tmp_path: Path, attack: Attack) -> None:
    subject = Subject("voice_log_events")
    with subject.space(20) as sim:
        calls = sorted(sim.truth(family="voice_logs"))

        def page(log_id: str, number: int) -> Callable[[Any], Any]:
            def rewrite(body: Any) -> Any:
                first = number * size
                more = {"next": f"/api/voice/logs/{log_id}/events?page_token={number + 1}"}
                is_last = first + size >= len(body["data"])
                return {"links": {} if is_last else more, "data": body["data"][first : first + size]}

            return rewrite

        for log_id, number in itertools.product(calls, range(12)):
            query = rf"\?page_token={number}$" if number else "$"
            sim.fault("rewrite", path=f"/{log_id}/events{query}", times=None, rewrite=page(log_id, number))
        run = subject.run(tmp_path, sim)
        assert run.code == 0, run.log
        lost = wrong_in(subject.found(run), subject.truth(sim))
        doubled = doubled_in(subject, run)
        attack(f"events in pages of {size}", len(calls), "all pages", lost=lost, doubled=doubled, leaked=0)


@from_each_source
@pytest.mark.parametrize("moved", [timedelta(seconds=1), timedelta(hours=-5), timedelta(days=3)], ids=str)
def test_a_log_whose_created_at_changes_between_two_pages_comes_once(
    moved: timedelta, record_source: str, tmp_path: Path, attack: Attack
) -> None:
    with Simulator(messages=90, seed=7, days=10) as sim:
        ordered = sorted(sim.truth().values(), key=lambda log: log["created_at"])
        log = ordered[-3]
        changed = datetime.fromisoformat(log["created_at"].replace("Z", "+00:00")) + moved

        def again(page: Any) -> Any:
            return {**page, "data": [{**log, "created_at": changed.isoformat().replace("+00:00", "Z")}, *page["data"]]}

        sim.fault("rewrite", path=r"page_number=1\b", times=None, rewrite=again)
        run = run_tap(tmp_path, config_for(sim, record_source=record_source, page_size=30))
        assert run.code == 0, run.log
        doubled = len(run.records) - len(run.by_id)
        lost = len(sim.truth().keys() - run.by_id.keys())
        attack(f"created_at moves by {moved}, {record_source}", 1, "once", lost=lost, doubled=doubled, leaked=0)


# One clock


@from_each_source
@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=2), timedelta(days=4_000)], ids=str)
def test_a_log_dated_in_the_future_hides_no_newer_log(
    ahead: timedelta, record_source: str, tmp_path: Path, attack: Attack
) -> None:
    with Simulator(messages=20, seed=7, days=2, clock=now()) as sim:
        future = (sim.clock + ahead).isoformat().replace("+00:00", "Z")
        sim.add({**FINAL, "created_at": future}, visible_at=sim.clock)
        config = config_for(sim, record_source=record_source)
        first = run_tap(tmp_path, config)
        assert first.code == 0, first.log
        assert parse_instant(first.bookmark["replication_key_value"]) <= time.time() * 1e6
        sim.advance(seconds=1)
        newer = [sim.add(FINAL) for _ in range(20)]
        second = run_tap(tmp_path, config, state=first.state)
        assert second.code == 0, second.log
        assert set(newer) <= set(second.by_id)
        third = run_tap(tmp_path, config, state=second.state)
        lost = wrong_in({**first.by_id, **second.by_id}, sim.truth())
        doubled = sum(len(run.records) - len(run.by_id) for run in (first, second))
        doubled += len(set(third.by_id) & set(newer))
        attack(f"a log {ahead} ahead, {record_source}", 1, "newer logs came", lost=lost, doubled=doubled, leaked=0)


@pytest.mark.parametrize("hours", [80, 24, 1, -1, -48, -2_000], ids=lambda hours: f"{hours} h")
def test_a_worker_whose_clock_is_wrong_reads_by_the_service_s_time(hours: int, tmp_path: Path, attack: Attack) -> None:
    """Hours that the worker is ahead of the service."""
    with Simulator(messages=20, seed=7, days=2, clock=now() - timedelta(hours=hours)) as sim:
        sim.date_offset = -3_600 * hours
        created = (sim.clock - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
        waiting = sim.add({**WAITING, "created_at": created})
        config = config_for(sim)
        first = run_tap(tmp_path, config)
        assert first.code == 0, first.log
        assert f"{'ahead of' if hours > 0 else 'behind'} SignalWire's" in first.log
        assert waiting in first.bookmark["waiting"]
        sim.advance(minutes=1)
        sim.change(waiting, status="failed")
        newer = [sim.add(FINAL) for _ in range(20)]
        second = run_tap(tmp_path, config, state=first.state)
        assert second.code == 0, second.log
        assert "in the future" not in second.log
        assert {waiting, *newer} <= set(second.by_id)
        third = run_tap(tmp_path, config, state=second.state)
        lost = wrong_in({**first.by_id, **second.by_id, **third.by_id}, sim.truth())
        doubled = len(set(third.by_id) & {waiting, *newer})
        attack(f"a worker {hours} h ahead", 1, "the service's time", lost=lost, doubled=doubled, leaked=0)


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=30), timedelta(days=36_500)], ids=str)
def test_a_state_from_the_future_hides_no_log(ahead: timedelta, tmp_path: Path, attack: Attack) -> None:
    with Simulator(messages=20, seed=7, days=2, clock=now()) as sim:
        first = run_tap(tmp_path, config_for(sim))
        bookmark = (sim.clock + ahead).isoformat()
        state = {"bookmarks": {"message_logs": {**first.bookmark, "replication_key_value": bookmark}}}
        sim.advance(seconds=1)
        newer = [sim.add(FINAL) for _ in range(20)]
        second = run_tap(tmp_path, config_for(sim), state=state)
        assert second.code == 0, second.log
        assert parse_instant(second.bookmark["replication_key_value"]) <= time.time() * 1e6
        lost = len(set(newer) - set(second.by_id))
        attack(f"a bookmark {ahead} ahead", 1, "newer logs came", lost=lost, doubled=0, leaked=0)


@from_each_source
@pytest.mark.parametrize(
    "form",
    [
        pytest.param("%Y-%m-%dt%H:%M:%Sz", id="lower case"),
        pytest.param("%Y-%m-%d %H:%M:%S UTC", id="UTC behind it"),
        pytest.param("%Y%m%dT%H%M%SZ", id="basic form"),
        pytest.param("%Y-%m-%dT%H:%M:%S+0000", id="an offset without a colon"),
        pytest.param("%Y-%m-%dT%H:%M:%S", id="no zone"),
        pytest.param("%Y-%m-%dT%H:%M:%S.000000000Z", id="nanoseconds"),
    ],
)
def test_created_at_in_any_form_is_read(form: str, record_source: str, tmp_path: Path, attack: Attack) -> None:
    with Simulator(messages=30, seed=7, days=2) as sim:
        sim.order = "oldest"

        def rewritten(log: dict[str, Any]) -> dict[str, Any]:
            return {
                **log,
                "created_at": datetime.fromisoformat(log["created_at"].replace("Z", "+00:00")).strftime(form),
            }

        def rewrite(body: Any) -> Any:
            return {**body, "data": [rewritten(log) for log in body["data"]]} if "data" in body else rewritten(body)

        sim.fault("rewrite", times=None, rewrite=rewrite)
        config = config_for(sim, record_source=record_source)
        run = run_tap(tmp_path, config)
        assert run.code == 0, run.log
        again = run_tap(tmp_path, config, state=run.state)
        assert again.code == 0
        assert len(sim.lists()) <= 6, "the bookmark moved"
        lost, doubled = len(sim.truth().keys() - run.by_id.keys()), len(run.records) - len(run.by_id)
        attack(f"created_at as {form}, {record_source}", 1, "read", lost=lost, doubled=doubled, leaked=0)


@from_each_source
@pytest.mark.parametrize("created", ["1969-12-31T23:59:59Z", "1900-01-01T00:00:00Z", "0001-01-01T00:00:00Z"])
def test_a_log_from_before_1970_comes_with_all_others(
    created: str, record_source: str, tmp_path: Path, attack: Attack
) -> None:
    with Simulator(messages=30, seed=7, days=2) as sim:
        sim.add({**FINAL, "created_at": created}, visible_at=sim.clock)
        run = run_tap(tmp_path, config_for(sim, record_source=record_source))
        assert run.code == 0, run.log
        lost, doubled = wrong_in(run.by_id, sim.truth()), len(run.records) - len(run.by_id)
        attack(f"created at {created}, {record_source}", 1, "came", lost=lost, doubled=doubled, leaked=0)


# Derived after it was handed over


@of_each_stream
def test_a_deselected_property_brings_no_waiting_log_again(subject: Subject, tmp_path: Path, attack: Attack) -> None:
    deselected = {"voice_log_events": "level"}.get(subject.stream, "status")
    with subject.space(0) as sim:
        fields = {**WAITING} if subject.stream == "message_logs" else {"status": "in-progress"}
        ids = [sim.add(fields, family=subject.family) for _ in range(20)]
        if subject.stream == "voice_log_events":
            for log_id in ids:
                sim.add({"log_id": log_id}, family=subject.stream)
        catalog = catalog_with(subject.stream)
        entry = next(each for each in catalog["streams"] if each["tap_stream_id"] == subject.stream)
        for metadata in entry["metadata"]:
            if metadata["breadcrumb"] == ["properties", deselected]:
                metadata["metadata"]["selected"] = False
        run = run_tap(tmp_path, config_for(sim), catalog=catalog)
        assert run.code == 0, run.log
        assert len(run.records) == len(ids)
        assert all(deselected not in record for record in run.records)
        assert set(run.state["bookmarks"][subject.stream]["waiting"]) == set(ids)
        doubled, state = 0, run.state
        for _ in range(2):
            idle = run_tap(tmp_path, config_for(sim), catalog=catalog, state=state)
            assert idle.code == 0, idle.log
            doubled, state = doubled + len(idle.records), idle.state
        if subject.stream != "voice_log_events":
            for log_id in ids:
                sim.change(log_id, status="canceled" if subject.family != "message_logs" else "failed")
            last = run_tap(tmp_path, config_for(sim), catalog=catalog, state=state)
            assert len(last.records) == len(ids), "what changed is told although it is not selected"
        attack(
            f"{subject.stream}: {deselected} deselected", 20, "0 records when idle", lost=0, doubled=doubled, leaked=0
        )


# Deletion


@of_each_get
def test_a_log_that_is_deleted_while_it_waits_comes_as_its_stub_and_waits_no_more(
    subject: Subject, tmp_path: Path, attack: Attack
) -> None:
    if subject.family == "fax_logs":
        pytest.skip("a deleted fax is listed as it was")
    with subject.space(10) as sim:
        fields = {**WAITING} if subject.stream == "message_logs" else {"status": "in-progress"}
        created = (sim.clock - timedelta(hours=3)).isoformat().replace("+00:00", "Z")
        waiting = [sim.add({**fields, "created_at": created}, family=subject.family) for _ in range(5)]
        first = subject.run(tmp_path, sim, include_deleted=True)
        assert first.code == 0, first.log
        for log_id in waiting:
            sim.delete(log_id)
        sim.advance(minutes=30)
        second = subject.run(tmp_path, sim, include_deleted=True, state=first.state, on_missing="fail")
        assert second.code == 0, second.log
        assert not set(second.state["bookmarks"][subject.stream]["waiting"]) & set(waiting)
        if subject.stream != "voice_log_events":
            stubs = [record for record in second.records if record["id"] in waiting]
            assert len(stubs) == len(waiting)
            assert all(record["discarded_at"] for record in stubs)
        sim.clear_requests()
        third = subject.run(tmp_path, sim, include_deleted=True, state=second.state)
        assert not [record for record in third.records if record.get("id") in waiting]
        assert not [request for request in sim.requests if request.path.split("/")[-1] in waiting]
        attack(f"{subject.stream}: deleted while it waits", 5, "its stub came", lost=0, doubled=0, leaked=0)


# Too many at one instant


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("granularity", ["timestamp", "dates_only"])
def test_logs_of_one_second_cost_their_pages_and_an_idle_run_next_to_nothing(
    granularity: str, order: str, empty_sim: Simulator, tmp_path: Path, attack: Attack
) -> None:
    sim = empty_sim
    sim.granularity, sim.order = granularity, order
    second = (sim.clock - timedelta(days=3)).isoformat().replace("+00:00", "Z")
    for _ in range(2_500):
        sim.add({**FINAL, "created_at": second})
    sim.add(FINAL)
    config = config_for(sim, record_source="list", page_size=100)
    run = run_tap(tmp_path, config)
    assert run.code == 0, run.log
    assert len(sim.lists()) < 1.5 * 26
    sim.clear_requests()
    idle = run_tap(tmp_path, config, state=run.state)
    assert idle.records == []
    assert len(sim.requests) < 5
    lost, doubled = wrong_in(run.by_id, sim.truth()), len(run.records) - len(run.by_id)
    name = f"2,500 logs of one second, {granularity}, {order}"
    attack(name, 1, "their pages", lost=lost, doubled=doubled, leaked=0)


# How far a run came


@from_each_source
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=lambda ending: ending.name)
def test_a_run_that_is_ended_keeps_its_way_within_the_window(
    ending: signal.Signals, record_source: str, tmp_path: Path, attack: Attack
) -> None:
    with Simulator(messages=3_000, seed=7, days=5) as sim:
        path = GET if record_source == "get" else r"page_number=2\d"
        after = 1_000 if record_source == "get" else 0
        sim.fault("hang", path=path, seconds=120, after=after, times=None)
        sim.order = "oldest"
        config = config_for(sim, record_source=record_source, concurrency=8, page_size=100, request_timeout=300)
        process = subprocess.Popen(
            [*COMMAND, "--config", write_json(tmp_path / "config.json", config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert process.stdout
        assert process.stderr
        if record_source == "list":
            # Nothing of the first window comes before it is listed: the state has nothing to keep yet.
            while not any(request.status == 0 for request in sim.requests):
                assert process.poll() is None
            lines: list[str] = []
        else:
            lines = [process.stdout.readline() for _ in range(900)]
        process.send_signal(ending)
        # Not `communicate`: it passes over what `readline` has read ahead.
        rest, log = process.stdout.read(), process.stderr.read()
        process.stdout.close()
        process.stderr.close()
        assert process.wait(timeout=30) == 128 + ending
        whole = "".join(lines) + rest
        first = Run(process.returncode, whole[: whole.rindex("\n") + 1], log)
        truth = sim.truth()
        if record_source == "get":
            created = [record["created_at"] for record in first.records]
            assert len(created) > 800
            assert first.bookmark["replication_key_value"] >= created[800], "it moved within the window"
            assert first.bookmark["replication_key_value"] <= created[-1]
        sim.faults.clear()
        sim.clear_requests()
        second = run_tap(tmp_path, config_for(sim, record_source=record_source), state=first.state)
        assert second.code == 0
        lost = wrong_in({**first.by_id, **second.by_id}, truth)
        doubled = sum(len(run.records) - len(run.by_id) for run in (first, second))
        if record_source == "get":
            assert len(second.by_id.keys() & first.by_id.keys()) < 100, "hardly anything comes twice"
        attack(
            f"{ending.name} in mid-window, {record_source}", 1, "resumed there", lost=lost, doubled=doubled, leaked=0
        )


# Finality


def test_a_whatsapp_message_that_is_read_after_its_delivery_comes_again(
    empty_sim: Simulator, tmp_path: Path, attack: Attack
) -> None:
    sim = empty_sim
    fields = {"kind": "whatsapp", "direction": "outbound-api", "charge": 0.005}
    read = [sim.add({**fields, "status": "delivered"}) for _ in range(5)]
    ended = [sim.add({**fields, "status": status}) for status in ("read", "failed", "undelivered")]
    first = run_tap(tmp_path, config_for(sim))
    assert set(first.bookmark["waiting"]) == set(read)
    idle = run_tap(tmp_path, config_for(sim), state=first.state)
    assert idle.records == []
    for log_id in read:
        sim.change(log_id, status="read")
    last = run_tap(tmp_path, config_for(sim), state=idle.state)
    assert last.bookmark["waiting"] == {}
    assert not set(last.by_id) & set(ended)
    lost = wrong_in({**first.by_id, **last.by_id}, sim.truth())
    attack("whatsapp: delivered, then read", 5, "came again", lost=lost, doubled=0, leaked=0)


def test_an_mms_for_which_no_receipt_comes_is_hardly_fetched_again(
    empty_sim: Simulator, tmp_path: Path, attack: Attack
) -> None:
    sim = empty_sim
    mms = {"kind": "mms", "direction": "outbound-api", "status": "sent"}
    charged = [sim.add({**mms, "charge": 0.01}) for _ in range(20)]
    uncharged = sim.add({**mms, "charge": 0})
    run = run_tap(tmp_path, config_for(sim))
    assert set(run.bookmark["waiting"]) == {*charged, uncharged}
    state, doubled = run.state, 0
    sim.clear_requests()
    for _ in range(4):
        idle = run_tap(tmp_path, config_for(sim), state=state)
        assert idle.code == 0
        state, doubled = idle.state, doubled + len(idle.records)
    gets = [request.path.split("/")[-1] for request in sim.gets()]
    assert all(gets.count(log_id) <= 1 for log_id in charged)
    assert gets.count(uncharged) == 4
    attack("mms: sent for ever", 20, "hardly fetched", lost=0, doubled=doubled, leaked=0)


# All at once


def _lasting(chance: random.Random, sim: Simulator, log_id: str) -> None:
    status = chance.choice([400, 404, 409, 418, 422, 451, 500, 502, 503, 0, 1])
    path = f"/logs/{log_id}"
    if status == 0:
        sim.fault("truncated_json", path=path, times=None)
    elif status == 1:
        sim.fault("rewrite", path=path, times=None, rewrite=_of_another_log)
    else:
        body = chance.choice([b'{"error":"no"}', b"nowhere", b""]) if status != 404 else b"nowhere"
        sim.fault("status", path=path, status=status, body=body, times=None)


def test_of_two_thousand_logs_of_which_one_in_a_hundred_fails_for_ever_all_others_come(
    tmp_path: Path, attack: Attack
) -> None:
    chance = random.Random(13)
    with Simulator(messages=2_000, seed=13, days=20) as sim:
        truth = sim.truth()
        gets, pages = chance.sample(sorted(truth), 20), chance.sample(sorted(truth), 2)
        for log_id in gets:
            _lasting(chance, sim, log_id)
        for log_id in pages:
            sim.fault("status", path=LIST, shows=log_id.encode(), status=500, times=None)
        config = config_for(sim, page_size=100, **QUICK)
        first = run_tap(tmp_path, config)
        assert first.code == 1
        for log_id in pages:
            assert is_named(truth[log_id], first)
        named = {log_id for log_id, log in truth.items() if is_named(log, first)}
        assert len(named) <= 6, "little more than what fails"
        rest = {log_id: log for log_id, log in truth.items() if log_id not in named}
        held_up = wrong_in(first.by_id, rest)
        assert first.by_id.keys() == rest.keys()
        sim.advance(minutes=20)
        newer = [sim.add(FINAL) for _ in range(10)]
        second = run_tap(tmp_path, config, state=first.state)
        assert second.code == 1
        assert set(newer) <= set(second.by_id), "it moves on"
        sim.faults.clear()
        last = run_tap(tmp_path, config, state=second.state)
        assert last.code == 0, last.log
        attack(
            "2,000 logs, 1% fails for ever",
            22,
            "named; all came when it ended",
            lost=wrong_in({**first.by_id, **second.by_id, **last.by_id}, sim.truth()),
            held_up=held_up,
            doubled=sum(len(run.records) - len(run.by_id) for run in (first, second, last)),
            leaked=int(sim.api_token in first.log + second.log + last.log),
        )


@pytest.mark.parametrize("seed", range(10))
def test_a_run_ends_with_0_only_where_all_came_and_else_names_just_what_is_missing(
    seed: int, tmp_path: Path, attack: Attack
) -> None:
    chance = random.Random(seed)
    subject = chance.choice(SUBJECTS)
    with subject.space(60, seed=seed, days=6) as sim:
        truth = subject.truth(sim)
        logs = sim.truth(family=subject.family)
        faults = chance.randrange(1, 9)
        for _ in range(faults):
            log_id = chance.choice(sorted(logs))
            what = chance.random()
            if what < 0.3:
                _lasting(chance, sim, log_id)
            elif what < 0.5:
                kind = chance.choice(["empty", "truncated_json", "reset", "cut"])
                sim.fault(
                    kind, path=chance.choice([GET, LIST]), times=chance.randrange(1, 3), after=chance.randrange(9)
                )
            elif what < 0.7:
                status = chance.choice([202, 404, 429, 500, 503])
                sim.fault("status", path=GET, status=status, body=b"no", times=2, after=chance.randrange(50))
            elif seed % 2 and chance.random() < 0.5:
                sim.fault("status", path=LIST, shows=log_id.encode(), status=chance.choice([500, 502]), times=None)
            else:
                sim.fault("status", path="page_number=[1-9]", status=chance.choice([400, 410, 422]), body=NOT_FOUND)
        settings: dict[str, Any] = {"page_size": chance.choice([7, 20, 100]), "backoff_max_tries": 4}
        run = subject.run(tmp_path, sim, **settings)
        found = subject.found(run)
        missing = {key: record for key, record in truth.items() if key not in found}
        lost_logs = {record.get("log_id") or record["id"] for record in missing.values()}
        named = {log_id for log_id, log in logs.items() if is_named(log, run)}
        if run.code == 0:
            assert found == truth, run.log
        with_records = {record.get("log_id") or record["id"] for record in truth.values()}
        assert lost_logs == named & with_records, run.log
        assert run.code == int(bool(named)), run.log
        assert wrong_in(found, {key: truth[key] for key in truth.keys() - missing.keys()}) == 0
        sim.faults.clear()
        last = subject.run(tmp_path, sim, state=run.state)
        assert last.code == 0, last.log
        attack(
            f"a mixture of faults, seed {seed}: {subject.stream}",
            faults,
            "all came" if run.code == 0 else f"{len(named)} named, came later",
            lost=wrong_in(subject.found(run, last), truth),
            doubled=doubled_in(subject, run) + doubled_in(subject, last),
            leaked=int(sim.api_token in run.log),
        )
