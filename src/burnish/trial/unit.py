"""What every trial reads and answers: one assigned unit with its result, and what the evidence decides."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """One assigned unit with its result. Loss in [0, 1]; one without a loss by its deadline has loss 1."""

    seq: int
    arm: int
    probabilities: Sequence[float]
    """Of the control and of each candidate, as logged at assignment."""
    loss: float
    category: str
    scored: bool = True
    cost_usd: float | None = None
    duration_s: float | None = None
    error: float | None = None
    vetoed: float | None = None
    metric: str = ""
    """Fingerprint of the weights the loss was made with; empty when there is no loss."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the evidence decides about one candidate, or about all (None)."""

    action: str
    """promote, rollback or inconclusive."""
    candidate: int | None
    """Its place among the candidates, from 0."""
    reason: str
