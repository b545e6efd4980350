"""What is believed about an agent's models right now: one immutable snapshot, computed from the counters.

The hot path reads only this. It is a pure function of rows that merge by addition, so a restart, a second process or a
rebuild from the ledger all arrive at the same belief.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from burnish.learn.health import Health, health_of
from burnish.learn.pacing import Spend, spend_of
from burnish.learn.performance import (
    NOTHING,
    CellRow,
    FallbackRow,
    Watermark,
    cells_of,
    fallbacks_of,
    watermarks,
)
from burnish.learn.rescues import Rescues
from burnish.stats.cells import CellCounts, CellPosterior, CellPrior, fold_epochs, posterior
from burnish.stats.rates import expected_rates

Array: TypeAlias = NDArray[np.float64]


SlateKey: TypeAlias = tuple[str, tuple[str, ...], bool, str | None, str, int]
"""(task type, models, safest, given by a policy, month, generation)"""
ChainKey: TypeAlias = tuple[str, tuple[str, ...], str, int]
"""(task type, models, first, generation)"""


class Knowledge(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one agent, as read in one transaction."""

    tenant: str
    agent: str
    cells: Sequence[CellRow] = ()
    fallbacks: Sequence[FallbackRow] = ()
    health: Mapping[str, Health] = {}
    spend: Spend
    watermark: Watermark = NOTHING


class Belief:
    """Posterior of quality, cost and latency of K models on T task types; index T is a type never seen.

    Attributes:
        models: Names, K of them.
        quality: Joint posterior of quality per type.
        cost: Expected USD of a run, shape [T + 1, K]; NaN where no cost was ever seen.
        latency: Expected seconds, same shape; NaN likewise.
        rescues: Which model succeeds where another failed.
        observed: Runs with a quality in the current epoch plus what earlier epochs still weigh, shape [T + 1, K].
    """

    def __init__(self, knowledge: Knowledge, models: Iterable[str] = (), prior: CellPrior | None = None) -> None:
        self.knowledge = knowledge
        self.models = tuple(dict.fromkeys((*models, *(cell.model for cell in knowledge.cells))))
        self.types = tuple(dict.fromkeys(cell.task_type for cell in knowledge.cells))
        self._arm = {name: k for k, name in enumerate(self.models)}
        self._type = {name: t for t, name in enumerate(self.types)}
        counts = self._counts()
        self.quality: CellPosterior = posterior(counts, prior)
        self.observed: Array = np.vstack([counts.n.T, np.zeros(len(self.models))])
        self.cost = self._rates("n_cost", "sum_cost")
        self.latency = self._rates("n_latency", "sum_latency")
        self.rescues = Rescues(knowledge.fallbacks)
        self.slates: dict[SlateKey, Any] = {}
        self.chains: dict[ChainKey, list[Any]] = {}
        self.asked: set[SlateKey] = set()
        """What `act` derived from this belief, and was asked for; it lives and dies with the belief."""

    def arm(self, model: str) -> int | None:
        """Return the index of a model, or None when it is not among the models."""
        return self._arm.get(model)

    def type_index(self, task_type: str) -> int:
        """Return the index of a task type; that of the type never seen when it is new."""
        return self._type.get(task_type, len(self.types))

    def epoch(self, model: str) -> int:
        """Return the current epoch of a model."""
        health = self.knowledge.health.get(model)
        return health.epoch if health else 0

    def expected_quality(self, task_type: str, model: str) -> tuple[float, float]:
        """Return the posterior mean and sd of quality; a model never seen has the prior's."""
        arm = self._arm.get(model)
        if arm is None:
            return Belief(self.knowledge, (model,)).expected_quality(task_type, model)
        t = self.type_index(task_type)
        return float(self.quality.mean[t, arm]), float(self.quality.covariance[t, arm, arm]) ** 0.5

    def runs_of(self, task_type: str) -> float:
        """Return the runs of a task type that the belief rests on."""
        return float(self.observed[self.type_index(task_type)].sum())

    def with_models(self, models: Sequence[str]) -> Belief:
        """Return a belief that knows all of these models as well."""
        if all(model in self._arm for model in models):
            return self
        return Belief(self.knowledge, (*self.models, *models))

    def _counts(self) -> CellCounts:
        current = CellCounts.empty(len(self.models), len(self.types))
        earlier = CellCounts.empty(len(self.models), len(self.types))
        for cell in self.knowledge.cells:
            at = self._arm[cell.model], self._type[cell.task_type]
            into = current if cell.epoch >= self.epoch(cell.model) else earlier
            into.n[at] += cell.n_quality
            into.total[at] += cell.sum_quality
            into.squares[at] += cell.sum_quality_sq
        return fold_epochs(current, [earlier])

    def _rates(self, count: str, total: str) -> Array:
        shape = (len(self.models), len(self.types))
        n, sums = np.zeros(shape), np.zeros(shape)
        for cell in self.knowledge.cells:
            at = self._arm[cell.model], self._type[cell.task_type]
            n[at] += getattr(cell, count)
            sums[at] += getattr(cell, total)
        if not n.sum() or not self.models:
            return np.full((len(self.types) + 1, len(self.models)), np.nan)
        return expected_rates(n, sums)


def known(value: float) -> float | None:
    """Return an expected cost or latency, or None where none was ever seen."""
    return None if math.isnan(value) else float(value)


def load(connection: Connection, tenant: str, agent: str) -> Knowledge:
    """Read what is known of one agent."""
    return Knowledge(
        tenant=tenant,
        agent=agent,
        cells=cells_of(connection, tenant, agent),
        fallbacks=fallbacks_of(connection, tenant, agent),
        health=health_of(connection, tenant, agent),
        spend=spend_of(connection, tenant, agent),
        watermark=watermarks(connection, (tenant, agent)).get((tenant, agent), NOTHING),
    )
