"""Check that units arrive in the arms as often as they were assigned: a sequential sample-ratio test.

A likelihood-ratio e-process of the arms seen against the probabilities *logged* at assignment, so a ramp is no
mismatch. It bets, for each arm, that its log-odds are shifted by ±.1, ±.25, ±.5 or ±1, an equal share on each. With
right logs P(evidence ever ≥ 1000) ≤ .001. Source: Lindon and Malek, "Anytime-valid inference for multinomial count
data", NeurIPS 2022; a mixture over shifts instead of a Dirichlet prior allows for probabilities that change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, expm1, log1p
from typing import Any

ALARM = 1000.0
"""Evidence at which arms and logs are said to disagree: at most one healthy experiment in a thousand gets there."""

SHIFTS = (-1.0, -0.5, -0.25, -0.1, 0.1, 0.25, 0.5, 1.0)
"""Shifts of one arm's log-odds that are betted on."""

_GROWTHS = tuple(expm1(shift) for shift in SHIFTS)
LARGEST_LOG = 690.0
SUM_SLACK = 1e-9


@dataclass(slots=True)
class SampleRatio:
    """Evidence that the arms seen do not follow the logged probabilities; `update` once a unit.

    Attributes:
        alarm: Evidence at which `alarmed` is true, 1/α.
        logs: For each arm, the log-wealth of each shift; empty before the first unit.
        best: The largest `evidence` ever was.
        units: Units seen.
        counts: Units seen of each arm.
        expected: Σ of the probabilities of each arm.
    """

    alarm: float = ALARM
    logs: list[list[float]] = field(default_factory=list)
    best: float = 1.0
    units: int = 0
    counts: list[int] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)

    def update(self, arm: int | None, probabilities: Sequence[float]) -> None:
        """Count one unit.

        Args:
            arm: Index of the arm in `probabilities`; a boolean does for [control, candidate]. None for a unit in
                none of them, which only is possible when they sum to less than 1.
            probabilities: Logged probability of each arm when the unit was assigned, each in [0, 1), the same arms in
                the same order every time.

        Raises:
            ValueError: These are no probabilities, the arm had none, or the number of arms changed; nothing was
                counted.
        """
        self._check(arm, probabilities)
        if not self.logs:
            self.logs = [[0.0] * len(SHIFTS) for _ in probabilities]
            self.counts = [0] * len(probabilities)
            self.expected = [0.0] * len(probabilities)
        for index, p in enumerate(probabilities):
            self.expected[index] += p
            lost = [wealth - log1p(p * growth) for wealth, growth in zip(self.logs[index], _GROWTHS, strict=True)]
            if index == arm:
                lost = [wealth + shift for wealth, shift in zip(lost, SHIFTS, strict=True)]
                self.counts[index] += 1
            self.logs[index] = lost
        self.units += 1
        self.best = max(self.best, self.evidence)

    def _check(self, arm: int | None, probabilities: Sequence[float]) -> None:
        total = sum(probabilities)
        if not probabilities or not all(0.0 <= p < 1.0 for p in probabilities) or not total <= 1.0 + SUM_SLACK:
            raise ValueError(
                f"{list(probabilities)} are no probabilities of arms: each lies in [0, 1), together at most 1"
            )
        if self.logs and len(self.logs) != len(probabilities):
            raise ValueError(f"{len(probabilities)} arms after {len(self.logs)}: start a new check when arms change")
        if arm is not None and not 0 <= arm < len(probabilities):
            raise ValueError(f"arm {arm} is none of {len(probabilities)}")
        if (1.0 - total if arm is None else probabilities[arm]) <= 0.0:
            raise ValueError(f"arm {arm} was seen but had no probability in {list(probabilities)}")

    @property
    def evidence(self) -> float:
        """The e-value: 1 at the start, at most about 10³⁰⁰."""
        if not self.logs:
            return 1.0
        wealth = sum([exp(min(log, LARGEST_LOG)) for logs in self.logs for log in logs])
        return wealth / (len(self.logs) * len(SHIFTS))

    @property
    def alarmed(self) -> bool:
        """Tell whether the evidence has ever reached the alarm."""
        return self.best >= self.alarm

    def plain(self) -> dict[str, object]:
        """Return the state as JSON-able values that `load` turns back exactly."""
        return {
            "alarm": self.alarm,
            "logs": [list(logs) for logs in self.logs],
            "best": self.best,
            "units": self.units,
            "counts": list(self.counts),
            "expected": list(self.expected),
        }

    @classmethod
    def load(cls, plain: Mapping[str, Any]) -> SampleRatio:
        """Return the check that `plain` described; errors as for `Comparison.load`."""
        if any(len(logs) != len(SHIFTS) for logs in plain["logs"]):
            raise ValueError(f"the stored check has not {len(SHIFTS)} shifts an arm: start a new one")
        return cls(
            alarm=float(plain["alarm"]),
            logs=[[float(wealth) for wealth in logs] for logs in plain["logs"]],
            best=float(plain["best"]),
            units=int(plain["units"]),
            counts=[int(count) for count in plain["counts"]],
            expected=[float(p) for p in plain["expected"]],
        )
