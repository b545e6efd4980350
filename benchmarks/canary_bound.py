"""How soon any test at all could decide: the information bound of section "Physical limit".

For a test with P(false decision) ≤ α against every pair of losses in [0, 1] without the effect,
E[runs] ≥ log(1/α) / KLinf, where KLinf = min over m of p·K⁺(F₁, m) + (1 − p)·K⁻(F₀, m) and K(F, m) is the smallest
Kullback–Leibler divergence from F to a law whose mean is on the other side of m. Its dual is a one-dimensional concave
maximum: K⁺(F, m) = max over λ in [0, 1/(1 − m)] of E log(1 − λ(X − m)). Source: Honda and Takemura, COLT 2010; for
sequential tests, Agrawal and Ramdas, arXiv 2504.19952.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.canary_losses import Array, Shape

POINTS = 4000
"""Cells of the grid that stands for a density on [0, 1]."""


def law(shape: Shape, effect: float) -> tuple[Array, Array]:
    """Return (values, probabilities) of a loss of the shape with this effect."""
    bad = shape.bad + shape.shift(effect)
    if not shape.graded:
        return np.array([0.0, 1.0]), np.array([1.0 - bad, bad])
    x = (np.arange(POINTS) + 0.5) / POINTS
    good = x * (1.0 - x) ** 17
    good /= good.sum()
    return x, (1.0 - bad) * good + bad * good[::-1]


def divergence(values: Array, mass: Array, mean: float) -> float:
    """Return K⁺(F, mean): the least divergence from F to a law of at least this mean; 0 when F's is as high."""
    if float(values @ mass) >= mean:
        return 0.0
    above = values - mean
    low, high = 0.0, 1.0 / (1.0 - mean)
    for _ in range(60):  # the derivative falls in λ: bisect its sign
        middle = (low + high) / 2.0
        if float((above / (1.0 - middle * above)) @ mass) < 0.0:
            low = middle
        else:
            high = middle
    return float(np.log1p(-low * above) @ mass)


def information(shape: Shape, effect: float, p: float) -> float:
    """Return KLinf of one run, in nats, for telling this effect from none or one of the other sign."""
    (x1, f1), (x0, f0) = law(shape, effect), law(shape, 0.0)
    mean1, mean0 = float(x1 @ f1), float(x0 @ f0)

    def cost(m: float) -> float:
        if effect < 0.0:
            return p * divergence(x1, f1, m) + (1.0 - p) * divergence(1.0 - x0, f0, 1.0 - m)
        return p * divergence(1.0 - x1, f1, 1.0 - m) + (1.0 - p) * divergence(x0, f0, m)

    low, high = min(mean1, mean0), max(mean1, mean0)
    golden = (math.sqrt(5.0) - 1.0) / 2.0
    for _ in range(40):  # convex in m
        left, right = high - golden * (high - low), low + golden * (high - low)
        if cost(left) < cost(right):
            high = right
        else:
            low = left
    return cost((low + high) / 2.0)


def fewest_runs(shape: Shape, effect: float, p: float, alpha: float) -> float:
    """Return the least mean number of runs with which any test of level α that always decides can do."""
    return math.log(1.0 / alpha) / information(shape, effect, p)
