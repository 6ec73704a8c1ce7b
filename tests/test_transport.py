"""TLS, proxies and kept connections, as users of requests know them: the command against doors into the Space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.doors import HOST, Proxy, TlsDoor
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
        named = {name: proxy.url.removeprefix("http://"), "REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": str(door.bundle)}
        run = run_tap(tmp_path, config, state=None, catalog=None, **named)
    assert run.code == 0, run.log
    assert run.by_id == sim.truth()


def test_a_proxy_that_refuses_is_said(sim: Simulator, door: TlsDoor, tmp_path: Path) -> None:
    with Proxy(door.address) as proxy:
        config = {**config_for(sim, backoff_max_tries=1), "space": HOST}
        run = run_tap(tmp_path, config, HTTPS_PROXY=proxy.url.replace(Proxy.PASSWORD, "wrong"))
    assert run.code == 1
    assert "GET /api/messaging/logs: the proxy refused (407), 1 tries" in run.log
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
