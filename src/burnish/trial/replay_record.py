"""What a replay is given and what it finds: items, outcomes, and one report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from burnish.propose.policy import Policy

Verdict: TypeAlias = Literal["pass", "fail", "inconclusive"]
Method: TypeAlias = Literal["recorded", "function", "off_policy"]
Stop: TypeAlias = Literal["cost cap", "cancelled", "hanging"]


class ReplayItem(msgspec.Struct, frozen=True, kw_only=True):
    """One task to be done again."""

    id: str
    task: str = ""
    task_type: str = ""
    features: Mapping[str, str | int | float | bool | None] = {}
    inputs: object = None
    """What the task is given, as JSON."""


class ReplayOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What happened when an item was done under a policy."""

    loss: float | None
    """In [0, 1], lower is better. None counts as 1, as a failure: an answer that nobody could score is no answer."""
    quality: float | None = None
    cost_usd: float = 0.0
    duration_s: float = 0.0
    error: str | None = None


Runner: TypeAlias = Callable[[Policy | None, ReplayItem, int], ReplayOutcome]
"""Does an item under a policy (None: as the host does it now) with a random seed. What it raises counts as loss 1."""


class SeedDelta(msgspec.Struct, frozen=True, kw_only=True):
    """What one seed alone says."""

    seed: int
    candidate_loss: float
    baseline_loss: float
    mean_delta: float
    low: float
    high: float
    verdict: Verdict


class TypeDelta(msgspec.Struct, frozen=True, kw_only=True):
    """The mean difference on one task type; a description, not a test."""

    task_type: str
    items: int
    mean_delta: float


class Regression(msgspec.Struct, frozen=True, kw_only=True):
    """An item on which the candidate did worse by more than the tolerance. Losses are means over the seeds."""

    id: str
    task_type: str
    baseline_loss: float
    candidate_loss: float
    delta: float


class GoldenCheck(msgspec.Struct, frozen=True, kw_only=True):
    """How a golden dataset held."""

    name: str
    version: int
    digest: str
    size: int
    checked: int
    """Items that were replayed to the end."""
    regressions: Sequence[Regression]
    """Worst first; any of them fails the candidate."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of error of the runner, and how often it came."""

    error: str
    candidate: int
    baseline: int


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found. A difference is candidate − baseline in loss: negative is better.

    The same items, seeds and outcomes give the same report, however many calls were made at once.
    """

    tenant: str
    agent: str
    task_type: str
    candidate: str
    """Digest of the candidate."""
    baseline: str | None
    """Digest of what it is compared with; None is the host's own behaviour."""
    method: Method
    verdict: Verdict
    reason: str
    """Why, in words."""
    items: int
    """Items that count: done under both, with every seed."""
    planned: int
    seeds: Sequence[int]
    alpha: float
    margin: float
    tolerance: float
    candidate_loss: float | None
    baseline_loss: float | None
    mean_delta: float | None
    low: float | None
    high: float | None
    """Bounds of the mean difference that hold with probability 1 − alpha."""
    stability: float | None
    """Standard deviation, over the seeds, of the mean difference; None with one seed."""
    by_seed: Sequence[SeedDelta]
    by_type: Sequence[TypeDelta]
    regressed: int
    improved: int
    """Items worse, and better, by more than the tolerance."""
    regressions: Sequence[Regression]
    """The worst of them, worst first."""
    goldens: GoldenCheck | None
    failures: Sequence[Failure]
    """The most frequent errors of the runner, most frequent first."""
    candidate_failures: int
    baseline_failures: int
    delta_without_failures: float | None
    """Mean difference of the items on which no call failed."""
    items_needed: int | None
    """About how many further items like these would decide; None when decided, or beyond what is worth trying."""
    stopped: Stop | None
    candidate_cost_usd: float | None
    baseline_cost_usd: float | None
    """Mean cost of a call on the items that count."""
    cost_usd: float
    """Spent on the calls the report rests on, as far as the runner said."""
    surplus_usd: float
    """Spent on calls that were under way when the cost cap was reached, and that do not count."""
    duration_s: float
    """Sum of the durations of the calls the report rests on."""
    data_digest: str
    """Identity of the items, whatever their order."""

    @property
    def spent_usd(self) -> float:
        """Return all that was spent."""
        return self.cost_usd + self.surplus_usd
