"""Capture by many processes and threads: kills, forks and exits cost only what is counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

import burnish
from burnish.capture.counters import Counts
from burnish.store.opening import open_store
from burnish.store.schema.capture import runs
from burnish.store.schema.learn import model_performance
from burnish.store.schema.score import run_losses

PROCESSES = 4
RUNS = 2_000
FLUSH_EVERY = 100

PRELUDE = """
import multiprocessing, os, sys, threading, time
import burnish
url, home, out, number = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
def capture(loop, count):
    ids = []
    for _ in range(count):
        with loop.run(agent="coder", task_type="code") as run:
            run.call(model="m", cost_usd=0.01)
            run.outcome(success=True)
        ids.append(run.id)
    return ids
def note(ids):
    descriptor = os.open(out, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, "".join(i + "\\n" for i in ids).encode())
    os.close(descriptor)
loop = burnish.open(url, home=home, strict=True)
"""
WRITER = (
    PRELUDE
    + f"""
for _ in range(number // {FLUSH_EVERY}):
    ids = capture(loop, {FLUSH_EVERY})
    assert loop.flush(60).durable
    note(ids)
loop.close()
"""
)
READER = (
    PRELUDE
    + """
from sqlalchemy import func, select
from burnish.store.schema.capture import runs
from burnish.store.schema.score import run_losses
seen = reads = 0
while os.path.exists(out):
    with loop.store.read() as connection:
        found = connection.scalar(select(func.count()).select_from(runs))
        scored = connection.scalar(select(func.count()).select_from(run_losses))
    assert found == scored and found >= seen, (found, scored, seen)
    seen, reads = found, reads + 1
    loop.trends(), loop.runs(limit=20)
assert reads > 10
loop.close()
"""
)
FORKS = (
    PRELUDE
    + """
import warnings
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)  # 3.12 and newer: the point
with loop.run(agent="planner", task_type="plan") as open_run:
    note(capture(loop, number))
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            note(capture(loop, number))
            os._exit(0 if loop.flush(60).durable else 1)
        children.append(child)
    note(capture(loop, number))
    assert all(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 for child in children)
note([open_run.id])
loop.close()
"""
)
MULTIPROCESSING = (
    PRELUDE
    + """
context = multiprocessing.get_context("fork")
note(capture(loop, number))
children = [context.Process(target=lambda: note(capture(loop, number))) for _ in range(3)]
for child in children: child.start()
note(capture(loop, number))
for child in children: child.join()
assert [child.exitcode for child in children] == [0, 0, 0]
"""
)
ENDS = (
    PRELUDE
    + """
note(capture(loop, number))
"""
)
RAISES = (
    ENDS
    + """
raise SystemExit(3)
"""
)


def started(script: str, url: str, home: Path, out: Path, number: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, url, str(home), str(out), str(number)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str], code: int = 0) -> None:
    _, errors = process.communicate(timeout=240)
    assert (process.returncode, errors) == (code, "")


def stored(url: str) -> dict[str, list[str]]:
    """Return the ids of all runs, by the process that captured them; checks that each was learned from once."""
    store = open_store(url)
    with store.read() as connection:
        found: dict[str, list[str]] = {}
        for identity, process in connection.execute(select(runs.c.id, runs.c.process_id)):
            found.setdefault(process, []).append(identity)
        coded = connection.scalar(select(func.count()).where(runs.c.agent == "coder"))
        assert connection.scalar(select(func.count(run_losses.c.run_id.distinct()))) == sum(map(len, found.values()))
        assert connection.scalar(select(func.sum(model_performance.c.n_quality))) == coded
    store.close()
    return found


def accounts(url: str, home: Path) -> dict[str, Counts]:
    with burnish.open(url, home=str(home)) as loop:
        return {counts.process_id: counts for counts in loop.status() if counts.started}


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_of_four_processes_one_is_killed_and_every_acknowledged_run_is_there_once(
    store_url: str, tmp_path: Path
) -> None:
    home = Path(store_url) if "://" not in store_url else tmp_path / "home"
    burnish.open(store_url, home=str(home)).close()
    watched = tmp_path / "watched"
    watched.touch()
    reader = started(READER, store_url, home, watched)
    outs = [tmp_path / f"out{k}" for k in range(PROCESSES)]
    writers = [started(WRITER, store_url, home, out, RUNS) for out in outs]
    wait_until(lambda: outs[0].exists() and outs[0].read_text().count("\n") >= RUNS // 2)
    writers[0].send_signal(signal.SIGKILL)
    ended(writers[0], -signal.SIGKILL)
    for writer in writers[1:]:
        ended(writer)
    watched.unlink()
    ended(reader)

    there = stored(store_url)
    acknowledged = {identity for out in outs for identity in out.read_text().split()}
    assert acknowledged <= {identity for ids in there.values() for identity in ids}
    found = accounts(store_url, home)
    assert sorted(len(ids) == RUNS for ids in there.values()) == [False, True, True, True]
    for process, counts in found.items():
        assert counts.finished == counts.stored + counts.spooled + counts.dropped + counts.lost
        assert (counts.alive, counts.spooled, counts.dropped) == (False, 0, 0)
        arrived = len(there[process])
        if arrived == RUNS:
            assert (counts.finished, counts.stored, counts.lost) == (RUNS, RUNS, 0)
        else:  # killed: what it lost is what is not there, give or take the batch it was committing
            assert counts.stored <= arrived <= counts.finished < RUNS
            assert counts.lost - FLUSH_EVERY <= counts.finished - arrived <= counts.lost <= FLUSH_EVERY
            assert counts.started - counts.finished in {0, 1}
    assert len(found) == PROCESSES


@pytest.mark.parametrize(("script", "factor", "extra"), [(FORKS, 4, 1), (MULTIPROCESSING, 5, 0)], ids=["fork", "mp"])
def test_a_fork_in_mid_stream_neither_loses_nor_doubles_a_run(
    store_url: str, tmp_path: Path, script: str, factor: int, extra: int
) -> None:
    out = tmp_path / "out"
    ended(started(script, store_url, tmp_path / "home", out, 200))
    noted = out.read_text().split()
    there = stored(store_url)
    assert len(noted) == len(set(noted)) == 200 * factor + extra
    assert {identity for ids in there.values() for identity in ids} == set(noted)
    found = accounts(store_url, tmp_path / "home" if "://" in store_url else Path(store_url))
    assert {process: counts.stored for process, counts in found.items()} == {p: len(ids) for p, ids in there.items()}
    assert all(counts.finished == counts.stored for counts in found.values())
    assert len(there) == factor - 1


@pytest.mark.parametrize(("script", "code"), [(ENDS, 0), (RAISES, 3)], ids=["end", "exception"])
def test_a_process_that_ends_without_closing_loses_nothing(
    store_url: str, tmp_path: Path, script: str, code: int
) -> None:
    out = tmp_path / "out"
    ended(started(script, store_url, tmp_path / "home", out, 300), code)
    there = stored(store_url)
    assert sorted(identity for ids in there.values() for identity in ids) == sorted(out.read_text().split())


def test_children_opened_in_a_forked_child_belong_to_the_parents_open_run(tmp_path: Path) -> None:
    script = PRELUDE + (
        "with loop.run(agent='outer') as outer:\n"
        "    if os.fork() == 0:\n"
        "        note(capture(loop, 1))\n"
        "        loop.flush()\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "note([outer.id])\n"
    )
    ended(started(script, str(tmp_path), tmp_path, tmp_path / "out"))
    inner, outer = (tmp_path / "out").read_text().split()
    with burnish.open(str(tmp_path)) as loop:
        assert (loop.explain(inner).run.parent_id, loop.explain(inner).run.root_id) == (outer, outer)
        assert loop.explain(outer).children == [inner]


def test_a_process_killed_while_it_holds_the_write_lock_stops_nobody(tmp_path: Path) -> None:
    script = PRELUDE + (
        "capture(loop, 1); loop.flush()\n"
        "with loop.store.write():\n"
        "    if os.fork() == 0:\n"
        "        note(['child']); time.sleep(60); os._exit(0)\n"
        "    while not os.path.exists(out): time.sleep(.01)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), str(tmp_path), str(tmp_path / "out"), "0"], start_new_session=True
    )
    try:
        process.wait(60)
        with burnish.open(str(tmp_path), strict=True) as loop:
            with loop.run() as run:
                run.outcome(success=True)
            assert loop.flush(10).durable
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_eight_threads_capture_without_loss(store_url: str, tmp_path: Path) -> None:
    loop = burnish.open(store_url, home=str(tmp_path / "home"), models=["a", "b"])
    ids: list[str] = []

    def work(name: str) -> None:
        for step in range(100):
            with loop.run(agent=name, task_type="t") as run:
                run.call(model=run.decide().model, cost_usd=0.01)
                run.outcome(success=step % 2 == 0)
            ids.append(run.id)

    threads = [threading.Thread(target=work, args=(f"agent{k}",)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loop.flush(60).stored == 800
    with loop.store.read() as connection:
        found = [(row.id, row.agent) for row in connection.execute(select(runs.c.id, runs.c.agent))]
        learned = connection.scalar(select(func.sum(model_performance.c.n_quality)))
    assert sorted(identity for identity, _ in found) == sorted(ids)
    assert Counter(agent for _, agent in found) == {f"agent{k}": 100 for k in range(8)}
    assert learned == 800
    loop.close()
