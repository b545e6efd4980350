"""The act of trust: one candidate earns its promotion, another turns harmful and is rolled back; public interface only.

    v1  a person puts a single model in charge of everything
    v2  a learner proposes, for each task type, the model that the acts before expect the highest utility of
    v3  a learner shortens the prompt of the one in charge; after its shadow, runs under it silently get worse

Each candidate has to pass replay, shadow and canary with the defaults as shipped. It is an agent of its own, so that
nothing here touches what the router learned in the other acts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

import burnish
from burnish.demo.records import Belief, Known, Plan
from burnish.demo.trust_records import Change, Proof, Trial, TrustStory
from burnish.testing.clock import FakeClock
from burnish.testing.replaying import RecordedRunner, items_of
from burnish.testing.world import RecordedWorld, Task
from burnish.trial.records import DeploymentRecord
from burnish.trial.replay_record import ReplayItem, ReplayOutcome

AGENT = "demo-trust"
PAUSE = 5.0
"""Seconds between two runs."""

SPAN = 86_400.0
"""Seconds that are kept free for the act: all of its runs fit in."""

EVERY = 20
"""Runs after which the loop is flushed, and so reads what the trials show."""

SHORT = "Think briefly, then act."

Told: TypeAlias = Callable[[int, str], None]
"""Called after every flush with the runs of the act so far, and what is going on."""


class Trust:
    """Plays the act; holds what it remembers."""

    def __init__(
        self,
        loop: burnish.Loop,
        clock: FakeClock,
        world: RecordedWorld,
        plan: Plan,
        *,
        price: float,
        budget_usd: float | None,
        told: Told,
    ) -> None:
        self.loop, self.clock, self.world, self.plan, self.told = loop, clock, world, plan, told
        self.price, self.budget_usd = price, budget_usd
        self.runs = 0
        self.names: dict[str, str] = {}
        self.changed: list[tuple[int, burnish.PolicyChanged]] = []
        self.worlds: dict[str | None, RecordedWorld] = {}
        self.tasks = self._stream()
        self.runner = RecordedRunner(world, budget_usd=budget_usd)

    def tell(self, belief: Belief) -> TrustStory:
        """Play the act, given what the acts before learned."""
        off = self.loop.on(burnish.PolicyChanged, lambda event: self.changed.append((self.runs, event)))
        self.loop.shadow_with(self._shadow, agent=AGENT)
        drafted = best_by_type(belief, self.price)
        weights = Counter(task.type for task in self.world.tasks)
        first = beaten_by(belief, drafted, weights)
        everything = [{"model": first}]
        self.loop.promote_policy(self._draft("person:ann", f"all to {first}", routing=everything), by="person:ann")
        rules = [{"when": {"task_type": kind}, "model": model} for kind, model in drafted.items()]
        trials = [
            self._tried("learner:director", "for each task type the model of highest expected utility", routing=rules),
            self._tried(
                "learner:reflection",
                "the same models with a shorter prompt",
                harmful=True,
                prompts={"system": SHORT},
            ),
        ]
        active = self.loop.active_policy(AGENT)
        off()
        return TrustStory(
            agent=AGENT,
            first=first,
            drafted=drafted,
            share_lost=self.plan.share_lost,
            runs=self.runs,
            trials=trials,
            changes=[self._change(at, event) for at, event in self.changed],
            in_charge="nobody" if active is None else self.names[active.digest],
        )

    def _draft(self, author: str, note: str, **content: Any) -> str:  # noqa: ANN401 - fields of a policy
        record = self.loop.create_policy(AGENT, author=author, note=note, **content)
        self.names[record.digest] = f"v{record.version}"
        return record.digest

    def _tried(self, author: str, what: str, *, harmful: bool = False, **content: Any) -> Trial:  # noqa: ANN401 - fields of a policy
        """Take a candidate as far as it comes."""
        digest = self._draft(author, what, **content)
        replayed = self.loop.replay_policy(digest, items_of(self.world), self.runner, seeds=(0,), method="recorded")
        trial = Trial(
            policy=self.names[digest],
            author=author,
            what=what,
            replay=replayed.verdict,
            replayed=replayed.items,
            replay_delta=replayed.mean_delta,
        )
        if replayed.verdict != "pass":
            return trial
        started = self.loop.start_shadow(digest)
        self._until(f"{trial.policy} in shadow", lambda: self._deployment(started.id).ended_at is not None)
        shadow = self._deployment(started.id)
        trial = msgspec.structs.replace(
            trial, shadow=shadow.status, pairs=shadow.processed, shadow_reason=shadow.reason or ""
        )
        if shadow.status != "passed":
            return trial
        if harmful:
            self.worlds[digest] = self._worse()
        return msgspec.structs.replace(trial, canary=self._canary(digest))

    def _canary(self, digest: str) -> Proof:
        """Run a canary until it is decided."""
        began, ramp = self.runs, list[tuple[int, float]]()
        started = self.loop.start_canary(digest, plan=burnish.CanaryPlan(auto_promote=True))

        def decided() -> bool:
            deployment = self._deployment(started.id)
            share = share_of(deployment)
            if deployment.ended_at is None and (not ramp or ramp[-1][1] != share):
                ramp.append((deployment.processed, share))
            return deployment.ended_at is not None

        self._until(f"{self.names[digest]} in canary", decided)
        report = self.loop.canary_report(started)
        mine = report.candidates[0]
        return Proof(
            started=began,
            status=report.status,
            units=report.units,
            own=mine.arm.units,
            delta=mine.delta,
            low=mine.low,
            high=mine.high,
            better=mine.better,
            better_at=mine.better_at,
            worse=mine.worse,
            worse_at=mine.worse_at,
            guardrails=dict(sorted(mine.guardrails.items())),
            guardrail_at=mine.guardrail_at,
            evidence=list(report.evidence),
            ramp=ramp,
            words=self._named(report.words),
            reason=self._named(report.reason or ""),
        )

    def _until(self, what: str, done: Callable[[], bool]) -> None:
        """Play runs until it is so; a trial ends by itself after so many units, and no act is longer than its span."""
        while not done() and self.runs * PAUSE < SPAN - EVERY * PAUSE:
            for _ in range(EVERY):
                self._run(next(self.tasks))
            self.loop.flush()
            self.told(self.runs, what)

    def _run(self, task: Task) -> None:
        self.clock.advance(PAUSE)
        self.runs += 1
        extra = {"task_id": task.id, "act": "trust"}
        with self.loop.run(
            agent=AGENT, task=task.text or task.id, task_type=task.type, budget_usd=self.budget_usd, extra=extra
        ) as run:
            decision = run.decide()
            served = None if decision.served is None else decision.served.digest
            outcome = self.worlds.get(served, self.world).outcome(task.id, decision.model)
            run.call(model=outcome.model, cost_usd=outcome.cost_usd, latency_s=outcome.duration_s)
            run.outcome(success=outcome.success, quality=outcome.quality if self.world.graded else None)

    def _shadow(self, policy: burnish.Policy | None, item: ReplayItem, seed: int) -> ReplayOutcome:
        """Do a run's task again under a candidate: what the world recorded of the model that it chooses."""
        task = msgspec.convert(item.inputs, dict[str, object])["task_id"]
        return self.runner(policy, msgspec.structs.replace(item, id=str(task)), seed)

    def _stream(self) -> Iterator[Task]:
        number = self.plan.rounds
        while True:
            yield from self.world.order(self.plan.seed, 1, first=number)[0]
            number += 1

    def _worse(self) -> RecordedWorld:
        """Return the world as it is under the harmful candidate."""
        worse = self.world
        for model in self.world.models:
            worse = worse.degraded(model, self.plan.share_lost, self.plan.seed)
        return worse

    def _deployment(self, identity: str) -> DeploymentRecord:
        return next(found for found in self.loop.deployments(agent=AGENT) if found.id == identity)

    def _change(self, at: int, event: burnish.PolicyChanged) -> Change:
        return Change(
            at=at,
            policy=self.names[event.policy],
            from_status=event.from_status,
            to_status=event.to_status,
            reason=self._named(event.reason),
        )

    def _named(self, text: str) -> str:
        """Call policies by their version: a digest says nothing to people."""
        for digest, name in self.names.items():
            text = text.replace(digest, name).replace(digest[:19], name)
        return text


def best_by_type(belief: Belief, price: float) -> dict[str, str]:
    """Return the model of highest expected utility for each task type."""
    best: dict[str, Known] = {}
    for known in sorted(belief.models, key=lambda known: (known.task_type, known.model)):
        rival = best.get(known.task_type)
        if rival is None or _utility(known, price) > _utility(rival, price):
            best[known.task_type] = known
    return {task_type: known.model for task_type, known in best.items()}


def beaten_by(belief: Belief, drafted: Mapping[str, str], weights: Mapping[str, int]) -> str:
    """Return the single model that a draft is expected to beat most clearly without costing more than is tolerated.

    Where every model is too cheap for that, the dearest one is the fairest start.
    """
    known = {(one.task_type, one.model): one for one in belief.models}
    models = sorted({one.model for one in belief.models})

    def mean(choice: Mapping[str, str], fact: Callable[[Known], float]) -> float:
        return math.fsum(weights[kind] * fact(known[kind, model]) for kind, model in choice.items())

    alone = {model: dict.fromkeys(drafted, model) for model in models}
    cost = {model: mean(alone[model], _cost) for model in models}
    most = 1.0 + (burnish.CanaryPlan().guardrails.cost or 0.0)
    fair = [m for m in models if alone[m] != drafted and mean(drafted, _cost) <= most * cost[m]]
    if not fair:
        return max(models, key=lambda model: cost[model])
    return min(fair, key=lambda model: mean(alone[model], lambda one: one.quality))


def share_of(deployment: DeploymentRecord) -> float:
    """Return the candidate's share of the traffic as it stands."""
    schedule = msgspec.convert(deployment.state["schedule"], list[tuple[int, list[float]]])
    return schedule[-1][1][0]


def _cost(known: Known) -> float:
    return known.cost_usd or 0.0


def _utility(known: Known, price: float) -> float:
    return known.quality - price * _cost(known)
