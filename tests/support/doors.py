"""Ways into a simulated Space: a TLS door with a certificate and a proxy that tunnels to it; and a scripted server."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import threading
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from typing_extensions import Self

HOST = "example.signalwire.com"


class Door:
    """Accepts connections on loopback and pipes each, after `_open`, to another address."""

    def __init__(self, onward: tuple[str, int]) -> None:
        self.onward = onward
        self.opened = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._server.getsockname()

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._pipe, args=(connection,), daemon=True).start()

    def _pipe(self, connection: socket.socket) -> None:
        with suppress(OSError), self._open(connection) as inside, socket.create_connection(self.onward) as outside:
            self.opened += 1
            back = threading.Thread(target=_copy, args=(outside, inside), daemon=True)
            back.start()
            _copy(inside, outside)
            back.join()

    def _open(self, connection: socket.socket) -> socket.socket:
        return connection


def certified(host: str, folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate for a host, and the bundle with the authority that issued it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    bundle = folder / f"authority-of-{host}.pem"
    authority.cert_pem.write_to_path(str(bundle))
    return context, bundle


def _over_tls(context: ssl.SSLContext, connection: socket.socket) -> ssl.SSLSocket:
    """A connection after its handshake, closed where that fails."""
    secured = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
    try:
        secured.do_handshake()
    except OSError:
        secured.close()
        raise
    return secured


class TlsDoor(Door):
    """Ends TLS for `HOST`, with a certificate of an authority of its own, whose bundle is at `bundle`."""

    def __init__(self, onward: tuple[str, int], folder: Path) -> None:
        super().__init__(onward)
        self._context, self.bundle = certified(HOST, folder)

    def _open(self, connection: socket.socket) -> socket.socket:
        return _over_tls(self._context, connection)


class Proxy(Door):
    """Tunnels every CONNECT that brings the credentials to one address; `heads` are the requests.

    With a `tls` context it is spoken to over TLS. `refusal` is the status for who brings other credentials.
    """

    USER = "someone"
    PASSWORD = "open-sesame"

    def __init__(
        self,
        onward: tuple[str, int],
        *,
        password: str = PASSWORD,
        tls: ssl.SSLContext | None = None,
        refusal: int = 407,
    ) -> None:
        super().__init__(onward)
        self.heads: list[str] = []
        self._password = password
        self._tls = tls
        self._refusal = refusal

    @property
    def url(self) -> str:
        return self.url_with(self._password)

    def url_with(self, password: str) -> str:
        """URL with a password as a user writes it."""
        return f"{'https' if self._tls else 'http'}://{self.USER}:{password}@127.0.0.1:{self.address[1]}"

    def _open(self, connection: socket.socket) -> socket.socket:
        if self._tls:
            connection = _over_tls(self._tls, connection)
        try:
            self._answer(connection)
        except OSError:
            connection.close()
            raise
        return connection

    def _answer(self, connection: socket.socket) -> None:
        """Read the request, and say that it is taken, or refuse it."""
        head = b""
        while b"\r\n\r\n" not in head:
            received = connection.recv(4_096)
            if not received:
                raise ConnectionAbortedError
            head += received
        self.heads.append(head.decode("latin-1"))
        wanted = base64.b64encode(f"{self.USER}:{self._password}".encode()).decode()
        if f"Proxy-Authorization: Basic {wanted}" not in self.heads[-1]:
            connection.sendall(b"HTTP/1.1 %d Refused\r\nContent-Length: 0\r\n\r\n" % self._refusal)
            raise ConnectionAbortedError
        connection.sendall(b"HTTP/1.1 200 Connection established\r\nX-Request-Id: of-the-proxy\r\n\r\n")


@dataclass
class Scripted:
    """A server that answers as a test says; `requests` are the targets, `connection` is the one in use, by number."""

    origin: str = ""
    requests: list[str] = field(default_factory=list)
    connections: int = 0
    connection: int = 0
    in_flight: int = 0
    max_in_flight: int = 0


@dataclass
class Reply:
    """Bytes of an answer, `after` seconds; then the connection is kept, closed, cut (`abort`), or silent (`hang`)."""

    raw: bytes = b""
    after: float = 0.0
    close: bool = False
    hang: bool = False
    abort: bool = False


def answer(status: int = 200, body: bytes = b'{"ok": true}', **headers: str) -> Reply:
    """A whole answer of HTTP/1.1; underscores of the headers' names are hyphens."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} Some\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    return Reply(head.encode("latin-1") + body)


@asynccontextmanager
async def scripted(
    reply: Callable[[str, Scripted], Reply], tls: ssl.SSLContext | None = None
) -> AsyncIterator[Scripted]:
    """Serve on loopback, in the running loop."""
    script = Scripted()
    tasks: set[asyncio.Task[None] | None] = set()
    transports: set[asyncio.Transport] = set()

    class Protocol(asyncio.StreamReaderProtocol):
        def __init__(self) -> None:
            super().__init__(asyncio.StreamReader(), serve)

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transports.add(transport)
            super().connection_made(transport)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        script.connections += 1
        number = script.connections
        try:
            while await turn(reader, writer, number):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # asyncio's own callback would raise a cancellation once more
        finally:
            writer.close()

    async def turn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        script.connection = number
        script.requests.append(head.split(b" ")[1].decode())
        script.in_flight += 1
        script.max_in_flight = max(script.max_in_flight, script.in_flight)
        made = reply(script.requests[-1], script)
        await asyncio.sleep(made.after)
        script.in_flight -= 1
        writer.write(made.raw)
        await writer.drain()
        if made.hang:
            await asyncio.Event().wait()
        if made.abort:
            await asyncio.sleep(0.05)
            writer.transport.abort()
        return not made.close and not made.abort

    server = await asyncio.get_running_loop().create_server(Protocol, "127.0.0.1", 0, ssl=tls)
    script.origin = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield script
    finally:
        await _close(server, tasks, transports)


async def _close(
    server: asyncio.Server, tasks: set[asyncio.Task[None] | None], transports: set[asyncio.Transport]
) -> None:
    loop = asyncio.get_running_loop()
    # asyncio breaks off where a server is closed while it accepts a connection.
    loop.remove_reader(server.sockets[0].fileno())
    await asyncio.sleep(0.01)
    server.close()
    running = [task for task in tasks if task and not task.done()]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    for transport in transports:
        transport.abort()
    await asyncio.sleep(0.01)  # their last callbacks


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65_536):
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
