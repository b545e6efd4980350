"""Harm that starts late, lost logs, shadow pairs and sticky tenants: the canary's surroundings."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.canary_losses import D1, SPLITS, Array, beta_2_18, draws, seeded
from benchmarks.canary_vectorised import Canaries, Pairs, Ratios
from burnish.stats.comparison import PROMOTE_AT, ROLLBACK_AT
from burnish.stats.detector import ALARM
from burnish.stats.sample_ratio import ALARM as MISMATCH

CHANGE = 2000
AFTER = 20_000
HARM = 0.15
SPLITS_LATE = (
    ("50 %, equal before", 0.5, 0.0),
    ("50 %, better before (−.05)", 0.5, -0.05),
    ("10 %, better before (−.05)", 0.1, -0.05),
    ("hold-back 5 %, equal before", 0.95, 0.0),
    ("hold-back 5 %, better before (−.05)", 0.95, -0.05),
)


def late_harm(size: int) -> list[dict[str, Any]]:
    """Return delays of the detector and of the plain rollback evidence after +.15 from run 2,000, and false alarms."""
    rows = []
    for name, p, before in SPLITS_LATE:
        rng = seeded("late", name)
        effect = np.concatenate([np.full(CHANGE, before), np.full(AFTER, HARM)])
        late, plain = _first(rng, effect, p, size, stop_after_both=True)
        quiet, _ = _first(seeded("quiet", name), np.full(5000, before), p, size, stop_after_both=False)
        valid = late > CHANGE
        rows.append(
            {
                "case": name,
                "delay_median": float(np.quantile(late[valid] - CHANGE, 0.5, method="higher")),
                "delay_p90": float(np.quantile(late[valid] - CHANGE, 0.9, method="higher")),
                "plain_delay_median": float(np.quantile(plain[plain > CHANGE] - CHANGE, 0.5, method="higher")),
                "alarm_before_change": float(1.0 - valid.mean()),
                "false_alarms_in_5000": float((quiet <= 5000).mean()),
                "replicates": size,
            }
        )
    return rows


def _first(
    rng: np.random.Generator, effect: Array, p: float, size: int, *, stop_after_both: bool
) -> tuple[Array, Array]:
    """Return the runs at which the detector alarmed and at which rollback evidence was reached; else n + 1."""
    never = float(len(effect) + 1)
    late, plain = np.full((2, size), never)
    state, run = Canaries(size, detect=True), 0
    for losses, arms in draws(rng, D1, size, np.full(len(effect), D1.bad), effect / D1.depth, np.full(len(effect), p)):
        for loss, arm in zip(losses, arms, strict=True):
            state.step(loss, arm, p)
            run += 1
            late = np.where((late == never) & (state.harm() >= ALARM), run, late)
            plain = np.where((plain == never) & (state.rollback() >= ROLLBACK_AT), run, plain)
        if stop_after_both and (late < never).all() and (plain < never).all():
            break
    return late, plain


def lost_logs(size: int) -> list[dict[str, Any]]:
    """Return how often the sample-ratio check flags the ramp when the candidate loses a share of its units."""
    p = SPLITS["ramp"]
    rows = []
    for lost in (0.0, 0.1, 0.2, 0.4):
        replicates = size if lost == 0.0 else max(size // 4, 20)
        rng = seeded("ratio", lost)
        ratios, flagged = Ratios(replicates), np.full(replicates, np.inf)
        naive, counted, ones = np.zeros((3, replicates))
        for run, share in enumerate(p.tolist(), start=1):
            arm = rng.random(replicates) < share
            seen = ~(arm & (rng.random(replicates) < lost))
            ratios.step(arm, share, seen)
            flagged = np.where(np.isinf(flagged) & (ratios.evidence() >= MISMATCH), run, flagged)
            counted += seen
            ones += seen & arm
            if run % 20 == 0:
                off = (ones - counted * share) ** 2 / (counted * share * (1.0 - share))
                naive = np.maximum(naive, off >= 10.83)  # χ² of one degree of freedom, p = .001
        reached = float(np.quantile(flagged, 0.5, method="higher"))
        rows.append(
            {
                "lost": lost,
                "flagged": float(np.isfinite(flagged).mean()),
                "median": reached if np.isfinite(reached) else None,
                "chi_squared_peeked": float(naive.mean()),
                "replicates": replicates,
            }
        )
    return rows


def shadow(size: int) -> list[dict[str, Any]]:
    """Return pairs to a decision of shadow runs on D1, by the share of luck that the two runs have in common."""
    return [
        {"alike": alike, "effect": effect} | _shadow(alike, effect, size)
        for alike in (0.0, 0.5, 0.8, 0.95)
        for effect in (0.0, -0.02, -0.05, 0.05, 0.15)
    ]


def _shadow(alike: float, effect: float, size: int) -> dict[str, Any]:
    rng, most = seeded("shadow", alike, effect), 5000
    promoted, rolled_back = np.full((2, size), np.inf)
    active, state = np.arange(size), Pairs(size)
    spread = 0.0
    for pair in range(1, most + 1):
        count = len(active)
        luck, value = rng.random(count), beta_2_18(rng, (count,))
        own, other = rng.random(count), beta_2_18(rng, (count,))
        same = rng.random(count) < alike
        control_luck, control_value = np.where(same, luck, own), np.where(same, value, other)
        candidate = np.where(luck < D1.bad + D1.shift(effect), 1.0 - value, value)
        control = np.where(control_luck < D1.bad, 1.0 - control_value, control_value)
        state.step(candidate - control)
        spread += float(((candidate - control) ** 2).mean()) if pair <= 200 else 0.0
        better, worse = state.promote() >= PROMOTE_AT, state.rollback() >= ROLLBACK_AT
        promoted[active[better]] = pair
        rolled_back[active[worse & ~better]] = pair
        if (better | worse).any():
            state.keep(~(better | worse))
            active = active[~(better | worse)]
        if not len(active):
            break
    middle = [float(np.quantile(each, 0.5, method="higher")) for each in (promoted, rolled_back)]
    return {
        "variance": spread / min(pair, 200),
        "promoted": float(np.isfinite(promoted).mean()),
        "promoted_median": middle[0] if np.isfinite(middle[0]) else None,
        "rolled_back": float(np.isfinite(rolled_back).mean()),
        "rolled_back_median": middle[1] if np.isfinite(middle[1]) else None,
        "replicates": size,
    }


DAYS = 25
RUNS_A_DAY = 200


def sticky_tenants(size: int) -> list[dict[str, Any]]:
    """Return false decisions about two equal arms when a tenant keeps its arm, and with means per (tenant, day)."""
    return [
        {"tenants": tenants, "p": p, "replicates": size}
        | {name: _tenants(tenants, p, size, name) for name in ("sticky, per run", "per (tenant, day)")}
        for tenants, p in ((20, 0.5), (40, 0.5), (40, 0.1), (200, 0.5))
    ]


def _tenants(tenants: int, p: float, size: int, how: str) -> dict[str, float]:
    rng = seeded("tenants", tenants, p, how)
    traffic = 1.0 / np.arange(1, tenants + 1)
    traffic /= traffic.sum()
    bad = rng.beta(2.0, 8.0, (size, tenants))
    state = Canaries(size, categories=tenants if how == "per (tenant, day)" else 0)
    promoted, rolled_back = np.zeros((2, size), dtype=np.bool_)
    arm = rng.random((size, tenants)) < p
    rows = np.arange(size)
    for _ in range(DAYS):
        if how == "per (tenant, day)":
            arm = rng.random((size, tenants)) < p
            means, seen = _day(rng, traffic, bad)
            for tenant in range(tenants):
                state.step(means[:, tenant], arm[:, tenant], p, category=tenant, seen=seen[:, tenant])
                promoted |= state.promote() >= PROMOTE_AT
                rolled_back |= state.rollback() >= ROLLBACK_AT
            continue
        for _ in range(RUNS_A_DAY):
            who = rng.choice(tenants, size, p=traffic)
            wrong = rng.random(size) < bad[rows, who]
            value = D1.values(rng, (size,))
            state.step(np.where(wrong, 1.0 - value, value), arm[rows, who], p)
            promoted |= state.promote() >= PROMOTE_AT
            rolled_back |= state.rollback() >= ROLLBACK_AT
    return {"promoted": float(promoted.mean()), "rolled_back": float(rolled_back.mean())}


def _day(rng: np.random.Generator, traffic: Array, bad: Array) -> tuple[Array, np.typing.NDArray[np.bool_]]:
    """Return each tenant's mean loss of a day's runs and whether it had any; both of shape [size, tenants]."""
    size, tenants = bad.shape
    total, count = np.zeros((2, size, tenants))
    who = rng.choice(tenants, (RUNS_A_DAY, size), p=traffic)
    rows = np.arange(size)
    for each in who:
        wrong = rng.random(size) < bad[rows, each]
        value = D1.values(rng, (size,))
        total[rows, each] += np.where(wrong, 1.0 - value, value)
        count[rows, each] += 1.0
    return total / np.maximum(count, 1.0), count > 0.0
