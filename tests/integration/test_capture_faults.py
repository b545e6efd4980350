"""What goes wrong inside one process: full queues, poison records, handlers that raise, tasks that interleave."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import burnish
from burnish.capture.records import Bundle, SignalRecord
from burnish.clock import SystemClock

OpenLoop = Callable[..., burnish.Loop]
Sink = Callable[[list[Bundle]], None]
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


class Gate:
    """Stands between the writer thread and the store; shut, it holds the writer up."""

    def __init__(self, loop: burnish.Loop) -> None:
        self.open = threading.Event()
        self._sink: Sink = loop.recorder._sink
        loop.recorder._sink = self._pass

    def _pass(self, batch: list[Bundle]) -> None:
        assert self.open.wait(30)
        self._sink(batch)


def capture(loop: burnish.Loop, count: int, **facts: object) -> list[str]:
    ids = []
    for _ in range(count):
        with loop.run(agent="a", task_type="t", **facts) as run:  # type: ignore[arg-type]  # facts of a test
            run.outcome(success=True)
        ids.append(run.id)
    return ids


def test_a_full_queue_drops_at_once_and_counts(open_loop: OpenLoop) -> None:
    loop = open_loop(strict=False, queue_runs=50, batch_runs=10)
    capture(loop, 1)
    loop.flush()
    gate = Gate(loop)
    problems: list[burnish.CaptureProblem] = []
    loop.on(burnish.CaptureProblem, problems.append)
    slowest = 0.0
    for _ in range(200):
        began = time.perf_counter()
        capture(loop, 1)
        slowest = max(slowest, time.perf_counter() - began)
    assert slowest < 0.25
    gate.open.set()
    done = loop.flush()
    assert (done.complete, done.durable) == (True, False)
    assert done.stored + done.dropped == 201
    assert 51 <= done.stored <= 61  # what the queue holds, and the batch that was under way
    assert [problem.what for problem in problems] == ["queue"] * done.dropped
    assert len(loop.runs(limit=1000)) == done.stored


def test_a_queue_full_of_text_drops_too(open_loop: OpenLoop) -> None:
    loop = open_loop(strict=False, queue_mb=1, clip_chars=60_000)
    gate = Gate(loop)
    capture(loop, 100, task="x" * 60_000)
    gate.open.set()
    assert 10 <= loop.flush().stored <= 34
    assert loop.flush().dropped >= 66


def test_one_poison_record_costs_only_itself(open_loop: OpenLoop) -> None:
    loop = open_loop()
    sink: Sink = loop.recorder._sink

    def picky(batch: list[Bundle]) -> None:
        if any(bundle.run is not None and bundle.run.task == "poison" for bundle in batch):
            raise ValueError("this one cannot be written")
        sink(batch)

    loop.recorder._sink = picky
    problems: list[burnish.CaptureProblem] = []
    loop.on(burnish.CaptureProblem, problems.append)
    good = [*capture(loop, 20), *(capture(loop, 1, task="poison") and capture(loop, 20))]
    done = loop.flush()
    assert (done.stored, done.dropped, done.durable) == (40, 1, False)
    assert {run.id for run in loop.runs(limit=100)} == set(good)
    assert [problem.message for problem in problems] == [
        "a run was refused by the store and dropped: this one cannot be written"
    ]


def test_a_record_the_database_refuses_costs_only_itself(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url, strict=False)
    good = capture(loop, 5)
    signal = SignalRecord(
        id="s", created_at=SystemClock().now(), tenant=None, run_id=good[0], name="n", value=1.0, late=True  # type: ignore[arg-type]  # what no table takes
    )  # fmt: skip
    loop.recorder.put(Bundle(signals=[signal]), 1)
    good += capture(loop, 5)
    assert loop.flush().stored == 10
    assert {run.id for run in loop.runs()} == set(good)


@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(1), KeyboardInterrupt()])
def test_a_handler_that_raises_stops_nothing(open_loop: OpenLoop, error: BaseException) -> None:
    loop = open_loop(models=["m"])
    heard: list[str] = []

    def raises(event: burnish.ExecutionRecorded) -> None:
        heard.append(event.run_id)
        raise error

    loop.on(burnish.ExecutionRecorded, raises)
    first = capture(loop, 10)
    assert loop.flush(10).stored == 10
    second = capture(loop, 10)
    assert loop.flush(10).stored == 20
    assert {run.id for run in loop.runs()} == {*first, *second}
    assert second[0] in heard


def test_a_handler_that_raises_in_the_host_stops_neither_host_nor_other_handlers(open_loop: OpenLoop) -> None:
    loop = open_loop(models=["m"])
    heard: list[str] = []

    def raises(_: burnish.RoutingDecision) -> None:
        raise RuntimeError("a handler's own fault")

    loop.on(burnish.RoutingDecision, raises)
    loop.on(burnish.RoutingDecision, lambda event: heard.append(event.model))
    with loop.run() as run:
        assert run.decide().model == "m"
    assert heard == ["m"]


def test_a_handler_that_flushes_does_not_wait_for_itself(open_loop: OpenLoop) -> None:
    loop = open_loop()
    answers: list[bool] = []
    loop.on(burnish.ExecutionRecorded, lambda _: answers.append(loop.flush(20).complete))
    began = time.monotonic()
    capture(loop, 1)
    assert loop.flush().complete
    assert time.monotonic() - began < 5
    assert len(answers) == 1


def test_a_handler_that_captures_is_captured(open_loop: OpenLoop) -> None:
    loop = open_loop()

    def echo(event: burnish.ExecutionRecorded) -> None:
        if event.agent == "a":
            with loop.run(agent="echo") as run:
                run.outcome(success=True)

    loop.on(burnish.ExecutionRecorded, echo)
    capture(loop, 5)
    loop.flush()
    loop.flush()
    assert len(loop.runs(agent="echo")) == 5


def test_flush_ends_while_others_keep_capturing(open_loop: OpenLoop) -> None:
    loop = open_loop()
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.002):
            capture(loop, 1)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.2)
    mine = capture(loop, 1)
    done = loop.flush(20)
    found = loop.explain(mine[0]).run.id
    stop.set()
    thread.join()
    assert (done.complete, done.durable, found) == (True, True, mine[0])


def test_under_steady_load_what_other_processes_configure_is_still_noticed(open_loop: OpenLoop, store_url: str) -> None:
    busy, other = open_loop(store_url, models=["a", "b"]), open_loop(store_url, seed=2)
    with busy.run(agent="a", task_type="t") as first:
        first.decide()
    deadline = time.monotonic() + 20
    other.set_routing("t", mode="pinned", model="b")
    rule = ""
    while rule != "configured":
        assert time.monotonic() < deadline
        with busy.run(agent="a", task_type="t") as run:
            rule = run.decide().rule
            run.outcome(success=True)
        time.sleep(0.005)
    assert run.decision is not None
    assert (run.decision.model, run.decision.propensity) == ("b", 1.0)


def test_a_long_drain_leaves_room_in_the_queue(open_loop: OpenLoop, tmp_path: Path) -> None:
    with burnish.open(NOWHERE, home=str(tmp_path / "loop")) as away:
        capture(away, 3_000)
    loop = open_loop(queue_runs=200, batch_runs=50)
    slow: Sink = loop.recorder._sink

    def slower(batch: list[Bundle]) -> None:
        time.sleep(0.02)
        slow(batch)

    loop.recorder._sink = slower
    capture(loop, 1)
    while any((tmp_path / "loop" / "spool").iterdir()):
        capture(loop, 1)
        time.sleep(0.002)
    done = loop.flush()
    assert (done.dropped, done.durable) == (0, True)
    assert done.stored > 200
    assert len(loop.runs(limit=100_000)) == done.stored + 3_000


def test_a_run_after_close_is_refused_in_words_and_counted(open_loop: OpenLoop, tmp_path: Path) -> None:
    loop = open_loop(strict=False)
    problems: list[burnish.CaptureProblem] = []
    loop.on(burnish.CaptureProblem, problems.append)
    capture(loop, 1)
    loop.close()
    capture(loop, 1)
    assert "after the loop was closed" in problems[0].message
    with burnish.open(str(tmp_path / "loop")) as again:
        assert len(again.runs()) == 1
        assert sum(counts.dropped for counts in again.status()) == 1


def test_without_threads_to_be_had_closing_writes_what_waits(
    open_loop: OpenLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    loop = open_loop()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuses)
        ids = capture(loop, 3)
        loop.close()
    assert {run.id for run in loop.runs()} == set(ids)


async def test_interleaved_tasks_have_the_right_parents(open_loop: OpenLoop) -> None:
    loop = open_loop()

    async def work(number: int) -> tuple[str, list[str]]:
        async with loop.run(agent=f"outer{number}", task_type="t") as outer:
            await asyncio.sleep(number % 7 / 1000)

            async def inner() -> str:
                with loop.run(agent="inner", task_type="t") as run:
                    await asyncio.sleep(number % 5 / 1000)
                    return run.id

            return outer.id, list(await asyncio.gather(inner(), inner()))

    async with loop.run(agent="root", task_type="t") as root:
        found = await asyncio.gather(*(work(number) for number in range(100)))
    await asyncio.to_thread(loop.flush)
    runs = {run.id: run for run in loop.runs(limit=1000)}
    assert len(runs) == 301
    for outer, inners in found:
        assert runs[outer].parent_id == root.id
        assert [runs[inner].parent_id for inner in inners] == [outer, outer]
    assert {run.root_id for run in runs.values()} == {root.id}


def test_a_run_left_in_another_context_than_entered_is_no_ones_parent(open_loop: OpenLoop) -> None:
    loop = open_loop()
    run = loop.run(agent="strayed")
    asyncio.run(_enter(run))
    run.__exit__(*sys.exc_info())
    with loop.run(agent="after") as after:
        pass
    loop.flush()
    assert loop.explain(after.id).run.parent_id is None
    assert msgspec.structs.asdict(loop.explain(run.id).run)["agent"] == "strayed"


async def _enter(run: burnish.Run) -> None:
    run.__enter__()
