"""What off-policy evaluation reads and finds: logged runs, what a target may know of them, and one report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

from burnish.stats.offpolicy_verdict import Ground, Verdict


class LoggedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it stood when its model was chosen: all that a target may know of it."""

    id: str
    tenant: str
    agent: str
    task_type: str
    features: Mapping[str, object] = {}
    started_at: datetime
    rule: str
    """Which rule decided."""
    probabilities: Mapping[str, float]
    """Each eligible model → probability of being chosen; they sum to 1."""
    excluded: Sequence[str] = ()
    """Candidates that were not eligible, kept out by a limit."""


class LoggedOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """A logged run with the model that was chosen first, and what came of it."""

    run: LoggedRun
    model: str
    loss: float | None
    """In [0, 1], lower is better; None when the run was not scored."""
    cost_usd: float | None = None
    duration_s: float | None = None


Target: TypeAlias = Callable[[LoggedRun], Mapping[str, float]]
"""Model → probability with which a policy would choose it for the run; they sum to 1."""


class Bounded(msgspec.Struct, frozen=True, kw_only=True):
    """A difference target − baseline with its bounds; negative is better."""

    runs: int
    """Logged runs it rests on."""
    value: float
    low: float
    high: float


class OffPolicyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the logged runs say of a target that did not serve them. Differences are target − baseline.

    The verdict speaks of the loss alone; cost and latency are there for who decides.
    """

    tenant: str
    agent: str
    task_type: str
    """Empty means all of the agent's."""
    target: str | None
    """Digest of the target when it is a policy."""
    baseline: str | None
    """Digest of the baseline when it is a policy; None is what was logged (or a function)."""
    verdict: Verdict
    ground: Ground
    """What decided; everything but `interval` means that what was logged cannot answer."""
    reason: str
    """Why, in words."""
    runs: int
    """Runs that count: scored, with a readable decision."""
    unscored: int
    """Runs left out because they have no loss."""
    unreadable: int
    """Runs left out because their logged probabilities are not whole."""
    limited: bool
    """The limit was reached: the newest runs were taken, and older ones may be left out."""
    ess: float = 0.0
    """Effective runs among those on which target and baseline differ."""
    support: float = 0.0
    """Share in [0, 1] of what the target would do that the logged decisions explored."""
    margin: float
    alpha: float
    logged_loss: float | None = None
    """Mean loss of the runs as they were served."""
    dr: float | None = None
    """Difference in mean loss, doubly robust; None without support."""
    snips: float | None = None
    """The same, self-normalised: the cross-check."""
    low: float | None = None
    high: float | None = None
    """Bounds of the difference that hold at confidence 1 − alpha, however often one looks."""
    needs_more_runs: int | None = None
    """About how many further runs like these would decide; None when decided, or beyond what is worth waiting for."""
    cost_usd: Bounded | None = None
    """Difference in mean cost of a run, over the runs whose cost is known."""
    latency_p95_s: float | None = None
    """95th percentile of the duration of the logged runs, in seconds."""
    over_p95: Bounded | None = None
    """Difference in the share of runs that take longer than that; above 0 the target's p95 is higher."""
    data_digest: str
    """Identity of the runs and losses the report rests on."""

    @property
    def refused(self) -> bool:
        """Tell whether no answer was given because of what was logged."""
        return self.ground != "interval"
