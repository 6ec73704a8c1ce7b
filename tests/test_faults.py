"""The command against a Space where things go wrong: what is retried, what ends the run, and what is said."""

from __future__ import annotations

import base64
import itertools
import json
import signal
import subprocess
import threading
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.simulator import MISSING, Listener, Simulator
from tests.support.run import COMMAND, Run, config_for, environment, run_tap, write_json
from tests.support.subject import SUBJECTS, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Attack = Callable[..., None]

GET = r"/logs/[0-9a-f]"
LIST = r"/(logs|conferences)\?"

pytestmark = pytest.mark.slow

every_stream = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.stream)
every_endpoint = pytest.mark.parametrize(
    ("subject", "where"),
    [
        pytest.param(subject, where, id=f"{subject.stream}, {'list' if where == LIST else 'get'}")
        for subject in SUBJECTS
        for where in ([GET, LIST] if subject.has_get else [LIST])
    ],
)


# What passes


@every_endpoint
@pytest.mark.parametrize(
    ("kind", "details"),
    [
        pytest.param("status", {"status": 500}, id="500"),
        pytest.param("status", {"status": 502, "body": b"<html>Bad gateway</html>"}, id="502 with HTML"),
        pytest.param("status", {"status": 429, "headers": {"Retry-After": "0"}}, id="429 with seconds"),
        pytest.param("status", {"status": 429}, id="429 without a word"),
        pytest.param("empty", {}, id="empty 200"),
        pytest.param("html", {}, id="HTML 200"),
        pytest.param("truncated_json", {}, id="half the JSON"),
        pytest.param("cut", {}, id="cut in the body"),
        pytest.param("reset", {}, id="reset before the body"),
        pytest.param("reset_mid_body", {}, id="reset in the body"),
        pytest.param("hang", {"seconds": 3}, id="hangs past the timeout"),
        pytest.param("drip", {"seconds": 0.3}, id="drips for ever"),
        pytest.param("rewrite", {"rewrite": lambda _: []}, id="JSON of another shape"),
        pytest.param("rewrite", {"rewrite": lambda _: {"id": "other", "data": {}}}, id="another answer"),
    ],
)
def test_what_passes_is_retried_and_nothing_is_lost_or_doubled(
    kind: str,
    details: dict[str, Any],
    subject: Subject,
    where: str,
    tmp_path: Path,
    attack: Attack,
    request: pytest.FixtureRequest,
) -> None:
    with subject.space(40) as sim:
        fault = sim.fault(kind, path=where, **details)
        run = subject.run(tmp_path, sim, request_timeout=0.5, backoff_max_tries=4)
        assert run.code == 0, run.log
        assert fault.hits == 1
        # A kept connection that breaks before an answer is an old one, as likely as not: that costs no try.
        quietly = kind == "reset" and where == GET
        assert f"{0 if quietly else 1} retries" in run.log
        found = subject.found(run)
        attack(
            request.node.callspec.id,
            1,
            "retried",
            lost=sum(found.get(key) != record for key, record in subject.truth(sim).items()),
            doubled=len(run.records) - len(found),
            leaked=int(sim.api_token in run.log),
        )


def test_a_date_in_retry_after_is_waited_for(sim: Simulator, tmp_path: Path) -> None:
    # Whole seconds, and the clock moves: three seconds ahead leave at least one to wait.
    until = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=3), usegmt=True)
    sim.fault("status", path=LIST, status=429, headers={"Retry-After": until})
    run = run_tap(tmp_path, config_for(sim, record_source="list", backoff_max_tries=2))
    assert run.code == 0, run.log
    assert run.by_id == sim.truth()


def test_while_one_request_waits_as_told_the_others_do_not_hammer_on(tmp_path: Path) -> None:
    with Simulator(messages=200, seed=7, days=5) as sim:
        sim.latency = 0.01
        sim.fault("status", path=GET, status=429, headers={"Retry-After": "2"}, after=20)
        config = config_for(sim, concurrency=4)
        process = subprocess.Popen(
            [*COMMAND, "--config", write_json(tmp_path / "config.json", config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        while not any(request.status == 429 for request in sim.requests):
            assert process.poll() is None
        threading.Event().wait(0.5)
        during = len(sim.gets())
        threading.Event().wait(0.7)
        assert len(sim.gets()) == during, "nothing is asked while the Space wants quiet"
        stdout, _ = process.communicate(timeout=60)
        assert stdout.count(b'"type":"RECORD"') == len(sim.truth())


def test_a_space_that_allows_few_requests_a_second_is_read_to_the_end_and_no_try_is_wasted(tmp_path: Path) -> None:
    with Simulator(messages=150, seed=7, days=5) as sim:
        sim.rate_limit = 25
        run = run_tap(tmp_path, config_for(sim, concurrency=64, backoff_max_tries=4))
        assert run.code == 0, run.log
        assert run.by_id == sim.truth()
        refused = sum(request.status == 429 for request in sim.requests)
        assert 0 < refused < len(sim.truth())


def test_an_absurd_retry_after_is_capped_and_said(sim: Simulator, tmp_path: Path) -> None:
    sim.fault("status", path=LIST, status=429, headers={"Retry-After": "31536000"}, times=None)
    process = _start(sim, tmp_path)
    assert process.stderr
    said = next(line for line in process.stderr if "429" in line)
    assert "retrying in 120.0 s (attempt 2 of 8" in said
    assert "31536000" in said
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=15)
    assert process.returncode == 128 + signal.SIGTERM


def test_a_large_page_that_fails_is_tried_smaller(tmp_path: Path) -> None:
    with Simulator(messages=300, seed=7, days=5) as sim:
        sim.max_page_size = 300
        run = run_tap(tmp_path, config_for(sim, record_source="list", backoff_max_tries=2))
        assert run.code == 0, run.log
        assert run.by_id == sim.truth()
        assert "trying pages of 250 logs" in run.log


# What lasts


@pytest.mark.parametrize("subject", [one for one in SUBJECTS if one.has_get], ids=lambda subject: subject.stream)
@pytest.mark.parametrize(
    ("kind", "details", "says"),
    [
        pytest.param("status", {"status": 503}, "503 (request ", id="503"),
        pytest.param("reset", {}, "connection", id="reset"),
        pytest.param("hang", {"seconds": 3}, "no answer within `request_timeout`", id="hang"),
        pytest.param("empty", {}, "the body is empty", id="empty"),
    ],
)
def test_an_outage_ends_the_stream_and_the_bookmark_is_true(
    kind: str, details: dict[str, Any], says: str, subject: Subject, tmp_path: Path
) -> None:
    with subject.space(40) as sim:
        fault = sim.fault(kind, path=GET, times=None, after=10, **details)
        settings: dict[str, Any] = {"concurrency": 1, "backoff_max_tries": 2, "request_timeout": 0.5}
        run = subject.run(tmp_path, sim, **settings)
        assert run.code == 1
        # Twenty requests in a row that use up their two tries are an outage; libcurl sends again what broke.
        assert 40 <= fault.hits <= 60
        assert "logs/" in run.log
        assert says in run.log
        assert "2 tries (`backoff_max_tries`)" in run.log
        assert "Traceback" not in run.log
        sim.faults.clear()
        rest = subject.run(tmp_path, sim, state=run.state if run.states else {}, **settings)
        assert subject.found(run, rest) == subject.truth(sim)


def test_a_space_that_is_not_there_is_said_with_the_setting(tmp_path: Path) -> None:
    config = {"space": "127.0.0.1:9", "project_id": "p", "api_token": "t", "backoff_max_tries": 1}
    run = run_tap(tmp_path, config)
    assert run.code == 1
    assert "connection refused" in run.log
    assert "check `space`" in run.log
    assert "Traceback" not in run.log


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_are_refused_end_the_run_at_once(status: int, sim: Simulator, tmp_path: Path) -> None:
    if status == 403:
        sim.scopes = set()
    token = sim.api_token if status == 403 else "PT-wrong-token"
    ids = sorted(sim.truth())[:40]
    run = run_tap(tmp_path, {**config_for(sim, message_log_ids=ids, concurrency=4), "api_token": token})
    assert run.code == 1
    assert len(sim.requests) <= 4
    assert f"{status} (request " in run.log
    assert "check `project_id` and `api_token`, and that the API token has the scope Messaging" in run.log
    assert "0 retries" in run.log
    assert token not in run.log


@every_stream
def test_a_token_without_the_scope_ends_the_run_at_once_and_names_it(subject: Subject, tmp_path: Path) -> None:
    with subject.space(40) as sim:
        sim.scopes = set()
        run = subject.run(tmp_path, sim)
        assert run.code == 1
        assert len(sim.requests) == 1
        assert f"the API token has the scope {subject.scope}" in run.log
        assert "0 retries" in run.log


def test_every_entry_of_errors_is_shown_and_no_phone_number(sim: Simulator, tmp_path: Path) -> None:
    body = (
        b'{"errors":[{"code":"invalid_parameter","attribute":"created_after","message":"no good"},'
        b'{"code":"too_bad","attribute":"from","message":"is +15550100001 or (555) 010-0001 really"},'
        b'"just words"]}'
    )
    sim.fault("status", path=LIST, status=422, body=body, times=None)
    run = run_tap(tmp_path, config_for(sim))
    assert run.code == 1
    assert len(sim.requests) == 1
    assert "invalid_parameter (created_after): no good" in run.log
    assert "too_bad (from): is … or … really" in run.log
    assert "just words" in run.log


@pytest.mark.parametrize("record_source", ["get", "list"])
@pytest.mark.real_command
def test_a_full_disk_is_said_once_and_nothing_is_lost(record_source: str, tmp_path: Path) -> None:
    with Simulator(messages=9_000, seed=7, days=5) as sim:
        config = config_for(sim, record_source=record_source)
        path = write_json(tmp_path / "config.json", config)
        # No file may grow past 64 KiB: that is how a full disk looks from inside. Bytecode would be cut off, and kept.
        command = ["bash", "-c", 'ulimit -f 64; exec "$@"', "bash", *COMMAND, "--config", path]
        variables = environment(PYTHONDONTWRITEBYTECODE="1")
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables, timeout=60)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "curl" not in done.stderr
        said = [line for line in done.stderr.splitlines() if "free space" in line]
        assert len(said) == 1
        assert "`TMPDIR`" in said[0]
        full = Run(done.returncode, done.stdout, done.stderr)
        rest = run_tap(tmp_path, config, state=full.state if full.states else {})
        assert {**full.by_id, **rest.by_id} == sim.truth()


# Lists that lie


def _with_next(link: str | None, data: list[Any] | None = None) -> Any:
    def rewrite(page: dict[str, Any]) -> dict[str, Any]:
        page["links"]["next"] = link
        if data is not None:
            page["data"] = data
        return page

    return rewrite


def _with_each(links: Iterator[str]) -> Any:
    def rewrite(page: dict[str, Any]) -> dict[str, Any]:
        page["links"]["next"] = next(links)
        return page

    return rewrite


def test_a_page_that_is_empty_and_has_a_next_is_just_a_page(sim: Simulator, tmp_path: Path) -> None:
    sim.fault("rewrite", path=LIST, rewrite=_with_next("/api/messaging/logs?page_size=1000", []))
    run = run_tap(tmp_path, config_for(sim, record_source="list"))
    assert run.code == 0
    assert run.by_id == sim.truth()


@pytest.mark.parametrize("links", ["absolute", "relative"])
def test_links_may_be_absolute_or_relative(links: str, sim: Simulator, tmp_path: Path) -> None:
    sim.links = links
    run = run_tap(tmp_path, config_for(sim, record_source="list", page_size=17))
    assert run.by_id == sim.truth()
    assert len(sim.lists()) > 10


@pytest.mark.parametrize("record_source", ["get", "list"])
def test_pages_that_go_round_in_circles_under_ever_new_links_fail_the_run(record_source: str, tmp_path: Path) -> None:
    links = (f"?page_size=1000&page_token={number}" for number in itertools.count())
    with Simulator(messages=20, seed=7, days=30) as sim:
        sim.fault("rewrite", path=LIST, times=None, rewrite=_with_each(links))
        run = run_tap(tmp_path, config_for(sim, record_source=record_source))
    assert run.code == 1
    assert "pagination loop" in run.log
    assert not run.states or "replication_key_value" not in run.bookmark


@pytest.mark.parametrize("link", ["http://[", "https://]:x/"])
def test_a_next_link_that_is_none_fails_the_run_without_a_traceback(link: str, sim: Simulator, tmp_path: Path) -> None:
    sim.fault("rewrite", path=LIST, times=None, rewrite=_with_next(link))
    run = run_tap(tmp_path, config_for(sim))
    assert run.code == 1
    assert "points to another host" in run.log
    assert "Traceback" not in run.log


@every_stream
@pytest.mark.parametrize("turns", [["?a=1"], ["?a=1", "?b=1"]], ids=["A to A", "A to B to A"])
def test_pages_that_go_round_in_circles_fail_the_run(turns: list[str], subject: Subject, tmp_path: Path) -> None:
    with subject.space(40) as sim:
        links = itertools.cycle(turns)
        sim.fault("rewrite", path=LIST, times=None, rewrite=_with_each(links))
        run = subject.run(tmp_path, sim, record_source="list")
        assert run.code == 1
        assert "pagination loop" in run.log
        assert not run.states or "replication_key_value" not in run.state["bookmarks"][subject.stream]


@every_stream
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda page: {"data": page["data"]}, id="no links"),
        pytest.param(lambda page: {"links": page["links"]}, id="no data"),
        pytest.param(lambda page: {**page, "links": {"next": 5}}, id="a next that is a number"),
    ],
)
def test_a_bad_page_is_never_taken_for_the_end(spoil: Any, subject: Subject, tmp_path: Path) -> None:
    with subject.space(40) as sim:
        sim.fault("rewrite", path=LIST, rewrite=spoil, times=None)
        run = subject.run(tmp_path, sim, record_source="list", backoff_max_tries=2)
        assert run.code == 1
        assert run.records == []
        assert "Traceback" not in run.log


@every_stream
@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"created_at": "2026-01-01T00:00:00Z"}, id="no id"),
        pytest.param({"id": None, "created_at": "2026-01-01T00:00:00Z"}, id="null for an id"),
        pytest.param({"id": "../../laml", "created_at": "2026-01-01T00:00:00Z"}, id="an ID that is a path"),
        pytest.param({}, id="nothing at all"),
    ],
)
def test_an_entry_without_a_usable_id_fails_the_run_and_all_others_come(
    entry: dict[str, Any], subject: Subject, tmp_path: Path
) -> None:
    with subject.space(40) as sim:
        sim.fault("rewrite", path=LIST, rewrite=lambda page: {**page, "data": [*page["data"], entry]}, times=None)
        run = subject.run(tmp_path, sim, record_source="list", backoff_max_tries=2)
        assert run.code == 1
        assert "an entry without a usable `id`" in run.log
        assert subject.found(run) == subject.truth(sim)
        assert "laml" not in run.log
        sim.faults.clear()
        again = subject.run(tmp_path, sim, record_source="list", state=run.state)
        assert again.code == 0, again.log


@pytest.mark.parametrize(
    "created_at",
    [None, "", "now", "0000-00-00", 5, MISSING],
    ids=["null", "empty", "a word", "zeros", "a number", "missing"],
)
@pytest.mark.parametrize("record_source", ["get", "list"])
def test_an_entry_without_a_date_comes_with_all_the_others(
    created_at: Any, record_source: str, sim: Simulator, tmp_path: Path
) -> None:
    odd = sorted(sim.truth())[7]

    def spoil(page: dict[str, Any]) -> dict[str, Any]:
        for entry in page["data"]:
            if entry["id"] == odd:
                entry["created_at"] = created_at
                if created_at is MISSING:
                    del entry["created_at"]
        return page

    sim.fault("rewrite", path=LIST, rewrite=spoil, times=None)
    run = run_tap(tmp_path, config_for(sim, record_source=record_source))
    assert run.code == 0, run.log
    assert set(run.by_id) == set(sim.truth())
    assert len(run.records) == len(run.by_id)
    again = run_tap(tmp_path, config_for(sim, record_source=record_source), state=run.state)
    assert again.code == 0, again.log


@every_stream
@pytest.mark.parametrize("link", ["{origin}/x?page_token=x", "//{host}/x", "https://{space}/x", "http://{host}@x/"])
def test_foreign_next_link_never_receives_credentials(
    link: str, subject: Subject, tmp_path: Path, attack: Attack
) -> None:
    with Listener() as listener, subject.space(40) as sim:
        host = listener.origin.removeprefix("http://")
        target = link.format(origin=listener.origin, host=host, space=sim.space)
        sim.fault("rewrite", path=LIST, rewrite=_with_next(target))
        run = subject.run(tmp_path, sim)
        assert run.code == 1
        assert "points to another host" in run.log
        leaked = len(listener.received) + (sim.api_token in run.log)
        attack(f"{subject.stream}, next link {link}", 1, "refused", lost=0, doubled=0, leaked=leaked)


@every_endpoint
def test_a_redirect_never_receives_credentials(
    subject: Subject, where: str, tmp_path: Path, attack: Attack, request: pytest.FixtureRequest
) -> None:
    with Listener() as listener, subject.space(40) as sim:
        sim.fault("redirect", path=where, location=f"{listener.origin}/", times=None)
        run = subject.run(tmp_path, sim)
        assert run.code == 1
        assert "unexpected redirect, not followed" in run.log
        leaked = len(listener.received) + (sim.api_token in run.log)
        attack(f"redirect: {request.node.callspec.id}", 1, "refused", lost=0, doubled=0, leaked=leaked)


# Logs that vanish


@pytest.mark.parametrize("on_missing", ["warn", "fail"])
def test_a_log_that_a_list_showed_is_gone_only_when_two_runs_do_not_find_it(
    on_missing: str, sim: Simulator, tmp_path: Path
) -> None:
    log_id = sim.add({"status": "queued", "direction": "outbound-api"})
    config = config_for(sim, on_missing=on_missing)
    sim.fault("status", path=log_id, status=404, body=b'{"error":"Not Found"}', times=None)
    run = run_tap(tmp_path, config)
    assert run.code == 0, run.log
    assert run.by_id == sim.truth(), "what the list shows of it comes out"
    assert "0 missing" in run.log
    sim.delete(log_id)
    first_without = run_tap(tmp_path, config, state=run.state)
    assert first_without.code == 0
    assert "0 missing" in first_without.log
    run = run_tap(tmp_path, config, state=first_without.state)
    assert run.code == (0 if on_missing == "warn" else 1)
    assert "1 missing" in run.log
    assert log_id in run.log
    again = run_tap(tmp_path, config, state=run.state)
    assert again.code == 0, "what is gone fails one run, not every one after it"
    assert "0 missing" in again.log


@pytest.mark.parametrize("on_missing", ["warn", "fail"])
def test_a_configured_log_that_is_no_longer_kept_is_missing(on_missing: str, tmp_path: Path) -> None:
    with Simulator(messages=100, seed=7, days=40) as sim:
        truth = sim.truth()
        ids = sorted(truth, key=lambda log_id: truth[log_id]["created_at"])
        sim.history_limit = (sim.clock - timedelta(days=20)).date()
        run = run_tap(tmp_path, config_for(sim, message_log_ids=[ids[0], ids[-1]], on_missing=on_missing))
        assert list(run.by_id) == [ids[-1]]
        assert run.code == (0 if on_missing == "warn" else 1)
        assert "exceeds_history_logs_limit" in run.log
        assert ids[0] in run.log


# Shapes that drift


def test_what_drifts_comes_through(empty_sim: Simulator, tmp_path: Path) -> None:
    sim = empty_sim
    charged = sim.add({"charge": "0.00415", "charge_details": [{"description": "x", "charge": "0.004150"}]})
    strange = sim.add(
        {"status": "read", "direction": "sideways", "kind": "whatsapp", "error_message": "a\0b ü \U0001f600"}
    )
    fields = {"carrier": "new", "from": "anonymous", "to": None, "number_of_segments": "2"}
    new = sim.add({**fields, "charge": Decimal("0.000001")})
    sparse = sim.add({"status": MISSING, "error_message": MISSING, "error_code": MISSING, "charge_details": MISSING})
    run = run_tap(tmp_path, config_for(sim))
    assert run.code == 0
    assert run.by_id[charged]["charge"] == Decimal("0.00415")
    assert run.by_id[charged]["charge_details"] == [{"description": "x", "charge": Decimal("0.004150")}]
    assert run.by_id[strange]["error_message"] == "ab ü \U0001f600"
    assert run.by_id[strange]["kind"] == "whatsapp"
    assert '"charge":0.000001' in run.stdout
    assert run.by_id[new]["number_of_segments"] == 2
    assert "carrier" not in run.by_id[new]
    assert run.log.count("'carrier': unknown field, dropped") == 1
    assert "status" not in run.by_id[sparse]


def _json(answer: Any) -> bytes:
    return json.dumps(answer, default=float).encode()


@pytest.mark.parametrize("record_source", ["get", "list"])
def test_half_a_character_in_a_text_does_not_hold_up_the_others(
    record_source: str, empty_sim: Simulator, tmp_path: Path
) -> None:
    sim = empty_sim
    cut = sim.add({"error_message": "aHALF", "to": "\\ud800"})
    whole = sim.add({"error_message": "\U0001f600"})
    sim.fault("rewrite", times=None, rewrite=lambda answer: _json(answer).replace(b"HALF", b"\\ud83d"))
    run = run_tap(tmp_path, config_for(sim, record_source=record_source))
    assert run.code == 0, run.log
    assert (run.by_id[cut]["error_message"], run.by_id[cut]["to"]) == ("a\ufffd", "\\ud800")
    assert run.by_id[whole]["error_message"] == "\U0001f600"


def test_an_event_keeps_its_details_whatever_else_drifts(empty_sim: Simulator, tmp_path: Path) -> None:
    sim = empty_sim
    call = sim.add({}, family="voice_logs")
    details = {"a": [1, {"b": "x\0y"}], "c": Decimal("1.50")}
    sim.add({"log_id": call, "details": details, "brand_new": 1}, family="voice_log_events")
    run = Subject("voice_log_events").run(tmp_path, sim)
    assert run.code == 0, run.log
    assert {"a": [1, {"b": "xy"}], "c": Decimal("1.50")} in [record["details"] for record in run.records]


# How a run ends


def _start(sim: Simulator, folder: Path, **settings: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "--config", write_json(folder / "config.json", config_for(sim, **settings))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda ending: ending.name)
def test_a_run_that_is_ended_leaves_a_true_state(ending: signal.Signals, tmp_path: Path, attack: Attack) -> None:
    with Simulator(messages=3_000, seed=7, days=5) as sim:
        # Waits that nobody would sit through: only a run that heeds the signal is done in time.
        sim.latency = 0.02
        sim.fault("hang", path=GET, seconds=120, after=1_000, times=None)
        process = _start(sim, tmp_path, concurrency=8, page_size=100, request_timeout=300)
        assert process.stdout
        assert process.stderr
        lines = [process.stdout.readline() for _ in range(900)]
        process.send_signal(ending)
        # Not `communicate`: it passes over what `readline` has read ahead.
        rest, log = process.stdout.read(), process.stderr.read()
        process.stdout.close()
        process.stderr.close()
        assert process.wait(timeout=15) == (-9 if ending is signal.SIGKILL else 128 + ending)
        whole = "".join(lines) + rest
        first = Run(process.returncode, whole[: whole.rindex("\n") + 1], log)
        sim.faults.clear()
        second = run_tap(tmp_path, config_for(sim), state=first.state if first.states else {})
        target = {**first.by_id, **second.by_id}
        lost = sum(target.get(log_id) != record for log_id, record in sim.truth().items())
        attack(f"{ending.name} while requests hang", 1, "ended, resumed", lost=lost, doubled=0, leaked=0)
        if ending is not signal.SIGKILL:
            assert "stopped" in log
            assert first.messages[-1]["type"] == "STATE"
            assert "Traceback" not in log


def test_a_target_that_dies_ends_the_run_quietly(tmp_path: Path) -> None:
    with Simulator(messages=3_000, seed=7, days=5) as sim:
        sim.latency = 0.005
        process = _start(sim, tmp_path)
        assert process.stdout
        assert process.stderr
        for _ in range(10):
            process.stdout.readline()
        process.stdout.close()
        log = process.stderr.read()
        assert process.wait(timeout=15) == 1
        process.stderr.close()
        assert "The target closed the pipe" in log
        assert "Traceback" not in log
        assert "Exception" not in log
        assert len(sim.gets()) < 2_000


# Secrets


def test_no_log_at_any_level_shows_a_secret_or_a_phone_number(tmp_path: Path) -> None:
    with Simulator(messages=60, seed=7, days=5) as sim:
        numbers = {record[name] for record in sim.truth().values() for name in ("from", "to")}
        messages = {record["error_message"] for record in sim.truth().values()} - {None}
        basic = base64.b64encode(f"{sim.project_id}:{sim.api_token}".encode()).decode()
        sim.fault("status", path=GET, status=500)
        sim.fault("reset", path=GET)
        run = run_tap(tmp_path, config_for(sim), TAP_SIGNALWIRE_LOGS_LOGLEVEL="DEBUG")
        assert run.code == 0
        assert "DEBUG" in run.log
        states = str(run.states)
        for secret in (sim.api_token, basic, *numbers, *messages):
            assert secret not in run.log
            assert secret not in states
        assert sim.api_token not in run.stdout
