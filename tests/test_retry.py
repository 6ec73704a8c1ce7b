from __future__ import annotations

import random
import time

import pytest

from tap_signalwire_logs.retry import (
    BACKOFF_CAP_SECONDS,
    RETRY_AFTER_CAP_SECONDS,
    RetriableFailure,
    parse_http_date,
    parse_retry_after,
    wait_seconds,
)

DATE = "Thu, 01 Jan 1970 00:01:00 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("0", 0.0, id="none"),
        pytest.param("17", 17.0, id="seconds"),
        pytest.param(" 17 ", 17.0, id="spaces around"),
        pytest.param("1.5", 1.5, id="a float"),
        pytest.param("31536000", 31_536_000.0, id="a year"),
        pytest.param("9" * 500, float("inf"), id="500 digits"),
        pytest.param("Thu, 01 Jan 1970 00:01:40 GMT", 40.0, id="a date"),
        pytest.param("Thursday, 01-Jan-70 00:01:40 GMT", 40.0, id="a date of the old form"),
        pytest.param("Thu Jan  1 00:01:40 1970", 40.0, id="a date without a zone"),
        pytest.param("Thu, 01 Jan 1970 01:01:40 +0100", 40.0, id="a date with an offset"),
        pytest.param("Thu, 01 Jan 1970 00:00:10 GMT", 0.0, id="a date that has passed"),
        pytest.param("Thu, 99 Jan 1970 00:00:10 GMT", None, id="no date"),
        pytest.param("Thu, 01 Jan 99999 00:00:10 GMT", None, id="a date past all dates"),
        pytest.param("soon", None, id="neither"),
        pytest.param("-5", None, id="negative"),
        pytest.param("1e9", None, id="an exponent"),
        pytest.param("nan", None, id="nan"),
        pytest.param("inf", None, id="inf"),
        pytest.param("5, 10", None, id="two"),
        pytest.param("\N{SUPERSCRIPT TWO}", None, id="a superscript"),
        pytest.param("\N{ARABIC-INDIC DIGIT FIVE}", None, id="other digits"),
        pytest.param("\x00", None, id="a control character"),
        pytest.param("(", None, id="an open comment"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_retry_after_is_read_in_all_its_forms(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, DATE) == seconds


def test_retry_after_survives_anything() -> None:
    chance = random.Random(1)
    letters = '0123456789.-+,: eEGMTJanThu()"\\²५\x00é'
    for _ in range(5_000):
        value = "".join(chance.choices(letters, k=chance.randrange(1, 20)))
        seconds = parse_retry_after(value, chance.choice([DATE, value, None]))
        assert seconds is None or seconds >= 0


def test_a_date_is_read_against_the_answers_own_clock_and_else_against_ours() -> None:
    ahead = time.gmtime(time.time() + 50)
    text = time.strftime("%a, %d %b %Y %H:%M:%S GMT", ahead)
    far = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 43))
    assert parse_retry_after(text, far) == pytest.approx(7, abs=1)
    assert parse_retry_after(text) == pytest.approx(50, abs=2)
    assert parse_retry_after(text, "no date") == pytest.approx(50, abs=2)


def test_an_http_date_is_utc() -> None:
    assert parse_http_date(DATE) == 60.0
    assert parse_http_date("Thu, 01 Jan 1970 00:01:00 -0000") == 60.0
    assert parse_http_date("x") is None


@pytest.mark.parametrize(("tries", "most"), [(1, 0.5), (2, 1.0), (5, 8.0), (50, BACKOFF_CAP_SECONDS)])
@pytest.mark.parametrize("retry_after", [None, 0.0], ids=["no word", "Retry-After 0"])
def test_the_wait_grows_with_the_tries_and_is_spread_by_chance(
    tries: int, most: float, retry_after: float | None
) -> None:
    waits = {wait_seconds(RetriableFailure("503", "unavailable", 503, retry_after), tries) for _ in range(50)}
    assert len(waits) > 40
    assert all(most / 2 <= wait <= most for wait in waits)


def test_retry_after_is_the_least_wait_with_chance_on_top() -> None:
    waits = {wait_seconds(RetriableFailure("429", "throttled", 429, 3.0), 1) for _ in range(50)}
    assert len(waits) > 40
    assert all(3.0 <= wait <= 3.25 for wait in waits)
    # The backoff's own wait is longer by now.
    assert wait_seconds(RetriableFailure("429", "throttled", 429, 3.0), 6) >= 8.0


@pytest.mark.parametrize("seconds", [121.0, 31_536_000.0, float("inf")])
def test_no_wait_is_longer_than_the_cap(seconds: float) -> None:
    assert wait_seconds(RetriableFailure("429", "throttled", 429, seconds), 1) == RETRY_AFTER_CAP_SECONDS
