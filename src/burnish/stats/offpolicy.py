"""Tell from logged choices what another policy would have cost: the paired doubly-robust difference.

Every run was served by one arm, drawn from a logged vector of probabilities. The target's outcome is a prediction per
arm and type, corrected by the runs it would have served the same way, weighed by how much more often it would have
(Dudík, Langford, Li 2011). Prediction and correction never share a run: two-fold cross-fitting.

The module does not know what an arm is, or which outcome it is given; lower is better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]
    Index: TypeAlias = NDArray[np.int64]
    Mask: TypeAlias = NDArray[np.bool_]

P_MIN = 0.002
"""Least logged probability that counts as explored. Under a floor of 3 % each of up to 15 arms that are not hopeless
has more; what a hopeless arm gets (a twentieth of a floor share) is less."""

PLANNED_RUNS = 1_000
"""Runs at which the confidence sequence is tightest; set before looking at the data."""

ARM_MASS = 3.0
CELL_MASS = 4.0
"""Runs that the broader level weighs: noise variance / spread² for the spreads of `stats/cells.py`, rounded."""

SWEEPS = 3

FEW_RUNS = 8.0
"""Widens the bounds by √(1 + 8 / ess). With few effective runs the heaviest weights have mostly not been drawn yet, and
the measured sd is too small: without it coverage fell to .94 (benchmarks/results/offpolicy.md)."""

BLOCK = 65_536


@dataclass(frozen=True, eq=False, slots=True)
class LoggedChoices:
    """N choices among K arms, and what two policies would have done instead.

    Attributes:
        arm: Index of the arm that served, in [0, K), shape [N].
        task_type: Index of the task type, ≥ 0, shape [N].
        outcome: What came of it, lower is better, shape [N].
        logged: Probability with which each arm was chosen; 0 where it was not eligible, shape [N, K].
        target: Probability with which the target chooses each arm, shape [N, K].
        baseline: The same for what the target is compared with, shape [N, K]; None is the logged vector itself.
    """

    arm: Index
    task_type: Index
    outcome: Array
    logged: Array
    target: Array
    baseline: Array | None = None

    def __post_init__(self) -> None:
        """Check shapes and ranges.

        Raises:
            ValueError: An array does not fit the others, a row is no distribution, or an arm served that could not.
        """
        if self.logged.ndim != 2 or not self.logged.size:
            raise ValueError(f"logged must have shape [N, K] with N and K at least 1, not {self.logged.shape}")
        runs, arms = self.logged.shape
        for name in ("arm", "task_type", "outcome"):
            if getattr(self, name).shape != (runs,):
                raise ValueError(f"{name} must have shape [{runs}], not {getattr(self, name).shape}")
        for name in ("logged", "target", "baseline"):
            _check_distribution(name, getattr(self, name), (runs, arms))
        if self.arm.min() < 0 or self.arm.max() >= arms or self.task_type.min() < 0:
            raise ValueError(f"arm must be in [0, {arms}) and task_type at least 0")
        if not np.isfinite(self.outcome).all():
            raise ValueError("outcome must be finite: leave out runs without one")
        if not (self.logged[np.arange(runs), self.arm] > 0.0).all():
            raise ValueError("a run was served by an arm of logged probability 0")


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean outcome of the target minus that of the baseline; negative is better.

    Attributes:
        runs: Logged runs it rests on.
        ess: Effective sample size (Σw)² / Σw² of the weights of the runs on which the two policies differ, the smaller
            of both policies; `runs` when they nowhere do.
        support: Share in [0, 1] of what the target would do that was explored.
        value: The doubly-robust estimate.
        snips: The self-normalised estimate, which predicts nothing: a cross-check.
        sd: Standard deviation of one run's doubly-robust difference.
        slack: What the unexplored share could add to or take from the value.
        low: Lower bound at confidence 1 − alpha, the slack included.
        high: Upper bound.
        alpha: Probability that the bounds, looked at after every run, ever miss (asymptotically).
        planned: Runs at which the bounds are tightest.
        thinnest: (task type, arm) where most is unexplored; None when all is explored.
    """

    runs: int
    ess: float
    support: float
    value: float
    snips: float
    sd: float
    slack: float
    low: float
    high: float
    alpha: float
    planned: int
    thinnest: tuple[int, int] | None


def difference(
    log: LoggedChoices,
    *,
    alpha: float = 0.05,
    planned: int = PLANNED_RUNS,
    p_min: float = P_MIN,
    span: float | None = 1.0,
) -> Difference:
    """Estimate the difference in mean outcome between target and baseline.

    A cell (run, arm) is unexplored where the logged probability is under `p_min` and the policies differ by more than
    it. There the prediction stands uncorrected, and the bounds are widened by the most that could hide: its share of
    all probability × `span`.

    Args:
        log: What was logged.
        alpha: Probability that the bounds ever miss.
        planned: Runs at which the bounds should be tightest.
        p_min: Least logged probability that counts as explored.
        span: Largest minus smallest possible outcome; None takes what was observed.
    """
    rows = np.arange(len(log.arm))
    baseline = log.logged if log.baseline is None else log.baseline
    change = log.target - baseline
    thin = (log.logged < p_min) & (np.abs(change) > log.logged)
    served = log.logged[rows, log.arm]
    explored = ~thin[rows, log.arm]
    weight = explored * log.target[rows, log.arm] / served
    weight_before = explored * baseline[rows, log.arm] / served
    terms = _doubly_robust(log, change, weight - weight_before)
    missing = np.where(thin, np.abs(change), 0.0)
    unexplored = float(missing.sum()) / len(rows)
    observed = float(np.ptp(log.outcome)) if span is None else span
    sd = float(terms.std(ddof=1)) if len(terms) > 1 else 0.0
    ess = _effective(change, weight, weight_before)
    half = half_width(len(terms), widened(sd, ess), alpha=alpha, planned=planned) + unexplored * observed
    value = float(terms.mean())
    return Difference(
        runs=len(terms),
        ess=ess,
        support=max(0.0, 1.0 - unexplored),
        value=value,
        snips=_self_normalised(weight, log.outcome) - _self_normalised(weight_before, log.outcome),
        sd=sd,
        slack=unexplored * observed,
        low=value - half,
        high=value + half,
        alpha=alpha,
        planned=planned,
        thinnest=_thinnest(missing, log.task_type) if unexplored > 0.0 else None,
    )


def half_width(runs: int, sd: float, *, alpha: float, planned: int = PLANNED_RUNS) -> float:
    """Return half the width of the asymptotic confidence sequence of a mean after `runs` values.

    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2021), theorem 2.2, with ρ tuned to be tightest at `planned`. It may
    be looked at after every run.
    """
    tuned = -2.0 * math.log(alpha)
    rho2 = (tuned + math.log(1.0 + tuned)) / planned
    scaled = runs * rho2 + 1.0
    return sd * math.sqrt(2.0 * scaled / (runs * runs * rho2) * math.log(math.sqrt(scaled) / alpha))


def widened(sd: float, ess: float) -> float:
    """Return the standard deviation that the bounds reckon with when so few effective runs measured it."""
    return sd * math.sqrt(1.0 + FEW_RUNS / max(ess, 1.0))


def effective_runs(weight: Array) -> float:
    """Return Kish's effective sample size (Σw)² / Σw², between 0 and the number of weights."""
    squares = float((weight**2).sum())
    return float(weight.sum()) ** 2 / squares if squares > 0.0 else 0.0


def cell_means(arm: Index, task_type: Index, outcome: Array, shape: tuple[int, int]) -> Array:
    """Return the mean outcome of each cell, shape [T, K], shrunk to arm + type effects, and those to the overall mean.

    Crossed effects by backfitting; a cell without a run stands at its arm plus its type.

    Args:
        arm: Index of the arm, shape [N].
        task_type: Index of the type, shape [N].
        outcome: Shape [N]; N may be 0.
        shape: (T, K).
    """
    count = np.zeros(shape)
    total = np.zeros(shape)
    np.add.at(count, (task_type, arm), 1.0)
    np.add.at(total, (task_type, arm), outcome)
    total -= count * (total.sum() / max(count.sum(), 1.0))
    overall = float(outcome.mean()) if len(outcome) else 0.0
    of_arm, of_type = np.zeros((1, shape[1])), np.zeros((shape[0], 1))
    for _ in range(SWEEPS):
        left = total - count * of_type
        of_arm = left.sum(axis=0, keepdims=True) / (count.sum(axis=0, keepdims=True) + ARM_MASS)
        left = total - count * of_arm
        of_type = left.sum(axis=1, keepdims=True) / (count.sum(axis=1, keepdims=True) + ARM_MASS)
    shrunk: Array = overall + (total + CELL_MASS * (of_arm + of_type)) / (count + CELL_MASS)
    return shrunk


def _doubly_robust(log: LoggedChoices, change: Array, correction: Array) -> Array:
    """Return each run's paired difference, shape [N], with cells fitted on the half that the run is not in."""
    shape = int(log.task_type.max()) + 1, log.logged.shape[1]
    half = np.random.Generator(np.random.PCG64(20_260)).permutation(len(log.arm)) % 2 == 1
    terms = np.empty(len(log.arm))
    for inside in (half, ~half):
        others = ~inside
        cells = cell_means(log.arm[others], log.task_type[others], log.outcome[others], shape)
        for at in _blocks(np.flatnonzero(inside)):
            predicted = cells[log.task_type[at]]
            residual = log.outcome[at] - predicted[np.arange(len(at)), log.arm[at]]
            terms[at] = np.einsum("nk,nk->n", change[at], predicted) + correction[at] * residual
    return terms


def _blocks(rows: Index) -> list[Index]:
    """Split row numbers, so that what is held for each row and arm stays small."""
    return [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]


def _effective(change: Array, weight: Array, weight_before: Array) -> float:
    differs = (np.abs(change) > 1e-12).any(axis=1)
    if not differs.any():
        return float(len(weight))
    return min(effective_runs(weight[differs]), effective_runs(weight_before[differs]))


def _self_normalised(weight: Array, outcome: Array) -> float:
    total = float(weight.sum())
    return float((weight * outcome).sum()) / total if total > 0.0 else 0.0


def _thinnest(missing: Array, task_type: Index) -> tuple[int, int]:
    by_cell = np.zeros((int(task_type.max()) + 1, missing.shape[1]))
    np.add.at(by_cell, task_type, missing)
    kind, arm = np.unravel_index(int(by_cell.argmax()), by_cell.shape)
    return int(kind), int(arm)


def _check_distribution(name: str, rows: Array | None, shape: tuple[int, int]) -> None:
    if rows is None:
        return
    if rows.shape != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, not {list(rows.shape)}")
    if not ((rows >= 0.0).all() and (np.abs(rows.sum(axis=1) - 1.0) < 1e-6).all()):
        raise ValueError(f"each row of {name} must hold probabilities that sum to 1")
