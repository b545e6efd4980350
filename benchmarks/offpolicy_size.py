"""Measure how long off-policy evaluation takes on very many runs, and how much memory it needs."""

from __future__ import annotations

import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta

import numpy as np

from burnish.capture import ledger
from burnish.capture.records import Bundle, DecisionRecord, RunRecord
from burnish.clock import SystemClock
from burnish.ids import UuidV7Source
from burnish.stats.offpolicy import LoggedChoices, difference
from burnish.store import migrate
from burnish.store.opening import open_store
from burnish.store.store import Store
from burnish.trial.offpolicy import off_policy

ARMS = [f"model-{k}" for k in range(8)]
TYPES = [f"type-{k}" for k in range(20)]
AT_ONCE = 1_000


def estimate(runs: int) -> dict[str, float]:
    """Return seconds and added memory of one estimate from arrays of very many runs."""
    rng = np.random.default_rng(5)
    logged = rng.dirichlet(np.ones(len(ARMS)), size=runs)
    target = np.eye(len(ARMS))[rng.integers(len(ARMS), size=runs)]
    arm, kinds = rng.integers(len(ARMS), size=runs), rng.integers(len(TYPES), size=runs)
    log = LoggedChoices(arm, kinds, rng.random(runs), logged, target)
    before, began = _peak_mb(), time.perf_counter()
    difference(log)
    return {
        "runs": runs,
        "arms": len(ARMS),
        "seconds": time.perf_counter() - began,
        "added_mb": _peak_mb() - before,
    }


def from_ledger(runs: int) -> dict[str, float]:
    """Return seconds and added memory of one report from a SQLite ledger of very many runs."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        migrate.upgrade(store)
        _fill(store, runs)
        before, began = _peak_mb(), time.perf_counter()
        with store.read() as connection:
            report = off_policy(connection, lambda _: {ARMS[0]: 1.0}, tenant="default", agent="agent")
        seconds = time.perf_counter() - began
        store.close()
    return {"runs": report.runs, "arms": len(ARMS), "seconds": seconds, "added_mb": _peak_mb() - before}


def _fill(store: Store, runs: int) -> None:
    rng, ids = np.random.default_rng(6), UuidV7Source(SystemClock())
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for first in range(0, runs, AT_ONCE):
        with store.write() as connection:
            some = [
                _bundle(rng, ids(), start + timedelta(seconds=first + k)) for k in range(min(AT_ONCE, runs - first))
            ]
            ledger.write(connection, store.kind, some)


def _bundle(rng: np.random.Generator, identity: str, moment: datetime) -> Bundle:
    shares = rng.dirichlet(np.ones(len(ARMS)))
    arm, kind = int(rng.choice(len(ARMS), p=shares)), str(rng.choice(TYPES))
    numbers = {"quality": 0.8, "quality_sd": 0.05, "cost_usd": 0.02, "latency_s": 3.0, "utility": 0.7, "observed": 90.0}
    candidates: list[dict[str, object]] = [
        {"model": model, "probability": float(p), **numbers, "excluded": None}
        for model, p in zip(ARMS, shares, strict=True)
    ]
    run = RunRecord(
        id=identity,
        created_at=moment,
        tenant="default",
        agent="agent",
        root_id=identity,
        task_type=kind,
        features={"language": "python"},
        started_at=moment,
        duration_s=float(rng.random()),
        cost_usd=float(rng.random()),
        loss=float(rng.random()),
        process_id=identity,
    )
    decision = DecisionRecord(
        id=identity,
        created_at=moment,
        tenant="default",
        run_id=identity,
        attempt=0,
        agent="agent",
        task_type=kind,
        rule="learned",
        reason="benchmark",
        model=ARMS[arm],
        propensity=float(shares[arm]),
        candidates=candidates,
        fallbacks=[],
        price_of_cost=0.0,
        epoch=0,
    )
    return Bundle(run=run, decisions=[decision])


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
