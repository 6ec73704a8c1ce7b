"""Writes the report; Meltano runs it as the command `report` of the dbt utilities, with their settings."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from report import page, picture
from report.findings import sections
from report.warehouse import connect


def main() -> None:
    """Write the files that the arguments ask for, and name them."""
    arguments = _parser().parse_args()
    with connect() as warehouse:
        if not warehouse.has_models():
            sys.exit(f"report: no models in the schema {warehouse.schema}; run `build` first")
        found = sections(warehouse, days=arguments.days, show_numbers=arguments.show_numbers)
    if not found.sections:
        sys.exit("report: the models hold no outbound message yet; load some, and run `build` first")
    _write(arguments.output, page.html(found, arguments.title, arguments.note))
    for theme, path in (("light", arguments.svg), ("dark", arguments.dark_svg)):
        if path:
            _write(path, picture.svg(found, theme, arguments.title, arguments.note))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    sys.stdout.write(f"wrote {path}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="report", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("output/report.html"), help="the HTML file (%(default)s)")
    parser.add_argument("--svg", type=Path, help="a picture of the main charts beside it")
    parser.add_argument("--dark-svg", type=Path, help="the same for a dark page")
    parser.add_argument("--days", type=int, default=30, help="days up to the newest message (%(default)s)")
    parser.add_argument("--title", default="Messages", help="what stands at the top (%(default)s)")
    parser.add_argument("--note", default="", help="a line below the title")
    parser.add_argument(
        "--show-numbers", action="store_true", help="phone numbers in full; without it, they are masked"
    )
    return parser


if __name__ == "__main__":
    main()
