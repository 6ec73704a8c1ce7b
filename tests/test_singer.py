"""The tap does with catalogs, stream maps and flattening what a plain singer-sdk tap does, through one module."""

from __future__ import annotations

import ast
import copy
import io
import json
from contextlib import redirect_stdout
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import singer_sdk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from singer_sdk import Stream, Tap
from singer_sdk import typing as th
from singer_sdk.exceptions import ConfigurationError
from singer_sdk.plugin_base import PluginBase

from tap_signalwire_logs.errors import TapError
from tap_signalwire_logs.exact_json import encode_json
from tap_signalwire_logs.families import FAMILIES
from tap_signalwire_logs.singer import SingerStream, SingerTap, SingerWriter, StreamMapError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from singer_sdk.helpers.types import Context

PACKAGE = Path(__file__).parent.parent / "tap_signalwire_logs"
RECORDS: dict[str, list[dict[str, Any]]] = {
    "message_logs": [
        {
            "id": "9ee38635-899a-490a-bfd1-9e72f5eea53c",
            "from": "+12077447397",
            "to": None,
            "status": "delivered",
            "number_of_segments": 3,
            "charge": Decimal("0.00415"),
            "charge_details": [{"description": 'Ünï \u2028 "quoted"', "charge": Decimal("0.00415")}],
            "created_at": "2026-01-31T08:00:00Z",
        },
        {"id": "c38dacad-2f6c-4de1-93d6-cc732e0c70c5", "status": "sent", "created_at": "2026-01-31T09:00:00Z"},
    ],
    "voice_log_events": [
        {
            "log_id": "9ee38635-899a-490a-bfd1-9e72f5eea53c",
            "position": 0,
            "name": "calling.call.state",
            "level": "info",
            "details": {"a": {"b": [1, {"c": None}]}, "d": Decimal("1.50")},
            "event_at": "2026-01-31T08:00:00Z",
        },
        {
            "log_id": "9ee38635-899a-490a-bfd1-9e72f5eea53c",
            "position": 1,
            "details": {},
            "event_at": "2026-01-31T08:00:01Z",
        },
    ],
    "video_logs": [
        {
            "id": "9ee38635-899a-490a-bfd1-9e72f5eea53c",
            "locked": True,
            "room_name": "a",
            "charge": Decimal("1.20"),
            "charge_details": [],
            "created_at": "2026-01-31T08:00:00Z",
        }
    ],
}
BY_NAME = {family.name: family for family in FAMILIES if family.name in RECORDS}


@cache
def schema_of(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((PACKAGE / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    return schema


class PlainStream(Stream):
    """What singer-sdk's documents tell to write: the records as dicts."""

    def __init__(self, tap: Tap, name: str) -> None:
        super().__init__(tap, schema=copy.deepcopy(schema_of(name)), name=name)
        self.primary_keys = BY_NAME[name].primary_keys
        self.replication_key = BY_NAME[name].replication_key

    def get_records(self, context: Context | None) -> Iterator[dict[str, Any]]:  # noqa: ARG002 - as the SDK calls it
        yield from copy.deepcopy(RECORDS[self.name])


class OurStream(SingerStream):
    """The same records as JSON, of which the second comes as a service might format it."""

    def __init__(self, tap: Tap, name: str) -> None:
        super().__init__(tap, schema=copy.deepcopy(schema_of(name)), name=name)
        self.primary_keys = BY_NAME[name].primary_keys
        self.replication_key = BY_NAME[name].replication_key

    def extract(self) -> Iterator[list[bytes]]:
        encoded = [encode_json(record) for record in RECORDS[self.name]]
        yield encoded[:1]
        yield [body.replace(b'","', b'",\r\n  "') for body in encoded[1:]]


class PlainTap(Tap):
    name = "tap-plain"
    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList().to_dict()

    def discover_streams(self) -> list[Stream]:
        return [PlainStream(self, name) for name in BY_NAME]


class OurTap(SingerTap):
    name = "tap-ours"
    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList().to_dict()

    def check_config(self, config: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - as the SDK calls it
        return {}

    @classmethod
    def parse_environment(cls, texts: Mapping[str, str]) -> dict[str, Any]:
        return dict(texts)

    def discover_streams(self) -> list[Stream]:
        return [OurStream(self, name) for name in BY_NAME]


def messages_of(tap: Tap, run: Callable[[], object] | None = None) -> list[dict[str, Any]]:
    """What a tap writes, without STATEs and moments."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n")
    with redirect_stdout(out):
        (run or tap.sync_all)()
        out.flush()
    assert isinstance(out.buffer, io.BytesIO)
    lines = out.buffer.getvalue().decode().split("\n")
    assert lines.pop() == ""
    assert not any("\r" in line for line in lines)
    messages = [json.loads(line, parse_float=Decimal) for line in lines]
    for message in messages:
        message.pop("time_extracted", None)
        if "version" in message:
            message["version"] = 1
    return [message for message in messages if message["type"] != "STATE"]


def catalog_of(tap: type[Tap]) -> dict[str, Any]:
    catalog: dict[str, Any] = copy.deepcopy(tap(config={}).catalog_dict)
    return catalog


def root_of(entry: dict[str, Any]) -> dict[str, Any]:
    (found,) = [one["metadata"] for one in entry["metadata"] if one["breadcrumb"] == []]
    metadata: dict[str, Any] = found
    return metadata


def both(config: dict[str, Any], catalog: dict[str, Any] | None) -> tuple[Any, Any]:
    """What the plain tap and ours write; the word 'refused' where one raises."""
    outcomes: list[Any] = []
    for tap in (PlainTap, OurTap):
        expected = Exception if tap is PlainTap else (ConfigurationError, TapError)
        try:
            outcomes.append(messages_of(tap(config=copy.deepcopy(config), catalog=copy.deepcopy(catalog))))
        except expected:
            outcomes.append("refused")
    plain, ours = outcomes
    return plain, ours


MAPS: list[dict[str, Any]] = [
    {},
    {"message_logs": {"from": "md5(record['from']) if record.get('from') else None", "cost": "float(charge or 0)"}},
    {"message_logs": {"__filter__": "status == 'sent'"}},
    {"message_logs": {"__alias__": "messages"}, "video_logs": None},
    {"message_logs": {"__else__": None, "id": "id", "status": "status.upper()"}},
    {"copies": {"__source__": "message_logs", "charge": None}},
    {"__else__": "__NULL__", "video_logs": {}},
    {"*": {"__alias__": "'x_' + __stream_name__"}},
    {"*": {"__key_properties__": []}},
    {"message_logs": {"id": None}},
    {"voice_log_events": {"details": "json.dumps(details)", "config": "config.get('a')"}},
]
FLATTENING: list[dict[str, Any]] = [
    {},
    {"flattening_enabled": True, "flattening_max_depth": 0},
    {"flattening_enabled": True, "flattening_max_depth": 1},
    {"flattening_enabled": True, "flattening_max_depth": 3, "flattening_separator": "."},
    {"flattening_enabled": True, "flattening_max_depth": 2, "flattening_max_key_length": 5},
    {"flattening_enabled": False, "flattening_max_depth": 3},
]


def edit_nothing(entry: dict[str, Any]) -> None:
    """The catalog as it was discovered."""


def deselect_a_property(entry: dict[str, Any]) -> None:
    for one in entry["metadata"]:
        if one["breadcrumb"][-1:] in (["charge"], ["level"]):
            one["metadata"]["selected"] = False


def deselect_all_but_automatic(entry: dict[str, Any]) -> None:
    for one in entry["metadata"]:
        if one["breadcrumb"]:
            one["metadata"]["selected"] = False


def drop_a_property(entry: dict[str, Any]) -> None:
    for name in ("charge", "name", "room_name"):
        entry["schema"]["properties"].pop(name, None)


def drop_a_nested_property(entry: dict[str, Any]) -> None:
    details = entry["schema"]["properties"].get("charge_details")
    if details:
        details["items"]["properties"].pop("description", None)


def add_a_property(entry: dict[str, Any]) -> None:
    entry["schema"]["properties"]["extra"] = {"type": ["string", "null"]}


def open_the_schema(entry: dict[str, Any]) -> None:
    entry["schema"]["additionalProperties"] = True
    drop_a_property(entry)


def declare_a_number_boolean(entry: dict[str, Any]) -> None:
    for name in ("number_of_segments", "position"):
        if name in entry["schema"]["properties"]:
            entry["schema"]["properties"][name] = {"type": "boolean"}


def close_the_details(entry: dict[str, Any]) -> None:
    if "details" in entry["schema"]["properties"]:
        entry["schema"]["properties"]["details"] = {
            "type": ["object", "null"],
            "properties": {"a": {"type": ["object", "null"], "properties": {}}},
        }


def change_the_keys(entry: dict[str, Any]) -> None:
    entry["key_properties"] = ["created_at" if "created_at" in entry["schema"]["properties"] else "event_at"]


def ask_for_the_full_table(entry: dict[str, Any]) -> None:
    entry["replication_method"] = "FULL_TABLE"
    root_of(entry)["forced-replication-method"] = "FULL_TABLE"


def take_the_replication_key_away(entry: dict[str, Any]) -> None:
    for name in ("replication_key", "replication_method"):
        entry.pop(name, None)
    root_of(entry).pop("replication-key", None)


def deselect_the_stream(entry: dict[str, Any]) -> None:
    root_of(entry)["selected"] = False


def describe_anew(entry: dict[str, Any]) -> None:
    for schema in entry["schema"]["properties"].values():
        schema["description"] = "Another."


EDITS = [
    edit_nothing,
    deselect_a_property,
    deselect_all_but_automatic,
    drop_a_property,
    drop_a_nested_property,
    add_a_property,
    open_the_schema,
    declare_a_number_boolean,
    close_the_details,
    change_the_keys,
    ask_for_the_full_table,
    take_the_replication_key_away,
    deselect_the_stream,
    describe_anew,
]


@pytest.mark.parametrize("flattening", FLATTENING, ids=lambda one: ",".join(map(str, one.values())) or "not flattened")
@pytest.mark.parametrize("maps", [pytest.param(one, id=json.dumps(one)[:40]) for one in MAPS])
def test_maps_and_flattening_write_what_a_plain_tap_writes(maps: dict[str, Any], flattening: dict[str, Any]) -> None:
    plain, ours = both({"stream_maps": maps, "stream_map_config": {"a": 1}, **flattening}, None)
    assert ours == plain


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
@pytest.mark.parametrize("flattening", FLATTENING[:3], ids=["not flattened", "depth 0", "depth 1"])
def test_a_catalog_is_heeded_as_by_a_plain_tap(edit: Any, flattening: dict[str, Any]) -> None:
    catalog = catalog_of(PlainTap)
    for entry in catalog["streams"]:
        edit(entry)
    plain, ours = both(flattening, catalog)
    assert plain != "refused"
    assert ours == plain


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    edits=st.lists(st.tuples(st.sampled_from(sorted(BY_NAME)), st.sampled_from(EDITS)), max_size=5),
    maps=st.sampled_from(MAPS[:8]),
    flattening=st.sampled_from(FLATTENING),
    full=st.booleans(),
)
def test_any_mixture_of_them_writes_what_a_plain_tap_writes(
    edits: list[tuple[str, Any]], maps: dict[str, Any], flattening: dict[str, Any], *, full: bool
) -> None:
    catalog = catalog_of(PlainTap)
    entries = {entry["tap_stream_id"]: entry for entry in catalog["streams"]}
    for name, edit in edits:
        edit(entries[name])
    config = {"stream_maps": maps, **flattening, "emit_activate_version_messages": full}
    plain, ours = both(config, catalog)
    # A plain tap makes maps of streams that are not selected, and fails of them.
    assert ours == plain or (plain == "refused" and any(edit is deselect_the_stream for _, edit in edits))


# What may raise


@pytest.mark.parametrize(
    ("rule", "name", "kind"),
    [
        pytest.param({"from": "int(record['from'][1:6] + 'x')"}, "from", "ValueError", id="a value that is no number"),
        pytest.param({"to": "record['to'].upper()"}, "to", "AttributeDoesNotExist", id="a null"),
        pytest.param({"to": "record['nope']"}, "to", "KeyError", id="a property that is not there"),
        pytest.param({"to": "nope"}, "to", "NameNotDefined", id="a name that is not there"),
        pytest.param({"a": "1 / 0"}, "a", "ZeroDivisionError", id="a division by zero"),
        pytest.param({"__filter__": "record['from'] > 5"}, "__filter__", "TypeError", id="a filter"),
    ],
)
def test_an_expression_that_raises_names_the_property_and_no_value(rule: dict[str, str], name: str, kind: str) -> None:
    with pytest.raises(StreamMapError) as raised:
        messages_of(OurTap(config={"stream_maps": {"message_logs": rule}}))
    assert f"`{name}`" in str(raised.value)
    assert kind in str(raised.value)
    assert str(raised.value).startswith("message_logs: ")
    assert "12077447397" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


# The bytes of a record


def lines_of(writer: SingerWriter, write: Any) -> list[bytes]:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with redirect_stdout(out):
        write(writer)
        writer.flush()
    assert isinstance(out.buffer, io.BytesIO)
    return out.buffer.getvalue().split(b"\n")[:-1]


def test_a_record_s_bytes_are_written_as_they_are() -> None:
    body = b'{"id": "a",  "charge": 0.0041500, "from": "\xc3\xbc\\u00fc"}'
    (line,) = lines_of(SingerWriter(), lambda writer: writer.write_record_json('a "stream"', body, 3))
    assert b'"record":' + body + b',"version":3' in line
    message = json.loads(line)
    assert (message["type"], message["stream"], message["version"]) == ("RECORD", 'a "stream"', 3)
    assert message["time_extracted"].endswith("+00:00")


@pytest.mark.parametrize("gap", [b"\n", b"\r\n", b"\r", b"\n\n"], ids=["LF", "CRLF", "CR", "two"])
def test_a_record_that_is_formatted_over_lines_is_one_message(gap: bytes) -> None:
    bodies = [b'{"a": 1}', b'{%b"a":%b2}' % (gap, gap), b'{"a": 3}']
    lines = lines_of(SingerWriter(), lambda writer: writer.write_records_json("s", bodies, None))
    assert [json.loads(line)["record"]["a"] for line in lines] == [1, 2, 3]
    assert not any(b"\r" in line for line in lines)


def test_an_unaltered_record_is_never_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        pytest.fail("decoded")

    monkeypatch.setattr("tap_signalwire_logs.singer.decode_json", fail)
    assert len(messages_of(OurTap(config={}, catalog=catalog_of(OurTap)))) == 3 + 5


# The SDK's own ways in


def test_records_are_dicts_with_exact_numbers_for_who_uses_the_sdk_in_process() -> None:
    stream = OurTap(config={}).streams["message_logs"]
    assert list(stream.get_records(None)) == RECORDS["message_logs"]


def test_a_connection_test_writes_one_record_of_each_selected_stream() -> None:
    catalog = catalog_of(OurTap)
    for entry in catalog["streams"]:
        root_of(entry)["selected"] = entry["tap_stream_id"] != "video_logs"
    tap = OurTap(config={}, catalog=catalog)
    messages = messages_of(tap, tap.run_connection_test)
    assert [(one["type"], one["stream"]) for one in messages] == [
        (kind, name) for name in ("message_logs", "voice_log_events") for kind in ("SCHEMA", "RECORD")
    ]


def test_a_stream_that_is_selected_late_has_its_whole_schema_and_its_maps() -> None:
    catalog = catalog_of(OurTap)
    for entry in catalog["streams"]:
        root_of(entry)["selected"] = False
    tap = OurTap(config={"stream_maps": {"*": {"__alias__": "'x_' + __stream_name__"}}}, catalog=catalog)
    tap.streams["video_logs"].selected = True
    schema, record = messages_of(tap)
    assert (schema["stream"], record["stream"]) == ("x_video_logs", "x_video_logs")
    assert schema["schema"]["properties"].keys() == schema_of("video_logs")["properties"].keys()


@pytest.mark.parametrize("was_selected", [True, False])
def test_a_selection_of_the_classic_form_is_heeded(*, was_selected: bool) -> None:
    catalog = catalog_of(OurTap)
    for entry in catalog["streams"]:
        root_of(entry)["selected"] = was_selected
        entry["selected"] = entry["tap_stream_id"] == "video_logs"
    del catalog["streams"][0]["metadata"]
    tap = OurTap(config={}, catalog=catalog)
    assert [stream.name for stream in tap.selected_streams] == ["video_logs"]


def test_a_stream_that_a_catalog_names_otherwise_keeps_its_name() -> None:
    catalog = catalog_of(OurTap)
    for entry in catalog["streams"]:
        root_of(entry)["selected"] = entry["tap_stream_id"] == "video_logs"
        entry["stream"] = f"public-{entry['tap_stream_id']}"
    messages = messages_of(OurTap(config={}, catalog=catalog))
    assert [message["stream"] for message in messages] == ["video_logs", "video_logs"]


# The hooks

HOOKS = {
    "Stream._generate_record_messages",
    "Stream._singer_catalog_entry",
    "Stream._stream_version",
    "Stream._sync_records",
    "Stream._tap",
    "Stream._write_schema_message",
    "Stream._config",
    "PluginBase._env_var_config",
    "PluginBase._env_var_prefix",
    "PluginBase._validate_config",
    "singer_sdk.configuration._dict_config",
    "singer_sdk.helpers._classproperty",
}
"""Every private name of the SDK that is used."""

OTHERS = {"tap.py": {"PluginBase._handle_termination"}, "log_stream.py": {"Stream._tap"}}
"""Private names that a subclass elsewhere has to use."""


def private_names_in(module: Path) -> set[str]:
    """Private names of the SDK that a module imports, or that its subclasses of the SDK's classes read or override."""
    tap = PlainTap(config={})
    owners: list[tuple[str, Any]] = [("Stream", tap.streams["message_logs"]), ("PluginBase", tap)]
    tree = ast.parse(module.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("singer_sdk"):
            if "._" in node.module:
                found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names if alias.name.startswith("_"))
    bodies: list[ast.AST] = [tree] if module.name == "singer.py" else list(filter(_is_subclass_of_the_sdk, tree.body))
    for node in (node for body in bodies for node in ast.walk(body)):
        name = getattr(node, "attr", None) or (getattr(node, "name", None) if isinstance(node, ast.FunctionDef) else "")
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        if name and name.startswith("_") and not name.startswith("__"):
            found.update([f"{of}.{name}" for of, owner in owners if hasattr(owner, name)][:1])
    return found


def _is_subclass_of_the_sdk(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef) and any(
        isinstance(base, ast.Name) and base.id in {"SingerStream", "SingerTap", "Stream", "Tap"} for base in node.bases
    )


def test_every_private_name_of_the_sdk_is_in_one_module_and_listed_here() -> None:
    assert private_names_in(PACKAGE / "singer.py") == HOOKS
    for module in PACKAGE.glob("*.py"):
        if module.name != "singer.py":
            assert private_names_in(module) <= OTHERS.get(module.name, set()), module.name


def test_the_hooks_are_those_of_the_sdk_that_is_installed() -> None:
    stream, tap = PlainTap(config={}).streams["message_logs"], PlainTap(config={})
    for hook in HOOKS | {name for names in OTHERS.values() for name in names}:
        owner, _, name = hook.rpartition(".")
        assert hasattr({"Stream": stream, "PluginBase": tap}.get(owner, singer_sdk), name) or "." in owner, hook
    assert isinstance(tap, PluginBase)
