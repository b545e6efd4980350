"""How the report of a canary looks in a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from burnish.cli import shown
from burnish.trial.report import ArmReport, CanaryReport, CandidateReport

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 60


def show(found: CanaryReport) -> None:
    """Print words first, then each arm, then each candidate beside the control."""
    slot = f"agent {found.agent}, {found.task_type or 'every task type'}"
    shown.line(f"{found.mode} {found.id}: {found.status}, {slot}")
    shown.line(found.words)
    shown.title(f"Arms ({found.units:,} of at most {found.n_max:,} runs, {found.waiting:,} waiting)")
    columns = ("arm", "policy!", "share>", "runs>", "no result>", "loss>", "cost>", "took>", "errors>", "vetoes>")
    arms = [found.control, *(one.arm for one in found.candidates)]
    shares = [1.0 - sum(found.shares), *found.shares]
    shown.table(columns, [_arm(arm, share) for arm, share in zip(arms, shares, strict=True)])
    for one in found.candidates:
        shown.title(one.arm.name.capitalize())
        shown.table(("", "*"), _candidate(one))
    if found.evidence:
        shown.title("Evidence that candidate 1 is better, on a logarithmic scale up to what promotes")
        better_at = found.candidates[0].better_at
        shown.line(f"{sparkline([better for _, better, _ in found.evidence], better_at)}  of {better_at:g}")
    shown.title(f"Recommendation: {found.recommendation}")


def sparkline(values: Sequence[float], top: float, width: int = WIDTH) -> str:
    """Return values as bars: the lowest at evidence 1 or less, the highest at `top` or more; logarithmic between."""
    every = max(1, math.ceil(len(values) / width))
    picked = [*values[:-1:every], *values[-1:]]
    full = math.log(top) if top > 1 else 1.0
    levels = [min(max(math.log(max(value, 1.0)) / full, 0.0), 1.0) for value in picked]
    return "".join(BARS[round(level * (len(BARS) - 1))] for level in levels)


def _arm(arm: ArmReport, share: float) -> tuple[str, ...]:
    return (
        arm.name,
        (arm.policy or "no policy")[:19],
        f"{share:.0%}",
        f"{arm.units:,}",
        f"{arm.unscored:,}",
        shown.share(arm.loss),
        shown.money(arm.cost_usd),
        shown.seconds(arm.duration_s),
        shown.share(arm.error_rate),
        shown.share(arm.veto_rate),
    )


def _candidate(one: CandidateReport) -> list[tuple[str, str]]:
    guards = [
        (f"guardrail {name}", f"evidence {evidence:.3g} of {one.guardrail_at:g}")
        for name, evidence in one.guardrails.items()
    ]
    p_value = shown.NOTHING if one.p_value is None else f"{one.p_value:.3g}"
    return [
        ("change in loss", f"{shown.change(one.delta)}, between {shown.change(one.low)} and {shown.change(one.high)}"),
        ("better", f"evidence {one.better:.3g} of {one.better_at:g}"),
        ("worse", f"evidence {one.worse:.3g} of {one.worse_at:g}"),
        *guards,
        ("p-value", f"{p_value} (Welch; a description only, it decides nothing)"),
        ("recommendation", one.recommendation),
    ]
