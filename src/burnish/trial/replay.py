"""Replay: do known tasks again under a candidate and under what it would replace, and judge the paired differences.

Nothing here calls a model: the runner does, and it may be a function of the host, a recording, or both.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from burnish.capture.checks import integer, number
from burnish.curate.goldens import GoldenDataset
from burnish.errors import InvalidValue
from burnish.propose.policy import Policy
from burnish.trial.replay_calls import Limits, Progress, perform
from burnish.trial.replay_judgement import (
    MOST_REGRESSIONS,
    ROUNDING,
    Bars,
    Pair,
    by_type,
    delta_without_failures,
    judge,
    mean_losses,
    regressions,
)
from burnish.trial.replay_plan import Done, data_digest, gather, plan, steps
from burnish.trial.replay_record import (
    Failure,
    GoldenCheck,
    Method,
    ReplayItem,
    ReplayOutcome,
    ReplayReport,
    Runner,
)

MOST_FAILURES = 20
"""Kinds of error that a report names; it counts them all."""

MOST_WORKERS = 256


def replay(
    candidate: Policy,
    baseline: Policy | None,
    items: Sequence[ReplayItem],
    runner: Runner,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    workers: int = 1,
    cost_cap_usd: float | None = None,
    timeout_s: float | None = None,
    margin: float = 0.02,
    tolerance: float = 0.1,
    alpha: float = 0.05,
    goldens: GoldenDataset | None = None,
    method: Method = "function",
    cancel: threading.Event | None = None,
    progress: Progress | None = None,
) -> ReplayReport:
    """Do every item under both, once a seed, and report whether the candidate may go on.

    Both sides must be scored alike: the runner must not take the loss weights from the policy. Items are done in an
    order that depends on their ids alone, so those done before a stop are a fair sample; golden items come first.

    Args:
        candidate: The policy on trial.
        baseline: What it would replace; None is what the host does without a policy.
        items: What to do, each with an id of its own.
        runner: Does one item; with several workers it is called from several threads. What it raises counts as loss 1.
        seeds: Each item is done once with each of them.
        workers: Calls at the same time, 1 to 256. One without a timeout runs in the caller's thread.
        cost_cap_usd: No call is started that would, at the mean cost so far, exceed this; the verdict is then
            inconclusive. What calls already under way cost more comes on top.
        timeout_s: A call that takes longer counts as loss 1 and is left behind.
        margin: Rise of the mean loss that is acceptable, in [0, 1].
        tolerance: Rise of the loss of one item that is acceptable, in [0, 1].
        alpha: Probability that the interval of the mean difference misses it.
        goldens: Items none of which may get worse by more than the tolerance.
        method: How the runner comes to its outcomes.
        cancel: When it is set, no further call is started; those under way are waited for.
        progress: Called after each call, in the caller's thread, with calls done, calls planned and USD spent.

    Raises:
        InvalidValue: A number is out of range, there are no items or seeds, two share an id, or the inputs of an item
            are not JSON.
    """
    limits = _limits(workers, cost_cap_usd, timeout_s)
    bars = Bars(
        margin=number("margin", margin, 0.0, 1.0),
        tolerance=number("tolerance", tolerance, 0.0, 1.0),
        alpha=number("alpha", alpha, 1e-6, 0.5),
    )
    chosen = _seeds(seeds)
    identity = data_digest(items)
    places = plan(items, goldens)
    planned = list(steps(places, candidate, baseline, chosen))
    made = perform([step.call for step in planned], runner, limits, cancel=cancel, progress=progress)
    done = gather(places, planned, made.outcomes)
    sampled = [one for one in done if one.place.sampled]
    pairs = [one.sampled for one in sampled]
    checked = None if goldens is None else _checked(goldens, done, bars)
    judgement = judge(pairs, chosen, bars, planned=len(items), goldens=checked, stopped=made.stopped)
    losses, worse = mean_losses(pairs), regressions(pairs, bars.tolerance)
    tenant, agent, task_type = candidate.slot
    return ReplayReport(
        tenant=tenant,
        agent=agent,
        task_type=task_type,
        candidate=candidate.digest,
        baseline=None if baseline is None else baseline.digest,
        method=method,
        **msgspec.structs.asdict(judgement),
        items=len(pairs),
        planned=len(items),
        seeds=chosen,
        **msgspec.structs.asdict(bars),
        candidate_loss=losses[0],
        baseline_loss=losses[1],
        by_type=by_type(pairs),
        regressed=len(worse),
        improved=sum(pair.delta < -bars.tolerance - ROUNDING for pair in pairs),
        regressions=worse[:MOST_REGRESSIONS],
        goldens=checked,
        **_failures(done),
        delta_without_failures=delta_without_failures(pairs),
        stopped=made.stopped,
        candidate_cost_usd=_mean_cost([outcome for one in sampled for outcome in one.candidate]),
        baseline_cost_usd=_mean_cost([outcome for one in sampled for outcome in one.baseline]),
        cost_usd=made.cost_usd,
        surplus_usd=made.surplus_usd,
        duration_s=math.fsum(outcome.duration_s for outcome in made.outcomes),
        data_digest=identity,
    )


def _limits(workers: int, cost_cap_usd: float | None, timeout_s: float | None) -> Limits:
    return Limits(
        workers=integer("workers", workers, 1, MOST_WORKERS),
        cost_cap_usd=None if cost_cap_usd is None else number("cost_cap_usd", cost_cap_usd, 1e-12),
        timeout_s=None if timeout_s is None else number("timeout_s", timeout_s, 1e-3),
    )


def _seeds(seeds: Sequence[int]) -> list[int]:
    chosen = [integer("seeds", seed, -(2**53), 2**53) for seed in seeds]
    if not chosen or len(set(chosen)) < len(chosen):
        raise InvalidValue("seeds", chosen, "give at least one, each once")
    return chosen


def _checked(goldens: GoldenDataset, done: Sequence[Done], bars: Bars) -> GoldenCheck:
    pairs: list[Pair] = [one.golden for one in done if one.place.golden is not None]
    return GoldenCheck(
        name=goldens.name,
        version=goldens.version,
        digest=goldens.digest,
        size=len(goldens.items),
        checked=len(pairs),
        regressions=regressions(pairs, bars.tolerance),
    )


def _failures(done: Sequence[Done]) -> dict[str, Any]:
    """Return the fields of the report that count the runner's failures."""
    candidate = Counter(outcome.error for one in done for outcome in one.candidate if outcome.error is not None)
    baseline = Counter(outcome.error for one in done for outcome in one.baseline if outcome.error is not None)
    named = [
        Failure(error=error, candidate=candidate[error], baseline=baseline[error]) for error in {*candidate, *baseline}
    ]
    named.sort(key=lambda one: (-one.candidate - one.baseline, one.error))
    return {
        "failures": named[:MOST_FAILURES],
        "candidate_failures": candidate.total(),
        "baseline_failures": baseline.total(),
    }


def _mean_cost(outcomes: Sequence[ReplayOutcome]) -> float | None:
    return math.fsum(outcome.cost_usd for outcome in outcomes) / len(outcomes) if outcomes else None
