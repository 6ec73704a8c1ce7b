"""The settings: their JSON schema, and their checked, typed values.

All that is wrong is said at once, before any request, and no value of a secret is ever repeated.
"""

from __future__ import annotations

import ast
import difflib
import fnmatch
import json
import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from singer_sdk import typing as th

from tap_signalwire_logs import __version__
from tap_signalwire_logs.families import FAMILIES, families_by_ids_setting
from tap_signalwire_logs.origin import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")
MAX_NAMED = 10
MAX_SECONDS = 86_400

BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}

_USER_AGENT = f"tap-signalwire-logs/{__version__}"
_SPACE_HELP = "give `example`, `example.signalwire.com` or `https://example.signalwire.com`"
_DATE_HELP = "give a date (2026-01-31) or an ISO 8601 date-time (2026-01-31T08:00:00Z)"
_ID_HELP = "an ID is a UUID such as 9ee38635-899a-490a-bfd1-9e72f5eea53c"


IDS_SETTINGS = [
    (name, families[0].noun, "` and `".join(family.name for family in families))
    for name, families in families_by_ids_setting().items()
]
"""Name of each setting of IDs, what it names, and the streams that it is for."""

CONFIG_JSONSCHEMA: dict[str, Any] = th.PropertiesList(
    th.Property(
        "space",
        th.StringType,
        required=True,
        title="Space",
        description="The SignalWire Space: `example`, `example.signalwire.com` or `https://example.signalwire.com`. "
        "A loopback `host:port` is spoken to over plain HTTP; plain HTTP to anything else is refused.",
    ),
    th.Property(
        "project_id",
        th.StringType,
        required=True,
        title="Project ID",
        description="The project's ID, the user of Basic authentication.",
    ),
    th.Property(
        "api_token",
        th.StringType,
        required=True,
        secret=True,
        title="API token",
        description="The API token, the password of Basic authentication. It needs the scopes of the streams that are "
        "selected; `message_logs` needs Messaging.",
    ),
    *(
        setting
        for setting_name, logs, stream in IDS_SETTINGS
        for setting in (
            th.Property(
                setting_name,
                th.ArrayType(th.StringType),
                title=f"IDs of {logs}",
                description=f"Fetch exactly these {logs} (`{stream}`); nothing is discovered, and the bookmark is "
                "neither read nor moved.",
            ),
            th.Property(
                f"{setting_name}_file",
                th.StringType,
                title=f"File of IDs of {logs}",
                description="The same, from a UTF-8 file of any length: one ID a line; blank lines and `#` comments "
                f"are passed over. With `{setting_name}`, both together are one list.",
            ),
        )
    ),
    th.Property(
        "start_date",
        th.StringType,
        title="Start date",
        description="Discover logs created at or after this date or date-time (UTC where it names no zone). "
        "Without it: all the history that the Space keeps.",
    ),
    th.Property(
        "end_date",
        th.StringType,
        title="End date",
        description="Discover logs created before this date or date-time. Without it: the moment the run starts.",
    ),
    th.Property(
        "record_source",
        th.StringType,
        default="get",
        allowed_values=["get", "list"],
        title="Record source",
        description="`get`: each record is the answer of the get endpoint. `list`: the list entry itself (the same "
        "fields), one request for each page of logs.",
    ),
    th.Property(
        "include_deleted",
        th.BooleanType,
        default=False,
        title="Include deleted",
        description="Discover deleted logs too.",
    ),
    th.Property(
        "concurrency",
        th.IntegerType,
        default=32,
        title="Concurrency",
        description="The most requests in flight, 1 to 256.",
    ),
    th.Property(
        "page_size",
        th.IntegerType,
        default=1000,
        title="Page size",
        description="Logs on one page of the list, 1 to 1000.",
    ),
    th.Property(
        "lookback_minutes",
        th.IntegerType,
        default=10,
        title="Lookback in minutes",
        description="Each incremental run begins this many minutes before the bookmark, for logs that the service "
        "shows late.",
    ),
    th.Property(
        "refresh_hours",
        th.IntegerType,
        default=72,
        title="Refresh in hours",
        description="How long, in hours from its creation, a log that is not final is fetched again on later runs.",
    ),
    th.Property(
        "sweep_days",
        th.IntegerType,
        default=7,
        title="Sweep in days",
        description="How far back a sweep lists again what was already emitted, to find what changed since: 0 to 90 "
        "days; 0 turns it off.",
    ),
    th.Property(
        "sweep_every_hours",
        th.IntegerType,
        default=24,
        title="Hours between sweeps",
        description="The least time between two sweeps of one stream, 1 to 720 hours.",
    ),
    th.Property(
        "on_missing",
        th.StringType,
        default="warn",
        allowed_values=["warn", "fail"],
        title="On missing",
        description="What an ID does that the service does not have or no longer keeps. `warn`: a warning. `fail`: "
        "all other logs are written, then the run fails.",
    ),
    th.Property(
        "request_timeout",
        th.NumberType,
        default=60,
        title="Request timeout",
        description="Seconds for connecting, and for each read of an answer.",
    ),
    th.Property(
        "backoff_max_tries",
        th.IntegerType,
        default=8,
        title="Most tries",
        description="Tries of one request, the first included.",
    ),
    th.Property(
        "user_agent",
        th.StringType,
        title="User agent",
        description="The User-Agent header. Without it: `tap-signalwire-logs/VERSION`.",
    ),
    # In singer-sdk 0.54 the setting works without being declared.
    th.Property(
        "emit_activate_version_messages",
        th.BooleanType,
        default=False,
        title="Emit `ACTIVATE_VERSION` messages",
        description="Whether a stream that is read in FULL_TABLE mode begins with an `ACTIVATE_VERSION` message.",
    ),
).to_dict()


@dataclass(frozen=True)
class ConfiguredIds:
    """IDs of a setting and of its file, in their order, the setting's first; repeated ones are not taken out."""

    listed: tuple[str, ...]
    file: Path | None

    def __iter__(self) -> Iterator[str]:
        """Every ID in lower case."""
        yield from self.listed
        if self.file:
            for _, line in _id_lines(self.file):
                yield line.lower()


@dataclass(frozen=True)
class Settings:
    """Checked settings. Instants are aware and in UTC; `ids` has an entry for each setting of IDs that is there."""

    origin: str
    project_id: str
    api_token: str
    ids: Mapping[str, ConfiguredIds]
    start_date: datetime | None
    end_date: datetime | None
    record_source: str
    include_deleted: bool
    concurrency: int
    page_size: int
    lookback: timedelta
    refresh: timedelta
    sweep: timedelta
    sweep_every: timedelta
    fail_on_missing: bool
    request_timeout: float
    backoff_max_tries: int
    user_agent: str
    builtin: Mapping[str, Any]
    """The settings that the SDK reads, with their right types."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Check a tap's config.

        Raises:
            ValueError: Its message has one line for each setting that is wrong, with what would be right.
        """
        check = _Checker(config)
        settings = cls(
            origin=check("space", _origin, required=True),
            project_id=check("project_id", _credential, required=True),
            api_token=check("api_token", _credential, required=True),
            ids=_configured_ids(check),
            start_date=check("start_date", _instant),
            end_date=check("end_date", _instant),
            record_source=check("record_source", _one_of("get", "list"), default="get"),
            include_deleted=check("include_deleted", _boolean, default=False),
            concurrency=check("concurrency", _integer(1, 256), default=32),
            page_size=check("page_size", _integer(1, 1000), default=1000),
            lookback=timedelta(minutes=check("lookback_minutes", _integer(0, 525_600), default=10) or 0),
            refresh=timedelta(hours=check("refresh_hours", _integer(0, 87_600), default=72) or 0),
            sweep=timedelta(days=check("sweep_days", _integer(0, 90), default=7) or 0),
            sweep_every=timedelta(hours=check("sweep_every_hours", _integer(1, 720), default=24) or 0),
            fail_on_missing=check("on_missing", _one_of("warn", "fail"), default="warn") == "fail",
            request_timeout=check("request_timeout", _seconds, default=60.0),
            backoff_max_tries=check("backoff_max_tries", _integer(1, 100), default=8),
            user_agent=check("user_agent", _header, default=_USER_AGENT),
            builtin=_builtin(check),
        )
        check.unknown()
        if settings.start_date and settings.end_date and settings.end_date <= settings.start_date:
            check.errors.append("`end_date` must be after `start_date`")
        if any(f"`{name}` is required" in check.errors for name in CONFIG_JSONSCHEMA["required"]):
            check.errors.append(
                "give settings in a file with `--config FILE`, or in the environment with `--config ENV` "
                "(`TAP_SIGNALWIRE_LOGS_SPACE` and so on)"
            )
        if check.errors:
            raise ValueError("\n".join(f"  - {error}" for error in check.errors))
        return settings


class _Checker:
    """Takes settings one by one, and gathers what is wrong."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._known: set[str] = set()
        self.errors: list[str] = []

    def __call__(self, name: str, parse: Callable[[Any], Any], *, default: Any = None, required: bool = False) -> Any:
        self._known.add(name)
        value = self._config.get(name)
        if value is None:
            if required:
                self.errors.append(f"`{name}` is required")
            return default
        try:
            return parse(value)
        except ValueError as error:
            # A line that begins with a point tells of a part of the setting.
            for line in str(error).split("\n"):
                place, _, what = line.partition(": ") if line.startswith(".") else ("", "", line)
                self.errors.append(f"`{name}{place}`: {what}")
            return default

    def unknown(self) -> None:
        """Refuse what was not taken, but for what an orchestrator puts there (`_*`)."""
        for name in self._config:
            if name in self._known or name.startswith("_"):
                continue
            if name == "batch_config":
                self.errors.append("`batch_config`: this tap writes no BATCH messages; leave it out")
            else:
                self.errors.append(f"`{_printable(name)}`: unknown setting{_nearest(name, self._known)}")


def _configured_ids(check: _Checker) -> dict[str, ConfiguredIds]:
    ids = {}
    for name, _, _ in IDS_SETTINGS:
        listed, file = check(name, _ids), check(f"{name}_file", _ids_file)
        if listed or file:
            ids[name] = ConfiguredIds(listed or (), file)
    return ids


def _origin(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    parts = urlsplit(text if "://" in text else f"//{text}")
    host = parts.hostname or ""
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise ValueError(_SPACE_HELP) from None
    if "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        message = f"no path, query or user belongs there; {_SPACE_HELP}"
        raise ValueError(message)
    if is_loopback(host):
        name = f"[{host}]" if ":" in host else host
        return f"{parts.scheme or 'http'}://{name}{port}"
    if parts.scheme not in {"", "https"}:
        message = f"only https is spoken to a Space; {_SPACE_HELP}"
        raise ValueError(message)
    if not _HOST.fullmatch(host):
        raise ValueError(_SPACE_HELP)
    if _LABEL.fullmatch(host) and not parts.scheme and not port:
        host = f"{host}.signalwire.com"
    return f"https://{host}{port}"


def _credential(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        message = "is empty or no text; give the value that the Space's dashboard shows under API"
        raise ValueError(message)
    if not value.strip().isprintable():
        message = "holds a control character; copy it again"
        raise ValueError(message)
    return value.strip()


def _ids(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        message = "must be a list of IDs"
        raise ValueError(message)  # noqa: TRY004 - every wrong setting is one kind of error
    if not value:
        message = "is an empty list; name at least one ID, or leave the setting out to discover logs"
        raise ValueError(message)
    bad = [str(place) for place, one in enumerate(value, 1) if not (isinstance(one, str) and UUID.fullmatch(one))]
    if bad:
        message = f"no UUID at place {_listed(bad)}; {_ID_HELP}"
        raise ValueError(message)
    return tuple(one.lower() for one in value)


def _ids_file(value: Any) -> Path:
    if not isinstance(value, str) or not value.strip():
        message = "must be the path of a file"
        raise ValueError(message)
    path = Path(value).expanduser()
    bad: list[str] = []
    found = False
    try:
        for number, line in _id_lines(path):
            found = True
            if not UUID.fullmatch(line):
                bad.append(str(number))
                if len(bad) > MAX_NAMED:
                    break
    except UnicodeDecodeError:
        message = f"{path} is no UTF-8 text"
        raise ValueError(message) from None
    except OSError as error:
        message = f"{path} can't be read: {error.strerror}"
        raise ValueError(message) from None
    if bad:
        message = f"{path} has no UUID in line {_listed(bad)}; {_ID_HELP}"
        raise ValueError(message)
    if not found:
        message = f"{path} holds no ID; name at least one, or leave the setting out to discover logs"
        raise ValueError(message)
    return path


def _id_lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            text = line.partition("#")[0].strip()
            if text:
                yield number, text


def _listed(places: list[str]) -> str:
    return ", ".join(places[:MAX_NAMED]) + (" and more" if len(places) > MAX_NAMED else "")


def _instant(value: Any) -> datetime:
    # pendulum alone would also take a bare time of day, a duration and a week.
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d(?!-)", value):
        raise ValueError(_DATE_HELP)
    import pendulum  # noqa: PLC0415 - a part of the time to the first request, and most runs have no date to read

    try:
        parsed = pendulum.parse(value, tz="UTC")
        assert isinstance(parsed, pendulum.DateTime)  # noqa: S101 - what `exact=False` returns for a date
        return datetime.fromtimestamp(parsed.timestamp(), tz=timezone.utc)
    except (ValueError, OverflowError, OSError):
        raise ValueError(_DATE_HELP) from None


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in allowed:
            message = f"must be {' or '.join(f'`{one}`' for one in allowed)}"
            raise ValueError(message)
        return str(value)

    return parse


def _boolean(value: Any) -> bool:
    # Environment variables and Meltano hand booleans over as text.
    truth = BOOLEANS.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(truth, bool):
        message = "must be true or false"
        raise ValueError(message)  # noqa: TRY004 - every wrong setting is one kind of error
    return truth


def _integer(least: int, most: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        # Environment variables and Meltano hand numbers over as text.
        text = str(value).strip()
        if isinstance(value, bool) or not re.fullmatch(r"-?\d{1,12}", text) or not least <= int(text) <= most:
            message = f"must be a whole number from {least} to {most}"
            raise ValueError(message)
        return int(text)

    return parse


def _seconds(value: Any) -> float:
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds <= MAX_SECONDS:
        message = f"must be a number of seconds above 0, at most {MAX_SECONDS}"
        raise ValueError(message)
    return seconds


def _header(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not (value.isascii() and value.isprintable()):
        message = "must be printable ASCII text"
        raise ValueError(message)
    return value.strip()


def _builtin(check: _Checker) -> dict[str, Any]:
    """Settings that the SDK reads, those that are there, each with its right type."""
    found = {
        "stream_maps": check("stream_maps", _stream_maps),
        "stream_map_config": check("stream_map_config", _object),
        "faker_config": check("faker_config", _faker_config),
        "flattening_enabled": check("flattening_enabled", _boolean),
        "flattening_max_depth": check("flattening_max_depth", _integer(0, 100)),
        "flattening_max_key_length": check("flattening_max_key_length", _integer(1, 10_000)),
        "flattening_separator": check("flattening_separator", _text),
        "emit_activate_version_messages": check("emit_activate_version_messages", _boolean),
    }
    is_wrong = any(error.startswith("`flattening_max_depth`") for error in check.errors)
    if found["flattening_enabled"] and found["flattening_max_depth"] is None and not is_wrong:
        check.errors.append("`flattening_max_depth` is required where `flattening_enabled` is true")
    # What the SDK takes from a config by `get` must not be there as null.
    return {name: value for name, value in found.items() if value is not None}


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        message = "must be an object"
        raise ValueError(message)  # noqa: TRY004 - every wrong setting is one kind of error
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        message = "must be a text"
        raise ValueError(message)  # noqa: TRY004 - the same
    return value


def _faker_config(value: Any) -> dict[str, Any]:
    config = _object(value)
    errors = [
        f".{name}: unknown setting{_nearest(name, ('seed', 'locale'))}"
        for name in config
        if name not in {"seed", "locale"}
    ]
    if not isinstance(config.get("seed"), (int, float, str, type(None))):
        errors.append(".seed: must be a number or a text")
    locale = config.get("locale")
    locales = locale if isinstance(locale, list) else [locale]
    if not all(isinstance(one, (str, type(None))) for one in locales):
        errors.append(".locale: must be a locale such as `en_US`, or a list of them")
    if errors:
        raise ValueError("\n".join(errors))
    return config


OBJECT_SETTINGS = frozenset({"stream_maps", "stream_map_config", "faker_config"})

REMOVED = (None, "__NULL__")
"""What takes a stream or a property out of the output."""


def _stream_maps(value: Any) -> dict[str, Any]:
    """Maps of streams that there are, whose expressions can be parsed."""
    maps = _object(value)
    errors: list[str] = []
    for name, about in maps.items():
        if name == "__else__":
            if about not in REMOVED:
                errors.append(".__else__: must be null or `__NULL__`")
            continue
        at = f".{_printable(name)}"
        if isinstance(about, dict):
            errors += [f"{at}{error}" for error in _wrong_in_map(about)]
        elif about not in REMOVED:
            errors.append(f"{at}: must be an object of expressions, or null to leave the stream out")
        source = about.get("__source__", name) if isinstance(about, dict) else name
        streams = [family.name for family in FAMILIES]
        if isinstance(source, str) and not fnmatch.filter(streams, source):
            errors.append(f"{at}: no stream is named `{_printable(source)}`{_nearest(source, streams)}")
    if errors:
        raise ValueError("\n".join(errors))
    return maps


def _wrong_in_map(about: Mapping[str, Any]) -> Iterator[str]:
    for name, rule in about.items():
        at = f".{_printable(name)}"
        if name in MAP_OPTIONS:
            is_right, right = MAP_OPTIONS[name]
            if not is_right(rule):
                yield f"{at}: must be {right}"
        elif name.startswith("__") and name.endswith("__"):
            yield f"{at}: unknown option{_nearest(name, MAP_OPTIONS)}"
        elif rule is not None and not _is_expression(rule):
            yield f"{at}: must be an expression, or null to leave the property out"


def _is_expression(rule: Any) -> bool:
    if not isinstance(rule, str):
        return False
    try:
        parsed = ast.parse(rule).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return bool(parsed) and isinstance(parsed[0], ast.Expr)


def _is_name(rule: Any) -> bool:
    return isinstance(rule, str) and bool(rule.strip())


def _is_list_of_names(rule: Any) -> bool:
    return rule is None or (isinstance(rule, list) and all(map(_is_name, rule)))


MAP_OPTIONS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "__alias__": (_is_name, "a name"),
    "__source__": (_is_name, "the name of a stream"),
    "__filter__": (lambda rule: rule is None or _is_expression(rule), "an expression"),
    "__else__": (lambda rule: rule in REMOVED, "null or `__NULL__`"),
    "__key_properties__": (_is_list_of_names, "a list of properties, or null"),
}


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.lower(), sorted(known), 1)
    return f"; did you mean `{near[0]}`?" if near else ""


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name[:60])


def from_environment(texts: Mapping[str, str]) -> dict[str, Any]:
    """Settings from texts, by their names: lists and objects are JSON, a list of texts may also be `a,b,c`.

    What can't be read stays text, which the check then refuses.
    """
    return {name: _from_text(name, text) for name, text in texts.items()}


def _from_text(name: str, text: str) -> Any:
    is_list = any(name == ids_setting for ids_setting, _, _ in IDS_SETTINGS)
    if not is_list and name not in OBJECT_SETTINGS:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text.split(",") if is_list and text.strip() and text.strip()[0] not in "[{" else text
    return value if isinstance(value, (list, dict)) else text
