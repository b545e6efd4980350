"""What trust costs: signing a policy, checking one as it is loaded, and the parts of each; beside a plain HMAC.

uv run python -m benchmarks.signing            # writes benchmarks/results/signing.json and signing.md
uv run python -m benchmarks.signing --quick    # prints only
"""

from __future__ import annotations

import argparse
import hmac
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.latency import Measured, described, environment, keep, measured, timed
from burnish.govern.key_folder import load_ring, new_key
from burnish.govern.signing import Signer
from burnish.propose.policy import Policy, RoutingRule, read
from burnish.propose.statement import is_canonical, seal_transition, verify_transition

COMMAND = "uv run python -m benchmarks.signing"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
CHARACTERS = (1_000, 10_000, 100_000)


def policy_of(characters: int) -> Policy:
    """Return a policy whose system prompt is so long, with thirty routing rules and as many parameters."""
    line = "Say which file the finding is in, and why it matters.\n"
    models = [f"model-{k}" for k in range(10)]
    return Policy(
        tenant="acme",
        agent="coder",
        task_type="review",
        prompts={"system": (line * (characters // len(line) + 1))[:characters]},
        parameters={f"parameter_{k}": k / 7 for k in range(30)},
        models=models,
        routing=[RoutingRule(when={"language": f"language-{k}"}, model=models[k % 10]) for k in range(30)],
        author="learner:prompt_synthesis",
        created="2026-03-01T00:00:00Z",
    )


def parts(signer: Signer, folder: Path, count: int) -> list[Measured]:
    """Time the two primitives on a message as long as a statement, beside a shared secret's HMAC."""
    message = b"x" * 800
    signature, ring = signer.sign(message), load_ring(folder)
    return [
        _row("sign 800 bytes", lambda: signer.sign(message), count),
        _row(
            "verify 800 bytes with a ring",
            lambda: ring.verify(signer.key_id, message, signature, at=NOW, now=NOW),
            count,
        ),
        _row("yardstick: HMAC-SHA-256 of 800 bytes", lambda: hmac.digest(b"k" * 32, message, "sha256"), count),
        _row("read a key ring of one key from disk", lambda: load_ring(folder), count),
    ]


def policies(signer: Signer, folder: Path, characters: int, count: int) -> list[Measured]:
    """Time what happens to a whole policy."""
    policy, ring = policy_of(characters), load_ring(folder)
    content = policy.canonical

    def sealed() -> str:
        return seal_transition(
            policy,
            signer,
            from_status="canary",
            to_status="active",
            evidence={"e_value": 41.25, "runs": 3_122},
            actor="learner:gate",
            approver=None,
            at=NOW,
            revision=1,
        )

    envelope = sealed()

    def verify() -> None:
        verify_transition(envelope, content, ring, to_status="active", now=NOW)

    size = f"policy of {len(content):,} bytes"
    return [
        _row(f"seal a transition, {size}", sealed, count),
        _row(f"verify a transition, {size}", verify, count),
        _row(f"  of which: is it canonical, {size}", lambda: is_canonical(content), count),
        _row(f"  of which: read and check its fields, {size}", lambda: read(content), count),
    ]


def first_use(times: int) -> list[Measured]:
    """Time the first signature of a process: what it imports."""
    code = "from burnish.govern.signing import Signer; import time; b = time.perf_counter(); Signer.generate('x')"
    command = [sys.executable, "-c", f"{code}; print(time.perf_counter() - b)"]
    seconds = [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(times)]
    return [measured("first key of a process: imports cryptography", seconds)]


def page(where: dict[str, object], rows: Sequence[Measured]) -> str:
    """Return the report as Markdown."""
    head = f"# What trust costs\n\n{described(where)}\n\n| µs | n | p50 | p99 |\n|---|---|---|---|\n"
    return head + "".join(f"| {row.what.strip()} | {row.n:,} | {row.p50:,.1f} | {row.p99:,.1f} |\n" for row in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and keep the results unless it was quick."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions, nothing written")
    quick = parser.parse_args(arguments).quick
    where, count = environment(COMMAND), 50 if quick else 2_000
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        signer = new_key(folder, "bench", now=NOW)
        rows = parts(signer, folder, count)
        for characters in CHARACTERS:
            rows += policies(signer, folder, characters, max(20, count // 10))
    rows += first_use(2 if quick else 10)
    text = page(where, rows)
    print(text)
    if not quick:
        keep("signing", {**where, "rows": [msgspec.structs.asdict(row) for row in rows]}, text)
    return 0


def _row(what: str, call: Callable[[], object], count: int) -> Measured:
    call()
    return measured(what, [timed(call) for _ in range(count)])


if __name__ == "__main__":
    sys.exit(main())
