"""What is measured: each job a function that gives its figures, and rows of what was asked for and what came out."""

from __future__ import annotations

import itertools
import json
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import ceil
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.environments import AIOHTTP, AIRBYTE, CONTENDERS, DLT, OFFICIAL, SINGER, SINGER_DEFAULT, TAP
from benchmarks.measure import REQUESTS, Entry, in_turns, launch, run_once
from benchmarks.pipelines import LOADERS, POSTGRES, load_once, postgres, prepare_loaders, ways_into_postgres
from benchmarks.space import Size, records_of, space_of
from tap_signalwire_logs.digests import Digests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.space import Space

    Figures = dict[str, dict[str, Any]]
    Outcome = dict[str, Any]

PAGE_SIZE = 1_000
SWEEP_DAYS = 6.5  # within the seven that are swept
IDLE_RUNS = 3
MINUTE_IN_DAYS = 1 / (24 * 60)
MOST_MB = 70
UNTIMED = {"get, 200,000", "list, 1,000,000 in one minute"}
"""Runs of the job `memory` that need not be repeated."""
UNASKED = "list, 1,000,000 in one minute"
"""One that is told beside what is asked."""


class Plan:
    """How often each process runs, and the share of each job's logs (1 but for trials)."""

    def __init__(self, runs: int, scale: float) -> None:
        """Take both."""
        self.runs = runs
        self.scale = scale

    def size(self, messages: int, days: float = 30, latency_ms: int = 0) -> Size:
        """Size of a Space."""
        return Size(int(messages * self.scale), days, latency_ms)


def get(plan: Plan) -> Outcome:
    """Get 20,000 logs, 0 ms an answer."""
    with space_of(plan.size(20_000)) as space:
        figures = in_turns([Entry(name, name, space, "get") for name in (TAP, AIOHTTP)], plan.runs)
    return {
        "figures": figures,
        "rows": [
            _ratio("seconds of aiohttp's", figures[TAP], figures[AIOHTTP], most=0.7),
            _ratio("CPU of aiohttp's", figures[TAP], figures[AIOHTTP], "cpu", most=1.2),
        ],
    }


def get_50ms(plan: Plan) -> Outcome:
    """Get 20,000 logs, 50 ms an answer."""
    with space_of(plan.size(20_000, latency_ms=50)) as space:
        entries = [
            Entry(f"{name}, {concurrency} at a time", name, space, "get", concurrency)
            for concurrency in (32, 128)
            for name in (TAP, AIOHTTP)
        ]
        figures = in_turns(entries, plan.runs)
        rows = []
        for concurrency, most in ((32, 1.05), (128, 1.15)):
            least = arithmetic(space.logs, concurrency, space.latency)
            for name in (TAP, AIOHTTP):
                ours = figures[f"{name}, {concurrency} at a time"]
                whose = "seconds" if name == TAP else "aiohttp's seconds"
                row = _ratio(
                    f"{whose} of the arithmetic's, {concurrency} at a time", ours, {"wall": [least] * len(ours["wall"])}
                )
                rows.append({**row, "most": most} if name == TAP else row)
    return {"figures": figures, "rows": rows}


def small(plan: Plan) -> Outcome:
    """Get 2,000 logs with every contender, 0 and 50 ms an answer."""
    names = [TAP, AIOHTTP, OFFICIAL, SINGER, SINGER_DEFAULT, DLT, AIRBYTE]
    figures: Figures = {}
    for latency_ms in (0, 50):
        with space_of(plan.size(2_000, latency_ms=latency_ms)) as space:
            entries = [Entry(f"{name}, {latency_ms} ms", name, space, "get", once=True) for name in names]
            figures |= in_turns(entries, plan.runs)
    return {"figures": figures, "rows": []}


def list_(plan: Plan) -> Outcome:
    """List 200,000 logs of 30 days, 0 ms a page."""
    with space_of(plan.size(200_000)) as space:
        entries = [
            Entry(name, name, space, "list", once=name in {DLT, AIRBYTE, AIOHTTP})
            for name in (TAP, OFFICIAL, SINGER, AIOHTTP, DLT, AIRBYTE)
        ]
        figures = in_turns(entries, plan.runs)
    return {
        "figures": figures,
        "rows": [
            _ratio("seconds of the official client's", figures[TAP], figures[OFFICIAL], most=1.0),
            _ratio("singer-sdk's seconds of the tap's", figures[SINGER], figures[TAP], least=3.5),
        ],
    }


def list_100k(plan: Plan) -> Outcome:
    """List 100,000 logs of 30 days, 0 ms a page."""
    with space_of(plan.size(100_000)) as space:
        figures = in_turns([Entry(name, name, space, "list") for name in (TAP, OFFICIAL, AIOHTTP)], plan.runs)
    least = ceil(space.logs / PAGE_SIZE)
    requests = median(figures[TAP]["requests"])
    return {
        "figures": figures,
        "rows": [
            _ratio("seconds of the official client's", figures[TAP], figures[OFFICIAL], most=0.6),
            _ratio("seconds of aiohttp's, page after page", figures[TAP], figures[AIOHTTP], most=2.0),
            {
                "what": "requests of the least that hold all logs",
                "most": 1.1,
                "measured": requests / least,
                "text": f"{requests} of {least}",
            },
        ],
    }


def list_200ms(plan: Plan) -> Outcome:
    """List 200,000 logs of 90 days, 200 ms a page."""
    with space_of(plan.size(200_000, 90, 200)) as space:
        figures = in_turns([Entry(name, name, space, "list") for name in (TAP, OFFICIAL)], plan.runs)
    rows = [_ratio("seconds of page after page, of the tap's", figures[OFFICIAL], figures[TAP], least=6.0)]
    return {"figures": figures, "rows": rows}


def sweep(plan: Plan) -> Outcome:
    """What the sweep costs: 200,000 logs of 7 days from the list, then a run that finds nothing new."""
    # No log waits, so that nothing but the sweep is looked at.
    labels = {"sweep_days 7": {"refresh_hours": 0}, "sweep_days 0": {"refresh_hours": 0, "sweep_days": 0}}
    kinds = ("first run", "idle run", "idle run with a sweep")
    figures: Figures = {}
    with space_of(plan.size(200_000, SWEEP_DAYS)) as space:
        for number in range(plan.runs):
            states: dict[str, str | None] = dict.fromkeys(labels)
            # Idle runs are short: several of them, in turns, because they differ by less than their own spread.
            for kind, label in [
                *((kinds[0], label) for label in labels),
                *((kinds[1], label) for label in [*labels] * IDLE_RUNS),
                (kinds[2], "sweep_days 7"),
            ]:
                state = _with_a_sweep_due(states[label]) if kind == kinds[2] else states[label]
                run = _from_state(space, labels[label], state)
                states[label] = run["state"]
                print(f"  {number + 1}/{plan.runs} {kind}, {label}: {run['wall']:.2f} s {run['wrong']}", flush=True)
                kept = figures.setdefault(f"{kind}, {label}", {"name": TAP, "logs": space.logs})
                for what in (
                    "wall",
                    "cpu",
                    "peak",
                    "requests",
                    "records",
                    *(["wrong"] if kind == kinds[0] else []),
                ):
                    kept.setdefault(what, []).append(run[what])
    swept, idle = (figures[f"{kind}, sweep_days 7"] for kind in (kinds[2], kinds[1]))
    asked = median(swept["requests"]) - median(idle["requests"])
    pages = space.logs / PAGE_SIZE
    micros = (median(swept["cpu"]) - median(idle["cpu"])) / space.logs * 1e6
    rows = [
        _ratio(
            f"CPU of {kind} in which no sweep is due, of that with `sweep_days` 0",
            figures[f"{which}, sweep_days 7"],
            figures[f"{which}, sweep_days 0"],
            "cpu",
            most=most,
        )
        for kind, which, most in (("a first run", kinds[0], 1.2), ("an idle run", kinds[1], 1.05))
    ]
    return {
        "figures": figures,
        "rows": [
            *rows,
            {
                "what": "requests of an idle sweep for 1,000 logs",
                "most": 1.1,
                "measured": asked / pages,
                "text": f"{asked:.0f} for {space.logs:,} logs",
            },
            {"what": "records of an idle sweep", "most": 0, "measured": max(swept["records"]), "text": "all runs"},
            {"what": "CPU of an idle sweep, µs a log", "measured": micros, "text": ""},
        ],
    }


def _from_state(space: Space, settings: dict[str, Any], state: str | None) -> dict[str, Any]:
    """Run the tap over the list from a state; gives its figures, its records' number and its last state."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = CONTENDERS[TAP].command({**space.settings, **settings}, "list", 32, folder)
        if state is not None:
            (folder / "state.json").write_text(state, encoding="utf-8")
            command += ["--state", str(folder / "state.json")]
        run = launch(command, folder)
        with (folder / "stdout").open("rb") as lines:
            messages = [line for line in lines if not line.startswith(b'{"type":"RECORD"')]
        run["records"] = sum(1 for _ in records_of(folder / "stdout"))
        run["wrong"] = "" if state is not None else space.verdict(folder / "stdout")
        # A run after which nothing is different writes no STATE.
        states = [line for line in messages if line.startswith(b'{"type":"STATE"')]
        run["state"] = json.dumps(msgspec.json.decode(states[-1])["value"]) if states else state
        requests = REQUESTS.search((folder / "log").read_text(encoding="utf-8"))
        run["requests"] = int(requests.group(1).replace(",", "")) if requests else None
        return run


def _with_a_sweep_due(state: str | None) -> str:
    """State as it is a day and an hour later, when the next sweep is due."""
    content = json.loads(state or "{}")
    bookmark = content["bookmarks"]["message_logs"]
    digests = Digests.load(bookmark["digests"])
    assert digests.swept is not None
    digests.swept -= int(timedelta(hours=25) / timedelta(microseconds=1))
    bookmark["digests"] = digests.dump()
    return json.dumps(content)


def output(plan: Plan) -> Outcome:
    """What the tap writes: 20,000 logs got, 200,000 listed."""
    figures: Figures = {}
    rows = []
    for mode, messages in (("get", 20_000), ("list", 200_000)):
        with space_of(plan.size(messages)) as space:
            run = run_once(Entry(mode, TAP, space, mode), _written)
        seen = run["seen"]
        figures[mode] = {"name": TAP, "logs": space.logs, "wrong": [run["wrong"]], **seen}
        share = seen["bytes"]["STATE"] / sum(seen["bytes"].values())
        text = (
            f"{seen['bytes']['STATE']:,} of {sum(seen['bytes'].values()):,} bytes, {seen['messages']['STATE']} messages"
        )
        rows += [
            {"what": f"STATE's share of the bytes, {mode}", "most": 0.01, "measured": share, "text": text},
            {
                "what": f"SCHEMA messages, {mode}",
                "most": 1,
                "measured": seen["messages"]["SCHEMA"],
                "text": "of one stream",
            },
        ]
    return {"figures": figures, "rows": rows, "runs": 1}


def memory(plan: Plan) -> Outcome:
    """Peak memory and CPU a log, from 0 to 2,000,000 logs."""
    sizes = {
        "list, empty": Size(0),
        "list, 20,000": plan.size(20_000),
        "list, 2,000,000": plan.size(2_000_000),
        "list, 1,000,000 in one minute": plan.size(1_000_000, MINUTE_IN_DAYS),
        "get, 20,000": plan.size(20_000),
        "get, 200,000": plan.size(200_000),
    }
    with ExitStack() as spaces:
        # Made one after another; they share one core, and only one of them is asked at a time.
        served = {size: spaces.enter_context(space_of(size)) for size in set(sizes.values())}
        entries = [
            Entry(label, TAP, served[size], label.partition(",")[0], once=label in UNTIMED)
            for label, size in sizes.items()
        ]
        figures = in_turns(entries, plan.runs)
    rows = [
        {
            "what": f"peak MB, {label}",
            "most": None if label == UNASKED else MOST_MB,
            "measured": median(figures[label]["peak"]),
            "low": min(figures[label]["peak"]),
            "high": max(figures[label]["peak"]),
            "text": f"{len(figures[label]['peak'])} runs",
        }
        for label in list(sizes)[1:]
    ]
    small, large = (
        {"wall": _cpu_per_log(figures[label], figures["list, empty"])} for label in ("list, 20,000", "list, 2,000,000")
    )
    growth = _ratio("CPU a log at 2,000,000 of that at 20,000", large, small, most=1.15)
    micros = [median(one["wall"]) * 1e6 for one in (large, small)]
    rows.append({**growth, "text": f"{micros[0]:.1f} against {micros[1]:.1f} µs"})
    return {"figures": figures, "rows": rows}


def backfill(plan: Plan) -> Outcome:
    """List 5,000,000 logs of 90 days in 8 windows, a process each, on one core: against the model of docs/scale.md."""
    windows = 8
    now = datetime.now(timezone.utc)
    first, last = now - timedelta(days=92), now
    with space_of(plan.size(5_000_000, 90)) as space, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # What one log costs, and a start: from two ranges that are read alone.
        little, more = (_span(space, folder / f"alone-{days}", last - timedelta(days=days), last) for days in (3, 9))
        per_log = (more["cpu"] - little["cpu"]) / (more["logs"] - little["logs"])
        begin = little["cpu"] - per_log * little["logs"]
        edges = [first + (last - first) / windows * number for number in range(windows + 1)]
        began = time.monotonic()
        spans = [_span(space, folder / f"{n}", edges[n], edges[n + 1]) for n in range(windows)]
        seconds = time.monotonic() - began
        for number in range(windows):
            (folder / f"all/{number}/message_logs").mkdir(parents=True)
            (folder / f"{number}/stdout").rename(folder / f"all/{number}/message_logs/part.jsonl")
        wrong = space.verdict(folder / "all")
    model = windows * begin + space.logs * per_log
    figures = {"name": TAP, "logs": space.logs, "wall": [seconds], "wrong": [wrong], "per_log": per_log, "start": begin}
    row = {
        "what": "seconds, and the model's: how far apart",
        "most": 1.15,
        "measured": max(seconds / model, model / seconds),
        "text": f"{seconds:.1f} s against {model:.1f} s: {begin:.2f} s a window, {per_log * 1e6:.1f} µs a log",
    }
    peak = {"what": "peak MB of a window", "most": MOST_MB, "measured": max(span["peak"] for span in spans), "text": ""}
    return {"figures": {"8 windows": figures}, "rows": [row, peak], "runs": 1}


def _span(space: Space, folder: Path, since: datetime, until: datetime) -> dict[str, Any]:
    """Run the tap over the list of a range; gives its figures with the number of logs."""
    folder.mkdir()
    settings = {**space.settings, "start_date": since.isoformat(), "end_date": until.isoformat()}
    run = launch(CONTENDERS[TAP].command(settings, "list", 32, folder), folder)
    with (folder / "stdout").open("rb") as lines:
        run["logs"] = sum(b'"type":"RECORD"' in line for line in lines)
    return run


def pipeline(plan: Plan) -> Outcome:
    """Load 100,000 logs from the list into an empty table: tap and loader together, beside dlt's `merge`."""
    return _pipeline(plan.size(100_000), plan.runs)


def pipeline_large(plan: Plan) -> Outcome:
    """The same with 1,000,000 logs, each once."""
    return {**_pipeline(plan.size(1_000_000), 1), "runs": 1}


def _pipeline(size: Size, runs: int) -> Outcome:
    prepare_loaders()
    figures: Figures = {}
    with space_of(size) as space, postgres() as url:
        for number in range(runs):
            for into in LOADERS:
                for name in (TAP, DLT):
                    label = f"{name}, {into}"
                    run = load_once(name, into, space, url)
                    print(f"  {number + 1}/{runs} {label}: {run['wall']:.2f} s {run['wrong']}", flush=True)
                    kept = figures.setdefault(label, {"name": name, "logs": space.logs})
                    for what in ("wall", "cpu", "peak", "wrong"):
                        kept.setdefault(what, []).append(run[what])
        rows = []
        for into in LOADERS:
            ours, dlt = figures[f"{TAP}, {into}"], figures[f"{DLT}, {into}"]
            rows.append(_ratio(f"dlt's seconds of the tap's, {into}", dlt, ours, least=3.0))
            pace = space.logs / median(ours["wall"])
            rows.append({"what": f"records a second, {into}", "least": 10_000, "measured": pace, "text": "whole pipe"})
    return {"figures": figures, "rows": rows}


def loaders(plan: Plan) -> Outcome:
    """Load 100,000 logs into PostgreSQL: where the pipe's time goes, and what other ways there are."""
    prepare_loaders()
    figures: Figures = {}
    size = plan.size(100_000)
    # The Space's clock stands a day before now.
    middle = (datetime.now(timezone.utc) - timedelta(days=1 + size.days / 2)).isoformat()
    with space_of(size) as space, postgres() as url:
        for number in range(plan.runs):
            whole = (f"{name}, whole pipe" for name in (TAP, DLT))
            piped = ((label, load_once(label.partition(",")[0], POSTGRES, space, url)) for label in whole)
            for label, run in itertools.chain(piped, ways_into_postgres(space, middle, url)):
                print(f"  {number + 1}/{plan.runs} {label}: {run['wall']:.2f} s {run['wrong']}", flush=True)
                kept = figures.setdefault(label, {"name": label.partition(",")[0], "logs": space.logs})
                for what in ("wall", "cpu", "peak", "wrong"):
                    kept.setdefault(what, []).append(run[what])
    dlt = figures[f"{DLT}, whole pipe"]
    return {
        "figures": figures,
        "rows": [
            _ratio(f"dlt's seconds of: {label}", dlt, ours) for label, ours in figures.items() if ours["name"] != DLT
        ],
    }


def start(plan: Plan) -> Outcome:
    """From the start of the process to its first request, `--version`, `--about`."""
    figures: Figures = {name: {"name": name, "first": [], "version": [], "about": []} for name in (TAP, SINGER)}
    with _listener() as (space, requests):
        settings = {
            "space": space,
            "project_id": "c38dacad-2f6c-4de1-93d6-cc732e0c70c5",
            "api_token": "PTopens0nothing",
        }
        # The first turn fills the caches of the disk and is not counted.
        for number in range(plan.runs + 1):
            for name, kept in figures.items():
                contender = CONTENDERS[name]
                with tempfile.TemporaryDirectory() as folder:
                    requests.clear()
                    began = launch(contender.command(settings, "list", 32, Path(folder)), Path(folder))["began"]
                    turn = {"first": requests[0] - began}
                    for option in ("version", "about"):
                        turn[option] = launch(contender.option(f"--{option}"), Path(folder))["wall"]
                print(f"  {number}/{plan.runs} {name}: {turn}", flush=True)
                if number:
                    for what, seconds in turn.items():
                        kept[what].append(seconds)
    return {
        "figures": figures,
        "rows": [
            _ratio(
                "seconds to the first request of a bare singer-sdk tap's",
                figures[TAP],
                figures[SINGER],
                "first",
                most=1.1,
            ),
            _ratio("seconds of `--version`, of a bare tap's", figures[TAP], figures[SINGER], "version"),
            _ratio("seconds of `--about`, of a bare tap's", figures[TAP], figures[SINGER], "about"),
        ],
    }


def sizes(plan: Plan) -> Outcome:
    """Get 1,000, 5,000 and 20,000 logs, 0 ms an answer: the first plot."""
    figures: Figures = {}
    for messages in (1_000, 5_000, 20_000):
        with space_of(plan.size(messages)) as space:
            entries = [
                Entry(f"{name}, {messages:,}", name, space, "get", once=name not in {TAP, AIOHTTP})
                for name in (TAP, AIOHTTP, OFFICIAL, SINGER, DLT, AIRBYTE)
            ]
            figures |= in_turns(entries, plan.runs)
    return {"figures": figures, "rows": []}


def latency(plan: Plan) -> Outcome:
    """Get 4,000 logs at 0 to 200 ms an answer, 8, 32 and 128 at a time: the second plot."""
    figures: Figures = {}
    for latency_ms in (0, 20, 50, 100, 200):
        with space_of(plan.size(4_000, latency_ms=latency_ms)) as space:
            for concurrency in (8, 32, 128):
                label = f"{latency_ms} ms, {concurrency} at a time"
                found = in_turns([Entry(label, TAP, space, "get", concurrency)], 1)
                least = arithmetic(space.logs, concurrency, space.latency)
                figures[label] = {**found[label], "latency_ms": latency_ms, "concurrency": concurrency, "least": least}
    return {"figures": figures, "rows": [], "runs": 1}


def profile(plan: Plan) -> Outcome:
    """Where the CPU time of one log goes."""
    figures: Figures = {}
    for mode, messages in (("get", 20_000), ("list", 200_000)):
        with space_of(plan.size(messages)) as space, tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            python, _, _, *options = CONTENDERS[TAP].command(space.settings, mode, 32, folder)
            layers = folder / "layers.json"
            launch([python, "-m", "benchmarks.profiling", str(layers), *options], folder)
            seconds = json.loads(layers.read_text(encoding="utf-8"))
            figures[mode] = {
                "name": TAP,
                "logs": space.logs,
                "wrong": [space.verdict(folder / "stdout")],
                "layers": {layer: spent / space.logs * 1e6 for layer, spent in seconds.items()},
            }
    return {"figures": figures, "rows": [], "runs": 1}


JOBS: dict[str, Callable[[Plan], Outcome]] = {
    "get": get,
    "get-50ms": get_50ms,
    "small": small,
    "list": list_,
    "list-100k": list_100k,
    "list-200ms": list_200ms,
    "sweep": sweep,
    "output": output,
    "memory": memory,
    "backfill": backfill,
    "pipeline": pipeline,
    "pipeline-large": pipeline_large,
    "loaders": loaders,
    "start": start,
    "sizes": sizes,
    "latency": latency,
    "profile": profile,
}


def arithmetic(logs: int, concurrency: int, seconds: float) -> float:
    """Seconds that the answers alone take: the list's pages, then rounds of `concurrency` gets."""
    return (ceil(logs / PAGE_SIZE) + ceil(logs / concurrency)) * seconds


def _ratio(
    what: str,
    over: dict[str, Any],
    under: dict[str, Any],
    of: str = "wall",
    *,
    most: float | None = None,
    least: float | None = None,
) -> dict[str, Any]:
    """Row with the ratio of two medians, and of the least and the greatest ratio within one turn."""
    turns = [one / other for one, other in zip(over[of], under[of], strict=True)]
    medians = median(over[of]), median(under[of])
    return {
        "what": what,
        "most": most,
        "least": least,
        "measured": medians[0] / medians[1],
        "low": min(turns),
        "high": max(turns),
        "text": f"{medians[0]:.2f} s against {medians[1]:.2f} s",
    }


def _cpu_per_log(figures: dict[str, Any], empty: dict[str, Any]) -> Sequence[float]:
    """CPU seconds a log of each run, without what a run costs that finds nothing."""
    return [(cpu - median(empty["cpu"])) / figures["logs"] for cpu in figures["cpu"]]


def _written(stdout: Path) -> dict[str, Any]:
    """Messages and bytes of each type in the tap's output."""
    messages = {"STATE": 0, "SCHEMA": 0}
    size = {"STATE": 0, "SCHEMA": 0}
    with stdout.open("rb") as lines:
        for line in lines:
            kind = msgspec.json.decode(line)["type"]
            messages[kind] = messages.get(kind, 0) + 1
            size[kind] = size.get(kind, 0) + len(line)
    return {"messages": messages, "bytes": size}


@contextmanager
def _listener() -> Iterator[tuple[str, list[float]]]:
    """A Space with nothing in it: its host and port, and the moments (monotonic seconds) at which requests came."""
    requests: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            requests.append(time.monotonic())
            body = b'{"links":{},"data":[]}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", requests
        server.shutdown()
