"""Ways into a simulated Space for tests: a TLS door with a certificate, and a proxy that tunnels to it."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
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


class TlsDoor(Door):
    """Ends TLS for `HOST`, with a certificate of an authority of its own, whose bundle is at `bundle`."""

    def __init__(self, onward: tuple[str, int], folder: Path) -> None:
        super().__init__(onward)
        authority = trustme.CA()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(HOST).configure_cert(self._context)
        self.bundle = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.bundle))

    def _open(self, connection: socket.socket) -> socket.socket:
        return self._context.wrap_socket(connection, server_side=True)


class Proxy(Door):
    """Tunnels every CONNECT that brings the credentials to one address; `heads` are the requests."""

    USER = "someone"
    PASSWORD = "open-sesame"

    def __init__(self, onward: tuple[str, int]) -> None:
        super().__init__(onward)
        self.heads: list[str] = []

    @property
    def url(self) -> str:
        return f"http://{self.USER}:{self.PASSWORD}@127.0.0.1:{self.address[1]}"

    def _open(self, connection: socket.socket) -> socket.socket:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4_096)
        self.heads.append(head.decode("latin-1"))
        wanted = base64.b64encode(f"{self.USER}:{self.PASSWORD}".encode()).decode()
        if f"Proxy-Authorization: Basic {wanted}" not in self.heads[-1]:
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            connection.close()
            raise ConnectionAbortedError
        connection.sendall(b"HTTP/1.1 200 Connection established\r\nX-Request-Id: of-the-proxy\r\n\r\n")
        return connection


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65_536):
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
