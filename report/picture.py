"""The main charts in one picture, for a page that runs no script, such as a README."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import vl_convert

from report.page import VEGALITE
from report.themes import CONFIG, painted

if TYPE_CHECKING:
    from report.findings import Findings, Section

WIDTH = 430
COLUMNS = (("delivery", "spend"), ("errors", "numbers"))


def svg(found: Findings, theme: str, title: str, note: str) -> str:
    """The picture."""
    by_key = {section.key: section for section in found.sections}
    columns = [
        alt.vconcat(*(_drawn(by_key[key]) for key in keys if key in by_key), spacing=32).resolve_scale(
            color="independent"
        )
        for keys in COLUMNS
    ]
    period = f"{found.first:%B} {found.first.day} to {found.last:%B} {found.last.day}, {found.last.year}"
    heading = alt.TitleParams(title, subtitle=f"{period}. {note}".strip(), fontSize=20, subtitleFontSize=13, offset=20)
    whole = alt.hconcat(*columns, spacing=48).resolve_legend(color="independent").properties(title=heading, padding=20)
    spec = whole.to_dict()
    spec["config"] = {**CONFIG, "background": "@page"}
    drawn: str = vl_convert.vegalite_to_svg(painted(spec, theme), vl_version=VEGALITE)
    return drawn


def _drawn(section: Section) -> alt.VConcatChart:
    first, *others = (chart.properties(width=WIDTH) for chart in section.charts)
    charts = (first.properties(title=_title(section.title)), *others)
    return alt.vconcat(*charts, spacing=14).resolve_scale(color="independent").resolve_legend(color="independent")


def _title(text: str) -> alt.TitleParams:
    return alt.TitleParams(text, fontSize=15, limit=WIDTH + 20, offset=12)
