"""The tap: its settings, its streams, and how a run begins and ends."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import ConfigurationError, ConfigValidationError

from tap_signalwire_logs import redact
from tap_signalwire_logs.errors import TapError
from tap_signalwire_logs.inputs import read_catalog, read_state, unwrap_state
from tap_signalwire_logs.settings import CONFIG_JSONSCHEMA, Settings, from_environment
from tap_signalwire_logs.singer import DISK_FULL, ConfigInput, SingerTap, log_failure
from tap_signalwire_logs.streams import STREAMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType
    from typing import IO

    from singer_sdk import Stream

    from tap_signalwire_logs.log_stream import LogStream

GRACE_SECONDS = 4.0
"""Time from a signal to the end of the process where a stuck pipe or disk keeps it from ending by itself."""

REPEATED_SECONDS = 1.0
"""A signal that comes again within this time is the same one, forwarded by an orchestrator."""

TARGET_GONE = 1

NO_OUTPUT = DISK_FULL | {errno.EBADF, errno.EIO, errno.EPIPE}
"""What no other stream could be written with either."""

GARBAGE_THRESHOLD = 20_000
"""Objects made and not freed, after which the garbage collector looks for circles among them."""


class StreamsFailedError(TapError):
    """Some of the selected streams failed; the others are complete."""


class TapSignalWireLogs(SingerTap):
    """Extracts the message logs of a SignalWire Space: delivery, charges and errors, kept true as they change."""

    name = "tap-signalwire-logs"
    config_jsonschema = CONFIG_JSONSCHEMA

    settings: Settings
    """The checked settings."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Check the settings; nothing is asked of the Space."""
        self.began = datetime.now(timezone.utc)
        self.stop = threading.Event()
        self.exit_code = 0
        self._signal: tuple[int, float] | None = None
        super().__init__(*args, **kwargs)
        if self.writer:
            self.writer.on_target_gone = self._end_for_target

    def discover_streams(self) -> Sequence[LogStream]:
        """Every family of logs; no request is needed to know them."""
        return [stream(self) for stream in STREAMS]

    def load_state(self, state: dict[str, Any]) -> None:
        """Take a state that was checked, or unwrapped where it is plain what it is."""
        super().load_state(unwrap_state(state))

    def sync_all(self) -> None:  # type: ignore[misc]  # the SDK's ends with the first stream that fails
        """Sync each selected stream; one that fails keeps no other from running.

        Raises:
            StreamsFailedError: Some failed; what each failed of was logged.
            OSError: Nothing can be written any more.
        """
        failed: list[str] = []
        try:
            if self.state:
                self.state_writer.write_state(self.state)
            for stream in self._until_stopped():
                try:
                    stream.sync()
                except Exception as error:
                    if isinstance(error, OSError) and error.errno in NO_OUTPUT:
                        raise
                    failed.append(stream.name)
                    if self.exit_code != TARGET_GONE:
                        log_failure(self.logger, error, stream.name)
        finally:
            self._close()
        if self._signal:
            self.logger.info("Stopped by %s", signal.Signals(self._signal[0]).name)
        elif failed and not self.exit_code:
            message = f"{len(failed)} of {len(self.selected_streams)} streams failed: {', '.join(failed)}"
            raise StreamsFailedError(message)

    def _until_stopped(self) -> Iterator[Stream]:
        for stream in self.selected_streams:
            if self.stop.is_set():
                return
            yield stream

    def _close(self) -> None:
        """Leave no timer."""
        if self._signal:
            signal.setitimer(signal.ITIMER_REAL, 0)

    @classmethod
    def invoke(  # type: ignore[override]  # as in the SDK: each plugin has options of its own
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: ConfigInput | None = None,
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
        test: str = "disabled",
    ) -> None:
        """Run the command; the exit code is 0 only where all that was asked for came out."""
        if about:
            cls.print_about(about_format)
            return
        config = config or ConfigInput()
        try:
            tap = cls(
                config=config.config,
                state=None if state is None else read_state(state, cls.logger),
                catalog=None if catalog is None else read_catalog(catalog),
                parse_env_config=config.parse_env,
            )
        except ConfigValidationError as error:
            # The SDK's command adds a line of its own to this class of errors.
            raise ConfigurationError(str(error)) from None
        if test == "schema":
            tap.write_schemas()
            return
        if test != "disabled":
            for stream in tap.selected_streams:
                stream.ABORT_AT_RECORD_COUNT = 1
        # What is loaded by now stays, and records hold no circles: the garbage collector has little to look for.
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD, *gc.get_threshold()[1:])
        tap.sync_all()
        if tap.exit_code:
            sys.exit(tap.exit_code)

    @classmethod
    def parse_environment(cls, texts: Mapping[str, str]) -> dict[str, Any]:
        """Settings from the texts of environment variables."""
        return from_environment(texts)

    def check_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Check the settings with messages that say what would be right, and repeat no value."""
        try:
            self.settings = Settings.from_config(config)
        except ValueError as error:
            summary = f"Invalid settings:\n{error}"
            raise ConfigValidationError(summary, errors=[summary]) from None
        credentials = f"{self.settings.project_id}:{self.settings.api_token}"
        redact.install([self.settings.api_token, credentials])
        return dict(self.settings.builtin)

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler is given both
        """End the run at the next safe point: a line half written is worth nothing."""
        now = time.monotonic()
        if self._signal:
            first, at = self._signal
            if signum == first and now - at < REPEATED_SECONDS:
                return
            os._exit(128 + signum)
        self._signal = (signum, now)
        self.exit_code = 128 + signum
        self.stop.set()
        # No thread: one that the main thread is just starting holds the lock that another would wait for.
        signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + signum))
        signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)

    def _end_for_target(self) -> None:
        if self._signal:  # Ctrl-C reaches the target too.
            return
        self.logger.info("The target closed the pipe: ending")
        self.exit_code = TARGET_GONE
        self.stop.set()
