"""How fast runs become durable, and that none is lost: alone, by four processes of which one dies, without a store.

    uv run python -m benchmarks.ingest            # 4 × 50,000 runs, a full minute's outage; writes results/ingest.*
    uv run python -m benchmarks.ingest --quick    # 4 × 2,000 runs on SQLite, no outage; prints only

Every run is scored and learned from in the transaction that stores it. The yardstick is the naive way on the same disk
in the same run: one INSERT of one JSON row and one commit a run, by the host itself.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select

import burnish
from benchmarks.ingest_processes import PROCESSES, acceptance, capture, timing_commits
from benchmarks.latency import described, environment, keep
from burnish.store.schema.capture import runs
from scripts.postgres import running


def single(url: str, folder: Path, count: int) -> dict[str, object]:
    """One process alone: capture and store as fast as it goes, and the writer's own pace."""
    home = folder if "://" not in url else folder / "home"
    loop = burnish.open(url, home=str(home), models=["small", "large"], queue_runs=count, queue_mb=1_000)
    commits = timing_commits(loop)
    began = time.perf_counter()
    capture(loop, count)
    captured = time.perf_counter() - began
    loop.flush(600)
    wall = time.perf_counter() - began
    loop.close()
    return {"runs_per_s": count / wall, "captured_per_s": count / captured, "commit_max_ms": 1_000 * max(commits)}


def plain(folder: Path, seconds: float) -> float:
    """Return runs a second of the naive way."""
    row = json.dumps({"task": "Cancel order 123", "agent": "coder", "model": "small", "cost_usd": 0.01, "ok": True})
    connection = sqlite3.connect(folder / "plain.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY, body TEXT)")
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        connection.execute("INSERT INTO runs (body) VALUES (?)", (row,))
        count += 1
    connection.close()
    return count / seconds


def outage(seconds: float) -> dict[str, object]:
    """Take PostgreSQL away for a while under a steady host; measure every host call and the drain afterwards."""
    with running() as server, tempfile.TemporaryDirectory() as home:
        loop = burnish.open(server.url, home=home, models=["small", "large"])
        ids: list[str] = []
        took: list[float] = []
        stop = threading.Event()

        def host() -> None:
            while not stop.wait(0.01):
                began = time.perf_counter()
                ids.extend(capture(loop, 1))
                took.append(time.perf_counter() - began)

        thread = threading.Thread(target=host)
        thread.start()
        try:
            time.sleep(2)
            server.kill()
            time.sleep(seconds)
            server.restart()
            drained = _drained(Path(home))
        finally:
            stop.set()
            thread.join()
        done = loop.flush(120)
        with loop.store.read() as connection:
            there = sorted(connection.scalars(select(runs.c.id)))
        loop.close()
    if there != sorted(ids) or done.dropped:
        raise SystemExit(f"{len(ids)} runs were captured, {len(there)} are there, {done.dropped} were dropped")
    took.sort()
    return {
        "seconds_down": seconds,
        "runs": len(ids),
        "spooled": done.spooled,
        "lost": 0,
        "host_p50_us": 1e6 * took[len(took) // 2],
        "host_p99_us": 1e6 * took[int(0.99 * len(took))],
        "host_max_ms": 1e3 * took[-1],
        "drained_after_s": drained,
    }


def _drained(home: Path) -> float:
    """Return after how many seconds the spool was empty."""
    began = time.perf_counter()
    while any((home / "spool").iterdir()):
        if time.perf_counter() - began > 120:
            raise SystemExit("the spool was not drained within two minutes")
        time.sleep(0.05)
    return time.perf_counter() - began


ROWS = {
    "runs_per_s": "runs/s, stored and learned from",
    "captured_per_s": "runs/s the host hands over",
    "commit_p50_ms": "commit p50, ms",
    "commit_max_ms": "slowest commit, ms",
    "stored": "runs stored",
    "acknowledged": "of them acknowledged by a flush",
    "finished_and_not_stored": "finished, not stored: died with the killed process",
    "counted_as_lost": "counted as lost",
    "reads": "whole snapshots read meanwhile",
    "slowest_read_s": "slowest of these reads, s",
    "seconds_down": "seconds without the server",
    "runs": "runs captured",
    "spooled": "of them through the spool",
    "lost": "lost",
    "host_p50_us": "a whole run's cost to the host, p50 µs",
    "host_p99_us": "p99 µs",
    "host_max_ms": "at most, ms",
    "drained_after_s": "spool empty after the server's return, s",
}
"""What each figure means, in the order of the report."""


def page(where: dict[str, object], found: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    lines = ["# Durable ingest", "", described(where), ""]
    lines += [
        f"Yardstick, one INSERT and commit a run by the host itself: {found['plain_runs_per_s']:,.0f} runs/s.",
        "",
    ]
    for title, figures in found["parts"].items():
        lines += [f"## {title}", "", "| | |", "|---|---|"]
        lines += [f"| {ROWS[name]} | {_shown(figures[name])} |" for name in ROWS if name in figures]
        lines += ["", *(f"- Held: {check}." for check in figures.get("checks", ())), ""]
    return "\n".join(lines)


def _shown(value: float) -> str:
    return f"{value:,.1f}" if value < 100 and not float(value).is_integer() else f"{value:,.0f}"


def measure(count: int, databases: Sequence[str], seconds_down: float) -> dict[str, Any]:
    """Take every figure."""
    parts: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        yardstick = plain(Path(folder), 2.0)
    together = f"{PROCESSES} processes of {count:,} runs, one killed, and a reader"
    for name in databases:
        for what, task in (("one process", single), (together, acceptance)):
            with tempfile.TemporaryDirectory() as folder:
                if name == "SQLite":
                    parts[f"{name}: {what}"] = task(folder, Path(folder), count)
                    continue
                with running(durable=True) as server:
                    parts[f"{name}: {what}"] = task(server.url, Path(folder), count)
    if seconds_down:
        parts["PostgreSQL away under a steady host"] = outage(seconds_down)
    return {"plain_runs_per_s": yardstick, "parts": parts}


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the figures."""
    parser = argparse.ArgumentParser(description="Measure durable ingest.")
    parser.add_argument("--quick", action="store_true", help="small and short; prints only")
    quick = parser.parse_args(arguments).quick
    where = environment("uv run python -m benchmarks.ingest")
    found = measure(2_000, ["SQLite"], 0.0) if quick else measure(50_000, ["SQLite", "PostgreSQL"], 60.0)
    text = page(where, found)
    print(text)
    if not quick:
        keep("ingest", {**where, **found}, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
