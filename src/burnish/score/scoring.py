"""Score what arrived: first losses of new runs, new losses of runs that got late evidence.

Every computation is kept with its inputs and weights, as a revision of the run's loss; the run carries the latest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from burnish.capture import ledger as capture
from burnish.capture.records import Bundle, CallRecord, DecisionRecord, GateRecord, RunRecord, SignalRecord
from burnish.govern.configuration import Configuration
from burnish.ids import IdSource
from burnish.score import ledger
from burnish.score.evidence import gather
from burnish.score.ledger import LossRecord
from burnish.score.loss import Loss, compute, weigh
from burnish.score.terms import TERMS, Evidence, Term, run_quality

TRANSPORT = frozenset({"timeout", "rate_limit", "server_error", "connection"})
"""Kinds of failure that say nothing about a model's quality."""

EpochOf = Callable[[str, str, str], int]
"""(tenant, agent, model) → the model's current epoch; used for runs that no decision of ours chose."""


WeightsOf = Callable[[str, str, str], Mapping[str, float]]
"""(tenant, agent, task type) → weights that the policy in charge sets; empty leaves them to the configuration."""


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """A run with its evidence now and at its last scoring, for learning to take the difference."""

    run: RunRecord
    decisions: Sequence[DecisionRecord]
    calls: Sequence[CallRecord]
    model: str | None
    epoch: int
    revision: int
    known: bool
    """The run itself was in the ledger before this batch."""
    evidence: Evidence
    before: Evidence | None
    loss: Loss | None
    loss_before: float | None

    @property
    def first(self) -> bool:
        """Tell whether the run was never scored before."""
        return self.before is None

    @property
    def settled(self) -> RunRecord:
        """Return the run with what scoring settled."""
        return msgspec.structs.replace(self.run, **_settled(self))

    @property
    def quality(self) -> float | None:
        """Return the quality that learning credits."""
        return run_quality(self.evidence)

    @property
    def quality_before(self) -> float | None:
        """Return the quality that was credited last time."""
        return None if self.before is None else run_quality(self.before)

    def credited(self, quality: float | None) -> tuple[str, int, float] | None:
        """Return (model, epoch, quality) that the run says of its first attempt, or None when it says nothing.

        Attempts after a failure are not credited here: they met only tasks that another model had failed on, and would
        make their model look worse than it is. They count as rescues instead.
        """
        if len(self.decisions) > 1:
            first = self.decisions[0]
            return None if first.failure_kind in TRANSPORT else (first.model, first.epoch, 0.0)
        lost = bool(self.decisions) and self.decisions[0].failure_kind in TRANSPORT and not quality
        return None if self.model is None or quality is None or lost else (self.model, self.epoch, quality)


class _Material(msgspec.Struct, frozen=True, kw_only=True):
    run: RunRecord
    gates: Sequence[GateRecord]
    signals: Sequence[SignalRecord]
    calls: Sequence[CallRecord]
    decisions: Sequence[DecisionRecord]
    known: bool = False
    before: LossRecord | None = None


def score(
    connection: Connection,
    kind: str,
    arrived: capture.Arrived,
    *,
    configuration: Configuration,
    epoch_of: EpochOf,
    ids: IdSource,
    now: datetime,
    terms: Mapping[str, Term] = TERMS,
    weights_of: WeightsOf | None = None,
) -> list[Scored]:
    """Compute, store and return the losses that a batch made due, in the order the runs arrived."""
    materials = [*_new(connection, arrived.new), *_late(connection, arrived.late)]
    weigher = _Weigher(configuration, terms, weights_of)
    scored = []
    for material in materials:
        evidence = gather(material.run, material.gates, material.signals, material.calls, configuration)
        before = msgspec.convert(material.before.inputs, Evidence) if material.before is not None else None
        if before != evidence:
            scored.append(_scored(material, evidence, before, weigher, epoch_of))
    late = [{"run_id": item.run.id, **_settled(item, "new_")} for item in scored if item.known]
    ledger.write(connection, kind, [_record(item, ids, now) for item in scored], late)
    return scored


class _Weigher:
    """The weights in force, looked up once a batch for each tenant, agent and phase."""

    def __init__(
        self, configuration: Configuration, terms: Mapping[str, Term], weights_of: WeightsOf | None = None
    ) -> None:
        self._configuration = configuration
        self._weights_of = weights_of
        self._found: dict[tuple[str, str, str | None, str], Mapping[str, float]] = {}
        self.terms = terms

    def weights(self, run: RunRecord) -> Mapping[str, float]:
        key = (run.tenant, run.agent, run.phase, run.task_type)
        if key not in self._found:
            given = {} if self._weights_of is None else self._weights_of(run.tenant, run.agent, run.task_type)
            configured = dict(given) or self._configuration.get("score.weights", run.tenant, run.agent, run.phase)
            known = {n: w for n, w in configured.items() if n in self.terms} if isinstance(configured, dict) else None
            self._found[key] = weigh(known, self.terms)
        return self._found[key]


def score_again(
    connection: Connection,
    run_id: str,
    *,
    configuration: Configuration,
    terms: Mapping[str, Term] = TERMS,
    weights_of: WeightsOf | None = None,
) -> Loss | None:
    """Compute the loss of a run in the ledger from all its evidence and the weights in force now; stores nothing.

    Returns None when the run is not there or there is no evidence.
    """
    weigher = _Weigher(configuration, terms, weights_of)
    for material in _late(connection, [run_id]):
        evidence = gather(material.run, material.gates, material.signals, material.calls, configuration)
        return compute(evidence, weigher.weights(material.run), weigher.terms)
    return None


def _new(connection: Connection, bundles: Sequence[Bundle]) -> list[_Material]:
    runs = [(bundle.run, bundle) for bundle in bundles if bundle.run is not None]
    early = by_run(s for s in capture.signals_of(connection, [run.id for run, _ in runs]) if s.late)
    return [
        _Material(
            run=run,
            gates=bundle.gates,
            signals=[*bundle.signals, *early.get(run.id, [])],
            calls=bundle.calls,
            decisions=bundle.decisions,
        )
        for run, bundle in runs
    ]


def _late(connection: Connection, run_ids: Sequence[str]) -> list[_Material]:
    if not run_ids:
        return []
    gates = by_run(capture.gates_of(connection, run_ids))
    signals = by_run(capture.signals_of(connection, run_ids))
    calls = by_run(capture.calls_of(connection, run_ids))
    decisions = by_run(capture.decisions_of(connection, run_ids))
    before = ledger.latest(connection, run_ids)
    return [
        _Material(
            run=run,
            gates=gates.get(run.id, []),
            signals=signals.get(run.id, []),
            calls=calls.get(run.id, []),
            decisions=decisions.get(run.id, []),
            known=True,
            before=before.get(run.id),
        )
        for run in capture.runs_by_id(connection, run_ids).values()
    ]


def _scored(
    material: _Material,
    evidence: Evidence,
    before: Evidence | None,
    weigher: _Weigher,
    epoch_of: EpochOf,
) -> Scored:
    run = material.run
    return Scored(
        run=run,
        decisions=material.decisions,
        calls=material.calls,
        model=run.model,
        epoch=_epoch(material, epoch_of),
        revision=0 if material.before is None else material.before.revision + 1,
        evidence=evidence,
        before=before,
        known=material.known,
        loss=compute(evidence, weigher.weights(run), weigher.terms),
        loss_before=None if material.before is None else material.before.loss,
    )


def _epoch(material: _Material, epoch_of: EpochOf) -> int:
    """Return the epoch in which the run's model was chosen; the current one when the host chose it."""
    run = material.run
    if material.before is not None:
        return material.before.epoch
    if material.decisions and material.decisions[-1].model == run.model:
        return material.decisions[-1].epoch
    return epoch_of(run.tenant, run.agent, run.model) if run.model else 0


def _record(item: Scored, ids: IdSource, now: datetime) -> LossRecord:
    loss = item.loss
    terms = {} if loss is None else loss.terms
    return LossRecord(
        id=ids(),
        created_at=now,
        tenant=item.run.tenant,
        agent=item.run.agent,
        run_id=item.run.id,
        revision=item.revision,
        loss=None if loss is None else loss.value,
        coverage=0.0 if loss is None else loss.coverage,
        vetoed=loss is not None and loss.vetoed,
        quality=item.quality,
        model=item.model,
        epoch=item.epoch,
        **{name: terms.get(name) for name in TERMS},
        extra_terms={name: value for name, value in terms.items() if name not in TERMS},
        weights={} if loss is None else dict(loss.weights),
        breakdown={} if loss is None else {n: msgspec.structs.asdict(part) for n, part in loss.breakdown.items()},
        inputs=msgspec.to_builtins(item.evidence),
        cause="run recorded" if item.first else "late evidence",
    )


def _settled(item: Scored, prefix: str = "") -> dict[str, object]:
    found = item.evidence
    loss = None if item.loss is None else item.loss.value
    values = (loss, found.success, found.user_accepted, found.user_rating, found.quality)
    return {prefix + name: value for name, value in zip(ledger.SETTLED, values, strict=True)}


Part = TypeVar("Part", GateRecord, SignalRecord, CallRecord, DecisionRecord)


def by_run(parts: Iterable[Part]) -> dict[str, list[Part]]:
    """Group parts by the run they belong to."""
    grouped: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        grouped[part.run_id].append(part)
    return grouped
