"""The simulated Space, seen by SignalWire's official client and by the rules of the service."""

from __future__ import annotations

import gc
import json
import socket
import subprocess
import sys
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import time_machine
from signalwire.rest import RestClient
from signalwire.rest._base import SignalWireRestError

from tests.simulator import MISSING, Simulator
from tests.simulator.families import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator

PATHS = {family.name: family.path for family in FAMILIES}
OTHERS = [family.name for family in FAMILIES if family.name != "message_logs"]
RESOURCES = {"message_logs": "messages", "voice_logs": "voice", "fax_logs": "fax"}
CALL = {"direction", "status", "duration", "duration_ms", "billing_ms", "parent_id"}
LEG = CALL - {"billing_ms", "parent_id"}
VOICE_FIELDS = {
    "laml_call": CALL,
    "relay_pstn_call": CALL,
    "relay_sip_call": CALL,
    "relay_webrtc_call": CALL,
    "video_room_pstn_leg": LEG,
    "video_room_sip_leg": LEG,
    "dialogflow_call": {"status", "duration"},
    "fabric_subscriber_device_leg": {"direction", "status"},
}
EVERY_VOICE_LOG = {"id", "from", "to", "source", "charge", "charge_details", "created_at", "type", "url"}
SESSION = {"id", "created_at", "source", "type", "url", "room_name", "status", "locked"}
SESSION |= {"started_at", "ended_at", "charge", "charge_details"}
CONFERENCE = {"id", "created_at", "updated_at", "project_id", "region", "name", "status", "max_size"}
CONFERENCE |= {"current_participants", "type"}
CONFERENCE_FIELDS = {
    "cxml_conference": CONFERENCE,
    "relay_conference": CONFERENCE | {"recording_url", "recording_duration", "recording_file_size"},
    "video_room_session": SESSION,
    "video_conference_session": SESSION,
}


@pytest.fixture
def full_sim() -> Iterator[Simulator]:
    """A Space with 400 logs of every family over 30 days."""
    with Simulator(
        messages=400, families=dict.fromkeys(OTHERS, 400), clock=datetime(2026, 1, 31, tzinfo=timezone.utc)
    ) as sim:
        yield sim


def client_of(sim: Simulator, token: str | None = None) -> Any:
    return RestClient(project=sim.project_id, token=token or sim.api_token, host=sim.space)


def created_at(log: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(log["created_at"].replace("Z", "+00:00"))


def floats(value: Any) -> Any:
    return json.loads(json.dumps(value, default=float))


def page(sim: Simulator, family: str = "message_logs", **query: Any) -> requests.Response:
    return ask(sim, PATHS[family], **query)


def ask(sim: Simulator, path: str, **query: Any) -> requests.Response:
    return requests.get(f"http://{sim.space}{path}", params=query, auth=(sim.project_id, sim.api_token), timeout=10)


def walked(sim: Simulator, family: str, **query: Any) -> list[dict[str, Any]]:
    """Every entry of every page of a list, decimals exact."""
    entries = []
    answer = page(sim, family, **query).json(parse_float=Decimal)
    while True:
        entries += answer["data"]
        if "next" not in answer["links"]:
            return entries
        answer = ask(sim, answer["links"]["next"].removeprefix(f"http://{sim.space}")).json(parse_float=Decimal)


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


@pytest.mark.parametrize("family", RESOURCES)
def test_the_official_client_lists_and_gets_the_logs_of_every_family_that_it_knows(
    family: str, full_sim: Simulator
) -> None:
    resource = getattr(client_of(full_sim).logs, RESOURCES[family])
    truth = floats(full_sim.truth(family=family))
    assert {log["id"]: log for log in resource.paginate(page_size=150)} == truth
    for log_id in list(truth)[:20]:
        assert resource.get(log_id) == truth[log_id]


def test_the_official_client_lists_the_conferences(full_sim: Simulator) -> None:
    listed = client_of(full_sim).logs.conferences.list(page_size=1_000)["data"]
    assert {log["id"]: log for log in listed} == floats(full_sim.truth(family="conference_logs"))


def test_the_official_client_sees_the_events_of_a_call(full_sim: Simulator) -> None:
    client = client_of(full_sim)
    truth = {key: floats(event) for key, event in full_sim.truth(family="voice_log_events").items()}
    seen = {
        (log_id, place): event
        for log_id in full_sim.truth(family="voice_logs")
        for place, event in enumerate(client.logs.voice.list_events(log_id)["data"])
    }
    assert seen == truth
    assert {event["level"] for event in truth.values()} == {"info", "warn", "error", "debug"}
    assert len({json.dumps(event) for event in truth.values()}) < len(truth)


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
@pytest.mark.parametrize("family", PATHS)
def test_every_family_is_listed_whole_in_any_order(family: str, order: str, full_sim: Simulator) -> None:
    full_sim.order = order
    logs = walked(full_sim, family, page_size=90)
    assert {log["id"]: log for log in logs} == full_sim.truth(family=family)
    assert len(logs) == len(full_sim.truth(family=family)) > 300


@pytest.mark.parametrize("family", [family.name for family in FAMILIES if family.has_get])
def test_a_get_answers_what_the_list_shows(family: str, full_sim: Simulator) -> None:
    for log in walked(full_sim, family)[:20]:
        assert ask(full_sim, f"{PATHS[family]}/{log['id']}").json(parse_float=Decimal) == log
    assert len(full_sim.gets(family=family)) == 20
    assert len(full_sim.lists(family=family)) == 8


def test_a_conference_has_no_get(full_sim: Simulator) -> None:
    log_id = next(iter(full_sim.truth(family="conference_logs")))
    assert ask(full_sim, f"{PATHS['conference_logs']}/{log_id}").status_code == 404


@pytest.mark.parametrize("family", PATHS)
def test_an_id_of_one_family_is_unknown_to_the_others(family: str, full_sim: Simulator) -> None:
    for other in PATHS.keys() - {family}:
        assert not full_sim.truth(family=family).keys() & full_sim.truth(family=other).keys()


def test_each_type_of_call_has_fields_of_its_own(full_sim: Simulator) -> None:
    shapes = {log["type"]: set(log) - EVERY_VOICE_LOG for log in full_sim.truth(family="voice_logs").values()}
    assert shapes == VOICE_FIELDS
    assert all(log.keys() >= EVERY_VOICE_LOG for log in full_sim.truth(family="voice_logs").values())


def test_conferences_have_three_shapes_and_sessions_charge_in_texts(full_sim: Simulator) -> None:
    logs = full_sim.truth(family="conference_logs").values()
    assert {log["type"]: set(log) for log in logs} == CONFERENCE_FIELDS
    charges = [log["charge"] for log in logs if "charge" in log]
    charges += [detail["charge"] for log in logs for detail in log.get("charge_details", [])]
    assert {type(charge) for charge in charges} == {str}


CHANGES = {
    "voice_logs": {"status", "duration", "duration_ms", "billing_ms", "charge", "charge_details"},
    "fax_logs": {
        *("status", "remote_station", "number_of_pages", "quality"),
        *("charge", "charge_details", "error_code", "error_message"),
    },
    "video_logs": {"status", "started_at", "ended_at", "charge", "charge_details"},
    "conference_logs": {
        *("status", "updated_at", "current_participants", "started_at", "ended_at"),
        *("charge", "charge_details", "recording_url", "recording_duration", "recording_file_size"),
    },
}


@pytest.mark.parametrize("family", OTHERS)
def test_logs_of_a_family_change_in_these_fields_as_the_clock_moves(family: str) -> None:
    with Simulator(
        messages=0, families={family: 2_000}, days=0.1, clock=datetime(2026, 1, 31, 18, tzinfo=timezone.utc)
    ) as sim:
        first = before = sim.truth(family=family)
        changed: set[str] = set()
        for _ in range(80):
            sim.advance(seconds=11)
            after = sim.truth(family=family)
            for log_id in before.keys() & after:
                if before[log_id] != after[log_id]:
                    changed |= {name for name in before[log_id] if before[log_id][name] != after[log_id][name]}
            before = after
        assert changed == CHANGES[family]
        assert before.keys() - first.keys()


@pytest.mark.parametrize("family", [*PATHS, "voice_log_events"])
def test_what_is_seen_does_not_depend_on_how_often_one_looked(family: str) -> None:
    clock = datetime(2026, 1, 31, 18, tzinfo=timezone.utc)
    counts = dict.fromkeys(OTHERS, 500)
    with (
        Simulator(messages=500, families=counts, days=0.1, clock=clock) as looked,
        Simulator(messages=500, families=counts, days=0.1, clock=clock) as jumped,
    ):
        for _ in range(40):
            looked.advance(seconds=113)
            looked.truth(family=family)
        jumped.advance(seconds=113 * 40)
        assert looked.truth(family=family) == jumped.truth(family=family)


def test_a_call_is_queued_rings_is_answered_ends_and_is_charged() -> None:
    with Simulator(messages=0, families={"voice_logs": 20}, clock=datetime(2026, 1, 31, tzinfo=timezone.utc)) as sim:
        statuses: dict[str, list[Any]] = {}
        for _ in range(3_000):
            sim.advance(seconds=15)
            for log_id, log in sim.truth(family="voice_logs").items():
                step = (log["status"], log.get("duration") is not None, log["charge"] > 0)
                if step not in statuses.setdefault(log_id, []):
                    statuses[log_id].append(step)
        lives = list(statuses.values())
    assert [("in-progress", False, False), ("completed", True, False), ("completed", True, True)] in [
        life[-3:] for life in lives
    ]


def test_events_appear_as_a_call_goes_on_and_none_goes_away() -> None:
    with Simulator(messages=0, families={"voice_logs": 200}, days=0.1) as sim:
        sizes = []
        seen: dict[Any, Any] = {}
        for _ in range(40):
            truth = sim.truth(family="voice_log_events")
            for log_id in {log_id for log_id, _ in seen} & sim.truth(family="voice_logs").keys():
                places = [place for owner, place in seen if owner == log_id]
                assert all(truth[log_id, place] == seen[log_id, place] for place in places)
            seen = truth
            sizes.append(len(truth))
            sim.advance(minutes=3)
        assert all(event["event_at"] <= sim.clock.isoformat() for event in seen.values())
        assert sizes[-1] > sizes[0]


@pytest.mark.parametrize("family", PATHS)
def test_a_deleted_log_of_any_family_is_shown_on_request_alone(family: str, full_sim: Simulator) -> None:
    log_id, log = next(iter(full_sim.truth(family=family).items()))
    full_sim.delete(log_id)
    assert log_id not in full_sim.truth(family=family)
    assert log_id not in {log["id"] for log in walked(full_sim, family)}
    (shown,) = (log for log in walked(full_sim, family, include_deleted="true") if log["id"] == log_id)
    if family in {"message_logs", "voice_logs", "video_logs"}:
        assert set(shown) == {"id", "discarded_at", "created_at"}
    else:
        assert shown == log
    assert full_sim.truth(family=family, include_deleted=True)[log_id] == log
    assert ask(full_sim, f"{PATHS[family]}/{log_id}").status_code == 404
    full_sim.deleted_get = "stub"
    answer = ask(full_sim, f"{PATHS[family]}/{log_id}")
    assert answer.status_code == (404 if family == "conference_logs" else 200)


def test_the_events_of_a_deleted_call_are_gone(full_sim: Simulator) -> None:
    log_id, _ = next(iter(full_sim.truth(family="voice_log_events")))
    full_sim.delete(log_id)
    assert ask(full_sim, f"{PATHS['voice_logs']}/{log_id}/events").status_code == 404
    assert log_id not in {owner for owner, _ in full_sim.truth(family="voice_log_events")}


@pytest.mark.parametrize(
    ("scope", "opened"),
    [
        ("Messaging", {"message_logs"}),
        ("Voice", {"voice_logs", "conference_logs"}),
        ("Fax", {"fax_logs"}),
        ("Video", {"video_logs", "conference_logs"}),
    ],
)
@pytest.mark.parametrize("refusal", [401, 403])
def test_a_scope_opens_its_families(scope: str, opened: set[str], refusal: int, sim: Simulator) -> None:
    sim.scopes, sim.scope_status = {scope}, refusal
    answers = {family: page(sim, family).status_code for family in PATHS}
    assert answers == {family: 200 if family in opened else refusal for family in PATHS}


@pytest.mark.parametrize("family", OTHERS)
def test_the_rules_of_the_space_hold_for_every_family(family: str, full_sim: Simulator) -> None:
    sim = full_sim
    sim.granularity = "dates_only"
    assert page(sim, family, created_after="2026-01-10T00:00:00Z").status_code == 422
    later = walked(sim, family, created_after="2026-01-10")
    assert min(log["created_at"] for log in later).startswith("2026-01-11")
    sim.bounds = "inclusive"
    assert min(log["created_at"] for log in walked(sim, family, created_after="2026-01-10")).startswith("2026-01-10")
    sim.history_limit = (sim.clock - timedelta(days=5)).date()
    assert page(sim, family, created_after="2026-01-10").json()["errors"][0]["code"] == "exceeds_history_logs_limit"
    assert min(log["created_at"] for log in walked(sim, family)).startswith(str(sim.history_limit))
    sim.max_page_size = 100
    assert page(sim, family, page_size=101).status_code == 500
    sim.links = "relative"
    assert page(sim, family).json()["links"]["next"].startswith(PATHS[family])
    sim.fault("status", path=PATHS[family], status=502)
    assert page(sim, family).status_code == 502
    sim.rate_limit = 1
    assert 429 in {page(sim, family).status_code for _ in range(5)}


@pytest.mark.parametrize("family", OTHERS)
def test_a_list_that_shifts_repeats_a_log_when_one_arrives(family: str, full_sim: Simulator) -> None:
    full_sim.shifting = True
    first = page(full_sim, family).json()
    full_sim.add({}, family=family)
    second = ask(full_sim, first["links"]["next"].removeprefix(f"http://{full_sim.space}")).json()
    assert second["data"][0] == first["data"][-1]


@pytest.mark.parametrize(
    ("family", "kind"), [(family.name, example["type"]) for family in FAMILIES for example in family.examples]
)
def test_an_added_log_has_the_fields_of_its_type_and_changes(family: str, kind: str, full_sim: Simulator) -> None:
    sim = full_sim
    alike = next(set(log) for log in sim.truth(family=family).values() if log["type"] == kind)
    later = sim.clock + timedelta(hours=1)
    log_id = sim.add({"type": kind, "new": 1}, timeline=[(later, {"status": "later"})], family=family)
    assert set(sim.truth(family=family)[log_id]) == alike | {"new"}
    sim.change(log_id, status="odd", new=MISSING)
    shown = sim.truth(family=family)[log_id]
    assert (shown["status"], set(shown)) == ("odd", alike)
    sim.advance(hours=1)
    assert sim.truth(family=family)[log_id]["status"] == "later"


def test_a_changed_conference_tells_when(empty_sim: Simulator) -> None:
    log_id = empty_sim.add({}, family="conference_logs")
    before = empty_sim.truth(family="conference_logs")[log_id]["updated_at"]
    empty_sim.advance(minutes=1)
    empty_sim.change(log_id, current_participants=3)
    assert empty_sim.truth(family="conference_logs")[log_id]["updated_at"] > before


def test_an_added_event_stands_where_its_time_puts_it(full_sim: Simulator) -> None:
    sim = full_sim
    (log_id, _), last = list(sim.truth(family="voice_log_events").items())[-1]
    events = client_of(sim).logs.voice.list_events(log_id)["data"]
    sim.add({"log_id": log_id, "event_at": events[0]["event_at"], "name": "late"}, family="voice_log_events")
    sim.add({"log_id": log_id, "name": "now"}, visible_at=sim.clock + timedelta(hours=1), family="voice_log_events")
    names = [event["name"] for event in client_of(sim).logs.voice.list_events(log_id)["data"]]
    assert names == ["call.created", "late", *(event["name"] for event in events[1:])]
    sim.advance(hours=1)
    assert client_of(sim).logs.voice.list_events(log_id)["data"][-1]["name"] == "now"
    assert last["log_id"] == log_id


def test_an_added_call_has_the_events_that_are_added_to_it(empty_sim: Simulator) -> None:
    log_id = empty_sim.add({}, family="voice_logs")
    assert client_of(empty_sim).logs.voice.list_events(log_id) == {"data": []}
    empty_sim.add({"log_id": log_id, "details": {"deep": [{"er": None}]}}, family="voice_log_events")
    ((key, event),) = empty_sim.truth(family="voice_log_events").items()
    assert key == (log_id, 0)
    assert event["details"] == {"deep": [{"er": None}]}


@pytest.mark.parametrize("hour", range(24))
def test_as_many_logs_as_asked_for_are_created_before_the_clock_starts_at_any_hour(hour: int) -> None:
    for seed in range(5):
        clock = datetime(2028, 2, 29, hour, 59, 59, tzinfo=timezone.utc)
        with Simulator(messages=20, families=dict.fromkeys(OTHERS, 10), days=3, seed=seed, clock=clock) as sim:
            for family in PATHS:
                shown = sim.truth(family=family, include_deleted=True)
                assert len(shown) == (20 if family == "message_logs" else 10)


def test_logs_lie_the_same_way_before_the_clock_at_any_time_of_day() -> None:
    ages = []
    for now in (datetime(2028, 2, 29, 23, 59, 59, tzinfo=timezone.utc), datetime(2027, 1, 1, tzinfo=timezone.utc)):
        with time_machine.travel(now), Simulator(messages=50, days=3, seed=7) as sim:
            ages.append({log_id: sim.clock - created_at(log) for log_id, log in sim.truth().items()})
    assert ages[0] == ages[1]


def test_connections_that_come_as_it_ends_are_closed() -> None:
    """One that is not is an error once it is collected, of whichever test runs then."""
    for _ in range(20):
        with Simulator(messages=0, seed=1) as sim:
            host, port = sim.space.split(":")
            clients = [socket.create_connection((host, int(port))) for _ in range(20)]
        for client in clients:
            client.close()
    gc.collect()


def test_a_family_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="pigeon_logs"):
        Simulator(families={"pigeon_logs": 3})


def test_the_command_serves_logs_of_every_family() -> None:
    command = [sys.executable, "-m", "tests.simulator", "--messages", "20", "--families", "10", "--days", "3"]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as process:
        try:
            assert process.stdout
            settings = json.loads(process.stdout.readline())
            client = RestClient(project=settings["project_id"], token=settings["api_token"], host=settings["space"])
            assert len(client.logs.messages.list()["data"]) == 20
            assert len(client.logs.voice.list()["data"]) == 10
            assert len(client.logs.conferences.list()["data"]) == 10
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
