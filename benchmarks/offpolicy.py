"""Measure off-policy evaluation on recorded worlds, where the value of every policy is known exactly.

    uv run python -m benchmarks.offpolicy             # full: writes benchmarks/results/offpolicy.{json,md}
    uv run python -m benchmarks.offpolicy --quick     # under half a minute: writes benchmarks/results/quick/

Burnish's own router logs the runs, from a cold start, under its floor. Seven other policies are then estimated from
what it logged, and held against what they would really have done.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

import benchmarks.routing_data as data
from benchmarks.offpolicy_logs import Logged, log_runs, mean_losses, never_tried, targets
from benchmarks.offpolicy_report import report
from benchmarks.offpolicy_size import estimate, from_ledger
from benchmarks.routing_data import World
from burnish.stats.offpolicy import Difference, LoggedChoices, difference, half_width
from burnish.stats.offpolicy_verdict import LEAST_ESS, LEAST_SUPPORT, judge

if TYPE_CHECKING:
    from benchmarks.routing_data import Array

RESULTS = Path(__file__).parent / "results"
RUNS = (300, 1_000, 3_000)
MARGIN = 0.02
REPLICATES = 100


class Estimated(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation of one target beside the truth."""

    target: str
    runs: int
    truth: float
    dr: float
    snips: float
    ips: float
    ess: float
    support: float
    covered: bool
    covered_without_slack: bool
    covered_unwidened: bool
    covered_by_normal: bool
    width: float
    claims_better: bool
    answer: str
    """pass, fail, inconclusive, or why none was given."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few replicates, to see that everything runs")
    parser.add_argument("--out", type=Path, help="folder for offpolicy.json and offpolicy.md")
    chosen = parser.parse_args(arguments)
    out: Path = chosen.out or (RESULTS / "quick" if chosen.quick else RESULTS)
    results = measure(replicates=2 if chosen.quick else REPLICATES, quick=chosen.quick)
    out.mkdir(parents=True, exist_ok=True)
    (out / "offpolicy.json").write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    text = report(results)
    (out / "offpolicy.md").write_text(text)
    print(text)
    return 0


def measure(*, replicates: int, quick: bool) -> dict[str, Any]:
    """Return every figure of the report."""
    groups, refused = [], []
    for world in (data.paretobandit(), data.coderouterbench_id(), data.openhands_demo(0.1)):
        floors = {"5 %": 0.05, "3 %": 0.03, "5 % an arm": 0.05 * len(world.arms)}
        for name, floor in floors.items():
            found, unsupported = estimates(world, floor, replicates)
            refused += unsupported
            groups.append({"world": world.name, "arms": len(world.arms), "floor": name} | summaries(found))
            print(f"{world.name}, floor {name}: done", file=sys.stderr)
    return {
        "about": _about(quick=quick, replicates=replicates),
        "groups": groups,
        "never_tried": {"evaluations": len(refused), "refused": float(np.mean(refused))},
        "sizes": {
            "ledger": from_ledger(2_000 if quick else 100_000),
            "arrays": estimate(100_000 if quick else 1_000_000),
        },
    }


def estimates(world: World, floor: float, replicates: int) -> tuple[list[Estimated], list[bool]]:
    """Return every evaluation of every target, and whether each target without support was refused."""
    found, refused = [], []
    for seed in range(replicates):
        shuffled = world.shuffled(seed)
        log = log_runs(shuffled, RUNS[-1], floor, seed)
        means, share = mean_losses(shuffled)
        for name, target in targets(shuffled, seed).items():
            value = float(share @ (target * means).sum(axis=1))
            found += [_estimated(name, log, target, runs, value) for runs in RUNS]
        wider, always = never_tried(log, target)
        refused += [judge(difference(wider.under(always, n)), margin=MARGIN).ground == "no support" for n in RUNS]
    return found, refused


def _estimated(name: str, log: Logged, target: Array, runs: int, value: float) -> Estimated:
    choices = log.under(target, runs)
    found = difference(choices)
    judged = judge(found, margin=MARGIN)
    truth = value - float(log.value[:runs].mean())
    off = abs(found.value - truth)
    return Estimated(
        target=name,
        runs=runs,
        truth=truth,
        dr=found.value,
        snips=found.snips,
        ips=_inverse_propensity(choices),
        ess=found.ess,
        support=found.support,
        covered=found.low <= truth <= found.high,
        covered_without_slack=off <= found.high - found.value - found.slack,
        covered_unwidened=off <= half_width(runs, found.sd, alpha=0.05) + found.slack,
        covered_by_normal=off <= 1.96 * found.sd / runs**0.5,
        width=found.high - found.low,
        claims_better=answered(found) and found.high < 0.0,
        answer=judged.verdict if judged.ground == "interval" else judged.ground,
    )


def answered(found: Difference | Estimated) -> bool:
    """Tell whether support and effective runs allow an answer."""
    return found.support >= LEAST_SUPPORT and found.ess >= LEAST_ESS


def _inverse_propensity(log: LoggedChoices) -> float:
    rows = np.arange(len(log.arm))
    weight = log.target[rows, log.arm] / log.logged[rows, log.arm]
    return float(((weight - 1.0) * log.outcome).mean())


def summaries(found: list[Estimated]) -> dict[str, Any]:
    """Return the figures of one world and floor: by runs, by runs and target, and power by true difference."""
    by_runs = {str(n): summary([e for e in found if e.runs == n]) for n in RUNS}
    names = list(dict.fromkeys(e.target for e in found))
    by_target = {
        name: {str(n): summary([e for e in found if e.runs == n and e.target == name]) for n in RUNS} for name in names
    }
    return {"by_runs": by_runs, "by_target": by_target, "power": {str(n): power(found, n) for n in RUNS}}


def summary(found: list[Estimated]) -> dict[str, float | None]:
    """Return the figures of some evaluations, over all of them and over those that were answered."""
    kept = [e for e in found if answered(e)]
    answers = [e.answer for e in found]
    worse = [e for e in kept if e.truth > MARGIN]
    return {
        "evaluations": len(found),
        "answered": len(kept) / len(found),
        **{f"rmse_{name}": _rmse(kept, name) for name in ("dr", "snips", "ips")},
        **{f"rmse_{name}_all": _rmse(found, name) for name in ("dr", "snips", "ips")},
        "covered": _mean([e.covered for e in kept]),
        "covered_without_slack": _mean([e.covered_without_slack for e in kept]),
        "covered_unwidened": _mean([e.covered_unwidened for e in kept]),
        "covered_by_normal": _mean([e.covered_by_normal for e in kept]),
        "covered_all": _mean([e.covered for e in found]),
        "covered_by_normal_all": _mean([e.covered_by_normal for e in found]),
        "width": _mean([e.width for e in kept]),
        "truth": _mean([e.truth for e in found]),
        "ess": float(np.median([e.ess for e in found])),
        "support": _mean([e.support for e in found]),
        "no_support": answers.count("no support") / len(found),
        "too_few": answers.count("too few effective runs") / len(found),
        "disagree": answers.count("estimators disagree") / len(found),
        "pass": answers.count("pass") / len(found),
        "fail": answers.count("fail") / len(found),
        "worse": len(worse),
        "worse_passed": sum(e.answer == "pass" for e in worse),
        "not_worse_failed": sum(e.answer == "fail" and e.truth <= 0.0 for e in kept),
        "not_worse": sum(e.truth <= 0.0 for e in kept),
        "false_claims_of_better": sum(e.claims_better and e.answer == "pass" and e.truth >= 0.0 for e in kept),
    }


def power(found: list[Estimated], runs: int) -> dict[str, dict[str, float | None]]:
    """Return, by the true difference, the shares of answered evaluations that passed and failed."""
    edges = {"≤ -.05": (-1.0, -0.05), "-.05 to -.02": (-0.05, -0.02), "-.02 to 0": (-0.02, 0.0)}
    edges |= {"0 to .02": (0.0, 0.02), ".02 to .05": (0.02, 0.05), "> .05": (0.05, 1.0)}
    of = {n: [e for e in found if e.runs == runs and a < e.truth <= b] for n, (a, b) in edges.items()}
    return {
        name: {
            "evaluations": len(some),
            "answered": _mean([answered(e) for e in some]),
            "pass": _mean([e.answer == "pass" for e in some]),
            "fail": _mean([e.answer == "fail" for e in some]),
        }
        for name, some in of.items()
    }


def _rmse(found: list[Estimated], name: str) -> float | None:
    errors = [getattr(e, name) - e.truth for e in found]
    return float(np.sqrt(np.mean(np.square(errors)))) if errors else None


def _mean(values: list[Any]) -> float | None:
    return float(np.mean(values)) if values else None


def _about(*, quick: bool, replicates: int) -> dict[str, Any]:
    return {
        "date": datetime.now(tz=UTC).date().isoformat(),
        "quick": quick,
        "replicates": replicates,
        "margin": MARGIN,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("burnish", "numpy")},
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
