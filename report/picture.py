"""The main charts in one picture, for a page that runs no script, such as a README."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import vl_convert

from report.page import VEGALITE
from report.themes import CONFIG, painted

if TYPE_CHECKING:
    from report.findings import Findings

WIDTH = 430
SHOWN = ("delivery", "errors", "spend", "numbers")


def svg(found: Findings, theme: str, title: str, note: str) -> str:
    """The picture."""
    by_key = {section.key: section for section in found.sections}
    drawn = []
    for key in SHOWN:
        if key in by_key:
            section = by_key[key]
            drawn.append(section.charts[0].properties(width=WIDTH, title=_title(section.title)))
    columns = [alt.vconcat(*drawn[place::2], spacing=36) for place in range(min(2, len(drawn)))]
    period = f"{found.first:%B} {found.first.day} to {found.last:%B} {found.last.day}, {found.last.year}"
    whole = alt.hconcat(*columns, spacing=48).resolve_scale(color="independent")
    heading = alt.TitleParams(
        title, subtitle=f"{period}. {note}".strip(), fontSize=20, subtitleFontSize=13, offset=18
    )
    spec = whole.properties(title=heading, padding=20).to_dict()
    spec["config"] = {**CONFIG, "background": "@page", "concat": {"spacing": 36}}
    drawn_svg: str = vl_convert.vegalite_to_svg(painted(spec, theme), vl_version=VEGALITE)
    return drawn_svg


def _title(text: str) -> alt.TitleParams:
    return alt.TitleParams(text, fontSize=15, limit=WIDTH + 20, offset=12)
