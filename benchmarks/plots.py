"""The plots of the report, the same bytes for the same figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.environments import CONTENDERS, TAP
from benchmarks.report import LATENCY, SIZES

if TYPE_CHECKING:
    from pathlib import Path

WIDTH, HEIGHT = 8.0, 4.2


def write_plots(results: dict[str, Any], folder: Path) -> None:
    """Write the plots whose jobs were measured."""
    mpl.use("svg")
    mpl.rcParams.update(
        {
            "svg.hashsalt": "benchmarks",
            "svg.fonttype": "none",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
        }
    )
    for job, file, draw in (("sizes", SIZES, _draw_sizes), ("latency", LATENCY, _draw_latency)):
        if job in results:
            figure, axes = plt.subplots(figsize=(WIDTH, HEIGHT), layout="constrained")
            draw(axes, list(results[job]["figures"].values()))
            figure.savefig(folder / file, metadata={"Date": None, "Creator": None})
            plt.close(figure)


def _draw_sizes(axes: Any, figures: list[dict[str, Any]]) -> None:
    for name in CONTENDERS:
        points = [(one["logs"], one["wall"]["median"]) for one in figures if one["name"] == name]
        if points:
            width = 2.6 if name == TAP else 1.2
            axes.plot(*zip(*points, strict=True), marker="o", markersize=4, linewidth=width, label=name)
    axes.set(xscale="log", yscale="log", xlabel="logs", ylabel="seconds, start to end")
    axes.set_title("Get every log, 0 ms an answer, 32 at a time where the tool can", fontsize=10)
    _finish(axes, [axes.xaxis, axes.yaxis])


def _draw_latency(axes: Any, figures: list[dict[str, Any]]) -> None:
    for number, concurrency in enumerate(sorted({one["concurrency"] for one in figures})):
        ours = [one for one in figures if one["concurrency"] == concurrency]
        color = f"C{number}"
        measured = [(one["latency_ms"], one["logs"] / one["wall"]["median"]) for one in ours]
        most = [(one["latency_ms"], one["logs"] / one["least"]) for one in ours if one["least"]]
        axes.plot(*zip(*measured, strict=True), marker="o", markersize=4, color=color, label=f"{concurrency} at a time")
        axes.plot(*zip(*most, strict=True), linestyle=":", color=color)
    axes.plot([], [], linestyle=":", color="gray", label="the arithmetic")
    axes.set(yscale="log", xlabel="milliseconds an answer", ylabel="records a second")
    axes.set_title("The tap, whole runs", fontsize=10)
    _finish(axes, [axes.yaxis])


def _finish(axes: Any, logarithmic: list[Any]) -> None:
    """Plain numbers at the ticks, and the legend beside the lines."""
    for axis in logarithmic:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(visible=True, linewidth=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
