"""The spool: drained whole and once, by whoever comes first, while runs keep arriving."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import burnish
from burnish.capture import spool
from burnish.capture.records import Bundle
from burnish.errors import StoreUnavailable

OpenLoop = Callable[..., burnish.Loop]
Sink = Callable[[list[Bundle]], None]
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
FORKS_IN_THE_SPOOL = """
import os, signal, sys, time, burnish
loop = burnish.open(sys.argv[1], home=sys.argv[2])
children = []
sync = os.fsync
def forks(descriptor):
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    children.append(child)
    sync(descriptor)
def capture():
    with loop.run() as run:
        run.outcome(success=True)
    return loop.flush(10)
os.fsync = forks
first = capture()
os.fsync = sync
second = capture()
for child in children:
    os.kill(child, signal.SIGKILL)
assert (first.complete, second.complete, second.spooled, len(children)) == (True, True, 2, 1)
"""


def capture(loop: burnish.Loop, count: int, agent: str = "live") -> list[str]:
    ids = []
    for _ in range(count):
        with loop.run(agent=agent, task_type="t") as run:
            run.outcome(success=True)
        ids.append(run.id)
    return ids


def spooled(home: Path, count: int) -> list[str]:
    """Leave runs in the spool of a folder, as a process does whose store is away."""
    with burnish.open(NOWHERE, home=str(home)) as away:
        ids = capture(away, count, "spooled")
        assert away.flush().spooled == count
    return ids


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def empty(folder: Path) -> bool:
    return not list((folder / "spool").glob("*.jsonl"))


def test_a_fork_while_the_spool_is_locked_leaves_the_lock_with_the_parent(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", FORKS_IN_THE_SPOOL, NOWHERE, str(tmp_path)], text=True) as process:
        assert process.wait(30) == 0


def test_a_spool_line_of_another_release_is_set_aside_and_the_rest_arrives(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with burnish.open(NOWHERE, home=str(tmp_path)) as away:
        for _ in range(3):
            with away.run(agent="spooled") as run:
                run.outcome(success=True)
    (file,) = (tmp_path / "spool").iterdir()
    lines = file.read_bytes().splitlines(keepends=True)
    foreign = b'{"run":{"shape":"of another release"}}\n'
    file.write_bytes(lines[0] + foreign + lines[1] + lines[2] + b'{"run":{"id":"torn')
    with burnish.open(str(tmp_path)) as loop:
        assert loop.recorder.drain() == 3
        assert len(loop.runs(agent="spooled")) == 3
    (aside,) = (tmp_path / "spool").iterdir()
    assert aside.read_bytes() == foreign
    assert f"kept in {aside}" in caplog.text


def test_a_poison_run_that_arrives_during_a_drain_stops_neither(open_loop: OpenLoop, tmp_path: Path) -> None:
    old = spooled(tmp_path / "loop", 1_000)
    loop = open_loop(batch_runs=20)
    sink: Sink = loop.recorder._sink

    def picky(batch: list[Bundle]) -> None:
        time.sleep(0.01)
        if any(bundle.run is not None and bundle.run.agent == "poison" for bundle in batch):
            raise ValueError("this one cannot be written")
        sink(batch)

    loop.recorder._sink = picky
    new = capture(loop, 1)
    capture(loop, 2, "poison")
    while not empty(tmp_path / "loop"):
        new += capture(loop, 2)
        if len(new) % 50 == 1:
            capture(loop, 1, "poison")
        time.sleep(0.02)
    done = loop.flush()
    assert (done.complete, done.stored) == (True, len(new))
    assert done.dropped > 1
    assert {run.id for run in loop.runs(limit=100_000)} == {*old, *new}


def test_a_store_that_goes_away_during_a_drain_costs_nothing(
    open_loop: OpenLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 50_000)
    old = spooled(tmp_path / "loop", 500)
    loop = open_loop(batch_runs=20)
    sink: Sink = loop.recorder._sink
    calls = 0

    def faltering(batch: list[Bundle]) -> None:
        nonlocal calls
        calls += 1
        time.sleep(0.005)
        if 5 <= calls % 20 <= 6:
            raise StoreUnavailable("here", "it comes and goes")
        sink(batch)

    loop.recorder._sink = faltering
    new = capture(loop, 1)
    for _ in range(100):
        new += capture(loop, 3)
        time.sleep(0.005)
    assert loop.flush().durable
    wait_until(lambda: empty(tmp_path / "loop"))
    assert {run.id for run in loop.runs(limit=100_000)} == {*old, *new}
    (counts,) = [one for one in loop.status() if one.process_id == loop.recorder.process_id]
    assert counts.finished == counts.stored + counts.spooled == len(new)
    assert counts.spooled > 0


def test_two_loops_drain_one_spool_once(tmp_path: Path, open_loop: OpenLoop) -> None:
    old = spooled(tmp_path / "loop", 300)
    loops = [open_loop(seed=seed) for seed in (1, 2)]
    new = [identity for loop in loops for identity in capture(loop, 1)]
    wait_until(lambda: empty(tmp_path / "loop"))
    for loop in loops:
        loop.flush()
    assert sorted(run.id for run in loops[0].runs(limit=1_000)) == sorted([*old, *new])
    assert sum(len(loops[0].explain(identity).losses) for identity in old) == 300
