"""Off-policy evaluation of what a loop logged, against a recorded world that knows the answer, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import update

import burnish
from burnish.demo.performance import world_of
from burnish.errors import InvalidValue
from burnish.propose.policy import Policy, RoutingRule
from burnish.store.schema.capture import decisions
from burnish.testing.clock import FakeClock
from burnish.testing.world import RecordedWorld
from burnish.trial.offpolicy import off_policy
from burnish.trial.offpolicy_ledger import Unreadable, off_policy_rows
from burnish.trial.offpolicy_record import LoggedOutcome, LoggedRun, OffPolicyReport

OpenLoop = Callable[..., burnish.Loop]
AGENT = "coder"
RUNS = 800
START = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def world() -> RecordedWorld:
    """The recorded world of the demo: 1,112 agent tasks × 5 models."""
    return world_of(None)[0]


def play(loop: burnish.Loop, clock: FakeClock, world: RecordedWorld, runs: int = RUNS) -> dict[str, str]:
    """Let the loop serve recorded tasks; returns the task of each run."""
    loop.configure("route.floor", 0.2)
    done = {}
    for at, task in enumerate(world.order(3, 1)[0][:runs]):
        clock.advance(60)
        with loop.run(agent=AGENT, task_type=task.type, features={"half": at % 2}) as run:
            outcome = world.outcome(task.id, run.decide().model)
            run.call({"model": outcome.model, "cost_usd": outcome.cost_usd}, latency_s=1.0)
            run.outcome(quality=outcome.quality)
        done[run.id] = task.id
        if at % 10 == 9:
            loop.flush()
    loop.flush()
    return done


def policy_of(models: Mapping[str, str]) -> Policy:
    rules = [RoutingRule(when={"task_type": kind}, model=model) for kind, model in models.items()]
    return Policy(tenant="default", agent=AGENT, author="person:ann", created="2026-05-01T00:00:00Z", routing=rules)


def rows(loop: burnish.Loop, **options: object) -> list[LoggedOutcome | Unreadable]:
    with loop.store.read() as connection:
        found = off_policy_rows(connection, tenant=loop.settings.tenant, agent=AGENT, **options)  # type: ignore[arg-type]  # options of a test
        return list(found)


def evaluated(loop: burnish.Loop, target: Policy, **options: object) -> OffPolicyReport:
    with loop.store.read() as connection:
        return off_policy(connection, target, tenant=loop.settings.tenant, agent=AGENT, **options)  # type: ignore[arg-type]  # options of a test


def truth(loop: burnish.Loop, world: RecordedWorld, done: Mapping[str, str], models: Mapping[str, str]) -> float:
    """Return what the target would really have changed on these very runs."""
    total = 0.0
    for row in rows(loop):
        assert isinstance(row, LoggedOutcome)
        task = done[row.run.id]
        before = sum(p * (1 - world.outcome(task, model).quality) for model, p in row.run.probabilities.items())
        total += 1 - world.outcome(task, models[row.run.task_type]).quality - before
    return total / len(done)


def test_the_report_tells_what_a_recorded_world_knows(
    open_loop: OpenLoop, store_url: str, world: RecordedWorld
) -> None:
    clock = FakeClock(START)
    loop = open_loop(store_url, models=list(world.models), clock=clock)
    done = play(loop, clock, world)
    references = world.references(price=0.0)
    best, worst = references.type_oracle.models, dict.fromkeys(world.types, references.cheapest.models[world.types[0]])
    for models in (best, worst):
        report = evaluated(loop, policy_of(models))
        exact = truth(loop, world, done, models)
        assert (report.runs, report.unscored, report.unreadable, report.limited) == (RUNS, 0, 0, False)
        assert report.support == 1.0
        assert report.low is not None
        assert report.high is not None
        assert report.low <= exact <= report.high
        assert report.dr == pytest.approx(exact, abs=0.12)
        assert report.cost_usd is not None
        assert report.cost_usd.runs == RUNS
        assert report.over_p95 is not None
    logged = [row.loss for row in rows(loop) if isinstance(row, LoggedOutcome)]
    assert report.logged_loss == pytest.approx(sum(x for x in logged if x is not None) / RUNS)


def test_both_databases_give_the_same_report(
    open_loop: OpenLoop, tmp_path: Path, postgres_url: str, world: RecordedWorld
) -> None:
    found = []
    for url in (str(tmp_path / "store"), postgres_url):
        clock = FakeClock(START)
        loop = open_loop(url, models=list(world.models), clock=clock)
        play(loop, clock, world, 200)
        report = evaluated(loop, policy_of(world.references(price=0.0).type_oracle.models))
        found.append(msgspec.structs.replace(report, data_digest="", latency_p95_s=None, over_p95=None))
    assert found[0] == found[1]
    assert found[0].runs == 200


def test_a_window_a_task_type_and_a_limit_choose_the_newest_runs_of_it(
    open_loop: OpenLoop, store_url: str, world: RecordedWorld
) -> None:
    clock = FakeClock(START)
    loop = open_loop(store_url, models=list(world.models), clock=clock)
    play(loop, clock, world, 60)
    with loop.run(agent="other", task_type="x") as run:
        run.decide()
        run.outcome(success=True)
    with loop.run(agent=AGENT, task_type="x") as run:
        run.outcome(success=True)
    loop.flush()
    found = rows(loop)
    assert len(found) == 60
    started = [row.run.started_at for row in found if isinstance(row, LoggedOutcome)]
    assert started == sorted(started, reverse=True)
    middle = START + timedelta(minutes=30)
    later = rows(loop, since=middle)
    assert len(later) + len(rows(loop, until=middle)) == 60
    assert rows(loop, since=middle, limit=5) == later[:5] == found[:5]
    kind = world.types[0]
    of_kind = rows(loop, task_type=kind)
    assert 0 < len(of_kind) < 60
    assert {row.run.task_type for row in of_kind if isinstance(row, LoggedOutcome)} == {kind}
    assert {row.run.features["half"] for row in found if isinstance(row, LoggedOutcome)} == {0, 1}
    with pytest.raises(InvalidValue, match="time with its zone"):
        rows(loop, since=datetime(2026, 5, 1))  # noqa: DTZ001 - a naive time is the point


def test_only_the_first_attempt_counts_and_late_evidence_changes_the_loss(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url, models=["small", "large"])
    with loop.run(agent=AGENT, task_type="code") as run:
        first = run.decide().model
        run.fallback("quality")
        run.outcome(success=True)
    with loop.run(agent=AGENT, task_type="code") as unscored:
        unscored.decide()
    loop.flush()
    found = {row.run.id: row for row in rows(loop) if isinstance(row, LoggedOutcome)}
    assert found[run.id].model == first
    assert found[run.id].loss == pytest.approx(0.0)
    assert found[unscored.id].loss is None
    loop.feedback(run.id, success=False)
    loop.flush()
    again = {row.run.id: row for row in rows(loop) if isinstance(row, LoggedOutcome)}
    assert again[run.id].loss == pytest.approx(1.0)
    report = evaluated(loop, policy_of({}))
    assert (report.runs, report.unscored) == (1, 1)


def test_a_model_over_its_cap_is_not_eligible(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url, models=["cheap", "dear"])
    for _ in range(10):
        for model, cost in (("cheap", 0.01), ("dear", 5.0)):
            with loop.run(agent=AGENT, task_type="code") as run:
                run.call({"model": model, "cost_usd": cost})
                run.outcome(success=True)
    loop.flush()
    loop.configure("route.cap_usd_per_run", 1.0)
    with loop.run(agent=AGENT, task_type="code") as run:
        run.decide()
        run.outcome(success=True)
    loop.flush()
    row = rows(loop)[0]
    assert isinstance(row, LoggedOutcome)
    assert dict(row.run.probabilities) == {"cheap": 1.0}
    assert list(row.run.excluded) == ["dear"]


@pytest.mark.parametrize(
    "candidates",
    [[], {}, "x", [{"model": "small"}], [{"model": "small", "probability": 0.4, "excluded": None}], [1, 2]],
)
def test_a_decision_whose_probabilities_are_not_whole_is_counted_and_left_out(
    open_loop: OpenLoop, store_url: str, candidates: object
) -> None:
    loop = open_loop(store_url, models=["small", "large"])
    for _ in range(2):
        with loop.run(agent=AGENT, task_type="code") as run:
            run.decide()
            run.outcome(success=True)
    loop.flush()
    with loop.store.write() as connection:
        connection.execute(update(decisions).where(decisions.c.run_id == run.id).values(candidates=candidates))
    assert sum(isinstance(row, Unreadable) for row in rows(loop)) == 1
    report = evaluated(loop, policy_of({}))
    assert (report.runs, report.unreadable) == (1, 1)


def test_a_target_may_be_any_function_of_what_was_known(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url, models=["small", "large"])
    for _ in range(30):
        with loop.run(agent=AGENT, task_type="code") as run:
            run.decide()
            run.outcome(success=True)
    loop.flush()

    def even(run: LoggedRun) -> Mapping[str, float]:
        return dict.fromkeys(run.probabilities, 1 / len(run.probabilities))

    with loop.store.read() as connection:
        report = off_policy(connection, even, tenant=loop.settings.tenant, agent=AGENT, limit=20)
    assert (report.runs, report.limited, report.target) == (20, True, None)
    assert report.dr == pytest.approx(0.0)
