"""The evidence of a canary as a chart: two curves on a logarithmic scale, and what each has to reach."""

from __future__ import annotations

import math

from markupsafe import Markup

from burnish.demo.trust_records import Proof
from burnish.web.charts import Mark, Point, Rule, Series, line_chart

LEAST = 0.01
"""Evidence below this is drawn here: it says no more."""


def evidence(policy: str, canary: Proof, width: float) -> Markup:
    """Draw the evidence of one canary over its runs."""
    better = [Point(unit, _height(value)) for unit, value, _ in canary.evidence]
    worse = [Point(unit, _height(value)) for unit, _, value in canary.evidence]
    return line_chart(
        f"Evidence in the canary of {policy}",
        f"After {canary.units:,} runs the evidence that {policy} is better reached {canary.better:.3g} of "
        f"{canary.better_at:g}, that it is worse {canary.worse:.3g} of {canary.worse_at:g}.",
        [
            Series(label="it is better", points=[Point(0, 0.0), *better], tone="good"),
            Series(label="it is worse", points=[Point(0, 0.0), *worse], tone="bad"),
        ],
        width=width,
        height=300,
        rules=[
            Rule(label=f"promote at {canary.better_at:g}", y=_height(canary.better_at), tone="good"),
            Rule(label=f"roll back at {canary.worse_at:g}", y=_height(canary.worse_at), tone="bad"),
        ],
        marks=[Mark(x=units, label=f"{share:.0%}") for units, share in canary.ramp],
        x_label="runs of the canary",
        y_shown=_shown,
    )


def _height(value: float) -> float:
    return math.log10(max(LEAST, value))


def _shown(height: float) -> str:
    return f"{10.0**height:.2g}"
