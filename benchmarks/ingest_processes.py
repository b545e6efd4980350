"""Four processes write one store while a fifth reads; one of them is killed, and the account must still be exact.

A part of `benchmarks.ingest`, which starts this module once for each process.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

import burnish
from burnish.capture.records import Bundle
from burnish.store.opening import open_store
from burnish.store.schema.capture import runs
from burnish.store.schema.learn import model_performance
from burnish.store.schema.score import run_losses

PROCESSES = 4
FLUSH_EVERY = 1_000


def timing_commits(loop: burnish.Loop) -> list[float]:
    """Note how long each batch takes from lock to commit, scoring and learning included."""
    took: list[float] = []
    sink = loop.recorder._sink

    def timed(batch: list[Bundle]) -> None:
        began = time.perf_counter()
        sink(batch)
        took.append(time.perf_counter() - began)

    loop.recorder._sink = timed
    return took


def capture(loop: burnish.Loop, count: int) -> list[str]:
    """Capture runs as a host does."""
    ids = []
    for step in range(count):
        with loop.run(agent="coder", task="Cancel order 123", task_type=f"type{step % 20}") as run:
            model = run.decide().model
            run.call({"model": model, "cost_usd": 0.01, "input_tokens": 900, "output_tokens": 120}, latency_s=0.5)
            run.outcome(success=step % 3 > 0)
        ids.append(run.id)
    return ids


def write(url: str, home: str, out: str, count: int) -> None:
    """Be one of the writers: capture, flush, and note what was acknowledged."""
    loop = burnish.open(url, home=home, models=["small", "large"])
    commits = timing_commits(loop)
    began = time.perf_counter()
    with Path(out).open("a", encoding="utf-8") as acknowledged:
        for _ in range(count // FLUSH_EVERY):
            ids = capture(loop, FLUSH_EVERY)
            if not loop.flush(300).durable:
                raise SystemExit("a flush was not durable")
            acknowledged.write("".join(f"{identity}\n" for identity in ids))
            acknowledged.flush()
    print(json.dumps({"seconds": time.perf_counter() - began, "commits": commits}))
    loop.close()


def read(url: str, home: str, until: str) -> None:
    """Be the reader: every snapshot must be whole, and never smaller than the one before."""
    loop = burnish.open(url, home=home)
    seen, took = 0, []
    while Path(until).exists():
        began = time.perf_counter()
        with loop.store.read() as connection:
            found = connection.scalar(select(func.count()).select_from(runs)) or 0
            scored = connection.scalar(select(func.count()).select_from(run_losses)) or 0
        if found != scored or found < seen:
            raise SystemExit(f"a torn snapshot: {found} runs, {scored} losses, {seen} runs before")
        loop.runs(limit=20)
        took.append(time.perf_counter() - began)
        seen = found
        time.sleep(0.05)
    print(json.dumps({"reads": len(took), "slowest_read_s": max(took)}))
    loop.close()


def started(role: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.ingest_processes", role, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what a process printed; it must have ended well."""
    printed, _ = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"a process ended with {process.returncode}: {printed}")
    found: dict[str, Any] = json.loads(printed)
    return found


def acceptance(url: str, folder: Path, count: int) -> dict[str, object]:
    """Run the writers and the reader, kill one writer half-way, and check the account."""
    home = folder if "://" not in url else folder / "home"
    burnish.open(url, home=str(home)).close()
    until = folder / "until"
    until.touch()
    outs = [folder / f"out{number}" for number in range(PROCESSES)]
    reader = started("read", url, home, until)
    began = time.perf_counter()
    writers = [started("write", url, home, out, count) for out in outs]
    while not outs[0].exists() or outs[0].stat().st_size < 37 * count // 2:
        time.sleep(0.02)
    time.sleep(0.15)  # into the next thousand
    writers[0].send_signal(signal.SIGKILL)
    writers[0].communicate()
    answers = [answer(writer) for writer in writers[1:]]
    wall = time.perf_counter() - began
    until.unlink()
    commits = sorted(took for found in answers for took in found["commits"])
    return {
        "wall_s": wall,
        **account(url, home, outs, count),
        "runs_per_s": sum(count / found["seconds"] for found in answers),
        "commits": len(commits),
        "commit_p50_ms": 1_000 * commits[len(commits) // 2],
        "commit_max_ms": 1_000 * commits[-1],
        **answer(reader),
    }


def account(url: str, home: Path, outs: Sequence[Path], count: int) -> dict[str, object]:
    """Hold what is in the store against what was acknowledged and what was counted."""
    store = open_store(url)
    with store.read() as connection:
        rows = connection.execute(select(runs.c.id, runs.c.process_id)).all()
        learned = connection.scalar(select(func.sum(model_performance.c.n_quality)))
    store.close()
    ids = [row.id for row in rows]
    there = Counter(row.process_id for row in rows)
    acknowledged = [identity for out in outs for identity in out.read_text(encoding="utf-8").split()]
    with burnish.open(url, home=str(home)) as loop:
        counts = [one for one in loop.status() if one.started]
    lost = sum(one.lost for one in counts)
    missing = sum(one.finished for one in counts) - len(ids)
    killed = [one for one in counts if there[one.process_id] < count]
    checks = {
        "every acknowledged run is there": set(acknowledged) <= set(ids),
        "none is there twice": len(set(ids)) == len(ids),
        "each was learned from once": learned == len(ids),
        "one process was killed": len(killed) == 1,
        "nothing was dropped": all(one.dropped == one.spooled == 0 for one in counts),
        "what is missing is counted as lost, give or take the batch being committed": 0 <= lost - missing <= 256,
    }
    failed = [name for name, held in checks.items() if not held]
    if failed:
        raise SystemExit(f"not so: {'; '.join(failed)}")
    return {
        "stored": len(ids),
        "acknowledged": len(acknowledged),
        "finished_and_not_stored": missing,
        "counted_as_lost": lost,
        "checks": list(checks),
    }


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
    else:
        read(sys.argv[2], sys.argv[3], sys.argv[4])
