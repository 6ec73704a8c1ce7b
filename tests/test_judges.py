"""Judges that nobody here wrote: tools and lists by which others decide whether a tap is one.

`singer-check-tap` of singer-tools, what Stitch's tap-tester checks of every tap, and the SDK's tests of a target with
this tap's output. A set checker is in `test_set_checker.py`, a mocked service in `test_openapi.py`.
"""

from __future__ import annotations

import json
import signal
import subprocess
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from singer_sdk import BatchSink, Target
from singer_sdk.testing import TargetTestRunner
from singer_sdk.testing.templates import TargetFileTestTemplate

from tests.simulator import Simulator
from tests.support.environments import SINGER_TOOLS, environment_of
from tests.support.run import STREAMS, Run, config_for, run_tap, run_until
from tests.support.subject import SUBJECTS, Subject, catalog_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FAMILIES = dict.fromkeys(["voice_logs", "fax_logs", "video_logs", "conference_logs"], 40)

every_stream = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.stream)


@pytest.fixture
def full_sim() -> Iterator[Simulator]:
    """A Space with logs of every family."""
    with Simulator(messages=120, families=FAMILIES, seed=11, days=5) as sim:
        yield sim


# singer-tools


@pytest.fixture(scope="module")
def check_tap() -> Path:
    return environment_of(*SINGER_TOOLS) / "singer-check-tap"


def judged(check_tap: Path, folder: Path, output: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [check_tap], input=output, capture_output=True, text=True, check=False, cwd=folder, timeout=120
    )


@pytest.mark.slow
def test_singer_check_tap_accepts_every_stream_and_a_second_run_from_the_state(
    check_tap: Path, full_sim: Simulator, tmp_path: Path
) -> None:
    state: dict[str, Any] = {}
    for _ in range(2):
        run = run_tap(tmp_path, config_for(full_sim), state=state, catalog=catalog_with(*STREAMS))
        assert run.code == 0, run.log
        done = judged(check_tap, tmp_path, run.stdout)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "The output is valid." in done.stdout
        table = {cells[1].strip(): int(cells[2]) for cells in map(_cells, done.stdout.splitlines()) if len(cells) == 5}
        assert {name: table[name] for name in STREAMS} == {
            name: sum(message.get("stream") == name for message in run.messages if message["type"] == "RECORD")
            for name in STREAMS
        }
        assert f"{len(run.states)} state messages" in done.stdout
        assert all(table.values()) or state
        state = run.state
        full_sim.advance(hours=5)


def _cells(line: str) -> list[str]:
    cells = line.split("|")
    return cells if len(cells) == 5 and cells[2].strip().isdigit() else []


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda record: record.update(created_at="yesterday"), id="a date that is none"),
        pytest.param(lambda record: record.update(number_of_segments="many"), id="a number that is none"),
    ],
)
def test_singer_check_tap_refuses_what_breaks_the_schema(
    spoil: Callable[[dict[str, Any]], None], check_tap: Path, full_sim: Simulator, tmp_path: Path
) -> None:
    run = run_tap(tmp_path, config_for(full_sim))
    messages = run.messages
    spoil(next(message["record"] for message in messages if message["type"] == "RECORD"))
    spoilt = "".join(json.dumps(message, default=float) + "\n" for message in messages)
    assert judged(check_tap, tmp_path, spoilt).returncode != 0


# What tap-tester checks of every tap


def space_of(subject: Subject) -> Simulator:
    return subject.space(60)


def replication_key(subject: Subject) -> str:
    return "event_at" if subject.stream == "voice_log_events" else "created_at"


def entry_of(catalog: dict[str, Any], stream: str) -> dict[str, Any]:
    entry: dict[str, Any] = next(entry for entry in catalog["streams"] if entry["tap_stream_id"] == stream)
    return entry


def metadata_of(entry: dict[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    return {tuple(one["breadcrumb"]): one["metadata"] for one in entry["metadata"]}


@every_stream
def test_discovery_names_the_keys_and_makes_them_automatic(subject: Subject) -> None:
    entry = entry_of(catalog_with(), subject.stream)
    metadata = metadata_of(entry)
    keys = metadata[()]["table-key-properties"]
    assert keys == entry["key_properties"]
    assert metadata[()]["valid-replication-keys"] == [replication_key(subject)]
    assert entry["replication_method"] == "INCREMENTAL"
    fields = {path[1] for path in metadata if path}
    assert fields == set(entry["schema"]["properties"])
    automatic = {path[1] for path, one in metadata.items() if path and one["inclusion"] == "automatic"}
    assert automatic == {*keys, replication_key(subject)}
    assert {one["inclusion"] for path, one in metadata.items() if path} <= {"automatic", "available"}


@every_stream
def test_all_fields_of_the_service_come_where_all_are_selected(subject: Subject, tmp_path: Path) -> None:
    with space_of(subject) as sim:
        run = subject.run(tmp_path, sim)
        truth = subject.truth(sim)
    assert run.code == 0, run.log
    assert {name for record in run.records for name in record} == {name for record in truth.values() for name in record}
    assert {subject.key(record): set(record) for record in run.records} == {key: set(truth[key]) for key in truth}
    assert {name for record in run.records for name in record} <= set(
        entry_of(catalog_with(), subject.stream)["schema"]["properties"]
    )


@every_stream
def test_only_the_automatic_fields_come_where_all_others_are_deselected(subject: Subject, tmp_path: Path) -> None:
    catalog = catalog_with(subject.stream)
    entry = entry_of(catalog, subject.stream)
    for one in entry["metadata"]:
        if one["breadcrumb"]:
            one["metadata"]["selected"] = False
    automatic = {*entry["key_properties"], replication_key(subject)}
    with space_of(subject) as sim:
        run = run_tap(tmp_path, config_for(sim), catalog=catalog)
        truth = subject.truth(sim)
    assert run.code == 0, run.log
    assert len(run.records) == len(truth)
    assert {frozenset(record) for record in run.records} == {frozenset(automatic)}
    assert {subject.key(record) for record in run.records} == set(truth)
    schema = next(message for message in run.messages if message["type"] == "SCHEMA")
    assert set(schema["schema"]["properties"]) == automatic


@every_stream
def test_a_second_run_goes_on_from_the_bookmark_of_the_first(subject: Subject, tmp_path: Path) -> None:
    with space_of(subject) as sim:
        first = subject.run(tmp_path, sim, lookback_minutes=0, refresh_hours=0)
        bookmark = first.state["bookmarks"][subject.stream]
        assert bookmark["replication_key"] == replication_key(subject)
        sim.advance(hours=12)
        second = subject.run(tmp_path, sim, state=first.state, lookback_minutes=0, refresh_hours=0)
        new = subject.truth(sim).keys() - subject.found(first).keys()
    assert (first.code, second.code) == (0, 0)
    assert new
    assert new <= subject.found(second).keys()
    assert len(second.records) < len(first.records)
    assert second.state["bookmarks"][subject.stream]["replication_key_value"] >= bookmark["replication_key_value"]


@every_stream
def test_more_logs_than_a_page_holds_come_once_each(subject: Subject, tmp_path: Path) -> None:
    with space_of(subject) as sim:
        run = subject.run(tmp_path, sim, page_size=7)
        pages = len(sim.lists(family=subject.family))
        truth = subject.truth(sim)
    assert run.code == 0, run.log
    assert pages > len(subject.found(run)) / 60
    assert pages > 7
    assert len(run.records) == len(subject.found(run)) == len(truth)
    assert subject.found(run).keys() == truth.keys()


@every_stream
def test_a_later_start_date_brings_the_later_part_of_the_same_logs(subject: Subject, tmp_path: Path) -> None:
    with space_of(subject) as sim:
        start = sim.clock - timedelta(days=2)
        whole = subject.run(tmp_path, sim)
        part = subject.run(tmp_path, sim, start_date=start.isoformat())
        created = {log_id: log["created_at"] for log_id, log in sim.truth(family=subject.family).items()}
    later = {
        key: record
        for key, record in subject.found(whole).items()
        if instant(created[key[0] if isinstance(key, tuple) else key]) >= start
    }
    assert 0 < len(later) < len(subject.found(whole))
    assert subject.found(part) == later


@every_stream
def test_an_interrupted_run_is_gone_on_with(subject: Subject, tmp_path: Path) -> None:
    with subject.space(300) as sim:
        settings = {"page_size": 20, "end_date": sim.clock.isoformat()}
        truth = subject.truth(sim)
        catalog = catalog_with(subject.stream)
        whole = len(run_tap(tmp_path, config_for(sim, **settings), catalog=catalog).stdout)
        cut = run_until(
            *(tmp_path, config_for(sim, **settings)), catalog=catalog, characters=whole * 2 // 3, how=signal.SIGKILL
        )
        rest = run_tap(tmp_path, config_for(sim, **settings), catalog=catalog, state=cut.state if cut.states else {})
    assert rest.code == 0, rest.log
    assert subject.found(cut, rest) == truth


def test_a_run_interrupted_in_its_second_stream_keeps_the_first(full_sim: Simulator, tmp_path: Path) -> None:
    catalog = catalog_with("message_logs", "fax_logs")
    config = config_for(full_sim, end_date=full_sim.clock.isoformat())
    whole = run_tap(tmp_path, config, catalog=catalog)
    order = list(dict.fromkeys(message["stream"] for message in whole.messages if message["type"] == "RECORD"))
    # Up to the first record of the second stream, and a bit.
    characters = whole.stdout.index(f'"RECORD","stream":"{order[1]}"') + 2_000
    cut = run_until(tmp_path, config, catalog=catalog, characters=characters, how=signal.SIGKILL)
    rest = run_tap(tmp_path, config, catalog=catalog, state=cut.state)
    assert {**cut.by_id, **rest.by_id} == whole.by_id
    again = {message["stream"] for message in rest.messages if message["type"] == "RECORD"}
    assert order[1] in again
    first_again = [one for one in rest.messages if one["type"] == "RECORD" and one["stream"] == order[0]]
    first = [one for one in whole.messages if one["type"] == "RECORD" and one["stream"] == order[0]]
    assert len(first_again) < len(first)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


# A state that no run of the tap wrote


@every_stream
@pytest.mark.parametrize("days", [pytest.param(2, id="in two days"), pytest.param(30_000, id="in another age")])
def test_after_a_state_from_the_future_what_is_new_still_comes(subject: Subject, days: int, tmp_path: Path) -> None:
    def run(state: dict[str, Any]) -> Run:
        """A run at the Space's own time."""
        catalog = catalog_with(subject.stream)
        sim.date_offset = (sim.clock - datetime.now(timezone.utc)).total_seconds()
        return run_tap(tmp_path, config_for(sim), state=state, catalog=catalog, clock=sim.clock)

    with space_of(subject) as sim:
        state = deepcopy(run({}).state)
        future = (sim.clock + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        state["bookmarks"][subject.stream]["replication_key_value"] = future
        misled = run(state)
        assert "Traceback" not in misled.log
        held = subject.truth(sim).keys()
        sim.advance(hours=12)
        last = run(misled.state if misled.states else state)
        assert last.code == 0, last.log
        new = subject.truth(sim).keys() - held
    assert new
    assert new <= subject.found(last).keys()
    assert last.state["bookmarks"][subject.stream]["replication_key_value"] < future


# The SDK's tests of a target


class KeepingSink(BatchSink):
    """Keeps each record under its key, and does nothing else: what a target does before is the SDK's own."""

    max_size = 50
    kept: ClassVar[dict[str, dict[tuple[Any, ...], dict[str, Any]]]] = {}

    def process_batch(self, context: dict[str, Any]) -> None:
        rows = self.kept.setdefault(self.stream_name, {})
        rows.update({tuple(row[key] for key in self.key_properties): row for row in context["records"]})


class KeepingTarget(Target):
    name = "target-keeping"
    config_jsonschema: ClassVar[dict[str, Any]] = {"type": "object", "properties": {}}
    default_sink_class = KeepingSink


class OurOutput(TargetFileTestTemplate):
    """The SDK's template for a target's tests, on a file of this tap's output."""

    name = "our_output"

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def singer_filepath(self) -> Path:
        return self.path

    def test(self) -> None:
        with self.runner.target_input:
            self.runner.sync_all()


@pytest.mark.parametrize("record_source", ["get", "list"])
def test_a_target_of_the_sdk_validates_and_keeps_every_record(
    record_source: str, full_sim: Simulator, tmp_path: Path
) -> None:
    run = run_tap(tmp_path, config_for(full_sim, record_source=record_source), catalog=catalog_with(*STREAMS))
    output = tmp_path / "output.singer"
    output.write_text(run.stdout, encoding="utf-8")
    runner = TargetTestRunner(KeepingTarget)
    KeepingSink.kept.clear()
    OurOutput(output).run(None, None, runner)  # type: ignore[arg-type]  # the suite's config says nothing here
    assert runner.state_messages[-1] == json.loads(run.stdout.splitlines()[-1])["value"]
    assert set(KeepingSink.kept) == set(STREAMS)
    for stream in STREAMS:
        sent = [one["record"] for one in run.messages if one["type"] == "RECORD" and one["stream"] == stream]
        keys = entry_of(catalog_with(), stream)["key_properties"]
        kept = {
            key: {name: value for name, value in row.items() if not name.startswith("_sdc")}
            for key, row in KeepingSink.kept[stream].items()
        }
        assert len(kept) == len(sent)
        for record in sent:
            row = kept[tuple(record[key] for key in keys)]
            assert row == {
                name: instant(value) if isinstance(row[name], datetime) else value for name, value in record.items()
            }
