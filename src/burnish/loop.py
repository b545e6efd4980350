"""The whole loop, as the design draws it: capture → score → learn → act, closed through the store.

A host holds one `Loop` a process. Runs are handed to a writer thread; what it writes is scored and learned from in the
same transaction, and the router then decides by it.
"""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

from burnish import answers
from burnish.act import routing_table
from burnish.act.router import Router
from burnish.capture import checks, ledger as capture
from burnish.capture.counters import Counts, prune, read_all
from burnish.capture.facts import RunFacts
from burnish.capture.prices import PriceTable
from burnish.capture.recorder import Flushed, Recorder
from burnish.capture.records import Bundle, PoolEventRecord, RunRecord
from burnish.capture.redaction.redactor import Redactor
from burnish.capture.signals import Site, make_signal
from burnish.clock import Clock, SystemClock
from burnish.errors import InvalidValue, LoopClosed, RedactionFailed, StoreUnavailable
from burnish.events import (
    Bus,
    CaptureProblem,
    DriftAlarm,
    Event,
    EventT,
    PoolClosed,
    PoolCreated,
    RoutingDecision,
    TaskCompleted,
)
from burnish.govern import configuration
from burnish.ids import IdSource, UuidV7Source
from burnish.proving import HOST, Keys, Proving
from burnish.run import Run
from burnish.score.ledger import Trend
from burnish.score.loss import weigh
from burnish.score.terms import TERMS, Evidence, Measure, Term
from burnish.settings import Settings, load as load_settings
from burnish.shadowing import ShadowRunner
from burnish.store.opening import open_store
from burnish.store.store import Store
from burnish.trial.book import Reader
from burnish.turn import Turn

log = logging.getLogger("burnish")
REPEAT_SECONDS = 60.0


class Loop(Proving):
    """The learning loop of one process. Make it with `burnish.open()`; safe to use from any thread and after a fork."""

    def __init__(
        self,
        store: Store,
        *,
        settings: Settings,
        clock: Clock,
        ids: IdSource,
        prices: PriceTable,
        models: Sequence[str] = (),
        seed: int | None = None,
    ) -> None:
        self.store = store
        self.settings = settings
        self.bus = Bus()
        self._clock = clock
        self._ids = ids
        self._closed = False
        self._reported: dict[str, float] = {}
        self.keys = Keys(self.home / "keys", clock)
        self.redactor = Redactor(
            Path(settings.redaction_key).absolute() if settings.redaction_key else self.home / "redaction.key",
            configuration=lambda: self.router.shared.configuration,
            problem=self._problem,
        )
        reader = Reader(self.keys.ring, self._distrusted)
        self.router = Router(store, clock=clock, reader=reader, models=models, seed=seed)
        self._turn = Turn(
            store,
            self.router,
            self.bus,
            tenant=settings.tenant,
            clock=clock,
            ids=ids,
            problem=self._problem,
            signer=self.keys.signer,
            scored=lambda item: self.shadows.scored(self.router.shared.book, item),
        )
        self.shadows = ShadowRunner(store, clock=clock, session=self._turn.session, problem=self._problem)
        self.recorder = Recorder(
            self._turn.absorb,
            redact=self.redactor.bundle,
            home=self.home,
            process_id=ids(),
            settings=settings,
            problem=self._problem,
            idle=self._turn.watch,
        )
        self._turn.minute = self._sign_log
        self.router.away = lambda: self.recorder.away
        self._site = Site(
            clock=clock,
            ids=ids,
            prices=prices,
            clip_chars=settings.clip_chars,
            process_id=lambda: self.recorder.process_id,
            started=self.recorder.started,
            finish=self._finish,
            refuse=self._refuse,
        )
        _living.add(self)

    # -- capture ------------------------------------------------------------------------------------------------------

    def run(
        self,
        /,
        *,
        agent: str = "default",
        task: str | None = None,
        task_type: str = "general",
        tenant: str | None = None,
        **facts: Unpack[RunFacts],
    ) -> Run:
        """Open a run; use it as `with` or `async with`.

        Args:
            agent: Who executes: planner, coder, support.
            task: What is to be done, in words.
            task_type: The closed label that learning is keyed by.
            tenant: The isolation boundary; the settings' by default.
            **facts: What else is known beforehand; see `RunFacts`.
        """
        if self._closed:
            self._refuse("loop.run", LoopClosed("loop.run()"), None)
        listener = self.bus.publish if self.bus.wants(RoutingDecision) else None
        tenant = self.settings.tenant if tenant is None else tenant
        agent, task_type = self.redactor.label(agent, tenant), self.redactor.label(task_type, tenant)
        return Run(
            self._site, self.router, listener, tenant=tenant, agent=agent, task_type=task_type, task=task, **facts
        )

    def feedback(
        self,
        run_id: str,
        *,
        rating: int | None = None,
        accepted: bool | None = None,
        success: bool | None = None,
        quality: float | None = None,
        correction: str | None = None,
        comment: str | None = None,
        source: str = "user",
        tenant: str | None = None,
    ) -> None:
        """Add what people or checks say of a run after it ended, days later if need be; its loss is computed anew.

        Args:
            run_id: The run's id.
            rating: 1 to 5.
            accepted: Whether the user took the result; a correction alone counts as not accepted.
            success: Whether it was solved after all.
            quality: Graded result in [0, 1].
            correction: What the result should have been.
            comment: Anything else.
            source: Who says so.
            tenant: The run's tenant; the settings' by default.
        """
        given: dict[str, object] = {
            "rating": rating,
            "accepted": False if accepted is None and correction is not None else accepted,
            "success": success,
            "quality": quality,
        }
        for name, value in given.items():
            if value is not None:
                self._late(run_id, name, partial(VERDICTS[name], name, value), None, source, tenant)
        for name, text in (("correction", correction), ("comment", comment)):
            if text is not None:
                self._late(run_id, name, partial(_as_given, None), text, source, tenant)

    def signal(
        self,
        run_id: str,
        name: str,
        value: float | bool | None = None,
        *,
        label: str | None = None,
        reason: str | None = None,
        source: str = "host",
        tenant: str | None = None,
    ) -> None:
        """Add an observation to a run that has ended."""
        self._late(run_id, name, partial(_as_given, value), label, source, tenant, reason=reason)

    def _late(
        self,
        run_id: str,
        name: str,
        value: Callable[[], float | bool | None],
        label: str | None,
        source: str,
        tenant: str | None,
        reason: str | None = None,
    ) -> None:
        """Queue one late signal; whatever is refused about it is reported and costs only itself."""
        try:
            if self._closed:
                raise LoopClosed(f"loop.{name}")  # noqa: TRY301 - reported as any refusal
            record = make_signal(
                self._site,
                self.settings.tenant if tenant is None else checks.name("tenant", tenant),
                run_id,
                name,
                value(),
                label=label,
                reason=reason,
                source=source,
                late=True,
            )
        except Exception as error:  # noqa: BLE001 - capture must never break its host; strict mode raises in _refuse
            self._refuse("signal", error, run_id)
            return
        self.recorder.put(Bundle(signals=[record]), 500 + len(record.label or ""))

    def on(self, event: type[EventT], handler: Callable[[EventT], None]) -> Callable[[], None]:
        """Call `handler` for every event of this type; returns a function that unsubscribes."""
        return self.bus.on(event, handler)

    def publish(self, event: Event) -> None:
        """Report what happened in the host: TaskCompleted becomes a run; PoolCreated and PoolClosed are kept."""
        if isinstance(event, TaskCompleted):
            self._task_completed(event)
        elif isinstance(event, (PoolCreated, PoolClosed)):
            try:
                self.recorder.put(Bundle(pool_events=[self._pool_event(event)]), 1_000)
            except Exception as error:  # noqa: BLE001 - as everywhere in capture
                self._refuse("publish", error, None)
                return
        self.bus.publish(event)

    def register_term(self, name: str, measure: Measure, *, weight: float) -> None:
        """Add a term of your own to the loss.

        Args:
            name: Its name in weights and breakdown.
            measure: Evidence → [0, 1], or None when there is none. One that raises counts as missing and is reported.
            weight: Share relative to the nine terms, which sum to 1; all are then scaled to sum to 1.
        """
        if name in TERMS:
            raise InvalidValue("name", name, "it is one of the nine terms; set its weight with score.weights instead")
        if not weight > 0:
            raise InvalidValue("weight", weight, "give a number above 0")

        def guarded(evidence: Evidence) -> float | None:
            try:
                found = measure(evidence)
                return None if found is None else checks.number(f"term {name}", found, 0.0, 1.0)
            except Exception as error:  # noqa: BLE001 - a user's term is data
                self._problem(f"term {name}", str(error))
                return None

        self._turn.terms = {**self._turn.terms, name: Term(weight, guarded)}

    # -- configuration ------------------------------------------------------------------------------------------------

    def configure(
        self,
        key: str,
        value: object,
        *,
        tenant: str | None = None,
        agent: str = "",
        phase: str = "",
        by: str = HOST,
    ) -> None:
        """Set a configuration key for a tenant, an agent or one phase of it.

        In force here at once, in every other process within a second.

        Raises:
            InvalidValue: Unknown key, or a value that does not fit it.
            StoreError: The store cannot be written.
        """
        self._turn.prepare()
        scope = {"tenant": tenant or self.settings.tenant, "agent": agent, "phase": phase}
        if key == "score.weights" and isinstance(value, Mapping):
            weigh(value, self._turn.terms)
        with self.store.write() as connection:
            configuration.put(connection, key, value, **scope, ids=self._ids, now=self._clock.now())
            self._audit(connection, "configuration.set", key, by, {**scope, "value": value})
        self.refresh()

    def reset(self, key: str, *, tenant: str | None = None, agent: str = "", phase: str = "", by: str = HOST) -> bool:
        """Return a configuration key to its default; False when it was not set for exactly this scope.

        Raises:
            InvalidValue: There is no such key.
            StoreError: The store cannot be written.
        """
        self._turn.prepare()
        with self.store.write() as connection:
            scope = {"tenant": tenant or self.settings.tenant, "agent": agent, "phase": phase}
            was_set = configuration.reset(connection, key, **scope)
            if was_set:
                self._audit(connection, "configuration.reset", key, by, scope)
        self.refresh()
        return was_set

    def set_routing(
        self, task_type: str, *, mode: str, model: str | None = None, tenant: str | None = None, by: str = HOST
    ) -> None:
        """Pin a task type to a model, give it a model to start with, or leave it to learning.

        Raises:
            InvalidValue: Unknown mode, or a model is missing.
            StoreError: The store cannot be written.
        """
        self._turn.prepare()
        with self.store.write() as connection:
            routing_table.put(
                connection,
                self.store.kind,
                tenant=tenant or self.settings.tenant,
                task_type=task_type,
                mode=mode,
                model=model,
                ids=self._ids,
                now=self._clock.now(),
            )
            self._audit(connection, "routing.set", task_type, by, {"mode": mode, "model": model}, tenant)
        self.refresh()

    # -- answers ------------------------------------------------------------------------------------------------------

    def runs(
        self, *, agent: str | None = None, task_type: str | None = None, before: str | None = None, limit: int = 20
    ) -> list[RunRecord]:
        """Return the newest runs first; `before` is the id of the last run of the page before."""
        with self.store.read() as connection:
            return capture.list_runs(
                connection, tenant=self.settings.tenant, agent=agent, task_type=task_type, before=before, limit=limit
            )

    def explain(self, run_id: str) -> answers.Explanation:
        """Return everything known of a run: decisions and their reasons, calls, gates, signals, losses."""
        return answers.explain(self.store, run_id, tenant=self.settings.tenant)

    def models(self, *, agent: str | None = None) -> list[answers.ModelReport]:
        """Return what was learned of every model, by agent and task type."""
        return answers.models(self.store, self.router, tenant=self.settings.tenant, agent=agent)

    def route(self, task_type: str, *, agent: str | None = None) -> list[answers.RouteReport]:
        """Return how the next run of a task type would be routed, for one agent or for each."""
        return answers.route(self.store, self.router, task_type, tenant=self.settings.tenant, agent=agent)

    def trends(self) -> list[Trend]:
        """Return each agent's mean loss, and its change over 7 and 30 days."""
        return answers.trends(self.store, tenant=self.settings.tenant, now=self._clock.now())

    def alarms(self, *, agent: str = "default") -> list[DriftAlarm]:
        """Return the drift alarms of an agent, oldest first."""
        return answers.alarms(self.store, tenant=self.settings.tenant, agent=agent)

    # -- life ---------------------------------------------------------------------------------------------------------

    def flush(self, timeout: float | None = 30.0) -> Flushed:
        """Wait until every finished run is in the store (or, when that is away, in the spool), and shadows are done."""
        done = self.recorder.flush(timeout)
        self.shadows.drain(timeout)
        return done

    def close(self, timeout: float | None = 30.0) -> Flushed:
        """Flush and stop. Runs that end afterwards are dropped and counted."""
        self._closed = True
        done = self.recorder.close(timeout)
        self.shadows.drain(timeout)
        self._sign_log()
        self.store.close()
        return done

    def __enter__(self) -> Self:
        """Return the loop; leaving the block closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the loop."""
        self.close()

    def status(self) -> list[Counts]:
        """Return the account of every process that captured from this machine: stored, spooled, dropped, lost."""
        return read_all(self.home / "processes")

    def refresh(self) -> None:
        """Read configuration, routing and beliefs anew, without waiting to notice that they changed."""
        self._turn.refresh()

    # -- what the host never calls ------------------------------------------------------------------------------------

    def _finish(self, bundle: Bundle, size: int) -> bool:
        if bundle.run is not None:
            self.shadows.hold(self.router.shared.book, bundle.run)
        return self.recorder.put(bundle, size)

    def _distrusted(self, digest: str, why: str) -> None:
        self._problem("policy", f"policy {digest[:19]} is not served: {why}")

    def _pool_event(self, event: PoolCreated | PoolClosed) -> PoolEventRecord:
        return PoolEventRecord(
            id=self._ids(),
            created_at=self._clock.now(),
            tenant=self.settings.tenant,
            pool=checks.name("pool", event.pool),
            kind="created" if isinstance(event, PoolCreated) else "closed",
            facts=checks.facts("facts", event.facts),
        )

    def _task_completed(self, event: TaskCompleted) -> None:
        facts: RunFacts = {
            "started_at": event.started_at,
            "duration_s": event.duration_s,
            "cost_usd": event.cost_usd,
            "model": event.model,
        }
        if event.task_id is not None:
            facts["extra"] = {"task_id": event.task_id}
        named = {"agent": event.agent, "task": event.task, "task_type": event.task_type}
        run = self.run(**{**facts, **event.facts, **named})
        run.outcome(event.success, quality=event.quality)
        run.finish()

    def _refuse(self, what: str, error: Exception, run_id: str | None) -> None:
        """Raise what was refused (strict), or report it as data."""
        if self.settings.strict:
            raise error
        self._problem(what, str(error), run_id)

    def _problem(self, what: str, message: str, run_id: str | None = None) -> None:
        if what != "redaction":
            message = self.redactor.text(message, self.settings.tenant)
        now = time.monotonic()
        if now >= self._reported.get(what, 0.0):
            self._reported[what] = now + REPEAT_SECONDS
            log.warning("%s: %s", what, message)
        self.bus.publish(CaptureProblem(what=what, message=message, run_id=run_id))

    def forked(self) -> None:
        """Make a forked child's loop its own: new connections, thread, queue and identity."""
        self._turn.forked()
        self.bus.forked()
        self.store.forked()
        if isinstance(self._ids, UuidV7Source):
            self._ids.reseed()
        self.recorder.forked(self._ids())
        self.router.forked()
        self.shadows.forked()


def open(  # noqa: A001 - burnish.open() reads as gzip.open() does
    url: str | None = None,
    *,
    models: Sequence[str] = (),
    tenant: str | None = None,
    strict: bool | None = None,
    prices: Mapping[str, Mapping[str, float]] | None = None,
    clock: Clock | None = None,
    seed: int | None = None,
    **settings: object,
) -> Loop:
    """Open the learning loop.

    Args:
        url: A folder (SQLite inside) or postgresql://…; BURNISH_URL or ./.burnish by default.
        models: Models to choose from, until `route.models` is configured.
        tenant: Isolation boundary of this process's runs.
        strict: Raise capture errors in the host, for development and tests.
        prices: Price overrides by model, USD per million tokens: {"my-model": {"input": 0.5, "output": 1.5}}.
        clock: Where time is read; the machine's clock by default.
        seed: Makes decisions repeatable; with a clock of your own, ids as well.
        **settings: Any further field of `burnish.settings.Settings`.

    Raises:
        InvalidValue: A setting or price is not valid.
        StoreError: The store is damaged, read-only, of another schema, or the URL is wrong. A PostgreSQL that does not
            answer is no error: runs are spooled until it does.
        RedactionFailed: Redaction does not pass its self-test, in strict mode; else it is reported and no text is kept.
    """
    found = load_settings(overrides={"url": url, "tenant": tenant, "strict": strict, **settings})
    time_source = clock or SystemClock()
    loop = Loop(
        open_store(found.url),
        settings=found,
        clock=time_source,
        ids=UuidV7Source(time_source, None if clock is None else seed),
        prices=PriceTable.load(prices),
        models=models,
        seed=seed,
    )
    try:
        prune(loop.home / "processes")
        loop._turn.prepare()  # noqa: SLF001 - the loop's own factory
    except StoreUnavailable as error:
        if loop.store.kind == "sqlite" or found.strict:
            raise
        loop._problem("store", f"{error} (runs go to the spool until it answers)")  # noqa: SLF001 - as above
    _prepare_redaction(loop)
    return loop


def _prepare_redaction(loop: Loop) -> None:
    """Compile and test redaction before the first run; strict, a failure is raised, else no text is captured."""
    try:
        loop.redactor.prepare()
    except RedactionFailed as error:
        if loop.settings.strict:
            loop.close()
            raise
        loop._problem("redaction", str(error))  # noqa: SLF001 - the loop's own factory


def _as_given(value: float | bool | None) -> float | bool | None:
    return value


VERDICTS: Mapping[str, Callable[[str, object], float]] = {
    "rating": lambda name, value: float(checks.integer(name, value, 1, 5)),
    "accepted": lambda name, value: float(checks.flag(name, value)),
    "success": lambda name, value: float(checks.flag(name, value)),
    "quality": lambda name, value: checks.number(name, value, 0.0, 1.0),
}
"""How each verdict of `Loop.feedback` is checked."""


_living: weakref.WeakSet[Loop] = weakref.WeakSet()


def _forked() -> None:
    for loop in list(_living):
        loop.forked()


os.register_at_fork(after_in_child=_forked)
