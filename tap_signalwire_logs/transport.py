"""HTTP to one origin through libcurl: many transfers at once on one thread, and no word on whether to try again.

TLS, proxies and CA bundles are as users of requests know them from its environment variables.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar
from urllib.parse import urlsplit

import pycurl
import requests

from tap_signalwire_logs.origin import is_loopback

Tag = TypeVar("Tag")
Body: TypeAlias = "bytearray | SpooledTemporaryFile[bytes]"

# `timeout` bounds the silence; an answer may take its time on a thin line, but not for ever.
WHOLE_TIMEOUT_FACTOR = 3
SMALL_BODY_BYTES = 1 << 16
BUFFER_BYTES = 1 << 16
MOST_BETWEEN_SWEEPS = 1.0
SWEEPS_PER_TIMEOUT = 8

NO_CONNECTION = "no connection within `request_timeout`"
NO_ANSWER = "no answer within `request_timeout`"

REASONS = {
    pycurl.E_COULDNT_RESOLVE_HOST: "the host name is not known",
    pycurl.E_COULDNT_RESOLVE_PROXY: "the proxy's host name is not known",
    pycurl.E_COULDNT_CONNECT: "connection refused",
    pycurl.E_OPERATION_TIMEDOUT: NO_CONNECTION,
    pycurl.E_GOT_NOTHING: "connection closed without an answer",
    pycurl.E_PARTIAL_FILE: "the answer was cut short",
    pycurl.E_SEND_ERROR: "connection reset",
    pycurl.E_RECV_ERROR: "connection reset",
    pycurl.E_SSL_CONNECT_ERROR: "the TLS handshake failed",
    pycurl.E_BAD_CONTENT_ENCODING: "the answer can't be decompressed",
    pycurl.E_UNSUPPORTED_PROTOCOL: "the answer is not HTTP",
}

TLS_REASONS = {
    pycurl.E_PEER_FAILED_VERIFICATION: "the certificate is not trusted",
    pycurl.E_SSL_CACERT_BADFILE: "the CA bundle can't be read",
    pycurl.E_SSL_CERTPROBLEM: "the certificate can't be used",
    pycurl.E_SSL_ISSUER_ERROR: "the certificate's issuer is not trusted",
}


class Answer(NamedTuple):
    """An HTTP answer; `lines` are those of its head."""

    status: int
    lines: list[bytes]
    held: Body

    def read(self) -> bytes | bytearray:
        """The whole body; it can be read once."""
        if isinstance(self.held, bytearray):
            return self.held
        with self.held as body:
            body.seek(0)
            return body.read()

    @property
    def is_good(self) -> bool:
        """Whether the status is 200."""
        return self.status == HTTPStatus.OK

    def header(self, name: str) -> str | None:
        """Value of a header, or None."""
        for line in reversed(self.lines):
            if line.startswith(b"HTTP/"):
                break  # what is before it is a proxy's answer, or an interim one
            found, _, value = line.decode("latin-1").partition(":")
            if found.lower() == name:
                return value.strip()
        return None


class Broken(NamedTuple):
    """No answer.

    `is_tls`: who is at the other end could not be made sure of. `disk`: the answer could not be kept.
    """

    reason: str
    is_tls: bool = False
    disk: OSError | None = None
    is_good: bool = False


@dataclass(slots=True)
class _Transfer(Generic[Tag]):
    tag: Tag
    lines: list[bytes]
    body: Body
    began: float
    moved: float
    size: tuple[int, int] = (0, 0)
    disk: OSError | None = None


class Wire(Generic[Tag]):
    """Connections to one origin, kept alive between transfers; for one thread.

    Args:
        origin: Scheme, host and port. Credentials go there alone, and redirects are not followed.
        project_id: Basic user.
        api_token: Basic password.
        connections: Connections that are kept.
        timeout: Seconds for connecting and of silence; an answer may take three times as long in all.
        user_agent: The User-Agent header.
    """

    def __init__(
        self, origin: str, project_id: str, api_token: str, *, connections: int, timeout: float, user_agent: str
    ) -> None:
        """Nothing is sent yet."""
        self._origin = origin
        self._timeout = timeout
        self._flying: dict[pycurl.Curl, _Transfer[Tag]] = {}
        self._idle: list[pycurl.Curl] = []
        self._next_sweep = 0.0
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)
        proxy, ca_bundle = _environment(origin)
        self._options: dict[int, object] = {
            pycurl.USERNAME: project_id.encode(),
            pycurl.PASSWORD: api_token.encode(),
            pycurl.HTTPAUTH: pycurl.HTTPAUTH_BASIC,
            pycurl.USERAGENT: user_agent,
            pycurl.HTTPHEADER: ["Accept: application/json"],
            pycurl.ACCEPT_ENCODING: "gzip, deflate",
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
            pycurl.PROXY: proxy,
            pycurl.NOPROXY: "",
            ca_bundle[0]: ca_bundle[1],
            pycurl.CONNECTTIMEOUT_MS: max(1, int(timeout * 1_000)),
            pycurl.BUFFERSIZE: BUFFER_BYTES,
            pycurl.NOSIGNAL: 1,
        }

    @property
    def in_flight(self) -> int:
        """Transfers that are begun and not finished."""
        return len(self._flying)

    def start(self, target: str, tag: Tag, *, is_large: bool) -> None:
        """Begin a GET of a path and query; `tag` names it when it is finished.

        A large body waits on disk: of many that come at once, no more than the one that is read is in memory.
        """
        curl = self._idle.pop() if self._idle else self._new()
        now = time.monotonic()
        body: Body = SpooledTemporaryFile(SMALL_BODY_BYTES) if is_large else bytearray()  # noqa: SIM115 - gone with the answer
        transfer = _Transfer(tag, [], body, now, now)
        curl.setopt(pycurl.URL, self._origin + target)
        curl.setopt(pycurl.HEADERFUNCTION, transfer.lines.append)
        curl.setopt(
            pycurl.WRITEFUNCTION, body.extend if isinstance(body, bytearray) else partial(_keep, transfer, body)
        )
        self._flying[curl] = transfer
        self._multi.add_handle(curl)

    def finished(self) -> list[tuple[Tag, Answer | Broken]]:
        """Move bytes as far as they go without waiting; what came to its end by that."""
        self._multi.perform()
        finished: list[tuple[Tag, Answer | Broken]] = []
        more = 1
        while more:
            more, whole, broken = self._multi.info_read()
            for curl in whole:
                status = curl.getinfo(pycurl.RESPONSE_CODE)
                transfer = self._take(curl)
                finished.append((transfer.tag, Answer(status, transfer.lines, transfer.body)))
            for curl, code, _ in broken:
                proxy_status = curl.getinfo(pycurl.HTTP_CONNECTCODE)
                disk = self._flying[curl].disk
                outcome = Broken("no room", disk=disk) if disk else _broken(code, proxy_status)
                finished.append((self._drop(curl), outcome))
        if (now := time.monotonic()) >= self._next_sweep:
            finished += self._silent(now)
        return finished

    def wait(self, seconds: float) -> None:
        """Wait until bytes can move, at most so long."""
        if self._multi.select(seconds) < 0:
            # No socket to wait for yet: a name is being looked up.
            time.sleep(min(seconds, 0.005))

    def close(self) -> list[Tag]:
        """Close every connection; the tags of what was still in flight."""
        broken_off = [self._drop(curl) for curl in list(self._flying)]
        for curl in self._idle:
            curl.close()
        self._multi.close()
        return broken_off

    def _new(self) -> pycurl.Curl:
        curl = pycurl.Curl()
        for option, value in self._options.items():
            curl.setopt(option, value)
        return curl

    def _take(self, curl: pycurl.Curl) -> _Transfer[Tag]:
        self._multi.remove_handle(curl)
        self._idle.append(curl)
        return self._flying.pop(curl)

    def _drop(self, curl: pycurl.Curl) -> Tag:
        transfer = self._take(curl)
        if not isinstance(transfer.body, bytearray):
            with suppress(OSError):  # what could not be written before can't be now
                transfer.body.close()
        return transfer.tag

    def _silent(self, now: float) -> list[tuple[Tag, Answer | Broken]]:
        """Break off transfers that say nothing any more, or never come to an end."""
        self._next_sweep = now + min(MOST_BETWEEN_SWEEPS, self._timeout / SWEEPS_PER_TIMEOUT)
        broken_off: list[tuple[Tag, Answer | Broken]] = []
        for curl, transfer in list(self._flying.items()):
            body = transfer.body
            size = (len(transfer.lines), len(body) if isinstance(body, bytearray) else body.tell())
            if size != transfer.size:
                transfer.size, transfer.moved = size, now
            reason = None
            if now - transfer.moved > self._timeout:
                reason = NO_ANSWER
            elif now - transfer.began > self._timeout * WHOLE_TIMEOUT_FACTOR:
                reason = f"the answer took longer than {self._timeout * WHOLE_TIMEOUT_FACTOR:g} s"
            if reason:
                broken_off.append((self._drop(curl), Broken(reason)))
        return broken_off


def _keep(transfer: _Transfer[Any], body: SpooledTemporaryFile[bytes], chunk: bytes) -> int:
    """Take a part of a large body; another number than its length ends the transfer."""
    try:
        return body.write(chunk)
    except OSError as error:
        transfer.disk = error
        return -1


def _environment(origin: str) -> tuple[str, tuple[int, str]]:
    """Proxy (empty for none) and CA bundle (its option and its path) for an origin, as requests finds them."""
    settings = requests.Session().merge_environment_settings(origin, {}, False, None, None)
    proxy = requests.utils.select_proxy(origin, settings["proxies"])
    if is_loopback(urlsplit(origin).hostname or ""):
        proxy = None
    bundle = settings["verify"]
    if not isinstance(bundle, str):
        bundle = requests.utils.DEFAULT_CA_BUNDLE_PATH
    is_folder = Path(bundle).is_dir()
    return (
        f"http://{proxy}" if proxy and "://" not in proxy else proxy or "",
        (pycurl.CAPATH if is_folder else pycurl.CAINFO, bundle),
    )


def _broken(code: int, proxy_status: int) -> Broken:
    if proxy_status >= HTTPStatus.BAD_REQUEST:
        return Broken(f"the proxy refused ({proxy_status})")
    if code in TLS_REASONS:
        return Broken(TLS_REASONS[code], is_tls=True)
    return Broken(REASONS.get(code, f"the connection failed (curl {code})"))
