"""What makes the figures trustworthy: simulator = shipped classes, another implementation agrees, and what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import ville  # type: ignore[import-untyped]  # it ships no types

from benchmarks.canary_losses import D1, SPLITS, Array, draws, seeded
from benchmarks.canary_vectorised import Canaries, Pairs, Ratios
from burnish.stats.comparison import Comparison
from burnish.stats.detector import HarmDetector
from burnish.stats.effect import effect_interval
from burnish.stats.paired import Paired
from burnish.stats.sample_ratio import SampleRatio

TOTAL_ALPHA = 0.05
BLOCK = 1000


def _stream(effect: float, p: Array, size: int, *key: object) -> tuple[Array, Array]:
    """Return losses and arms of D1 canaries, each of shape [runs, size]."""
    level = np.ones(len(p))
    parts = list(draws(seeded(*key), D1, size, level * D1.bad, level * D1.shift(effect), p))
    return np.concatenate([losses for losses, _ in parts]), np.concatenate([arms for _, arms in parts])


def same_as_shipped(size: int) -> dict[str, float]:
    """Return the largest relative differences between the simulator and the classes of `burnish.stats`, same draws."""
    p = SPLITS["ramp"]
    losses, arms = _stream(-0.02, p, size, "same")
    categories = seeded("same", "categories").integers(0, 3, len(p))
    state, ratios, pairs = Canaries(size, categories=3, detect=True), Ratios(size), Pairs(size)
    everyone = np.ones(size, dtype=np.bool_)
    shipped = [(Comparison(), HarmDetector(), SampleRatio(), Paired()) for _ in range(size)]
    worst = dict.fromkeys(("promote", "rollback", "harm", "sample ratio", "paired"), 0.0)
    for run, share in enumerate(p.tolist()):
        difference = losses[run] - losses[run - 1]
        state.step(losses[run], arms[run], share, category=int(categories[run]))
        ratios.step(arms[run], share, everyone)
        pairs.step(difference)
        for each, (comparison, detector, ratio, paired) in enumerate(shipped):
            facts = {"candidate": bool(arms[run, each]), "p_candidate": share, "p_control": 1.0 - share}
            for one in (comparison, detector):
                one.update(float(losses[run, each]), category=f"c{categories[run]}", **facts)
            ratio.update(bool(arms[run, each]), (1.0 - share, share))
            paired.update(float(difference[each]))
        if run % 10:
            continue
        for name, ours, theirs in (
            ("promote", state.promote(), [row[0].promote for row in shipped]),
            ("rollback", state.rollback(), [row[0].rollback for row in shipped]),
            ("harm", state.harm(), [row[1].evidence for row in shipped]),
            ("sample ratio", ratios.evidence(), [row[2].evidence for row in shipped]),
            ("paired", pairs.promote(), [row[3].promote for row in shipped]),
        ):
            there = np.maximum(np.array(theirs), 1e-100)
            worst[name] = max(worst[name], float(np.max(np.abs(np.maximum(ours, 1e-100) - there) / there)))
    return worst


def beside_ville(size: int) -> list[dict[str, Any]]:
    """Return how our evidence and ville's `BettingABTest` decide on the same runs at the same total α of .05."""
    rows = []
    for effect, share in ((0.0, 0.5), (-0.05, 0.5), (0.15, 0.5), (0.15, 0.1)):
        p = np.full(5000, share)
        losses, arms = _stream(effect, p, size, "ville", effect, share)
        ours, theirs, opposite, disjoint, estimates = [], [], 0, 0, []
        for each in range(size):
            y, a = losses[:, each].tolist(), arms[:, each].tolist()
            test = ville.BettingABTest(propensity=share, alpha=TOTAL_ALPHA, grid=4000).fit(y, np.array(a, float))
            low, high = test.interval()
            our_run, our_sign = _ours(y, a, share)
            stopped = test.stopping_time()
            their_sign = 0 if stopped is None else (1 if test.estimate_[stopped - 1] > 0.0 else -1)
            mine = effect_interval(y, a, p.tolist(), (1.0 - p).tolist(), alpha=TOTAL_ALPHA)
            ours.append(our_run)
            theirs.append(float(stopped) if stopped else np.inf)
            opposite += our_sign * their_sign < 0
            disjoint += max(mine.low, low) > min(mine.high, high)
            estimates.append(abs(mine.estimate - float(test.estimate_[-1])))
        rows.append(
            {
                "effect": effect,
                "p": share,
                "replicates": size,
                "median": _middle(ours),
                "ville_median": _middle(theirs),
                "decided": float(np.isfinite(ours).mean()),
                "ville_decided": float(np.isfinite(theirs).mean()),
                "opposite": opposite,
                "disjoint": disjoint,
                "estimates_apart": max(estimates),
            }
        )
    return rows


def _ours(losses: list[float], arms: list[bool], share: float) -> tuple[float, int]:
    comparison, needed = Comparison(), 2.0 / TOTAL_ALPHA
    for run, (loss, arm) in enumerate(zip(losses, arms, strict=True), start=1):
        comparison.update(loss, candidate=arm, p_candidate=share, p_control=1.0 - share)
        if comparison.best_promote >= needed:
            return float(run), -1
        if comparison.best_rollback >= needed:
            return float(run), 1
    return np.inf, 0


def _middle(runs: list[float]) -> float | None:
    value = float(np.quantile(runs, 0.5, method="higher"))
    return value if np.isfinite(value) else None


def costs(blocks: int) -> dict[str, float]:
    """Return CPU time: µs of an update (median over blocks of 1,000 runs), ms of an interval for 5,000 runs."""
    losses, arms = (column[:, 0].tolist() for column in _stream(-0.05, np.full(5000, 0.5), 1, "costs"))
    comparison, detector, ratio, paired = Comparison(), HarmDetector(), SampleRatio(), Paired()
    steps: dict[str, Callable[[int], None]] = {
        "Comparison.update": lambda i: comparison.update(
            losses[i], candidate=arms[i], p_candidate=0.5, p_control=0.5, category="fix"
        ),
        "HarmDetector.update": lambda i: detector.update(
            losses[i], candidate=arms[i], p_candidate=0.5, p_control=0.5, category="fix"
        ),
        "SampleRatio.update": lambda i: ratio.update(arms[i], (0.5, 0.5)),
        "Paired.update": lambda i: paired.update(losses[i] - losses[i - 1]),
    }
    timed = {}
    for name, step in steps.items():
        taken = []
        for block in range(blocks):
            start = (block % 5) * BLOCK
            began = time.process_time()
            for i in range(start, start + BLOCK):
                step(i)
            taken.append((time.process_time() - began) / BLOCK * 1e6)
        timed[name + ", µs"] = median(taken)
    half, taken = [0.5] * 5000, []
    for _ in range(5):
        began = time.process_time()
        effect_interval(losses, arms, half, half)
        taken.append((time.process_time() - began) * 1e3)
    timed["effect_interval of 5,000 runs, ms"] = median(taken)
    return timed
