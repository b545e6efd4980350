"""Replays in the ledger of both databases: what was found comes back as it was found."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from burnish.ids import UuidV7Source
from burnish.propose.policy import Policy
from burnish.store.schema.trial import offline_replays
from burnish.store.store import Store
from burnish.testing.clock import FakeClock
from burnish.trial import replay_ledger
from burnish.trial.replay import replay
from burnish.trial.replay_record import ReplayItem, ReplayOutcome, ReplayReport

CLOCK = FakeClock()
IDS = UuidV7Source(CLOCK)
POLICY = Policy(tenant="t", agent="a", task_type="k", author="person:x", created="2026-01-01T00:00:00Z")
ITEMS = [ReplayItem(id=f"i{n}", task="é 😀", inputs={"n": n}) for n in range(30)]


def report(count: int = 30, better: float = 0.3, **options: object) -> ReplayReport:
    def run(policy: Policy | None, item: ReplayItem, seed: int) -> ReplayOutcome:  # noqa: ARG001 - a runner's signature
        if item.id == "i1":
            raise ValueError("\0 é")
        return ReplayOutcome(loss=0.5 if policy is None else 0.5 - better, cost_usd=0.1, duration_s=1.5)

    return replay(POLICY, None, ITEMS[:count], run, **options)  # type: ignore[arg-type]  # options of a test


def keep(store: Store, found: ReplayReport) -> str:
    CLOCK.advance(1)
    with store.write() as connection:
        return replay_ledger.record(connection, store.kind, found, ids=IDS, now=CLOCK.now())


def test_a_report_comes_back_as_it_was_found(store: Store) -> None:
    found = report()
    kept = keep(store, found)
    with store.read() as connection:
        back = replay_ledger.latest(connection, POLICY.digest)
        row = connection.execute(select(offline_replays)).mappings().one()
    assert back is not None
    assert back.report == found
    assert (back.id, back.created_at) == (kept, CLOCK.now())
    assert (row["tenant"], row["agent"], row["task_type"], row["baseline"]) == ("t", "a", "k", None)
    assert (row["verdict"], row["method"], row["items"], row["seeds"]) == ("pass", "function", 30, 3)
    assert (row["mean_delta"], row["low"], row["high"]) == (found.mean_delta, found.low, found.high)
    assert row["data_digest"] == found.data_digest
    assert row["cost_usd"] == pytest.approx(29 * 6 * 0.1)
    assert row["duration_s"] == pytest.approx(29 * 6 * 1.5)


def test_the_newest_replay_of_a_policy_is_the_latest(store: Store) -> None:
    first, second = keep(store, report()), keep(store, report(better=-0.3))
    keep(store, msgspec.structs.replace(report(), candidate="sha256:other"))
    with store.read() as connection:
        found = replay_ledger.latest(connection, POLICY.digest)
        assert found is not None
        assert (found.id, found.verdict) == (second, "fail")
        assert [one.id for one in replay_ledger.history(connection, POLICY.digest)] == [second, first]
        assert [one.id for one in replay_ledger.history(connection, POLICY.digest, limit=1)] == [second]
        assert replay_ledger.latest(connection, "sha256:never") is None


def test_a_replay_of_nothing_is_kept_without_a_difference(store: Store) -> None:
    keep(store, report(count=1, cost_cap_usd=0.01))
    with store.read() as connection:
        found = replay_ledger.latest(connection, POLICY.digest)
    assert found is not None
    assert (found.items, found.mean_delta, found.verdict) == (0, None, "inconclusive")


def test_the_table_itself_refuses_a_verdict_that_is_none(store: Store) -> None:
    keep(store, report())
    with pytest.raises(IntegrityError), store.write() as connection:
        connection.execute(text("UPDATE offline_replays SET verdict = 'maybe'"))
