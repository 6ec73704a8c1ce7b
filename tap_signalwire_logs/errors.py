"""What can go wrong, ordered by how a run recovers from it.

TapError
├── FatalError                  ends its stream: every other request of the stream would meet it too
│   ├── UnauthorizedError         401 or 403: the credentials, or their scope
│   ├── UnreachableError          unknown host, TLS, a proxy that refuses, a redirect
│   └── OutageError               request after request used up its tries, and none was answered between
├── RequestError                ends one request; the stream goes on without its answer
│   ├── NotFoundError             404 or 410, in the service's own words
│   ├── HistoryLimitError         422: older than the Space's log retention
│   ├── RejectedError             another refusal, which no other try would change
│   └── RetriesExhaustedError     every try failed for a reason that passes
├── PaginationError             a list whose links lead nowhere: a loop, or another host
├── IncompleteError             the end of a stream that could not bring all that was asked for
└── MissingLogsError            the same, where what is missing does not exist and `on_missing` is `fail`
InvalidResponseError          a body that is not what was asked for; the client tries again
Cancelled                     the run was asked to stop while it waited
"""

from __future__ import annotations


class TapError(Exception):
    """An error whose message says what happened, where, and what to do."""


class FatalError(TapError):
    """The stream can't go on: each of its other requests would fail in the same way."""


class UnauthorizedError(FatalError):
    """401 or 403: the credentials or their scope."""


class UnreachableError(FatalError):
    """No request reaches the Space: unknown host, untrusted certificate, a proxy that refuses, a redirect."""


class OutageError(FatalError):
    """Many requests in a row used up their tries, and none was answered between."""


class RequestError(TapError):
    """One request that can't be had, while others can.

    Args:
        message: What happened and what to do.
        status: HTTP status of the last answer; None where none came.
        codes: The `code` of each entry of the answer's `errors`.
    """

    def __init__(self, message: str, status: int | None = None, codes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.codes = codes


class NotFoundError(RequestError):
    """404 or 410, and the body is the service's own: what was asked for does not exist."""


class HistoryLimitError(RequestError):
    """422 `exceeds_history_logs_limit`: older than the logs that the Space keeps.

    Args:
        message: What happened and what to do.
        limit: The service's own sentence, which alone holds the date.
    """

    def __init__(self, message: str, limit: str) -> None:
        super().__init__(message, 422, ("exceeds_history_logs_limit",))
        self.limit = limit


class RejectedError(RequestError):
    """A refusal such as 400 or 422: the same request would be refused again."""


class RetriesExhaustedError(RequestError):
    """Every try failed for a reason that passes: the network, 429, 5xx, or a body that was no answer."""


class PaginationError(TapError):
    """A list can't be walked to its end: its links repeat, or lead to another host."""


class IncompleteError(TapError):
    """The stream ended, but not everything that was asked for came."""


class MissingLogsError(TapError):
    """Logs do not exist, and `on_missing` is `fail`; all others came."""


class InvalidResponseError(ValueError):
    """A body that is not what was asked for, said in a few words; the request is tried again."""


class Cancelled(Exception):  # noqa: N818 - no error: somebody asked the run to end
    """The run was asked to stop while it waited."""
