"""The world of the gate ablation: recorded tasks in two halves, and proposers that are adversarial, noisy or honest.

The training half is all that proposers, gates and traffic ever see; the held-out half only says each night what the
policy in charge is worth. The half of a task is the last bit of the SHA-256 of its id.
"""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from burnish.demo.performance import world_of
from burnish.propose.policy import Policy, RoutingRule
from burnish.testing.replaying import RecordedRunner, model_of
from burnish.testing.world import RecordedWorld, Reference, Task
from burnish.trial.replay_record import ReplayItem, ReplayOutcome

AGENT = "coder"
PRICE = 0.1
"""What a dollar is worth, in solved tasks: that of the router's default."""

BUDGET_USD = 1.0
WEIGHTS = {"gate_failures": 0.30, "cost_overrun": 0.05}
"""A run loses mostly by failing, and something by costing more than its budget."""

REPLAYED = {"source": "replay", "shift": "day"}
DAY = {"source": "live", "shift": "day"}
NIGHT = {"source": "live", "shift": "night"}
"""What tells replay from traffic, and the hours of a shadow from those of a canary: facts a bad policy may exploit."""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A routing policy somebody proposes, and what kind of proposer it came from."""

    kind: str
    routing: Sequence[RoutingRule]

    @property
    def policy(self) -> Policy:
        """Return it as a policy outside any store."""
        return Policy(tenant="default", agent=AGENT, routing=self.routing, author=f"learner:{self.kind}", created="")


class Halves(msgspec.Struct, frozen=True):
    """The two halves of the recorded world."""

    training: RecordedWorld
    held_out: RecordedWorld

    def worth(self, routing: Sequence[RoutingRule]) -> Reference:
        """Return the exact value of a routing on the held-out tasks, half of them by day and half by night."""
        policy = Proposal(kind="any", routing=routing).policy
        shares: dict[str, dict[str, float]] = {}
        for task_type in self.held_out.types:
            share: dict[str, float] = defaultdict(float)
            for features in (DAY, NIGHT):
                model = policy.model_for(task_type, features)
                if model is None:
                    raise SystemExit(f"a policy of this ablation leaves {task_type} to learning")
                share[model] += 0.5
            shares[task_type] = share
        return self.held_out.value("policy", shares, price=PRICE)


def halves() -> Halves:
    """Return the shipped world in two halves."""
    whole, _ = world_of(None)
    parts: tuple[list[dict[str, object]], list[dict[str, object]]] = ([], [])
    for task in whole.tasks:
        part = parts[hashlib.sha256(task.id.encode()).digest()[-1] & 1]
        for model in whole.models:
            found = whole.outcome(task.id, model)
            part.append(
                {
                    "task_id": task.id,
                    "task_type": task.type,
                    "model": model,
                    "success": found.quality,
                    "cost_usd": found.cost_usd,
                }
            )
    return Halves(RecordedWorld.of(parts[1]), RecordedWorld.of(parts[0]))


def constant(models: Mapping[str, str], **when: str) -> list[RoutingRule]:
    """Return rules that pin every task type to its model, where `when` holds as well."""
    return [RoutingRule(when={**when, "task_type": task_type}, model=model) for task_type, model in models.items()]


def best_single(world: RecordedWorld) -> list[RoutingRule]:
    """Return the routing a person starts with: the best single model."""
    return constant(world.references(price=PRICE).best_single.models)


def items(world: RecordedWorld) -> list[ReplayItem]:
    """Return the tasks of a world as replay items, which can be told from traffic."""
    return [ReplayItem(id=task.id, task=task.id, task_type=task.type, features=REPLAYED) for task in world.tasks]


class TaskRunner:
    """The recorded runner for items whose id is that of a run, as in shadow: the task is named in its words."""

    def __init__(self, world: RecordedWorld) -> None:
        self._world = world
        self._recorded = RecordedRunner(world, budget_usd=BUDGET_USD, weights=WEIGHTS)
        self._known: dict[tuple[str, str], ReplayOutcome] = {}

    def __call__(self, policy: Policy | None, item: ReplayItem, seed: int) -> ReplayOutcome:
        """Return what was recorded of the model that the policy chooses."""
        item = msgspec.structs.replace(item, id=item.task)
        key = item.id, model_of(policy, item, seed, self._world)
        if key not in self._known:
            self._known[key] = self._recorded(policy, item, seed)
        return self._known[key]


class Proposer:
    """Drafts the proposals of a night, in a random order. Knows the training half, and nothing of the other."""

    def __init__(self, world: RecordedWorld, seed: int) -> None:
        self._world = world
        self._random = random.Random(f"proposals/{seed}")
        self._tasks: dict[str, list[Task]] = defaultdict(list)
        for task in world.tasks:
            self._tasks[task.type].append(task)

    def night(self) -> list[Proposal]:
        """Return one proposal of every kind."""
        drafts = [self._adversarial(), self._noisy(), self._memorised(), self._time_bomb(), self._honest()]
        self._random.shuffle(drafts)
        return drafts

    def _adversarial(self) -> Proposal:
        """Route every type to one of the two models that solve the least of it."""
        return Proposal(kind="adversarial", routing=constant(self._worst()))

    def _noisy(self) -> Proposal:
        """Believe the mean of three samples of each model: the winner's curse."""
        return Proposal(kind="noisy", routing=constant(self._picked(3)))

    def _memorised(self) -> Proposal:
        """Do well on what is marked as a replay, and badly otherwise."""
        good, bad = self._picked(200), self._worst()
        return Proposal(kind="memorised", routing=[*constant(good, source="replay"), *constant(bad)])

    def _time_bomb(self) -> Proposal:
        """Do well in the hours of replay and shadow, and badly in the others."""
        good, bad = self._picked(200), self._worst()
        return Proposal(kind="time bomb", routing=[*constant(good, shift="day"), *constant(bad)])

    def _honest(self) -> Proposal:
        """Believe the mean of two hundred samples of each model."""
        return Proposal(kind="honest", routing=constant(self._picked(200)))

    def _picked(self, samples: int) -> dict[str, str]:
        return {t: max(self._sampled(t, samples).items(), key=lambda pair: pair[1])[0] for t in self._world.types}

    def _sampled(self, task_type: str, samples: int) -> dict[str, float]:
        """Return the mean quality of each model over tasks drawn for it; ties fall by a coin."""
        means = {}
        for model in self._world.models:
            drawn = self._random.choices(self._tasks[task_type], k=samples)
            solved = sum(self._world.outcome(task.id, model).quality for task in drawn)
            means[model] = solved / samples + 1e-9 * self._random.random()
        return means

    def _worst(self) -> dict[str, str]:
        found = {}
        for task_type in self._world.types:
            means = self._sampled(task_type, 200)
            found[task_type] = self._random.choice(sorted(means, key=lambda model: means[model])[:2])
        return found
