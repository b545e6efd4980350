"""The chapter of trust: what the trials of the policies showed, beside what is true of them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from burnish.demo.records import Story
from burnish.demo.trust_records import Change, Trial
from burnish.testing.world import RecordedWorld, Reference


class TrustReport(msgspec.Struct, frozen=True, kw_only=True):
    """How policies earned, or lost, their traffic."""

    agent: str
    runs: int
    model: str
    """What the first policy gives everything to."""
    first: Reference
    """The exact value of the first policy."""
    drafted: Reference
    """The exact value of the learner's policy."""
    best_single: str
    """The model that a team that knew all results would begin with."""
    share_lost: float
    trials: Sequence[Trial]
    changes: Sequence[Change]
    in_charge: str


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """The audit log of the store, verified after the story."""

    events: int
    issues: int


def trust(story: Story, world: RecordedWorld) -> TrustReport | None:
    """Return how the policies fared; None when there was no such act."""
    told = story.trust
    if told is None:
        return None
    price, budget = story.price, story.budget_usd
    everything = {task_type: {told.first: 1.0} for task_type in world.types}
    drafted = {task_type: {model: 1.0} for task_type, model in told.drafted.items()}
    best = world.references(price=price, budget_usd=budget).best_single
    return TrustReport(
        agent=told.agent,
        runs=told.runs,
        model=told.first,
        first=world.value(f"v1, all to {told.first}", everything, price=price, budget_usd=budget),
        drafted=world.value("v2, by task type", drafted, price=price, budget_usd=budget),
        best_single=next(iter(best.models.values())),
        share_lost=told.share_lost,
        trials=told.trials,
        changes=told.changes,
        in_charge=told.in_charge,
    )


def start_words(report: TrustReport) -> str:
    """Say what the act begins with, and why so."""
    gain = report.first.loss - report.drafted.loss
    told = "the best single model here" if report.model == report.best_single else f"not {report.best_single}, the best"
    return (
        f"A person puts v1 in charge: everything to {report.model} ({told}; it is the one that v2 should beat most "
        "clearly within the cost guardrail). A learner drafts v2 from what was learned above. In truth v2's loss is "
        f"{abs(gain):.3f} {'lower' if gain > 0 else 'higher'}; the trials do not know that."
    )


def trial_words(trial: Trial) -> str:
    """Say how far a candidate came."""
    delta = "" if trial.replay_delta is None else f" with a mean difference of {trial.replay_delta:+.3f}"
    said = [f"Replay on {trial.replayed:,} recorded tasks: {trial.replay}{delta}."]
    if trial.shadow is not None:
        said.append(f"Shadow: {trial.shadow} after {trial.pairs:,} pairs.")
    if trial.canary is None:
        said.append("It got no traffic.")
    return " ".join(said)


def verdict(trial: Trial) -> str:
    """Say in a few words how a candidate ended."""
    canary = trial.canary
    if canary is None:
        return "stopped before any traffic"
    ends = {"promoted": "promoted", "rolled_back": "rolled back", "inconclusive": "undecided"}
    return f"{ends.get(canary.status, 'still undecided')} after {canary.units:,} runs, {canary.own:,} of them its own"


def ramp_words(trial: Trial) -> str:
    """Say which share of the traffic a candidate had, and from which run of its canary."""
    steps = () if trial.canary is None else trial.canary.ramp
    return ", ".join(f"{share:.0%} from run {units + 1:,}" for units, share in steps)


def lives(report: TrustReport) -> dict[str, list[Change]]:
    """Return every policy with its changes of status, oldest first."""
    names = list(dict.fromkeys(change.policy for change in report.changes))
    return {name: [change for change in report.changes if change.policy == name] for name in names}


def headline(report: TrustReport) -> str:
    """Say what came of it, whatever it was."""
    promoted = [t.policy for t in report.trials if t.canary is not None and t.canary.status == "promoted"]
    rolled = [t.policy for t in report.trials if t.canary is not None and t.canary.status == "rolled_back"]
    if promoted and rolled:
        return "One policy earns its traffic, a harmful one is rolled back"
    if rolled:
        return "A harmful policy is rolled back; none earned promotion here"
    return "One policy earns its traffic" if promoted else "No policy earned its traffic here"


def audit_words(audit: Audit | None) -> str:
    """Say what verifying the audit log found."""
    if audit is None:
        return "Every change is signed, and kept in the audit log."
    if audit.issues:
        return f"Audit log: {audit.events:,} events, {audit.issues:,} issues."
    return f"Every change is signed; audit log: {audit.events:,} events verified, no issues."
