"""The store goes away, and comes back: the host notices nothing, and every run arrives once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeVar

import pytest
from sqlalchemy import func, select

import burnish
from burnish.capture.records import Bundle, PoolEventRecord
from burnish.clock import SystemClock
from burnish.store.schema.capture import runs
from burnish.store.schema.learn import model_performance
from scripts.postgres import Server, running

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
Answer = TypeVar("Answer")
SECONDS_DOWN = 3.0
LONGEST_CALL = 0.5
"""Seconds; generous, as tests share their cores with others. The benchmark has the real figure."""

SPOOLS_AND_DIES = """
import os, signal, sys, burnish
loop = burnish.open(sys.argv[1], home=sys.argv[2])
for _ in range(300):
    with loop.run(agent="dead", task_type="t") as run:
        run.outcome(success=True)
done = loop.flush()
assert (done.durable, done.spooled) == (True, 300), done
os.kill(os.getpid(), signal.SIGKILL)
"""
FILLS_THE_DISK = """
import json, logging, resource, sys, burnish
logging.basicConfig(stream=sys.stderr)
loop = burnish.open(sys.argv[1], home=sys.argv[2], batch_runs=10)
problems = []
loop.on(burnish.CaptureProblem, lambda problem: problems.append(problem.what))
for size in (30_000, 0):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    for _ in range(200):
        with loop.run(agent="a", task_type="t", task="x" * 100) as run:
            run.outcome(success=True)
    done = loop.flush()
print(json.dumps([done.complete, done.durable, done.spooled, done.dropped, problems.count("spool")]))
"""


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of the test's own, to be killed."""
    with running() as started:
        yield started


class Host:
    """Captures in a thread at a steady pace and times every call."""

    def __init__(self, loop: burnish.Loop) -> None:
        self.ids: list[str] = []
        self.slowest = 0.0
        self._loop = loop
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        assert self._error is None

    def _work(self) -> None:
        try:
            while not self._stop.wait(0.004):
                self._once(len(self.ids))
        except BaseException as error:
            self._error = error
            raise

    def _once(self, step: int) -> None:
        agent = f"agent{step // 200}"  # a new one now and then, which nothing is known of yet
        run = self._timed(lambda: self._loop.run(agent=agent, task_type="t"))
        with run:
            model = self._timed(run.decide).model
            self._timed(lambda: run.call(model=model, cost_usd=0.01))
            self._timed(lambda: run.outcome(success=True))
            self._timed(run.finish)
        self._timed(lambda: self._loop.feedback(run.id, rating=5))
        self.ids.append(run.id)

    def _timed(self, call: Callable[[], Answer]) -> Answer:
        began = time.perf_counter()
        answer = call()
        self.slowest = max(self.slowest, time.perf_counter() - began)
        return answer


def count(loop: burnish.Loop) -> int:
    with loop.store.read() as connection:
        return int(connection.scalar(select(func.count()).select_from(runs)) or 0)


def wait_for(loop: burnish.Loop, wanted: int, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while count(loop) < wanted:
        assert time.monotonic() < deadline, (count(loop), wanted)
        time.sleep(0.1)


def test_while_the_server_is_down_the_host_neither_fails_nor_waits_and_every_run_arrives_once(
    server: Server, tmp_path: Path
) -> None:
    loop = burnish.open(server.url, home=str(tmp_path), models=["a", "b"])
    with Host(loop) as host:
        time.sleep(0.5)
        server.kill()
        time.sleep(SECONDS_DOWN)
        spooled = loop.flush()
        server.restart()
        time.sleep(1.0)
    assert host.slowest < LONGEST_CALL
    assert spooled.durable
    assert spooled.spooled > 100
    wait_for(loop, len(host.ids))
    assert loop.flush().dropped == 0
    with loop.store.read() as connection:
        assert sorted(connection.scalars(select(runs.c.id))) == sorted(host.ids)
        assert connection.scalar(select(func.sum(model_performance.c.n_quality))) == len(host.ids)
        assert connection.scalar(select(func.sum(model_performance.c.n_rating))) == len(host.ids)
    assert list((tmp_path / "spool").iterdir()) == []
    loop.close()


def test_what_a_dead_process_spooled_is_drained_by_the_next(server: Server, tmp_path: Path) -> None:
    burnish.open(server.url, home=str(tmp_path)).close()
    server.kill()
    died = subprocess.run([sys.executable, "-c", SPOOLS_AND_DIES, server.url, str(tmp_path)], check=False)
    assert died.returncode == -signal.SIGKILL
    server.restart()
    with burnish.open(server.url, home=str(tmp_path)) as loop:
        with loop.run(agent="alive") as run:
            run.outcome(success=True)
        wait_for(loop, 301)
        (account,) = [counts for counts in loop.status() if counts.finished == 300]
        assert (account.alive, account.spooled, account.lost) == (False, 300, 0)
        assert {found.agent for found in loop.runs(limit=1000)} == {"dead", "alive"}
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_server_that_hangs_makes_nobody_wait(server: Server, tmp_path: Path) -> None:
    loop = burnish.open(server.url, home=str(tmp_path), models=["a"], queue_runs=300)
    with loop.run(agent="agent0", task_type="t") as run:
        run.decide()
    loop.flush()
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    family = [int(pid) for pid, parent in map(str.split, table.splitlines()) if str(server.pid) in {pid, parent}]
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    try:
        with Host(loop) as host:
            time.sleep(0.7)
            host_ids = len(host.ids)
        assert not loop.flush(0.2).complete
    finally:
        for pid in family:
            os.kill(pid, signal.SIGCONT)
    assert host.slowest < LONGEST_CALL
    assert host_ids > 20
    done = loop.flush()
    assert done.complete
    assert done.stored + done.spooled + done.dropped == len(host.ids) + 1
    wait_for(loop, len(host.ids) + 1 - done.dropped)
    loop.close()


def test_an_agent_opened_before_its_server_is_up_learns_of_it(tmp_path: Path) -> None:
    problems: list[burnish.CaptureProblem] = []
    with running() as server:
        server.kill()
        loop = burnish.open(server.url, home=str(tmp_path))
        loop.on(burnish.CaptureProblem, problems.append)
        with loop.run(agent="early") as run:
            run.outcome(success=True)
        assert loop.flush().spooled == 1
        server.restart()
        deadline = time.monotonic() + 30
        while any((tmp_path / "spool").iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert loop.explain(run.id).run.agent == "early"
        loop.close()
    assert {problem.what for problem in problems} == {"store"}


def test_a_full_disk_drops_what_it_must_and_says_so_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FILLS_THE_DISK, NOWHERE, str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    complete, durable, spooled, dropped, problems = json.loads(answer.stdout)
    assert (complete, durable, spooled + dropped) == (True, False, 400)
    (spool,) = (tmp_path / "spool").iterdir()
    lines = spool.read_bytes().splitlines(keepends=True)
    assert len(lines) == spooled > 0
    assert all(json.loads(line)["run"]["agent"] == "a" for line in lines)
    assert spool.stat().st_size <= 30_000
    assert problems >= 1
    said = [line for line in answer.stderr.splitlines() if "spool failed" in line]
    assert len(said) == 1
    assert "free some space" in said[0]


def test_a_folder_that_cannot_be_written_costs_no_host_call_and_counts_every_drop(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file, where the spool folder should be")
    (tmp_path / "processes").write_text("and here as well")
    with burnish.open(NOWHERE, home=str(tmp_path)) as loop:
        for _ in range(20):
            with loop.run() as run:
                run.outcome(success=True)
        done = loop.flush()
    assert (done.complete, done.durable, done.stored, done.spooled, done.dropped) == (True, False, 0, 0, 20)


def test_what_cannot_be_spooled_costs_only_itself(tmp_path: Path) -> None:
    with burnish.open(NOWHERE, home=str(tmp_path)) as loop:
        event = PoolEventRecord(
            id="x", created_at=SystemClock().now(), tenant="t", pool="p", kind="created", facts={"o": object()}
        )
        loop.recorder.put(Bundle(pool_events=[event]), 1)
        for _ in range(5):
            with loop.run() as run:
                run.outcome(success=True)
        done = loop.flush()
        assert (done.complete, done.durable, done.spooled) == (True, False, 5)
