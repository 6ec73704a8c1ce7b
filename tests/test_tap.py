"""The SDK's own standard suite for taps, against the simulated Space, and what the command says of itself."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from tap_signalwire_logs.tap import TapSignalWireLogs
from tests.simulator import Simulator
from tests.support.run import COMMAND, STREAMS, config_for, environment, run_tap
from tests.support.subject import catalog_with

if TYPE_CHECKING:
    from pathlib import Path

# The SDK's factory wants settings while tests are collected; the Space is the process's, and ends with it.
FAMILIES = ["voice_logs", "fax_logs", "video_logs", "conference_logs"]
SPACE = Simulator(messages=50, seed=3, days=5, families=dict.fromkeys(FAMILIES, 50)).__enter__()
# With a deleted log every field of the schema comes: the suite warns of those that don't.
for family in ("message_logs", *FAMILIES):
    SPACE.delete(next(iter(SPACE.truth(family=family))))
    SPACE.add({"discarded_at": "2026-01-31T08:00:00Z"}, family=family)

CONFIG = config_for(SPACE, include_deleted=True)
CATALOG = TapSignalWireLogs(config=CONFIG).catalog_dict
for entry in CATALOG["streams"]:
    entry["selected"] = True
    for about in entry["metadata"]:
        about["metadata"]["selected"] = True

TestStandardSuite = get_tap_test_class(
    TapSignalWireLogs, config=CONFIG, suite_config=SuiteConfig(max_records_limit=100), catalog=CATALOG
)


def test_discovery_needs_no_settings_and_no_network(tmp_path: Path) -> None:
    run = run_tap(tmp_path, {}, "--discover")
    assert run.code == 0
    streams = {stream["tap_stream_id"]: stream for stream in json.loads(run.stdout)["streams"]}
    assert sorted(streams) == STREAMS
    events = streams.pop("voice_log_events")
    assert (events["key_properties"], events["replication_key"]) == (["log_id", "position"], "event_at")
    for stream in streams.values():
        assert (stream["key_properties"], stream["replication_key"]) == (["id"], "created_at")
        assert stream["schema"]["properties"]["id"]["format"] == "uuid"


def test_messages_alone_are_selected_by_default(sim: Simulator, tmp_path: Path) -> None:
    run = run_tap(tmp_path, config_for(sim))
    assert {message["stream"] for message in run.messages if message["type"] != "STATE"} == {"message_logs"}
    assert all("/messaging/" in request.path for request in sim.requests)


@pytest.mark.parametrize(("stream", "number"), [*zip(STREAMS, [22, 17, 16, 13, 7, 16], strict=True)])
def test_every_property_of_a_schema_is_described_and_open_to_new_values(
    stream: str, number: int, tmp_path: Path
) -> None:
    streams = json.loads(run_tap(tmp_path, {}, "--discover").stdout)["streams"]
    (found,) = (one for one in streams if one["tap_stream_id"] == stream)
    properties: dict[str, Any] = found["schema"]["properties"]
    assert len(properties) == number
    for name, schema in properties.items():
        assert schema["description"].endswith("."), name
        assert "enum" not in schema, name
        assert name in found["key_properties"] or "null" in schema["type"], name


def test_the_connection_test_takes_one_record_and_ends(sim: Simulator, tmp_path: Path) -> None:
    run = run_tap(tmp_path, config_for(sim), "--test")
    assert run.code == 0
    assert len(run.records) == 1


def test_the_connection_test_fails_where_the_credentials_are_wrong(sim: Simulator, tmp_path: Path) -> None:
    run = run_tap(tmp_path, {**config_for(sim), "api_token": "PT-wrong"}, "--test")
    assert run.code == 1
    assert "check `project_id` and `api_token`" in run.log
    assert "Traceback" not in run.log


def modules_of(*arguments: str) -> set[str]:
    """Modules that a run of the command imports."""
    command = [sys.executable, "-X", "importtime", "-m", "tap_signalwire_logs", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


@pytest.mark.slow
def test_a_version_is_told_without_the_sdk_and_as_the_sdk_tells_it() -> None:
    command = [sys.executable, "-c", "from tap_signalwire_logs.tap import *; TapSignalWireLogs.cli()", "--version"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment()).stdout
    _, rest = told.split(" ", 1)
    ours = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True, env=environment())
    assert ours.stdout.split(" ", 1)[1] == rest
    assert ours.stdout.startswith("tap-signalwire-logs ")
    assert not {"singer_sdk", "requests", "pycurl"} & modules_of("--version")


def test_what_the_tap_is_and_discovers_is_told_without_what_talks_to_the_space() -> None:
    assert not {"pycurl", "tap_signalwire_logs.client"} & modules_of("--about")


@pytest.mark.parametrize("argument", ["--version", "--about", "--help"])
def test_the_command_tells_of_itself(argument: str) -> None:
    done = subprocess.run([*COMMAND, argument], capture_output=True, text=True, check=True, env=environment())
    assert "tap-signalwire-logs" in done.stdout or "Singer tap" in done.stdout


def test_the_installed_command_and_the_module_are_the_same() -> None:
    command = [sys.executable.replace("python", "tap-signalwire-logs"), "--version"]
    command[0] = str(__import__("pathlib").Path(sys.executable).parent / "tap-signalwire-logs")
    one = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    other = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True, env=environment())
    assert one.stdout == other.stdout


def test_a_stream_that_is_not_selected_costs_no_request(sim: Simulator, tmp_path: Path) -> None:
    run = run_tap(tmp_path, config_for(sim), catalog=catalog_with())
    assert run.code == 0
    assert run.records == []
    assert sim.requests == []


def test_a_property_that_is_not_selected_does_not_come(sim: Simulator, tmp_path: Path) -> None:
    catalog = catalog_with("message_logs")
    for metadata in _metadata_of_messages(catalog):
        metadata["metadata"]["selected"] = metadata["breadcrumb"] != ["properties", "to"]
    run = run_tap(tmp_path, config_for(sim), catalog=catalog)
    assert len(run.records) == len(sim.truth())
    assert not any("to" in record for record in run.records)


def test_full_table_replication_lists_everything_again_and_keeps_no_bookmark(sim: Simulator, tmp_path: Path) -> None:
    catalog = catalog_with("message_logs")
    for metadata in _metadata_of_messages(catalog):
        if metadata["breadcrumb"] == []:
            metadata["metadata"]["forced-replication-method"] = "FULL_TABLE"
    bookmark = {"replication_key_value": (sim.clock - timedelta(days=1)).isoformat()}
    run = run_tap(tmp_path, config_for(sim), catalog=catalog, state={"bookmarks": {"message_logs": bookmark}})
    assert run.code == 0
    assert len(run.records) == len(sim.truth())
    assert run.bookmark == bookmark


def _metadata_of_messages(catalog: dict[str, Any]) -> list[dict[str, Any]]:
    (stream,) = (stream for stream in catalog["streams"] if stream["tap_stream_id"] == "message_logs")
    stream.pop("replication_method", None)
    metadata: list[dict[str, Any]] = stream["metadata"]
    return metadata


@pytest.mark.parametrize("option", ["--config", "--state", "--catalog"])
@pytest.mark.parametrize(
    "content",
    ["{", "[1]", '{"bookmarks":[],"streams":{}}', '{"bookmarks":{"message_logs":5},"streams":[5]}'],
)
def test_a_file_that_is_none_of_ours_is_said_and_no_traceback(
    option: str, content: str, sim: Simulator, tmp_path: Path
) -> None:
    file = tmp_path / "bad.json"
    file.write_text(content, encoding="utf-8")
    run = run_tap(tmp_path, config_for(sim), option, str(file))
    assert run.code == 1
    assert "Traceback" not in run.log
    assert option in run.log or "unknown setting" in run.log
