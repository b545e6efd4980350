"""The registry of experiments on both databases: each ends once, whatever becomes of the work."""

from __future__ import annotations

import statistics
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from sqlalchemy.exc import IntegrityError

from burnish.errors import InvalidValue, NotFound
from burnish.ids import UuidV7Source
from burnish.propose import experiments
from burnish.propose.experiment_run import ExperimentRun, experiment
from burnish.propose.experiments import Experiment, SeedResult, stability
from burnish.store import migrate
from burnish.store.opening import open_store
from burnish.store.schema.propose import experiments as table
from burnish.store.store import Store
from burnish.testing.clock import FakeClock

CLOCK = FakeClock()
IDS = UuidV7Source(CLOCK)
SEEDS = (SeedResult(0, 0.5, 0.4), SeedResult(1, 0.5, 0.3), SeedResult(2, 0.4, 0.4))


def begun(store: Store, kind: str = "prompt_synthesis", tenant: str = "t", **facts: object) -> str:
    with store.write() as connection:
        return experiments.begin(connection, kind, tenant=tenant, agent="coder", ids=IDS, now=CLOCK.now(), **facts)  # type: ignore[arg-type]  # facts of a test


def finished(store: Store, found: str, before: float = 0.5, after: float = 0.4, **facts: object) -> Experiment:
    with store.write() as connection:
        return experiments.finish(
            connection,
            found,
            tenant="t",
            policy="sha256:1",
            loss_before=before,
            loss_after=after,
            now=CLOCK.now(),
            **facts,  # type: ignore[arg-type]  # facts of a test
        )


def failed(store: Store, found: str, tenant: str = "t") -> Experiment:
    with store.write() as connection:
        return experiments.fail(connection, found, tenant=tenant, note="no luck", now=CLOCK.now())


def registered(store: Store, **wanted: object) -> list[Experiment]:
    with store.read() as connection:
        return experiments.list_experiments(connection, tenant="t", **wanted)  # type: ignore[arg-type]  # as above


def test_an_experiment_that_finishes_keeps_what_it_was_worth(store: Store) -> None:
    found = begun(store, task_type="code", configuration={"rounds": 3})
    (running,) = registered(store)
    assert (running.status, running.configuration, running.task_type) == ("running", {"rounds": 3}, "code")
    ended = finished(store, found, seeds=SEEDS, cost_usd=1.5, duration_s=60.0, note="good")
    assert registered(store) == [ended]
    assert ended.loss_delta == pytest.approx(-0.1)
    assert ended.stability == pytest.approx(statistics.stdev([-0.1, -0.2, 0.0]))
    assert ended.seeds == list(SEEDS)
    assert (ended.policy, ended.cost_usd, ended.duration_s, ended.note) == ("sha256:1", 1.5, 60.0, "good")


def test_an_experiment_ends_once(store: Store) -> None:
    found = begun(store)
    ended = finished(store, found)
    with pytest.raises(InvalidValue, match="it has finished already"):
        failed(store, found)
    with pytest.raises(InvalidValue, match="it has finished already"):
        finished(store, found, after=0.1)
    assert registered(store) == [ended]


def test_another_tenants_experiment_does_not_exist(store: Store) -> None:
    found = begun(store, tenant="other")
    with pytest.raises(NotFound, match="experiment"):
        failed(store, found)
    assert registered(store) == []
    assert failed(store, found, tenant="other").status == "failed"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"after": 1.1}, "loss_after"),
        ({"before": float("nan")}, "loss_before"),
        ({"seeds": [SeedResult(1, 0.1, 0.1), SeedResult(1, 0.2, 0.2)]}, "each seed once"),
        ({"seeds": [SeedResult(1, -0.1, 0.1)]}, r"seeds\[1\].before"),
        ({"cost_usd": -1.0}, "cost_usd"),
        ({"duration_s": float("inf")}, "duration_s"),
    ],
)
def test_a_result_that_cannot_be_is_refused_and_the_experiment_runs_on(
    store: Store, facts: dict[str, object], said: str
) -> None:
    found = begun(store)
    with pytest.raises(InvalidValue, match=said):
        finished(store, found, **facts)  # type: ignore[arg-type]  # wrong values are the point
    assert registered(store)[0].status == "running"


@pytest.mark.parametrize(
    ("kind", "facts", "said"),
    [
        ("alchemy", {}, "prompt_synthesis, adapter_training, tool_tuning, rag_optimization"),
        ("tool_tuning", {"configuration": {"x": float("nan")}}, "configuration"),
        ("tool_tuning", {"configuration": {"x": "\0"}}, "NUL"),
        ("tool_tuning", {"tenant": " "}, "tenant"),
    ],
)
def test_what_cannot_be_registered_is_refused(store: Store, kind: str, facts: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        begun(store, kind, **facts)  # type: ignore[arg-type]  # wrong values are the point


def test_the_table_itself_refuses_a_kind_that_is_none(store: Store) -> None:
    begun(store)
    with pytest.raises(IntegrityError), store.write() as connection:
        connection.execute(table.update().values(kind="alchemy"))


def test_the_newest_come_first_page_by_page_and_only_those_asked_for(store: Store) -> None:
    found = [begun(store, kind) for kind in experiments.KINDS]
    failed(store, found[1])
    assert [e.id for e in registered(store)] == found[::-1]
    assert [e.id for e in registered(store, limit=2)] == [found[3], found[2]]
    assert [e.id for e in registered(store, limit=2, before=found[2])] == [found[1], found[0]]
    assert [e.id for e in registered(store, status="failed")] == [found[1]]
    assert [e.id for e in registered(store, kind="tool_tuning")] == [found[2]]
    assert registered(store, agent="nobody") == []


def test_the_success_rate_counts_those_that_ended_better(store: Store) -> None:
    for after in (0.3, 0.5, 0.6):
        finished(store, begun(store), before=0.5, after=after, cost_usd=2.0)
    failed(store, begun(store))
    begun(store)
    begun(store, "tool_tuning")
    with store.read() as connection:
        prompts, tools = experiments.success_rates(connection, tenant="t")
    assert (prompts.running, prompts.finished, prompts.failed, prompts.improved) == (1, 3, 1, 1)
    assert prompts.rate == 0.25
    assert prompts.mean_delta == pytest.approx(-0.1 / 3)
    assert prompts.cost_usd == 6.0
    assert (tools.kind, tools.running, tools.rate, tools.mean_delta) == ("tool_tuning", 1, None, None)


def test_a_running_experiment_of_a_process_that_died_is_ended(store: Store) -> None:
    old = begun(store)
    CLOCK.advance(3600)
    fresh = begun(store)
    with store.write() as connection:
        limit = CLOCK.now() - timedelta(minutes=30)
        assert experiments.fail_abandoned(connection, tenant="t", begun_before=limit, now=CLOCK.now()) == 1
        assert experiments.fail_abandoned(connection, tenant="t", begun_before=limit, now=CLOCK.now()) == 0
    assert {e.id: e.status for e in registered(store)} == {old: "failed", fresh: "running"}


def work(store: Store, *, error: BaseException | None = None, result: bool = False) -> ExperimentRun:
    """Spend a dollar and ten seconds, then fail, finish or just stop."""
    clock = FakeClock()
    with experiment(store, "rag_optimization", tenant="t", agent="a", ids=IDS, clock=clock) as run:
        run.spend(0.25)
        run.spend(0.75)
        clock.advance(10)
        if error is not None:
            raise error
        if result:
            run.finish(policy=None, loss_before=0.5, loss_after=0.5)
    return run


@pytest.mark.parametrize("error", [ValueError("bad \0 luck " * 1_000), KeyboardInterrupt(), SystemExit(3)])
def test_work_that_raises_is_recorded_as_failed_and_raised_on(store: Store, error: BaseException) -> None:
    with pytest.raises(type(error)):
        work(store, error=error)
    (found,) = registered(store)
    assert (found.status, found.cost_usd, found.duration_s) == ("failed", 1.0, 10.0)
    assert found.note is not None
    assert found.note.startswith(type(error).__name__)


def test_work_that_ends_without_a_result_has_failed_and_with_one_has_finished(store: Store) -> None:
    work(store)
    work(store, result=True)
    done, stopped = registered(store)
    assert (stopped.status, stopped.note) == ("failed", "it ended without a result")
    assert (done.status, done.loss_delta, done.stability) == ("finished", 0.0, None)
    assert (done.cost_usd, done.duration_s) == (1.0, 10.0)


def test_an_error_after_the_result_leaves_the_result(store: Store) -> None:
    kept: list[ExperimentRun] = []

    def work() -> None:
        with experiment(store, "tool_tuning", tenant="t", agent="a", ids=IDS, clock=FakeClock()) as run:
            kept.append(run)
            run.finish(policy=None, loss_before=0.5, loss_after=0.25)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert registered(store)[0].status == "finished"
    with pytest.raises(InvalidValue, match="already"):
        kept[0].finish(policy=None, loss_before=0.5, loss_after=0.5)


def test_a_store_that_is_gone_does_not_hide_what_the_work_raised(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    migrate.upgrade(store)

    def work() -> None:
        with experiment(store, "tool_tuning", tenant="t", agent="a", ids=IDS, clock=FakeClock()):
            with store.write() as connection:
                connection.exec_driver_sql("DROP TABLE experiments")
            raise ValueError("the real cause")

    with pytest.raises(ValueError, match="the real cause") as caught:
        work()
    assert "still stands as running" in caught.value.__notes__[0]
    store.close()


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=6))
def test_stability_is_how_far_the_seeds_disagree(losses: list[tuple[float, float]]) -> None:
    found = stability([SeedResult(n, before, after) for n, (before, after) in enumerate(losses)])
    if len(losses) < 2:
        assert found is None
    else:
        assert found == pytest.approx(statistics.stdev(after - before for before, after in losses))
