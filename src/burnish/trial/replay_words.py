"""Say what a replay found, in sentences that a person who was not there understands."""

from __future__ import annotations

from burnish.trial.replay_record import GoldenCheck, ReplayReport

HEADS = {"pass": "PASS", "fail": "FAIL", "inconclusive": "INCONCLUSIVE"}


def in_words(report: ReplayReport) -> list[str]:
    """Return the report as sentences: the verdict first, then what it rests on, then what to look at."""
    return [
        f"{HEADS[report.verdict]}: {report.reason}.",
        *_losses(report),
        *_stability(report),
        *_items(report),
        *([] if report.goldens is None else [_goldens(report.goldens)]),
        *_failures(report),
        _money(report),
    ]


def _losses(report: ReplayReport) -> list[str]:
    if report.candidate_loss is None or report.baseline_loss is None:
        return []
    against = "what the host does now" if report.baseline is None else "the baseline"
    times = f"{_counted(report.items, 'item')} × {_counted(len(report.seeds), 'seed')}"
    return [f"Mean loss {report.candidate_loss:.3f} against {report.baseline_loss:.3f} of {against}, over {times}."]


def _stability(report: ReplayReport) -> list[str]:
    if report.stability is None:
        return []
    deltas = ", ".join(f"{one.mean_delta:+.3f}" for one in report.by_seed)
    return [f"By seed the difference is {deltas}; standard deviation {report.stability:.3f}."]


def _items(report: ReplayReport) -> list[str]:
    if not report.items:
        return []
    said = f"{report.improved:,} items got better and {report.regressed:,} worse by more than {report.tolerance:.3f}"
    if not report.regressions:
        return [f"{said}."]
    worst = report.regressions[0]
    return [f"{said}; the worst is {worst.id}, from {worst.baseline_loss:.3f} to {worst.candidate_loss:.3f}."]


def _goldens(goldens: GoldenCheck) -> str:
    name = f"Golden dataset {goldens.name}, version {goldens.version}"
    if goldens.regressions:
        worse = ", ".join(one.id for one in goldens.regressions[:5])
        return f"{name}: {len(goldens.regressions)} of {goldens.checked} items got worse: {worse}."
    if goldens.checked < goldens.size:
        return f"{name}: only {goldens.checked} of {goldens.size} items were replayed; none of them got worse."
    return f"{name}: none of {goldens.size} items got worse."


def _failures(report: ReplayReport) -> list[str]:
    if not report.failures:
        return []
    said = (
        f"{report.candidate_failures:,} calls of the candidate and {report.baseline_failures:,} of the baseline failed "
        f"and count as loss 1; most often: {report.failures[0].error}."
    )
    if report.delta_without_failures is None:
        return [said]
    return [said, f"On the items without a failure the difference is {report.delta_without_failures:+.3f}."]


def _money(report: ReplayReport) -> str:
    said = f"Spent {report.spent_usd:.4f} USD"
    if report.surplus_usd:
        said += f", of which {report.surplus_usd:.4f} on calls under way at the cost cap"
    if report.candidate_cost_usd is None or report.baseline_cost_usd is None:
        return f"{said}."
    return f"{said}; a call cost {report.candidate_cost_usd:.4f} against {report.baseline_cost_usd:.4f} USD."


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
