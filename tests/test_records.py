from __future__ import annotations

import json
import logging
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap_signalwire_logs.exact_json import encode_json, to_dict
from tap_signalwire_logs.records import _ALL_FIT, _FITS, RecordDecoder
from tests.simulator import Simulator
from tests.support.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

ID = "c38dacad-2f6c-4711-9003-000732000705"
SCHEMAS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in (Path(__file__).parent.parent / "tap_signalwire_logs" / "schemas").glob("*.json")
}
SCHEMA: dict[str, Any] = {
    "required": ["id"],
    "properties": {
        "id": {"type": ["string"], "format": "uuid"},
        "from": {"type": ["string", "null"]},
        "text": {"type": ["string", "null"]},
        "parent": {"type": ["string", "null"], "format": "uuid"},
        "url": {"type": ["string", "null"], "format": "uri"},
        "at": {"type": ["string", "null"], "format": "date-time"},
        "count": {"type": ["integer", "null"]},
        "locked": {"type": ["boolean", "null"]},
        "charge": {"type": ["number", "null"]},
        "items": {
            "type": ["array", "null"],
            "items": {"type": ["object"], "properties": {"charge": {"type": ["number", "null"]}}},
        },
        "free": {"type": ["object", "null"]},
    },
}


def decoded(body: bytes, schema: Mapping[str, Any] = SCHEMA) -> dict[str, Any]:
    record = RecordDecoder(schema, "logs")(body)
    assert record is not None
    assert b"\n" not in record.json
    return to_dict(record.json)


def field(raw: str, name: str) -> Any:
    return decoded(f'{{"id":"{ID}","{name}":{raw}}}'.encode())[name]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f'{{"id":"{ID}"}}', id="missing fields stay missing"),
        pytest.param(f'{{"id":"{ID}","charge":0.004150,"count":-9223372036854775808}}', id="digits"),
        pytest.param(f'{{ "id" : "{ID.upper()}", "from": "+15550100001" }}', id="spaces"),
        pytest.param(f'{{"id":"{ID}","text":"gr\u00fc\u00dfe \\ud83d\\ude00 \\n"}}', id="any characters"),
        pytest.param(f'{{"id":"{ID}","at":"2026-01-31T08:00:00Z","url":"https://e.com/a?b=%20#c"}}', id="formats"),
        pytest.param(f'{{"id":"{ID}","at": "2026-01-31T08:00:00.123456+00:00","parent":"{ID}"}}', id="UTC as offset"),
        pytest.param(
            f'{{"id":"{ID}","items":[{{"charge":1E-7}}],"free":{{"a":[1.50,{{}}]}},"charge":null}}', id="inside"
        ),
        pytest.param(f'{{"id":"{ID}","charge":0.000,"items":[{{"charge":0}}],"locked":true}}', id="zeros"),
    ],
)
def test_a_record_that_fits_is_the_service_s_own_bytes(body: str) -> None:
    record = RecordDecoder(SCHEMA, "logs")(bytearray(body.encode()))
    assert record is not None
    assert record.json == body.encode()
    assert type(record.json) is bytes


def test_line_breaks_between_tokens_go_and_digits_stay() -> None:
    record = RecordDecoder(SCHEMA, "logs")(f'{{\r\n  "id": "{ID}",\n  "charge": 0.10\n}}\n'.encode())
    assert record is not None
    assert record.json == f'{{"id":"{ID}","charge":0.10}}'.encode()


def test_the_fields_are_typed() -> None:
    body = f'{{"id":"{ID}","from":"a","at":"2026-01-31 10:00:00+02:00","charge":"0.5","count":2,"text":null}}'
    record = RecordDecoder(SCHEMA, "logs")(body.encode())
    assert record is not None
    fields = record.fields
    assert (fields.id, fields.from_, fields.charge, fields.count, fields.text) == (ID, "a", 0.5, 2, None)
    assert fields.at == "2026-01-31T08:00:00Z"
    assert fields.url is msgspec.UNSET


@pytest.mark.parametrize(
    ("name", "sent", "comes_out"),
    [
        pytest.param("charge", '"0.00415"', Decimal("0.00415"), id="a charge as text"),
        pytest.param("charge", '" 1e-3 "', Decimal("0.001"), id="in any notation"),
        pytest.param("charge", '"+0.10"', Decimal("0.10"), id="with a sign"),
        pytest.param("charge", "1" + "0" * 30, 10**30, id="a charge of any size"),
        pytest.param("count", '"2"', 2, id="a count as text"),
        pytest.param("count", "2.0", 2, id="a count with a point"),
        pytest.param("count", "1e3", 1000, id="a count with an exponent"),
        pytest.param("locked", '"true"', True, id="true as text"),
        pytest.param("text", r'"a\u0000b"', "ab", id="NUL"),
        pytest.param("text", "30007", "30007", id="a number where text is expected"),
        pytest.param("text", '{"a":1.50}', '{"a":1.50}', id="an object where text is expected"),
        pytest.param("parent", f'"{ID.replace("-", "")}"', ID, id="a UUID without hyphens"),
        pytest.param("parent", f'"urn:uuid:{ID}"', ID, id="a UUID as a URN"),
        pytest.param("url", '"https://e.com/\u00e4 b"', "https://e.com/%C3%A4%20b", id="characters no URI has"),
        pytest.param("url", '"https://e.com/100%"', "https://e.com/100%25", id="a stray percent sign"),
        pytest.param("at", '"2026-01-31T08:00:00z"', "2026-01-31T08:00:00Z", id="lower-case z"),
        pytest.param("at", '"2026-01-31t08:00:00Z"', "2026-01-31T08:00:00Z", id="lower-case t"),
        pytest.param("at", '"2026-01-31 08:00:00Z"', "2026-01-31T08:00:00Z", id="a space for T"),
        pytest.param("at", '"2026-01-31 08:00:00 UTC"', "2026-01-31T08:00:00Z", id="UTC"),
        pytest.param("at", '"2026-01-31T10:00:00+02:00"', "2026-01-31T08:00:00Z", id="an offset"),
        pytest.param("at", '"20260131T080000Z"', "2026-01-31T08:00:00Z", id="basic form"),
        pytest.param("at", '"2026-01-31T08:00:00"', "2026-01-31T08:00:00Z", id="no zone"),
        pytest.param("at", '"2026-01-31"', "2026-01-31T00:00:00Z", id="a date"),
        pytest.param("at", '"2026-01-31T08:00:00.123456789Z"', "2026-01-31T08:00:00.123456Z", id="nanoseconds"),
        pytest.param("items", '[{"charge":"0.5","new":2},null]', [{"charge": Decimal("0.5")}], id="inside lists"),
        pytest.param("items", '[5,{"charge":1.10}]', [{"charge": Decimal("1.10")}], id="a number where an object is"),
        pytest.param("free", r'{"a\u0000":["\u0000b",1.50]}', {"a": ["b", Decimal("1.50")]}, id="NUL in a free object"),
    ],
)
def test_what_is_plainly_readable_is_written_as_the_schema_says(
    name: str, sent: str, comes_out: Any, caplog: pytest.LogCaptureFixture
) -> None:
    out = field(sent, name)
    assert out == comes_out
    assert repr(out) == repr(comes_out)
    assert [record.getMessage() for record in caplog.records if "null" in record.getMessage()] == (
        ["logs: field 'items[]': not object, written as null"] if sent.startswith("[5") else []
    )


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        *(
            ("at", sent)
            for sent in ('""', '"n/a"', '"0000-00-00"', '"0000-00-00T00:00:00Z"', "1769846400", "1.5", "true", "[]")
        ),
        *(("at", sent) for sent in ('"2026-02-30T08:00:00Z"', '"08:00"', '"0001-01-01T00:00:00+02:00"', "{}")),
        *(("parent", sent) for sent in ('""', '"n/a"', "5", '"c38dacad-2f6c-4711-9003-00073200070g"', "[]")),
        *(("url", sent) for sent in ('""', '"/api/x"', '"no uri"', '"http://[x]/"', "7", '"://x"')),
        *(("count", sent) for sent in ("9223372036854775808", "-9223372036854775809", "2.5", "1e400", "true", '"x"')),
        *(("count", sent) for sent in ('"9223372036854775808"', "1e99999999999999999999", "[1]", '""')),
        *(("charge", sent) for sent in ('"NaN"', '"sNaN"', '"-Infinity"', '"inf"', "1e400", "-1e400", '"free"', '""')),
        *(("charge", sent) for sent in ("1e-400", "1" + "0" * 400, "-1e99999999999999999999", "true", "{}", '"1_0"')),
        *(("charge", sent) for sent in ("1e-99999999999999999999", '"\u0663"', '"0x1"')),
        *(("locked", sent) for sent in ("1", '"yes"', "[]")),
        *(("items", sent) for sent in ('"none"', "{}", "1")),
        *(("free", sent) for sent in ('"none"', "[]", "1")),
    ],
)
def test_what_is_not_becomes_null_with_one_warning_that_names_no_value(
    name: str, sent: str, caplog: pytest.LogCaptureFixture
) -> None:
    decoder = RecordDecoder(SCHEMA, "logs")
    for _ in range(2):
        record = decoder(f'{{"id":"{ID}","{name}":{sent},"text":"b"}}'.encode())
        assert record is not None
        assert to_dict(record.json) == {"id": ID, name: None, "text": "b"}
    (said,) = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(rf"logs: field '{name}': (invalid|not) [\w-]+, written as null", said)


@pytest.mark.parametrize("free", ['{"at":"2026-01-31T08:00:00Z"}', '{"at":"x"}', '{"a":"at"}'])
@pytest.mark.parametrize(
    "members",
    [
        pytest.param('"at":"2026-01-31 08:00:00Z","free":%s', id="before a free object"),
        pytest.param('"free":%s,"at":"2026-01-31T08:00:00z"', id="behind it"),
        pytest.param('"free":%s,"\\u0061t":"2026-01-31T08:00:00z"', id="its name in escapes"),
    ],
)
def test_a_date_time_is_found_by_its_own_key_and_in_no_other_place(members: str, free: str) -> None:
    assert decoded(f'{{"id":"{ID}",{members % free}}}'.encode())["at"] == "2026-01-31T08:00:00Z"


@pytest.mark.parametrize("number", ["1e400", "1e-400", "1e99999999999999999999"])
def test_a_number_that_no_loader_holds_is_null_in_a_free_object_too(number: str) -> None:
    assert field(f'{{"a":[{number},1.50],"b":"1e-400"}}', "free") == {"a": [None, Decimal("1.50")], "b": "1e-400"}


@pytest.mark.parametrize("sent", ["log-1", "7"])
def test_a_key_that_is_no_uuid_comes_out_as_one_that_is_always_the_same(
    sent: str, caplog: pytest.LogCaptureFixture
) -> None:
    decoder = RecordDecoder(SCHEMA, "logs")
    keys = set()
    for quoted in {f'"{sent}"', sent if sent.isdigit() else f'"{sent}"'}:
        record = decoder(f'{{"id":{quoted},"text":"b"}}'.encode())
        assert record is not None
        assert record.fields.id == sent
        keys.add(to_dict(record.json)["id"])
    (key,) = keys
    assert UUID(key).version == 5
    assert "key is no uuid" in caplog.text
    assert decoded(b'{"id":"log-2"}')["id"] != key


@pytest.mark.parametrize("body", ['{"id":null}', '{"id":""}', "{}"])
def test_a_key_that_is_not_there_stays_away(body: str) -> None:
    record = RecordDecoder(SCHEMA, "logs")(body.encode())
    assert record is not None
    assert not record.fields.id
    assert to_dict(record.json) == {}


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"text"', b"1e99999999999999999999"])
def test_json_of_another_kind_is_no_record(body: bytes) -> None:
    assert RecordDecoder(SCHEMA, "logs")(body) is None


@pytest.mark.parametrize(
    "body", [b"", b'{"id":', b"<html>", b'{"id":"\xff"}', b'{"text":"\\u0000', b'{"charge":NaN}', b'{"text":"\x01"}']
)
def test_what_is_no_json_raises(body: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        RecordDecoder(SCHEMA, "logs")(body)


def test_a_new_field_is_named_once_and_dropped(caplog: pytest.LogCaptureFixture) -> None:
    decoder = RecordDecoder(SCHEMA, "logs")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            record = decoder(f'{{"id":"{ID}","+15550100001":"secret","items":[{{"new":1}}]}}'.encode())
            assert record is not None
            assert to_dict(record.json) == {"id": ID, "items": [{}]}
    assert [record.getMessage() for record in caplog.records] == [
        "logs: field '…': unknown field, dropped; update the tap",
        "logs: field 'items[].new': unknown field, dropped; update the tap",
    ]


def promises_kept(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value is what its schema says, judged by nothing that the tap is made of."""
    kinds = {str: "string", bool: "boolean", type(None): "null", list: "array", dict: "object", Decimal: "number"}
    kind = kinds.get(type(value), "integer" if "integer" in schema["type"] else "number")
    if kind not in schema["type"]:
        return False
    if kind == "integer":
        return bool(-(2**63) <= value < 2**63)
    if kind == "array":
        return all(promises_kept(one, schema["items"]) for one in value)
    if kind == "object":
        properties = schema.get("properties")
        return properties is None or all(
            name in properties and promises_kept(one, properties[name]) for name, one in value.items()
        )
    return kind != "string" or ("\0" not in value and form_kept(value, schema.get("format")))


def form_kept(text: str, form: str | None) -> bool:
    if form == "date-time":
        datetime.fromisoformat(text.replace("Z", "+00:00"))
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)", text, re.ASCII))
    if form == "uuid":
        return str(UUID(text)) == text.lower()
    return form is None or bool(re.fullmatch(r"[A-Za-z][\w+.-]*:[!-~]*", text, re.ASCII))


ODD_VALUES: list[Any] = [
    *(None, True, 0, 1, 2**63, -(2**63) - 1, 0.5, [], {}, [None], [{"charge": "1", "description": 2}], {"a": "\0"}),
    *("", "n/a", "0000-00-00", "2026-01-31T08:00:00z", "2026-01-31 08:00:00 UTC", "20260131T080000Z", "1969-12-31"),
    *("NaN", "1.50", "-3", "true", ID, ID.upper(), ID.replace("-", ""), "https://e.com/\u00e4", "/path", "a\0b"),
]
odd_values = st.sampled_from(ODD_VALUES) | st.text(max_size=8) | st.integers() | st.floats(allow_nan=False)


@pytest.mark.slow
@pytest.mark.parametrize("stream", sorted(SCHEMAS))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_the_service_sends_the_record_keeps_the_promises_of_its_schema(
    stream: str, data: st.DataObject
) -> None:
    schema = SCHEMAS[stream]
    names = st.sampled_from([*schema["properties"], "new"])
    sent = data.draw(st.dictionaries(names, odd_values))
    out = decoded(encode_json(sent), schema)
    assert promises_kept(out, {"type": ["object"], **schema})
    assert out.keys() == {
        name for name in sent.keys() - {"new"} if "null" in schema["properties"][name]["type"] or name in out
    }


@pytest.mark.parametrize("stream", sorted(SCHEMAS))
def test_a_record_that_fits_is_the_same_whether_it_was_fitted_or_not(stream: str) -> None:
    schema = SCHEMAS[stream]
    examples = {"date-time": "2026-01-31T08:00:00Z", "uuid": ID, "uri": "https://e.com/"}
    by_kind = {"string": "text", "integer": 1, "number": Decimal("0.10"), "boolean": True, "array": [], "object": {}}
    record = {
        name: examples.get(of.get("format"), by_kind[next(kind for kind in of["type"] if kind != "null")])
        for name, of in schema["properties"].items()
    }
    body = encode_json(record)
    decoder = RecordDecoder(schema, stream)
    fitting, fitted = decoder(body), decoder(encode_json({**record, "new": 1}))
    assert fitting is not None
    assert fitted is not None
    assert fitting.json == fitted.json == body
    assert msgspec.to_builtins(fitting.fields) == msgspec.to_builtins(fitted.fields)


FITTING = f'{{"id":"{ID}","at":"2026-01-31T08:00:00Z","url":"https://e.com/","charge":0.10,"items":[{{"charge":1.5}}]}}'


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(f'{{"id":"{ID}","at":"2026-01-31 08:00"}}', id="a date-time in another form"),
        pytest.param(f'{{"id":"{ID}","at":"2026-02-30T08:00:00Z"}}', id="a day that is none"),
        pytest.param(f'{{"id":"{ID}","url":"/path"}}', id="no URI"),
        pytest.param('{"id":"7"}', id="a key that is no UUID"),
        pytest.param(f'{{"id":"{ID}","charge":1e-400}}', id="a number that a double takes for zero"),
        pytest.param(f'{{"id":"{ID}","items":[{{"charge":1e-400}}]}}', id="such a number within a list"),
        pytest.param(f'{{"id":"{ID}","charge":0.0,"text":"e-400"}}', id="a true zero"),
        pytest.param(f'{{"id":"{ID}","text":"a\\u0000b"}}', id="a NUL character"),
        pytest.param(f'{{"id":"{ID}","free":{{"a":"\\u0000"}}}}', id="a NUL character in a free object"),
        pytest.param(f'{{"id":"{ID}",\n"count":1}}', id="two lines"),
        pytest.param(f'{{"id":"{ID}","count":1.5}}', id="a number of another kind"),
        pytest.param(f'{{"id":"{ID}","new":1}}', id="a field that the schema lacks"),
        pytest.param(FITTING, id="nothing odd"),
    ],
)
@pytest.mark.parametrize("has_free", [True, False], ids=["with a free object", "without"])
def test_many_records_are_the_same_as_one_by_one(odd: str, has_free: bool) -> None:
    properties = {name: of for name, of in SCHEMA["properties"].items() if has_free or name != "free"}
    schema = {**SCHEMA, "properties": properties}
    bodies = [FITTING.encode(), odd.encode(), FITTING.encode()]
    one_by_one: list[Any] = [RecordDecoder(schema, "logs")(body) for body in bodies]
    jsons, fields = RecordDecoder(schema, "logs").many(bodies)
    assert list(jsons) == [record.json for record in one_by_one]
    assert msgspec.to_builtins(fields) == [msgspec.to_builtins(record.fields) for record in one_by_one]
    assert RecordDecoder(schema, "logs").many([]) == ([], [])


def test_of_many_records_none_takes_the_place_of_what_is_no_object() -> None:
    decode = RecordDecoder(SCHEMA, "logs")
    assert decode(b"null") is None
    with pytest.raises(msgspec.ValidationError, match="no JSON object"):
        decode.many([FITTING.encode(), b"null", FITTING.encode()])


@pytest.mark.parametrize("source", ["get", "list"])
def test_one_odd_value_of_each_kind_fails_no_run(source: str, tmp_path: Path) -> None:
    subject = Subject("message_logs")
    odd = {
        "url": "",
        "number_of_segments": 2**63,
        "charge": "NaN",
        "error_code": 30007,
        "status": "a\0b",
        "discarded_at": "n/a",
        "charge_details": [{"description": None, "charge": "0.10"}],
    }
    with Simulator(messages=3, seed=7, days=2) as sim:
        added = {sim.add({name: value}): name for name, value in odd.items()}
        run = subject.run(tmp_path, sim, record_source=source)
        assert run.code == 0, run.log
        assert run.by_id.keys() == sim.truth().keys()
    assert all(promises_kept(record, {"type": ["object"], **SCHEMAS["message_logs"]}) for record in run.records)
    out = {name: run.by_id[log_id][name] for log_id, name in added.items()}
    assert out == {
        "url": None,
        "number_of_segments": None,
        "charge": None,
        "error_code": "30007",
        "status": "ab",
        "discarded_at": None,
        "charge_details": [{"description": None, "charge": Decimal("0.10")}],
    }
    for name in ("url", "number_of_segments", "charge", "discarded_at"):
        assert run.log.count(f"field '{name}': invalid") == 1


PLAIN = {
    "uuid": [ID, ID.upper()],
    "uri": [
        "https://example.signalwire.com/api/laml/2010-04-01/Accounts/7/Messages/c38dacad-2f6c",
        "https://a",
        "https://",
    ],
    "date-time": ["2026-01-31T08:00:00Z", "2024-02-29T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"],
}
NEARLY = {
    "uuid": ["", ID[:-1], f"{ID}\n", f"{ID}\n{ID}", f" {ID}", f"{ID[:-1]}g", f"{ID[:-1]}\u0661", "\ud800"],
    "uri": [
        "",
        "https:",
        "http://a",
        "https://a:b",
        "https://a\nhttps://b",
        "https://a\n",
        "https://a b",
        "x",
        "https://\xe9",
    ],
    "date-time": [
        *("", "0000-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z"),
        *("2026-01-31T24:00:00Z", "2026-01-31T23:60:00Z", "2026-01-31T23:59:60Z", "2026-01-31 08:00:00Z"),
        *("2026-01-31T08:00:00z", "2026-01-31T08:00:00", "2026-01-31T08:00:00.5Z", "2026-01-31T08:00:00Z\n"),
        "2026-01-31T08:00:00Z\n2026-01-31T08:00:00Z",
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("form", PLAIN)
@given(data=st.data())
@settings(deadline=None)
def test_what_is_said_of_many_texts_at_a_glance_is_so_of_each(form: str, data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.sampled_from(PLAIN[form]), min_size=1))
    assert _ALL_FIT[form](texts)
    assert all(map(_FITS[form], texts))
    texts += data.draw(st.lists(st.sampled_from(NEARLY[form]) | st.text(max_size=3)))
    if _ALL_FIT[form](data.draw(st.permutations(texts))):
        assert all(map(_FITS[form], texts))
