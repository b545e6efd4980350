"""What a decision is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One model as it stood when a decision was made."""

    model: str
    probability: float
    """Probability of being chosen, exactly."""
    quality: float
    """Expected quality in [0, 1]."""
    quality_sd: float
    cost_usd: float | None
    """Expected cost of a run; None when no cost was ever seen."""
    latency_s: float | None
    utility: float
    """Expected quality minus the price of cost and latency."""
    observed: float
    """Runs of this task type the belief rests on."""
    excluded: str | None = None
    """Why the model was not eligible; None when it was."""


class Slate(msgspec.Struct, frozen=True, kw_only=True):
    """All candidates for one task type under one belief, and the rule that weighs them."""

    candidates: Sequence[Candidate]
    probabilities: Sequence[float]
    edges: Sequence[float]
    """Cumulative probabilities, for drawing with one uniform number."""
    rule: str
    why: str
    price_of_cost: float

    @property
    def plain(self) -> list[dict[str, object]]:
        """Return the candidates as plain data, for the ledger."""
        return [msgspec.structs.asdict(candidate) for candidate in self.candidates]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The model to use for one attempt of one run, and everything that led to it."""

    model: str
    rule: str
    """configured, novelty, drift, learned, fallback or only_choice."""
    reason: str
    """The same in words."""
    propensity: float
    """Probability with which this model was chosen; logged for off-policy evaluation."""
    slate: Slate
    attempt: int
    epoch: int
    novelty: float | None

    @property
    def propensities(self) -> Mapping[str, float]:
        """Return the probability of every candidate."""
        return {candidate.model: candidate.probability for candidate in self.slate.candidates}
