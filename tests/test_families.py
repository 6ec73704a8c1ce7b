"""Every family of logs: the truth after each run, held against the official client and through the loaders."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import duckdb
import psycopg
import pytest
from psycopg.rows import dict_row
from signalwire.rest import RestClient

from tests.simulator import Simulator
from tests.support.pipeline import Pipeline
from tests.support.run import STREAMS, config_for, run_tap
from tests.support.subject import SUBJECTS, Subject, catalog_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

pytestmark = pytest.mark.slow

OTHERS = {"voice_logs": 60, "fax_logs": 60, "video_logs": 60, "conference_logs": 60}

every_stream = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.stream)


@pytest.fixture
def now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)


@every_stream
@pytest.mark.parametrize("record_source", ["get", "list"])
def test_runs_at_any_cadence_end_with_the_space_s_truth(
    record_source: str, subject: Subject, now: datetime, tmp_path: Path
) -> None:
    with subject.space(150, days=1, clock=now - timedelta(minutes=55)) as sim:
        held: dict[Any, dict[str, Any]] = {}
        state: dict[str, Any] = {}
        emitted = []
        for minutes in (1, 7, 10, 15, 20):
            run = subject.run(tmp_path, sim, state=state, record_source=record_source)
            assert run.code == 0, run.log
            found = subject.found(run)
            assert len(found) == len(run.records), "each once"
            again = {_log_id(key) for key, record in found.items() if held.get(key) == record}
            # A call's events come together, and again together when one of them is new.
            changed = {_log_id(key) for key, record in found.items() if held.get(key) != record}
            assert again <= (changed if subject.stream == "voice_log_events" else set()), "only what has changed"
            held.update(found)
            truth = subject.truth(sim)
            assert {key: record for key, record in held.items() if key in truth} == truth
            state = run.state
            emitted.append(len(found))
            sim.advance(minutes=minutes)
        assert sum(emitted[1:]) < emitted[0] * 2, "the rest was not read again"


@every_stream
def test_one_schema_and_the_same_output_at_any_concurrency(subject: Subject, tmp_path: Path) -> None:
    with subject.space(150) as sim:
        outputs = [subject.run(tmp_path, sim, concurrency=concurrency) for concurrency in (1, 7, 64)]
        assert all(run.code == 0 for run in outputs)
        assert outputs[0].records == outputs[1].records == outputs[2].records
        assert subject.found(outputs[0]) == subject.truth(sim)
        kinds = [message["type"] for message in outputs[0].messages]
        assert kinds.count("SCHEMA") == 1


@every_stream
def test_a_run_goes_on_from_the_state_of_one_that_was_cut_short(subject: Subject, tmp_path: Path) -> None:
    with subject.space(200, days=9) as sim:
        cut = subject.run(tmp_path, sim, end_date=(sim.clock - timedelta(days=4)).isoformat())
        rest = subject.run(tmp_path, sim, state=cut.state)
        assert cut.records
        assert len(rest.records) < len(subject.truth(sim))
        assert subject.found(cut, rest) == subject.truth(sim)


@pytest.mark.parametrize(
    ("stream", "setting"),
    [
        ("message_logs", "message_log_ids"),
        ("voice_logs", "voice_log_ids"),
        ("voice_log_events", "voice_log_ids"),
        ("fax_logs", "fax_log_ids"),
        ("video_logs", "video_log_ids"),
    ],
)
def test_configured_logs_come_and_nothing_else(stream: str, setting: str, tmp_path: Path) -> None:
    subject = Subject(stream)
    with subject.space(60) as sim:
        ids = sorted(sim.truth(family=subject.family))[10:20]
        (tmp_path / "ids.txt").write_text("\n".join(ids[5:]), encoding="utf-8")
        settings = {setting: ids[:5], f"{setting}_file": str(tmp_path / "ids.txt")}
        run = run_tap(tmp_path, config_for(sim, **settings), catalog=catalog_with(stream))
        assert run.code == 0, run.log
        assert sim.lists(family=subject.family) == []
        assert list(dict.fromkeys(record.get("log_id") or record["id"] for record in run.records)) == ids
        expected = {key: record for key, record in subject.truth(sim).items() if _log_id(key) in ids}
        assert subject.found(run) == expected


def test_events_come_beside_the_calls_and_again_until_the_calls_are_final(tmp_path: Path) -> None:
    subject = Subject("voice_log_events")
    with subject.space(0) as sim:
        call = sim.add({"status": "in-progress", "charge": 0}, family="voice_logs")
        odd = {"deep": {"list": [1, 2.50, None]}, "text": "ü"}
        sim.add({"log_id": call, "name": "call.ringing", "details": odd}, family="voice_log_events")
        first = subject.run(tmp_path, sim)
        (event,) = first.records
        assert (event["log_id"], event["position"]) == (call, 0)
        assert event["details"] == {"deep": {"list": [1, Decimal("2.50"), None]}, "text": "ü"}
        unchanged = subject.run(tmp_path, sim, state=first.state)
        assert unchanged.records == []
        sim.add({"log_id": call, "name": "call.ended"}, family="voice_log_events")
        sim.change(call, status="completed", charge=Decimal("0.0065"))
        second = subject.run(tmp_path, sim, state=unchanged.state)
        assert [record["name"] for record in second.records] == ["call.ringing", "call.ended"]
        requests = len(sim.requests)
        sim.add({"log_id": call, "name": "too late"}, family="voice_log_events")
        third = subject.run(tmp_path, sim, state=second.state)
        assert third.records == []
        assert len(sim.requests) - requests == 1, "a list, and nothing of a call that is final"


def test_a_recording_that_follows_its_conference_is_not_missed(now: datetime, tmp_path: Path) -> None:
    subject = Subject("conference_logs")
    with Simulator(messages=0, clock=now) as sim:
        ended = (now - timedelta(minutes=5)).isoformat().replace("+00:00", "Z")
        fields = {"type": "relay_conference", "created_at": ended, "updated_at": ended}
        log_id = sim.add({**fields, "recording_url": None}, family="conference_logs")
        first = subject.run(tmp_path, sim)
        assert first.by_id[log_id]["recording_url"] is None
        assert "1 logs waiting" in first.log
        sim.change(log_id, recording_url="https://example.signalwire.com/r", updated_at=now.isoformat())
        second = subject.run(tmp_path, sim, state=first.state)
        assert second.by_id[log_id]["recording_url"] == "https://example.signalwire.com/r"


def test_a_conference_that_two_runs_do_not_list_is_missing_once(tmp_path: Path) -> None:
    subject = Subject("conference_logs")
    with Simulator(messages=0) as sim:
        log_id = sim.add({"status": "in-progress"}, family="conference_logs")
        first = subject.run(tmp_path, sim)
        sim.delete(log_id)
        second = subject.run(tmp_path, sim, state=first.state)
        assert second.code == 0
        assert f"{log_id} is no longer listed: log not found; checked once more by the next run" in second.log
        assert "1 logs waiting, 0 missing" in second.log
        third = subject.run(tmp_path, sim, state=second.state)
        assert third.code == 0
        assert "0 logs waiting, 1 missing" in third.log
        fourth = subject.run(tmp_path, sim, state=third.state)
        assert "0 missing" in fourth.log


def test_a_conference_outside_of_the_range_goes_on_waiting(tmp_path: Path) -> None:
    subject = Subject("conference_logs")
    with Simulator(messages=0) as sim:
        log_id = sim.add({"status": "in-progress"}, family="conference_logs")
        first = subject.run(tmp_path, sim)
        sim.change(log_id, status="completed")
        later = (sim.clock + timedelta(hours=1)).isoformat()
        past_it = subject.run(tmp_path, sim, state=first.state, start_date=later)
        assert "1 logs waiting, 0 missing" in past_it.log
        third = subject.run(tmp_path, sim, state=past_it.state)
        assert third.by_id[log_id]["status"] == "completed"


@pytest.mark.parametrize("family", ["voice_logs", "fax_logs", "video_logs"])
@pytest.mark.parametrize("record_source", ["get", "list"])
def test_a_deleted_log_comes_as_what_is_left_of_it(family: str, record_source: str, tmp_path: Path) -> None:
    subject = Subject(family)
    with subject.space(30) as sim:
        gone = sorted(sim.truth(family=family))[3]
        sim.delete(gone)
        run = subject.run(tmp_path, sim, record_source=record_source, include_deleted=True)
        assert run.code == 0, run.log
        assert gone in run.by_id
        assert set(run.by_id) == set(sim.truth(family=family, include_deleted=True))


def test_the_tap_emits_what_the_official_client_returns(tmp_path: Path) -> None:
    with Simulator(messages=60, days=5, families=OTHERS) as sim:
        run = run_tap(tmp_path, config_for(sim), catalog=catalog_with(*STREAMS))
        assert run.code == 0, run.log
        client = RestClient(project=sim.project_id, token=sim.api_token, host=sim.space)
        logs = client.logs
        for stream, listed, get in (
            ("message_logs", logs.messages.paginate(page_size=50), logs.messages.get),
            ("voice_logs", logs.voice.paginate(page_size=50), logs.voice.get),
            ("fax_logs", logs.fax.paginate(page_size=50), logs.fax.get),
        ):
            assert {log["id"]: get(log["id"]) for log in listed} == _as_the_client_has_them(run.messages, stream)
        events = {
            (log["id"], position): {**event, "position": position}
            for log in logs.voice.paginate(page_size=50)
            for position, event in enumerate(logs.voice.list_events(log["id"])["data"])
        }
        assert events == _as_the_client_has_them(run.messages, "voice_log_events")
        listed_conferences: list[Any] = logs.conferences.list(page_size=1_000)["data"]
        conferences = {log["id"]: _with_numbers(log) for log in listed_conferences}
        assert conferences == _as_the_client_has_them(run.messages, "conference_logs")


@pytest.mark.parametrize("target", ["target-duckdb", "target-postgres"])
def test_the_whole_space_lands_and_changes_with_it(
    target: str, now: datetime, postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pipeline = Pipeline.shared(tmp_path_factory.mktemp("project"), target)
    with Simulator(messages=60, days=2, families=OTHERS, clock=now - timedelta(hours=9)) as sim:
        for _ in range(2):
            pipeline.run(
                sim,
                target,
                TAP_SIGNALWIRE_LOGS__SELECT='["*.*"]',
                TAP_SIGNALWIRE_LOGS_INCLUDE_DELETED="true",
                TARGET_POSTGRES_SQLALCHEMY_URL=postgres,
            )
            for subject in SUBJECTS:
                query = f'select * from signalwire."{subject.stream}"'
                rows = _postgres(postgres, query) if target == "target-postgres" else _duckdb(pipeline, query)
                landed = {subject.key(row): row for row in map(_plain, rows)}
                assert len(landed) == len(rows)
                truth = {key: _plain(record) for key, record in subject.truth(sim).items()}
                assert {key: landed.get(key) for key in truth} == truth
            sim.advance(hours=6)


def _log_id(key: str | tuple[str, int]) -> str:
    return key if isinstance(key, str) else key[0]


def _as_the_client_has_them(messages: Iterable[dict[str, Any]], stream: str) -> dict[Any, dict[str, Any]]:
    """Records of a stream with decimals as the floats that the official client makes of them."""
    subject = Subject(stream)
    records = (one["record"] for one in messages if one["type"] == "RECORD" and one["stream"] == stream)
    return {subject.key(record): json.loads(json.dumps(record, default=float)) for record in records}


def _with_numbers(log: dict[str, Any]) -> dict[str, Any]:
    """A conference with its charges, which are texts, as numbers."""
    if "charge" not in log:
        return log
    details = [{**detail, "charge": float(detail["charge"])} for detail in log["charge_details"]]
    return {**log, "charge": float(log["charge"]), "charge_details": details}


def _duckdb(pipeline: Pipeline, query: str) -> list[dict[str, Any]]:
    with duckdb.connect(str(pipeline.database), read_only=True) as connection:
        result = connection.execute(query)
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _postgres(url: str, query: str) -> list[dict[str, Any]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute(query).fetchall()


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row or a record with what each loader does its own way made the same; what is not there is left out."""
    plain = {name: _plain_value(value) for name, value in row.items()}
    return {name: value for name, value in plain.items() if value is not None and value != []}


def _plain_value(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(("{", "[")):
        return _plain_value(json.loads(value, parse_float=Decimal))
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value):
        return datetime.fromisoformat(value.replace("Z", "+00:00")).replace(tzinfo=None)
    if isinstance(value, dict):
        return {name: _plain_value(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain_value(inner) for inner in value]
    others: dict[type, Callable[[Any], Any]] = {
        datetime: lambda instant: instant.replace(tzinfo=None),
        float: lambda number: Decimal(str(number)).normalize(),
        Decimal: lambda number: number.normalize(),
        UUID: str,
    }
    return others[type(value)](value) if type(value) in others else value
