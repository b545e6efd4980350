"""Four ways to let proposals into charge: all gates, the replay alone, a t-test that is peeked at, and none."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Protocol

import msgspec

import burnish
from benchmarks.gates_world import (
    AGENT,
    BUDGET_USD,
    DAY,
    NIGHT,
    WEIGHTS,
    Halves,
    Proposal,
    TaskRunner,
    best_single,
    items,
)
from burnish.propose.policy import RoutingRule
from burnish.testing.clock import FakeClock
from burnish.testing.world import RecordedWorld
from burnish.trial.plan import CanaryPlan, Guardrails, ShadowPlan, Step
from burnish.trial.records import PolicyRecord
from burnish.trial.replay import replay
from burnish.trial.replay_record import ReplayItem

AT_ONCE = 100
"""Runs between two flushes: a change of the ramp, or a rollback, takes effect after as many."""

DAY_SECONDS = 86_400.0


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """How much traffic a night has."""

    shadow: int = 400
    """Most runs by day, while candidates run beside."""
    canary: int = 2_000
    """Runs by night, while candidates serve a share."""


class Ended(msgspec.Struct, frozen=True):
    """A proposal and the gate at which it ended; `active` is none."""

    kind: str
    at: str


class Line(Protocol):
    """A way to let proposals into charge."""

    @property
    def routing(self) -> Sequence[RoutingRule]:
        """Return what is in charge."""

    def live(self, proposals: Sequence[Proposal]) -> None:
        """Take the proposals of a night."""


class Gated:
    """The product's own gates, end to end. What is in charge changes only through the loop."""

    def __init__(self, folder: str, halves: Halves, night: Night, seed: int) -> None:
        world = halves.training
        self._world, self._night = world, night
        self._clock = FakeClock()
        self._loop = burnish.open(
            folder,
            models=world.models,
            clock=self._clock,
            seed=seed,
            strict=True,
            flush_seconds=3600.0,
            batch_runs=1_000,
        )
        # The minute's tick reads the machine's clock and draws ids, so runs of another speed would be other runs.
        self._loop._turn._next_monitor = math.inf
        self._loop.configure("score.weights", WEIGHTS)
        self._runner = TaskRunner(world)
        self._loop.shadow_with(self._runner, agent=AGENT)
        self._random = random.Random(f"traffic/{seed}")
        self._items = items(world)
        self.runs = 0
        self.ended: list[Ended] = []
        first = self._loop.create_policy(AGENT, author="person:ann", routing=best_single(world))
        self._loop.promote_policy(first, by="person:ann")

    @property
    def routing(self) -> Sequence[RoutingRule]:
        """Return what is in charge, as the loop serves it."""
        policy = self._loop.active_policy(AGENT)
        if policy is None:
            raise SystemExit("no policy is in charge")
        return policy.routing

    @property
    def rollbacks(self) -> int:
        """Return how many promoted policies the hold-back rolled back."""
        ended = self._loop.deployments(agent=AGENT, limit=10_000)
        return sum(d.mode == "holdback" and d.status == "rolled_back" for d in ended)

    def live(self, proposals: Sequence[Proposal]) -> None:
        """Take the proposals of a night as far as they earn it."""
        drafts = [
            (proposal, self._loop.create_policy(AGENT, author=f"learner:{proposal.kind}", routing=proposal.routing))
            for proposal in proposals
        ]
        replayed = [(proposal, draft) for proposal, draft in drafts if self._replayed(draft)]
        shadowed = self._shadowed(replayed)
        if shadowed:
            self._canary([draft for _, draft in shadowed])
        self._play(AT_ONCE, NIGHT)
        self._loop.monitor()
        for proposal, draft in drafts:
            self._account(proposal, draft)
        self._clock.advance(DAY_SECONDS / 2)

    def close(self) -> None:
        """Close the loop."""
        self._loop.close()

    def _replayed(self, draft: PolicyRecord) -> bool:
        report = self._loop.replay_policy(draft, self._items, self._runner, seeds=(0,), method="recorded")
        return report.verdict == "pass"

    def _shadowed(self, found: list[tuple[Proposal, PolicyRecord]]) -> list[tuple[Proposal, PolicyRecord]]:
        plan = ShadowPlan(pairs=self._night.shadow)
        trials = [self._loop.start_shadow(draft, plan).id for _, draft in found]
        played = 0
        while played < self._night.shadow and self._running(trials):
            self._play(AT_ONCE, DAY)
            played += AT_ONCE
        for trial in self._running(trials):
            self._loop.abort_deployment(trial, reason="the day is over")
        passed = {c for d in self._loop.deployments(agent=AGENT) if d.status == "passed" for c in d.candidates}
        return [(proposal, draft) for proposal, draft in found if draft.digest in passed]

    def _canary(self, drafts: list[PolicyRecord]) -> None:
        most = self._night.canary
        plan = CanaryPlan(
            ramp=(Step(0.10, most // 10), Step(0.25, most // 10), Step(0.50, most)),
            n_max=most,
            guardrails=Guardrails(cost=None),  # money is in the loss here
            auto_promote=True,
        )
        trial = self._loop.start_canary(*drafts, plan=plan).id
        while self._running([trial]):
            self._play(AT_ONCE, NIGHT)

    def _running(self, trials: Sequence[str]) -> list[str]:
        return [d.id for d in self._loop.deployments(agent=AGENT) if d.id in trials and d.open]

    def _play(self, runs: int, features: dict[str, str]) -> None:
        for task in self._random.choices(self._world.tasks, k=runs):
            with self._loop.run(
                agent=AGENT, task=task.id, task_type=task.type, features=features, budget_usd=BUDGET_USD
            ) as run:
                model = run.decide().model
                outcome = self._world.outcome(task.id, model)
                run.call(model=model, cost_usd=outcome.cost_usd)
                run.outcome(quality=outcome.quality)
            self._clock.advance(1.0)
        self._loop.flush()
        self.runs += runs

    def _account(self, proposal: Proposal, draft: PolicyRecord) -> None:
        """Note how far a proposal came, and withdraw what did not come through."""
        record = self._loop.policy(draft)
        reached = [step.to_status for step in self._loop.policy_history(draft)]
        if "active" in reached:
            at = "active"
        else:
            at = {"draft": "replay", "shadow": "shadow", "canary": "canary"}[
                [status for status in reached if status != "archived"][-1]
            ]
            if record.status != "archived":
                self._loop.rollback(draft, reason="it did not pass last night")
        self.ended.append(Ended(proposal.kind, at))


class Ungated:
    """What is proposed is in charge at once."""

    def __init__(self, halves: Halves) -> None:
        self.routing: Sequence[RoutingRule] = best_single(halves.training)

    def live(self, proposals: Sequence[Proposal]) -> None:
        """Take every proposal of a night."""
        self.routing = proposals[-1].routing


class ReplayOnly:
    """What passes the offline replay is in charge at once."""

    def __init__(self, halves: Halves) -> None:
        self.routing: Sequence[RoutingRule] = best_single(halves.training)
        self._items: list[ReplayItem] = items(halves.training)
        self._runner = TaskRunner(halves.training)

    def live(self, proposals: Sequence[Proposal]) -> None:
        """Take what passes."""
        for proposal in proposals:
            before = Proposal(kind="before", routing=self.routing).policy
            if replay(proposal.policy, before, self._items, self._runner, seeds=(0,)).verdict == "pass":
                self.routing = proposal.routing


class Peeked:
    """The usual A/B test: half of the traffic each, Welch's t after every 20 runs, and p < .05 decides."""

    def __init__(self, halves: Halves, night: Night, seed: int) -> None:
        self.routing: Sequence[RoutingRule] = best_single(halves.training)
        self._world: RecordedWorld = halves.training
        self._traffic = night.canary
        self._random = random.Random(f"peeked/{seed}")
        self._runner = TaskRunner(halves.training)

    def live(self, proposals: Sequence[Proposal]) -> None:
        """Test one proposal after the other; together they get the traffic that a canary may have."""
        for proposal in proposals:
            if self._wins(proposal, self._traffic // len(proposals)):
                self.routing = proposal.routing

    def _wins(self, proposal: Proposal, runs: int) -> bool:
        sides = (Proposal(kind="before", routing=self.routing).policy, proposal.policy)
        losses: tuple[list[float], list[float]] = ([], [])
        for number, task in enumerate(self._random.choices(self._world.tasks, k=runs), start=1):
            arm = self._random.randrange(2)
            item = ReplayItem(id=task.id, task=task.id, task_type=task.type, features=NIGHT)
            loss = self._runner(sides[arm], item, 0).loss
            losses[arm].append(1.0 if loss is None else loss)
            if number % 20 == 0 and (t := welch(*losses)) is not None and abs(t) > 1.96:
                return t < 0
        return False


def welch(control: Sequence[float], candidate: Sequence[float]) -> float | None:
    """Return Welch's t of the candidate's mean minus the control's; None before ten runs each. Read as normal."""
    if min(len(control), len(candidate)) < 10:
        return None
    (m0, v0), (m1, v1) = _moments(control), _moments(candidate)
    error = math.sqrt(v0 / len(control) + v1 / len(candidate))
    return (m1 - m0) / error if error > 0 else None


def _moments(values: Sequence[float]) -> tuple[float, float]:
    mean = sum(values) / len(values)
    return mean, sum((value - mean) ** 2 for value in values) / (len(values) - 1)
