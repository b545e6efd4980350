"""Measure Burnish's router beside its rivals on recorded worlds, from a cold start.

    uv run --group bench python -m benchmarks.routing             # full: writes benchmarks/results/routing.{json,md}
    uv run --group bench python -m benchmarks.routing --quick     # under a minute: writes benchmarks/results/quick/

Every router sees the task type only, in random arrival order, and learns from the arm it chose only. One set of
defaults serves every world. Without the `bench` group the two ParetoBandit rows are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import benchmarks.routing_data as data
from benchmarks.routing_budget import budgets
from benchmarks.routing_chain import chains
from benchmarks.routing_drift import silent_regression
from benchmarks.routing_latency import latencies
from benchmarks.routing_learner import REFRESH_RUNS
from benchmarks.routing_replay import ROUTERS, compare
from benchmarks.routing_report import report

RESULTS = Path(__file__).parent / "results"
DEMO_PRICES = (0.05, 0.1, 0.2, 0.3)
HELD_OUT = 2000
"""First of the seeds that the rule of the floor was not chosen on."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few seeds, to see that everything runs")
    parser.add_argument("--out", type=Path, help="folder for routing.json and routing.md")
    chosen = parser.parse_args(arguments)
    out: Path = chosen.out or (RESULTS / "quick" if chosen.quick else RESULTS)
    results = measure(quick=chosen.quick)
    out.mkdir(parents=True, exist_ok=True)
    (out / "routing.json").write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    text = report(results)
    (out / "routing.md").write_text(text)
    print(text)
    return 0


def measure(*, quick: bool) -> dict[str, Any]:
    """Return every figure of the report."""
    seeds = 2 if quick else 40
    routers = {name: make for name, make in ROUTERS.items() if "Pareto" not in name or find_spec("pareto_bandit")}
    worlds = [
        data.coderouterbench_id(),
        data.coderouterbench_ood("bench"),
        data.coderouterbench_ood("task_type"),
        data.paretobandit(),
        *(data.openhands_demo(price) for price in (DEMO_PRICES[1:2] if quick else DEMO_PRICES)),
    ]
    compared = {}
    for world in worlds:
        few = len(world.quality) < 500
        compared[world.name] = {
            "runs": len(world.quality),
            "seeds": seeds * 3 if few else seeds,
            "routers": compare(world, routers, seeds * 3 if few else seeds),
        }
        print(f"{world.name}: done", file=sys.stderr)
    paced = [data.openhands_demo(0.0), data.coderouterbench_id(), data.paretobandit()]
    return {
        "about": _about(quick=quick),
        "worlds": compared,
        "held_out": {
            world.name: _held_out(world, 2 if quick else many)
            for world, many in zip((worlds[0], worlds[1], worlds[3]), (40, 120, 80), strict=True)
        },
        "chains": [chains(data.openhands_demo(price), seeds) for price in DEMO_PRICES],
        "budgets": {world.name: budgets(world, 2 if quick else 20) for world in paced[: 1 if quick else 3]},
        "silent_regression": silent_regression(seeds) | {"seeds": seeds},
        "latency": latencies(300 if quick else 20_000),
    }


def _held_out(world: data.World, seeds: int) -> dict[str, Any]:
    """Return Burnish beside flat cells on seeds of their own."""
    routers = {name: ROUTERS[name] for name in ("Burnish", "Beta cells (TS)")}
    return {"first_seed": HELD_OUT, "seeds": seeds, "routers": compare(world, routers, seeds, HELD_OUT)}


def _about(*, quick: bool) -> dict[str, Any]:
    return {
        "date": datetime.now(tz=UTC).date().isoformat(),
        "quick": quick,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "runs_between_posteriors": REFRESH_RUNS,
        "versions": {name: _version(name) for name in ("burnish", "numpy", "paretobandit")},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
