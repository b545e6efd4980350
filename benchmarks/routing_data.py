"""Load the recorded worlds: complete task × arm matrices, so any router can be replayed on them exactly."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

DATA = Path(__file__).parent / "data"
DEMO = Path(__file__).parents[1] / "src" / "burnish" / "demo" / "data" / "demo_openhands.csv.gz"


@dataclass(frozen=True, eq=False)
class World:
    """One recorded world of N tasks × K arms.

    Attributes:
        name: Short name, the key of its results.
        arms: Names of the K arms.
        types: Names of the T task types.
        task_type: Index of each task's type, shape [N].
        quality: Score in [0, 1] of each arm on each task, shape [N, K].
        cost: Cost in US dollars, shape [N, K].
        price: Quality given up to save one dollar: utility = quality − price × cost.
    """

    name: str
    arms: tuple[str, ...]
    types: tuple[str, ...]
    task_type: NDArray[np.int64]
    quality: Array
    cost: Array
    price: float

    @property
    def utility(self) -> Array:
        """Utility of each arm on each task, shape [N, K]."""
        return self.quality - self.price * self.cost

    def best_single(self) -> int:
        """Return the arm with the highest mean utility in hindsight."""
        return int(self.utility.mean(axis=0).argmax())

    def type_oracle(self) -> NDArray[np.int64]:
        """Return, for each type, the arm with the highest mean utility in hindsight, shape [T]."""
        means = [self.utility[self.task_type == t].mean(axis=0) for t in range(len(self.types))]
        best: NDArray[np.int64] = np.asarray(means).argmax(axis=1)
        return best

    def shuffled(self, seed: int) -> World:
        """Return the same world with its arms in another order, so that no router gains from whom it tries first."""
        order = np.random.default_rng([seed, 1]).permutation(len(self.arms))
        arms = tuple(self.arms[k] for k in order)
        return replace(self, arms=arms, quality=self.quality[:, order], cost=self.cost[:, order])


def load(
    file: Path, *, name: str, price: float, task: str = "task", kind: str = "task_type", arm: str = "arm"
) -> World:
    """Read one row a task and arm; `task`, `kind` and `arm` name columns. Tasks that lack an arm are left out.

    An unknown cost becomes the mean cost of its arm on its type.
    """
    with gzip.open(file, "rt", newline="") as stream:
        rows = list(csv.DictReader(stream))
    arms = tuple(sorted({row[arm] for row in rows}))
    types = tuple(sorted({row[kind] for row in rows}))
    place = {each: i for i, each in enumerate(dict.fromkeys(row[task] for row in rows))}
    quality, cost = np.full((2, len(place), len(arms)), np.nan)
    task_type = np.zeros(len(place), dtype=np.int64)
    for row in rows:
        cell = place[row[task]], arms.index(row[arm])
        quality[cell] = row["success"] == "True" if "success" in row else float(row["quality"])
        cost[cell] = float(row["cost_usd"] or "nan")
        task_type[cell[0]] = types.index(row[kind])
    whole = ~np.isnan(quality).any(axis=1)
    return _imputed(World(name, arms, types, task_type[whole], quality[whole], cost[whole], price))


def _imputed(world: World) -> World:
    cost = world.cost.copy()
    for t in range(len(world.types)):
        of_type = world.task_type == t
        cost[of_type] = np.where(np.isnan(cost[of_type]), np.nanmean(cost[of_type], axis=0), cost[of_type])
    return replace(world, cost=cost)


def coderouterbench_id() -> World:
    """Return 2,919 coding tasks × 8 arms; type = the benchmark's nine dimensions; reward as its authors define it."""
    return load(DATA / "coderouterbench_id.csv.gz", name="coderouterbench-id", price=0.1)


def coderouterbench_ood(type_column: str = "task_type") -> World:
    """Return 176 agentic tasks × 8 arms; type = its two dimensions, or its four source benchmarks (`bench`)."""
    return load(
        DATA / "coderouterbench_ood.csv.gz", name=f"coderouterbench-ood-{type_column}", price=0.1, kind=type_column
    )


def paretobandit() -> World:
    """Return 3,559 prompts × 4 arms in 31 types; utility = quality − .05 × cost / mean cost of the dearest arm."""
    world = load(DATA / "paretobandit_k4.csv.gz", name="paretobandit", price=0.0)
    return replace(world, price=0.05 / float(world.cost.mean(axis=0).max()))


def openhands_demo(price: float) -> World:
    """Return 1,112 agent tasks × 5 arms in 4 types at a price of quality per dollar."""
    return load(DEMO, name=f"openhands-{price:g}", price=price, task="task_id", arm="model")
