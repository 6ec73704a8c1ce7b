from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from tap_signalwire_logs.settings import Settings
from tests.support.run import run_tap

if TYPE_CHECKING:
    from pathlib import Path

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
