"""What Burnish costs its host: a decision, a recorded run, an import; each beside a naive yardstick in the same run.

    uv run python -m benchmarks.latency            # writes benchmarks/results/latency.json and latency.md
    uv run python -m benchmarks.latency --quick    # prints only

Every figure is taken on the thread of the host while the writer thread of the same process works, as in real use.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

import msgspec

import burnish
from burnish.act.router import Request

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("burnish", "numpy", "sqlalchemy", "msgspec", "psycopg")
TASK_TYPES = [f"type{k}" for k in range(20)]
MODELS = [f"model-{k}" for k in range(10)]
PACE_SECONDS = 0.004
"""Between two runs of a paced measurement: 250 runs a second."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the report, in microseconds."""

    what: str
    n: int
    p50: float
    p99: float
    largest: float
    bar: str = ""
    met: bool | None = None


def measured(
    what: str, seconds: Sequence[float], *, bar_p50: float | None = None, bar_p99: float | None = None
) -> Measured:
    """Summarise durations; bars are in microseconds."""
    ordered = sorted(second * 1e6 for second in seconds)
    p50, p99 = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    bars = [f"p50 ≤ {bar_p50:g} µs"] if bar_p50 is not None else []
    bars += [f"p99 ≤ {bar_p99:g} µs"] if bar_p99 is not None else []
    met = None
    if bars:
        met = (bar_p50 is None or p50 <= bar_p50) and (bar_p99 is None or p99 <= bar_p99)
    return Measured(what=what, n=len(ordered), p50=p50, p99=p99, largest=ordered[-1], bar=", ".join(bars), met=met)


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


@contextmanager
def learned_loop(runs: int) -> Iterator[burnish.Loop]:
    """Open a loop that has learned from as many runs of 20 task types and 10 models."""
    rng = random.Random(7)
    with (
        tempfile.TemporaryDirectory() as folder,
        burnish.open(folder, models=MODELS, seed=7, queue_runs=1_000_000, queue_mb=1_000) as loop,
    ):
        for step in range(runs):
            with loop.run(agent="coder", task="warm up", task_type=TASK_TYPES[step % 20]) as run:
                model = rng.choice(MODELS)
                run.call(model=model, cost_usd=rng.random() / 10, latency_s=rng.random())
                run.outcome(quality=rng.random())
        loop.flush(300)
        yield loop


def play(loop: burnish.Loop, step: int, into: dict[str, list[float]]) -> None:
    """One whole run as a host has it, timed in parts."""
    began = time.perf_counter()
    run = loop.run(agent="coder", task="Cancel order 123", task_type=TASK_TYPES[step % 20], project="shop")
    run.__enter__()
    opened = time.perf_counter()
    model = run.decide().model
    decided = time.perf_counter()
    run.call({"model": model, "cost_usd": 0.01, "input_tokens": 900, "output_tokens": 120}, latency_s=0.5)
    run.gate("order-cancelled", passed=step % 3 > 0)
    run.outcome(success=step % 3 > 0)
    told = time.perf_counter()
    run.__exit__(None, None, None)
    ended = time.perf_counter()
    into.setdefault("decide", []).append(decided - opened)
    into.setdefault("exit", []).append(ended - told)
    into.setdefault("whole", []).append(ended - began)


def decisions(loop: burnish.Loop, count: int) -> list[Measured]:
    """Time decisions alone, every probability read: from a warm slate, from a cold one, and through a run."""
    requests = [Request(tenant="default", agent="coder", task_type=task_type) for task_type in TASK_TYPES]
    rng = random.Random(3)

    def decide() -> None:
        if len(loop.router.decide(rng.choice(requests)).propensities) != len(MODELS):
            raise SystemExit("a decision does not carry every propensity")

    for request in requests:
        loop.router.decide(request)
    warm = [timed(decide) for _ in range(count)]
    cold = []
    for _ in range(count // 10):
        loop.router.belief("default", "coder").slates.clear()
        cold.append(timed(decide))
    through_run = []
    for _ in range(count // 10):
        run = loop.run(agent="coder", task_type=rng.choice(TASK_TYPES))
        through_run.append(timed(lambda run=run: run.decide().propensities))  # type: ignore[misc]  # bound early
    yardstick = [timed(lambda: rng.choices(MODELS, [1.0] * len(MODELS))) for _ in range(count)]
    return [
        measured("decide, warm slate", warm, bar_p50=50, bar_p99=1_000),
        measured("decide, cold slate (first after a belief changed)", cold, bar_p99=1_000),
        measured("run.decide()", through_run, bar_p50=50, bar_p99=1_000),
        measured("yardstick: random.choices", yardstick),
    ]


def runs(loop: burnish.Loop, count: int, pace: float, label: str, bar: float | None) -> list[Measured]:
    """Time whole runs, at a pace or as fast as they go."""
    parts: dict[str, list[float]] = {}
    for step in range(count):
        play(loop, step, parts)
        if pace:
            time.sleep(pace)
    if not loop.flush(300).durable:
        raise SystemExit("a run was dropped")
    return [
        measured(f"run exit: put together and enqueue, {label}", parts["exit"], bar_p50=bar),
        measured(f"run.decide() within a run, {label}", parts["decide"]),
        measured(f"whole run (open, decide, call, gate, outcome, exit), {label}", parts["whole"]),
    ]


def enqueue(loop: burnish.Loop, count: int) -> list[Measured]:
    """Time the hand-over alone: a finished run, already put together, into the queue."""
    found = []
    for step in range(count):
        run = loop.run(agent="coder", task_type=TASK_TYPES[step % 20])
        bundle = run._bundle()
        found.append(timed(lambda bundle=bundle: loop.recorder.put(bundle, 2_000)))  # type: ignore[misc]  # bound early
        time.sleep(PACE_SECONDS)
    loop.flush(300)
    return [measured("enqueue alone, 250 runs/s", found, bar_p50=100)]


def plain_insert(count: int) -> list[Measured]:
    """Time the naive way: one row of JSON, inserted and committed by the host itself, as durable as the ledger."""
    row = json.dumps({"task": "Cancel order 123", "agent": "coder", "model": "m", "cost_usd": 0.01, "success": True})
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "plain.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY, body TEXT)")
        found = []
        for _ in range(count):
            found.append(timed(lambda: connection.execute("INSERT INTO runs (body) VALUES (?)", (row,))))
            time.sleep(PACE_SECONDS)
        connection.close()
    return [measured("yardstick: synchronous SQLite insert of one JSON row", found)]


def imports(times: int) -> list[Measured]:
    """Time `import burnish` in fresh interpreters: what it adds to one that imports nothing."""

    def fresh(code: str) -> float:
        return timed(lambda: subprocess.run([sys.executable, "-c", code], check=True))

    fresh("import burnish, sqlalchemy")
    nothing = median(fresh("pass") for _ in range(times))
    rows = {
        "import burnish, over an empty interpreter": ("import burnish", 150_000.0),
        "import burnish and what burnish.open needs": ("import burnish; burnish.open", None),
        "yardstick: import sqlalchemy": ("import sqlalchemy", None),
    }
    return [measured(what, _over(nothing, fresh, code, times), bar_p50=bar) for what, (code, bar) in rows.items()]


def _over(nothing: float, fresh: Callable[[str], float], code: str, times: int) -> list[float]:
    return [max(0.0, fresh(code) - nothing) for _ in range(times)]


def environment(command: str) -> dict[str, object]:
    """Return where and by what the figures were taken."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 1),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def described(where: dict[str, object]) -> str:
    """Return the environment as one line of Markdown."""
    used = str(where["packages"])
    return (
        f"{where['date']}, Python {where['python']}, SQLite {where['sqlite']}, {used}; {where['cores']} shared cores, "
        f"load {where['load_1min']} at the start, {where['machine']}. Reproduce with `{where['command']}`."
    )


def keep(name: str, result: dict[str, object], page: str) -> None:
    """Write the figures and their page."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (RESULTS / f"{name}.md").write_text(page, encoding="utf-8")


def page(where: dict[str, object], rows: Sequence[Measured]) -> str:
    """Return the report as Markdown."""
    lines = ["# What Burnish costs its host", "", described(where), ""]
    lines += ["| µs | n | p50 | p99 | largest | bar |", "|---|---|---|---|---|---|"]
    for row in rows:
        bar = row.bar and f"{row.bar}: {'met' if row.met else '**missed**'}"
        lines.append(f"| {row.what} | {row.n:,} | {row.p50:,.1f} | {row.p99:,.0f} | {row.largest:,.0f} | {bar} |")
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the figures; exit 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description="Measure what Burnish costs its host.")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions; prints only")
    quick = parser.parse_args(arguments).quick
    scale = 1 if quick else 5
    where = environment("uv run python -m benchmarks.latency")
    with learned_loop(800 * scale) as loop:
        rows = [
            *decisions(loop, 4_000 * scale),
            *enqueue(loop, 200 * scale),
            *runs(loop, 400 * scale, PACE_SECONDS, "250 runs/s", 100),
            *runs(loop, 1_000 * scale, 0.0, "as fast as they go", None),
        ]
    rows += [*plain_insert(200 * scale), *imports(2 * scale)]
    text = page(where, rows)
    print(text)
    if not quick:
        keep("latency", {**where, "rows": [msgspec.structs.asdict(row) for row in rows]}, text)
    return 0 if all(row.met is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
