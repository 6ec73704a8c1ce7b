"""A Space after two runs and two builds of the models, on DuckDB and PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import psycopg
from psycopg.rows import tuple_row

from tests.simulator import MISSING, Simulator
from tests.support.pipeline import Pipeline

if TYPE_CHECKING:
    from pathlib import Path

WAREHOUSES = ("duckdb", "postgres")
FAMILIES = ("voice_logs", "fax_logs", "video_logs", "conference_logs")
NOW = datetime.now(timezone.utc).replace(hour=15, minute=0, second=0, microsecond=0) - timedelta(days=2)
HOURS_BETWEEN = 10
BAD_NUMBER = "+15550109999"
SCRIPT = "</script><script>document.title='broken'</script>"
US, GB, CA, GUERNSEY, PUERTO_RICO = "+15550100001", "+447700900123", "+12045550101", "+441481960194", "+17872345678"


@dataclass
class Space:
    """A Space after two runs and two builds: its records, as they were when they were last seen."""

    pipeline: Pipeline
    url: str
    first_run: datetime
    second_run: datetime
    ids: dict[str, str]
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    others: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def rows(self, warehouse: str, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        if warehouse == "duckdb":
            with duckdb.connect(str(self.pipeline.database), read_only=True) as connection:
                return connection.execute(query).fetchall()
        with psycopg.connect(self.url, row_factory=tuple_row) as connection:
            return connection.execute(query.encode()).fetchall()

    def figures(self, warehouse: str, keys: int, query: str) -> dict[Any, tuple[Any, ...]]:
        """Rows of a query by their first columns; rates rounded, for databases divide differently."""
        rows = [tuple(map(rounded, row)) for row in self.rows(warehouse, query)]
        found = {row[0] if keys == 1 else row[:keys]: row[keys:] for row in rows}
        assert len(found) == len(rows)
        return found

    def build(self, warehouse: str, *arguments: str, now: datetime) -> str:
        """Run the utility's `build`, or another command of dbt's."""
        return self.pipeline.meltano(
            "invoke",
            *(arguments and (f"dbt-{warehouse}", *arguments)) or (f"dbt-{warehouse}:build",),
            TARGET_POSTGRES_SQLALCHEMY_URL=self.url,
            SIGNALWIRE_NOW=now.isoformat(),
        )


def rounded(value: Any) -> Any:
    return round(value, 9) if isinstance(value, float) else value


def _odd_messages(sim: Simulator) -> dict[str, str]:
    """Messages of every shape that the models have something to say about; gives their IDs."""
    made = sim.clock - timedelta(hours=5)
    sent = {"direction": "outbound-api", "from": US, "created_at": made.isoformat().replace("+00:00", "Z")}

    def add(**fields: Any) -> str:
        return sim.add({**sent, **fields})

    for number in range(60):
        message = f"A text to {GB} was refused: {SCRIPT}" if number == 0 else "Refused"
        code = {"status": "failed", "error_code": "carrier_violation", "error_message": message}
        add(to=US, **{"from": BAD_NUMBER}, **code)
    for number in range(40):
        add(to=f"+4477009001{number:02d}", status="delivered")
    minutes = [(made + timedelta(minutes=number)).isoformat().replace("+00:00", "Z") for number in range(5)]
    soon = sim.clock - timedelta(minutes=5)
    return {
        "read": add(to=GB, kind="whatsapp", status="read"),
        "whatsapp": add(to="whatsapp:+4915123456789", kind="whatsapp", status="delivered"),
        "word": add(to=CA, status="failed", error_code="carrier_violation", error_message="Carrier violation"),
        "unknown code": add(to=CA, status="undelivered", error_code="99999", error_message="New"),
        "island": add(to=GUERNSEY, status="delivered"),
        "shared code": add(to=PUERTO_RICO, status="undelivered", error_code="30003"),
        "toll-free": add(to=GB, **{"from": "+18005550123"}, number_of_segments=5),
        "short code": add(to=US, **{"from": "24681"}),
        "name": add(to=GB, **{"from": "ACME"}),
        "canadian": add(to=GB, **{"from": CA}, number_of_segments=2),
        "sip": add(to="sip:user@example.org", status="sent"),
        "nobody": add(to=None),
        "asked": add(to="+61491570156", created_at=minutes[1]),
        "early": sim.add({**sent, "direction": "inbound", "from": "+61491570156", "to": US, "created_at": minutes[0]}),
        "reply": sim.add({**sent, "direction": "inbound", "from": "+61491570156", "to": US, "created_at": minutes[3]}),
        "mms": add(to=GB, kind="mms", status="sent", charge=Decimal("0.015")),
        "new status": add(to=GB, status="teleported"),
        "new direction": add(to=GB, direction="sideways"),
        "no kind": add(to=GB, kind=MISSING),
        "not itemised": add(to=GB, charge=Decimal("0.000001"), charge_details=[]),
        "digits": add(
            to=GB,
            charge=Decimal("12345.678901"),
            charge_details=[
                {"description": "Outbound SMS", "charge": Decimal("12345.67")},
                {"description": "Carrier fee", "charge": Decimal("0.0089")},
            ],
        ),
        "late": sim.add(
            {**sent, "to": GB, "status": "sent", "created_at": soon.isoformat().replace("+00:00", "Z")},
            timeline=[(sim.clock + timedelta(hours=1), {"status": "delivered"})],
        ),
    }


def made_space(folder: Path, url: str) -> Space:
    """Run and build twice, `HOURS_BETWEEN` apart."""
    pipeline = Pipeline.shared(folder, "target-duckdb", "target-postgres", "dbt-duckdb", "dbt-postgres")
    counts = {"voice_logs": 120, "fax_logs": 60, "video_logs": 40, "conference_logs": 40}
    with Simulator(messages=1_500, seed=12, days=4, clock=NOW, families=counts) as sim:
        ids = _odd_messages(sim)
        space = Space(pipeline, url, sim.clock, sim.clock + timedelta(hours=HOURS_BETWEEN), ids)
        _run_and_build(space, sim)
        sim.advance(hours=HOURS_BETWEEN)
        _run_and_build(space, sim)
    return space


def _run_and_build(space: Space, sim: Simulator) -> None:
    for warehouse in WAREHOUSES:
        log = space.pipeline.run_with_models(
            sim,
            warehouse,
            TAP_SIGNALWIRE_LOGS__SELECT='["*.*"]',
            TARGET_POSTGRES_SQLALCHEMY_URL=space.url,
            SIGNALWIRE_NOW=sim.clock.isoformat(),
            # A test reads the manifest of this one.
            DBT_WRITE_JSON=str(warehouse == "duckdb"),
        )
        assert " ERROR=0 " in log
    # A log that was deleted since stays in the table, as it last was.
    space.messages.update(sim.truth())
    for family in FAMILIES:
        space.others.setdefault(family, {}).update(sim.truth(family=family))
