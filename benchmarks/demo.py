"""Measure the demo: the learning over many seeds, the time of the whole story, and the memory it takes.

    uv run python benchmarks/demo.py [--quick] [--seeds 20]

Writes benchmarks/results/demo.json and demo.md. Time and memory are those of the command as a newcomer starts it.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from burnish.demo.figures import learning_of
from burnish.demo.performance import world_of
from burnish.demo.records import Plan
from burnish.demo.report import Learning, Report
from burnish.demo.story import tell
from burnish.demo.sums import mean_se

RESULTS = Path(__file__).parent / "results"
COMMAND = (
    "import resource, sys; from burnish.cli import main; main(sys.argv[1:], standalone_mode=False); "
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
)
KILOBYTES = 1024 if platform.system() == "Darwin" else 1


class Seed(msgspec.Struct, frozen=True):
    """The learning rounds of one seed."""

    seed: int
    success: float
    cost_usd: float
    utility: float
    gap_closed: float
    gap_closed_last: float
    ahead_from: int | None
    alarms: int
    """Drift alarms; no model changes in these rounds, so each is false."""


class Result(msgspec.Struct, frozen=True):
    """What was measured."""

    machine: str
    rounds: int
    best_single: float
    type_oracle: float
    seeds: list[Seed]
    seconds: float
    peak_mb: float
    runs: int


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the demo.")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=Plan().learn_rounds)
    parser.add_argument("--quick", action="store_true", help="three seeds of three rounds; writes nothing")
    options = parser.parse_args()
    seeds, rounds = (3, 3) if options.quick else (options.seeds, options.rounds)
    found = [one(seed, rounds) for seed in range(seeds)]
    seconds, peak, report = command("--quick" if options.quick else f"--rounds={rounds}")
    references = found[0][0].references
    result = Result(
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        rounds=rounds,
        best_single=references.best_single.utility,
        type_oracle=references.type_oracle.utility,
        seeds=[seed for _, seed in found],
        seconds=seconds,
        peak_mb=peak,
        runs=report.total.runs,
    )
    text = table(result)
    print(text)
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "demo.json").write_bytes(msgspec.json.format(msgspec.json.encode(result)))
        (RESULTS / "demo.md").write_text(text, encoding="utf-8")


def one(number: int, rounds: int) -> tuple[Learning, Seed]:
    """Play the learning rounds of one seed."""
    world, _ = world_of(None)
    plan = Plan(seed=number, learn_rounds=rounds, check_rounds=0, drift_rounds=0)
    with tempfile.TemporaryDirectory() as folder:
        story, loop = tell(folder, world, plan)
        loop.close()
    found = learning_of(story, world)
    seed = Seed(
        seed=number,
        success=found.whole.success,
        cost_usd=found.whole.cost_usd,
        utility=found.whole.utility,
        gap_closed=found.gap_closed or 0.0,
        gap_closed_last=found.gap_closed_last or 0.0,
        ahead_from=found.ahead_from,
        alarms=len(story.alarms),
    )
    print(f"seed {number}: {seed.gap_closed:.0%} of the gap closed, {seed.alarms} alarms", file=sys.stderr, flush=True)
    return found, seed


def command(option: str) -> tuple[float, float, Report]:
    """Return seconds and peak megabytes of `burnish demo` in a new process, and its report."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        arguments = [sys.executable, "-c", COMMAND, "demo", option, "--json", "--html", "page.html"]
        done = subprocess.run(arguments, cwd=folder, check=True, capture_output=True)
        seconds = time.perf_counter() - began
    peak = float(done.stderr.split()[-1]) / KILOBYTES / 1024
    return seconds, peak, msgspec.json.decode(done.stdout, type=Report)


def table(result: Result) -> str:
    """Return the result as Markdown."""
    seeds = result.seeds
    ahead = sum(seed.utility > result.best_single for seed in seeds)
    rows = (
        row("utility a run", [s.utility for s in seeds], "{:.4f}"),
        row("gap best single → oracle per type closed", [s.gap_closed for s in seeds], "{:.3f}"),
        row("the same, last round alone", [s.gap_closed_last for s in seeds], "{:.3f}"),
        row("success", [s.success for s in seeds], "{:.4f}"),
        row("$ a run", [s.cost_usd for s in seeds], "{:.4f}"),
        row("false drift alarms", [float(s.alarms) for s in seeds], "{:.2f}"),
    )
    return f"""# The demo

`uv run python benchmarks/demo.py` on {result.machine}. {result.rounds} learning rounds over 1,112 tasks,
the whole stream from the first run, exploration paid. The references are chosen in hindsight and are exact.

| {len(seeds)} seeds | mean ± s.e. | range |
|---|---|---|
{chr(10).join(rows)}

Best single model: utility {result.best_single:.4f}; oracle per task type: {result.type_oracle:.4f}.
Ahead of the best single model: {ahead} of {len(seeds)} seeds.

The whole command, {result.runs:,} runs with page and JSON: {result.seconds:.1f} s,
{result.peak_mb:.0f} MB peak resident.
"""


def row(name: str, values: list[float], shown: str) -> str:
    """Return one line of the table."""
    mean, error, low, high = (shown.format(value) for value in (*mean_se(values), min(values), max(values)))
    return f"| {name} | {mean} ± {error} | {low} to {high} |"


if __name__ == "__main__":
    main()
