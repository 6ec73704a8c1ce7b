"""A loader's table beside the Space, field for field: both in order, side by side, with flat memory."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from tap_signalwire_logs.exact_json import encode_json
from tap_signalwire_logs.external_sort import ExternalSorter
from tap_signalwire_logs.instants import parse_instant, to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Record = dict[str, Any]
    Equals = Callable[[Any, Any], bool]

NAMED = 10
LOOKED_UP = 1_000
"""Missing logs that are looked for at once by their ID: what landed with another time may lie out of the range."""

DOUBLES = frozenset({"double", "double precision", "float", "float64", "real"})
"""Types of columns that hold the nearest double of a number."""

SHOWN = frozenset({"status"})
"""Texts that may be shown: the others can hold what a person wrote, or a number."""


@dataclass(frozen=True)
class Quirks:
    """What a loader is known to do to values."""

    empty_text_is_null: bool = False
    empty_list_is_null: bool = False
    drops_nul: bool = False


QUIRKS = {
    "duckdb": Quirks(empty_text_is_null=True, empty_list_is_null=True),
    "postgres": Quirks(drops_nul=True),
    "bigquery": Quirks(empty_list_is_null=True),
    "jsonl": Quirks(),
}


class Entry(NamedTuple):
    """A record in its place: of the Space, or a row of the table."""

    place: tuple[Any, ...]
    record: Record


@dataclass
class Report:
    """How many are equal, missing, stale, doubled and gone, and the first ten of each that is not equal."""

    equal: int = 0
    missing: int = 0
    stale: int = 0
    doubled: int = 0
    gone: int = 0
    named: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_true(self) -> bool:
        """Whether each log of the Space is in the table once, as it is now."""
        return not (self.missing or self.stale or self.doubled)

    @property
    def compared(self) -> int:
        """Logs of the Space so far."""
        return self.equal + self.missing + self.stale

    def add(self, kind: str, name: str) -> None:
        """Count one, and name it while it is one of the first."""
        setattr(self, kind, getattr(self, kind) + 1)
        names = self.named.setdefault(kind, [])
        if len(names) < NAMED:
            names.append(name)


class Comparison:
    """Compares records of the Space with rows of the table.

    Args:
        schema: The records' schema.
        columns: Types of the table's columns by name; other properties are not compared.
        quirks: What the loader does to values.
        key: Properties that tell a record from all others.
        created: The property that says when it was created.
    """

    def __init__(
        self,
        schema: Mapping[str, Any],
        columns: Mapping[str, str],
        quirks: Quirks,
        *,
        key: tuple[str, ...],
        created: str,
    ) -> None:
        self.report = Report()
        self._key = key
        self._created = created
        self._absent = [name for name in schema["properties"] if name not in columns]
        self._not_compared: set[str] = set()
        self._fields: list[tuple[str, Equals, bool]] = [
            (name, _equality(of, columns[name], quirks), name in SHOWN or not _is_text(of))
            for name, of in schema["properties"].items()
            if name in columns
        ]

    def in_order(
        self, space: Iterable[Entry], table: Iterable[Entry], *, of_listed_only: bool = False
    ) -> Iterator[Entry]:
        """Walk both sides, which have one order; gives each entry of the Space when it has been compared.

        Args:
            space: Records.
            table: Rows.
            of_listed_only: Whether rows whose first part of the place no record has are passed over, as they may be of
                logs outside of the range.
        """
        rows = iter(table)
        row = next(rows, None)
        last: Entry | None = None
        previous: Entry | None = None
        for entry in space:
            while row is not None and row.place < entry.place:
                if row.place == (last and last.place):
                    self._double(row)
                elif not of_listed_only or row.place[0] in (entry.place[0], previous and previous.place[0]):
                    self.only_in_table(row)
                last, row = row, next(rows, None)
            if row is not None and row.place == entry.place:
                self.compare(entry.record, row.record)
                last, row = row, next(rows, None)
            else:
                self.only_in_space(entry)
            previous = entry
            yield entry
        while row is not None:
            if row.place == (last and last.place):
                self._double(row)
            elif not of_listed_only or row.place[0] == (previous and previous.place[0]):
                self.only_in_table(row)
            last, row = row, next(rows, None)

    def compare(self, record: Record, row: Record) -> None:
        """Compare a log with its row."""
        self._not_compared.update(name for name in self._absent if record.get(name) is not None)
        differing = [
            (name, is_shown) for name, equals, is_shown in self._fields if not equals(record.get(name), row.get(name))
        ]
        if not differing:
            self.report.equal += 1
            return
        told = (
            f"{name} is {_shown(name, row)}, in the Space {_shown(name, record)}" if is_shown else f"{name} differs"
            for name, is_shown in differing
        )
        self.report.add("stale", f"{self._name(record)}: {'; '.join(told)}")

    @property
    def not_compared(self) -> list[str]:
        """Properties that logs have and the table has no column for, as where they are not selected."""
        return sorted(self._not_compared)

    def only_in_space(self, entry: Entry) -> None:
        """Note that a log has no row."""
        self.report.add("missing", self._name(entry.record))

    def only_in_table(self, row: Entry) -> None:
        """Note that a row is of no log."""
        self.report.add("gone", self._name(row.record))

    def _double(self, row: Entry) -> None:
        self.report.add("doubled", self._name(row.record))

    def _name(self, record: Record) -> str:
        key = " ".join(str(record.get(name)) for name in self._key)
        created = record.get(self._created)
        return f"{key} ({to_text(created) if isinstance(created, int) else created})"


class RangeComparison(Comparison):
    """The same in the order of created_at: what one side alone has is put aside, and matched by its key at the end.

    So a log that landed with another created_at is stale, and not both missing and gone.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._aside: ExternalSorter[tuple[str, int, bytes]] = ExternalSorter(itemgetter(0, 1))

    def only_in_space(self, entry: Entry) -> None:
        """Put it aside."""
        self._aside.add((entry.place[-1], 0, encode_json(entry.record)))

    def only_in_table(self, row: Entry) -> None:
        """Put it aside."""
        self._aside.add((row.place[-1], 1, encode_json(row.record)))

    def finish(self, look_up: Callable[[list[str]], Iterable[Entry]]) -> None:
        """Match what was put aside, and look for the rest in the whole table.

        Args:
            look_up: Rows of some keys, in their order.
        """
        missing: list[Entry] = []
        before: tuple[str, bytes] | None = None
        for key, side, body in self._aside.drain():
            if side == 0:
                self._miss(before, missing, look_up)
                before = (key, body)
            elif before and before[0] == key:
                self.compare(_decode(before[1]), _decode(body))
                before = None
            else:
                super().only_in_table(Entry((key,), _decode(body)))
        self._miss(before, missing, look_up)
        self._look_up(missing, look_up)

    def _miss(
        self, one: tuple[str, bytes] | None, missing: list[Entry], look_up: Callable[[list[str]], Iterable[Entry]]
    ) -> None:
        if one is None:
            return
        missing.append(Entry((one[0],), _decode(one[1])))
        if len(missing) == LOOKED_UP:
            self._look_up(missing, look_up)

    def _look_up(self, missing: list[Entry], look_up: Callable[[list[str]], Iterable[Entry]]) -> None:
        if missing:
            rows = {row.place: row.record for row in look_up([entry.place[0] for entry in missing])}
            for entry in missing:
                if entry.place in rows:
                    self.compare(entry.record, rows[entry.place])
                else:
                    super().only_in_space(entry)
        missing.clear()


_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def _is_text(schema: Mapping[str, Any]) -> bool:
    types = schema.get("type") or ()
    return schema.get("format") != "date-time" and not {"number", "integer", "boolean"} & set(types)


def _shown(name: str, record: Record) -> str:
    value = record.get(name)
    if name.endswith("_at") and isinstance(value, int):
        return to_text(value)
    return "null" if value is None else str(value)


def _equality(schema: Mapping[str, Any], column: str, quirks: Quirks) -> Equals:
    """Whether a value of a record and one of a row are the same."""
    types = schema.get("type") or ()
    if "array" in types or "object" in types:
        equals = _equal_json
    elif schema.get("format") == "date-time":
        equals = _equal_instants
    elif schema.get("format") == "uuid":
        equals = _equal_uuids
    elif "number" in types or "integer" in types:
        equals = _equal_doubles if column.lower() in DOUBLES else _equal_numbers
    else:
        equals = _equal_plainly
    null_like = [*([""] if quirks.empty_text_is_null else []), *([[]] if quirks.empty_list_is_null else [])]

    def is_equal(record: Any, row: Any) -> bool:
        if record is None or row is None:
            return (record is None or record in null_like) and (row is None or row in null_like)
        if quirks.drops_nul and isinstance(record, str):
            record = record.replace("\0", "")
        return equals(record, row)

    return is_equal


def _equal_plainly(record: Any, row: Any) -> bool:
    # In Python, true is 1.
    return isinstance(record, bool) is isinstance(row, bool) and bool(record == row)


def _equal_uuids(record: Any, row: Any) -> bool:
    return str(record).lower() == str(row).lower()


def _equal_numbers(record: Any, row: Any) -> bool:
    if isinstance(record, bool) or isinstance(row, bool):
        return record is row
    try:
        return record == row or Decimal(str(record)) == Decimal(str(row))
    except InvalidOperation:
        return False


def _equal_doubles(record: Any, row: Any) -> bool:
    """Whether a number is as near to another as a double can hold it."""
    if _equal_numbers(record, row):
        return True
    try:
        return float(record) == float(row)
    except ValueError:
        return False


def _equal_instants(record: Any, row: Any) -> bool:
    try:
        return _micros(record) == _micros(row)
    except ValueError:
        return bool(record == row)


def _micros(value: Any) -> int:
    return value if isinstance(value, int) else parse_instant(value)


def _equal_json(record: Any, row: Any) -> bool:
    """Whether lists and objects are the same, however the loader wrote them: as text, or as its own types."""
    if isinstance(row, str) and not isinstance(record, str):
        try:
            row = json.loads(row, parse_float=Decimal)
        except ValueError:
            return False
    if isinstance(record, list) and isinstance(row, list):
        return len(record) == len(row) and all(map(_equal_json, record, row))
    if isinstance(record, dict) and isinstance(row, dict):
        return all(_equal_json(record.get(name), row.get(name)) for name in record.keys() | row.keys())
    if isinstance(record, (int, Decimal)) and not isinstance(record, bool):
        return row is not None and _equal_numbers(record, row)
    return _equal_plainly(record, row)
