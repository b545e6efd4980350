"""Operating characteristics: how often and how soon the canary promotes, rolls back or holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.canary_bound import fewest_runs
from benchmarks.canary_losses import CHUNK, D1, SHAPES, SPLITS, Array, Mask, Shape, draws, seeded
from benchmarks.canary_vectorised import Canaries
from burnish.stats.comparison import PROMOTE_AT, ROLLBACK_AT

Index: TypeAlias = NDArray[np.intp]

EFFECTS = (0.0, -0.05, -0.02, 0.02, 0.05, 0.15, 0.30)
MORE = {0.0: 10, 0.02: 4}
"""Effects at which a small rate of wrong decisions is measured: so many times the replicates."""

HOLD, PROMOTED, ROLLED_BACK = 0, 1, 2
CATEGORIES = (0.0, 0.0, 0.1, 0.7)
"""Share of bad losses in each of four task categories: they explain half of the variance of D1."""


@dataclass(slots=True)
class Outcomes:
    """What became of each replicate: decision, runs and the candidate's runs until then."""

    decision: Array
    runs: Array
    candidate_runs: Array

    def figures(self) -> dict[str, Any]:
        """Return rates and quantiles of the decisions."""
        promoted, rolled_back = self.decision == PROMOTED, self.decision == ROLLED_BACK
        return {
            "promoted": float(promoted.mean()),
            "promoted_median": _quantile(self.runs, promoted, 0.5),
            "rolled_back": float(rolled_back.mean()),
            "rolled_back_median": _quantile(self.runs, rolled_back, 0.5),
            "rolled_back_p90": _quantile(self.runs, rolled_back, 0.9),
            "candidate_runs": float(self.candidate_runs.mean()),
            "replicates": len(self.runs),
        }


def _quantile(runs: Array, decided: Array, level: float) -> float | None:
    """Return this quantile of the runs to the decision over all replicates; None when fewer decided."""
    value = float(np.quantile(np.where(decided, runs, np.inf), level, method="higher"))
    return value if np.isfinite(value) else None


def canary(
    rng: np.random.Generator, shape: Shape, effect: float, p: Array, size: int, *, only: int | None = None
) -> Outcomes:
    """Run canaries until each has decided or the runs are used up; `only` listens to one direction alone."""
    outcomes = Outcomes(np.zeros(size), np.full(size, float(len(p))), np.zeros(size))
    active, state = np.arange(size), Canaries(size)
    constant = np.full(CHUNK, 1.0)
    for start in range(0, len(p), CHUNK):
        part = p[start : start + CHUNK]
        bad, shift = constant[: len(part)] * shape.bad, constant[: len(part)] * shape.shift(effect)
        losses, arms = next(draws(rng, shape, len(active), bad, shift, part))
        decided = np.zeros(len(active), dtype=np.bool_)
        for t, share in enumerate(part.tolist()):
            state.step(losses[t], arms[t], share)
            outcomes.candidate_runs[active] += arms[t] & ~decided
            _decide(outcomes, state, active, decided, start + t + 1, only)
        if decided.any():
            state.keep(~decided)
            active = active[~decided]
        if not len(active):
            break
    return outcomes


def _decide(outcomes: Outcomes, state: Canaries, active: Index, decided: Mask, run: int, only: int | None) -> None:
    for decision, reached in (
        (PROMOTED, state.promote() >= PROMOTE_AT),
        (ROLLED_BACK, state.rollback() >= ROLLBACK_AT),
    ):
        fresh = reached & ~decided
        if only in (None, decision) and fresh.any():
            outcomes.decision[active[fresh]] = decision
            outcomes.runs[active[fresh]] = run
            decided |= fresh


def operating_characteristics(size: int, shapes: tuple[Shape, ...] = SHAPES) -> list[dict[str, Any]]:
    """Return one row for each shape, split and effect."""
    return [
        {"shape": shape.name, "split": split, "effect": effect}
        | canary(seeded("decisions", shape.name, split, effect), shape, effect, p, size * MORE.get(effect, 1)).figures()
        for shape in shapes
        for split, p in SPLITS.items()
        for effect in EFFECTS
        if 0.0 <= shape.bad + shape.shift(effect) <= 1.0
    ]


BOUND_CASES = (
    (-0.05, 0.5, PROMOTED),
    (-0.05, 0.1, PROMOTED),
    (0.05, 0.5, ROLLED_BACK),
    (0.15, 0.5, ROLLED_BACK),
    (0.15, 0.1, ROLLED_BACK),
)


def against_the_bound(size: int) -> list[dict[str, Any]]:
    """Return measured mean runs to a decision, run until each replicate has decided, beside the information bound."""
    rows = []
    for effect, p, direction in BOUND_CASES:
        alpha = 1.0 / (PROMOTE_AT if direction == PROMOTED else ROLLBACK_AT)
        done = canary(seeded("bound", effect, p), D1, effect, np.full(60_000, p), size, only=direction)
        bound = fewest_runs(D1, effect, p, alpha)
        rows.append(
            {
                "effect": effect,
                "p": p,
                "alpha": alpha,
                "bound": bound,
                "mean": float(done.runs.mean()),
                "se": float(done.runs.std() / len(done.runs) ** 0.5),
                "undecided": float((done.decision == HOLD).mean()),
                "ratio": float(done.runs.mean()) / bound,
            }
        )
    return rows


def with_categories(size: int) -> list[dict[str, Any]]:
    """Return what a mean per task category saves, on D1 at a split of 50 %."""
    return [
        {"effect": effect, "known": known} | _categorised(effect, size, known=known).figures()
        for effect in (0.0, -0.05, 0.05)
        for known in (False, True)
    ]


def _categorised(effect: float, size: int, *, known: bool) -> Outcomes:
    """Run canaries on tasks of four categories; the order of categories is one for all replicates."""
    rng, runs = seeded("categories", effect), 5000
    order = rng.integers(0, len(CATEGORIES), runs)
    bad = np.array(CATEGORIES)[order]
    shift = D1.shift(effect) * bad / np.mean(CATEGORIES)
    outcomes = Outcomes(np.zeros(size), np.full(size, float(runs)), np.zeros(size))
    state, active, decided = Canaries(size, categories=len(CATEGORIES)), np.arange(size), np.zeros(size, np.bool_)
    run = 0
    for losses, arms in draws(rng, D1, size, bad, shift, np.full(runs, 0.5)):
        for loss, arm in zip(losses, arms, strict=True):
            state.step(loss, arm, 0.5, category=int(order[run]) if known else None)
            run += 1
            outcomes.candidate_runs += arm & ~decided
            _decide(outcomes, state, active, decided, run, None)
        if decided.all():
            break
    return outcomes
