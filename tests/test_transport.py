"""TLS, proxies, kept connections and odd bodies, as users of requests know them."""

from __future__ import annotations

import asyncio
import gzip
import json
import select
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tap_signalwire_logs.client import Client
from tap_signalwire_logs.errors import UnreachableError
from tap_signalwire_logs.transport import CurlTransport, TransportFailure, decompress
from tests.support.doors import HOST, Proxy, Reply, Scripted, TlsDoor, answer, certified, scripted
from tests.support.run import config_for, run_tap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.simulator import Simulator

NOBODY = ("127.0.0.1", 9)


@pytest.fixture
def door(sim: Simulator, tmp_path: Path) -> Iterator[TlsDoor]:
    sim.links = "relative"
    host, port = sim.space.split(":")
    with TlsDoor((host, int(port)), tmp_path) as door:
        yield door


def test_a_space_is_reached_over_tls_through_a_proxy_that_the_environment_names(
    sim: Simulator, door: TlsDoor, tmp_path: Path
) -> None:
    with Proxy(door.address) as proxy:
        run = run_tap(
            tmp_path,
            {**config_for(sim, concurrency=8), "space": "example"},
            HTTPS_PROXY=proxy.url,
            REQUESTS_CA_BUNDLE=str(door.bundle),
        )
    assert run.code == 0, run.log
    assert run.by_id == sim.truth()
    assert {head.splitlines()[0] for head in proxy.heads} == {f"CONNECT {HOST}:443 HTTP/1.1"}
    # Who tunnels sees neither the Space's credentials nor anything that was asked.
    assert not any("\nauthorization" in head.lower() for head in proxy.heads)
    assert not any("/api/" in head for head in proxy.heads)
    # Connections are kept: hundreds of gets went through no more of them than may be in flight.
    assert door.opened <= 8


@pytest.mark.parametrize("name", ["https_proxy", "ALL_PROXY"])
def test_a_proxy_is_found_under_each_of_its_names(name: str, sim: Simulator, door: TlsDoor, tmp_path: Path) -> None:
    with Proxy(door.address) as proxy:
        config = {**config_for(sim, record_source="list"), "space": HOST}
        named: dict[str, Any] = {name: proxy.url.removeprefix("http://"), "REQUESTS_CA_BUNDLE": ""}
        named["CURL_CA_BUNDLE"] = str(door.bundle)
        run = run_tap(tmp_path, config, state=None, catalog=None, **named)
    assert run.code == 0, run.log
    assert run.by_id == sim.truth()


def test_a_proxy_that_refuses_is_said(sim: Simulator, door: TlsDoor, tmp_path: Path) -> None:
    with Proxy(door.address) as proxy:
        config = {**config_for(sim), "space": HOST}
        run = run_tap(tmp_path, config, HTTPS_PROXY=proxy.url.replace(Proxy.PASSWORD, "wrong"))
    assert run.code == 1
    assert "GET /api/messaging/logs: the proxy refused (407); check the user and password in HTTPS_PROXY" in run.log
    assert "0 retries" in run.log
    assert len(proxy.heads) == 1
    assert "wrong" not in run.log
    assert sim.requests == []


def test_a_certificate_that_is_not_trusted_ends_the_run_at_once(sim: Simulator, door: TlsDoor, tmp_path: Path) -> None:
    with Proxy(door.address) as proxy:
        run = run_tap(tmp_path, {**config_for(sim), "space": HOST}, HTTPS_PROXY=proxy.url)
    assert run.code == 1
    assert "TLS failed (the certificate is not trusted); check `space` and the CA bundle" in run.log
    assert "0 retries" in run.log
    assert sim.requests == []


def test_a_certificate_for_another_host_is_not_taken(sim: Simulator, door: TlsDoor, tmp_path: Path) -> None:
    with Proxy(door.address) as proxy:
        config = {**config_for(sim), "space": "other.signalwire.com"}
        run = run_tap(tmp_path, config, HTTPS_PROXY=proxy.url, REQUESTS_CA_BUNDLE=str(door.bundle))
    assert run.code == 1
    assert "TLS failed" in run.log
    assert sim.requests == []


def test_loopback_is_never_proxied(sim: Simulator, tmp_path: Path) -> None:
    with Proxy(NOBODY) as proxy:
        run = run_tap(tmp_path, config_for(sim), HTTPS_PROXY=proxy.url, HTTP_PROXY=proxy.url, ALL_PROXY=proxy.url)
    assert run.code == 0, run.log
    assert run.by_id == sim.truth()
    assert proxy.heads == []


def test_answers_may_be_compressed_and_a_broken_one_is_tried_again(sim: Simulator, tmp_path: Path) -> None:
    sim.compress = True
    sim.fault("status", status=200, headers={"Content-Encoding": "gzip"}, body=b"no gzip at all", after=3)
    run = run_tap(tmp_path, config_for(sim))
    assert run.code == 0, run.log
    assert run.by_id == sim.truth()
    assert "1 retries" in run.log
    assert all("gzip" in request.headers["accept-encoding"] for request in sim.requests)


# The client alone, on a loop of the test's own

BODY = json.dumps({"id": "x" * 500}).encode()
TRUTH = {"id": "x" * 500}


def client_of(origin: str, **settings: Any) -> Client:
    settings = {
        "scope": "Messaging",
        "concurrency": 8,
        "timeout": 5.0,
        "max_tries": 3,
        "user_agent": "test",
        **settings,
    }
    return Client(origin, "project", "PT-secret", **settings)


async def get(client: Client, target: str = "/api/messaging/logs/1", **details: Any) -> Any:
    return await client.get(target, decode=msgspec.json.decode, **details)


@pytest.mark.parametrize("is_page", [False, True], ids=["get", "page"])
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        pytest.param("gzip", gzip.compress(BODY), id="gzip"),
        pytest.param("GZIP", gzip.compress(BODY), id="gzip in capitals"),
        pytest.param("x-gzip", gzip.compress(BODY), id="x-gzip"),
        pytest.param("gzip", gzip.compress(BODY[:100]) + gzip.compress(BODY[100:]), id="two members"),
        pytest.param("gzip", gzip.compress(BODY) + bytes(512), id="padding of NULs"),
        pytest.param("gzip", gzip.compress(BODY) + b"garbage", id="garbage behind"),
        pytest.param("gzip", gzip.compress(BODY)[:-8], id="no checksum"),
        pytest.param("gzip", BODY, id="called gzip, and is none"),
        pytest.param("deflate", zlib.compress(BODY), id="deflate"),
        pytest.param("deflate", zlib.compress(BODY)[2:-4], id="raw deflate"),
        pytest.param("deflate, gzip", gzip.compress(zlib.compress(BODY)), id="both"),
        pytest.param("utf-8", BODY, id="utf-8"),
        pytest.param("identity", BODY, id="identity"),
        pytest.param("none", BODY, id="unknown"),
        pytest.param("", BODY, id="empty"),
    ],
)
def test_a_body_is_decompressed_as_leniently_as_requests_does(encoding: str, body: bytes, *, is_page: bool) -> None:
    async def main() -> None:
        reply = answer(200, body, Content_Encoding=encoding)
        async with scripted(lambda *_: reply) as server, client_of(server.origin) as client:
            assert await get(client, is_page=is_page) == TRUTH
            assert client.counts.retries == 0

    asyncio.run(main())


def test_a_compressed_body_that_was_cut_gives_what_it_has() -> None:
    body = gzip.compress(b"".join(b"%d " % number for number in range(10_000)))
    assert decompress(body[: len(body) // 2], "gzip").startswith(b"0 1 2 3 ")


@pytest.mark.parametrize("how", ["close", "abort"])
def test_a_body_may_end_with_its_connection_and_tls_without_a_goodbye(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, bundle = certified("127.0.0.1", tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    raw = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY

    async def main() -> None:
        reply = Reply(raw, close=how == "close", abort=how == "abort")
        async with scripted(lambda *_: reply, context) as server, client_of(server.origin) as client:
            assert await get(client) == TRUTH
            assert client.counts.retries == 0

    asyncio.run(main())


def test_connections_that_died_unseen_cost_one_timeout_and_no_request() -> None:
    """As after a machine's sleep: whoever uses an old connection hears nothing, new ones work."""

    async def main() -> None:
        state = {"asleep": False, "known": 0}

        def reply(_target: str, server: Scripted) -> Reply:
            if state["asleep"] and server.connection <= state["known"]:
                return Reply(hang=True)
            return Reply(answer(200, BODY).raw, after=0.01)

        async with scripted(reply) as server, client_of(server.origin, timeout=0.4) as client:
            await asyncio.gather(*[get(client) for _ in range(8)])
            state.update(asleep=True, known=server.connections)
            assert state["known"] == 8
            first = await get(client)
            assert first == TRUTH
            assert client.counts.retries == 1
            # The other seven are as old, and are not tried one by one.
            await asyncio.gather(*[get(client) for _ in range(30)])
            assert client.counts.retries == 1

    asyncio.run(main())


def test_without_epoll_the_loop_itself_watches_the_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll", raising=False)

    async def main() -> None:
        async with scripted(lambda *_: answer(200, BODY)) as server, client_of(server.origin) as client:
            assert await asyncio.gather(*[get(client) for _ in range(50)]) == [TRUTH] * 50

    asyncio.run(main())


def test_a_send_that_is_cancelled_leaves_the_others_alone() -> None:
    async def main() -> None:
        async with (
            scripted(lambda target, _: Reply(hang=True) if target == "/hang" else answer(200, BODY)) as server,
            CurlTransport(server.origin, "p", "t", connections=4, timeout=5, user_agent="x") as transport,
        ):
            hanging = [asyncio.ensure_future(transport.send("/hang")) for _ in range(4)]
            await asyncio.sleep(0.05)
            for one in hanging:
                one.cancel()
            done = await asyncio.gather(*(transport.send("/") for _ in range(20)), *hanging, return_exceptions=True)
            assert sum(isinstance(one, asyncio.CancelledError) for one in done) == 4
            assert [one.status for one in done[:20] if not isinstance(one, BaseException)] == [200] * 20

    asyncio.run(main())


def test_transfers_that_fail_together_leave_those_begun_after_them_alone() -> None:
    async def main() -> int:
        async with CurlTransport("http://127.0.0.1:9", "p", "t", connections=8, timeout=5, user_agent="x") as transport:

            async def again() -> int:
                failed = 0
                for _ in range(10):
                    with suppress(TransportFailure):
                        await transport.send("/")
                        continue
                    failed += 1
                return failed

            done = await asyncio.wait_for(asyncio.gather(*(again() for _ in range(20))), 20)
            return sum(done)

    assert asyncio.run(main()) == 200


# Proxies


def through(proxy_url: str, bundle: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Any:
    """Outcome of one get of the TLS host through a proxy."""
    monkeypatch.setenv("HTTPS_PROXY", proxy_url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    async def main() -> Any:
        async with client_of(f"https://{HOST}", **settings) as client:
            outcome = await asyncio.gather(get(client, "/api/messaging/logs/none"), return_exceptions=True)
            assert client.counts.retries == 0
            return outcome[0]

    return asyncio.run(main())


REACHED = "401"
"""The Space itself answers so: its credentials are not the test's."""


@pytest.mark.parametrize(
    ("password", "written"),
    [
        pytest.param("p@ss", "p@ss", id="@ as it is"),
        pytest.param("p@ss", "p%40ss", id="@ escaped"),
        pytest.param("a:b", "a:b", id="colon as it is"),
        pytest.param("a:b", "a%3Ab", id="colon escaped"),
        pytest.param("50%", "50%25", id="percent escaped"),
        pytest.param("a/b#c?", "a%2Fb%23c%3F", id="slash, hash and question mark escaped"),
        pytest.param("", "", id="empty"),
    ],
)
def test_the_password_of_a_proxy_may_hold_anything(
    password: str, written: str, door: TlsDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(door.address, password=password) as proxy:
        error = through(proxy.url_with(written), door.bundle, monkeypatch)
    assert f": {REACHED} " in str(error)


def test_a_proxy_that_is_spoken_to_over_tls_is_known_by_the_same_bundle(
    door: TlsDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = certified("127.0.0.1", tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(door.bundle.read_bytes() + authority.read_bytes())
    with Proxy(door.address, tls=context) as proxy:
        assert f": {REACHED} " in str(through(proxy.url, both, monkeypatch))
        assert "certificate is not trusted" in str(through(proxy.url, door.bundle, monkeypatch))


@pytest.mark.parametrize(
    ("status", "says"), [(407, "check the user and password in HTTPS_PROXY"), (403, "check HTTPS_PROXY")]
)
def test_a_proxy_that_refuses_is_asked_once(
    status: int, says: str, door: TlsDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(door.address, refusal=status) as proxy:
        error = through(proxy.url_with("wrong"), door.bundle, monkeypatch)
        assert len(proxy.heads) == 1
    assert isinstance(error, UnreachableError)
    assert f"the proxy refused ({status}); {says}" in str(error)
    assert "`space`" not in str(error)
    assert "wrong" not in str(error)
