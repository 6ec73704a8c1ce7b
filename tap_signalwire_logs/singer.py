"""Everything that the tap takes from singer-sdk beyond its public classes: an upgrade of the SDK touches this module.

`tests/test_singer.py` lists the private names in use. It runs on singer-sdk 0.54.9 and on 0.55. What the SDK
imports and a run does not need is named in `cli`, which comes before the SDK's import.
"""

from __future__ import annotations

import copy
import errno
import json
import logging
import os
import select
import sys
from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import GeneratorType
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import json as msgspec_json
from singer_sdk import Stream, Tap
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.exceptions import ConfigurationError, SingerSDKError
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.plugin_base import PluginBase, SingerCommand
from singer_sdk.singerlib import Catalog, CatalogEntry
from singer_sdk.singerlib.messages import RecordMessage

from tap_signalwire_logs.errors import TapError
from tap_signalwire_logs.exact_json import decode_json

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    import click
    from singer_sdk.helpers.types import Context
    from singer_sdk.mapper import StreamMap
    from singer_sdk.singerlib.encoding.simple import Message

    Record = dict[str, Any]

MAX_HELD_BYTES = 1 << 16

ANNOTATIONS = frozenset({"title", "description", "format", "examples", "default", "selected", "inclusion"})
"""Keywords of a schema that change nothing in what the SDK makes of a record."""


class StreamMapError(TapError):
    """An expression of a stream map raised."""


class SingerWriter(MsgSpecWriter):
    """Writes Singer messages to stdout, the digits of decimals kept, until the target closes the pipe.

    Records are held back until they are many, another message follows, or `flush` is called.
    """

    def __init__(self) -> None:
        super().__init__()
        self.on_target_gone: Callable[[], None] | None = None
        self.is_target_gone = False
        self._held: list[bytes | memoryview] = []
        self._held_bytes = 0

    def write_record_json(self, stream: str, record: bytes, version: int | None) -> None:
        """Write a RECORD message around a record's JSON, extracted now."""
        self.write_records_json(stream, [record], version)

    def write_records_json(self, stream: str, records: Sequence[bytes], version: int | None) -> None:
        """Write a RECORD message around the JSON of each record, all extracted now."""
        if not records:
            return
        begin = b'{"type":"RECORD","stream":%b,"record":' % msgspec_json.encode(stream)
        now = datetime.now(timezone.utc).isoformat().encode()
        of_version = b"" if version is None else b',"version":%d' % version
        end = b'%b,"time_extracted":"%b"}\n' % (of_version, now)
        between = end + begin
        lines = between.join((b"", *records, b""))
        # A message is one line. In JSON, a line break is never a part of a text.
        if b"\r" in lines or lines.count(b"\n") != len(records) + 1:
            flat = (record.replace(b"\r", b" ").replace(b"\n", b" ") for record in records)
            lines = between.join((b"", *flat, b""))
        self._hold(memoryview(lines)[len(end) : -len(begin)])

    def write_message(self, message: Message) -> None:
        """Write a message of any kind."""
        self._hold(bytes(self.format_message(message)))  # The buffer that it comes in is used again.
        if not isinstance(message, RecordMessage):
            self.flush()

    def flush(self) -> None:
        """Write what is held back; nothing any more once nobody reads.

        Raises:
            OSError: The disk is full, or there is no output.
        """
        held, self._held, self._held_bytes = self._held, [], 0
        if not held or self.is_target_gone:
            return
        try:
            _write_to_stdout(held[0] if len(held) == 1 else b"".join(held))
        except BrokenPipeError:
            self._note_target_gone()

    def _hold(self, lines: bytes | memoryview) -> None:
        self._held.append(lines)
        self._held_bytes += len(lines)
        if self._held_bytes >= MAX_HELD_BYTES:
            self.flush()

    def check_target(self) -> None:
        """Notice that the target closed the pipe, though there is nothing to write."""
        try:
            number = sys.stdout.fileno()
        except (AttributeError, OSError):
            return
        if not self.is_target_gone:
            poll = select.poll()
            poll.register(number, 0)
            if any(event & select.POLLERR for _, event in poll.poll(0)):
                self._note_target_gone()

    def _note_target_gone(self) -> None:
        self.is_target_gone = True
        # What Python's own buffer holds would raise once more when the interpreter closes stdout.
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)
        if self.on_target_gone:
            self.on_target_gone()


def _write_to_stdout(data: bytes | memoryview) -> None:
    """Write all of it. Python's own buffer loses the rest of a write that a signal interrupts on a full pipe."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "stdout is closed")
    sys.stdout.flush()
    try:
        number = sys.stdout.fileno()
    except OSError:  # Something in this process took its place.
        buffer = getattr(sys.stdout, "buffer", None)
        if buffer is None:
            sys.stdout.write(bytes(data).decode())
        else:
            buffer.write(data)
        sys.stdout.flush()
        return
    with memoryview(data) as left:
        done = 0
        while done < len(left):
            try:
                done += os.write(number, left[done:])
            except BlockingIOError:  # Who shares the pipe made it one that does not block.
                select.select([], [number], [])


class SingerStream(Stream):
    """A stream whose records come in batches of JSON, and that keeps its own bookmark.

    A record's bytes are written as they are where nothing alters records; elsewhere the SDK selects, maps and flattens.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.written = 0
        """RECORD messages that were written."""

    @abstractmethod
    def extract(self) -> Iterator[list[bytes]]:
        """Yield batches of records as JSON, in order; what follows a yield runs when the batch has been written."""

    def get_records(self, context: Context | None) -> Iterator[Record]:  # noqa: ARG002 - there are no partitions
        """Yield every record, numbers exact, for users of the SDK in this process."""
        for batch in self.extract():
            yield from map(decode_json, batch)

    def write_state(self) -> None:
        """Write a STATE message of the present state, unless it is the one that was written last."""
        _ = self.stream_state  # A STATE has an entry of each stream that ran.
        self._tap.state_writer.write_state(self.tap_state)

    def flush(self) -> None:
        """Write the records that are held back, and notice a target that is gone; to be called before each wait."""
        if self._singer_writer:
            self._singer_writer.flush()
            self._singer_writer.check_target()

    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        """Log a message of the SDK's, but for what the tap says itself."""
        if message.startswith("An unhandled error occurred"):
            return
        if message.startswith("Beginning sync") and is_terminal():
            level = logging.DEBUG
        super().log(message, *args, level=level, **kwargs)

    def get_batch_config(self, config: Mapping[str, Any]) -> None:  # noqa: ARG002 - as the SDK calls it
        """No BATCH messages: a STATE could come before the file that holds its records."""
        return

    def get_replication_key_signpost(self, context: Context | None = None) -> None:  # noqa: ARG002 - as the SDK calls it
        """No signpost is kept in the state: the bookmark is the stream's own."""
        return

    @property
    def stream_maps(self) -> list[StreamMap]:
        """Stream maps; those of a stream that was selected after the tap was made are made now."""
        if self.name not in self._tap.mapper.stream_maps:
            entry = self._singer_catalog_entry
            entry.schema = type(entry.schema).from_dict(self.effective_schema)
            _register_maps(self._tap, entry)
        return super().stream_maps

    def _sync_records(
        self,
        context: Context | None = None,  # noqa: ARG002 - there are no partitions
        *,
        write_messages: bool = True,
    ) -> Generator[Record, Any, Any]:
        """Write every record, then the state. The SDK's own loop moves a bookmark with each record."""
        try:
            with self.get_record_counter() as counter, self.get_sync_timer():
                for number in self._written_batches(write_messages=write_messages and self.selected):
                    self.written += number
                    counter.increment(number)
        except OSError:
            raise  # Nothing more can be written.
        except Exception:
            self.write_state()
            raise
        self.write_state()
        yield from ()

    def _written_batches(self, *, write_messages: bool) -> Iterator[int]:
        """Write the batches, no more records than a connection test asks for; gives the number written of each."""
        left = self.ABORT_AT_RECORD_COUNT
        alias = self._alias_of_unaltered_records()
        batches = self.extract()
        try:
            for batch in batches:
                part = batch[:left]
                try:
                    yield self._write_batch(part, alias) if write_messages else 0
                except Exception as error:
                    if isinstance(batches, GeneratorType):
                        batches.throw(error)  # The stream ends as one that failed, and cleans up.
                    raise
                left = None if left is None else left - len(part)
                if left == 0 or self._is_target_gone:
                    return
        finally:
            if isinstance(batches, GeneratorType):
                batches.close()

    @property
    def _is_target_gone(self) -> bool:
        return self._singer_writer is not None and self._singer_writer.is_target_gone

    def _write_batch(self, batch: list[bytes], alias: str | None) -> int:
        """Write a batch; gives the number of RECORD messages, which filters and copies change."""
        if alias and self._singer_writer:
            self._singer_writer.write_records_json(alias, batch, self._stream_version)
            return len(batch)
        number = 0
        for record in batch:
            for message in self._messages(decode_json(record)):
                self._tap.write_message(message)
                number += 1
        return number

    def _messages(self, record: Record) -> Iterator[RecordMessage]:
        try:
            yield from self._generate_record_messages(record)
        except Exception as error:  # noqa: BLE001 - an expression can raise anything
            raise StreamMapError(_map_failure(self.name, error)) from None

    def _alias_of_unaltered_records(self) -> str | None:
        """Name to write records under as they are; None where a catalog, a map or flattening alters them."""
        maps = self.stream_maps
        is_plain = len(maps) == 1 and type(maps[0]) is SameRecordTransform and not maps[0].flattening_enabled
        if not is_plain or not all(self.mask.values()):
            return None
        return maps[0].stream_alias if self._is_catalog_ours() else None

    def _is_catalog_ours(self) -> bool:
        ours, theirs = self.schema, self.effective_schema
        return theirs is ours or _shape(theirs) == _shape(ours)

    @property
    def _singer_writer(self) -> SingerWriter | None:
        """The writer of Singer messages, unless the SDK was given another."""
        writer = self._tap.message_writer
        return writer if isinstance(writer, SingerWriter) else None


def _shape(schema: Any) -> Any:
    """What of a schema decides what the SDK makes of a record."""
    if isinstance(schema, list):
        return [_shape(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    shape = {name: _shape(inner) for name, inner in schema.items() if name not in ANNOTATIONS}
    if isinstance(schema.get("properties"), dict):  # names of properties are no keywords
        shape["properties"] = {name: _shape(inner) for name, inner in schema["properties"].items()}
    if isinstance(schema.get("type"), list):
        shape["type"] = sorted(map(str, schema["type"]))
    return shape


def _map_failure(stream: str, error: Exception) -> str:
    """What failed, without the value that it failed on: the stream, the property and the kind of error."""
    kind = type(error.__cause__ or error).__name__
    traceback = error.__traceback__
    while traceback:
        local = traceback.tb_frame.f_locals
        # Where the SDK evaluates an expression it knows the property; a filter is of none.
        if traceback.tb_frame.f_code.co_name == "_eval" and "property_name" in local:
            name = local["property_name"] or "__filter__"
            return f"{stream}: the stream map's expression for `{name}` raised {kind}; correct it in `stream_maps`"
        traceback = traceback.tb_next
    return (
        f"{stream}: a record can't be mapped or flattened ({kind}); check `stream_maps`, `flattening_*` and the catalog"
    )


def is_terminal() -> bool:
    """Whether a person watches stderr, with nobody's logging configuration in force."""
    return bool(sys.stderr and sys.stderr.isatty()) and "SINGER_SDK_LOG_CONFIG" not in os.environ


@dataclass
class ConfigInput:
    """What `--config` gave: the settings of its files, later ones winning, and whether it said ENV."""

    config: dict[str, Any] = field(default_factory=dict)
    parse_env: bool = False


class SingerTap(Tap):
    """A tap whose streams are `SingerStream`s, and whose settings are checked by `check_config`."""

    message_writer_class = SingerWriter
    capabilities: ClassVar[list[Any]] = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
        # 0.55 moved it.
        next(one for of in (PluginCapabilities, TapCapabilities) for one in of if one.value == "activate-version"),
    ]

    def __init__(self, *, config: Any = None, catalog: Any = None, **kwargs: Any) -> None:
        # The SDK takes parts out of the config, and the catalog is the caller's.
        config = copy.deepcopy(config) if isinstance(config, dict) else config
        catalog = with_classic_selection(catalog) if isinstance(catalog, dict) else catalog
        super().__init__(config=config, catalog=catalog, **kwargs)
        if is_terminal():
            self.metrics_logger.setLevel(max(logging.WARNING, self.metrics_logger.level))

    @abstractmethod
    def check_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Check the settings; gives those that the SDK itself reads, with their right types.

        Raises:
            ConfigurationError: It names each setting that is wrong.
        """

    @classmethod
    @abstractmethod
    def parse_environment(cls, texts: Mapping[str, str]) -> dict[str, Any]:
        """Settings from the texts of environment variables, by the names of the settings."""

    def setup_mapper(self) -> None:
        """Make the stream maps of the streams that are selected: one of another stream could only fail."""
        PluginBase.setup_mapper(self)
        for entry in self.catalog.streams:
            if entry.metadata.resolve_selection()[()]:
                _register_maps(self, entry)

    def run_connection_test(self) -> bool:  # type: ignore[misc]  # the SDK's selects every stream
        """Sync one record of each selected stream."""
        return self.run_sync_dry_run(1, self.selected_streams)

    def write_schemas(self) -> None:  # type: ignore[misc]  # the SDK's selects every stream
        """Write a SCHEMA message for each selected stream."""
        for stream in self.selected_streams:
            stream._write_schema_message()  # noqa: SLF001 - there is no public way

    @property
    def selected_streams(self) -> list[Stream]:
        """The streams that are selected, by name."""
        return [stream for stream in self.streams.values() if stream.selected]

    @property
    def writer(self) -> SingerWriter | None:
        """The writer of Singer messages, unless the SDK was given another."""
        return self.message_writer if isinstance(self.message_writer, SingerWriter) else None

    @classmethod
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        """Add the built-in settings; what this tap declares itself stays."""
        required = list(config_jsonschema.get("required", []))
        super().append_builtin_config(config_jsonschema)
        config_jsonschema["required"] = required

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Command whose `--test` goes with `--catalog`, and that ends with one line where a run fails."""
        command = super().get_singer_command()
        for parameter in command.params:
            if parameter.name == "test":
                parameter.callback = None
                parameter.expose_value = True
        return Command(
            name=command.name,
            callback=command.callback,
            params=command.params,
            help=command.help,
            context_settings=command.context_settings,
            logger=cls.logger,
        )

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:  # noqa: ARG003 - as click calls it
        """Read the files of `--config`."""
        given = ConfigInput()
        for name in value:
            if name == "ENV":
                given.parse_env = True
            else:
                given.config |= _settings_file(name)
        return given

    @classproperty
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805 - a property of the class
        """Settings from the environment; a variable that is none is a setting that the check refuses."""
        prefix = cls._env_var_prefix
        schema: dict[str, Any] = {"properties": {}}
        cls.append_builtin_config(schema)
        objects = tuple(f"{name}_" for name, of in schema["properties"].items() if "object" in of.get("type", ()))
        texts = parse_environment_config({}, prefix)  # It reads `.env` too, into this process's environment.
        for variable, text in os.environ.items():
            name = variable.removeprefix(prefix).lower()
            # Meltano gives the parts of an object variables of their own.
            if variable.startswith(prefix) and name != "loglevel" and not name.startswith(("_", *objects)):
                texts[name] = text
        return cls.parse_environment(texts)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings with messages that say what would be right, and repeat no value."""
        self.append_builtin_config(self.config_jsonschema)
        # Null is not set: the SDK would take it for a value.
        self._config = {name: value for name, value in self._config.items() if value is not None}
        try:
            self._config.update(self.check_config(self._config))
        except ConfigurationError as error:
            if raise_errors:
                raise
            return [str(error)]
        return []


def _register_maps(tap: Tap, entry: CatalogEntry) -> None:
    """Make a stream's maps.

    Raises:
        ConfigurationError: A map can't be made.
    """
    name = entry.stream or entry.tap_stream_id
    try:
        tap.mapper.register_raw_streams_from_catalog(Catalog([(entry.tap_stream_id, entry)]))
    except SingerSDKError as error:
        message = f"`stream_maps` or `flattening_*`, for {name}: {error}"
        raise ConfigurationError(message) from None
    except Exception as error:  # noqa: BLE001 - an alias is an expression, and can raise anything
        message = f"`stream_maps`, `faker_config` or the catalog can't be used for {name}: {type(error).__name__}"
        raise ConfigurationError(message) from None
    if not all(isinstance(one.stream_alias, str) and one.stream_alias for one in tap.mapper.stream_maps[name]):
        message = f"`stream_maps`: the `__alias__` of {name} must be a text"
        raise ConfigurationError(message)


def with_classic_selection(catalog: dict[str, Any]) -> dict[str, Any]:
    """Catalog whose selections of the classic form, `"selected"` beside a stream's name, are in its metadata."""
    streams = [_with_classic_selection(entry) for entry in catalog.get("streams", [])]
    return {**catalog, "streams": streams}


def _with_classic_selection(entry: dict[str, Any]) -> dict[str, Any]:
    selected = entry.get("selected")
    if not isinstance(selected, bool):
        return entry
    metadata = copy.deepcopy(entry.get("metadata") or [])
    root = next((one for one in metadata if not one.get("breadcrumb")), None)
    if root is None:
        root = {"breadcrumb": [], "metadata": {}}
        metadata.append(root)
    root["metadata"]["selected"] = selected
    return {**entry, "metadata": metadata}


def _settings_file(name: str) -> dict[str, Any]:
    try:
        content = json.loads(Path(name).read_text(encoding="utf-8-sig"))
    except ValueError as error:
        kind = "UTF-8 text" if isinstance(error, UnicodeDecodeError) else f"JSON: {error}"
        message = f"--config: {name} is no {kind}"
        raise ConfigurationError(message) from None
    except OSError as error:
        message = f"--config: {name} can't be read: {error.strerror}"
        raise ConfigurationError(message) from None
    if not isinstance(content, dict):
        message = f"--config: {name} holds no JSON object of settings"
        raise ConfigurationError(message)
    return content


class Command(SingerCommand):
    """Ends with exit code 1 and one line where a run fails, and never with a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line."""
        try:
            return super().main(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the last place that can say it in plain words
            log_failure(self.logger, error)
        sys.exit(1)


DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
DISK_FULL_HELP = (
    "; free space where the output goes and in the folder for temporary files (`TMPDIR`), then rerun: it resumes from "
    "the last saved state"
)


def log_failure(logger: logging.Logger, error: Exception, stream: str | None = None) -> None:
    """Say in one line why something failed; the traceback of what nobody foresaw comes with `LOGLEVEL=DEBUG`."""
    if isinstance(error, (TapError, SingerSDKError)):
        text = str(error)
    elif isinstance(error, OSError):
        text = f"{error}{DISK_FULL_HELP if error.errno in DISK_FULL else ''}"
    else:
        text = f"unexpected {type(error).__name__} in {_place(error)}; set `LOGLEVEL=DEBUG` to see the traceback"
    begins = f"{stream}: " if stream and not text.startswith(f"{stream}:") else ""
    logger.error("%s%s", begins, text)
    logger.debug("Traceback of the line above", exc_info=error)


def _place(error: Exception) -> str:
    traceback = error.__traceback__
    while traceback and traceback.tb_next:
        traceback = traceback.tb_next
    if traceback is None:
        return "an unknown place"
    return f"{Path(traceback.tb_frame.f_code.co_filename).name}, line {traceback.tb_lineno}"
