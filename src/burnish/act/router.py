"""The decisions of one process: beliefs in memory, slates computed once, one random number a decision.

Nothing here touches the store on the path of a decision, except for the first decision of an agent in a process.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from burnish.act import fallback, routing_table, slate
from burnish.act.choice import Candidate, Decision, Slate
from burnish.act.routing_table import Routing
from burnish.capture import ledger as capture
from burnish.clock import Clock
from burnish.errors import NoEligibleModel, StoreError
from burnish.govern import configuration
from burnish.govern.configuration import Configuration
from burnish.learn import belief as learned, performance
from burnish.learn.belief import Belief, Knowledge
from burnish.learn.pacing import Spend
from burnish.stats.novelty import NoveltyReference
from burnish.store.columns import to_micros
from burnish.store.store import Store
from burnish.trial.book import Assigned, Book, Reader, Served

log = logging.getLogger("burnish")
Scope = tuple[str, str]
"""(tenant, agent)"""

FAMILIAR_RUNS = 20
"""Runs after which a task type is no longer novel in itself."""

NOVELTY_RUNS = 250
"""Runs that novelty is measured against when a process starts."""


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """What all agents of a process decide by: replaced as a whole, never changed."""

    configuration: Configuration = Configuration()
    routing: Mapping[str, Mapping[str, Routing]] = {}
    book: Book = Book()


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision is asked for."""

    tenant: str
    agent: str
    task_type: str
    models: tuple[str, ...] | None = None
    features: Mapping[str, object] = {}
    served: Served | None = None
    """The policy that the run is under."""


class Router:
    """Chooses models. Decisions may come from any thread; `refresh` from one at a time."""

    def __init__(
        self, store: Store, *, clock: Clock, reader: Reader, models: Sequence[str] = (), seed: int | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._reader = reader
        self._models = tuple(models)
        self._random = random.Random(seed)  # noqa: S311 - exploration, not secrets
        self.shared = Shared()
        self._beliefs: dict[Scope, Belief] = {}
        self._terms: dict[Scope, slate.Terms] = {}
        self._novelty: dict[Scope, NoveltyReference] = {}
        self._month = (0.0, "")
        self._generation = 0
        self._noting = threading.Lock()
        self.away: Callable[[], bool] = _never
        """Tells whether the store is known to be away; then a new agent starts from nothing instead of waiting."""

    def forked(self, seed: int | None = None) -> None:
        """Draw other random numbers than the parent process, under a lock of the child's own."""
        self._noting = threading.Lock()
        self._random = random.Random(seed)  # noqa: S311 - exploration, not secrets

    def decide(self, request: Request) -> Decision:
        """Choose a model for the first attempt of a run.

        Raises:
            NoEligibleModel: There is no model to choose from.
        """
        scope = (request.tenant, request.agent)
        models = self.candidates(request)
        belief = self._belief(scope, models)
        novelty = self._novel(scope, request)
        safest = novelty is not None and novelty > self.terms(scope).novelty_limit and self._unfamiliar(belief, request)
        found = self._slate(scope, belief, request.task_type, models, safest=safest, given=_given(request))
        chosen = found.candidates[slate.draw(found, self._random.random())]
        return self._decision(belief, found, chosen.model, novelty, request.served)

    def assign(self, tenant: str, agent: str, task_type: str, *, run_id: str, keys: Mapping[str, object]) -> Assigned:
        """Return the policy of a run, and the arm of the deployment that gave it, when one did."""
        book = self.shared.book
        if not book.slots:
            return Assigned(served=None)
        micros = to_micros(self._clock.now())
        return book.assign(tenant, agent, task_type, run_id=run_id, keys=keys, micros=micros)

    def next_attempt(self, request: Request, failed: Sequence[fallback.Failure]) -> Decision | None:
        """Choose what to try after failures, or None when nothing that is left is worth its cost.

        Raises:
            NoEligibleModel: There is no model to choose from.
        """
        scope = (request.tenant, request.agent)
        models = self.candidates(request)
        belief = self._belief(scope, models)
        ranked = fallback.rank(belief, self.terms(scope), request.task_type, models, failed)
        order = None if request.served is None else request.served.policy.order_after(failed[-1].model, failed[-1].kind)
        if order is not None:
            ranked = fallback.ordered(belief, self.terms(scope), request.task_type, order, failed)
        if not ranked:
            return None
        uniform = None if order is not None else self._random.random()
        made = fallback.decide(belief, self.terms(scope), ranked, failed, uniform)
        return msgspec.structs.replace(made, served=request.served)

    def candidates(self, request: Request) -> tuple[str, ...]:
        """Return the models to choose from: those asked for, configured, given at open, or else seen so far.

        Raises:
            NoEligibleModel: There are none.
        """
        models = request.models
        allowed = () if request.served is None else request.served.policy.models
        if models and allowed:
            # What the host can call outranks a policy that names none of it.
            models = tuple(model for model in models if model in allowed) or models
        models = models or tuple(allowed)
        if not models:
            configured = self.shared.configuration.get("route.models", request.tenant, request.agent)
            models = tuple(configured) if isinstance(configured, list) and configured else self._models
        if not models:
            models = self._belief((request.tenant, request.agent), ()).models
        if not models:
            raise NoEligibleModel(request.agent, request.task_type)
        given = _given(request)
        return models if given is None or given in models or request.models else (*models, given)

    def preview(self, request: Request) -> Slate:
        """Return the slate a decision would be drawn from."""
        scope = (request.tenant, request.agent)
        models = self.candidates(request)
        belief = self._belief(scope, models)
        return self._slate(scope, belief, request.task_type, models, safest=False, given=_given(request))

    def chain(self, request: Request, first: str) -> list[Candidate]:
        """Return the fallback order should `first`, and then each next model, fail on quality."""
        scope = (request.tenant, request.agent)
        models = self.candidates(request)
        belief = self._belief(scope, models)
        key = (request.task_type, models, first, self._generation)
        found = belief.chains.get(key)
        if found is None:
            found = fallback.chain(belief, self.terms(scope), request.task_type, models, first)
            belief.chains[key] = found
        return found

    def belief(self, tenant: str, agent: str) -> Belief:
        """Return what is believed about an agent's models."""
        return self._belief((tenant, agent), self._models)

    def preferred(self, tenant: str, agent: str, task_type: str) -> str | None:
        """Return the model of highest expected utility."""
        belief = self._belief((tenant, agent), self._models)
        return slate.preferred(belief, self.terms((tenant, agent)), task_type, belief.models)

    def terms(self, scope: Scope) -> slate.Terms:
        """Return the configuration that weighs an agent's candidates."""
        found = self._terms.get(scope)
        if found is None:
            found = self._terms[scope] = slate.Terms.of(self.shared.configuration, *scope)
        return found

    def refresh(self, connection: Connection, scopes: Iterable[Scope] | None = None) -> None:
        """Read what has changed; with `scopes` only those agents, else everything in memory and the configuration."""
        if scopes is None:
            self._refresh_shared(connection)
        for scope in list(self._beliefs) if scopes is None else scopes:
            if scope in self._beliefs:
                self._take(scope, learned.load(connection, *scope))

    def refresh_changed(self, connection: Connection) -> None:
        """Read configuration and routing, and those agents whose counters moved since they were read."""
        self._refresh_shared(connection)
        marks = performance.watermarks(connection)
        for scope, belief in list(self._beliefs.items()):
            if marks.get(scope, performance.NOTHING) != belief.knowledge.watermark:
                self._take(scope, learned.load(connection, *scope))

    def _refresh_shared(self, connection: Connection) -> None:
        tenants = {tenant for tenant, _ in self._beliefs}
        fresh = Shared(
            configuration=configuration.load(connection),
            routing={tenant: routing_table.load(connection, tenant) for tenant in sorted(tenants)},
            book=self._reader.read(connection, self._clock.now()),
        )
        if fresh != self.shared:
            self.shared = fresh
            self._terms = {}
            self._generation += 1

    def refresh_policies(self, connection: Connection) -> None:
        """Read the policies in force anew."""
        book = self._reader.read(connection, self._clock.now())
        if book != self.shared.book:
            self.shared = msgspec.structs.replace(self.shared, book=book)

    def observe(self, scope: Scope, task_type: str, features: Mapping[str, object]) -> None:
        """Remember the features of a run, for novelty; only for agents that this process decides for."""
        reference = self._novelty.get(scope)
        if reference is not None:
            with self._noting:
                reference.add({"task_type": task_type, **features})

    def _take(self, scope: Scope, knowledge: Knowledge) -> None:
        """Put a new belief in place, with the slates at hand that the old one was asked for.

        Else every decision after a batch would be the first under its belief, and ten times as slow.
        """
        known = self._beliefs.get(scope)
        fresh = Belief(knowledge, known.models if known is not None else self._models)
        for key in list(known.asked) if known is not None else ():
            task_type, models, safest, given, *_ = key
            self._slate(scope, fresh, task_type, models, safest=safest, given=given)
        fresh.asked.clear()
        self._beliefs[scope] = fresh

    def _belief(self, scope: Scope, models: Sequence[str]) -> Belief:
        belief = self._beliefs.get(scope)
        if belief is None:
            belief = self._first(scope)
        if models:
            wider = belief.with_models(models)
            if wider is not belief:
                with self._noting:
                    if self._beliefs.get(scope) is belief:  # the writer may have refreshed it meanwhile
                        self._beliefs[scope] = wider
                return wider
        return belief

    def _first(self, scope: Scope) -> Belief:
        """Load an agent the first time it is decided for; an unreachable store means an empty belief."""
        tenant, agent = scope
        reference = NoveltyReference()
        knowledge = Knowledge(tenant=tenant, agent=agent, spend=Spend(tenant=tenant, agent=agent))
        if self.away():
            return self._begin(scope, knowledge, reference)
        try:
            with self._store.read() as connection:
                knowledge = learned.load(connection, tenant, agent)
                for features in capture.recent_features(connection, tenant, agent, NOVELTY_RUNS):
                    reference.add(features)
                if tenant not in self.shared.routing:
                    tables = {**self.shared.routing, tenant: routing_table.load(connection, tenant)}
                    self.shared = msgspec.structs.replace(self.shared, routing=tables)
                    self._generation += 1
        except StoreError as error:
            log.warning("nothing is known of agent %s for now: %s", agent, error)
        return self._begin(scope, knowledge, reference)

    def _begin(self, scope: Scope, knowledge: Knowledge, reference: NoveltyReference) -> Belief:
        self._novelty[scope] = reference
        self._beliefs[scope] = Belief(knowledge, self._models)
        return self._beliefs[scope]

    def _slate(
        self,
        scope: Scope,
        belief: Belief,
        task_type: str,
        models: tuple[str, ...],
        *,
        safest: bool,
        given: str | None = None,
    ) -> Slate:
        terms = self.terms(scope)
        table = self.shared.routing.get(scope[0], {})
        key = (task_type, models, safest, given, self._this_month(), self._generation)
        belief.asked.add(key)
        found = belief.slates.get(key)
        if found is None:
            month = self._this_month()
            found = slate.slate(
                belief, terms, table, task_type=task_type, models=models, month=month, safest=safest, given=given
            )
            belief.slates[key] = found
        return found

    def _this_month(self) -> str:
        now = self._clock.monotonic()
        until, month = self._month
        if now >= until:
            month = f"{self._clock.now():%Y-%m}"
            self._month = (now + 60.0, month)
        return month

    @staticmethod
    def _unfamiliar(belief: Belief, request: Request) -> bool:
        """Tell whether novelty can mean anything: a known type without further features is merely rare, not novel."""
        return bool(request.features) or belief.runs_of(request.task_type) < FAMILIAR_RUNS

    def _novel(self, scope: Scope, request: Request) -> float | None:
        reference = self._novelty.get(scope)
        if reference is None:
            return None
        with self._noting:
            return reference.novelty({"task_type": request.task_type, **request.features})

    def _decision(
        self, belief: Belief, found: Slate, model: str, novelty: float | None, served: Served | None
    ) -> Decision:
        probability = next(c.probability for c in found.candidates if c.model == model)
        return Decision(
            model=model,
            rule=found.rule,
            reason=_reason(found, model, probability, novelty),
            served=served,
            propensity=probability,
            slate=found,
            attempt=0,
            epoch=belief.epoch(model),
            novelty=novelty,
        )


def _reason(found: Slate, model: str, probability: float, novelty: float | None) -> str:
    chosen = next(c for c in found.candidates if c.model == model)
    cost = "" if chosen.cost_usd is None else f" at ${chosen.cost_usd:.4g} a run"
    quality = f"expected quality {chosen.quality:.2f} ± {chosen.quality_sd:.2f}"
    basis = f"{model}: {quality}{cost}, from {chosen.observed:.0f} runs"
    strange = "" if novelty is None or found.rule != "novelty" else f" (novelty {novelty:.2f})"
    explored = "" if probability >= 0.5 or found.rule == "learned" else " This run explores another model on purpose."
    return f"{found.why}{strange}. {basis}; chosen with probability {probability:.3f}.{explored}"


def _given(request: Request) -> str | None:
    """Return the model that a rule of the policy gives a run; None where the host cannot call it."""
    if request.served is None:
        return None
    given = request.served.policy.model_for(request.task_type, request.features)
    return None if given is not None and request.models and given not in request.models else given


def _never() -> bool:
    return False
