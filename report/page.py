"""The report as one HTML file that fetches nothing: its JavaScript is inside, and the page itself forbids all else."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

import vl_convert

from report.themes import CONFIG, FONT, THEMES

if TYPE_CHECKING:
    from report.findings import Findings, Section

VEGALITE = "6.4"

# `ast` in the script below: charts are interpreted, so the page needs no `unsafe-eval`.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"

STYLE = """
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 FONT; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 20px 56px; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.1rem; line-height: 1.3; margin: 0 0 4px; }
p { color: var(--soft); margin: 0 0 10px; font-size: .9rem; }
.note { display: inline-block; border: 1px solid var(--warn); border-radius: 6px; padding: 1px 8px; color: var(--ink); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px; margin: 20px 0 16px; }
.tiles div { border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
.tiles dd { margin: 0; font-size: 1.6rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.tiles dt { color: var(--soft); font-size: .85rem; }
.sections { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 16px; }
section { border: 1px solid var(--line); border-radius: 8px; padding: 16px 18px; min-width: 0; }
section.wide { grid-column: 1 / -1; }
.chart { width: 100%; min-width: 0; }
.chart svg { display: block; max-width: 100%; }
details { margin-top: 8px; font-size: .85rem; }
summary { cursor: pointer; color: var(--accent); }
.scroll { overflow: auto; max-height: 420px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 10px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { position: sticky; top: 0; background: var(--page); color: var(--soft); font-weight: 600; }
.n { text-align: right; white-space: nowrap; }
#vg-tooltip-element { font: 13px FONT; }
@media (max-width: 520px) { main { padding: 16px 10px 40px; } section { padding: 12px; } }
@media print { details { display: none; } section { break-inside: avoid; } }
"""

SCRIPT = """
const dark = matchMedia('(prefers-color-scheme: dark)');
const data = JSON.parse(document.getElementById('charts').textContent);
const painted = (value, theme) => JSON.parse(JSON.stringify(value), (_, one) =>
  typeof one === 'string' && one[0] === '@' && one.slice(1) in theme ? theme[one.slice(1)] : one);
let views = [];
async function draw() {
  const name = dark.matches ? 'dark' : 'light', theme = data.themes[name];
  views.forEach(view => view.finalize());
  views = [];
  for (const [id, chart] of Object.entries(data.charts)) {
    const config = painted(data.config, theme);
    const options = {actions: false, renderer: 'svg', ast: true, config, tooltip: {theme: name}};
    views.push(await vegaEmbed('#' + id, painted(chart, theme), options));
  }
  document.documentElement.dataset.drawn = name;
}
dark.addEventListener('change', draw);
draw();
"""


def html(found: Findings, title: str, note: str) -> str:
    """The whole file."""
    specs = {}
    for section in found.sections:
        for place, chart in enumerate(section.charts):
            spec = chart.properties(width="container").to_dict()
            spec.pop("config", None)
            specs[f"{section.key}-{place}"] = spec
    data = {"charts": specs, "themes": THEMES, "config": CONFIG}
    tiles = "".join(f"<div><dd>{escape(value)}</dd><dt>{escape(name)}</dt></div>" for value, name in found.tiles)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{_style()}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p>{found.first:%B} {found.first.day} to {found.last:%B} {found.last.day}, {found.last.year}. Days are UTC.</p>
{f'<p><span class="note">{escape(note)}</span></p>' if note else ""}
<dl class="tiles">{tiles}</dl>
<div class="sections">
{"".join(map(_section, found.sections))}
</div>
</main>
<script type="application/json" id="charts">{_json(data)}</script>
<script>{vl_convert.javascript_bundle(vl_version=VEGALITE)}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _style() -> str:
    light, dark = (
        "".join(f"--{name}: {colour}; " for name, colour in THEMES[theme].items()) for theme in ("light", "dark")
    )
    variables = f":root {{ {light}}}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}\n"
    return variables + STYLE.replace("FONT", FONT)


def _section(section: Section) -> str:
    charts = "".join(
        f'<div class="chart" id="{section.key}-{place}" role="img" aria-label="{escape(section.title)}"></div>'
        for place in range(len(section.charts))
    )
    return f"""<section id="{section.key}"{' class="wide"' if section.key == "delivery" else ""}>
<h2>{escape(section.title)}</h2>
<p>{escape(section.text)}</p>
{charts}
{_table(section) if section.rows else ""}
</section>
"""


def _table(section: Section) -> str:
    def cells(tag: str, row: object) -> str:
        assert isinstance(row, (list, tuple))
        marks = [' class="n"' if is_number else "" for _, is_number in section.columns]
        return "".join(f"<{tag}{mark}>{escape(text)}</{tag}>" for mark, text in zip(marks, row, strict=True))

    head = cells("th", [name for name, _ in section.columns])
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in section.rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<details><summary>The numbers</summary><div class="scroll">{table}</div></details>'


def _json(data: object) -> str:
    # Nothing in a text may end the script that holds it.
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
