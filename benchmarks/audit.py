"""What the audit log costs: an entry beside a bare commit, a checkpoint, a proof, and the verification of it all.

uv run python -m benchmarks.audit            # 100,000 events on each database; writes results/audit.*
uv run python -m benchmarks.audit --quick    # 5,000 events on SQLite; prints only
"""

from __future__ import annotations

import argparse
import base64
import secrets
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert

from benchmarks.latency import described, environment, keep, timed
from burnish.clock import SystemClock
from burnish.govern import audit, merkle
from burnish.govern.audit_report import verify
from burnish.govern.checkpoint import read_checkpoints, write_checkpoint
from burnish.govern.public_keys import PublicKeys
from burnish.ids import UuidV7Source
from burnish.store import migrate
from burnish.store.opening import open_store
from burnish.store.schema.govern import learning_configuration
from burnish.store.store import Store
from scripts.postgres import running

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IDS = UuidV7Source(SystemClock())
PAYLOAD = {
    "policy": "sha256:" + "5a" * 32,
    "from": "shadow",
    "to": "canary",
    "evidence": {"e_value": 31.4, "n": 412, "mean": [0.71, 0.78], "seed": 7},
    "why": "better on replay and in shadow",
}
BATCH = 1_000


class Signer:
    """An Ed25519 key with a name."""

    def __init__(self) -> None:
        private = Ed25519PrivateKey.generate()
        self.raw = private.public_key().public_bytes_raw()
        self.name, self.public = "benchmark", base64.b64encode(self.raw).decode()
        self.key_id, self.sign = "sha256:" + sha256(self.raw).hexdigest(), private.sign


def append(store: Store, count: int, seconds: list[float]) -> None:
    """Append in one transaction and time each entry."""
    with store.write() as connection:
        for _ in range(count):
            began = time.perf_counter()
            audit.append(
                connection,
                store.kind,
                event="policy.promoted",
                tenant="acme",
                actor="learner:canary",
                subject="coder/fix",
                payload=PAYLOAD,
                ids=IDS,
                now=NOW,
            )
            seconds.append(time.perf_counter() - began)


def change(store: Store) -> None:
    """Commit a governed change without an audit entry: the yardstick."""
    with store.write() as connection:
        connection.execute(
            insert(learning_configuration).values(
                id=IDS(),
                created_at=NOW,
                updated_at=NOW,
                tenant="acme",
                agent=secrets.token_hex(8),
                phase="",
                config_key="route.floor",
                config_value=0.5,
            )
        )


def one_by_one(store: Store, count: int) -> dict[str, float]:
    """Return µs of a transaction with a change, and with an entry in its place; taken in turns.

    On a busy machine both are mostly waiting for a turn of the processor: medians near 4 ms were seen where a calmer
    minute gave 0.6 ms. When the two rows are alike and far above their 10th percentiles, take the figures again.
    """
    bare, entry = list[float](), list[float]()
    for _ in range(count):
        bare.append(timed(lambda: change(store)))
        entry.append(timed(lambda: append(store, 1, [])))
    return {
        "commit_of_a_change_us": 1e6 * median(bare),
        "commit_of_a_change_p10_us": 1e6 * sorted(bare)[count // 10],
        "commit_of_an_entry_us": 1e6 * median(entry),
        "commit_of_an_entry_p10_us": 1e6 * sorted(entry)[count // 10],
    }


def measured(store: Store, folder: Path, events: int, singles: int) -> dict[str, float]:
    """Return the figures of one database."""
    found, signer, file, seconds = one_by_one(store, singles), Signer(), folder / "checkpoints", list[float]()
    while len(seconds) < events - singles:
        append(store, min(BATCH, events - singles - len(seconds)), seconds)
    found["append_us"] = 1e6 * median(seconds)
    known = merkle.Frontier()

    def sign() -> object:
        return write_checkpoint(store, signer, file, ids=IDS, now=NOW, known=known)

    found["first_checkpoint_ms"] = 1e3 * timed(sign)
    append(store, 100, [])
    found["next_checkpoint_ms"] = 1e3 * timed(sign)
    with store.read() as connection:
        size = audit.size(connection)
        found["inclusion_proof_ms"] = 1e3 * timed(lambda: audit.inclusion(connection, size // 3, size))
    return {**found, **verified(store, file, PublicKeys([signer.raw]))}


def verified(store: Store, file: Path, keys: PublicKeys) -> dict[str, float]:
    """Time the verification, and take its memory in a second one (tracing makes it slow)."""

    def check() -> None:
        report = verify(store, read_checkpoints(file), keys, now=datetime.now(UTC))
        if report.issues or report.checkpoints != 2:
            raise SystemExit(f"an honest log does not verify: {report}")
        found["events"] = report.events

    found: dict[str, float] = {}
    found["verify_s"] = timed(check)
    tracemalloc.start()
    check()
    found["verify_peak_mb"] = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return found


def page(where: dict[str, object], rows: dict[str, dict[str, float]]) -> str:
    """Return the report as Markdown."""
    lines = ["# What the audit log costs", "", described(where), ""]
    lines += [f"| | {' | '.join(rows)} |", "|---|" + "---|" * len(rows)]
    shown: dict[str, tuple[str, Callable[[float], str]]] = {
        "events": ("events in the log", lambda v: f"{v:,.0f}"),
        "commit_of_a_change_us": ("yardstick: commit of one changed row, µs (median)", lambda v: f"{v:,.0f}"),
        "commit_of_an_entry_us": ("commit of one audit entry, µs (median)", lambda v: f"{v:,.0f}"),
        "commit_of_a_change_p10_us": ("yardstick, 10th percentile", lambda v: f"{v:,.0f}"),
        "commit_of_an_entry_p10_us": ("commit of one audit entry, 10th percentile", lambda v: f"{v:,.0f}"),
        "append_us": ("an entry within a transaction, µs (median)", lambda v: f"{v:,.0f}"),
        "first_checkpoint_ms": ("checkpoint, whole log read, ms", lambda v: f"{v:,.0f}"),
        "next_checkpoint_ms": ("checkpoint 100 events later, ms", lambda v: f"{v:,.1f}"),
        "inclusion_proof_ms": ("inclusion proof, ms", lambda v: f"{v:,.0f}"),
        "verify_s": ("verification of every event, s", lambda v: f"{v:,.1f}"),
        "verify_peak_mb": ("its peak memory, MB", lambda v: f"{v:,.1f}"),
    }
    for name, (text, form) in shown.items():
        lines.append(f"| {text} | {' | '.join(form(row[name]) for row in rows.values())} |")
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the figures."""
    parser = argparse.ArgumentParser(description="Measure what the audit log costs.")
    parser.add_argument("--quick", action="store_true", help="5,000 events on SQLite; prints only")
    quick = parser.parse_args(arguments).quick
    events, singles = (5_000, 50) if quick else (100_000, 500)
    where, rows = environment("uv run python -m benchmarks.audit"), dict[str, dict[str, float]]()
    with ExitStack() as opened:
        urls = {"SQLite": opened.enter_context(tempfile.TemporaryDirectory())}
        if not quick:
            urls["PostgreSQL"] = opened.enter_context(running(durable=True)).url
        for name, url in urls.items():
            store, folder = open_store(url), Path(opened.enter_context(tempfile.TemporaryDirectory()))
            migrate.upgrade(store)
            rows[name] = measured(store, folder, events, singles)
            store.close()
    text = page(where, rows)
    print(text)
    if not quick:
        keep("audit", {**where, "rows": rows}, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
