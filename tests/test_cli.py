"""The command as a process: signals, pipes, its files, and how it ends."""

from __future__ import annotations

import gc
import io
import json
import os
import pty
import signal
import subprocess
import threading
import time
from contextlib import redirect_stdout
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tap_signalwire_logs.singer import DISK_FULL_HELP
from tap_signalwire_logs.tap import StreamsFailedError, TapSignalWireLogs
from tests.simulator import Simulator
from tests.support.run import COMMAND, config_for, environment, run_tap, write_json
from tests.support.subject import catalog_with

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
GET = r"/logs/[0-9a-f-]{36}"


def start(
    sim: Simulator, folder: Path, *python: str, variables: Mapping[str, str] | None = None, **settings: Any
) -> subprocess.Popen[bytes]:
    command = [
        COMMAND[0],
        *python,
        *COMMAND[1:],
        "--config",
        write_json(folder / "config.json", config_for(sim, **settings)),
    ]
    env = environment(**(variables or {}))
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)


def messages_of(output: bytes) -> list[dict[str, Any]]:
    """Singer messages, each of which is a whole line."""
    assert not output or output.endswith(b"\n")
    return [json.loads(line) for line in output.split(b"\n")[:-1]]


# Signals


@pytest.mark.slow
@SIGNALS
@pytest.mark.parametrize(
    "module",
    [
        "importlib.metadata",
        "singer_sdk.exceptions",
        "singer_sdk.streams.core",
        "tap_signalwire_logs.settings",
        "tap_signalwire_logs.tap",
        "tap_signalwire_logs.client",
    ],
)
def test_a_signal_while_the_command_starts_ends_it_without_a_traceback(
    number: signal.Signals, module: str, sim: Simulator, tmp_path: Path
) -> None:
    # By the machine's own clock: what moves it would import some of these modules before the command begins.
    process = start(sim, tmp_path, "-X", "importtime", variables={"TESTS_CLOCK_SHIFT": ""})
    assert process.stderr
    log = b""
    for line in process.stderr:
        log += line
        if line.rpartition(b"|")[2].strip() == module.encode():
            break
    process.send_signal(number)
    output, rest = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert b"Traceback" not in log + rest
    assert b"Error" not in rest
    assert messages_of(output)[-1:] == [] or messages_of(output)[-1]["type"] == "STATE"


def hanging(sim: Simulator, folder: Path) -> subprocess.Popen[bytes]:
    """A run that has written records, and waits for answers that don't come."""
    sim.fault("hang", path=GET, seconds=120, after=100, times=None)
    process = start(sim, folder, concurrency=4, request_timeout=300)
    assert process.stdout
    first = process.stdout.readline()
    assert b"SCHEMA" in first
    return process


@SIGNALS
def test_the_same_signal_twice_at_once_counts_once(number: signal.Signals, sim: Simulator, tmp_path: Path) -> None:
    process = hanging(sim, tmp_path)
    process.send_signal(number)
    process.send_signal(number)
    assert process.stdout
    assert process.stderr
    # `communicate` would drop what was read ahead.
    output, log = process.stdout.read(), process.stderr.read()
    assert process.wait(timeout=30) == 128 + number
    process.stdout.close()
    process.stderr.close()
    assert messages_of(output)[-1]["type"] == "STATE"
    assert b"stopped" in log
    assert b"Traceback" not in log


def test_another_signal_ends_a_run_that_is_stuck_at_once(sim: Simulator, tmp_path: Path) -> None:
    sim.fault("hang", path=GET, seconds=120, times=None)
    process = start(sim, tmp_path, record_source="list", page_size=10)
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    assert process.returncode in {128 + signal.SIGINT, 128 + signal.SIGTERM}
    assert b"Traceback" not in log


@SIGNALS
def test_a_signal_while_the_pipe_is_full_loses_nothing_of_what_was_begun(
    number: signal.Signals, tmp_path: Path
) -> None:
    with Simulator(messages=2_000, seed=7, days=5) as sim:
        process = start(sim, tmp_path, record_source="list")
        assert process.stdout
        first = os.read(process.stdout.fileno(), 1)
        _until_it_sleeps(process.pid)
        process.send_signal(number)
        output, log = process.communicate(timeout=30)
    messages = messages_of(first + output)
    assert [message["type"] for message in messages[:2]] == ["SCHEMA", "RECORD"]
    assert messages[-1]["type"] == "STATE"
    assert process.returncode == 128 + number
    assert b"Traceback" not in log


def test_a_signal_ends_a_run_whose_target_reads_no_more(tmp_path: Path) -> None:
    with Simulator(messages=2_000, seed=7, days=5) as sim:
        process = start(sim, tmp_path, record_source="list")
        assert process.stdout
        assert process.stderr
        os.read(process.stdout.fileno(), 1)
        _until_it_sleeps(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        process.stderr.close()


def test_a_signal_ends_a_run_whose_network_thread_hangs_with_its_closing_line(sim: Simulator, tmp_path: Path) -> None:
    ids = tmp_path / "ids"
    os.mkfifo(ids)
    process = start(sim, tmp_path, message_log_ids_file=str(ids))
    # The settings' check reads the file; then the network thread does, and nobody writes a second time.
    threading.Thread(target=ids.write_text, args=["\n".join(list(sim.truth())[:5])], daemon=True).start()
    assert process.stdout
    assert process.stderr
    assert b"SCHEMA" in process.stdout.readline()
    _until_it_sleeps(process.pid)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    process.stdout.close()
    assert b"Stopped by SIGTERM" in process.stderr.read()
    process.stderr.close()


def _until_it_sleeps(process: int) -> None:
    """Wait until a process has used no time for a while: it is blocked."""
    used = before = -1.0
    for _ in range(200):
        time.sleep(0.2)
        with open(f"/proc/{process}/stat", encoding="ascii") as stat:  # noqa: PTH123 - no file of a folder
            fields = stat.read().rpartition(")")[2].split()
        before, used = used, float(fields[11]) + float(fields[12])
        if used == before and used > 0 and fields[0] == "S":
            return
    pytest.fail("the process is never blocked")


def test_ctrl_c_that_reaches_the_target_too_is_told_as_ctrl_c(sim: Simulator, tmp_path: Path) -> None:
    process = hanging(sim, tmp_path)
    assert process.stdout
    assert process.stderr
    process.send_signal(signal.SIGINT)
    process.stdout.close()
    log = process.stderr.read()
    assert process.wait(timeout=30) == 128 + signal.SIGINT
    assert b"Traceback" not in log
    process.stderr.close()


def test_a_target_that_dies_is_noticed_though_there_is_nothing_to_write(tmp_path: Path) -> None:
    script = """
import os, sys, time
from tap_signalwire_logs.singer import SingerWriter
writer = SingerWriter()
writer.on_target_gone = lambda: os.write(2, b"gone")
writer.check_target()
os.write(2, b"there ")
sys.stdin.read()
writer.check_target()
writer.check_target()
"""
    process = subprocess.Popen(
        [COMMAND[0], "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(),
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    assert process.stderr.read(6) == b"there "
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == b"gone"
    assert process.wait(timeout=30) == 0
    process.stderr.close()


# Descriptors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("redirection", "code", "says"),
    [
        pytest.param("2>&-", 0, "", id="stderr is closed"),
        pytest.param("<&-", 0, "", id="stdin is closed"),
        pytest.param("<&- 2>&-", 0, "", id="stdin and stderr are closed"),
        pytest.param("2>/dev/full", 0, "", id="stderr is full"),
        pytest.param(">&-", 1, "stdout is closed", id="stdout is closed"),
        pytest.param(">&- <&- 2>&-", 1, "", id="all are closed"),
        pytest.param(">/dev/full", 1, DISK_FULL_HELP[:20], id="stdout is full"),
        pytest.param("1</dev/null", 1, "Bad file descriptor", id="stdout can't be written to"),
    ],
)
@pytest.mark.real_command
def test_a_run_survives_its_descriptors_or_says_what_is_wrong(
    redirection: str, code: int, says: str, sim: Simulator, tmp_path: Path
) -> None:
    config = write_json(tmp_path / "config.json", config_for(sim, record_source="list"))
    command = f'exec {" ".join(COMMAND)} --config "$0" {redirection}'
    done = subprocess.run(["/bin/sh", "-c", command, config], capture_output=True, check=False, env=environment())
    log = done.stderr.decode()
    assert done.returncode == code, log
    assert says in log
    assert "Traceback" not in log
    assert "Exception" not in log
    if code == 0:
        assert sum(message["type"] == "RECORD" for message in messages_of(done.stdout)) == 300


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--discover"], ["--about"], ["--version"], ["--help"]], ids=lambda one: one[0])
@pytest.mark.parametrize("redirection", [">/dev/full", ">&-", "| head -c 1 >/dev/null"])
@pytest.mark.real_command
def test_what_the_command_tells_of_itself_ends_in_one_line_where_nobody_can_read_it(
    arguments: list[str], redirection: str
) -> None:
    command = f"{' '.join([*COMMAND, *arguments])} {redirection}"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False, env=environment(), text=True)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert done.returncode == (0 if "|" in redirection else 1)


# One stream that fails


def test_a_stream_that_fails_keeps_no_other_from_running(tmp_path: Path) -> None:
    with Simulator(messages=20, seed=7, days=5, families={"voice_logs": 5, "conference_logs": 5}) as sim:
        sim.scopes = {"Messaging", "Voice"}
        sim.fault("status", path="/api/logs/conferences", status=403, times=None)
        catalog = catalog_with("conference_logs", "message_logs", "voice_logs", "fax_logs")
        run = run_tap(tmp_path, config_for(sim), catalog=catalog)
        assert run.code == 1
        assert set(run.by_id) == {*sim.truth(), *sim.truth(family="voice_logs")}
        assert set(run.state["bookmarks"]) >= {"message_logs", "voice_logs"}
    assert "2 of 4 streams failed: conference_logs, fax_logs" in run.log
    errors = [line for line in run.log.splitlines() if "| ERROR" in line]
    assert len(errors) == 3
    assert "Traceback" not in run.log


def test_in_one_process_every_run_leaves_no_thread_and_no_descriptor(sim: Simulator) -> None:
    def count() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    def run(expected: tuple[int, int] | None = None) -> tuple[int, int]:
        tap = TapSignalWireLogs(config=config_for(sim, record_source="list"))
        with redirect_stdout(io.TextIOWrapper(io.BytesIO())):
            tap.sync_all()
        del tap
        gc.collect()
        # The Space is in this process too: it sees that a connection was closed a moment later.
        deadline = time.monotonic() + 10
        while count() != expected and time.monotonic() < deadline:
            time.sleep(0.01 if expected else 1)
            expected = expected or count()
        return count()

    first = run()
    assert [run(first) for _ in range(3)] == [first] * 3


def test_in_one_process_a_failed_stream_is_an_error_once_all_have_run(sim: Simulator) -> None:
    sim.scopes = {"Fax"}
    tap = TapSignalWireLogs(config=config_for(sim), catalog=catalog_with("fax_logs", "message_logs"))
    with redirect_stdout(io.TextIOWrapper(io.BytesIO())), pytest.raises(StreamsFailedError, match="message_logs"):
        tap.sync_all()


# --test


def test_the_connection_test_asks_for_the_selected_streams_alone(tmp_path: Path) -> None:
    with Simulator(messages=30, seed=7, days=5, families={"voice_logs": 5}) as sim:
        sim.scopes = {"Messaging"}
        run = run_tap(tmp_path, config_for(sim), "--test")
        assert (run.code, len(run.records)) == (0, 1), run.log
        assert all("/messaging/" in request.path for request in sim.requests)
        assert "message_logs: done: 1 records" in run.log
        assert "failed" not in run.log
        sim.scopes = {"Voice"}
        for arguments in (["--test"], ["--test=all"]):
            run = run_tap(tmp_path, config_for(sim), *arguments, catalog=catalog_with("voice_logs"))
            assert (run.code, len(run.records)) == (0, 1), run.log
        assert run_tap(tmp_path, config_for(sim), "--test").code == 1


def test_the_schemas_alone_are_those_of_the_selected_streams(sim: Simulator, tmp_path: Path) -> None:
    run = run_tap(tmp_path, config_for(sim), "--test=schema")
    (message,) = run.messages
    assert (run.code, message["type"], message["stream"]) == (0, "SCHEMA", "message_logs")
    run = run_tap(tmp_path, config_for(sim), "--test=schema", catalog=catalog_with("fax_logs", "voice_logs"))
    assert [message["stream"] for message in run.messages] == ["fax_logs", "voice_logs"]
    assert all(message["schema"]["properties"] for message in run.messages)
    assert sim.requests == []


# Stream maps


@pytest.mark.parametrize("source", ["*", "fax_logs", "voice_*"])
def test_a_map_of_what_is_not_selected_ends_nothing(source: str, sim: Simulator, tmp_path: Path) -> None:
    maps = {source: {"__filter__": "record['created_at'] > ''", "from": "md5(record['id'])"}}
    run = run_tap(tmp_path, config_for(sim, record_source="list", stream_maps=maps))
    assert run.code == 0, run.log
    assert len(run.records) == 300
    assert all((len(record["from"]) == 32) is (source == "*") for record in run.records)


def test_the_closing_line_counts_what_a_filter_let_through(sim: Simulator, tmp_path: Path) -> None:
    maps = {"message_logs": {"__filter__": "record['direction'] == 'inbound'"}}
    run = run_tap(tmp_path, config_for(sim, stream_maps=maps))
    inbound = [record for record in sim.truth().values() if record["direction"] == "inbound"]
    assert len(run.records) == len(inbound) < 300
    assert f"message_logs: done: {len(inbound)} records" in run.log


def test_an_expression_that_raises_is_one_line_without_the_value(empty_sim: Simulator, tmp_path: Path) -> None:
    empty_sim.add({"from": "+12077447397", "to": "+12029921413"})
    maps = {"message_logs": {"from": "int(record['from'] + 'x')"}}
    run = run_tap(tmp_path, config_for(empty_sim, stream_maps=maps))
    assert run.code == 1
    errors = [line for line in run.log.splitlines() if "| ERROR" in line]
    assert len(errors) == 2
    assert "message_logs: the stream map's expression for `from` raised ValueError" in errors[0]
    assert "12077447397" not in run.log
    assert "Traceback" not in run.log


# --state

AN_HOUR_AGO = (datetime.now(timezone.utc) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
BOOKMARK = {"replication_key": "created_at", "replication_key_value": AN_HOUR_AGO}
STATE = {"bookmarks": {"message_logs": BOOKMARK}}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(STATE, None, id="a state"),
        pytest.param({"type": "STATE", "value": STATE}, "unwrapped", id="a STATE message"),
        pytest.param({"singer_state": STATE}, "unwrapped", id="what meltano state get prints"),
        pytest.param(
            {"completed": {"singer_state": STATE}, "partial": {}}, "unwrapped", id="a state file of Meltano's"
        ),
        pytest.param({"value": STATE}, "unwrapped", id="the value"),
        pytest.param({"message_logs": BOOKMARK}, "unwrapped", id="the bookmarks alone"),
        pytest.param(
            {"bookmarks": {"message_logs": BOOKMARK, "message_log": {}}}, "did you mean `message_logs`", id="one more"
        ),
    ],
)
def test_a_state_is_found_where_it_is_plain_what_was_meant(
    content: dict[str, Any], says: str | None, sim: Simulator, tmp_path: Path
) -> None:
    run = run_tap(tmp_path, config_for(sim, record_source="list"), state=content)
    assert run.code == 0, run.log
    assert run.bookmark["replication_key_value"] == BOOKMARK["replication_key_value"]
    assert run.records == []
    assert "Traceback" not in run.log
    assert (says or "") in run.log
    assert says or "unwrapped" not in run.log


@pytest.mark.parametrize(
    "content",
    [
        pytest.param({}, id="an empty object"),
        pytest.param({"bookmarks": {}}, id="no bookmark"),
        pytest.param({"singer_state": {}}, id="nothing in Meltano's"),
    ],
)
def test_an_empty_state_is_a_first_run_and_said(content: dict[str, Any], sim: Simulator, tmp_path: Path) -> None:
    run = run_tap(tmp_path, config_for(sim, record_source="list"), state=content)
    assert (run.code, len(run.records)) == (0, 300)
    assert "--state: no bookmark in it; everything is read from the start" in run.log


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "the file is empty", id="an empty file"),
        pytest.param(" \n", "the file is empty", id="a blank file"),
        pytest.param("null", "null, no state", id="null"),
        pytest.param("[]", "a JSON list", id="a list"),
        pytest.param("5", "a JSON number", id="a number"),
        pytest.param('"x"', "a JSON text", id="a text"),
        pytest.param("{", "no JSON", id="half an object"),
        pytest.param('{"bookmarks": {}}\n{"bookmarks": {}}\n', "give the last one alone", id="many lines"),
        pytest.param('{"value": null}', "null, no state", id="a STATE of nothing"),
        pytest.param('{"bookmark": {"message_logs": {}}}', "an object without `bookmarks`", id="a misspelt key"),
        pytest.param('{"streams": []}', "an object without `bookmarks`", id="a catalog"),
        pytest.param('{"bookmarks": []}', "`bookmarks` is a JSON list", id="bookmarks that are a list"),
        pytest.param('{"bookmarks": null}', "`bookmarks` is a JSON null", id="bookmarks that are null"),
        pytest.param(
            '{"bookmarks": {"message_logs": 5}}', "`message_logs`: a JSON number", id="a number as a bookmark"
        ),
        pytest.param('{"bookmarks": {"message_logs": null}}', "`message_logs`: a JSON null", id="no bookmark"),
        pytest.param(
            '{"bookmarks": {"fax_logs": {"replication_key_value": "soon"}}}',
            "`fax_logs`: its `replication_key_value` is no",
            id="a bookmark that is no instant",
        ),
        pytest.param(
            '{"bookmarks": {"message_logs": {"replication_key_value": 1700000000}}}',
            "`message_logs`: its `replication_key_value` is no",
            id="a bookmark that is a number",
        ),
        pytest.param(
            '{"bookmarks": {"contacts": {"replication_key_value": "2026-01-01"}}}', "`contacts`", id="another's"
        ),
        pytest.param('{"completed": {}, "partial": {"singer_state": {}}}', "partial", id="two states of Meltano's"),
    ],
)
def test_what_is_no_state_is_refused_before_any_request(text: str, says: str, sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text(text, encoding="utf-8")
    run = run_tap(tmp_path, config_for(sim), "--state", str(file))
    assert (run.code, run.stdout) == (1, "")
    assert says in run.log
    assert "--state" in run.log
    assert "Traceback" not in run.log
    assert sim.requests == []


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        pytest.param({"stream": "message_logs"}, "no `tap_stream_id`", id="no ID"),
        pytest.param({"tap_stream_id": "message_logs", "schema": []}, "`schema`", id="a schema that is a list"),
        pytest.param({"tap_stream_id": "message_logs", "metadata": [{}]}, "`metadata`", id="no breadcrumb"),
        pytest.param({"tap_stream_id": "message_logs", "metadata": {}}, "`metadata`", id="metadata that is an object"),
    ],
)
def test_a_catalog_s_entry_that_is_none_is_refused(
    entry: dict[str, Any], says: str, sim: Simulator, tmp_path: Path
) -> None:
    run = run_tap(tmp_path, config_for(sim), catalog={"streams": [entry]})
    assert (run.code, run.stdout) == (1, "")
    assert "--catalog: entry 1" in run.log
    assert says in run.log
    assert "Traceback" not in run.log


# A person


def test_on_a_terminal_the_log_has_few_lines(tmp_path: Path, sim: Simulator) -> None:
    ours, theirs = pty.openpty()
    config = write_json(tmp_path / "config.json", config_for(sim, record_source="list"))
    process = subprocess.Popen(
        [*COMMAND, "--config", config], stdout=subprocess.DEVNULL, stderr=theirs, env=environment()
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65_536):
            seen += chunk
    except OSError:
        pass  # A terminal whose other end is closed reads as an error, not as an end.
    os.close(ours)
    assert process.wait(timeout=60) == 0
    lines = [line for line in seen.decode().splitlines() if "| INFO" in line]
    assert len(lines) <= 3, lines
    assert "message_logs: done: 300 records" in lines[-1]


def test_a_terminal_is_not_needed_for_the_metrics(tmp_path: Path, sim: Simulator) -> None:
    run = run_tap(tmp_path, config_for(sim, record_source="list"))
    assert '"metric":"record_count"' in run.log
    assert "Skipping deselected" not in run.log
