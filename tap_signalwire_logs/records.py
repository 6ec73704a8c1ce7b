"""Records that keep what their stream's schema promises, whatever the service drifted to, without losing a digit."""

from __future__ import annotations

import keyword
import logging
import re
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from urllib.parse import quote
from uuid import NAMESPACE_OID, UUID, uuid5

import msgspec

from tap_signalwire_logs.exact_json import encode_json
from tap_signalwire_logs.instants import parse_instant, to_text
from tap_signalwire_logs.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Record = dict[str, Any]
    Check = Callable[[msgspec.Struct, bytes | bytearray], bool]

logger = logging.getLogger("tap-signalwire-logs.records")

MIN_INT64, MAX_INT64 = -(2**63), 2**63 - 1
MAX_NUMBER, MIN_EXPONENT, MAX_EXPONENT = 1e308, -323, 307
"""Magnitude of the numbers that every loader can hold: that of a double."""

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NUL = b"\\u0000"
_BACKSLASH, _NEWLINE, _RETURN = b"\\\n\r"
_TINY = re.compile(rb"[0-9][eE]-[0-9]{3,}\s*[,}\]]")
_is_uuid = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch


def _any_of(more: str) -> str:
    """Pattern of any number of a URI's characters, escaped ones too, of which some are not allowed everywhere."""
    characters = rf"[A-Za-z0-9._~!$&'()*+,;={more}-]*"
    return f"{characters}(?:%[0-9A-Fa-f]{{2}}{characters})*"


_is_uri = re.compile(
    rf"""https?://[A-Za-z0-9.-]+/[A-Za-z0-9._~!$&'()*+,;=:@/-]*  # What mostly comes, at half the cost.
      | [A-Za-z][A-Za-z0-9+.-]*:
        (?://(?:{_any_of(":")}@)?(?:\[[0-9A-Fa-f:.]+\]|{_any_of("")})(?::[0-9]*)?(?=[/?\#]|\Z))?
        {_any_of(":@/")} (?:\?{_any_of(":@/?")})? (?:\#{_any_of(":@/?")})?""",
    re.VERBOSE,
).fullmatch
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_URI_CHARACTERS = "%/?#[]@:!$&'()*+,;=~"
_is_date_time = re.compile(
    rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|\+00:00)"
).fullmatch


class DecodedRecord(NamedTuple):
    """A record on its way to the target.

    Attributes:
        json: A JSON object in one line that keeps every promise of the schema.
        fields: Its values. An attribute is called as the property, with a trailing underscore where that is a keyword
            (`from_`); what is absent is `msgspec.UNSET`, which is falsy. Date-times are aware `datetime`s; numbers are
            int or float, to look at and not to add up: the digits are in `json`.
    """

    json: bytes
    fields: Any


class RecordDecoder:
    """Makes records of JSON: the service's own bytes where they fit the schema, else fitted ones.

    What is plainly readable is written as the schema says: a number or date-time in another form, a number as text.
    What is not becomes null, NUL characters go (PostgreSQL has none), and a field that the schema lacks is dropped;
    each such field is named in a warning, once. A key that is no UUID where the schema says so becomes a UUID made of
    it (version 5), because neither null nor the text itself could be loaded; `fields` keeps the service's own.

    Args:
        schema: JSON schema of an object; `type` is a list everywhere.
        stream: Name in the warnings.
    """

    def __init__(self, schema: Mapping[str, Any], stream: str) -> None:
        self._stream = stream
        self._properties = schema["properties"]
        self._required = frozenset(schema.get("required", ()))
        self._decode = msgspec.json.Decoder(_struct(schema)).decode
        self._keeps_promises = _check(schema)
        self._warned: set[str] = set()

    def __call__(self, body: bytes | bytearray) -> DecodedRecord | None:
        """Record of a JSON object; None where the JSON is of another kind.

        Raises:
            msgspec.DecodeError, UnicodeDecodeError, RecursionError: It is no JSON.
        """
        # A look for one byte costs a tenth of a look for several, and most bodies hold no backslash.
        if _BACKSLASH not in body or _NUL not in body:
            try:
                fields = self._decode(body)
            except msgspec.ValidationError:
                pass  # It does not fit.
            else:
                if self._keeps_promises(fields, body):
                    if _NEWLINE in body or _RETURN in body:
                        body = msgspec.json.format(body, indent=-1)
                    return DecodedRecord(bytes(body), fields)
        record = _decode_untyped(body)
        return self._fit_record(record) if isinstance(record, dict) else None

    def _fit_record(self, record: Record) -> DecodedRecord:
        fitted = self._fit_object(record, self._properties, "")
        keys = {}
        for name in self._required & fitted.keys():
            if fitted[name] is None:
                del fitted[name]
                if record[name] not in (None, "") and self._properties[name].get("format") == "uuid":
                    keys[name] = _text(record[name])
                    fitted[name] = str(uuid5(NAMESPACE_OID, keys[name]))
        json = encode_json(fitted)
        fields = self._decode(json)
        for name, key in keys.items():
            setattr(fields, attribute_name(name), key)
        return DecodedRecord(json, fields)

    def _fit_object(self, value: Record, properties: Mapping[str, Any], path: str) -> Record:
        fitted = {}
        for name, inner in value.items():
            if name in properties:
                fitted[name] = self._fit(inner, properties[name], f"{path}{name}")
            else:
                self._warn(f"{path}{name}", "unknown field, dropped; update the tap")
        return fitted

    def _fit(self, value: Any, schema: Mapping[str, Any], path: str) -> Any:
        types = schema["type"]
        if value is None:
            return None
        if isinstance(value, list) and "array" in types:
            fitted = [self._fit(one, schema["items"], f"{path}[]") for one in value]
            return [one for one in fitted if one is not None]
        if isinstance(value, dict) and "object" in types:
            if "properties" in schema:
                return self._fit_object(value, schema["properties"], f"{path}.")
            return self._fit_free(value, path)
        for kind, convert in _CONVERTERS.items():
            if kind in types:
                fitted = convert(value, schema.get("format"))
                if fitted is None and path in self._required:
                    self._warn(path, f"key is no {schema.get('format') or kind}, written as one made of it")
                elif fitted is None:
                    self._warn(path, f"invalid {schema.get('format') or kind}, written as null")
                elif kind == "string" and not isinstance(value, str):
                    self._warn(path, "not a string, written as text")
                return fitted
        self._warn(path, f"not {_kind_of(types)}, written as null")
        return None

    def _fit_free(self, value: Any, path: str) -> Any:
        """JSON of any shape without NUL characters and without numbers that no loader holds."""
        if isinstance(value, str):
            return value.replace("\0", "")
        if isinstance(value, dict):
            return {self._fit_free(name, path): self._fit_free(inner, path) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._fit_free(inner, path) for inner in value]
        if isinstance(value, Decimal):
            number = _number(value)
            if number is None:
                self._warn(path, "holds an invalid number, written as null")
            return number
        return value

    def _warn(self, path: str, what: str) -> None:
        if path not in self._warned:
            self._warned.add(path)
            logger.warning("%s: field %r: %s", self._stream, redact(path[:100]), what)


def attribute_name(name: str) -> str:
    """Attribute of a record's fields that holds a property."""
    return f"{name}_" if keyword.iskeyword(name) else name


def _kind_of(types: Iterable[str]) -> str:
    return next(kind for kind in types if kind != "null")


def _lenient_decimal(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation:
        return Decimal("NaN")  # An exponent beyond what a Decimal holds.


_decode_untyped = msgspec.json.Decoder(float_hook=_lenient_decimal).decode


# What makes a value fit; None where it can't.


def _boolean(value: Any, _: str | None) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def _integer(value: Any, _: str | None) -> int | None:
    number = _number(value)
    if number is None or not MIN_INT64 <= number <= MAX_INT64 or number != int(number):
        return None
    return int(number)


def _number(value: Any, _: str | None = None) -> int | Decimal | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = _lenient_decimal(value.strip())
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    number = Decimal(value)
    if not number.is_finite():
        return None
    if MIN_EXPONENT <= number.adjusted() <= MAX_EXPONENT:
        return value
    return None if number else 0


def _text(value: Any) -> str:
    return value.replace("\0", "") if isinstance(value, str) else encode_json(value).decode()


def _string(value: Any, form: str | None) -> str | None:
    if form is None:
        return _text(value)
    return _FORMS[form](value.replace("\0", "").strip()) if isinstance(value, str) else None


def _date_time(text: str) -> str | None:
    try:
        instant = parse_instant(text)
    except ValueError:
        return None
    return text if _is_date_time(text.encode()) else to_text(instant)


def _uuid(text: str) -> str | None:
    if _is_uuid(text):
        return text
    try:
        return str(UUID(text))
    except ValueError:
        return None


def _uri(text: str) -> str | None:
    escaped = quote(_STRAY_PERCENT.sub("%25", text), safe=_URI_CHARACTERS)
    return escaped if _is_uri(escaped) else None


_CONVERTERS: dict[str, Callable[[Any, str | None], Any]] = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "string": _string,
}
_FORMS: dict[str, Callable[[str], str | None]] = {"date-time": _date_time, "uuid": _uuid, "uri": _uri}


# The typed decoder, whose decoding is most of the check, and what it can't check.


def _struct(schema: Mapping[str, Any]) -> type[msgspec.Struct]:
    fields = [
        (
            attribute_name(name),
            _union(*_types(of), msgspec.UnsetType),
            msgspec.field(name=name, default=msgspec.UNSET),
        )
        for name, of in schema["properties"].items()
    ]
    return msgspec.defstruct("Fields", fields, forbid_unknown_fields=True)


_INT64 = Annotated[int, msgspec.Meta(ge=MIN_INT64, le=MAX_INT64)]


def _types(schema: Mapping[str, Any]) -> list[Any]:
    """Python types of what a schema describes."""
    texts = {None: str, "date-time": datetime}
    text = texts.get(schema.get("format"), Annotated[str, msgspec.Meta(min_length=1)])
    simple: dict[str, Any] = {"string": [text], "integer": [_INT64], "number": [int, float], "boolean": [bool]}
    types: list[Any] = [python for kind in schema["type"] for python in simple.get(kind, [])]
    if "null" in schema["type"]:
        types.append(None)
    if "array" in schema["type"]:
        types.append(list[_union(*_types(schema["items"]))])  # type: ignore[misc]  # a type made at run time
    if "object" in schema["type"]:
        types.append(_struct(schema) if "properties" in schema else dict[str, Any])
    return types


def _union(*types: Any) -> Any:
    return reduce(or_, types)


def _check(schema: Mapping[str, Any]) -> Check:
    """Check of what the typed decoder passes: formats as they are written, and numbers at the ends of a double."""
    properties: Mapping[str, Any] = schema["properties"]
    texts = [
        (attribute_name(name), {"uuid": _is_uuid, "uri": _is_uri}[of["format"]])
        for name, of in properties.items()
        if of.get("format") in {"uuid", "uri"}
    ]
    names = [name for name, of in properties.items() if of.get("format") == "date-time"]
    date_times = [(attribute_name(name), _plain_check(name)) for name in names]
    numbers_fit = _check_of_numbers(schema)
    has_free = any("object" in of["type"] and "properties" not in of for of in properties.values())

    def keeps_promises(fields: Any, body: bytes | bytearray) -> bool:
        for name, fits in texts:
            text = getattr(fields, name)
            if text and not fits(text):
                return False
        for name, is_plain in date_times:
            instant = getattr(fields, name)
            if instant and not (instant.tzinfo is timezone.utc and is_plain(body)):
                return False
        return numbers_fit(fields, body)

    def keeps_promises_with_free(fields: Any, body: bytes | bytearray) -> bool:
        # A free object may hold anything, a date-time under the same name too.
        keys = (f'"{name}"'.encode() for name in names)
        is_clear = b"\\u00" not in body and all(body.count(key) <= 1 for key in keys)
        return is_clear and not _holds_tiny(body) and keeps_promises(fields, body)

    return keeps_promises_with_free if has_free else keeps_promises


def _plain_check(name: str) -> Callable[[bytes | bytearray], bool]:
    """Check that the date-time of a key, which is one in UTC, is written as every loader reads it."""
    key, compact = f'"{name}"'.encode(), f'"{name}":"'.encode()
    t, z = (len(compact) + "2026-01-31T08:00:00Z".index(letter) for letter in "TZ")

    def is_plain(body: bytes | bytearray) -> bool:
        at = body.rfind(compact)
        if at >= 0 and body[at + t : at + t + 1] == b"T" and body[at + z : at + z + 1] == b"Z":
            return True
        start = body.find(b'"', body.rfind(key) + len(key))
        text = bytes(body[start + 1 : body.find(b'"', start + 1)])
        return _is_date_time(text) is not None

    return is_plain


def _check_of_numbers(schema: Mapping[str, Any]) -> Check:
    names = [attribute_name(name) for name, of in schema["properties"].items() if "number" in of["type"]]
    lists = [
        (attribute_name(name), _check_of_numbers(of["items"]))
        for name, of in schema["properties"].items()
        if "array" in of["type"] and "properties" in of["items"]
    ]

    def numbers_fit(fields: Any, body: bytes | bytearray) -> bool:
        for name in names:
            number = getattr(fields, name)
            if number:
                if not -MAX_NUMBER < number < MAX_NUMBER:
                    return False
            elif number.__class__ is float and _holds_tiny(body):
                return False
        for name, fit in lists:
            for item in getattr(fields, name) or ():
                if not fit(item, body):
                    return False
        return True

    return numbers_fit


def _holds_tiny(body: bytes | bytearray) -> bool:
    """Whether there may be a number that a double would take for zero."""
    return (b"e-" in body or b"E-" in body) and _TINY.search(body) is not None
