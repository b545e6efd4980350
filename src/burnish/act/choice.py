"""What a decision is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from burnish.propose.policy import Scalar
from burnish.trial.book import Served


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
    """configured, policy, novelty, drift, learned, fallback or only_choice."""
    reason: str
    """The same in words."""
    propensity: float
    """Probability with which this model was chosen; logged for off-policy evaluation."""
    slate: Slate
    attempt: int
    epoch: int
    novelty: float | None
    served: Served | None = None
    """The policy that the run is under; None when its agent has none."""

    @property
    def policy_id(self) -> str | None:
        """Return the digest of the policy that the run is under."""
        return None if self.served is None else self.served.digest

    @property
    def parameters(self) -> dict[str, Scalar]:
        """Return the parameters of the call: what the policy sets for every model, and for this one."""
        return {} if self.served is None else self.served.policy.parameters_for(self.model)

    @property
    def prompts(self) -> Mapping[str, str]:
        """Return the policy's prompts by name."""
        return {} if self.served is None else self.served.policy.prompts

    @property
    def tools(self) -> Sequence[str] | None:
        """Return the tools that the policy allows; None means any."""
        return None if self.served is None else self.served.policy.tools

    def messages(self, user: str | None = None, *, system: str | None = None) -> list[dict[str, str]]:
        """Return the opening messages of the call: the policy's system prompt, and what the user says.

        Args:
            user: What the user says.
            system: The prompt of a host that has one; used where the policy has none.
        """
        prompt = self.prompts.get("system", system)
        said = (("system", prompt), ("user", user))
        return [{"role": role, "content": text} for role, text in said if text is not None]

    @property
    def propensities(self) -> Mapping[str, float]:
        """Return the probability of every candidate."""
        return {candidate.model: candidate.probability for candidate in self.slate.candidates}
