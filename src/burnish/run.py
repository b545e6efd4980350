"""A run as the host holds it: what it captured, and what it may ask.

It joins the two ends of the loop: `capture` records, `act` decides. What was decided reaches the ledger with the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Unpack

from burnish.act.choice import Candidate, Decision
from burnish.act.fallback import Failure
from burnish.act.router import Request, Router
from burnish.capture import checks
from burnish.capture.facts import RunFacts
from burnish.capture.records import AssignmentRecord, Bundle, DecisionRecord
from burnish.capture.run import RunCapture
from burnish.capture.signals import Site
from burnish.errors import InvalidValue
from burnish.events import RoutingDecision
from burnish.trial.book import Assigned

FAILURE_KINDS = ("quality", "timeout", "rate_limit", "server_error", "connection")


class Run(RunCapture):
    """One run: ask `decide()` for a model, record `call`s, `gate`s and the `outcome`; leaving the block ends it."""

    def __init__(
        self,
        site: Site,
        router: Router,
        decided: Callable[[RoutingDecision], None] | None,
        /,
        *,
        tenant: str,
        agent: str,
        task_type: str,
        task: str | None,
        **facts: Unpack[RunFacts],
    ) -> None:
        super().__init__(site, tenant=tenant, agent=agent, task_type=task_type, task=task, **facts)
        self._router = router
        self._decided = decided
        self._made: list[tuple[str, Decision]] = []
        self._failures: list[Failure] = []
        self._request: Request | None = None

    @property
    def decision(self) -> Decision | None:
        """Return the decision in force: that of the latest attempt."""
        return self._made[-1][1] if self._made else None

    def decide(self, models: Sequence[str] | None = None) -> Decision:
        """Choose the model to use.

        Args:
            models: Who may be chosen; by default those configured, given to `burnish.open`, or seen so far.

        Raises:
            NoEligibleModel: There is no model to choose from.
            InvalidValue: The run has decided already (ask `fallback()` for a next attempt) or a name is not a name.
        """
        if self._made:
            raise InvalidValue("decide", self.id, "the run has decided already; after a failure call run.fallback()")
        names = None if models is None else tuple(dict.fromkeys(checks.name("models", model) for model in models))
        assigned = self._router.assign(self.tenant, self.agent, self.task_type, run_id=self.id, keys=self._facts)
        self._request = Request(
            tenant=self.tenant,
            agent=self.agent,
            task_type=self.task_type,
            models=names,
            features=self.features,
            served=assigned.served,
        )
        decision = self._router.decide(self._request)
        self._enter(assigned)
        return self._keep(decision)

    def fallback(self, kind: str = "quality", *, error: BaseException | str | None = None) -> Decision | None:
        """Say that the model in force failed, and choose what to try next.

        Args:
            kind: "quality" (a check failed) or a transport failure: "timeout", "rate_limit", "server_error",
                "connection". Transport failures say nothing about a model's quality and are not held against it.
            error: What it failed with.

        Returns:
            The next decision, or None when nothing that is left is worth its cost. The failed attempt then stands as
            the run's last.

        Raises:
            InvalidValue: Nothing was decided yet, or the kind is unknown.
        """
        if self._request is None or not self._made:
            raise InvalidValue("fallback", self.id, "call run.decide() first")
        if kind not in FAILURE_KINDS:
            raise InvalidValue("kind", kind, f"give one of {', '.join(FAILURE_KINDS)}")
        if error is not None:
            self.call(model=self._made[-1][1].model, error=error)
        before = self._failures[: len(self._made) - 1]
        self._failures = [*before, Failure(model=self._made[-1][1].model, kind=kind)]
        following = self._router.next_attempt(self._request, self._failures)
        return None if following is None else self._keep(following)

    def fallbacks(self, model: str | None = None) -> list[Candidate]:
        """Return what would be tried, in order, should `model` (by default the one in force) fail on quality."""
        first = model or self._default_model()
        return [] if self._request is None or first is None else self._router.chain(self._request, first)

    def _enter(self, assigned: Assigned) -> None:
        """Hand over at once which arm the run was given: one that never ends must not be missing from the trial."""
        if assigned.deployment is None:
            return
        record = AssignmentRecord(
            id=self._site.ids(),
            created_at=self._site.clock.now(),
            tenant=self.tenant,
            deployment=assigned.deployment,
            run_id=self.id,
            unit=assigned.unit,
            task_type=self.task_type,
            arm=assigned.arm,
            probabilities=assigned.probabilities,
        )
        self._site.finish(Bundle(assignments=[record]), 500)

    def _keep(self, decision: Decision) -> Decision:
        self._made.append((self._site.ids(), decision))
        self._attempt = decision.attempt
        self._mark = self._site.clock.monotonic()
        if self._decided is not None:
            self._decided(
                RoutingDecision(
                    run_id=self.id,
                    agent=self.agent,
                    task_type=self.task_type,
                    model=decision.model,
                    rule=decision.rule,
                    reason=decision.reason,
                    propensity=decision.propensity,
                    attempt=decision.attempt,
                )
            )
        return decision

    def _default_model(self) -> str | None:
        return self._made[-1][1].model if self._made else None

    def _final_model(self) -> str | None:
        """Return the decided model, unless the host called another one in the last attempt."""
        decided = self._default_model()
        called = next(
            (c.model for c in reversed(self._calls) if c.kind == "model" and c.attempt == self._attempt and c.model),
            None,
        )
        if decided is None or called is None or same_model(decided, called):
            return decided or called
        return called

    def _decisions(self) -> list[DecisionRecord]:
        kinds = [failure.kind for failure in self._failures]
        return [
            DecisionRecord(
                id=identity,
                created_at=self._now,
                tenant=self.tenant,
                run_id=self.id,
                attempt=made.attempt,
                agent=self.agent,
                task_type=self.task_type,
                policy_id=made.policy_id,
                rule=made.rule,
                reason=made.reason,
                model=made.model,
                propensity=made.propensity,
                candidates=made.slate.plain,
                fallbacks=[],  # filled in where the run is written, off the host's thread
                novelty=made.novelty,
                price_of_cost=made.slate.price_of_cost,
                epoch=made.epoch,
                failure_kind=kinds[position] if position < len(kinds) else None,
            )
            for position, (identity, made) in enumerate(self._made)
        ]

    def _confidence(self) -> float | None:
        return self._made[0][1].propensity if self._made else None

    def _policy(self) -> str | None:
        return self._made[0][1].policy_id if self._made else None


def same_model(decided: str, called: str) -> bool:
    """Tell whether a provider's name is the decided model: its dated snapshot, or behind a vendor's prefix."""
    short, full = decided.rpartition("/")[2].lower(), called.rpartition("/")[2].lower()
    return full == short or full.startswith((short + "-20", short + "@", short + ":"))
