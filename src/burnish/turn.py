"""One turn of the loop: what arrived is written, scored and learned from in one transaction, and beliefs are renewed.

It runs on the writer thread. The order of the stages is the design's; everything a stage needs is handed to it.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from burnish.act import routing_table
from burnish.act.router import Request, Router
from burnish.capture import ledger as capture
from burnish.capture.records import Bundle, DecisionRecord
from burnish.clock import Clock
from burnish.errors import BurnishError, StoreError
from burnish.events import Bus, DriftAlarm, ExecutionRecorded, PolicyChanged, RunRescored
from burnish.govern.configuration import Configuration
from burnish.govern.signing import Signer
from burnish.ids import IdSource, UuidV7Source
from burnish.learn import health, pacing, performance
from burnish.score import scoring
from burnish.score.scoring import Scored
from burnish.score.terms import TERMS, Term
from burnish.store import migrate, version
from burnish.store.store import Store
from burnish.trial.book import Book
from burnish.trial.change import Changed, Session
from burnish.trial.intake import intake, monitor
from burnish.trial.ledger import slots

log = logging.getLogger("burnish")
WATCH_SECONDS = 0.5
MONITOR_SECONDS = 60.0


class Turn:
    """The stages of one loop, in order, on one store."""

    def __init__(
        self,
        store: Store,
        router: Router,
        bus: Bus,
        *,
        tenant: str,
        clock: Clock,
        ids: IdSource,
        problem: Callable[[str, str], None],
        signer: Callable[[], Signer | None],
        scored: Callable[[Scored], None],
    ) -> None:
        self._signer = signer
        self._scored = scored
        self._store = store
        self._router = router
        self._bus = bus
        self._tenant = tenant
        self._clock = clock
        self._ids = ids
        self._problem = problem
        self.terms: dict[str, Term] = dict(TERMS)
        self.minute: Callable[[], None] = _nothing
        """What else is due once a minute."""
        self.ready = False
        """Whether the store's tables were checked; a loop that only reads never does."""
        self.forked()

    def forked(self) -> None:
        """Start with a lock and a view of the store of one's own, as a forked child must."""
        self._learning = threading.RLock()
        self._revision = ""
        self._next_watch = 0.0
        self._next_monitor = time.monotonic() + MONITOR_SECONDS

    def prepare(self) -> None:
        """Create the tables of an empty store, and check those of another; once a process.

        Raises:
            StoreError: The store cannot be used; see `burnish.errors`.
        """
        if self.ready:
            return
        with self._store.read() as connection:
            found = version.current_version(connection)
        if found is None:
            self._create()
        self._store.require_schema()
        self.ready = True
        self.refresh()

    def _create(self) -> None:
        migrate.upgrade(self._store)
        with self._store.write() as connection:
            kind, now = self._store.kind, self._clock.now()
            routing_table.seed(connection, kind, tenant=self._tenant, ids=self._ids, now=now)

    def refresh(self) -> None:
        """Read configuration, routing and beliefs anew."""
        self.prepare()
        with self._learning, self._store.read() as connection:
            self._router.refresh(connection)

    def watch(self) -> None:
        """Notice what other processes wrote, at most twice a second."""
        now = time.monotonic()
        if now < self._next_watch:
            return
        self._next_watch = now + WATCH_SECONDS
        try:
            self.prepare()
            revision = self._store.revision()
            if revision != self._revision:
                with self._learning, self._store.read() as connection:
                    self._router.refresh_changed(connection)
                self._revision = revision
            if now >= self._next_monitor:
                self._next_monitor = now + MONITOR_SECONDS
                self.monitor(UuidV7Source(self._clock))  # a tick of real time must not shift a seeded loop's ids
                self.minute()
        except BurnishError as error:
            log.debug("the store was not read: %s", error)

    def absorb(self, bundles: list[Bundle]) -> None:
        """Take one batch through the stages.

        A lone run that cannot be learned from is kept all the same, and the failure reported.

        Raises:
            StoreError: The store is away; nothing was written.
        """
        self.prepare()
        try:
            scored, alarms, changed = self._learn(bundles)
        except (StoreError, OSError):
            raise
        except Exception as error:
            if len(bundles) > 1:
                raise  # the recorder comes back with one at a time
            with self._store.write() as connection:
                capture.write(connection, self._store.kind, bundles)
            self._problem("learning", f"a run was kept but could not be scored: {error!r}")
            return
        self._announce(scored, alarms, changed)

    def monitor(self, ids: IdSource | None = None) -> list[Changed]:
        """Act on what is due in running deployments: deadlines that passed, approvals that were given.

        Level-triggered: it may run twice, in several processes, or not at all for a while.
        """
        self.prepare()
        changed: list[Changed] = []
        with self._store.read() as connection:
            waiting = [found for found in slots(connection) if found.deployment is not None]
        for slot in waiting:
            with self._learning, self._store.write() as connection:
                session = self.session(connection, ids=ids)
                changed.extend(monitor(session, (slot.tenant, slot.agent, slot.task_type)))
        self.refresh()
        self.announce(changed)
        return changed

    @property
    def book(self) -> Book:
        """Return the policies in force."""
        return self._router.shared.book

    @property
    def configuration(self) -> Configuration:
        """Return the configuration in force."""
        return self._router.shared.configuration

    def session(self, connection: Connection, now: datetime | None = None, *, ids: IdSource | None = None) -> Session:
        """Return what it takes to change policies in a write transaction."""
        return Session(
            connection=connection,
            kind=self._store.kind,
            ids=ids or self._ids,
            now=now or self._clock.now(),
            signer=self._signer(),
        )

    def weights_of(self, tenant: str, agent: str, task_type: str) -> Mapping[str, float]:
        """Return the loss weights of the policy in charge, the same for every arm of a trial; empty without any."""
        view = self._router.shared.book.view(tenant, agent, task_type)
        return {} if view is None or view.active is None else view.active.policy.loss_weights

    def _metric(self, tenant: str, agent: str, task_type: str) -> str:
        """Return a fingerprint of how losses are weighed."""
        configured = self._router.shared.configuration.get("score.weights", tenant, agent)
        told = dict(self.weights_of(tenant, agent, task_type)), configured, sorted(self.terms)
        return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()[:12]

    def _learn(self, bundles: list[Bundle]) -> tuple[list[Scored], list[DriftAlarm], list[Changed]]:
        now, kind, ids = self._clock.now(), self._store.kind, self._ids
        bundles = [self._with_fallbacks(bundle) for bundle in bundles]
        configuration = self._router.shared.configuration
        with self._learning:
            with self._store.write() as connection:
                arrived = capture.write_parts(connection, kind, bundles)
                scored = scoring.score(
                    connection,
                    kind,
                    arrived,
                    configuration=configuration,
                    epoch_of=lambda tenant, agent, model: self._router.belief(tenant, agent).epoch(model),
                    ids=ids,
                    now=now,
                    terms=self.terms,
                    weights_of=self.weights_of,
                )
                capture.write_runs(connection, kind, [item.settled for item in scored if not item.known])
                # Every writer locks health before performance: the other way round two of them could deadlock.
                alarms = health.watch(connection, kind, scored, self._predict, ids=ids, now=now)
                performance.add(connection, kind, scored, ids=ids, now=now)
                pacing.add(connection, kind, scored, configuration, ids=ids, now=now)
                preferred = self._preferred(scored)
                routing_table.count_scores(connection, kind, scored, preferred, configuration, ids=ids, now=now)
                changed = self._tried(connection, bundles, scored, now)
            with self._store.read() as connection:
                self._router.refresh(connection, {(item.run.tenant, item.run.agent) for item in scored})
                if self._router.shared.book.slots:
                    self._router.refresh_policies(connection)
        return scored, alarms, changed

    def _tried(
        self, connection: Connection, bundles: Sequence[Bundle], scored: Sequence[Scored], now: datetime
    ) -> list[Changed]:
        """Hand trials what concerns them; what fails there is undone and reported, and runs are learned from anyway."""
        entering = [record for bundle in bundles for record in bundle.assignments]
        try:
            with connection.begin_nested():
                return intake(self.session(connection, now), entering, scored, self._metric)
        except (DBAPIError, StoreError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - a trial must not cost what others learn
            self._problem("trial", f"a batch was not counted in its trial: {error!r}")
            return []

    def _with_fallbacks(self, bundle: Bundle) -> Bundle:
        """Note beside each decision what would have been tried next."""
        if not bundle.decisions:
            return bundle
        return msgspec.structs.replace(bundle, decisions=[self._with_chain(made) for made in bundle.decisions])

    def _with_chain(self, made: DecisionRecord) -> DecisionRecord:
        models = tuple(str(candidate["model"]) for candidate in made.candidates)
        request = Request(tenant=made.tenant, agent=made.agent, task_type=made.task_type, models=models)
        chain = self._router.chain(request, made.model)
        return msgspec.structs.replace(made, fallbacks=[option.model for option in chain])

    def _predict(self, tenant: str, agent: str, task_type: str, model: str) -> tuple[float, float]:
        return self._router.belief(tenant, agent).expected_quality(task_type, model)

    def _preferred(self, scored: Sequence[Scored]) -> dict[tuple[str, str, str], str]:
        keys = {(item.run.tenant, item.run.agent, item.run.task_type) for item in scored if item.first}
        found = {key: self._router.preferred(*key) for key in keys}
        return {key: model for key, model in found.items() if model is not None}

    def announce(self, changed: Sequence[Changed]) -> None:
        """Tell who listens which policies took another status."""
        for item in changed:
            self._bus.publish(PolicyChanged(**msgspec.structs.asdict(item)))

    def _announce(self, scored: Sequence[Scored], alarms: Sequence[DriftAlarm], changed: Sequence[Changed]) -> None:
        for item in scored:
            if item.loss is not None:
                self._scored(item)
            if item.first:
                self._router.observe((item.run.tenant, item.run.agent), item.run.task_type, item.run.features)
            if item.first and self._bus.wants(ExecutionRecorded):
                self._bus.publish(_recorded(item))
            elif not item.first and item.loss is not None and self._bus.wants(RunRescored):
                self._bus.publish(RunRescored(run_id=item.run.id, before=item.loss_before, after=item.loss.value))
        for alarm in alarms:
            self._bus.publish(alarm)
        self.announce(changed)


def _nothing() -> None:
    pass


def _recorded(item: Scored) -> ExecutionRecorded:
    run = item.run
    return ExecutionRecorded(
        run_id=run.id,
        tenant=run.tenant,
        agent=run.agent,
        task_type=run.task_type,
        model=item.model,
        quality=item.quality,
        loss=None if item.loss is None else item.loss.value,
        cost_usd=run.cost_usd,
    )
