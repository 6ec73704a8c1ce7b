from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from tap_signalwire_logs.families import FAMILIES
from tap_signalwire_logs.settings import CONFIG_JSONSCHEMA, Settings
from tests.support.run import config_for, run_tap

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulator import Simulator

ID = "9ee38635-899a-490a-bfd1-9e72f5eea53c"
OTHER_ID = "c38dacad-2f6c-4de1-93d6-cc732e0c70c5"
GOOD: dict[str, Any] = {"space": "example", "project_id": "c38dacad", "api_token": "PT-secret-token"}


def settings(**changes: Any) -> Settings:
    return Settings.from_config({**GOOD, **changes})


@pytest.mark.parametrize(
    ("space", "origin"),
    [
        ("example", "https://example.signalwire.com"),
        ("example.signalwire.com", "https://example.signalwire.com"),
        ("https://example.signalwire.com", "https://example.signalwire.com"),
        ("https://example.signalwire.com/", "https://example.signalwire.com"),
        ("EXAMPLE", "https://example.signalwire.com"),
        ("logs.example.org:8443", "https://logs.example.org:8443"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("localhost:8080", "http://localhost:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_a_space_is_taken_as_people_paste_it(space: str, origin: str) -> None:
    assert settings(space=space).origin == origin


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"space": None}, "`space` is required", id="no space"),
        pytest.param({"space": ""}, "`space`: give `example`", id="empty space"),
        pytest.param({"space": "example.signalwire.com/api"}, "no path", id="space with a path"),
        pytest.param({"space": "http://example.signalwire.com"}, "only https", id="plain HTTP"),
        pytest.param({"space": "https://me:pass@example.org"}, "no path, query or user", id="space with a user"),
        pytest.param({"space": "exa mple"}, "`space`: give", id="space with a blank"),
        pytest.param({"space": "127.0.0.1.evil.example:80@x"}, "`space`", id="a name that only looks like loopback"),
        pytest.param({"project_id": " "}, "`project_id`: is empty", id="empty project"),
        pytest.param({"api_token": ""}, "`api_token`: is empty", id="empty token"),
        pytest.param({"api_token": "a\nb"}, "control character", id="token with a line break"),
        pytest.param({"message_log_ids": []}, "`message_log_ids`: is an empty list", id="empty ID list"),
        pytest.param({"message_log_ids": ID}, "must be a list", id="ID list that is text"),
        pytest.param({"message_log_ids": [ID, "../x"]}, "no UUID at place 2", id="an ID that is no UUID"),
        pytest.param({"message_log_ids_file": "not-there.txt"}, "not-there.txt can't be read", id="no such file"),
        pytest.param({"start_date": "yesterday"}, "`start_date`: give a date", id="no date"),
        pytest.param({"start_date": "12:00"}, "`start_date`: give a date", id="a time alone"),
        pytest.param({"end_date": "2026-02-30"}, "`end_date`: give a date", id="a day that is not there"),
        pytest.param(
            {"start_date": "2026-02-01", "end_date": "2026-02-01"}, "`end_date` must be after", id="an empty range"
        ),
        pytest.param({"record_source": "both"}, "`record_source`: must be `get` or `list`", id="record source"),
        pytest.param({"include_deleted": "maybe"}, "`include_deleted`: must be true or false", id="no boolean"),
        pytest.param({"concurrency": 0}, "from 1 to 256", id="concurrency too low"),
        pytest.param({"concurrency": 257}, "from 1 to 256", id="concurrency too high"),
        pytest.param({"page_size": 1001}, "from 1 to 1000", id="page size"),
        pytest.param({"page_size": 2.5}, "from 1 to 1000", id="no whole number"),
        pytest.param({"lookback_minutes": -1}, "`lookback_minutes`: must be a whole number", id="lookback"),
        pytest.param({"refresh_hours": True}, "`refresh_hours`: must be a whole number", id="refresh"),
        pytest.param({"on_missing": "ignore"}, "`on_missing`: must be `warn` or `fail`", id="on missing"),
        pytest.param({"request_timeout": 0}, "`request_timeout`: must be a number of seconds", id="timeout"),
        pytest.param({"request_timeout": "soon"}, "`request_timeout`: must be", id="timeout that is text"),
        pytest.param({"backoff_max_tries": 0}, "`backoff_max_tries`: must be", id="no try at all"),
        pytest.param({"sweep_days": 91}, "`sweep_days`: must be a whole number from 0 to 90", id="sweep"),
        pytest.param({"sweep_days": -1}, "`sweep_days`: must be a whole number from 0 to 90", id="sweep below"),
        pytest.param({"sweep_every_hours": 0}, "from 1 to 720", id="no time between sweeps"),
        pytest.param({"sweep_every_hours": "721"}, "from 1 to 720", id="too much time between sweeps"),
        pytest.param({"include_deleted": 1}, "`include_deleted`: must be true or false", id="a number as a boolean"),
        pytest.param(
            {"start_dat": "2026-01-01"}, "`start_dat`: unknown setting; did you mean `start_date`?", id="typo"
        ),
        pytest.param({"message_log_id": [ID]}, "did you mean `message_log_ids`?", id="a typo in the IDs"),
        pytest.param({"Space": "x"}, "`Space`: unknown setting; did you mean `space`?", id="capitals"),
        pytest.param({"zzz": 1}, "`zzz`: unknown setting", id="like nothing"),
        pytest.param({"a\nb\x1b[31m": 1}, "`a?b?[31m`: unknown setting", id="a name that would forge a line"),
        pytest.param({"batch_config": {}}, "`batch_config`: this tap writes no BATCH", id="BATCH"),
        pytest.param({"flattening_enabled": "maybe"}, "`flattening_enabled`: must be true or false", id="flattening"),
        pytest.param({"flattening_enabled": [True]}, "`flattening_enabled`: must be true or false", id="a list"),
        pytest.param({"flattening_enabled": True}, "`flattening_max_depth` is required where", id="no depth"),
        pytest.param({"flattening_max_depth": "deep"}, "`flattening_max_depth`: must be a whole number", id="depth"),
        pytest.param(
            {"flattening_max_depth": -1}, "`flattening_max_depth`: must be a whole number", id="depth below 0"
        ),
        pytest.param(
            {"flattening_max_depth": 1.5}, "`flattening_max_depth`: must be a whole number", id="half a depth"
        ),
        pytest.param({"flattening_max_key_length": 0}, "`flattening_max_key_length`: must be", id="key length"),
        pytest.param({"flattening_separator": 5}, "`flattening_separator`: must be a text", id="separator"),
        pytest.param({"emit_activate_version_messages": "x"}, "must be true or false", id="ACTIVATE_VERSION"),
        pytest.param({"stream_map_config": []}, "`stream_map_config`: must be an object", id="map config"),
        pytest.param({"faker_config": "seed"}, "`faker_config`: must be an object", id="faker"),
        pytest.param(
            {"faker_config": {"seed": []}}, "`faker_config.seed`: must be a number or a text", id="faker seed"
        ),
        pytest.param({"faker_config": {"locale": 5}}, "`faker_config.locale`: must be a locale", id="faker locale"),
        pytest.param({"faker_config": {"locale": ["en_US", 5]}}, "`faker_config.locale`: must be", id="faker locales"),
        pytest.param(
            {"faker_config": {"sed": 5}}, "`faker_config.sed`: unknown setting; did you mean `seed`", id="fake"
        ),
        pytest.param({"stream_maps": "message_logs"}, "`stream_maps`: must be an object", id="maps that are text"),
        pytest.param({"stream_maps": {"__else__": "x"}}, "`stream_maps.__else__`: must be null or", id="else"),
        pytest.param({"stream_maps": {"__else__": []}}, "`stream_maps.__else__`: must be null or", id="else a list"),
        pytest.param(
            {"stream_maps": {"message_log": {}}},
            "`stream_maps.message_log`: no stream is named `message_log`; did you mean `message_logs`?",
            id="a map of no stream",
        ),
        pytest.param({"stream_maps": {"sms_*": {}}}, "no stream is named `sms_*`", id="a pattern that fits no stream"),
        pytest.param({"stream_maps": {"__x__": {}}}, "no stream is named `__x__`", id="an option that is none"),
        pytest.param(
            {"stream_maps": {"copy": {"__source__": "fax_log"}}}, "did you mean `fax_logs`?", id="a copy of no stream"
        ),
        pytest.param({"stream_maps": {"message_logs": "x"}}, "must be an object of expressions", id="a map of text"),
        pytest.param({"stream_maps": {"message_logs": []}}, "must be an object of expressions", id="a map of a list"),
        pytest.param({"stream_maps": {"message_logs": False}}, "must be an object of expressions", id="a false map"),
        pytest.param({"stream_maps": {"*": {"to": 5}}}, "`stream_maps.*.to`: must be an expression", id="a number"),
        pytest.param({"stream_maps": {"*": {"to": ["a"]}}}, "`stream_maps.*.to`: must be an expression", id="many"),
        pytest.param({"stream_maps": {"*": {"to": ""}}}, "`stream_maps.*.to`: must be an expression", id="nothing"),
        pytest.param({"stream_maps": {"*": {"to": "a ="}}}, "`stream_maps.*.to`: must be an expression", id="syntax"),
        pytest.param({"stream_maps": {"*": {"to": "a = 1"}}}, "must be an expression", id="a statement"),
        pytest.param({"stream_maps": {"*": {"to": "a\0"}}}, "must be an expression", id="a NUL"),
        pytest.param({"stream_maps": {"*": {"to": "(" * 9999}}}, "must be an expression", id="too deep"),
        pytest.param({"stream_maps": {"*": {"__filter__": 5}}}, "__filter__`: must be an expression", id="filter"),
        pytest.param({"stream_maps": {"*": {"__filter__": ""}}}, "__filter__`: must be an expression", id="no filter"),
        pytest.param({"stream_maps": {"*": {"__alias__": 5}}}, "__alias__`: must be a name", id="alias"),
        pytest.param({"stream_maps": {"*": {"__alias__": ""}}}, "__alias__`: must be a name", id="no alias"),
        pytest.param({"stream_maps": {"*": {"__source__": None}}}, "__source__`: must be the name", id="source"),
        pytest.param({"stream_maps": {"*": {"__else__": {}}}}, "__else__`: must be null", id="else of a stream"),
        pytest.param({"stream_maps": {"*": {"__key_properties__": "id"}}}, "must be a list of prop", id="keys"),
        pytest.param(
            {"stream_maps": {"*": {"__fliter__": "x"}}}, "unknown option; did you mean `__filter__`?", id="option"
        ),
        pytest.param({"user_agent": "a\r\nX-Evil: 1"}, "`user_agent`: must be printable", id="header injection"),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match="`") as error:
        settings(**changes)
    assert says in str(error.value)


def test_numbers_and_booleans_may_come_as_text_as_from_the_environment() -> None:
    taken = settings(concurrency="7", request_timeout="1.5", include_deleted="TRUE", refresh_hours="0")
    assert (taken.concurrency, taken.request_timeout, taken.include_deleted) == (7, 1.5, True)
    assert taken.refresh == timedelta(0)


@pytest.mark.parametrize("text", ["false", "FALSE", "0", "no", "off"])
def test_what_reads_as_false_is_false(text: str) -> None:
    taken = settings(include_deleted=text, flattening_enabled=text)
    assert taken.include_deleted is False
    assert taken.builtin["flattening_enabled"] is False


def test_what_the_sdk_reads_has_its_right_type() -> None:
    given = {
        "flattening_enabled": "true",
        "flattening_max_depth": "2",
        "flattening_max_key_length": "60",
        "flattening_separator": "__",
        "stream_maps": {
            "message_logs": {"__alias__": "messages", "from": None, "to": "__NULL__", "n": "1", "__filter__": "True"},
            "copy": {"__source__": "message_logs", "__key_properties__": None, "__else__": None, "id": "id"},
            "voice_*": None,
            "__else__": "__NULL__",
        },
        "stream_map_config": {"salt": "x"},
        "faker_config": {"seed": 5, "locale": ["en_US"]},
    }
    taken = settings(**given)
    assert taken.builtin == {
        **given,
        "flattening_enabled": True,
        "flattening_max_depth": 2,
        "flattening_max_key_length": 60,
    }


def test_what_an_orchestrator_adds_passes_and_null_is_not_set() -> None:
    taken = settings(_select=["*.*"], _anything=1, flattening_enabled=None, stream_maps=None, start_date=None)
    assert taken.builtin == {}


def test_the_sweep_has_its_defaults_and_its_bounds() -> None:
    assert (settings().sweep, settings().sweep_every) == (timedelta(days=7), timedelta(hours=24))
    taken = settings(sweep_days="0", sweep_every_hours=720)
    assert (taken.sweep, taken.sweep_every) == (timedelta(0), timedelta(days=30))


def test_dates_are_utc_where_they_name_no_zone() -> None:
    taken = settings(start_date="2026-01-31", end_date="2026-01-31T10:00:00+02:00")
    assert taken.start_date == datetime(2026, 1, 31, tzinfo=timezone.utc)
    assert taken.end_date == datetime(2026, 1, 31, 8, tzinfo=timezone.utc)


def test_the_list_and_the_file_are_one_list(tmp_path: Path) -> None:
    file = tmp_path / "ids.txt"
    file.write_text(f"# of January\n\n  {OTHER_ID.upper()}  # the bad one\r\n{ID}\n", encoding="utf-8-sig")
    taken = settings(message_log_ids=[ID], message_log_ids_file=str(file))
    assert list(taken.ids["message_log_ids"]) == [ID, OTHER_ID, ID]
    assert list(taken.ids) == ["message_log_ids"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"", "holds no ID", id="empty"),
        pytest.param(b"# nothing\n\n", "holds no ID", id="only comments"),
        pytest.param(f"{ID}\nnope\n{ID}\n..\n".encode(), "no UUID in line 2, 4", id="bad lines"),
        pytest.param(b"\xff\xfe\x00", "no UTF-8 text", id="another encoding"),
    ],
)
def test_a_bad_file_of_ids_is_refused_with_its_line(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "ids.txt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="message_log_ids_file") as error:
        settings(message_log_ids_file=str(file))
    assert says in str(error.value)


def test_the_command_says_all_that_is_wrong_in_one_message_and_no_secret(tmp_path: Path) -> None:
    run = run_tap(
        tmp_path,
        {"space": "http://example.org", "api_token": ["PT-secret-token"], "concurrency": "many", "page_size": 0},
    )
    assert run.code == 1
    assert run.stdout == ""
    message = run.log.partition("Invalid settings:")[2]
    for name in ("space", "project_id", "api_token", "concurrency", "page_size"):
        assert f"- `{name}`" in message
    assert "PT-secret" not in run.log
    assert "Traceback" not in run.log


def test_settings_come_from_the_environment_too(tmp_path: Path) -> None:
    run = run_tap(
        tmp_path,
        {},
        "--config",
        "ENV",
        TAP_SIGNALWIRE_LOGS_SPACE="exa mple",
        TAP_SIGNALWIRE_LOGS_PROJECT_ID="p",
        TAP_SIGNALWIRE_LOGS_API_TOKEN="PT-secret-token",
        TAP_SIGNALWIRE_LOGS_CONCURRENCY="many",
        TAP_SIGNALWIRE_LOGS_MESSAGE_LOG_IDS=json.dumps([ID, "x"]),
    )
    assert run.code == 1
    for said in ("- `space`", "- `concurrency`", "no UUID at place 2"):
        assert said in run.log
    assert "`project_id`" not in run.log
    assert "PT-secret" not in run.log


PREFIX = "TAP_SIGNALWIRE_LOGS_"
REQUIRED = {f"{PREFIX}SPACE": "127.0.0.1:1", f"{PREFIX}PROJECT_ID": "p", f"{PREFIX}API_TOKEN": "PT-secret-token"}


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        pytest.param("START_DAT", "2026-01-01", "`start_dat`: unknown setting; did you mean `start_date`?", id="typo"),
        pytest.param("MESSAGE_LOG_ID", ID, "did you mean `message_log_ids`?", id="a typo in the IDs"),
        pytest.param("INCLUDE_DELETED", "maybe", "`include_deleted`: must be true or false", id="no boolean"),
        pytest.param("INCLUDE_DELETED", "", "`include_deleted`: must be true or false", id="an empty boolean"),
        pytest.param("FLATTENING_ENABLED", "maybe", "`flattening_enabled`: must be", id="a built-in boolean"),
        pytest.param("FLATTENING_MAX_DEPTH", "two", "`flattening_max_depth`: must be a whole", id="a built-in number"),
        pytest.param("FLATTENING_ENABLED", "true", "`flattening_max_depth` is required", id="what goes with another"),
        pytest.param("STREAM_MAPS", "{", "`stream_maps`: must be an object", id="half an object"),
        pytest.param("STREAM_MAPS", "[]", "`stream_maps`: must be an object", id="a list as an object"),
        pytest.param("STREAM_MAPS", "null", "`stream_maps`: must be an object", id="null as an object"),
        pytest.param("STREAM_MAPS", '{"sms": null}', "no stream is named `sms`", id="a map of no stream"),
        pytest.param("STREAM_MAP_CONFIG", "x", "`stream_map_config`: must be an object", id="text as an object"),
        pytest.param("FAKER_CONFIG", "5", "`faker_config`: must be an object", id="a number as an object"),
        pytest.param("MESSAGE_LOG_IDS", "null", "`message_log_ids`: must be a list", id="null as IDs"),
        pytest.param("MESSAGE_LOG_IDS", "[]", "`message_log_ids`: is an empty list", id="no IDs"),
        pytest.param("MESSAGE_LOG_IDS", "", "`message_log_ids`: must be a list", id="an empty text as IDs"),
        pytest.param("MESSAGE_LOG_IDS", f"{ID},x", "no UUID at place 2", id="IDs between commas"),
        pytest.param("MESSAGE_LOG_IDS", "[1", "`message_log_ids`: must be a list", id="half a list"),
        pytest.param("SWEEP_DAYS", "a", "`sweep_days`: must be a whole number", id="no number"),
    ],
)
def test_a_wrong_variable_is_refused_in_plain_words(variable: str, text: str, says: str, tmp_path: Path) -> None:
    run = run_tap(tmp_path, {}, "--config", "ENV", **{**REQUIRED, PREFIX + variable: text})  # type: ignore[arg-type]  # names of variables
    assert (run.code, run.stdout) == (1, "")
    assert says in run.log.partition("Invalid settings:")[2]
    assert run.log.count("\n  - ") == 1
    assert "Traceback" not in run.log


def test_variables_that_are_no_settings_of_the_tap_s_pass(sim: Simulator, tmp_path: Path) -> None:
    run = run_tap(
        tmp_path,
        {},
        "--config",
        "ENV",
        TAP_SIGNALWIRE_LOGS_SPACE=sim.space,
        TAP_SIGNALWIRE_LOGS_PROJECT_ID=sim.project_id,
        TAP_SIGNALWIRE_LOGS_API_TOKEN=sim.api_token,
        TAP_SIGNALWIRE_LOGS_RECORD_SOURCE="list",
        TAP_SIGNALWIRE_LOGS_LOGLEVEL="WARNING",
        TAP_SIGNALWIRE_LOGS__SELECT='["*.*"]',
        TAP_SIGNALWIRE_LOGS_STREAM_MAPS='{"message_logs": {"salt": "config[\'salt\']"}}',
        TAP_SIGNALWIRE_LOGS_STREAM_MAP_CONFIG='{"salt": "a salt"}',
        TAP_SIGNALWIRE_LOGS_STREAM_MAP_CONFIG_SALT="what Meltano adds",
        TAP_SIGNALWIRE_LOGS_FLATTENING_ENABLED="true",
        TAP_SIGNALWIRE_LOGS_FLATTENING_MAX_DEPTH="1",
    )
    assert run.code == 0, run.log
    assert {record["salt"] for record in run.records} == {"a salt"}
    assert len(run.records) == 300
    assert "| INFO" not in run.log


def test_flattening_without_a_map_flattens_schema_and_records_alike(tmp_path: Path, sim: Simulator) -> None:
    run = run_tap(tmp_path, config_for(sim, record_source="list", flattening_enabled=True, flattening_max_depth=1))
    (schema,) = (message["schema"] for message in run.messages if message["type"] == "SCHEMA")
    for record in run.records:
        assert record.keys() <= schema["properties"].keys()
        assert isinstance(record["charge_details"], str)


def test_null_is_not_set(sim: Simulator, tmp_path: Path) -> None:
    names = [
        "stream_maps",
        "stream_map_config",
        "faker_config",
        "flattening_enabled",
        "flattening_max_depth",
        "start_date",
    ]
    run = run_tap(tmp_path, config_for(sim, record_source="list", **dict.fromkeys(names)))
    assert (run.code, len(run.records)) == (0, 300), run.log


def test_missing_settings_say_how_to_give_them(tmp_path: Path) -> None:
    run = run_tap(tmp_path, {})
    assert run.code == 1
    assert "`--config FILE`" in run.log
    assert "`--config ENV`" in run.log


@pytest.mark.parametrize(
    "maps",
    [
        pytest.param({"message_logs": {"id": None}}, id="a key taken out"),
        pytest.param({"message_logs": {"__key_properties__": ["nope"]}}, id="a key that is not there"),
        pytest.param({"message_logs": {"__alias__": "1 / 0"}}, id="an alias that raises"),
        pytest.param({"message_logs": {"__alias__": "12"}}, id="an alias that is a number"),
        pytest.param({"message_logs": {"__alias__": "lambda: 1"}}, id="an alias that is not allowed"),
        pytest.param({"message_logs": {"__else__": None, "__key_properties__": ["to"]}}, id="a key left out"),
    ],
)
def test_a_map_that_can_t_be_made_is_one_line(maps: dict[str, Any], sim: Simulator, tmp_path: Path) -> None:
    run = run_tap(tmp_path, config_for(sim, stream_maps=maps))
    assert (run.code, run.stdout) == (1, "")
    (error,) = (line for line in run.log.splitlines() if "| ERROR" in line)
    assert "`stream_maps`" in error
    assert "message_logs" in error
    assert "Traceback" not in run.log
    assert sim.requests == []


def test_a_family_s_row_is_all_that_its_settings_are_made_of() -> None:
    for family in FAMILIES:
        if family.ids_setting:
            setting = CONFIG_JSONSCHEMA["properties"][family.ids_setting]
            assert f"`{family.name}`" in setting["description"]
            assert f"{family.ids_setting}_file" in CONFIG_JSONSCHEMA["properties"]
