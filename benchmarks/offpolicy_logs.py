"""Log runs of Burnish's own router on a recorded world, and know exactly what any other policy would have done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.routing_data import World
from benchmarks.routing_learner import REFRESH_RUNS, Burnish
from burnish.stats.offpolicy import LoggedChoices
from burnish.stats.propensity import pick

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.routing_data import Array


@dataclass(frozen=True, eq=False)
class Logged:
    """One stream of N logged runs.

    Attributes:
        arm: Arm that served, shape [N].
        task_type: Index of the task type, shape [N].
        loss: Shape [N].
        logged: Probability of each arm, shape [N, K].
        value: Mean loss over all tasks of the world of the router as it was at each run, shape [N].
    """

    arm: NDArray[np.int64]
    task_type: NDArray[np.int64]
    loss: Array
    logged: Array
    value: Array

    def under(self, target: Array, runs: int) -> LoggedChoices:
        """Return the first runs with what a target, shape [T, K], would have done."""
        at = slice(runs)
        kinds = self.task_type[at]
        return LoggedChoices(self.arm[at], kinds, self.loss[at], self.logged[at], target[kinds])


def losses(world: World) -> Array:
    """Return 1 − utility, clipped to [0, 1] as a run's loss is, shape [N, K]."""
    return np.clip(1.0 - world.utility, 0.0, 1.0)


def mean_losses(world: World) -> tuple[Array, Array]:
    """Return the mean loss of each type and arm, shape [T, K], and each type's share of the tasks, shape [T]."""
    loss, kinds = losses(world), range(len(world.types))
    means = np.stack([loss[world.task_type == t].mean(axis=0) for t in kinds])
    return means, np.bincount(world.task_type, minlength=len(means)) / len(loss)


def log_runs(world: World, runs: int, floor: float, seed: int) -> Logged:
    """Let the router serve tasks drawn at random with replacement, from a cold start, and log what it does.

    The router's value is that of its whole policy at the time, so the difference to a target is known exactly.
    """
    rng = np.random.default_rng([seed, 7])
    means, share = mean_losses(world)
    loss = losses(world)
    learner = Burnish(world, world.price, floor=floor)
    tasks, uniforms = rng.integers(len(loss), size=runs), rng.random(runs)
    arm, value = np.empty(runs, dtype=np.int64), np.empty(runs)
    logged = np.empty((runs, len(world.arms)))
    for i, (task, uniform) in enumerate(zip(tasks, uniforms, strict=True)):
        if i % REFRESH_RUNS == 0:
            policy = np.stack([learner.probabilities(t) for t in range(len(share))])
            now = float(share @ (policy * means).sum(axis=1))
        kind = int(world.task_type[task])
        logged[i], value[i] = policy[kind], now
        arm[i] = pick(logged[i], float(uniform))
        learner.learn(kind, int(arm[i]), float(world.quality[task, arm[i]]), float(world.cost[task, arm[i]]))
    return Logged(arm, world.task_type[tasks], loss[tasks, arm], logged, value)


def targets(world: World, seed: int) -> dict[str, Array]:
    """Return policies by name, each of shape [T, K]: some better than the router, some worse, some random."""
    means, share = mean_losses(world)
    arms = means.shape[1]
    ranks = means.argsort(axis=1)
    rng = np.random.default_rng([seed, 11])
    overall = (share @ means).argsort()
    top_two = np.zeros_like(means)
    np.put_along_axis(top_two, ranks[:, :2], 0.5, axis=1)
    pins = {
        "type oracle": ranks[:, 0],
        "best single": np.full(len(means), overall[0]),
        "second best a type": ranks[:, 1],
        "second best single": np.full(len(means), overall[1]),
        "worst a type": ranks[:, -1],
        "random a type": rng.integers(arms, size=len(means)),
    }
    return {"even over the best two a type": top_two} | {name: np.eye(arms)[arm] for name, arm in pins.items()}


def never_tried(log: Logged, target: Array) -> tuple[Logged, Array]:
    """Return the log and target with one more arm that no run could choose and the target always does."""
    wider = np.pad(log.logged, ((0, 0), (0, 1)))
    always = np.zeros((len(target), target.shape[1] + 1))
    always[:, -1] = 1.0
    return Logged(log.arm, log.task_type, log.loss, wider, log.value), always
