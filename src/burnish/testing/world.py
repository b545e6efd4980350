"""A recorded world: every model's real result on every task, so that any router can be replayed on it exactly.

Choosing model M for task T returns what really happened. Because the matrix is complete, the policies a router is
compared with have exact values, not estimates. The world does not know how anybody chooses.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from burnish.errors import InvalidValue
from burnish.score.loss import compute, weigh
from burnish.score.terms import TERMS, Evidence
from burnish.testing.matrix import Entry, entries, imputed, read_file

Array: TypeAlias = NDArray[np.float64]
Shares: TypeAlias = Mapping[str, Mapping[str, float]]
"""Task type → model → probability of being chosen."""

SOLVED = 0.5
"""A graded result of at least this much counts as a success."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done: its id, its kind and, when recorded, its words."""

    id: str
    type: str
    text: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What happened when a model did a task."""

    task_id: str
    task_type: str
    model: str
    quality: float
    cost_usd: float
    duration_s: float | None = None

    @property
    def success(self) -> bool:
        """Tell whether the task counts as solved."""
        return self.quality >= SOLVED


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A policy and its exact value, as means a run."""

    name: str
    success: float
    """Mean quality; the success rate when results are not graded."""
    cost_usd: float
    loss: float
    utility: float
    """success − price × cost."""
    models: dict[str, str] = {}
    """Task type → model; empty when the policy does not choose by type."""


class References(msgspec.Struct, frozen=True, kw_only=True):
    """The policies a router is measured against. All but `cheapest` and `random` know the results in advance."""

    best_single: Reference
    cheapest: Reference
    random: Reference
    type_oracle: Reference
    task_oracle: Reference


class RecordedWorld:
    """N tasks × K models, complete. Read one with `load` or `of`; nothing in it changes.

    Attributes:
        tasks: The N tasks.
        models: Names of the K models, sorted.
        types: Names of the task types, sorted.
        left_out: Tasks that were dropped because a model had no result on them.
        imputed: Costs that were not recorded and stand at the mean of their model on their task type.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        models: Sequence[str],
        quality: Array,
        cost: Array,
        duration: Array | None = None,
        *,
        left_out: int = 0,
        imputed: int = 0,
    ) -> None:
        self.tasks = tuple(tasks)
        self.models = tuple(models)
        self.types = tuple(sorted({task.type for task in tasks}))
        self.left_out = left_out
        self.imputed = imputed
        self._quality, self._cost = quality, cost
        self._duration = np.full_like(cost, np.nan) if duration is None else duration
        self._row = {task.id: i for i, task in enumerate(self.tasks)}
        self._column = {model: k for k, model in enumerate(self.models)}

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a .csv or .csv.gz file with the columns of `burnish.testing.matrix`.

        Raises:
            InvalidValue: The file is not such a matrix; names file, line, column and remedy.
        """
        return cls.build(read_file(Path(path)), Path(path).name)

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, object]]) -> Self:
        """Take rows of the same columns that are in memory already; raises as `load` does."""
        return cls.build(list(entries((f"row {i}", row) for i, row in enumerate(rows, start=1))), "rows")

    @classmethod
    def build(cls, found: Sequence[Entry], source: str) -> Self:
        """Keep the first entry of each cell and the tasks on which every model has a result.

        Raises:
            InvalidValue: No complete task remains, or a model's cost is nowhere recorded.
        """
        cells: dict[tuple[str, str], Entry] = {}
        for entry in found:
            if entry.quality is not None:
                cells.setdefault((entry.task_id, entry.model), entry)
        models = sorted({entry.model for entry in found})
        firsts = {entry.task_id: entry for entry in reversed(found)}
        whole = sorted(task for task in firsts if all((task, model) in cells for model in models))
        if not whole:
            remedy = "give at least one task on which every model has a result"
            raise InvalidValue(source, f"{len(firsts)} tasks × {len(models)} models, none complete", remedy)
        tasks = [Task(id=t, type=firsts[t].task_type, text=firsts[t].task_text) for t in whole]
        table = [[cells[task.id, model] for model in models] for task in tasks]
        quality = np.array([[cell.quality for cell in line] for line in table], dtype=np.float64)
        cost = np.array([[cell.cost_usd for cell in line] for line in table], dtype=np.float64)
        duration = np.array([[cell.duration_s for cell in line] for line in table], dtype=np.float64)
        unknown = int(np.isnan(cost).sum())
        cost = imputed(cost, [task.type for task in tasks], models, source)
        return cls(tasks, models, quality, cost, duration, left_out=len(firsts) - len(whole), imputed=unknown)

    @property
    def graded(self) -> bool:
        """Tell whether any result is a score between 0 and 1."""
        return bool(((self._quality > 0.0) & (self._quality < 1.0)).any())

    def outcome(self, task_id: str, model: str) -> Outcome:
        """Return what happened when `model` did the task.

        Raises:
            InvalidValue: The world has no such task or model.
        """
        if task_id not in self._row or model not in self._column:
            raise InvalidValue("outcome", (task_id, model), "ask for a task and a model of this world")
        at = self._row[task_id], self._column[model]
        seconds = float(self._duration[at])
        return Outcome(
            task_id=task_id,
            task_type=self.tasks[at[0]].type,
            model=model,
            quality=float(self._quality[at]),
            cost_usd=float(self._cost[at]),
            duration_s=None if np.isnan(seconds) else seconds,
        )

    def order(self, seed: int, rounds: int, *, first: int = 0) -> list[list[Task]]:
        """Return the tasks in a fresh random order for each round; round r is the same whatever else is asked for."""
        shuffled = []
        for number in range(first, first + rounds):
            tasks = list(self.tasks)
            random.Random(f"{seed}/{number}").shuffle(tasks)  # noqa: S311 - a repeatable order, not a secret
            shuffled.append(tasks)
        return shuffled

    def degraded(self, model: str, share: float, seed: int, task_types: Iterable[str] | None = None) -> RecordedWorld:
        """Return a world in which `model` fails at a share of what it solved, at the same cost.

        Raises:
            InvalidValue: The world has no such model, or the share is not in [0, 1].
        """
        if model not in self._column or not 0.0 <= share <= 1.0:
            raise InvalidValue("degraded", (model, share), "name a model of this world and a share from 0 to 1")
        types, column = set(self.types if task_types is None else task_types), self._column[model]
        solved = [i for i, task in enumerate(self.tasks) if task.type in types and self._quality[i, column] >= SOLVED]
        lost = random.Random(f"{seed}/{model}").sample(solved, round(share * len(solved)))  # noqa: S311 - as above
        quality = self._quality.copy()
        quality[lost, column] = 0.0
        return RecordedWorld(self.tasks, self.models, quality, self._cost, self._duration)

    def references(self, *, price: float, budget_usd: float | None = None) -> References:
        """Return the exact value of five policies when one USD is worth `price` of quality."""
        utility = self._quality - price * self._cost
        single = self.models[int(utility.mean(axis=0).argmax())]
        cheapest = self.models[int(self._cost.mean(axis=0).argmin())]
        by_type = {t: self.models[int(utility[self._of_type(t)].mean(axis=0).argmax())] for t in self.types}
        even = np.full_like(utility, 1.0 / len(self.models))
        best = np.eye(len(self.models))[utility.argmax(axis=1)]
        losses = self._losses(budget_usd)

        def always(name: str, models: dict[str, str]) -> Reference:
            return self._valued(name, self._weights({t: {m: 1.0} for t, m in models.items()}), price, losses, models)

        return References(
            best_single=always("best single", dict.fromkeys(self.types, single)),
            cheapest=always("cheapest", dict.fromkeys(self.types, cheapest)),
            random=self._valued("random", even, price, losses),
            type_oracle=always("oracle per task type", by_type),
            task_oracle=self._valued("oracle per task", best, price, losses),
        )

    def value(self, name: str, shares: Shares, *, price: float, budget_usd: float | None = None) -> Reference:
        """Return the exact value of choosing at random by these shares."""
        return self._valued(name, self._weights(shares), price, self._losses(budget_usd))

    def _valued(
        self, name: str, weights: Array, price: float, losses: Array, models: dict[str, str] | None = None
    ) -> Reference:
        success, cost, loss = (
            float((weights * what).sum(axis=1).mean()) for what in (self._quality, self._cost, losses)
        )
        return Reference(
            name=name, success=success, cost_usd=cost, loss=loss, utility=success - price * cost, models=models or {}
        )

    def _weights(self, shares: Shares) -> Array:
        of_type = {t: [shares[t].get(model, 0.0) for model in self.models] for t in self.types}
        return np.array([of_type[task.type] for task in self.tasks])

    def _of_type(self, task_type: str) -> NDArray[np.bool_]:
        return np.array([task.type == task_type for task in self.tasks])

    def _losses(self, budget_usd: float | None) -> Array:
        """Return the loss that Burnish gives a run with this quality and cost and no other evidence."""
        weights = weigh(None, TERMS)
        losses = np.zeros_like(self._quality)
        for at, quality in np.ndenumerate(self._quality):
            evidence = Evidence(quality=float(quality), cost_usd=float(self._cost[at]), budget_usd=budget_usd)
            loss = compute(evidence, weights)
            losses[at] = np.nan if loss is None else loss.value
        return losses
