"""Where requests go: origins compared, and this machine's own told from the others."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a host name (without a port) is this machine's own."""
    return host in {"localhost", "::1"} or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def same_origin(one: str, other: str) -> bool:
    """Whether two absolute URLs have the same scheme, host and effective port."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str | None, int | None] | None:
    parts = urlsplit(url)
    try:
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return parts.scheme, parts.hostname, port
