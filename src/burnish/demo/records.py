"""What the story is told in: frozen records, one a thing that happened or was answered."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from burnish.demo.trust_records import TrustStory
from burnish.testing.world import Shares


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How long each act is, and what goes wrong in the last."""

    seed: int = 0
    learn_rounds: int = 16
    check_rounds: int = 1
    drift_rounds: int = 2
    flush_every: int = 10
    """Runs after which the loop is flushed and so learns; between flushes it decides by what it knew."""
    share_lost: float = 0.4
    """Share of its successes that the drifting model loses."""
    price: float | None = None
    """Quality that one USD is worth; the loop's own default when not given."""
    trust: bool = True
    """Whether policies are tried in the end."""

    @property
    def rounds(self) -> int:
        """Return the rounds of all acts."""
        return self.learn_rounds + self.check_rounds + self.drift_rounds


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the story."""

    act: str
    round: int
    run_id: str
    task_id: str
    task_type: str
    model: str
    """The router's first choice."""
    rule: str
    propensity: float
    attempts: int
    quality: float
    cost_usd: float


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """A drift alarm and the run (counted from 1 over the whole story) that raised it."""

    model: str
    at: int
    evidence: float


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One decision as the loop explains it."""

    model: str
    rule: str
    reason: str
    propensity: float
    candidates: list[tuple[str, float]]
    """Every model with its probability, the most probable first."""


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """A run, why it was picked, and its decisions."""

    at: int
    why: str
    attempts: list[Attempt]


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the loop answers about one model on one task type."""

    task_type: str
    model: str
    runs: float
    quality: float
    low: float
    high: float
    """Bounds of the central 95 % of the belief."""
    cost_usd: float | None
    share: float
    """Probability of being chosen for the next run."""


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """Which model the loop would try first on a task type, and then after each failure."""

    task_type: str
    first: str
    then: list[tuple[str, float]]
    """Model and the probability that it succeeds where those before it failed."""


class Belief(msgspec.Struct, frozen=True, kw_only=True):
    """What was known at the end of an act."""

    models: list[Known]
    chains: list[Chain]

    @property
    def shares(self) -> Shares:
        """Return how the next runs would be spread over the models."""
        types = {known.task_type for known in self.models}
        return {t: {known.model: known.share for known in self.models if known.task_type == t} for t in sorted(types)}


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that happened."""

    plan: Plan
    price: float
    """Quality that one USD is worth, as the loop says."""
    budget_usd: float | None
    steps: Sequence[Step]
    losses: dict[str, float]
    """Run id → loss, as the loop announced it."""
    alarms: Sequence[Alarm]
    drifting: str
    """The model that got worse."""
    beliefs: dict[str, Belief]
    """What was known at the end of each act."""
    explained: Sequence[Explained]
    """Ten decisions."""
    trust: TrustStory | None
