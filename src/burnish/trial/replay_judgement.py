"""Judge what a replay found: paired differences with an interval, every seed alone, the worst items, the goldens.

The candidate passes when its loss is surely less than `margin` above the baseline's, and fails when it is surely above
it: proof of harm, however small, outweighs a margin. A golden item that got worse fails it whatever the mean says.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from burnish.stats.bounded import Interval, mean_interval, values_needed
from burnish.trial.replay_record import GoldenCheck, Regression, ReplayItem, SeedDelta, Stop, TypeDelta, Verdict

MOST_REGRESSIONS = 50
"""Items that a report names; it counts them all."""

ROUNDING = 1e-9
"""What arithmetic may add to a difference that is exactly the tolerance."""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One item done both ways: its losses, one a seed."""

    item: ReplayItem
    candidate: Sequence[float]
    baseline: Sequence[float]
    failed: bool = False
    """A call of it failed."""

    @property
    def delta(self) -> float:
        """Return the difference of the means over the seeds, in [-1, 1]."""
        return _mean(self.candidate) - _mean(self.baseline)


class Bars(msgspec.Struct, frozen=True, kw_only=True):
    """What a candidate is held to."""

    margin: float = 0.02
    tolerance: float = 0.1
    alpha: float = 0.05


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict and all it rests on; the fields are those of the report."""

    verdict: Verdict
    reason: str
    mean_delta: float | None = None
    low: float | None = None
    high: float | None = None
    stability: float | None = None
    by_seed: Sequence[SeedDelta] = ()
    items_needed: int | None = None


def interval(differences: Sequence[float], alpha: float, horizon: int) -> Interval:
    """Return the bounds of the mean paired difference: the one place that says how they are made."""
    return mean_interval(differences, alpha=alpha, horizon=horizon)


def judge(
    pairs: Sequence[Pair],
    seeds: Sequence[int],
    bars: Bars,
    *,
    planned: int,
    goldens: GoldenCheck | None = None,
    stopped: Stop | None = None,
) -> Judgement:
    """Judge the pairs, in an order that says nothing about them, of the `planned` ones."""
    if not pairs:
        verdict, reason = _golden_failure(goldens) or _stopped(stopped, 0, planned) or _nothing()
        return Judgement(verdict=verdict, reason=reason)
    differences = [pair.delta for pair in pairs]
    found = interval(differences, bars.alpha, planned)
    by_seed = [_alone(seed, at, pairs, bars, planned) for at, seed in enumerate(seeds)]
    more = None
    settled = _golden_failure(goldens) or _stopped(stopped, len(pairs), planned) or _flipped(by_seed, found, bars)
    if settled is None:
        settled = _by_interval(found, bars)
        if settled[0] == "inconclusive":
            more = _more(differences, bars)
            settled = "inconclusive", f"{settled[1]}; {_in_words(more)}"
    return Judgement(
        verdict=settled[0],
        reason=settled[1],
        mean_delta=found.mean,
        low=found.low,
        high=found.high,
        stability=statistics.stdev([one.mean_delta for one in by_seed]) if len(by_seed) > 1 else None,
        by_seed=by_seed,
        items_needed=more,
    )


def regressions(pairs: Sequence[Pair], tolerance: float) -> list[Regression]:
    """Return the items that got worse by more than the tolerance, worst first, then by id."""
    worse = [
        Regression(
            id=pair.item.id,
            task_type=pair.item.task_type,
            baseline_loss=_mean(pair.baseline),
            candidate_loss=_mean(pair.candidate),
            delta=pair.delta,
        )
        for pair in pairs
        if pair.delta > tolerance + ROUNDING
    ]
    return sorted(worse, key=lambda one: (-one.delta, one.id))


def by_type(pairs: Sequence[Pair]) -> list[TypeDelta]:
    """Return the mean difference of each task type, by name."""
    deltas: Mapping[str, list[float]] = defaultdict(list)
    for pair in pairs:
        deltas[pair.item.task_type].append(pair.delta)
    return [TypeDelta(task_type=name, items=len(of), mean_delta=_mean(of)) for name, of in sorted(deltas.items())]


def mean_losses(pairs: Sequence[Pair]) -> tuple[float | None, float | None]:
    """Return the mean loss of the candidate and of the baseline."""
    if not pairs:
        return None, None
    return _mean([_mean(pair.candidate) for pair in pairs]), _mean([_mean(pair.baseline) for pair in pairs])


def delta_without_failures(pairs: Sequence[Pair]) -> float | None:
    """Return the mean difference of the items on which every call gave an answer."""
    clean = [pair.delta for pair in pairs if not pair.failed]
    return _mean(clean) if clean else None


def _alone(seed: int, at: int, pairs: Sequence[Pair], bars: Bars, planned: int) -> SeedDelta:
    candidate, baseline = ([side[at] for side in sides] for sides in _sides(pairs))
    found = interval([after - before for after, before in zip(candidate, baseline, strict=True)], bars.alpha, planned)
    verdict, _ = _by_interval(found, bars)
    return SeedDelta(
        seed=seed,
        candidate_loss=_mean(candidate),
        baseline_loss=_mean(baseline),
        mean_delta=found.mean,
        low=found.low,
        high=found.high,
        verdict=verdict,
    )


def _sides(pairs: Sequence[Pair]) -> tuple[list[Sequence[float]], list[Sequence[float]]]:
    return [pair.candidate for pair in pairs], [pair.baseline for pair in pairs]


def _by_interval(found: Interval, bars: Bars) -> tuple[Verdict, str]:
    bounds = f"{100 * (1 - bars.alpha):g} % interval {found.low:+.3f} to {found.high:+.3f}"
    if found.low > 0.0:
        return "fail", f"the loss is surely higher: by {found.mean:+.3f}, {bounds}"
    if found.high < bars.margin:
        return "pass", f"the loss changes by {found.mean:+.3f}, {bounds}, surely below the margin of {bars.margin:+.3f}"
    said = f"neither surely below {bars.margin:+.3f} nor surely above 0"
    return "inconclusive", f"the loss changes by {found.mean:+.3f}, {bounds}: {said}"


def _golden_failure(goldens: GoldenCheck | None) -> tuple[Verdict, str] | None:
    if goldens is None or not goldens.regressions:
        return None
    worst, count = goldens.regressions[0], len(goldens.regressions)
    return "fail", f"{count} of {goldens.checked} golden items got worse, most of all {worst.id} by {worst.delta:+.3f}"


def _stopped(stopped: Stop | None, done: int, planned: int) -> tuple[Verdict, str] | None:
    if stopped is None:
        return None
    why = {
        "cost cap": "stopped at the cost cap",
        "cancelled": "cancelled",
        "hanging": "stopped because too many calls never returned",
    }[stopped]
    return "inconclusive", f"{why}, after {done:,} of {planned:,} items"


def _flipped(by_seed: Sequence[SeedDelta], found: Interval, bars: Bars) -> tuple[Verdict, str] | None:
    """Return the verdict on a candidate of which the seeds, each alone or against all together, say opposite things."""
    verdicts = {one.verdict for one in by_seed} | {_by_interval(found, bars)[0]}
    if not {"pass", "fail"} <= verdicts:
        return None
    said = ", ".join(f"seed {one.seed} {one.verdict}" for one in by_seed)
    return "inconclusive", f"not stable: the verdict depends on the random seed ({said})"


def _nothing() -> tuple[Verdict, str]:
    return "inconclusive", "no item was replayed"


def _more(differences: Sequence[float], bars: Bars) -> int | None:
    needed = values_needed(differences, above=0.0, below=bars.margin, alpha=bars.alpha)
    return None if needed is None else max(1, needed - len(differences))


def _in_words(more: int | None) -> str:
    if more is None:
        return "no number of further items like these is likely to decide"
    return f"about {more:,} more items like these would decide"


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
