"""Let the best arm lose 40 % of its successes in silence, and measure what that costs and when it is noticed.

Five arms on three types (base rates .45 to .85), 6,000 runs; half-way the best arm of every type drops. Drift
evidence is kept per arm on what the arm's own cells predicted; an alarm starts a new epoch for that arm.
"""

from __future__ import annotations

import numpy as np

from benchmarks.routing_data import World
from benchmarks.routing_learner import Burnish
from burnish.stats.cells import EARLIER_EPOCH_MASS
from burnish.stats.drift import DriftState, update

RATES = np.array([[0.85, 0.75, 0.70, 0.65, 0.60], [0.70, 0.60, 0.55, 0.50, 0.45], [0.75, 0.65, 0.60, 0.55, 0.45]])
KEPT = 0.6
HALF = 3000


def silent_regression(seeds: int) -> dict[str, float]:
    """Return detection and regret figures, with drift detection and without."""
    watched = [_stream(seed, watch=True) for seed in range(seeds)]
    blind = [_stream(seed, watch=False) for seed in range(seeds)]
    delays = [HALF if w[1] is None else w[1] for w in watched]
    return {
        "false_alarms_per_3000_runs": float(np.mean([w[0] for w in watched])),
        "delay_median": float(np.median(delays)),
        "delay_p90": float(np.quantile(delays, 0.9)),
        "undetected": float(np.mean([w[1] is None for w in watched])),
        "regret_500_after": float(np.mean([w[2] for w in watched])),
        "regret_500_after_without": float(np.mean([b[2] for b in blind])),
        "regret_after": float(np.mean([w[3] for w in watched])),
        "regret_after_without": float(np.mean([b[3] for b in blind])),
    }


def _stream(seed: int, *, watch: bool) -> tuple[int, int | None, float, float]:
    """Return false alarms before, delay in runs of all arms, regret in the 500 runs after, regret to the end."""
    rng = np.random.default_rng(seed)
    dropped = RATES.copy()
    dropped[:, 0] *= KEPT
    world = _world()
    learner = Burnish(world, price=0.0)
    states = [DriftState() for _ in world.arms]
    false_alarms, delay, regret = 0, None, np.zeros(2 * HALF)
    for run in range(2 * HALF):
        rates = RATES if run < HALF else dropped
        kind = int(rng.integers(len(RATES)))
        arm = learner.choose(kind, float(rng.random()))
        quality = float(rng.random() < rates[kind, arm])
        regret[run] = rates[kind].max() - rates[kind, arm]
        predicted = float(learner.belief.mean[kind, arm])
        spread = float(learner.belief.covariance[kind, arm, arm]) ** 0.5
        learner.learn(kind, arm, quality, 0.0)
        states[arm] = update(states[arm], predicted=predicted, observed=quality, spread=spread)
        if not (watch and states[arm].alarmed()):
            continue
        states[arm] = DriftState()
        _new_epoch(learner, arm)
        if run < HALF:
            false_alarms += 1
        elif arm == 0 and delay is None:
            delay = run - HALF + 1
    after = regret[HALF:]
    return false_alarms, delay, float(after[:500].sum()), float(after.sum())


def _new_epoch(learner: Burnish, arm: int) -> None:
    """Scale the arm's cells to what earlier epochs may weigh."""
    capped = learner.counts.capped(EARLIER_EPOCH_MASS)
    learner.counts.n[arm] = capped.n[arm]
    learner.counts.total[arm] = capped.total[arm]
    learner.counts.squares[arm] = capped.squares[arm]
    learner.refresh()


def _world() -> World:
    types, arms = RATES.shape
    names = tuple(f"arm {k}" for k in range(arms))
    kinds = tuple(f"type {t}" for t in range(types))
    nothing = np.zeros((0, arms))
    return World("silent-regression", names, kinds, np.zeros(0, dtype=np.int64), nothing, nothing, 0.0)
