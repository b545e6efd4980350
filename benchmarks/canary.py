"""Measure the canary gate: errors, speed, drift, late harm, lost logs, shadow, sticky tenants, cost.

    uv run python -m benchmarks.canary             # full, minutes: writes benchmarks/results/canary.{json,md}
    uv run python -m benchmarks.canary --quick     # under 40 s: writes benchmarks/results/quick/

Simulated losses, thousands of replicates at once; the simulator is shown to equal the shipped classes on the same
draws. With few replicates the bars of the quick mode are noise: it shows that everything runs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.canary_checks import beside_ville, costs, same_as_shipped
from benchmarks.canary_decisions import against_the_bound, operating_characteristics, with_categories
from benchmarks.canary_drift import under_drift
from benchmarks.canary_late import late_harm, lost_logs, shadow, sticky_tenants
from benchmarks.canary_losses import D1
from benchmarks.canary_report import report

RESULTS = Path(__file__).parent / "results"

SECTIONS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "costs": (partial(costs, 100), partial(costs, 20)),
    "same": (partial(same_as_shipped, 20), partial(same_as_shipped, 1)),
    "decisions": (partial(operating_characteristics, 2000), partial(operating_characteristics, 10, (D1,))),
    "bound": (partial(against_the_bound, 2000), partial(against_the_bound, 50)),
    "categories": (partial(with_categories, 2000), partial(with_categories, 20)),
    "drift": (partial(under_drift, 4000), partial(under_drift, 20)),
    "late_harm": (partial(late_harm, 4000), partial(late_harm, 20)),
    "sample_ratio": (partial(lost_logs, 20_000), partial(lost_logs, 100)),
    "shadow": (partial(shadow, 4000), partial(shadow, 20)),
    "tenants": (partial(sticky_tenants, 2000), partial(sticky_tenants, 20)),
    "ville": (partial(beside_ville, 60), partial(beside_ville, 2)),
}
"""For each section of the report what measures it: in full, and quick. The number is that of replicates (or blocks)."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few replicates, to see that everything runs")
    parser.add_argument("--out", type=Path, help="folder for canary.json and canary.md")
    chosen = parser.parse_args(arguments)
    out: Path = chosen.out or (RESULTS / "quick" if chosen.quick else RESULTS)
    results = measure(quick=chosen.quick)
    out.mkdir(parents=True, exist_ok=True)
    (out / "canary.json").write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    text = report(results)
    (out / "canary.md").write_text(text)
    print(text)
    return 0


def measure(*, quick: bool) -> dict[str, Any]:
    """Return every figure of the report."""
    began = time.monotonic()
    results: dict[str, Any] = {}
    for name, (full, few) in SECTIONS.items():
        started = time.monotonic()
        results[name] = few() if quick else full()
        print(f"{name}: {time.monotonic() - started:.1f} s", file=sys.stderr)
    return {"about": _about(time.monotonic() - began, quick=quick), **results}


def _about(seconds: float, *, quick: bool) -> dict[str, Any]:
    return {
        "date": datetime.now(tz=UTC).date().isoformat(),
        "quick": quick,
        "seconds": seconds,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("burnish", "numpy", "ville")},
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
