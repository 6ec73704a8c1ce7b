"""Charts, as Altair makes them; colours are names that a theme fills in (`themes.py`)."""

from __future__ import annotations

from typing import Any

import altair as alt

Chart = Any
"""An Altair chart."""

Rows = list[dict[str, Any]]

# A service's every value is shown, however many there are.
alt.data_transformers.disable_max_rows()

ROW = 40
"""Pixels of a row with its label above the mark: labels beside it would leave a phone no room."""

OUTCOME_COLOURS = {
    "delivered": "@good",
    "undelivered": "@warn",
    "failed": "@bad",
    "pending": "@soft",
    "no receipt": "@line",
}


def rate_by_day(rows: Rows) -> Chart:
    """A line of rates, from `day` and `rate`."""
    lowest = min((row["rate"] for row in rows), default=0)
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=_days(),
        y=alt.Y(
            "rate:Q",
            title=None,
            scale=alt.Scale(domain=[max(0, int(lowest * 10 - 0.5) / 10), 1], nice=False),
            axis=alt.Axis(format=".0%", tickCount=4),
        ),
        tooltip=[_day_tip(), alt.Tooltip("rate:Q", title="Delivered", format=".1%")],
    )
    line = base.mark_line(color="@accent", strokeWidth=2.5, interpolate="monotone")
    return (line + base.mark_point(color="@accent", filled=True, size=45, opacity=1)).properties(height=150)


def outcomes_by_day(rows: Rows, outcomes: list[str]) -> Chart:
    """Stacked bars of `messages` by `day` and `outcome`."""
    return (
        alt.Chart(alt.Data(values=rows))
        .mark_bar()
        .encode(
            x=_days(bars=True),
            y=alt.Y("sum(messages):Q", title=None, axis=alt.Axis(tickCount=3, format="~s")),
            color=_colours("outcome", outcomes, [OUTCOME_COLOURS[name] for name in outcomes], 3),
            order=alt.Order("rank:Q"),
            tooltip=[
                _day_tip(),
                alt.Tooltip("outcome:N", title="Outcome"),
                alt.Tooltip("sum(messages):Q", title="Messages", format=","),
            ],
        )
        .transform_calculate(rank=f"indexof({outcomes!r}, datum.outcome)")
        .properties(height=120)
    )


def spend_by_day(rows: Rows, kinds: list[str]) -> Chart:
    """Stacked bars of `dollars` by `day` and `kind`."""
    return (
        alt.Chart(alt.Data(values=rows))
        .mark_bar()
        .encode(
            x=_days(bars=True),
            y=alt.Y("sum(dollars):Q", title=None, axis=alt.Axis(tickCount=4, format="$~s")),
            color=_colours("kind", kinds, [f"@c{1 + place % 6}" for place in range(len(kinds))], 2),
            order=alt.Order("rank:Q"),
            tooltip=[
                _day_tip(),
                alt.Tooltip("kind:N", title="What for"),
                alt.Tooltip("sum(dollars):Q", title="Dollars", format="$,.2f"),
            ],
        )
        .transform_calculate(rank=f"indexof({kinds!r}, datum.kind)")
        .properties(height=170)
    )


def bars(rows: Rows, unit: str) -> Chart:
    """Bars from top to bottom, of `label`, `value` and `note`."""
    placed = [{**row, "place": place} for place, row in enumerate(rows)]
    base = alt.Chart(alt.Data(values=placed)).encode(y=_places())
    tips = [alt.Tooltip("label:N", title="What"), alt.Tooltip("value:Q", title=unit.capitalize(), format=",")]
    marks = base.mark_bar(color="@accent", height=12, yOffset=8).encode(
        x=alt.X("value:Q", title=None, axis=None), tooltip=tips
    )
    names = _names(base, "datum.label")
    values = base.mark_text(align="left", dx=6, dy=8, color="@soft", fontSize=12).encode(
        x="value:Q", text=alt.Text("told:N")
    )
    values = values.transform_calculate(told="format(datum.value, ',') + (datum.note ? ' \u00b7 ' + datum.note : '')")
    # Room for the values behind the longest bar.
    most = max(row["value"] for row in rows)
    room = base.mark_point(opacity=0).encode(x="room:Q").transform_calculate(room=f"{most * 1.3}")
    return (marks + names + values + room).properties(height=ROW * len(rows))


def intervals(rows: Rows, average: float) -> Chart:
    """Rates with their intervals (`place`, `label`, `note`, `rate`, `low`, `high`, `worse`); a line at the average."""
    lowest = min(row["low"] for row in rows)
    scale = alt.Scale(domain=[max(0, int(lowest * 10) / 10), 1], nice=False)
    x = alt.X("rate:Q", title=None, scale=scale, axis=alt.Axis(format=".0%", tickCount=5))
    base = alt.Chart(alt.Data(values=rows)).encode(y=_places())
    colour = alt.Color("worse:N", scale=alt.Scale(domain=[True, False], range=["@bad", "@accent"]), legend=None)
    tips = [
        alt.Tooltip("label:N", title="Of"),
        alt.Tooltip("rate:Q", title="Delivered", format=".1%"),
        alt.Tooltip("low:Q", title="At least", format=".1%"),
        alt.Tooltip("high:Q", title="At most", format=".1%"),
    ]
    lines = base.mark_rule(strokeWidth=3, opacity=0.45, yOffset=8).encode(
        x=alt.X("low:Q", title=None, scale=scale), x2="high:Q", color=colour, tooltip=tips
    )
    dots = base.mark_point(filled=True, size=90, opacity=1, yOffset=8).encode(x=x, color=colour, tooltip=tips)
    rule = (
        alt.Chart(alt.Data(values=[{"average": average}]))
        .mark_rule(color="@soft", strokeDash=[4, 3])
        .encode(x=alt.X("average:Q", title=None, scale=scale))
    )
    names = _names(base, "datum.label + ' \u00b7 ' + datum.note")
    return (rule + lines + dots + names).properties(height=ROW * len(rows))


def cumulative(points: Rows) -> Chart:
    """A rising share of `share` by `minutes`."""
    return (
        alt.Chart(alt.Data(values=points))
        .mark_area(
            interpolate="step-after", line={"color": "@accent", "strokeWidth": 2.5}, color="@accent", opacity=0.25
        )
        .encode(
            x=alt.X("hours:Q", title="hours after creation, at most", axis=alt.Axis(tickCount=6, grid=False)),
            y=alt.Y("share:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%", tickCount=4)),
            tooltip=[
                alt.Tooltip("minutes:Q", title="Minutes", format=",.0f"),
                alt.Tooltip("share:Q", title="Have an outcome", format=".1%"),
            ],
        )
        .transform_calculate(hours="datum.minutes / 60")
        .properties(height=160)
    )


def _days(*, bars: bool = False) -> alt.X:
    axis = alt.Axis(
        format="%b %-d", grid=False, labelOverlap="greedy", labelSeparation=12, tickCount={"interval": "day", "step": 1}
    )
    if bars:
        return alt.X("utcyearmonthdate(day):T", title=None, scale=alt.Scale(type="utc"), axis=axis, bandPosition=0.5)
    return alt.X("day:T", title=None, scale=alt.Scale(type="utc", padding=14), axis=axis)


def _day_tip() -> alt.Tooltip:
    return alt.Tooltip("utcyearmonthdate(day):T", title="Day", format="%a %b %-d, %Y")


def _places() -> alt.Y:
    return alt.Y("place:O", title=None, axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0))


def _names(base: Chart, text: str) -> Chart:
    names = base.mark_text(align="left", baseline="bottom", dy=-2, color="@ink", fontSize=13)
    return names.encode(x=alt.value(0), text=alt.Text("told:N")).transform_calculate(told=text)


def _colours(field: str, names: list[str], colours: list[str], columns: int) -> alt.Color:
    """A colour for each name; a legend of so many columns fits a phone."""
    legend = alt.Legend(
        title=None, orient="top", direction="horizontal", columns=columns, symbolType="square", labelLimit=220
    )
    return alt.Color(f"{field}:N", scale=alt.Scale(domain=names, range=colours), sort=names, legend=legend)
