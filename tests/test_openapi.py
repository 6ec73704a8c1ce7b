"""A Space that nobody here wrote: Prism answers from an OpenAPI description of the public documentation.

As a mock it answers with the description's examples. As a proxy before the simulated Space it refuses each request of
the tap, and each answer of the simulation, that the description does not allow.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml

from tests.simulator import Simulator
from tests.support.environments import prism
from tests.support.pipeline import ROOT
from tests.support.ports import free_port
from tests.support.run import STREAMS, environment, run_tap
from tests.support.subject import SUBJECTS, Subject, catalog_with

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("npm") is None, reason="Prism comes from npm, which this machine does not have"),
]

DESCRIPTION = ROOT / "tests" / "simulator" / "openapi.yaml"
START_SECONDS = 60


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[str]:
    """Prism with these arguments; gives `host:port`."""
    port = free_port()
    with (folder / "prism.out").open("wb") as log:
        process = subprocess.Popen(
            [prism(), arguments[0], "--port", str(port), "--host", "127.0.0.1", *arguments[1:]],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(),
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port):
            assert process.poll() is None, (folder / "prism.out").read_text(encoding="utf-8")
            assert time.monotonic() < deadline, "Prism does not answer"
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _answers(port: int) -> bool:
    try:
        status_of(f"127.0.0.1:{port}", "/api/messaging/logs")
    except requests.ConnectionError:
        return False
    return True


def status_of(space: str, target: str, **options: Any) -> int:
    return requests.get(f"http://{space}{target}", timeout=10, **options).status_code


def config_at(space: str, **settings: Any) -> dict[str, Any]:
    return {"space": space, "project_id": "the-project", "api_token": "the-token", **settings}


def example_of(name: str) -> dict[str, Any]:
    description = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    example: dict[str, Any] = description["components"]["schemas"][name]["examples"][0]
    as_text: dict[str, Any] = json.loads(json.dumps(example), parse_float=Decimal)
    return as_text


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("prism"), "mock", str(DESCRIPTION)) as space:
        yield space


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param("message_logs", lambda: example_of("Message"), id="message_logs"),
        pytest.param("voice_logs", lambda: example_of("Call"), id="voice_logs"),
        pytest.param("voice_log_events", lambda: {**example_of("Event"), "position": 0}, id="voice_log_events"),
        pytest.param("fax_logs", lambda: example_of("Fax"), id="fax_logs"),
        pytest.param("video_logs", lambda: example_of("Session"), id="video_logs"),
        pytest.param("conference_logs", lambda: example_of("Conferences")["data"][0], id="conference_logs"),
    ],
)
def test_the_tap_brings_what_a_mock_of_the_description_answers(
    stream: str, expected: Any, mock: str, tmp_path: Path
) -> None:
    config = config_at(mock, start_date="2024-05-01", end_date="2024-05-10")
    run = run_tap(tmp_path, config, catalog=catalog_with(stream))
    assert run.code == 0, run.log
    assert run.records == [expected()]


def test_a_mock_that_wants_credentials_gets_them(mock: str) -> None:
    assert status_of(mock, "/api/messaging/logs") == 401
    assert status_of(mock, "/api/messaging/logs", auth=("the-project", "the-token")) == 200


@pytest.mark.parametrize("record_source", ["get", "list"])
def test_requests_and_answers_of_all_streams_are_such_as_are_described(record_source: str, tmp_path: Path) -> None:
    families = dict.fromkeys(["voice_logs", "fax_logs", "video_logs", "conference_logs"], 15)
    with Simulator(messages=40, families=families, seed=7, days=3) as sim:
        sim.links = "relative"
        with serving(tmp_path, "proxy", "--errors", str(DESCRIPTION), f"http://{sim.space}") as space:
            config = {"space": space, "project_id": sim.project_id, "api_token": sim.api_token}
            run = run_tap(
                tmp_path,
                {**config, "record_source": record_source, "page_size": 10, "backoff_max_tries": 1},
                catalog=catalog_with(*STREAMS),
            )
        assert run.code == 0, run.log + (tmp_path / "prism.out").read_text(encoding="utf-8")[-3_000:]
        for subject in SUBJECTS:
            found = {subject.key(record): record for record in records_of(run.messages, subject)}
            assert found == subject.truth(sim)


def records_of(messages: list[dict[str, Any]], subject: Subject) -> list[dict[str, Any]]:
    return [one["record"] for one in messages if one["type"] == "RECORD" and one["stream"] == subject.stream]


def test_the_proxy_refuses_a_request_that_is_not_described(tmp_path: Path) -> None:
    with (
        Simulator(messages=3) as sim,
        serving(tmp_path, "proxy", "--errors", str(DESCRIPTION), f"http://{sim.space}") as space,
    ):
        credentials = (sim.project_id, sim.api_token)
        assert status_of(space, "/api/messaging/logs?page_size=1000", auth=credentials) == 200
        assert status_of(space, "/api/messaging/logs?page_size=1001", auth=credentials) == 422
        assert status_of(space, "/api/messaging/logs?created_after=soon", auth=credentials) == 422
        assert [request.query for request in sim.requests if request.status == 200] == [{"page_size": "1000"}]
        assert {request.status for request in sim.requests} <= {200, 401}
