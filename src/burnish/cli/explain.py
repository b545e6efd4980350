"""`burnish explain`: everything known of one run."""

from __future__ import annotations

import click
import msgspec

from burnish.act.choice import Candidate
from burnish.answers import Explanation
from burnish.capture.records import DecisionRecord, RunRecord
from burnish.cli import shown
from burnish.cli.candidates import candidate_table
from burnish.cli.options import Where, as_json, located, reading
from burnish.score.ledger import LossRecord


@click.command()
@click.argument("run")
@as_json
@located
def command(*, run: str, as_json: bool, where: Where) -> None:
    """Tell why a run went as it did: decisions, calls, gates, signals, loss.

    RUN is its id, or a beginning of it that no other run shares.
    """
    with reading(where) as loop:
        found = loop.explain(run)
    if as_json:
        shown.print_json(found)
        return
    _run(found.run)
    for decision in found.decisions:
        _decision(decision)
    _what_happened(found)
    _loss(found)
    _estimates(found)
    if found.children:
        shown.title("Runs opened inside it")
        for child in found.children:
            shown.line(child)


def _run(run: RunRecord) -> None:
    shown.line(f"Run {run.id}")
    shown.line(
        f"{run.agent} on {run.task_type}, {shown.when(run.started_at)} UTC, took {shown.seconds(run.duration_s)}"
    )
    facts = {
        "task": run.task,
        "model": run.model,
        "cost": None if run.cost_usd is None else shown.money(run.cost_usd),
        "success": None if run.success is None else shown.verdict(run.success),
        "quality": None if run.quality is None else shown.share(run.quality),
        "accepted": None if run.user_accepted is None else shown.verdict(run.user_accepted),
        "rating": None if run.user_rating is None else f"{run.user_rating} of 5",
        "project": run.project,
        "phase": run.phase,
        "conversation": run.conversation,
        "parent": run.parent_id,
        "features": shown.plain(run.features) if run.features else None,
        "error": run.error and f"{run.error_type}: {run.error}",
    }
    for name, value in facts.items():
        if value is not None:
            shown.line(f"  {name}: {value}")


def _decision(decision: DecisionRecord) -> None:
    attempt = "" if decision.attempt == 0 else f", attempt {decision.attempt + 1}"
    shown.title(f"Decision: {decision.model} by rule {decision.rule}{attempt}")
    shown.line(decision.reason)
    if decision.novelty is not None:
        shown.line(f"novelty {decision.novelty:.2f}")
    candidate_table(
        [msgspec.convert(candidate, Candidate) for candidate in decision.candidates], decision.price_of_cost
    )
    shown.line(f"on failure: {' → '.join(decision.fallbacks) or 'nothing else is worth its cost'}")
    if decision.failure_kind is not None:
        shown.line(f"it failed: {decision.failure_kind.replace('_', ' ')}")


def _what_happened(found: Explanation) -> None:
    if found.calls:
        shown.title("Calls")
        columns = ("#>", "attempt>", "kind", "model or tool", "in>", "out>", "cost>", "took>", "ended", "error*")
        rows = [
            (
                str(call.seq),
                str(call.attempt + 1),
                call.kind,
                call.model or call.name or shown.NOTHING,
                shown.NOTHING if call.prompt_tokens is None else f"{call.prompt_tokens:,}",
                shown.NOTHING if call.completion_tokens is None else f"{call.completion_tokens:,}",
                shown.money(call.cost_usd),
                shown.seconds(call.latency_s),
                call.finish_reason or shown.NOTHING,
                call.error or "",
            )
            for call in found.calls
        ]
        shown.table(columns, rows)
    if found.gates:
        shown.title("Gates")
        gates = [
            (g.name, "passed" if g.passed else "failed", shown.share(g.score), g.reason or "") for g in found.gates
        ]
        shown.table(("gate", "result", "score>", "reason*"), gates)
    if found.signals:
        shown.title("Signals")
        signals = [
            (
                s.name,
                shown.NOTHING if s.value is None else f"{s.value:g}",
                s.source,
                "later" if s.late else "in the run",
                s.label or s.reason or "",
            )
            for s in found.signals
        ]
        shown.table(("signal", "value>", "from", "came", "text*"), signals)


def _loss(found: Explanation) -> None:
    shown.title("Loss")
    if not found.losses or found.losses[-1].loss is None:
        shown.line("not scored: nothing is known of how it went")
        return
    last = found.losses[-1]
    shown.table(("term", "value>", "× weight>", "= contribution>"), _breakdown(last, last.loss or 0.0))
    missing = ", ".join(name.replace("_", " ") for name in sorted(set(last.weights) - set(last.breakdown)))
    shown.line(f"evidence for {last.coverage:.0%} of the weight" + (f"; none for {missing}" if missing else ""))
    if len(found.losses) > 1:
        history = " → ".join(f"{shown.share(loss.loss)} ({loss.cause})" for loss in found.losses)
        shown.line(f"computed {len(found.losses)} times: {history}")


def _breakdown(record: LossRecord, loss: float) -> list[tuple[str, ...]]:
    parts = record.breakdown
    contributions = shown.adding_up([part["contribution"] for part in parts.values()], loss)
    rows = [
        (name.replace("_", " "), f"{part['value']:.4f}", f"{part['weight']:.4f}", f"{contribution:.4f}")
        for (name, part), contribution in zip(parts.items(), contributions, strict=True)
    ]
    return [*rows, ("loss", "", "", f"{loss:.4f}")]


def _estimates(found: Explanation) -> None:
    if not found.prediction_error:
        return
    run = found.run
    formats = {"cost_usd": shown.money, "duration_s": shown.seconds, "quality": shown.share}
    shown.title("Estimated beforehand")
    rows = [
        (name, formats[name](getattr(run, f"estimated_{name}")), formats[name](getattr(run, name)), f"{error:+.4g}")
        for name, error in found.prediction_error.items()
    ]
    shown.table(("what", "estimated>", "actual>", "error>"), rows)
