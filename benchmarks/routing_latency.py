"""Time the estimators: 10 arms × 20 types, 256 draws, one core."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from burnish.stats.cells import CellCounts, posterior
from burnish.stats.drift import DriftState, update
from burnish.stats.novelty import NoveltyReference
from burnish.stats.propensity import draw_belief, pick, propensities

ARMS, TYPES = 10, 20


def latencies(repeats: int) -> dict[str, dict[str, float]]:
    """Return p50 and p99 in microseconds of each step."""
    rng = np.random.default_rng(0)
    n = rng.integers(0, 40, (ARMS, TYPES)).astype(np.float64)
    total = n * rng.random((ARMS, TYPES))
    counts = CellCounts(n, total, total * 0.9)
    belief = posterior(counts)
    drawn = draw_belief(belief.mean[0], belief.factor[0], noise_variance=belief.noise_variance)
    penalty, eligible = rng.random(ARMS) * 0.1, np.ones(ARMS, dtype=np.bool_)
    vector = propensities(drawn, penalty=penalty, eligible=eligible)
    reference = NoveltyReference()
    features = [{"type": f"t{i % 7}", "language": f"l{i % 3}", "tool": f"x{i % 11}"} for i in range(400)]
    for row in features:
        reference.add(row)
    state = DriftState()
    steps: dict[str, Callable[[], object]] = {
        "posterior of all types (after a batch)": lambda: posterior(counts),
        "draws of one type (once a posterior)": lambda: draw_belief(
            belief.mean[0], belief.factor[0], noise_variance=belief.noise_variance
        ),
        "propensity vector (each decision)": lambda: propensities(drawn, penalty=penalty, eligible=eligible),
        "pick (each decision)": lambda: pick(vector, 0.4),
        "novelty, three categories": lambda: reference.novelty(features[0]),
        "drift update": lambda: update(state, predicted=0.7, observed=1.0),
    }
    return {name: _timed(step, repeats) for name, step in steps.items()}


def _timed(step: Callable[[], object], repeats: int) -> dict[str, float]:
    for _ in range(min(repeats, 50)):
        step()
    times = np.empty(repeats)
    for i in range(repeats):
        start = time.perf_counter_ns()
        step()
        times[i] = time.perf_counter_ns() - start
    return {"p50_us": float(np.quantile(times, 0.5) / 1e3), "p99_us": float(np.quantile(times, 0.99) / 1e3)}
