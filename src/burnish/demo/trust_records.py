"""What the story of policies is told in: who was proposed, what each trial found, and every change of status."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A policy took another status."""

    at: int
    """Runs of the act until then."""
    policy: str
    from_status: str
    to_status: str
    reason: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A canary as its report tells it."""

    started: int
    """Runs of the act before it."""
    status: str
    units: int
    own: int
    """Units that the candidate served."""
    delta: float
    """The candidate's loss minus the control's, with the bounds that hold at every look."""
    low: float
    high: float
    better: float
    better_at: float
    worse: float
    worse_at: float
    guardrails: dict[str, float]
    guardrail_at: float
    evidence: Sequence[tuple[int, float, float]]
    """(unit, evidence that the candidate is better, that it is worse)."""
    ramp: Sequence[tuple[int, float]]
    """(units, share of the candidate from then on)."""
    words: str
    reason: str


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate and how far it came."""

    policy: str
    author: str
    what: str
    """What it changes, in words."""
    replay: str
    """pass, fail or inconclusive."""
    replayed: int
    replay_delta: float | None
    """Mean difference in loss to the policy in charge; negative is better."""
    shadow: str | None = None
    """passed, failed or inconclusive; None when it did not come to a shadow."""
    pairs: int = 0
    shadow_reason: str = ""
    canary: Proof | None = None


class TrustStory(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that happened to the policies of the agent."""

    agent: str
    first: str
    """The model that the first policy gives everything to."""
    drafted: dict[str, str]
    """Task type → model of the learner's policy."""
    share_lost: float
    """Share of its successes that the second candidate loses after its shadow."""
    runs: int
    trials: Sequence[Trial]
    changes: Sequence[Change]
    in_charge: str
