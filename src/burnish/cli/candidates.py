"""The table of candidates, as `explain` shows it for a run that was and `route` for the next."""

from __future__ import annotations

from collections.abc import Sequence

from burnish.act.choice import Candidate
from burnish.cli import shown


def candidate_table(candidates: Sequence[Candidate], price_of_cost: float) -> None:
    """Print the candidates of one decision, and the price that weighed them."""
    columns = ("model", "probability>", "quality>", "± sd>", "cost>", "took>", "utility>", "runs>", "not eligible*")
    shown.table(columns, [_row(candidate) for candidate in candidates])
    shown.line(f"price of cost: $1 weighs {price_of_cost:.4g} of quality")


def _row(candidate: Candidate) -> tuple[str, ...]:
    return (
        candidate.model,
        shown.share(candidate.probability),
        shown.share(candidate.quality),
        shown.share(candidate.quality_sd),
        shown.money(candidate.cost_usd),
        shown.seconds(candidate.latency_s),
        shown.share(candidate.utility),
        shown.count(candidate.observed),
        candidate.excluded or "",
    )
