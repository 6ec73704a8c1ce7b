"""Records that keep what their stream's schema promises, whatever the service drifted to, without losing a digit."""

from __future__ import annotations

import keyword
import logging
import re
import string
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import reduce
from itertools import chain, compress
from operator import attrgetter, not_, or_
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote
from uuid import NAMESPACE_OID, UUID, uuid5

import msgspec

from tap_signalwire_logs.exact_json import encode_json
from tap_signalwire_logs.instants import parse_instant, to_text
from tap_signalwire_logs.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Record = dict[str, Any]

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
_is_date_time = re.compile(
    r"""(?!0000)
        (?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])
                      |(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)
                      |02-(?:0[1-9]|1[0-9]|2[0-8]))
          |(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)
        T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?(?:Z|\+00:00)""",
    re.VERBOSE,
).fullmatch
_FITS = {"uuid": _is_uuid, "uri": _is_uri, "date-time": _is_date_time}
"""How texts of a format are written, so that every loader reads them; date-times in UTC alone."""


# The same of many texts at a glance: their characters in one pass each. False says nothing.


def _are_uuids(texts: Sequence[str]) -> bool:
    return _lines(texts).translate(_HEX_AS_ZERO) == _lines(["00000000-0000-0000-0000-000000000000"] * len(texts))


def _are_uris(texts: Sequence[str]) -> bool:
    """Whether all are addresses of the plainest kind, with one colon each."""
    lines = _lines(texts)
    begin = lines.startswith(b"https://") + lines.count(b"\nhttps://")
    return begin == len(texts) and lines.translate(None, _PLAIN_IN_URIS) == _lines([":"] * len(texts))


def _are_date_times(texts: Sequence[str]) -> bool:
    """Whether all are whole seconds in UTC: the form by its characters, the rest by a decoder."""
    lines = _lines(texts)
    if lines.translate(_DIGIT_AS_ZERO) != _lines(["0000-00-00T00:00:00Z"] * len(texts)):
        return False
    try:
        _decode_date_times(b'["%b"]' % lines.replace(b"\n", b'","'))
    except msgspec.ValidationError:
        return False
    return True


def _lines(texts: Sequence[str]) -> bytes:
    return "\n".join(texts).encode(errors="replace")


_HEX_AS_ZERO = bytes.maketrans(string.hexdigits.encode(), b"0" * len(string.hexdigits))
_DIGIT_AS_ZERO = bytes.maketrans(string.digits.encode(), b"0" * len(string.digits))
_PLAIN_IN_URIS = (string.ascii_letters + string.digits + "._-/").encode()
_decode_date_times = msgspec.json.Decoder(list[datetime]).decode
_ALL_FIT = {"uuid": _are_uuids, "uri": _are_uris, "date-time": _are_date_times}

_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_URI_CHARACTERS = "%/?#[]@:!$&'()*+,;=~"


class DecodedRecord(msgspec.Struct):
    """A record on its way to the target.

    Attributes:
        json: A JSON object in one line that keeps every promise of the schema.
        fields: Its values. An attribute is called as the property, with a trailing underscore where that is a keyword
            (`from_`); what is absent is `msgspec.UNSET`, which is falsy. Date-times are text in UTC; numbers are int or
            float, to look at and not to add up: the digits are in `json`.
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
        strict = _struct(schema, _STRICT)
        self._decode = msgspec.json.Decoder(strict).decode
        self._decode_many = msgspec.json.Decoder(list[strict]).decode  # type: ignore[valid-type]  # a type made at run time
        self._decode_fitted = msgspec.json.Decoder(_struct(schema, _LENIENT)).decode
        self._promises = _Promises(schema)
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
                if self._promises.are_kept(fields, body):
                    if _NEWLINE in body or _RETURN in body:
                        body = msgspec.json.format(body, indent=-1)
                    return DecodedRecord(bytes(body), fields)
        record = _decode_untyped(body)
        return self._fit_record(record) if isinstance(record, dict) else None

    def fields_of(self, bodies: Sequence[bytes]) -> Sequence[Any] | None:
        """`fields` of JSON objects that are their own records; None where one may not be, or is no JSON."""
        joined = b"[%b]" % b",".join(bodies)
        if _NEWLINE in joined or _RETURN in joined or (_BACKSLASH in joined and _NUL in joined):
            return None
        try:
            records = self._decode_many(joined)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return records if self._promises.are_kept_by_all(records, bodies) else None

    def many(self, bodies: Sequence[bytes]) -> tuple[Sequence[bytes], Sequence[Any]]:
        """`json` of the records of JSON objects, and `fields`, each in its object's place.

        They are the same as one by one; where all of them fit, it takes half the time.

        Raises:
            msgspec.DecodeError, UnicodeDecodeError, RecursionError: One is no JSON, or no object.
        """
        fields = self.fields_of(bodies)
        if fields is not None:
            return bodies, fields
        decoded = list(map(self._of_object, bodies))
        return [record.json for record in decoded], [record.fields for record in decoded]

    def _of_object(self, body: bytes) -> DecodedRecord:
        record = self(body)
        if record is None:
            message = "no JSON object"
            raise msgspec.ValidationError(message)
        return record

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
        fields = self._decode_fitted(json)
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
    return text if _is_date_time(text) else to_text(instant)


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

_INT64 = Annotated[int, msgspec.Meta(ge=MIN_INT64, le=MAX_INT64)]
_LENIENT: dict[str, list[Any]] = {"string": [str], "integer": [_INT64], "number": [int, float], "boolean": [bool]}
"""Python types of JSON's."""
_STRICT = {**_LENIENT, "number": [_INT64, Annotated[float, msgspec.Meta(gt=-MAX_NUMBER, lt=MAX_NUMBER)]]}
"""The same where a record fits as it came; a fitted one may have a charge of more than 64 bits."""


def _struct(schema: Mapping[str, Any], simple: Mapping[str, list[Any]]) -> type[msgspec.Struct]:
    fields = [
        (
            attribute_name(name),
            _union(*_types(of, simple), msgspec.UnsetType),
            msgspec.field(name=name, default=msgspec.UNSET),
        )
        for name, of in schema["properties"].items()
    ]
    return msgspec.defstruct("Fields", fields, forbid_unknown_fields=True)


def _types(schema: Mapping[str, Any], simple: Mapping[str, list[Any]]) -> list[Any]:
    """Python types of what a schema describes."""
    types: list[Any] = [python for kind in schema["type"] for python in simple.get(kind, [])]
    if "null" in schema["type"]:
        types.append(None)
    if "array" in schema["type"]:
        types.append(list[_union(*_types(schema["items"], simple))])  # type: ignore[misc]  # a type made at run time
    if "object" in schema["type"]:
        types.append(_struct(schema, simple) if "properties" in schema else dict[str, Any])
    return types


def _union(*types: Any) -> Any:
    return reduce(or_, types)


class _Promises:
    """Check of what the typed decoder passes: formats, numbers that a double takes for zero, free objects.

    Of one record, or field by field of many, which is less to do than one after another.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        properties: Mapping[str, Any] = schema["properties"]
        getters = {name: attrgetter(attribute_name(name)) for name in properties}
        self._texts = [
            (getters[name], _FITS[of["format"]], _ALL_FIT[of["format"]])
            for name, of in properties.items()
            if of.get("format") in _FITS
        ]
        self._has_free = any("object" in of["type"] and "properties" not in of for of in properties.values())
        self._numbers = [getters[name] for name, of in properties.items() if "number" in of["type"]]
        self._lists = [
            (getters[name], _Promises(of["items"]))
            for name, of in properties.items()
            if "array" in of["type"] and "properties" in of["items"]
        ]

    def are_kept(self, record: Any, body: bytes | bytearray) -> bool:
        """Whether a record, decoded of this body, keeps them."""
        for text_of, fits, _ in self._texts:
            text = text_of(record)
            if text.__class__ is str and not fits(text):
                return False
        if self._has_free:
            return _is_plain(body)
        return self.zeros_are_zero(record, body)

    def are_kept_by_all(self, records: Sequence[Any], bodies: Sequence[bytes]) -> bool:
        """Whether each record, decoded of the body in its place, surely keeps them."""
        for text_of, fits, all_fit in self._texts:
            texts = [text for text in map(text_of, records) if text.__class__ is str]
            if not (all_fit(texts) or all(map(fits, texts))):
                return False
        if self._has_free:
            return all(map(_is_plain, bodies))
        return not any(map(_holds_tiny, self._with_zeros(records, bodies)))

    def _with_zeros(self, records: Sequence[Any], bodies: Sequence[bytes]) -> Iterator[bytes]:
        """Bodies of the records in which a number is zero, or lacks."""
        for number_of in self._numbers:
            yield from compress(bodies, map(not_, map(number_of, records)))
        for items_of, promises in self._lists:
            lists = list(map(items_of, records))
            if not promises.hold_no_zero(list(chain.from_iterable(filter(None, lists)))):
                yield from compress(bodies, lists)

    def hold_no_zero(self, records: Sequence[Any]) -> bool:
        """Whether no number of the records is zero, or lacks."""
        return all(all(map(number_of, records)) for number_of in self._numbers) and all(
            promises.hold_no_zero(list(chain.from_iterable(filter(None, map(items_of, records)))))
            for items_of, promises in self._lists
        )

    def zeros_are_zero(self, record: Any, body: bytes | bytearray) -> bool:
        """Whether no double took the digits of a number."""
        for number_of in self._numbers:
            number = number_of(record)
            if not number and number.__class__ is float and _holds_tiny(body):
                return False
        for items_of, promises in self._lists:
            for item in items_of(record) or ():
                if not promises.zeros_are_zero(item, body):
                    return False
        return True


def _is_plain(body: bytes | bytearray) -> bool:
    """Whether no text holds a NUL character, and no number one that a double would take for zero."""
    return b"\\u00" not in body and not _holds_tiny(body)


def _holds_tiny(body: bytes | bytearray) -> bool:
    """Whether there may be a number that a double would take for zero."""
    return (b"e-" in body or b"E-" in body) and _TINY.search(body) is not None
