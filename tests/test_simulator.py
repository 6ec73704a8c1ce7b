"""The simulated Space, seen by SignalWire's official client and by the rules of the service."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import requests
from signalwire.rest import RestClient
from signalwire.rest._base import SignalWireRestError

from tests.space import Simulator
from tests.space.simulator import LIST_PATH


def client_of(sim: Simulator, token: str | None = None) -> Any:
    return RestClient(project=sim.project_id, token=token or sim.api_token, host=sim.space)


def floats(value: Any) -> Any:
    return json.loads(json.dumps(value, default=float))


def page(sim: Simulator, **query: Any) -> requests.Response:
    return requests.get(
        f"http://{sim.space}{LIST_PATH}", params=query, auth=(sim.project_id, sim.api_token), timeout=10
    )


@pytest.mark.parametrize("page_size", [7, 1_000])
def test_the_official_client_lists_every_log_once_newest_first(page_size: int, sim: Simulator) -> None:
    logs = list(client_of(sim).logs.messages.paginate(page_size=page_size))
    assert {log["id"]: log for log in logs} == floats(sim.truth())
    assert len(logs) == len(sim.truth())
    created = [log["created_at"] for log in logs]
    assert created == sorted(created, reverse=True)


def test_the_official_client_gets_what_it_lists(sim: Simulator) -> None:
    client = client_of(sim)
    for log_id, record in list(floats(sim.truth()).items())[:50]:
        assert client.logs.messages.get(log_id) == record


def test_the_official_client_sees_the_service_s_errors(sim: Simulator) -> None:
    for call, status in (
        (client_of(sim, "PT-wrong").logs.messages.list, 401),
        (lambda: client_of(sim).logs.messages.get("9ee38635-899a-490a-bfd1-9e72f5eea53c"), 404),
        (lambda: client_of(sim).logs.messages.list(page_size=1_001), 422),
        (lambda: client_of(sim).logs.messages.list(page_number=1), 422),
        (lambda: client_of(sim).logs.messages.list(created_after="soon"), 422),
    ):
        with pytest.raises(SignalWireRestError) as error:
            call()
        assert error.value.status_code == status
        assert error.value.request_id
    sim.scopes = set()
    with pytest.raises(SignalWireRestError) as error:
        client_of(sim).logs.messages.list()
    assert error.value.status_code == 403


def test_messages_change_and_arrive_as_the_clock_moves() -> None:
    with Simulator(messages=3_000, seed=7, days=3) as sim:
        client = client_of(sim)
        before = {log["id"]: log for log in client.logs.messages.paginate(page_size=1_000)}
        sim.advance(hours=9)
        after = {log["id"]: log for log in client.logs.messages.paginate(page_size=1_000)}
        changed = {
            name
            for log_id in before.keys() & after
            for name in before[log_id]
            if before[log_id][name] != after[log_id][name]
        }
        assert changed == {"status", "charge", "charge_details", "error_message", "error_code"}
        assert after.keys() - before.keys()


def test_a_deleted_log_is_gone_and_its_stub_is_listed_on_request(sim: Simulator) -> None:
    log_id = next(iter(sim.truth()))
    sim.delete(log_id)
    client = client_of(sim)
    assert log_id not in {log["id"] for log in client.logs.messages.paginate()}
    (stub,) = (log for log in client.logs.messages.paginate(include_deleted="true") if log["id"] == log_id)
    assert set(stub) == {"id", "discarded_at", "created_at"}
    with pytest.raises(SignalWireRestError):
        client.logs.messages.get(log_id)


@pytest.mark.parametrize(
    ("granularity", "bounds", "query", "seen"),
    [
        ("timestamp", "exclusive", {"created_after": "2026-01-02T00:00:00Z"}, "cde"),
        ("timestamp", "inclusive", {"created_after": "2026-01-02T00:00:00Z"}, "bcde"),
        ("timestamp", "exclusive", {"created_before": "2026-01-02T00:00:00Z"}, "a"),
        ("timestamp", "inclusive", {"created_before": "2026-01-02T00:00:00Z"}, "ab"),
        ("day", "exclusive", {"created_after": "2026-01-02T12:00:00Z"}, "de"),
        ("day", "inclusive", {"created_after": "2026-01-02T12:00:00Z"}, "bcde"),
        ("day", "exclusive", {"created_before": "2026-01-02T12:00:00Z"}, "a"),
        ("day", "inclusive", {"created_before": "2026-01-02T12:00:00Z"}, "abc"),
        ("dates_only", "exclusive", {"created_after": "2026-01-01", "created_before": "2026-01-03"}, "bc"),
        ("timestamp", "exclusive", {"created_on": "2026-01-02"}, "bc"),
    ],
)
def test_filters_follow_the_rule_that_the_space_is_given(
    granularity: str, bounds: str, query: dict[str, str], seen: str, empty_sim: Simulator
) -> None:
    sim = empty_sim
    sim.granularity, sim.bounds = granularity, bounds
    names = {
        sim.add({"created_at": created}): name
        for name, created in {
            "a": "2026-01-01T23:00:00Z",
            "b": "2026-01-02T00:00:00Z",
            "c": "2026-01-02T23:59:59Z",
            "d": "2026-01-03T00:00:00Z",
            "e": "2026-01-04T00:00:00Z",
        }.items()
    }
    assert "".join(sorted(names[log["id"]] for log in page(sim, **query).json()["data"])) == seen


def test_timestamps_are_refused_where_only_dates_work(sim: Simulator) -> None:
    sim.granularity = "dates_only"
    answer = page(sim, created_after="2026-01-01T00:00:00Z")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["attribute"] == "created_after"


def test_what_lies_before_the_kept_history_is_refused_with_the_date(sim: Simulator) -> None:
    sim.history_limit = (sim.clock - timedelta(days=10)).date()
    (error,) = page(sim, created_after="2020-01-01").json()["errors"]
    assert error["code"] == "exceeds_history_logs_limit"
    assert error["message"] == f"The value exceeds the {sim.history_limit} date limit."
    assert page(sim).status_code == 200


def test_pages_stay_as_they_were_when_the_walk_began(sim: Simulator) -> None:
    first = page(sim, page_size=200).json()
    sim.advance(hours=20)
    rest = requests.get(first["links"]["next"], auth=(sim.project_id, sim.api_token), timeout=10).json()
    ids = [log["id"] for log in first["data"] + rest["data"]]
    assert len(ids) == len(set(ids))
    assert "next" not in rest["links"]


def test_ids_lead_back_to_their_message_at_any_size() -> None:
    with Simulator(messages=100_000, seed=7, days=30) as sim:
        population = sim.population
        for number in (0, 1, 4_711, 99_999):
            assert population.number_of(population.id_of(number)) == number
        assert population.number_of("9ee38635-899a-490a-bfd1-9e72f5eea53c") is None
