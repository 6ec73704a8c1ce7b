from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tap_signalwire_logs.families import CONFERENCE_LOGS, FAX_LOGS, MESSAGE_LOGS, VIDEO_LOGS, VOICE_LOGS, Family
from tap_signalwire_logs.finality import MAX_KEPT, Finality
from tap_signalwire_logs.instants import SECOND, parse_instant

NOW = parse_instant("2026-01-31T08:00:00Z")
OUTBOUND = {"status": "delivered", "kind": "sms", "direction": "outbound-api", "charge": 0.004}
CASES: list[Any] = [
    pytest.param(MESSAGE_LOGS, OUTBOUND, True, id="delivered and charged"),
    pytest.param(MESSAGE_LOGS, {**OUTBOUND, "charge": None}, False, id="delivered, no charge yet"),
    pytest.param(MESSAGE_LOGS, {**OUTBOUND, "charge": msgspec.UNSET}, False, id="delivered, the charge lacks"),
    pytest.param(MESSAGE_LOGS, {**OUTBOUND, "charge": 0.0}, False, id="delivered, a charge of nothing"),
    pytest.param(MESSAGE_LOGS, {**OUTBOUND, "status": "sent"}, False, id="sent"),
    pytest.param(MESSAGE_LOGS, {**OUTBOUND, "status": "new"}, False, id="a status that nobody knows"),
    pytest.param(MESSAGE_LOGS, {**OUTBOUND, "status": msgspec.UNSET}, False, id="no status"),
    pytest.param(MESSAGE_LOGS, {**OUTBOUND, "kind": "whatsapp"}, False, id="a WhatsApp message, delivered"),
    pytest.param(MESSAGE_LOGS, {**OUTBOUND, "kind": "whatsapp", "status": "read"}, True, id="a WhatsApp message, read"),
    pytest.param(MESSAGE_LOGS, {**OUTBOUND, "kind": None}, True, id="no kind"),
    pytest.param(
        MESSAGE_LOGS,
        {"status": "received", "kind": "sms", "direction": "inbound", "charge": None},
        True,
        id="received: inbound needs no charge",
    ),
    pytest.param(
        MESSAGE_LOGS, {**OUTBOUND, "status": "sent", "discarded_at": "2026-01-31T07:59:59Z"}, True, id="a deleted one"
    ),
    pytest.param(VOICE_LOGS, {"status": "completed", "charge": 0.01}, True, id="a call with a charge"),
    pytest.param(VOICE_LOGS, {"status": "completed", "charge": None}, False, id="a call without"),
    pytest.param(VOICE_LOGS, {"status": "no-answer", "charge": None}, True, id="a call that nobody took"),
    pytest.param(FAX_LOGS, {"status": None, "charge": 0.01}, False, id="a fax without a status"),
    pytest.param(VIDEO_LOGS, {"status": "completed", "charge": None}, False, id="a session without a charge"),
    pytest.param(VIDEO_LOGS, {"status": "completed", "charge": 1}, True, id="a session with one"),
    pytest.param(
        CONFERENCE_LOGS,
        {"status": "completed", "type": "video_room_session", "charge": "0.0"},
        False,
        id="a charge of nothing as text",
    ),
    pytest.param(
        CONFERENCE_LOGS, {"status": "completed", "type": "video_room_session", "charge": "0.5"}, True, id="one as text"
    ),
    pytest.param(
        CONFERENCE_LOGS,
        {"status": "completed", "type": "relay_conference", "charge": None, "updated_at": "2026-01-31T07:30:00Z"},
        False,
        id="a conference that changed lately",
    ),
    pytest.param(
        CONFERENCE_LOGS,
        {"status": "completed", "type": "relay_conference", "charge": None, "updated_at": "2026-01-31T06:30:00Z"},
        True,
        id="a conference that has settled",
    ),
    pytest.param(
        CONFERENCE_LOGS,
        {"status": "completed", "type": "relay_conference", "charge": None, "updated_at": "no date"},
        False,
        id="a conference of which nobody can tell when it changed",
    ),
]
FIELDS = ("status", "kind", "direction", "type", "charge", "updated_at", "discarded_at")


def a_log(values: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(**{**dict.fromkeys(FIELDS), **values})


@pytest.mark.parametrize(("family", "values", "is_final"), CASES)
def test_a_log_is_final_once_nothing_changes_it_any_more(
    family: Family, values: dict[str, Any], *, is_final: bool
) -> None:
    assert Finality(family).of([a_log(values)], NOW) == [is_final]
    assert Finality(family).of([SimpleNamespace(**values)], NOW) == [is_final], "a family that lacks the other fields"


def test_what_is_said_of_many_logs_is_said_of_each() -> None:
    cases = [(case.values[1], case.values[2]) for case in CASES if case.values[0] is MESSAGE_LOGS]
    finality = Finality(MESSAGE_LOGS)
    for _ in range(2):
        assert finality.of([a_log(values) for values, _ in cases], NOW) == [is_final for _, is_final in cases]
    assert finality.of([], NOW) == []


def test_without_a_moment_a_log_is_final_that_stays_so() -> None:
    settled = a_log({"status": "completed", "type": "relay_conference", "updated_at": "2020-01-01T00:00:00Z"})
    assert Finality(CONFERENCE_LOGS).of([settled], NOW - 3600 * SECOND) == [True]
    assert Finality(CONFERENCE_LOGS).of([settled, a_log({**vars(settled), "updated_at": None})]) == [False, True]


def test_statuses_without_end_take_no_memory() -> None:
    finality = Finality(MESSAGE_LOGS)
    for start in range(0, 10 * MAX_KEPT, 100):
        finality.of([a_log({"status": f"status {number}"}) for number in range(start, start + 100)])
    assert len(finality._verdicts) <= MAX_KEPT + 100


@pytest.mark.parametrize(
    ("values", "is_rare"),
    [
        pytest.param({"status": "sent", "kind": "mms", "charge": 0.01}, True, id="an MMS that is sent and charged"),
        pytest.param({"status": "sent", "kind": "mms", "charge": None}, False, id="one without a charge"),
        pytest.param({"status": "sent", "kind": "sms", "charge": 0.01}, False, id="an SMS"),
    ],
)
def test_logs_that_hardly_ever_change_again_are_rare(values: dict[str, Any], *, is_rare: bool) -> None:
    assert Finality(MESSAGE_LOGS).is_rare(a_log(values)) == is_rare
