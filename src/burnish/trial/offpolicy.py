"""Off-policy evaluation: what a policy would have done with the runs that others served, from logged probabilities.

It costs no call and harms no user, and it cannot answer for what the router never tried. All runs of the window count,
whatever drift epoch they fell in: each carries the probabilities that were true when it was decided, and the answer is
a mean over the window. Narrow the window to ask about now.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from burnish.capture.checks import integer, number
from burnish.propose.policy import Policy
from burnish.stats.offpolicy import PLANNED_RUNS, Difference, LoggedChoices, difference
from burnish.stats.offpolicy_verdict import judge
from burnish.trial import offpolicy_words as words
from burnish.trial.offpolicy_arrays import Gathered
from burnish.trial.offpolicy_ledger import MOST_RUNS, Unreadable, off_policy_rows
from burnish.trial.offpolicy_record import Bounded, LoggedOutcome, LoggedRun, OffPolicyReport, Target

MARGIN = 0.02
ALPHA = 0.05


def target_of(policy: Policy) -> Target:
    """Return what a policy would choose.

    For a run of its task type: the model that its rules pin, else the logged probabilities of the models it allows,
    renormalised, for learning then decides as it did. A pinned model that a limit kept out of a run is passed over, as
    it would be; one that was no candidate at all cannot be judged. Runs of other task types stay as they were.
    """

    def chosen(run: LoggedRun) -> Mapping[str, float]:
        if policy.task_type not in {"", run.task_type}:
            return run.probabilities
        pinned = policy.model_for(run.task_type, run.features)
        if pinned is not None and pinned not in run.excluded:
            return {pinned: 1.0}
        return _restricted(run.probabilities, policy.models)

    return chosen


def off_policy(
    connection: Connection,
    target: Policy | Target,
    *,
    tenant: str,
    agent: str,
    task_type: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = MOST_RUNS,
    baseline: Policy | Target | None = None,
    margin: float = MARGIN,
    alpha: float = ALPHA,
    planned: int = PLANNED_RUNS,
) -> OffPolicyReport:
    """Evaluate a target on the logged runs of an agent. See `evaluate` and `off_policy_rows` for the arguments.

    Raises:
        InvalidValue: A number is out of range, or the target gave no distribution.
    """
    limit = integer("limit", limit, 1, MOST_RUNS)
    rows = off_policy_rows(
        connection, tenant=tenant, agent=agent, task_type=task_type, since=since, until=until, limit=limit
    )
    return evaluate(
        rows,
        target,
        tenant=tenant,
        agent=agent,
        task_type=task_type or "",
        limit=limit,
        baseline=baseline,
        margin=margin,
        alpha=alpha,
        planned=planned,
    )


def evaluate(
    rows: Iterable[LoggedOutcome | Unreadable],
    target: Policy | Target,
    *,
    tenant: str,
    agent: str,
    task_type: str = "",
    limit: int = MOST_RUNS,
    baseline: Policy | Target | None = None,
    margin: float = MARGIN,
    alpha: float = ALPHA,
    planned: int = PLANNED_RUNS,
) -> OffPolicyReport:
    """Evaluate a target on logged runs.

    Args:
        rows: The runs, each once, in any order.
        target: A policy, or a function that says with which probability it would choose each model.
        tenant: Whose runs they are, for the report.
        agent: The agent that ran, for the report.
        task_type: The one task type they are of, for the report; empty when several.
        limit: Most rows there could be, for the report.
        baseline: What the target is compared with; None is what was logged.
        margin: Rise of the mean loss that is acceptable, in [0, 1].
        alpha: Probability that the bounds ever miss. Divide it by the number of candidates that are compared.
        planned: Runs at which the bounds should be tightest; set before looking at the runs.

    Raises:
        InvalidValue: A number is out of range, or the target gave no distribution.
    """
    margin, alpha = number("margin", margin, 0.0, 1.0), number("alpha", alpha, 1e-6, 0.5)
    planned = integer("planned", planned, 1)
    found = Gathered(rows, _function(target), None if baseline is None else _function(baseline))
    empty = OffPolicyReport(
        tenant=tenant,
        agent=agent,
        task_type=task_type,
        target=target.digest if isinstance(target, Policy) else None,
        baseline=baseline.digest if isinstance(baseline, Policy) else None,
        verdict="inconclusive",
        ground="too few effective runs",
        reason=words.nothing(found.unscored),
        runs=len(found),
        unscored=found.unscored,
        unreadable=found.unreadable,
        limited=found.read >= limit,
        margin=margin,
        alpha=alpha,
        data_digest=found.data_digest,
    )
    return _judged(empty, found, planned) if len(found) else empty


def _judged(empty: OffPolicyReport, gathered: Gathered, planned: int) -> OffPolicyReport:
    log, cost, seconds = gathered.choices()
    found = difference(log, alpha=empty.alpha, planned=planned)
    judged = judge(found, margin=empty.margin)
    thinnest = None
    if found.thinnest is not None:
        thinnest = gathered.types.name(found.thinnest[0]), gathered.models.name(found.thinnest[1])
    report = msgspec.structs.replace(
        empty,
        verdict=judged.verdict,
        ground=judged.ground,
        reason=words.reason(found, judged, margin=empty.margin, thinnest=thinnest),
        ess=found.ess,
        support=found.support,
        logged_loss=float(log.outcome.mean()),
        needs_more_runs=judged.more_runs,
    )
    if judged.ground == "no support":
        return report
    p95, over = _over_p95(log, seconds, found)
    return msgspec.structs.replace(
        report,
        dr=found.value,
        snips=found.snips,
        low=found.low,
        high=found.high,
        cost_usd=_bounded(log, cost, found, span=None),
        latency_p95_s=p95,
        over_p95=over,
    )


def _over_p95(
    log: LoggedChoices, seconds: NDArray[np.float64], found: Difference
) -> tuple[float | None, Bounded | None]:
    """Return the 95th percentile of the logged durations, and the difference in the share of runs beyond it."""
    known = seconds[~np.isnan(seconds)]
    if not len(known):
        return None, None
    p95 = float(np.quantile(known, 0.95))
    return p95, _bounded(log, np.where(np.isnan(seconds), np.nan, seconds > p95), found, span=1.0)


def _bounded(
    log: LoggedChoices, outcome: NDArray[np.float64], found: Difference, *, span: float | None
) -> Bounded | None:
    """Return the difference in another outcome, over the runs that have it."""
    at = np.flatnonzero(~np.isnan(outcome))
    if not len(at):
        return None
    known = replace(
        log,
        arm=log.arm[at],
        task_type=log.task_type[at],
        outcome=outcome[at],
        logged=log.logged[at],
        target=log.target[at],
        baseline=None if log.baseline is None else log.baseline[at],
    )
    other = difference(known, alpha=found.alpha, planned=found.planned, span=span)
    return Bounded(runs=other.runs, value=other.value, low=other.low, high=other.high)


def _function(target: Policy | Target) -> Target:
    return target_of(target) if isinstance(target, Policy) else target


def _restricted(probabilities: Mapping[str, float], models: Iterable[str]) -> Mapping[str, float]:
    """Return the probabilities of the allowed models, renormalised; evenly shared where none of them had any."""
    allowed = set(models)
    if not allowed:
        return probabilities
    kept = {model: p for model, p in probabilities.items() if model in allowed}
    total = math.fsum(kept.values())
    if total > 0.0:
        return {model: p / total for model, p in kept.items()}
    return dict.fromkeys(allowed, 1.0 / len(allowed))
