"""The report on a terminal: compact, one idea a section."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from burnish.demo.report import Checked, Decided, Drift, Learning, Means, Report, Seeds, TypeLine
from burnish.demo.screen import shares, signed
from burnish.demo.trust_records import Proof, Trial
from burnish.demo.trust_report import (
    Audit,
    TrustReport,
    audit_words,
    headline,
    lives,
    ramp_words,
    start_words,
    trial_words,
    verdict,
)
from burnish.testing.world import Reference

WIDTH = 100


def show(report: Report, console: Console) -> None:
    """Print the report."""
    _title(report, console)
    _learning(report.learning, report.seeds, console)
    _types(report.types, console)
    if report.checked is not None:
        _checked(report.checked, report.types, report.learning.references.best_single, console)
    if report.drift is not None:
        _drift(report.drift, console)
    if report.trust is not None:
        _trust(report.trust, report.audit, console)
    _decisions(report.decisions, console)


def farewell(commands: Sequence[tuple[str, str]], page: str, console: Console) -> None:
    """Print what to do next: commands with what they show, and where the page is."""
    _head("What next", console)
    for command, meaning in commands:
        console.print(Text.assemble("  ", (command, "bold"), (f"  {meaning}", "dim")), soft_wrap=True)
    console.print(Text.assemble("\n  The report as a page: ", (page, "bold")), soft_wrap=True)


def _title(report: Report, console: Console) -> None:
    source, plan = report.source, report.plan
    console.print(Text.assemble("\n", ("Burnish demo", "bold"), f"  seed {plan.seed}"))
    _say(
        f"{source.tasks:,} recorded tasks × {len(source.models)} models from {source.name}, {report.total.runs:,} runs "
        f"replayed. Utility = success − {report.price:g} × dollars. The router sees a task's type, never the task.",
        console,
    )


def _learning(learning: Learning, seeds: Seeds | None, console: Console) -> None:
    ahead = learning.whole.utility > learning.references.best_single.utility
    _head(
        f"It starts from nothing and {'overtakes' if ahead else 'has yet to overtake'} the best single model", console
    )
    references, best = learning.references, learning.references.best_single.utility
    table = _table("mean a run", "success", "$ a run", "loss", "utility", "vs best single")
    _row(table, f"Burnish, all {len(learning.rounds)} rounds", learning.whole, best, style="bold")
    _row(table, "Burnish, last round", learning.rounds[-1], best, style="bold")
    for reference in (
        references.best_single,
        references.cheapest,
        references.random,
        references.type_oracle,
        references.task_oracle,
    ):
        models = sorted(set(reference.models.values()))
        _row(table, f"{reference.name}, {models[0]}" if len(models) == 1 else reference.name, reference, best)
    _indented(table, console)
    _say(_gap(learning), console)
    if seeds is not None:
        (utility, error), (gap, gap_error) = seeds.utility, seeds.gap_closed
        _say(
            f"Over {seeds.count} seeds: utility {utility:.4f} ± {error:.4f} (best single {best:.4f}), {gap:.0%} ± "
            f"{gap_error:.0%} of the gap closed; ahead on {seeds.ahead} of {seeds.count}.",
            console,
        )


def _gap(learning: Learning) -> str:
    if learning.gap_closed is None or learning.gap_closed_last is None:
        return "One model is best on every type: there is no gap to close, only exploration to pay."
    ahead = "never, in this stream" if learning.ahead_from is None else f"from run {learning.ahead_from:,}"
    return (
        f"Of the gap between the best single model and the oracle per type it closed {learning.gap_closed:.0%} over "
        f"the whole stream, exploration paid, and {learning.gap_closed_last:.0%} in the last round. "
        f"Ahead for good: {ahead}."
    )


def _types(types: Sequence[TypeLine], console: Console) -> None:
    _head("What it learned of each task type", console)
    table = _table("task type", "tasks", "goes to", "expects, 95 %", "true", left=(0, 2))
    for line in types:
        top = line.models[0]
        table.add_row(
            Text(line.task_type),
            f"{line.tasks:,}",
            shares([(top.model, top.share)], 1.0),
            f"{top.quality:.2f} [{top.low:.2f}, {top.high:.2f}]",
            f"{top.true_quality:.2f}",
        )
    _indented(table, console)


def _checked(checked: Checked, types: Sequence[TypeLine], single: Reference, console: Console) -> None:
    _head("With a checker, it falls back", console)
    best = single.utility
    table = _table("mean a run", "success", "$ a run", "loss", "utility", "vs best single")
    _row(table, "Burnish with fallbacks", checked.means, best, style="bold")
    _row(table, checked.strongest.name, checked.strongest, best)
    _row(table, single.name, single, best)
    _indented(table, console)
    _say(
        f"{checked.failed_first:,} first attempts failed; {checked.rescued:,} of them were rescued, with "
        f"{checked.attempts:.2f} attempts a run. The check here is the benchmark's own, so it is never wrong.",
        console,
    )
    table = _table("task type", "fallback chain, with the chance of each attempt", left=(0, 1))
    for line in types:
        table.add_row(Text(line.task_type), Text(" → ".join(f"{model} {chance:.0%}" for model, chance in line.chain)))
    _indented(table, console)


def _drift(drift: Drift, console: Console) -> None:
    _head(f"{drift.model} silently loses {drift.share_lost:.0%} of its successes", console)
    if drift.noticed_after is None:
        noticed = "It was not noticed"
    else:
        noticed = f"Noticed after {drift.noticed_after:,} runs, {drift.own_runs:,} of them its own"
    _say(f"{noticed}. Its traffic went from {drift.share_before:.0%} to {drift.share_after:.0%}.", console)
    table = _table("mean a run after the change", "success", "$ a run", "loss", "utility", "vs staying")
    stayed = drift.stayed.utility
    _row(table, "Burnish", drift.means, stayed, style="bold")
    _row(table, drift.stayed.name, drift.stayed, stayed)
    _row(table, drift.oracle.name, drift.oracle, stayed)
    _indented(table, console)
    if drift.other_alarms:
        _say(
            f"Alarms other than this one, in the whole story: {drift.other_alarms}. A false alarm costs some "
            "re-learning, and is counted in every figure here.",
            console,
        )


def _trust(trust: TrustReport, audit: Audit | None, console: Console) -> None:
    _head(headline(trust), console)
    _say(start_words(trust), console)
    table = _table("mean a run", "success", "$ a run", "loss", "utility", "vs v1")
    for policy in (trust.first, trust.drafted):
        _row(table, policy.name, policy, trust.first.utility)
    _indented(table, console)
    for trial in trust.trials:
        _trial(trial, console)
    table = _table("policy", "its life", left=(0, 1))
    for name, changes in lives(trust).items():
        course = " → ".join([changes[0].from_status, *(f"{c.to_status} at run {c.at:,}" for c in changes)])
        table.add_row(Text(name), Text(course))
    _indented(table, console)
    _say(f"In charge after {trust.runs:,} runs: {trust.in_charge}. {audit_words(audit)}", console)


def _trial(trial: Trial, console: Console) -> None:
    console.print(
        Padding(
            Text.assemble((trial.policy, "bold"), (f"  {trial.author}: {trial.what}", "yellow"), f"  {verdict(trial)}"),
            (0, 2),
        )
    )
    _say(trial_words(trial), console)
    if trial.canary is not None:
        _proof(trial, trial.canary, console)


def _proof(trial: Trial, canary: Proof, console: Console) -> None:
    _say(f"Canary, {ramp_words(trial)}. {canary.words}", console)
    table = _table("evidence", "reached", "needed")
    table.add_row(Text("better"), f"{canary.better:.3g}", f"{canary.better_at:g}")
    table.add_row(Text("worse"), f"{canary.worse:.3g}", f"{canary.worse_at:g}")
    for name, evidence in canary.guardrails.items():
        table.add_row(Text(f"{name} worse than tolerated"), f"{evidence:.3g}", f"{canary.guardrail_at:g}")
    _indented(table, console)


def _decisions(decisions: Sequence[Decided], console: Console) -> None:
    _head(f"{len(decisions)} decisions, explained", console)
    for decided in decisions:
        solved = "solved" if decided.quality >= 0.5 else "failed"
        console.print(
            Padding(
                Text.assemble(
                    (f"run {decided.at:,}", "bold"),
                    (f"  {decided.task_type}  {decided.why}", "yellow"),
                    (f"  {solved}, ${decided.cost_usd:.3f}", "dim"),
                ),
                (0, 2),
            )
        )
        for attempt in decided.attempts:
            console.print(Padding(Text.assemble((f"{attempt.rule}: ", "dim"), attempt.reason), (0, 2, 0, 6)))


def _row(table: Table, name: str, means: Means | Reference, base: float, style: str = "") -> None:
    table.add_row(
        Text(name, style=style),
        f"{means.success:.3f}",
        f"{means.cost_usd:.3f}",
        f"{means.loss:.3f}",
        f"{means.utility:.4f}",
        signed(means.utility - base),
    )


def _table(first: str, *others: str, left: Sequence[int] = (0,)) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for place, name in enumerate((first, *others)):
        table.add_column(
            name, justify="left" if place in left else "right", overflow="fold", no_wrap=place > 0 and place not in left
        )
    return table


def _head(text: str, console: Console) -> None:
    console.print(Text(f"\n{text}", style="bold yellow"))


def _say(text: str, console: Console) -> None:
    console.print(Padding(Text(text), (0, 0, 0, 2)), width=min(WIDTH, console.width))


def _indented(table: Table, console: Console) -> None:
    console.print(Padding(table, (0, 0, 0, 2)))
