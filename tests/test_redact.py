from __future__ import annotations

import base64
import io
import json
import logging
import re
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from singer_sdk.logging import StructuredFormatter

from tap_signalwire_logs.redact import Redactor, escape_controls, install, redact
from tests.simulator import Simulator
from tests.support.run import config_for, run_tap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN = 'PT+ab/c=d"\u00e9 99'
PROJECT = "c38dacad-2f6c-4711-9003-000732000705"
BASIC = base64.b64encode(f"{PROJECT}:{TOKEN}".encode()).decode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("is +15550100001 really", "is … really", id="E.164"),
        pytest.param("15550100001, %2B15550100001, %2b15550100001", "…, …, …", id="without or with an escaped plus"),
        pytest.param("(555) 010-0001 or 555.010.0001", "… or …", id="as people write them"),
        pytest.param("+1 (555) 010 - 0001!", "…!", id="several separators"),
        pytest.param("+44 (0)20 7946 0958, 0044 20 7946 0958", "…, …", id="abroad"),
        pytest.param("+1\u00a0555\u00a0010\u00a00001", "…", id="no-break spaces"),
        pytest.param("+1\u202f555\u2009010\u20070001", "…", id="narrow spaces"),
        pytest.param("+1\u2011555\u2011010\u20110001", "…", id="no-break hyphens"),
        pytest.param("555\u2013010\u20140001, 555\u2212010\uff0d0001", "…, …", id="dashes"),
        pytest.param("555/010/0001 555_010_0001", "…", id="slashes and underscores"),
        pytest.param("\u202a+1\u200b555\u200f0100001\u202c", "\u202a…\u202c", id="invisible characters"),
        pytest.param("+15550100001ext5 +15550100001x12 +15550100001, ext. 7", "… … …", id="extensions"),
        pytest.param("+15550100001-, 15550100001-x", "…-, …-x", id="a hyphen behind"),
        pytest.param("+15550100001abc 15550100001abc", "…abc …abc", id="letters behind"),
        pytest.param("tel:15550100001 tel15550100001 sip:15550100001@x", "tel:… tel… sip:…@x", id="letters before"),
        pytest.param("15550100001-15550100002", "…", id="two"),
        pytest.param("+\u0661\u0665\u0665\u0665\u0660\u0661\u0660\u0660\u0660\u0661", "…", id="Arabic digits"),
        pytest.param("\uff0b\uff11\uff15\uff15\uff15\uff10\uff11\uff10\uff10", "…", id="full width"),
        pytest.param('{"from":"+15550100001","n":1}', '{"from":"…","n":1}', id="in JSON"),
        pytest.param(r"\u002B15550100001 +1\u2011555\u00a00100001", "… …", id="escaped in JSON"),
        pytest.param("+1%20555%20010%2D0001&x=1", "…&x=1", id="escaped in a URL"),
        pytest.param("+1&nbsp;555&#8209;0100001", "…", id="escaped in HTML"),
        pytest.param("5550100 +55501", "… …", id="short"),
    ],
)
def test_phone_numbers_are_hidden_in_any_writing(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "exceeds the 2025-02-09 date limit.",
        "2025-02-09 12:00:00, 2025-02-09T12:00:00Z, 2025-02-09T12:00:00.123456+02:00",
        "2026-01-31 to 2026-02-28, 2026-01-31 - 2026-02-28, 3 2026-01-31",
        "2026-01-31T08:00:00Z/2026-02-01T08:00:00Z",
        "20260131T080000Z",
        "created_after=2026-01-31T08%3A00%3A00Z&created_before=2026-02-01",
        "page_size is 1 to 1000; 422",
        "message_logs: 123456 records, 331 requests, 0 retries; 0.4 s",
        "retrying in 0.4 s (attempt 2 of 8)",
        "0.004150000 or 12.5",
        PROJECT,
        PROJECT.upper(),
        f"GET /api/messaging/logs/{PROJECT}: 404",
        "request id 4bf92f3577b34da6a3ce929d0e0e4736",
        "Root=1-67891233-abcdef012345678912345678",
        "127.0.0.1:43210, 192.168.100.200, http://10.0.0.12:8080/api",
        "0x7f3a4b5c6d70",
        "Python 3.11.7, version 0.54.9",
    ],
)
def test_what_is_no_phone_number_stays_readable(text: str) -> None:
    assert redact(text) == text


@example(groups=(11,), digits=["2"] * 12, separator=" ", before="abc", after="abc")
@given(
    groups=st.sampled_from([(3, 3, 4), (3, 4), (1, 3, 3, 4), (2, 2, 2, 2, 2), (2, 3, 7), (11,)]),
    digits=st.lists(st.sampled_from("23456789"), min_size=12, max_size=12),
    separator=st.sampled_from([" ", "-", ".", "/", "\u00a0", "\u2011", "\u2013", " - ", ") ", "%20", "\\u00a0"]),
    before=st.sampled_from(["", "+", "%2B", "(", "tel:", '"', "abc", "x="]),
    after=st.sampled_from(["", "ext5", "x12", "-", "abc", '"', "&a", ".", ","]),
)
def test_no_way_of_writing_a_number_shows_it(
    groups: tuple[int, ...], digits: list[str], separator: str, before: str, after: str
) -> None:
    left = iter(digits)
    number = separator.join("".join(next(left) for _ in range(size)) for size in groups)
    shown = redact(f"to {before}{number}{after} end")
    assert "…" in shown
    assert not re.search("[3-9]{2}|[2-9]{3}", shown.replace(after, "").replace("%2B", ""))


@pytest.mark.parametrize(
    "form",
    [
        *(TOKEN, quote(TOKEN), quote(TOKEN, safe=""), quote_plus(TOKEN), quote(TOKEN, safe="").lower()),
        *(json.dumps(TOKEN)[1:-1], json.dumps(TOKEN, ensure_ascii=False)[1:-1], f"{PROJECT}:{TOKEN}"),
        *(BASIC, BASIC.rstrip("="), quote(BASIC, safe=""), BASIC.replace("+", "-").replace("/", "_")),
        *(base64.b64encode(TOKEN.encode()).decode(), json.dumps({"a": f"Basic {BASIC}"})),
    ],
)
def test_a_secret_is_hidden_in_any_form_that_a_server_may_echo(form: str) -> None:
    shown = Redactor([TOKEN, f"{PROJECT}:{TOKEN}"])(f"token {form} is wrong")
    assert "[redacted]" in shown
    for part in (TOKEN[:6], BASIC[:12], BASIC[-12:].rstrip("="), "PT%2", "pt%2"):
        assert part not in shown
    assert shown.startswith("token ")
    assert shown.endswith(" is wrong")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("Authorization: Basic Zm9vOmJhcg==", "Authorization: Basic [redacted]", id="Basic"),
        pytest.param("authorization: bearer abcdef", "authorization: bearer [redacted]", id="Bearer"),
        pytest.param('{"Authorization":"Basic x"}', '{"Authorization":"Basic [redacted]"}', id="in JSON"),
        pytest.param(r'"{\"Authorization\": \"x\"}"', r'"{\"Authorization\": \"[redacted]\"}"', id="in JSON in JSON"),
        pytest.param("Authorization=Basic%20Zm9v&a=1", "Authorization=Basic%20[redacted]&a=1", id="in a URL"),
        pytest.param("got Basic Zm9vOmJhcg==.", "got Basic [redacted]", id="without its name"),
        pytest.param("Proxy-Authorization: x", "Proxy-Authorization: [redacted]", id="a proxy's"),
        pytest.param("https://user:p@ss@proxy:8080/a@b", "https://[redacted]@proxy:8080/a@b", id="in an address"),
        pytest.param("use basic authentication", "use basic authentication", id="a word"),
        pytest.param('Basic realm="x1"', 'Basic realm="x1"', id="a challenge"),
    ],
)
def test_credentials_of_anybody_are_hidden(text: str, shown: str) -> None:
    assert Redactor()(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("a\x1b[31mb\x07", r"a\x1b[31mb\x07", id="escape sequence"),
        pytest.param("a\x9b31m\x85", r"a\x9b31m\x85", id="C1"),
        pytest.param("a\r\n2026-01-31 08:00:00 | ERROR", r"a\r\n2026-01-31 08:00:00 | ERROR", id="a forged line"),
        pytest.param(
            "\u202e\u2066\u2028\u200b\ufeff", r"\u202e\u2066\u2028\u200b\ufeff", id="what turns or hides text"
        ),
        pytest.param("\ud800", r"\ud800", id="half a character"),
        pytest.param("Invalid settings:\n- `a`\n  b", "Invalid settings:\n- `a`\n  b", id="a list"),
        pytest.param("gr\u00fc\u00dfe \U0001f600 \u200d", "gr\u00fc\u00dfe \U0001f600 \u200d", id="text"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert escape_controls(text) == shown
    assert Redactor()(text) == shown


@pytest.fixture
def lines() -> Iterator[Callable[[], list[str]]]:
    """What a logger writes, plain and structured, once redaction is installed; it is taken off afterwards."""
    made, out = logging.getLogRecordFactory(), io.StringIO()
    logger = logging.getLogger("somebody.else")
    handlers = [logging.StreamHandler(out), logging.StreamHandler(out)]
    handlers[1].setFormatter(StructuredFormatter())
    logger.propagate = False
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    install([TOKEN])
    install([f"{PROJECT}:{TOKEN}"])
    yield lambda: out.getvalue().splitlines()
    logging.setLogRecordFactory(made)
    for handler in handlers:
        logger.removeHandler(handler)


def test_once_installed_every_logger_s_lines_are_redacted(lines: Callable[[], list[str]]) -> None:
    logger = logging.getLogger("somebody.else")
    logger.info("to +15550100001 with %s, %r and %d records in %.1f s", TOKEN, [TOKEN], 12_345_678, 0.5)
    logger.info("%(who)s called", {"who": "+15550100001\n2026 | ERROR"})
    logger.info(ValueError(f"Basic {BASIC}\x1b[31m"))
    plain, structured = lines()[::2], lines()[1::2]
    assert plain == [
        "to … with [redacted], ['[redacted]'] and 12345678 records in 0.5 s",
        r"…\n2026 | ERROR called",
        r"Basic [redacted]\x1b[31m",
    ]
    assert [json.loads(line)["message"] for line in structured] == plain


def test_a_traceback_is_redacted_with_all_that_led_to_it(lines: Callable[[], list[str]]) -> None:
    logger = logging.getLogger("somebody.else")
    number = "+15550100001"
    said = f"{TOKEN}\nTraceback: forged {number}"
    try:
        try:
            raise KeyError(number)
        except KeyError as error:
            raise ValueError(said) from error
    except ValueError:
        logger.exception("a stream map's expression failed")
    text = "\n".join(lines())
    assert "+1555" not in text
    assert "PT+ab" not in text
    assert "\nTraceback: forged" not in text
    assert text.count("ValueError: [redacted]\\nTraceback: forged …") == 1
    assert "KeyError: '…'" in text
    structured = json.loads(lines()[-1])["exception"]
    assert (structured["type"], structured["cause"]["type"]) == ("ValueError", "KeyError")
    assert sys._getframe().f_code.co_name in text


def test_to_install_it_again_adds_no_work(lines: Callable[[], list[str]]) -> None:
    factory = logging.getLogRecordFactory()
    install(["another secret"])
    assert logging.getLogRecordFactory() is factory
    logging.getLogger("somebody.else").info("another secret")
    assert lines()[0] == "[redacted]"


@pytest.mark.parametrize("status", [400, 401, 403, 422, 500])
@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_what_a_server_echoes_reaches_no_log(status: int, level: str, tmp_path: Path) -> None:
    with Simulator(messages=3, seed=7, days=2) as sim:
        basic = base64.b64encode(f"{sim.project_id}:{sim.api_token}".encode()).decode()
        said = (
            f"{sim.api_token} Basic {basic} \x1b[31m\r\n2026-01-31 08:00:00,000 | ERROR | forged +1\u00a05550100001ext5"
        )
        entry = dict.fromkeys(("type", "code", "message", "attribute", "url"), said)
        body = json.dumps({"error": said, "errors": [entry, entry]}).encode()
        headers = {"x-request-id": sim.api_token}
        sim.fault("status", path="/logs", times=None, status=status, body=body, headers=headers)
        run = run_tap(tmp_path, config_for(sim, backoff_max_tries=2), LOGLEVEL=level)
    assert run.code == 1
    assert str(status) in run.log
    for part in (sim.api_token, basic, "\x1b", "\r", "\n2026-01-31", "5550100001"):
        assert part not in run.log + run.stdout
