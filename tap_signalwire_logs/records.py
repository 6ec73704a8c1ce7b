"""Making an answer fit its stream's schema, whatever the service drifted to, without losing a digit."""

from __future__ import annotations

import logging
import re
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import msgspec

from tap_signalwire_logs.exact_json import decode_json, encode_json
from tap_signalwire_logs.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Record = dict[str, Any]

logger = logging.getLogger("tap-signalwire-logs.records")

_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_NUL = b"\\u0000"

PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float, Decimal),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


class Reader:
    """Reads records that fit a JSON schema out of JSON.

    Numbers sent as text become numbers, and NUL characters go (PostgreSQL has none). A field that the schema lacks is
    left out, and a value of a type that it doesn't know becomes text or null; each such field is named in a warning,
    once.
    """

    def __init__(self, schema: Mapping[str, Any], stream: str) -> None:
        """Make a decoder of the schema."""
        self._stream = stream
        self._properties: Mapping[str, Any] = schema["properties"]
        self._exact = {name: _exact_types(schema) for name, schema in self._properties.items()}
        self._decode = msgspec.json.Decoder(_struct(schema), float_hook=Decimal).decode
        self._is_finite = _finite_check(schema)
        self._said: set[str] = set()

    def __call__(self, body: bytes | bytearray) -> Record | None:
        """Record of a JSON object; None where the JSON is of another kind.

        Raises:
            msgspec.DecodeError, UnicodeDecodeError, RecursionError: It is no JSON.
        """
        if _NUL not in body:
            try:
                fields = self._decode(body)
            except msgspec.ValidationError:
                pass  # The service drifted.
            else:
                # As text, NaN and the infinite pass for numbers.
                lower = body.lower()
                if not (b"nan" in lower or b"inf" in lower) or self._is_finite(fields):
                    record: Record = msgspec.to_builtins(fields, builtin_types=(Decimal,))
                    return record
        record = decode_json(body)
        return self._fit_record(record) if isinstance(record, dict) else None

    def _fit_record(self, record: Record) -> Record:
        shaped = {}
        exact = self._exact
        for name, value in record.items():
            types = exact.get(name)
            if types is None:
                self._say(name, "is new: it is left out until the stream's schema knows it")
            elif type(value) in types and (type(value) is not str or "\0" not in value):
                shaped[name] = value
            else:
                shaped[name] = self._fit(value, self._properties[name], name)
        return shaped

    def _fit(self, value: Any, schema: Mapping[str, Any], path: str) -> Any:
        types = schema["type"]
        if value is None:
            return None
        if isinstance(value, list) and "array" in types:
            fitted = [self._fit(one, schema["items"], f"{path}[]") for one in value]
            return [one for one in fitted if one is not None]
        if isinstance(value, dict) and "object" in types:
            return (
                self._fit_object(value, schema["properties"], path) if "properties" in schema else _without_nul(value)
            )
        if isinstance(value, str) and "string" in types:
            return _without_nul(value)
        if any(type(value) in PYTHON_TYPES[kind] for kind in types if kind in PYTHON_TYPES):
            return value
        fitted = _convert(value, types)
        if fitted is None or isinstance(fitted, str):
            self._say(
                path, f"holds a value of an unexpected type: it comes out as {'null' if fitted is None else 'text'}"
            )
        return fitted

    def _fit_object(self, value: Record, properties: Mapping[str, Any], path: str) -> Record:
        fitted = {}
        for name, inner in value.items():
            if name in properties:
                fitted[name] = self._fit(inner, properties[name], f"{path}.{name}")
            else:
                self._say(f"{path}.{name}", "is new: it is left out until the stream's schema knows it")
        return fitted

    def _say(self, path: str, what: str) -> None:
        if path not in self._said:
            self._said.add(path)
            logger.warning("%s: the field %r %s", self._stream, redact(path[:100]), what)


def _exact_types(schema: Mapping[str, Any]) -> frozenset[type]:
    """Types whose values need no look inside."""
    names = [name for name in schema["type"] if name in {"string", "integer", "number", "boolean"}]
    types: set[type] = {python for name in names for python in PYTHON_TYPES[name]}
    if "null" in schema["type"]:
        types.add(type(None))
    return frozenset(types)


def _without_nul(value: Any) -> Any:
    """Decoded JSON of any shape without NUL characters."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, dict):
        return {_without_nul(name): _without_nul(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_nul(inner) for inner in value]
    return value


def _convert(value: Any, types: list[str]) -> Any:
    converters: dict[str, Callable[[Any], Any]] = {"integer": _integer, "number": _number, "string": _text}
    for kind, convert in converters.items():
        if kind in types:
            return convert(value)
    return None


def _number(value: Any) -> Decimal | None:
    return Decimal(value.strip()) if isinstance(value, str) and _NUMBER.fullmatch(value.strip()) else None


def _integer(value: Any) -> int | None:
    number = Decimal(value) if isinstance(value, (float, Decimal)) else _number(value)
    return int(number) if number is not None and abs(number) < 2**63 and number == int(number) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else encode_json(value).decode()


def _struct(schema: Mapping[str, Any]) -> type[msgspec.Struct]:
    """Class of the objects that a schema describes, whose decoding is the check that they fit."""
    fields = [
        # An attribute must be an identifier and no keyword (`from` is one); the JSON keeps the property's own name.
        (f"field_{place}", _union(*_types(of), msgspec.UnsetType), msgspec.field(name=name, default=msgspec.UNSET))
        for place, (name, of) in enumerate(schema["properties"].items())
    ]
    return msgspec.defstruct("Fields", fields, forbid_unknown_fields=True)


def _types(schema: Mapping[str, Any]) -> list[Any]:
    """Python types of what a schema describes; numbers are exact."""
    simple: dict[str, Any] = {"string": str, "integer": int, "number": Decimal, "boolean": bool, "null": None}
    types: list[Any] = [simple[kind] for kind in schema["type"] if kind in simple]
    if "array" in schema["type"]:
        types.append(list[_union(*_types(schema["items"]))])  # type: ignore[misc]  # a type made at run time
    if "object" in schema["type"]:
        types.append(_struct(schema) if "properties" in schema else dict[str, Any])
    return types


def _union(*types: Any) -> Any:
    return reduce(or_, types)


def _finite_check(schema: Mapping[str, Any]) -> Callable[[Any], bool]:
    """Check that no number of a struct is NaN or infinite: as text, they pass for numbers."""
    numbers = [f"field_{place}" for place, of in enumerate(schema["properties"].values()) if "number" in of["type"]]
    lists = [
        (f"field_{place}", _finite_check(of["items"]))
        for place, of in enumerate(schema["properties"].values())
        if "array" in of["type"] and "properties" in of["items"]
    ]

    def is_finite(fields: Any) -> bool:
        for name in numbers:
            number = getattr(fields, name)
            if type(number) is Decimal and not number.is_finite():
                return False
        return all(check(inner) for name, check in lists for inner in getattr(fields, name) or ())

    return is_finite
