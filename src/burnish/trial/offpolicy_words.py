"""Say what off-policy evaluation found, in a sentence that a person who was not there understands."""

from __future__ import annotations

from burnish.stats.offpolicy import P_MIN, Difference
from burnish.stats.offpolicy_verdict import LEAST_ESS, LEAST_SUPPORT, Judgement


def nothing(unscored: int) -> str:
    """Return the reason when no run counts."""
    if unscored:
        return f"none of the {unscored:,} decided runs of this window has a loss yet: report outcomes or feedback first"
    return "no run of this window asked for a decision: call run.decide() so that probabilities are logged"


def reason(found: Difference, judged: Judgement, *, margin: float, thinnest: tuple[str, str] | None) -> str:
    """Return the reason of a judgement; `thinnest` names the (task type, model) that is explored least."""
    if judged.ground == "no support":
        return _no_support(found, thinnest)
    if judged.ground == "too few effective runs":
        return (
            f"too few of the {found.runs:,} logged runs were served as the target would serve them: they weigh like "
            f"{found.ess:.0f} runs and it takes {LEAST_ESS:.0f}; {_more(judged)}"
        )
    if judged.ground == "estimators disagree":
        return (
            f"two ways of estimating the difference disagree ({found.value:+.3f} and {found.snips:+.3f}): a few runs "
            "weigh too much; log more runs, or try the target on a small share of traffic"
        )
    return f"{_difference(found)}; {_against(judged, margin)}"


def _no_support(found: Difference, thinnest: tuple[str, str] | None) -> str:
    share = f"{1.0 - found.support:.0%} of what the target would do was hardly ever tried"
    where = "" if thinnest is None else f", most of all {thinnest[1]} on task type {thinnest[0]}"
    return (
        f"cannot be evaluated from these logs: {share}{where} (probability under {P_MIN:.1%}; at most "
        f"{1.0 - LEAST_SUPPORT:.0%} may be); let the router explore it first, or try it on a small share of traffic"
    )


def _difference(found: Difference) -> str:
    size = (
        "as high" if abs(found.value) < 5e-4 else f"{abs(found.value):.3f} {'lower' if found.value < 0 else 'higher'}"
    )
    bounds = f"surely between {found.low:+.3f} and {found.high:+.3f}"
    return f"over {found.runs:,} logged runs the target's loss is estimated {size} ({bounds})"


def _against(judged: Judgement, margin: float) -> str:
    if judged.verdict == "pass":
        return f"that is less than the {margin:.3f} by which it may rise"
    if judged.verdict == "fail":
        return "it is worse"
    return f"whether it rises by less than {margin:.3f} is not settled, {_more(judged)}"


def _more(judged: Judgement) -> str:
    if judged.more_runs is None:
        return "and further runs like these would hardly settle it"
    return f"about {judged.more_runs:,} more runs like these would tell"
