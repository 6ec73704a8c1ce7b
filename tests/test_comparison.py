"""What counts as equal, and how two sides are laid side by side."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tap_signalwire_logs.comparison import QUIRKS, Comparison, Entry, RangeComparison

if TYPE_CHECKING:
    from collections.abc import Iterable

TYPES = {
    "text": {"type": ["string", "null"]},
    "number": {"type": ["number", "null"]},
    "integer": {"type": ["integer", "null"]},
    "boolean": {"type": ["boolean", "null"]},
    "instant": {"type": ["string", "null"], "format": "date-time"},
    "uuid": {"type": ["string", "null"], "format": "uuid"},
    "list": {"type": ["array", "null"], "items": {"type": ["object"]}},
    "object": {"type": ["object", "null"]},
}
CENT = Decimal("0.01")


def are_equal(of: str, record: Any, row: Any, *, loader: str = "jsonl", column: str = "") -> bool:
    schema = {"properties": {"id": {"type": ["string"]}, "value": TYPES[of]}}
    columns = {"id": "text", "value": column}
    comparison = Comparison(schema, columns, QUIRKS[loader], key=("id",), created="created_at")
    comparison.compare({"id": "a", "value": record}, {"id": "a", "value": row})
    return comparison.report.equal == 1


@pytest.mark.parametrize(
    ("of", "record", "row"),
    [
        pytest.param("text", "a", "a", id="text"),
        pytest.param("text", None, None, id="null"),
        pytest.param("number", Decimal("0.00415"), Decimal("0.004150"), id="the digits of money"),
        pytest.param("number", 0, Decimal("0.0"), id="nothing, in two ways"),
        pytest.param("number", CENT, "0.01", id="a number as text"),
        pytest.param("integer", 3, Decimal(3), id="a whole number"),
        pytest.param("boolean", True, True, id="a boolean"),
        pytest.param("instant", "2026-01-01T00:00:00Z", 1_767_225_600_000_000, id="an instant in microseconds"),
        pytest.param("instant", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00+02:00", id="an instant in another zone"),
        pytest.param("uuid", "9EE38635-899A-490A-BFD1-9E72F5EEA53C", "9ee38635-899a-490a-bfd1-9e72f5eea53c", id="UUID"),
        pytest.param("list", [{"charge": CENT}], '[{"charge": 0.01, "description": null}]', id="a list as text"),
        pytest.param("object", {"a": {"b": [1, "x"]}}, {"a": {"b": [Decimal(1), "x"]}}, id="an object of any shape"),
    ],
)
@pytest.mark.parametrize("loader", QUIRKS)
def test_what_is_the_same_in_two_forms_is_equal(of: str, record: Any, row: Any, loader: str) -> None:
    assert are_equal(of, record, row, loader=loader)


@pytest.mark.parametrize(
    ("of", "record", "row"),
    [
        pytest.param("text", "a", "a ", id="a blank more"),
        pytest.param("text", "a", None, id="null for text"),
        pytest.param("text", "1", 1, id="a number for text"),
        pytest.param("number", CENT, Decimal("0.010001"), id="a millionth more"),
        pytest.param("number", CENT, None, id="null for a number"),
        pytest.param("number", CENT, "cheap", id="no number"),
        pytest.param("number", 0, None, id="null for 0"),
        pytest.param("boolean", False, 0, id="0 for false"),
        pytest.param("instant", "2026-01-01T00:00:00Z", 1_767_225_600_000_001, id="a microsecond later"),
        pytest.param("instant", "2026-01-01T00:00:00Z", "soon", id="no instant"),
        pytest.param("list", [{"charge": CENT}], [], id="a list that is shorter"),
        pytest.param("list", [{"charge": CENT}], '[{"charge": 0.02}]', id="another charge within"),
        pytest.param("list", [{"charge": CENT}], "[{", id="no JSON"),
        pytest.param("object", {"a": 1}, {"a": 1, "b": 2}, id="more within"),
        pytest.param("object", {"a": True}, {"a": 1}, id="1 for true within"),
    ],
)
@pytest.mark.parametrize("loader", QUIRKS)
def test_what_differs_is_stale_whatever_the_loader(of: str, record: Any, row: Any, loader: str) -> None:
    assert not are_equal(of, record, row, loader=loader, column="numeric")


@pytest.mark.parametrize(
    ("of", "record", "row", "loaders"),
    [
        pytest.param("text", "", None, {"duckdb"}, id="an empty text is null"),
        pytest.param("list", [], None, {"duckdb", "bigquery"}, id="an empty list is null"),
        pytest.param("list", None, [], {"duckdb", "bigquery"}, id="null is an empty list"),
        pytest.param("text", "a\0b", "ab", {"postgres"}, id="no NUL"),
    ],
)
def test_what_a_loader_is_known_to_do_is_no_difference_of_it_alone(
    of: str, record: Any, row: Any, loaders: set[str]
) -> None:
    assert {loader for loader in QUIRKS if are_equal(of, record, row, loader=loader)} == loaders


def test_a_column_of_doubles_holds_the_nearest() -> None:
    sent = Decimal("0.12345678901234567890")
    assert are_equal("number", sent, Decimal(repr(float(sent))), column="DOUBLE")
    assert not are_equal("number", sent, Decimal(repr(float(sent))), column="numeric")
    assert not are_equal("number", CENT, Decimal("0.0100000000001"), column="DOUBLE")
    assert not are_equal("number", CENT, "cheap", column="DOUBLE")


SCHEMA = {"properties": {"id": {"type": ["string"]}, "status": TYPES["text"], "created_at": TYPES["instant"]}}


def entries(*logs: str) -> list[Entry]:
    """Logs from `id@second`, or `id@second=status`."""
    made = []
    for log in logs:
        name, _, status = log.partition("=")
        log_id, _, second = name.partition("@")
        record = {"id": log_id, "created_at": int(second) * 1_000_000, "status": status or "sent"}
        made.append(Entry((record["created_at"], log_id), record))
    return made


def laid_side_by_side(space: list[Entry], table: list[Entry], elsewhere: Iterable[Entry] = ()) -> dict[str, Any]:
    columns = dict.fromkeys(SCHEMA["properties"], "text")
    comparison = RangeComparison(SCHEMA, columns, QUIRKS["jsonl"], key=("id",), created="created_at")
    assert [entry.record for entry in comparison.in_order(space, table)] == [entry.record for entry in space]
    comparison.finish(lambda ids: [Entry((row.record["id"],), row.record) for row in elsewhere if row.place[1] in ids])
    report = comparison.report
    named = {kind: " ".join(name.split()[0] for name in names) for kind, names in report.named.items()}
    return {"equal": report.equal, "true": report.is_true, **named}


@pytest.mark.parametrize(
    ("space", "table", "found"),
    [
        pytest.param("a@1 b@1 c@2", "a@1 b@1 c@2", {"equal": 3, "true": True}, id="equal"),
        pytest.param("", "", {"equal": 0, "true": True}, id="nothing on either side"),
        pytest.param("a@1 b@1", "", {"equal": 0, "true": False, "missing": "a b"}, id="an empty table"),
        pytest.param("", "a@1 b@1", {"equal": 0, "true": True, "gone": "a b"}, id="an empty Space"),
        pytest.param("a@1 b@1 c@2", "b@1", {"equal": 1, "true": False, "missing": "a c"}, id="missing at both ends"),
        pytest.param("b@1", "a@1 b@1 c@2", {"equal": 1, "true": True, "gone": "a c"}, id="gone at both ends"),
        pytest.param("a@1 b@2", "a@1 a@1 b@2 b@2 b@2", {"equal": 2, "true": False, "doubled": "a b b"}, id="doubled"),
        pytest.param("a@1 b@2", "a@1=read b@2", {"equal": 1, "true": False, "stale": "a"}, id="stale"),
        pytest.param("a@1 b@2", "b@2 a@9", {"equal": 1, "true": False, "stale": "a"}, id="landed with another time"),
        pytest.param("a@1 b@1", "b@1 a@1", {"equal": 2, "true": True}, id="another order of one second"),
    ],
)
def test_two_sides_are_laid_side_by_side(space: str, table: str, found: dict[str, Any]) -> None:
    assert laid_side_by_side(entries(*space.split()), entries(*table.split())) == found


def test_a_row_that_lies_out_of_the_range_is_stale_and_not_missing() -> None:
    space = entries(*(f"{number:05}@1" for number in range(2_500)))
    found = laid_side_by_side(space, space[:1], entries("00007@99", "02400@99"))
    assert (found["equal"], found["stale"]) == (1, "00007 02400")


def test_ten_of_each_are_named_and_all_are_counted() -> None:
    columns = dict.fromkeys(SCHEMA["properties"], "text")
    comparison = Comparison(SCHEMA, columns, QUIRKS["jsonl"], key=("id",), created="created_at")
    space = entries(*(f"{number:03}@{number}" for number in range(25)))
    assert len(list(comparison.in_order(space, []))) == 25
    assert (comparison.report.missing, len(comparison.report.named["missing"])) == (25, 10)


def test_rows_of_what_is_not_listed_are_passed_over_where_the_range_is_of_something_else() -> None:
    columns = dict.fromkeys(SCHEMA["properties"], "text")
    comparison = Comparison(SCHEMA, columns, QUIRKS["jsonl"], key=("id",), created="created_at")

    def events(*places: tuple[str, int]) -> list[Entry]:
        return [Entry(place, {"id": place[0], "created_at": 0, "status": "x"}) for place in places]

    space = events(("b", 0), ("b", 1), ("d", 0))
    table = events(("a", 0), ("b", 0), ("b", 2), ("c", 0), ("d", 0), ("d", 1), ("e", 0))
    list(comparison.in_order(space, table, of_listed_only=True))
    report = comparison.report
    assert (report.equal, report.missing, report.gone) == (2, 1, 2)


def test_a_property_without_a_column_is_told_where_a_log_has_it() -> None:
    comparison = Comparison(SCHEMA, {"id": "text"}, QUIRKS["jsonl"], key=("id",), created="created_at")
    comparison.compare({"id": "a", "status": "sent", "created_at": None}, {"id": "a"})
    assert (comparison.report.equal, comparison.not_compared) == (1, ["status"])
