"""Colours of a light and a dark page: Okabe and Ito's, which those who see fewer colours can tell apart."""

from __future__ import annotations

import json
from typing import Any

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

THEMES = {
    "light": {
        "page": "#ffffff",
        "ink": "#1b1f24",
        "soft": "#57606a",
        "line": "#d0d7de",
        "accent": "#0072b2",
        "good": "#0072b2",
        "warn": "#e69f00",
        "bad": "#c44601",
        "c1": "#0072b2",
        "c2": "#e69f00",
        "c3": "#009e73",
        "c4": "#cc79a7",
        "c5": "#56b4e9",
        "c6": "#8c8c8c",
    },
    "dark": {
        "page": "#0d1117",
        "ink": "#e6edf3",
        "soft": "#9da7b3",
        "line": "#3d444d",
        "accent": "#56b4e9",
        "good": "#56b4e9",
        "warn": "#e6a817",
        "bad": "#f2793a",
        "c1": "#56b4e9",
        "c2": "#e6a817",
        "c3": "#2fc49a",
        "c4": "#e39bc4",
        "c5": "#9cd3f5",
        "c6": "#9a9a9a",
    },
}

CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "domain": False,
        "ticks": False,
        "gridColor": "@line",
        "gridOpacity": 0.6,
        "labelColor": "@soft",
        "labelFontSize": 12,
        "labelPadding": 6,
        "titleColor": "@soft",
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "axisY": {"minExtent": 36},
    "legend": {"labelColor": "@soft", "labelFontSize": 12, "symbolStrokeWidth": 0, "symbolOpacity": 1},
    "title": {"color": "@ink", "fontSize": 16, "anchor": "start", "subtitleColor": "@soft", "subtitleFontSize": 12},
}


def painted(spec: dict[str, Any], theme: str) -> dict[str, Any]:
    """A chart with the colours of a theme."""
    text = json.dumps(spec)
    for name, colour in THEMES[theme].items():
        text = text.replace(f'"@{name}"', f'"{colour}"')
    found: dict[str, Any] = json.loads(text)
    return found
