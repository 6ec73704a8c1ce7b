"""Faults that a test scripts: what goes wrong, with which requests, how often."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Fault:
    """One thing that goes wrong.

    Kinds: status, empty, html, cut, truncated_json, reset, reset_mid_body, hang, drip, redirect, rewrite.

    Args:
        kind: What goes wrong.
        path: Regular expression that the whole target (path and query) is searched with.
        shows: Regular expression that the true answer's body is searched with; only those that match are hit.
        times: How many of the requests it hits; None for all of them.
        after: How many of the matching requests are spared first.
        status, headers, body: The answer of `status`.
        seconds: How long `hang` takes, or `drip` between bytes.
        location: Where `redirect` points.
        rewrite: Makes another body (an object, or bytes) of the decoded true one.
    """

    kind: str
    path: str = "."
    shows: bytes = b""
    times: int | None = 1
    after: int = 0
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"error":"Service Unavailable"}'
    seconds: float = 30.0
    location: str = ""
    rewrite: Callable[[Any], Any] | None = None
    hits: int = 0

    def strikes(self, target: str, body: bytes = b"") -> bool:
        """Whether it hits this request; it is counted."""
        if (self.times is not None and self.hits >= self.times) or not re.search(self.path, target):
            return False
        if self.shows and not re.search(self.shows, body):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.hits += 1
        return True
