"""Everything the demo's report shows, as one frozen record; the terminal, the page and --json all read this."""

from __future__ import annotations

import msgspec

from burnish.demo.records import Attempt, Plan
from burnish.demo.trust_report import Audit, TrustReport
from burnish.testing.world import Reference, References


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The recorded world the demo ran on."""

    name: str
    shipped: bool
    tasks: int
    models: tuple[str, ...]
    types: tuple[str, ...]
    left_out: int
    imputed: int
    graded: bool


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """Means a run over some runs."""

    runs: int
    success: float
    cost_usd: float
    loss: float
    utility: float


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """Utility gained over the best single model up to a run, in solved tasks."""

    run: int
    gain: float
    oracle: float
    """The same for the oracle per task type."""


class Learning(msgspec.Struct, frozen=True, kw_only=True):
    """The learning rounds beside the policies that know the results in advance."""

    whole: Means
    rounds: list[Means]
    references: References
    curve: list[Point]
    gap_closed: float | None
    """Share of the utility between the best single model and the oracle per type; None when there is none."""
    gap_closed_last: float | None
    """The same for the last round alone."""
    ahead_from: int | None
    """The run from which on the stream as a whole stays ahead of the best single model."""


class ModelLine(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned of a model on one task type, beside what is true."""

    model: str
    runs: int
    quality: float
    low: float
    high: float
    true_quality: float
    cost_usd: float | None
    share: float


class TypeLine(msgspec.Struct, frozen=True, kw_only=True):
    """One task type: what is known, which model is best in truth, and what would be tried after failures."""

    task_type: str
    tasks: int
    best: str
    models: list[ModelLine]
    chain: list[tuple[str, float]]
    """Model and its chance, the first with its expected quality, the others given that those before failed."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """The rounds in which a checker told failures."""

    means: Means
    failed_first: int
    rescued: int
    attempts: float
    strongest: Reference
    """Always using the model of highest success, without a checker."""


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """A model that silently got worse."""

    model: str
    share_lost: float
    since: int
    noticed_at: int | None
    noticed_after: int | None
    own_runs: int | None
    """Runs of that model until it was noticed."""
    share_before: float
    share_after: float
    means: Means
    means_noticed: Means
    stayed: Reference
    """The exact value of a router that had kept its habits."""
    oracle: Reference
    other_alarms: int
    """Alarms of the whole story other than that one; those before the change are false."""
    positions: list[int]
    shares: dict[str, list[float]]


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """A run with its decisions explained."""

    at: int
    why: str
    act: str
    task_id: str
    task_type: str
    quality: float
    cost_usd: float
    loss: float
    attempts: list[Attempt]


class Seeds(msgspec.Struct, frozen=True, kw_only=True):
    """The learning rounds repeated with other seeds: means with their standard errors."""

    count: int
    ahead: int
    """Seeds whose whole stream beat the best single model."""
    utility: tuple[float, float]
    gap_closed: tuple[float, float]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the report shows."""

    source: Source
    plan: Plan
    price: float
    budget_usd: float | None
    total: Means
    learning: Learning
    types: list[TypeLine]
    checked: Checked | None
    drift: Drift | None
    trust: TrustReport | None
    audit: Audit | None
    decisions: list[Decided]
    seeds: Seeds | None
