"""The tap: its settings, its streams, and how a run begins and ends."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Tap
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.exceptions import ConfigurationError, ConfigValidationError
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers._util import load_json
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.plugin_base import _ConfigInput

from tap_signalwire_logs.command import Command, Writer
from tap_signalwire_logs.settings import CONFIG_JSONSCHEMA, Settings
from tap_signalwire_logs.streams import STREAMS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType
    from typing import IO

    import click

    from tap_signalwire_logs.client import Client
    from tap_signalwire_logs.log_stream import LogStream

GRACE_SECONDS = 4.0
"""Time from SIGTERM to the end of the process where a stuck pipe or disk keeps it from ending by itself."""

TARGET_GONE = 1

GARBAGE_THRESHOLD = 20_000
"""Objects made and not freed, after which the garbage collector looks for circles among them."""

INTEGER_SETTINGS = [name for name, schema in CONFIG_JSONSCHEMA["properties"].items() if "integer" in schema["type"]]


class TapSignalWireLogs(Tap):
    """Extracts the message logs of a SignalWire Space: delivery, charges and errors, kept true as they change."""

    name = "tap-signalwire-logs"
    config_jsonschema = CONFIG_JSONSCHEMA
    message_writer_class = Writer
    capabilities: ClassVar[list[Any]] = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        TapCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    settings: Settings
    """The checked settings."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Check the settings; nothing is asked of the Space."""
        self.began = datetime.now(timezone.utc)
        self.stop = threading.Event()
        self.exit_code = 0
        super().__init__(*args, **kwargs)
        if self.writer:
            self.writer.on_target_gone = self._end_for_target

    @cached_property
    def client(self) -> Client:
        """The Space, shared by all streams; made when the first of them begins."""
        from tap_signalwire_logs.client import Client  # noqa: PLC0415 - not needed to say what the tap can do

        settings = self.settings
        return Client(
            settings.origin,
            settings.project_id,
            settings.api_token,
            concurrency=settings.concurrency,
            timeout=settings.request_timeout,
            max_tries=settings.backoff_max_tries,
            user_agent=settings.user_agent,
            stop=self.stop,
        )

    @property
    def writer(self) -> Writer | None:
        """The writer of Singer messages, unless the SDK was given another."""
        return self.message_writer if isinstance(self.message_writer, Writer) else None

    def discover_streams(self) -> Sequence[LogStream]:
        """Every family of logs; no request is needed to know them."""
        return [stream(self) for stream in STREAMS]

    @classmethod
    def invoke(  # type: ignore[override]  # as in the SDK: each plugin has options of its own
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
    ) -> None:
        """Run the command; the exit code is 0 only where all that was asked for came out."""
        if about:
            cls.print_about(about_format)
            return
        config = config or _ConfigInput()
        tap = cls(
            config=config.config,
            state=None if state is None else _read_object(state, "--state", "bookmarks", dict),
            catalog=None if catalog is None else _read_object(catalog, "--catalog", "streams", list),
            parse_env_config=config.parse_env,
        )

        # What is loaded by now stays, and records hold no circles: the garbage collector has little to look for.
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD, *gc.get_threshold()[1:])
        try:
            tap.sync_all()
        finally:
            if "client" in tap.__dict__:
                tap.client.close()
        if tap.exit_code:
            sys.exit(tap.exit_code)

    @classmethod
    def cb_config(
        cls: type[TapSignalWireLogs], ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> _ConfigInput:
        """Read the files of --config."""
        try:
            return super().cb_config(ctx, param, value)
        except (TypeError, ValueError) as error:
            message = f"A file of --config is no JSON object of settings: {error}"
            raise ConfigurationError(message) from None

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Command that ends with one line where a run fails."""
        return Command.of(super().get_singer_command(), cls.logger)

    @classproperty
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805 - a property of the class
        """Settings from the environment, whole numbers left as text: a bad one would be a traceback in the SDK."""
        schema = {"properties": {name: {"type": "string"} for name in INTEGER_SETTINGS}}
        cls.append_builtin_config(schema)
        schema["properties"] = {**CONFIG_JSONSCHEMA["properties"], **schema["properties"]}
        return parse_environment_config(schema, cls._env_var_prefix)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings with messages that say what would be right, and repeat no value."""
        self.append_builtin_config(self.config_jsonschema)
        try:
            self.settings = Settings.from_config(self.config)
        except ValueError as error:
            summary = f"These settings can't be right:\n{error}"
            if raise_errors:
                raise ConfigValidationError(summary, errors=[summary]) from None
            return [summary]
        return []

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler is given both
        """End the run at the next safe point: a line half written is worth nothing."""
        self.exit_code = 128 + signum
        if self.stop.is_set():
            os._exit(self.exit_code)
        self.stop.set()
        self.logger.info("Ending after %s", signal.Signals(signum).name)
        timer = threading.Timer(GRACE_SECONDS, os._exit, (self.exit_code,))
        timer.daemon = True
        timer.start()

    def _end_for_target(self) -> None:
        self.logger.info("The target closed the pipe: ending")
        self.exit_code = TARGET_GONE
        self.stop.set()


def _read_object(file: IO[str], option: str, part: str, kind: type[dict[str, Any] | list[Any]]) -> dict[str, Any]:
    """JSON object of a file on the command line, whose `part`, of a kind, is again made of objects."""
    try:
        content = load_json(file.read())
    except ValueError as error:
        message = f"The file of {option} is no JSON: {error}"
        raise ConfigurationError(message) from None
    parts = content.get(part, kind()) if isinstance(content, dict) else None
    inner = parts.values() if isinstance(parts, dict) else parts
    if not isinstance(parts, kind) or not all(isinstance(one, dict) for one in inner):
        message = f"The file of {option} holds no object with `{part}`; is it another file?"
        raise ConfigurationError(message)
    return content
