"""The demo's story, told through the public interface only: what a host would write, task by task.

    learn   rounds over all tasks; the router sees the type of a task, never the task itself
    check   one more round in which a checker tells failures, and a failed run asks for a fallback
    drift   the model with most of the traffic silently gets worse, and nobody is told
    trust   on an agent of its own, one policy earns promotion and a harmful one is rolled back (`trust.py`)

Nothing here reads a clock or a random source of the machine: the same plan on the same world tells the same story.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import burnish
from burnish.capture.prices import PriceTable
from burnish.demo.ids import Ids
from burnish.demo.picks import picked
from burnish.demo.records import Alarm, Attempt, Belief, Chain, Explained, Known, Plan, Step, Story
from burnish.demo.trust import SPAN, Told, Trust
from burnish.demo.trust_records import TrustStory
from burnish.settings import load
from burnish.store.opening import open_store
from burnish.testing.clock import FakeClock
from burnish.testing.world import Outcome, RecordedWorld, Task

AGENT = "demo"
DAYS = 60
"""Days before its end over which the runs are spread, so that trends of 7 and 30 days exist."""


Watch: TypeAlias = Callable[[Sequence[Step]], None]
"""Called after every flush with all steps so far."""


class Teller:
    """Plays a plan on a world; holds what the story remembers."""

    def __init__(
        self, loop: burnish.Loop, clock: FakeClock, world: RecordedWorld, plan: Plan, *, watch: Watch, told: Told
    ) -> None:
        self.loop, self.clock, self.world, self.plan, self.watch, self.told = loop, clock, world, plan, watch, told
        self.price = loop.route(world.types[0], agent=AGENT)[0].price_of_cost
        self.budget_usd = affordable(self.price)
        self.steps: list[Step] = []
        self.losses: dict[str, float] = {}
        self.raised: list[burnish.DriftAlarm] = []
        self.beliefs: dict[str, Belief] = {}
        self.pause = timedelta(days=DAYS).total_seconds() / (plan.rounds * len(world.tasks) + 1)
        loop.on(burnish.ExecutionRecorded, self._recorded)
        loop.on(burnish.DriftAlarm, self._raised)

    def tell(self) -> Story:
        """Play all four acts."""
        plan = self.plan
        self._act("learn", self.world, plan.learn_rounds)
        drifting = self._busiest()
        self._act("check", self.world, plan.check_rounds)
        worse = self.world.degraded(drifting, plan.share_lost, plan.seed)
        self._act("drift", worse, plan.drift_rounds)
        at = {step.run_id: number for number, step in enumerate(self.steps, start=1)}
        alarms = [Alarm(model=a.model, at=at[a.run_id], evidence=a.evidence) for a in self.raised]
        return Story(
            plan=plan,
            price=self.price,
            budget_usd=self.budget_usd,
            steps=self.steps,
            losses=self.losses,
            alarms=alarms,
            drifting=drifting,
            beliefs=self.beliefs,
            explained=[self._explained(number, why) for number, why in picked(self.steps, alarms)],
            trust=self._trust() if plan.trust else None,
        )

    def _trust(self) -> TrustStory:
        """Try policies on an agent of their own, drafted from what was known before the drift."""
        belief = self.beliefs["check"] if "check" in self.beliefs else self.beliefs["learn"]
        trust = Trust(
            self.loop, self.clock, self.world, self.plan, price=self.price, budget_usd=self.budget_usd, told=self.told
        )
        return trust.tell(belief)

    def _explained(self, number: int, why: str) -> Explained:
        """Ask the loop why a run went as it did, as `burnish explain` does."""
        found = self.loop.explain(self.steps[number - 1].run_id)
        attempts = [
            Attempt(
                model=decision.model,
                rule=decision.rule,
                reason=decision.reason,
                propensity=decision.propensity,
                candidates=sorted(
                    ((str(c["model"]), float(str(c["probability"]))) for c in decision.candidates),
                    key=lambda pair: (-pair[1], pair[0]),
                ),
            )
            for decision in found.decisions
        ]
        return Explained(at=number, why=why, attempts=attempts)

    def _act(self, act: str, world: RecordedWorld, rounds: int) -> None:
        played = self.steps[-1].round if self.steps else 0
        for number, tasks in enumerate(world.order(self.plan.seed, rounds, first=played), start=played + 1):
            for task in tasks:
                self.steps.append(self._run(act, number, world, task))
                if len(self.steps) % self.plan.flush_every == 0:
                    self.loop.flush()
                    self.watch(self.steps)
        self.loop.flush()
        self.watch(self.steps)
        self.beliefs[act] = self._belief()

    def _belief(self) -> Belief:
        """Ask the loop what it knows and how it would route, as `burnish models` and `burnish route` do."""
        routes = [route for t in self.world.types for route in self.loop.route(t, agent=AGENT)]
        share = {(route.task_type, c.model): c.probability for route in routes for c in route.candidates}
        models = [
            Known(
                task_type=report.task_type,
                model=report.model,
                runs=report.runs,
                quality=report.quality,
                low=report.quality_low,
                high=report.quality_high,
                cost_usd=report.cost_usd,
                share=share[report.task_type, report.model],
            )
            for report in self.loop.models(agent=AGENT)
        ]
        chains = [
            Chain(
                task_type=route.task_type,
                first=route.candidates[0].model,
                then=[(option.model, option.quality) for option in route.fallbacks],
            )
            for route in routes
        ]
        return Belief(models=models, chains=chains)

    def _run(self, act: str, number: int, world: RecordedWorld, task: Task) -> Step:
        """Do one task: decide, call, and with a checker fall back until it passes or nothing is worth its cost."""
        self.clock.advance(self.pause)
        extra = {"task_id": task.id, "act": act, "round": number}
        with self.loop.run(
            agent=AGENT, task=task.text or task.id, task_type=task.type, budget_usd=self.budget_usd, extra=extra
        ) as run:
            first = run.decide()
            outcomes = [self._call(run, world.outcome(task.id, first.model))]
            if act == "check":
                while not outcomes[-1].success and (following := run.fallback()) is not None:
                    outcomes.append(self._call(run, world.outcome(task.id, following.model)))
                run.gate("checker", passed=outcomes[-1].success, score=outcomes[-1].quality)
            quality = outcomes[-1].quality
            run.outcome(success=outcomes[-1].success, quality=quality if world.graded else None)
        return Step(
            act=act,
            round=number,
            run_id=run.id,
            task_id=task.id,
            task_type=task.type,
            model=first.model,
            rule=first.rule,
            propensity=first.propensity,
            attempts=len(outcomes),
            quality=quality,
            cost_usd=sum(outcome.cost_usd for outcome in outcomes),
        )

    def _call(self, run: burnish.Run, outcome: Outcome) -> Outcome:
        """Stand in for the provider: the call costs what it cost when it was recorded."""
        run.call(model=outcome.model, cost_usd=outcome.cost_usd, latency_s=outcome.duration_s)
        return outcome

    def _recorded(self, event: burnish.ExecutionRecorded) -> None:
        if event.loss is not None and event.agent == AGENT:
            self.losses[event.run_id] = event.loss

    def _raised(self, event: burnish.DriftAlarm) -> None:
        if event.agent == AGENT:
            self.raised.append(event)

    def _busiest(self) -> str:
        """Return the model that served most runs of the latest round."""
        latest = [step.model for step in self.steps if step.round == self.steps[-1].round]
        return Counter(sorted(latest)).most_common(1)[0][0]


def tell(
    folder: str | Path,
    world: RecordedWorld,
    plan: Plan,
    *,
    watch: Watch = lambda _: None,
    told: Told = lambda *_: None,
    until: datetime | None = None,
) -> tuple[Story, burnish.Loop]:
    """Play the story into the store of an empty folder; returns it with the loop, still open.

    The loop writes only when it is flushed, and its clock is ours, so that what is learned when never depends on how
    fast the machine is.

    Args:
        folder: Where the store is made.
        world: The recorded world.
        plan: What is played.
        watch: Called after every flush of the first three acts.
        told: Called after every flush of the last.
        until: When the story ends at the latest, in the loop's own time; the last midnight (UTC) by default.
    """
    end = until or datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    clock = FakeClock(end - timedelta(days=DAYS, seconds=SPAN))
    settings = load(overrides={"url": str(folder), "strict": True, "flush_seconds": 3600.0})
    burnish.open(settings.url, clock=clock, seed=plan.seed).close()  # makes the tables
    loop = burnish.Loop(
        open_store(settings.url),
        settings=settings,
        clock=clock,
        ids=Ids(clock, plan.seed),
        prices=PriceTable.load(None),
        models=world.models,
        seed=plan.seed,
    )
    loop.redactor.prepare()
    if plan.price is not None:
        loop.configure("route.cost_weight", plan.price, agent=AGENT)
    return Teller(loop, clock, world, plan, watch=watch, told=told).tell(), loop


def affordable(price: float) -> float | None:
    """Return the budget of a run at which its loss weighs money about as the router does; None when money is no object.

    With success and cost as the only evidence, the default weights make overrunning the budget once cost half as much
    as a failure: so a dollar is worth `price` of a failure when the budget is .5 / price.
    """
    return float(f"{0.5 / price:.3g}") if price > 0 else None
