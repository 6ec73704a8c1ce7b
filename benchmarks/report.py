"""`README.md`, written from `results.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.environments import CONTENDERS, TAP
from benchmarks.jobs import JOBS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Results = dict[str, Any]

SIZES = "sizes.svg"
LATENCY = "latency.svg"

HOW = """## How it is measured

- Each contender runs as a process of its own, from its start to its end, in an environment of its own with the same
  Python, all in turns (A B C A B C ...). The simulated Space is one more process. Where there are two cores, it has one
  of them and the contender the other.
- Seconds are wall seconds. CPU seconds and the peak of resident memory are what the operating system tells of the ended
  process. A ratio is that of two medians; in brackets the least and the greatest ratio within one turn.
- The records of every run are held against the Space's list, every log and every field: what a tool lost, repeated or
  changed is told above. Only its way of writing is free: a null may be left out, a `Z` be `+00:00`.
- The tap runs with its default settings, but for `record_source` and `concurrency`: retries, state and all guarantees
  are on.
- *The arithmetic* is the time that the answers alone take: the list's pages one after another, then the gets in rounds
  of as many as may be in flight.
- *Start* is the time from the start of the process until its first request reaches a listener.
- Where a contender that nothing is asked of takes more than 20 s, it runs once, and the table says so.

`uv run poe bench JOB ...` measures just those jobs anew, `uv run poe bench --report` writes this page from
`results.json`, and `--scale 0.01` makes a trial of it. It runs on Linux."""

PROFILE_BEFORE = """The same profile of the tap before it was made fast (commit b9a630f, 2026-11-24, same machine): 400
µs a log got, of them HTTP 272, order and state 84, encode and write 15; 39 µs a log listed, of them the SDK 7, encode
and write 7, HTTP 7, order and state 6, records 5. What took the most away: libcurl with all transfers on one thread,
in place of requests' `HTTPAdapter` on a thread for each request in flight; records decoded into a structure made of
the schema, in place of dictionaries that are looked through; and what is the same for every record found out once."""

REBUILT = "a thread for each page that was read ahead, and each record decoded and encoded again (2026-11-24)"
BEFORE = {
    ("get", "seconds of aiohttp's"): 0.607,
    ("get", "CPU of aiohttp's"): 0.607,
    ("get-50ms", "seconds of the arithmetic's, 32 at a time"): 1.02,
    ("get-50ms", "seconds of the arithmetic's, 128 at a time"): 1.04,
    ("list", "seconds of the official client's"): 0.822,
    ("list", "singer-sdk's seconds of the tap's"): 3.54,
    ("list-200ms", "seconds of page after page, of the tap's"): 7.95,
    ("memory", "peak MB, list, 20,000"): 60,
    ("memory", "peak MB, list, 2,000,000"): 66,
    ("memory", "peak MB, list, 1,000,000 in one minute"): 71,
    ("memory", "peak MB, get, 20,000"): 63,
    ("memory", "peak MB, get, 200,000"): 64,
    ("memory", "CPU a log at 2,000,000 of that at 20,000"): 1.04,
    ("start", "seconds to the first request of a bare singer-sdk tap's"): 1.15,
}
"""What the same rows held before the tap read records from their bytes, on one loop."""

PIPELINE = """Tap and loader as one pipe, with the settings that `meltano.yml` gives the loader, and dlt's `merge` of
the same list, each into an empty table, on all cores. The rows are held against the Space's list. CPU seconds are
those of the pipe, without PostgreSQL's server. The tap alone lists 100,000 logs in a fifth to a quarter of the pipe's
time (job `list-100k`): the loader is the wall."""

LOADERS = """Where the time of the pipe into PostgreSQL goes, and what other ways there are. The loader takes most of
it; a part of that is reading Singer's messages, as every loader of singer-sdk does. Two pipes at once share what cores
there are, and on two, tap, loaders and server need them all. Another loader, pipelinewise's, is no faster, and lands
charges as doubles and empty texts as null. So on two cores there is no way to three times dlt's speed that keeps every
guarantee. On more there is: windows side by side, as the DAG `signalwire_backfill` loads them. Rows are counted here;
their values are compared above."""

SWEEP = """A whole history from the list, then runs that find nothing new: with no sweep due, and with one. In a run
without a sweep the setting costs the digests that are kept, an idle sweep a list of its seven days."""

PREFACE = """# Benchmarks

The tap beside what else gets logs out of a Space, against the simulated Space on the same machine. Written by
`uv run poe bench`. Seconds are worth something only beside other seconds of the same table."""


def write_report(results: Results, folder: Path) -> None:
    """Write the document; a section whose job was not measured says that."""
    sections = [
        PREFACE,
        _facts(results),
        "## What is asked for",
        _rows(results),
        _wrong(results),
        "## Every way to get 2,000 logs",
        _table(results, "small"),
        "## Listing 200,000 logs",
        _table(results, "list"),
        "## Listing 100,000 logs",
        _table(results, "list-100k"),
        "## The sweep",
        SWEEP,
        _table(
            results,
            "sweep",
            ("peak MB", "peak", "{:.0f}"),
            ("requests", "requests", "{:,.0f}"),
            ("records", "records", "{:,.0f}"),
        ),
        "## From the list into a table",
        PIPELINE,
        _table(results, "pipeline"),
        _table(results, "pipeline-large"),
        LOADERS,
        _table(results, "loaders", ("peak MB", "peak", "{:.0f}")),
        "## Memory",
        _table(results, "memory", ("peak MB", "peak", "{:.0f}"), ("requests", "requests", "{:,.0f}")),
        "## More logs, slower answers",
        _plot(results, "sizes", SIZES, "Seconds against the number of logs"),
        _plot(results, "latency", LATENCY, "Records a second against the time of an answer"),
        "## Where the time of one log goes",
        _layers(results),
        PROFILE_BEFORE,
        "## Who runs",
        _contenders(),
        HOW,
    ]
    text = "\n\n".join(section for section in sections if section)
    (folder / "README.md").write_text(text + "\n", encoding="utf-8")


def is_met(row: dict[str, Any]) -> bool | None:
    """Whether a row reached what was asked of it; None where nothing was."""
    if row.get("most") is not None:
        return bool(row["measured"] <= row["most"])
    if row.get("least") is not None:
        return bool(row["measured"] >= row["least"])
    return None


def row_text(row: dict[str, Any]) -> str:
    """Row in one line."""
    return f"{row['what']}: {_measured(row)} ({row['text']}), asked {_asked(row)}: {_verdict(row)}"


def _facts(results: Results) -> str:
    """When and where, each once for all jobs that share it."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, job in results.items():
        versions = ", ".join(f"{package} {version}" for package, version in job["versions"].items())
        groups.setdefault((job["date"], job["machine"], job["python"], str(job["runs"]), versions), []).append(name)
    lines = [
        f"- {', '.join(f'`{name}`' for name in names)}: {date}; {machine}, Python {python}; "
        f"runs of each process: {runs}; {versions}."
        for (date, machine, python, runs, versions), names in groups.items()
    ]
    missing = [f"`{name}`" for name in JOBS if name not in results]
    if missing:
        lines.append(f"- Not measured: {', '.join(missing)}.")
    return "\n".join(lines)


def _rows(results: Results) -> str:
    lines = ["| job | what | asked for | before | measured | | met |", "| --- | --- | --- | ---: | ---: | --- | --- |"]
    for name, job in results.items():
        for row in job["rows"]:
            before = BEFORE.get((name, row["what"]), "-")
            cells = (f"`{name}`", row["what"], _asked(row), before, _measured(row), row["text"], _verdict(row))
            lines.append(f"| {' | '.join(map(str, cells))} |")
    titles = "\n".join(f"- `{name}`: {job['title']}" for name, job in results.items())
    about = f"*Before* is what was measured of the tap with {REBUILT}."
    return f"{titles}\n\n" + "\n".join(lines) + f"\n\n{about}"


def _asked(row: dict[str, Any]) -> str:
    if row.get("most") is not None:
        return f"at most {row['most']}"
    return f"at least {row['least']}" if row.get("least") is not None else "-"


def _measured(row: dict[str, Any]) -> str:
    spread = f" ({_digits(row['low'])} to {_digits(row['high'])})" if "low" in row else ""
    return f"**{_digits(row['measured'])}**{spread}"


def _digits(value: float) -> str:
    return f"{value:.3g}" if value < 10 else f"{value:.0f}"


def _verdict(row: dict[str, Any]) -> str:
    met = is_met(row)
    return "-" if met is None else "yes" if met else "**no**"


def _wrong(results: Results) -> str:
    """What came out wrong, of anyone."""
    lines = [
        f"- `{job}`, {label}: {'; '.join(sorted(set(filter(None, figures['wrong']))))}"
        for job, outcome in results.items()
        for label, figures in outcome["figures"].items()
        if any(figures.get("wrong", []))
    ]
    if not lines:
        return "Every run of every contender brought every log, each once, field for field."
    return "Runs that did not bring every log, each once, field for field:\n\n" + "\n".join(lines)


def _table(results: Results, job: str, *more: tuple[str, str, str]) -> str:
    """Medians of each contender, and its seconds as a multiple of the tap's in the same Space."""
    if job not in results:
        return f"`{job}` is not measured yet."
    figures = results[job]["figures"]
    columns = more or (("peak MB", "peak", "{:.0f}"),)
    heads = [
        "",
        "logs",
        "seconds",
        *([] if more else ["of the tap's"]),
        "CPU s",
        *(head for head, _, _ in columns),
        "runs",
    ]
    lines = [f"| {' | '.join(heads)} |", f"| --- |{' ---: |' * (len(heads) - 1)}"]
    for label, one in figures.items():
        wall = one["wall"]["median"]
        cells = [label, f"{one['logs']:,}", f"{wall:.2f}{_spread(one['wall'])}"]
        if not more:
            tap = next(other for name, other in figures.items() if name == label.replace(one["name"], TAP, 1))
            cells.append(f"{wall / tap['wall']['median']:.2f}")
        cells.append(f"{one['cpu']['median']:.2f}")
        cells += [form.format(one[what].get("median", 0)) for _, what, form in columns]
        lines.append(f"| {' | '.join([*cells, str(one['wall']['runs'])])} |")
    return "\n".join(lines)


def _spread(values: dict[str, float]) -> str:
    return f" ({values['low']:.2f} to {values['high']:.2f})" if values["runs"] > 1 else ""


def _plot(results: Results, job: str, file: str, title: str) -> str:
    return f"![{title}]({file})" if job in results else f"`{job}` is not measured yet."


def _layers(results: Results) -> str:
    """Microseconds of CPU a log by layer, get beside list."""
    if "profile" not in results:
        return "`profile` is not measured yet."
    figures = results["profile"]["figures"]
    layers = sorted({layer for one in figures.values() for layer in one["layers"]}, key=_spent(figures.values()))
    lines = [
        f"| layer | {' | '.join(f'{mode}, µs a log | share' for mode in figures)} |",
        f"| --- |{' ---: | ---: |' * len(figures)}",
    ]
    for layer in layers:
        cells = []
        for one in figures.values():
            spent = one["layers"].get(layer, 0.0)
            cells.append(f"{spent:.1f} | {spent / sum(one['layers'].values()):.0%}")
        lines.append(f"| {layer} | {' | '.join(cells)} |")
    totals = " | ".join(f"{sum(one['layers'].values()):.1f} |" for one in figures.values())
    counts = " and ".join(f"{one['logs']:,} logs ({mode})" for mode, one in figures.items())
    return (
        f"CPU time of one run of {counts}, by the innermost part of the tap that was at work, libraries counted to "
        "whoever called them. *start* holds the interpreter and all imports. It is sampled: that costs some time of "
        "its own, and where threads take turns, part of one layer's time can be told under another.\n\n"
        + "\n".join([*lines, f"| all | {totals} |"])
    )


def _spent(figures: Iterable[dict[str, Any]]) -> Callable[[str], float]:
    """Key that puts the layer with the greatest share first."""
    return lambda layer: -max(one["layers"].get(layer, 0.0) / sum(one["layers"].values()) for one in figures)


def _contenders() -> str:
    lines = ["| | is | needs |", "| --- | --- | --- |"]
    for name, contender in CONTENDERS.items():
        needs = "the checkout" if contender.script is None else f"`{', '.join(contender.pins)}`"
        code = "" if contender.script is None else f" ([code](peers/{contender.script}))"
        lines.append(f"| {name} | {contender.what}{code} | {needs} |")
    return "\n".join(lines)
