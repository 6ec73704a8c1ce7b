"""What can go wrong with a request, by what is to be done about it."""

from __future__ import annotations

from singer_sdk.exceptions import FatalAPIError, RetriableAPIError, SkippableAPIError


class FatalError(FatalAPIError):
    """The run can't go on: the same request would fail again."""


class UnauthorizedError(FatalError):
    """401 or 403: the credentials or their scope."""


class MissingError(SkippableAPIError):
    """404, or 422 for what the Space no longer keeps: this one thing is not there.

    `history_limit` is the service's own sentence on the kept history (it alone holds the date), or None for a 404.
    """

    def __init__(self, message: str, history_limit: str | None = None) -> None:
        """Keep the message, and the sentence that names the limit."""
        super().__init__(message)
        self.history_limit = history_limit


class ExhaustedError(RetriableAPIError):
    """Every try failed for a reason that passes: the network, 429, 5xx, or an answer that was none."""

    def __init__(self, message: str, status: int | None = None) -> None:
        """Keep the message, and the status of the last try (None where no answer came)."""
        super().__init__(message)
        self.status = status


class NoAnswerError(ValueError):
    """A body that is none of what was asked for, said in a few words; the request is tried again."""


class Stopped(Exception):  # noqa: N818 - no error: somebody asked the run to end
    """The run was asked to stop while it waited."""
