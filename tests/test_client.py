from __future__ import annotations

import pytest

from tap_signalwire_logs.client import (
    BACKOFF_CAP_SECONDS,
    RETRY_AFTER_CAP_SECONDS,
    Failure,
    Slots,
    parse_retry_after,
    wait_seconds,
)
from tap_signalwire_logs.origin import is_loopback, same_origin


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("0", 0.0, id="none"),
        pytest.param("17", 17.0, id="seconds"),
        pytest.param("31536000", 31_536_000.0, id="a year"),
        pytest.param("Thu, 01 Jan 1970 00:01:40 GMT", 40.0, id="a date"),
        pytest.param("Thu, 01 Jan 1970 00:00:10 GMT", 0.0, id="a date that has passed"),
        pytest.param("soon", None, id="neither"),
        pytest.param("-5", None, id="negative"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=lambda: 60.0) == seconds


def test_the_wait_is_what_the_service_asks_for_and_capped() -> None:
    assert wait_seconds(Failure("429", 429, 3.0), 1) == 3.0
    assert wait_seconds(Failure("429", 429, 31_536_000.0), 1) == RETRY_AFTER_CAP_SECONDS


@pytest.mark.parametrize(("tries", "most"), [(1, 0.5), (2, 1.0), (5, 8.0), (50, BACKOFF_CAP_SECONDS)])
def test_the_wait_grows_with_the_tries_and_is_spread_by_chance(tries: int, most: float) -> None:
    waits = {wait_seconds(Failure("503", 503), tries) for _ in range(50)}
    assert len(waits) > 40
    assert all(most / 2 <= wait <= most for wait in waits)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("https://example.signalwire.com/api?x=1", True),
        ("https://example.signalwire.com:443/", True),
        ("https://EXAMPLE.signalwire.com/", True),
        ("http://example.signalwire.com/", False),
        ("https://example.signalwire.com:8443/", False),
        ("https://example.signalwire.com.evil.example/", False),
        ("https://example.signalwire.com@evil.example/", False),
        ("https://example.signalwire.com:port/", False),
        ("//evil.example/", False),
    ],
)
def test_an_origin_is_scheme_host_and_effective_port(other: str, same: bool) -> None:
    assert same_origin("https://example.signalwire.com", other) is same


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("localhost", True), ("::1", True), ("127.0.0.1.evil.example", False)],
)
def test_loopback_is_this_machine_alone(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_slots_halve_when_it_is_too_much_and_come_back_as_answers_come() -> None:
    slots = Slots(8)
    for _ in range(5):
        slots.shrink()
    assert slots.open == 1
    for _ in range(100):
        slots.grow()
    assert slots.open == 8
