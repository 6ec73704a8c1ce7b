"""The client on a loop of the test's own, against the simulated Space and servers that a test scripts."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections import Counter
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tap_signalwire_logs.client import OUTAGE_REQUESTS, Client
from tap_signalwire_logs.errors import (
    HistoryLimitError,
    InvalidResponseError,
    NotFoundError,
    OutageError,
    RejectedError,
    RequestError,
    RetriesExhaustedError,
    UnauthorizedError,
    UnreachableError,
)
from tap_signalwire_logs.origin import is_loopback, same_origin
from tests.simulator import Simulator
from tests.support.doors import Reply, Scripted, answer, scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

LOG = "/api/messaging/logs/{}"
OK = answer()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of a hundredth: what is tested is that there are some, and which."""
    monkeypatch.setattr("tap_signalwire_logs.retry.BACKOFF_FIRST_SECONDS", 0.005)
    monkeypatch.setattr("tap_signalwire_logs.retry.BACKOFF_CAP_SECONDS", 0.05)


@asynccontextmanager
async def client_of(origin: str, **settings: Any) -> AsyncIterator[Client]:
    settings = {
        "scope": "Messaging",
        "concurrency": 8,
        "timeout": 5.0,
        "max_tries": 3,
        "user_agent": "test",
        **settings,
    }
    async with Client(origin, "project", "PT-secret", **settings) as client:
        yield client


async def get(client: Client, target: str = "/api/messaging/logs/1", **details: Any) -> Any:
    return await client.get(target, decode=msgspec.json.decode, **details)


def ask(reply: Callable[[str, Scripted], Reply], count: int = 1, **settings: Any) -> tuple[list[Any], Scripted]:
    """Outcomes of so many gets at once, errors among them, and the server as they left it."""

    async def main() -> tuple[list[Any], Scripted]:
        async with scripted(reply) as server, client_of(server.origin, **settings) as client:
            gets = [get(client, LOG.format(place)) for place in range(count)]
            return await asyncio.gather(*gets, return_exceptions=True), server

    return asyncio.run(main())


def ask_one_by_one(
    reply: Callable[[str, Scripted], Reply], count: int, **settings: Any
) -> tuple[list[object], Scripted]:
    """What each of some logs gave or raised, asked for one after another, and the server."""

    async def main() -> tuple[list[object], Scripted]:
        async with scripted(reply) as server, client_of(server.origin, **settings) as client:
            done: list[object] = []
            for place in range(count):
                done += await asyncio.gather(get(client, LOG.format(place)), return_exceptions=True)
            return done, server

    return asyncio.run(main())


def in_turn(*replies: Reply) -> Callable[[str, Scripted], Reply]:
    """Each answer once, the last one for ever."""
    left = list(replies)
    return lambda _target, _server: left.pop(0) if len(left) > 1 else left[0]


# Answers


def test_the_answer_is_what_decode_makes_of_the_body() -> None:
    with Simulator(messages=300) as sim:

        async def main() -> None:
            async with Client(
                f"http://{sim.space}",
                sim.project_id,
                sim.api_token,
                scope="Messaging",
                concurrency=8,
                timeout=5,
                max_tries=3,
                user_agent="someone/1",
            ) as client:
                page = await get(client, "/api/messaging/logs", params={"page_size": 1000}, is_page=True)
                ids = [log["id"] for log in page["data"]]
                logs = await asyncio.gather(*[get(client, LOG.format(log_id)) for log_id in ids])
                assert [log["id"] for log in logs] == ids
                assert (client.counts.requests, client.counts.retries) == (301, 0)

        asyncio.run(main())
        assert sim.max_in_flight <= 8
        assert {request.headers["user-agent"] for request in sim.requests} == {"someone/1"}
        assert sim.requests[0].query == {"page_size": "1000"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"text": "\\ud83d"}', id="half a character"),
    ],
)
def test_a_body_that_can_be_repaired_is_no_failure(body: bytes) -> None:
    async def main() -> None:
        async with scripted(in_turn(answer(200, body))) as server, client_of(server.origin) as client:
            assert await client.get("/x", decode=msgspec.json.decode) == {"text": "\ufffd"}
            assert client.counts.retries == 0

    asyncio.run(main())


# What passes


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(answer(200, b""), id="empty"),
        pytest.param(answer(200, b"<html>"), id="HTML"),
        pytest.param(answer(200, b'{"id": '), id="half the JSON"),
        pytest.param(answer(201), id="201"),
        pytest.param(answer(202, b""), id="202"),
        pytest.param(answer(204, b""), id="204"),
        pytest.param(answer(206), id="206 with a whole body"),
        pytest.param(answer(304, b""), id="304"),
        pytest.param(answer(404, b"not found"), id="404 in plain text"),
        pytest.param(answer(404, b"<html>Not Found</html>"), id="404 in HTML"),
        pytest.param(answer(404, b""), id="404 without a word"),
        pytest.param(answer(404, b"[]"), id="404 with JSON that is no object"),
        pytest.param(answer(404, b'"Not Found"'), id="404 with a JSON text"),
        pytest.param(answer(404, b"{}"), id="404 with nothing in an object"),
        pytest.param(answer(404, b'{"message": "no Route matched"}'), id="404 in another gateway's JSON"),
        pytest.param(answer(404, b'{"errors": []}'), id="404 with no errors"),
        pytest.param(answer(410, b"gone"), id="410 in plain text"),
        pytest.param(answer(408, b""), id="408"),
        pytest.param(answer(425, b""), id="425"),
        pytest.param(answer(429, b""), id="429"),
        pytest.param(answer(422, b'{"errors":[{"code":"rate_limit_exceeded"}]}'), id="422 rate_limit_exceeded"),
        pytest.param(answer(500, b'{"error": "x"}'), id="500"),
        pytest.param(answer(502, b"<html>"), id="502"),
        pytest.param(answer(503, b"", Retry_After="0"), id="503 with Retry-After"),
        pytest.param(answer(599, b""), id="599"),
        pytest.param(Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", close=True), id="cut"),
        pytest.param(Reply(close=True), id="closed"),
        pytest.param(Reply(b"SSH-2.0-OpenSSH\r\n", close=True), id="not HTTP"),
    ],
)
def test_what_passes_is_tried_again(first: Reply) -> None:
    (got,), server = ask(in_turn(first, OK))
    assert got == {"ok": True}
    assert len(server.requests) == 2


def test_a_body_that_is_not_what_was_asked_for_is_tried_again() -> None:
    def decode(body: bytes | bytearray) -> Any:
        if (found := json.loads(body)) != {"ok": True}:
            message = "the body is of another log"
            raise InvalidResponseError(message)
        return found

    async def main(*replies: Reply) -> Any:
        async with scripted(in_turn(*replies)) as server, client_of(server.origin) as client:
            return await client.get("/x", decode=decode)

    assert asyncio.run(main(answer(200, b'{"id": 2}'), OK)) == {"ok": True}
    with pytest.raises(RetriesExhaustedError, match="200, but the body is of another log"):
        asyncio.run(main(answer(200, b'{"id": 2}')))


@pytest.mark.parametrize(
    ("lasting", "status", "says"),
    [
        pytest.param(answer(503, b""), 503, "503, 3 tries.*SignalWire is unavailable or rate-limiting", id="503"),
        pytest.param(answer(404, b"nope"), 404, "404, but not in SignalWire's own words", id="a gateway's 404"),
        pytest.param(answer(202, b""), 202, "202, which is no answer", id="202"),
        pytest.param(answer(200, b""), 200, "200, but the body is empty", id="empty"),
        pytest.param(answer(200, b"<html>"), 200, "200, but the body is not JSON", id="HTML"),
        pytest.param(Reply(close=True), None, "connection.*check `space` and the network", id="closed"),
        pytest.param(Reply(hang=True), None, "no answer.*`request_timeout`", id="silent"),
    ],
)
def test_what_lasts_ends_after_its_tries_with_advice_of_its_kind(lasting: Reply, status: int | None, says: str) -> None:
    (error,), server = ask(in_turn(lasting), timeout=0.3)
    assert isinstance(error, RetriesExhaustedError)
    assert error.status == status
    assert "3 tries (`backoff_max_tries`)" in str(error)
    assert "rerun later: it resumes from the last saved state" in str(error)
    assert "start_date" not in str(error)
    assert re.search(says, str(error)), str(error)
    # libcurl sends again, by itself, what a kept connection broke under.
    assert 3 <= len(server.requests) <= 6


def test_a_request_may_have_tries_of_its_own() -> None:
    async def main() -> None:
        async with scripted(in_turn(answer(500, b""))) as server, client_of(server.origin) as client:
            with pytest.raises(RetriesExhaustedError, match="1 tries"):
                await get(client, max_tries=1)
            assert len(server.requests) == 1

    asyncio.run(main())


def test_a_request_that_waits_for_its_retry_gives_its_slot_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap_signalwire_logs.retry.BACKOFF_FIRST_SECONDS", 60.0)
    monkeypatch.setattr("tap_signalwire_logs.retry.BACKOFF_CAP_SECONDS", 60.0)

    async def main() -> None:
        def reply(target: str, _server: Scripted) -> Reply:
            return answer(500, b"") if target.endswith("/bad") else OK

        async with scripted(reply) as server, client_of(server.origin, concurrency=1) as client:
            bad = asyncio.ensure_future(get(client, LOG.format("bad")))
            await asyncio.sleep(0)
            assert await get(client) == {"ok": True}
            assert "1 retrying" in repr(client)
            assert not bad.done()
            bad.cancel()
            with pytest.raises(asyncio.CancelledError):
                await bad
            assert "0 retrying" in repr(client)
            assert await get(client) == {"ok": True}

    asyncio.run(main())


# Slots


def test_pages_go_before_gets_and_retries_before_both() -> None:
    async def main() -> list[str]:
        async with (
            scripted(lambda *_: Reply(OK.raw, after=0.01)) as server,
            client_of(server.origin, concurrency=1) as client,
        ):
            gets = [asyncio.ensure_future(get(client, LOG.format(place))) for place in range(3)]
            await asyncio.sleep(0)
            page = asyncio.ensure_future(get(client, "/page", is_page=True))
            await asyncio.gather(*gets, page)
            assert server.max_in_flight == 1
            return server.requests

    asked = asyncio.run(main())
    assert asked[1] == "/page"
    assert [target[-1] for target in asked if target != "/page"] == ["0", "1", "2"]


def test_a_get_that_is_cancelled_while_it_waits_gives_its_place_up() -> None:
    async def main() -> None:
        async with (
            scripted(lambda *_: Reply(OK.raw, after=0.02)) as server,
            client_of(server.origin, concurrency=2) as client,
        ):
            gets = [asyncio.ensure_future(get(client, LOG.format(place))) for place in range(12)]
            await asyncio.sleep(0.01)
            for one in gets[::2]:
                one.cancel()
            done = await asyncio.gather(*gets, return_exceptions=True)
            assert sum(one == {"ok": True} for one in done) == 6
            assert server.max_in_flight <= 3  # the server may not have seen yet that one was given up
            assert "0 of 2 requests in flight, 0 pages and 0 gets queued" in repr(client)
            assert await get(client) == {"ok": True}

    asyncio.run(main())


# What lasts, for this request


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"error": "Not Found"}', id="error"),
        pytest.param(b'{"errors": [{"code": "not_found", "message": "Not Found"}]}', id="errors"),
        pytest.param(b'{"detail": "Not Found", "status": 404, "title": "x", "code": "y"}', id="detail"),
        pytest.param(b'{"code": "20404", "message": "gone", "status": 404}', id="LaML"),
    ],
)
@pytest.mark.parametrize("status", [404, 410])
def test_what_the_service_itself_does_not_have_is_said_at_once(status: int, body: bytes) -> None:
    (error,), server = ask(in_turn(answer(status, body, Content_Type="text/plain", X_Request_Id="abc-1")))
    assert isinstance(error, NotFoundError)
    assert str(error).startswith(f"GET /api/messaging/logs/1: {status} (request abc-1); ".replace("/1:", "/0:"))
    assert len(server.requests) == 1


def test_the_history_limit_is_told_with_its_date() -> None:
    entry = {"code": "exceeds_history_logs_limit", "message": "The value exceeds the 2025-02-09 date limit."}
    (error,), _ = ask(in_turn(answer(422, json.dumps({"errors": [entry]}).encode())))
    assert isinstance(error, HistoryLimitError)
    assert error.limit == "The value exceeds the 2025-02-09 date limit."
    other = {"code": "invalid_parameter", "message": "no"}
    (error,), _ = ask(in_turn(answer(422, json.dumps({"errors": [entry, other]}).encode())))
    assert isinstance(error, RejectedError)
    assert error.codes == ("exceeds_history_logs_limit", "invalid_parameter")


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (400, b'{"error": "Bad Request"}', "400 (request r1); Bad Request; request rejected, not retried"),
        (405, b"", "405 (request r1); request rejected, not retried"),
        (409, b"<html>", "409 (request r1); request rejected"),
        (451, b'{"detail": "no", "code": "law"}', "451 (request r1); law: no; request rejected"),
        (422, b'{"code": 21601, "message": "flat"}', "422 (request r1); 21601: flat; request rejected"),
        (
            422,
            b'{"errors": ["just words", 5, {"code": "c", "attribute": "a", "message": "m"}]}',
            "; just words; c (a): m;",
        ),
        (422, b'{"errors": [{"code": "c", "attribute": "created_after", "message": "m"}]}', "check `start_date`"),
    ],
)
def test_a_refusal_is_said_with_all_its_entries(status: int, body: bytes, says: str) -> None:
    (error,), server = ask(in_turn(answer(status, body, X_Request_Id="r1")))
    assert isinstance(error, RejectedError)
    assert error.status == status
    assert says in str(error)
    assert ("start_date" in str(error)) == (b"created_after" in body)
    assert len(server.requests) == 1


def test_what_comes_from_outside_is_redacted_and_has_no_control_characters() -> None:
    entry = {
        "code": "c\x1b[31m",
        "attribute": "a\nb",
        "message": "call +15550100001 \x1b]0;title\x07 now\r\nforged line",
    }
    (error,), _ = ask(in_turn(answer(400, json.dumps({"errors": [entry]}).encode(), X_Request_Id="x\x1b[2J y")))
    text = str(error)
    assert "5550100001" not in text
    assert text.isprintable()
    (error,), _ = ask(in_turn(answer(500, json.dumps({"error": "at (555) 010-0001 \x07"}).encode())))
    assert "010-0001" not in str(error)
    assert str(error).isprintable()


# What lasts, for all


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_end_every_request_of_the_client_at_once(status: int) -> None:
    async def main() -> None:
        def reply(target: str, _server: Scripted) -> Reply:
            return (
                answer(status, b'{"error": "no"}', X_Request_Id="r") if target.endswith("/3") else Reply(OK.raw, 0.05)
            )

        async with scripted(reply) as server, client_of(server.origin, concurrency=4) as client:
            gets = [get(client, LOG.format(place)) for place in range(40)]
            done = await asyncio.gather(*gets, return_exceptions=True)
            refused = [one for one in done if isinstance(one, UnauthorizedError)]
            assert len(refused) == 37
            assert len({str(error) for error in refused}) == 1
            assert "check `project_id` and `api_token`, and that the API token has the scope Messaging" in str(
                refused[0]
            )
            assert f"/3: {status} (request r)" in str(refused[0])
            with pytest.raises(UnauthorizedError):
                await get(client)
            assert len(server.requests) == 4
            assert client.counts.retries == 0

    asyncio.run(main())


def test_who_waits_for_a_retry_ends_with_the_others_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap_signalwire_logs.retry.BACKOFF_FIRST_SECONDS", 300.0)
    monkeypatch.setattr("tap_signalwire_logs.retry.BACKOFF_CAP_SECONDS", 300.0)

    def reply(target: str, _server: Scripted) -> Reply:
        return Reply(answer(401, b"{}").raw, 0.05) if target.endswith("/0") else answer(500, b"")

    done, server = ask(reply, 6)
    assert [type(error) for error in done] == [UnauthorizedError] * 6
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    "redirect",
    [
        pytest.param(answer(302, b"", Location="https://elsewhere.example/"), id="302"),
        pytest.param(answer(301, b"moved", Location="/login"), id="301 to the same host"),
        pytest.param(answer(307, b""), id="307 without a location"),
    ],
)
def test_a_redirect_is_not_followed_and_said(redirect: Reply) -> None:
    (error,), server = ask(in_turn(redirect))
    assert isinstance(error, UnreachableError)
    assert "unexpected redirect, not followed; check `space`" in str(error)
    assert "elsewhere" not in str(error)
    assert len(server.requests) == 1


def test_an_unknown_host_is_said_after_few_tries() -> None:
    async def main() -> None:
        async with client_of("https://no-such-space.invalid", max_tries=50) as client:
            gets = [get(client, LOG.format(place)) for place in range(20)]
            done = await asyncio.gather(*gets, return_exceptions=True)
            assert {type(error) for error in done} == {UnreachableError}
            assert "unknown host; check `space`" in str(done[0])
            assert "request_timeout" not in str(done[0])
            assert client.counts.requests <= 60

    asyncio.run(main())


def test_an_outage_is_twenty_requests_that_used_up_their_tries_with_no_answer_between() -> None:
    done, _ = ask(in_turn(answer(503, b"")), OUTAGE_REQUESTS + 20, concurrency=1, max_tries=1)
    kinds = [type(error) for error in done]
    assert kinds.count(RetriesExhaustedError) == OUTAGE_REQUESTS - 1
    assert kinds.count(OutageError) == 21
    assert "SignalWire is unavailable or rate-limiting; rerun later" in str(done[-1])


@pytest.mark.parametrize(
    "between",
    [OK, answer(404, b'{"error": "Not Found"}'), answer(422, b'{"errors": ["no"]}')],
    ids=["200", "404", "422"],
)
def test_an_answer_between_is_no_outage(between: Reply) -> None:
    def reply(target: str, _server: Scripted) -> Reply:
        return between if int(target.rpartition("/")[2]) % 15 == 14 else answer(503, b"")

    done, _ = ask(reply, 60, concurrency=1, max_tries=1)
    assert not any(isinstance(one, OutageError) for one in done)
    assert sum(isinstance(one, RetriesExhaustedError) for one in done) == 56


def test_requests_that_fail_by_themselves_are_no_outage_and_lose_little_time() -> None:
    def reply(target: str, _server: Scripted) -> Reply:
        return OK if int(target.rpartition("/")[2]) in {0, 50} else answer(500, b"")

    done, server = ask_one_by_one(reply, 60, max_tries=5)
    tries = Counter(int(target.rpartition("/")[2]) for target in server.requests)
    assert {place for place, one in enumerate(done) if not isinstance(one, RetriesExhaustedError)} == {0, 50}
    assert {tries[place] for place in range(1, OUTAGE_REQUESTS)} == {5}
    assert {tries[place] for place in range(OUTAGE_REQUESTS, 50)} == {2}, "what was answered before was answered again"
    assert {tries[place] for place in range(51, 60)} == {5}, "others are answered too"
    assert tries[0] == 3, "once, and before each twentieth"


def test_it_is_an_outage_where_what_was_answered_fails_too() -> None:
    done, server = ask_one_by_one(in_turn(OK, answer(500, b"")), 60, max_tries=3)
    assert sum(isinstance(one, RetriesExhaustedError) for one in done) == OUTAGE_REQUESTS - 1
    assert isinstance(done[-1], OutageError)
    assert len(server.requests) == 1 + 3 * (OUTAGE_REQUESTS - 1) + 2


def test_a_gateways_404_is_no_answer_between() -> None:
    done, _ = ask(in_turn(answer(404, b"nope")), OUTAGE_REQUESTS, concurrency=1, max_tries=1)
    assert isinstance(done[-1], OutageError)


def test_a_full_disk_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, _size: int) -> None: ...
        def write(self, _chunk: bytes) -> int:
            raise OSError(28, "No space left on device")

        def tell(self) -> int:
            return 0

        def close(self) -> None: ...

    monkeypatch.setattr("tap_signalwire_logs.transport.SpooledTemporaryFile", Full)

    async def main() -> None:
        async with scripted(in_turn(OK)) as server, client_of(server.origin) as client:
            with pytest.raises(OSError, match="No space left"):
                await get(client, is_page=True)
            assert len(server.requests) == 1

    asyncio.run(main())


# Limits


class Bucket:
    """Answers so many requests a second, so many at once; others are refused."""

    def __init__(self, rate: float, burst: float, refusal: Reply) -> None:
        self.rate, self.burst, self.refusal = rate, burst, refusal
        self.tokens = burst
        self.filled = time.monotonic()
        self.refused = 0

    def __call__(self, _target: str, _server: Scripted) -> Reply:
        now = time.monotonic()
        self.tokens = min(self.burst, self.tokens + (now - self.filled) * self.rate)
        self.filled = now
        if self.tokens < 1:
            self.refused += 1
            return self.refusal
        self.tokens -= 1
        return OK


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(answer(429, b""), id="429"),
        pytest.param(answer(429, b"", Retry_After="1"), id="429 with Retry-After 1"),
        pytest.param(answer(429, b"", Retry_After=formatdate(0, usegmt=True)), id="429 with a date that has passed"),
        pytest.param(answer(503, b"", Retry_After="0"), id="503 with Retry-After 0"),
        pytest.param(answer(503, b""), id="503"),
    ],
)
def test_a_limit_with_a_small_burst_costs_no_request_its_tries(refusal: Reply) -> None:
    bucket = Bucket(300, 5, refusal)
    done, server = ask(bucket, 400, concurrency=32, max_tries=3)
    assert [one for one in done if one != {"ok": True}] == []
    assert 0 < bucket.refused < 400
    assert len(server.requests) == 400 + bucket.refused


def test_a_limit_of_requests_at_once_costs_no_request_its_tries() -> None:
    def reply(_target: str, server: Scripted) -> Reply:
        return Reply(OK.raw, 0.02) if server.in_flight <= 4 else answer(503, b"")

    done, _ = ask(reply, 300, concurrency=32, max_tries=4)
    assert [one for one in done if one != {"ok": True}] == []


def test_a_longer_retry_after_is_quiet_for_all() -> None:
    async def main() -> None:
        quiet = in_turn(OK, OK, answer(429, b"", Retry_After="2"), OK)
        times: list[float] = []

        def reply(target: str, server: Scripted) -> Reply:
            times.append(time.monotonic())
            return quiet(target, server)

        async with scripted(reply) as server, client_of(server.origin, concurrency=1) as client:
            gets = [asyncio.ensure_future(get(client, LOG.format(place))) for place in range(6)]
            while len(times) < 3:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            assert "paused for 1." in repr(client)
            await asyncio.gather(*gets)
            assert len(times) == 7
            assert times[3] - times[2] >= 1.99  # what is asked for is the least

    asyncio.run(main())


def test_one_log_that_is_throttled_for_ever_ends_once_the_others_are_done() -> None:
    def reply(target: str, _server: Scripted) -> Reply:
        return answer(429, b"") if target.endswith("/7") else OK

    done, _ = ask(reply, 50)
    assert [one for one in done if one != {"ok": True}] == [done[7]]
    assert isinstance(done[7], RetriesExhaustedError)


def test_a_few_logs_that_fail_for_ever_are_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without waits each log's tries follow one another, however busy the machine is.
    monkeypatch.setattr("tap_signalwire_logs.retry.BACKOFF_FIRST_SECONDS", 0.0)

    def reply(target: str, _server: Scripted) -> Reply:
        return answer(503, b"") if int(target.rpartition("/")[2]) % 50 == 0 else OK

    done, server = ask(reply, 500)
    assert sum(isinstance(one, RetriesExhaustedError) for one in done) == 10
    assert len(server.requests) == 490 + 10 * 3


def test_a_retry_is_said_with_its_wait_and_its_attempt(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "tap-signalwire-logs.client"):
        ask(in_turn(answer(500, b"", X_Request_Id="r9"), OK), max_tries=8)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said == ["GET /api/messaging/logs/0: 500 (request r9); retrying in 0.0 s (attempt 2 of 8)"]


def test_hundreds_of_failures_at_once_are_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tap-signalwire-logs.client"):
        ask(in_turn(*[answer(500, b"")] * 100, OK), 100, concurrency=100)
    assert len(caplog.records) == 1


# The clock, and the end


@pytest.mark.parametrize("apart", [0, 3 * 86_400, -3_600])
def test_the_services_clock_is_known_from_its_answers(apart: int) -> None:
    async def main() -> None:
        dated = answer(200, b"{}", Date=formatdate(time.time() + apart, usegmt=True))
        async with scripted(in_turn(dated)) as server, client_of(server.origin) as client:
            assert client.clock_offset is None
            await get(client)
            assert client.clock_offset == pytest.approx(apart, abs=1.5)

    asyncio.run(main())


def test_an_answer_without_a_date_says_nothing_of_the_clock() -> None:
    async def main() -> None:
        async with scripted(in_turn(OK, answer(200, b"{}", Date="x"))) as server, client_of(server.origin) as client:
            await get(client)
            await get(client)
            assert client.clock_offset is None

    asyncio.run(main())


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are counted in /proc")
def test_nothing_is_left_of_a_client_that_was_closed() -> None:
    async def main() -> int:
        def reply(target: str, _server: Scripted) -> Reply:
            if target.endswith("0"):
                return Reply(hang=True)
            return answer(500, b"") if target.endswith("1") else OK

        async with scripted(reply) as server:
            async with client_of(server.origin, concurrency=4) as client:
                gets = [asyncio.ensure_future(get(client, LOG.format(place))) for place in range(100)]
                await asyncio.sleep(0.1)
            done = await asyncio.gather(*gets, return_exceptions=True)
            assert any(isinstance(one, asyncio.CancelledError) for one in done)
            assert all(isinstance(one, (dict, asyncio.CancelledError, RequestError)) for one in done)
        assert len(asyncio.all_tasks()) == 1
        return descriptors()

    assert len({asyncio.run(main()) for _ in range(4)}) == 1


# Origins


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
