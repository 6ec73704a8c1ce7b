"""What landed in PostgreSQL, in the shape of the service's records."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row


def rows_of(url: str, schema: str = "signalwire") -> dict[str, dict[str, Any]]:
    """Rows of the table by ID; none is there twice."""
    table = sql.Identifier(schema, "message_logs")
    with psycopg.connect(url, row_factory=dict_row) as connection:
        rows = connection.execute(sql.SQL("select * from {}").format(table)).fetchall()
    assert len({row["id"] for row in rows}) == len(rows)
    return {str(row["id"]): row for row in rows}


def as_record(row: dict[str, Any]) -> dict[str, Any]:
    """The record that a row was; jsonb has floats, whose shortest text is the number that was sent."""
    record = {name: value for name, value in row.items() if name != "discarded_at" or value is not None}
    return {
        **record,
        "id": str(row["id"]),
        "created_at": f"{row['created_at'].isoformat().removesuffix('+00:00')}Z",
        "charge_details": [{**one, "charge": Decimal(str(one["charge"]))} for one in row["charge_details"]],
    }


def records_of(url: str, schema: str = "signalwire") -> dict[str, dict[str, Any]]:
    """Records of the table by ID."""
    return {log_id: as_record(row) for log_id, row in rows_of(url, schema).items()}
