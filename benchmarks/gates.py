"""Ablate the gates: thirty nights of adversarial, noisy and honest proposals, with all gates, some, and none.

    uv run python -m benchmarks.gates              # full, minutes: writes results and the chart of docs/gates.md
    uv run python -m benchmarks.gates --quick      # under 40 s: writes nothing unless --out names a folder

No key, no network; the same seeds give the same nights. Exit 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import msgspec

from benchmarks.gates_lines import Gated, Line, Night, Peeked, ReplayOnly, Ungated
from benchmarks.gates_report import Played, Result, Worth, bars, chart, report
from benchmarks.gates_world import Proposer, best_single, halves
from benchmarks.latency import RESULTS, described, environment
from burnish.testing.world import Reference

IMAGE = Path(__file__).parents[1] / "docs" / "images" / "gates.svg"
COMMAND = "uv run python -m benchmarks.gates"


def main(arguments: Sequence[str] | None = None) -> int:
    """Play, report, and tell whether every bar is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two seeds of three nights")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2, help="seeds played at the same time")
    parser.add_argument("--out", type=Path, help="folder for gates.json, gates.md and gates.svg")
    chosen = parser.parse_args(arguments)
    where = environment(COMMAND)
    began = time.perf_counter()
    seeds, nights = (2, 3) if chosen.quick else (chosen.seeds, chosen.nights)
    night = Night(canary=800) if chosen.quick else Night()
    result = play(range(seeds), nights, night, workers=chosen.workers)
    text = report(result, f"{described(where)} {time.perf_counter() - began:.0f} s.")
    print(text)
    if not chosen.quick or chosen.out is not None:
        keep(result, where, text, chosen.out)
    # Three nights are too few for the ungated line to end anywhere; what the gates promise holds from the first.
    return 0 if all(bar.met or (chosen.quick and bar.at_least) for bar in bars(result)) else 1


def play(seeds: Sequence[int], nights: int, night: Night, *, workers: int = 1) -> Result:
    """Play every seed."""
    one = partial(play_seed, nights=nights, night=night)
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            played = list(pool.map(one, seeds))
    else:
        played = [one(seed) for seed in seeds]
    world = halves()
    return Result(
        nights=nights,
        training_tasks=len(world.training.tasks),
        held_out_tasks=len(world.held_out.tasks),
        start=_worth(world.worth(best_single(world.training))),
        start_model=best_single(world.training)[0].model,
        seeds=played,
    )


def play_seed(seed: int, *, nights: int, night: Night) -> Played:
    """Give the same proposals, night by night, to every line."""
    world = halves()
    proposer = Proposer(world.training, seed)
    with tempfile.TemporaryDirectory() as folder:
        gated = Gated(folder, world, night, seed)
        try:
            lines: dict[str, Line] = {
                "gated": gated,
                "peeked t-test": Peeked(world, night, seed),
                "replay alone": ReplayOnly(world),
                "ungated": Ungated(world),
            }
            course: dict[str, list[Worth]] = {name: [] for name in lines}
            for _ in range(nights):
                proposals = proposer.night()
                for name, line in lines.items():
                    line.live(proposals)
                    course[name].append(_worth(world.worth(line.routing)))
            rollbacks = gated.rollbacks
        finally:
            gated.close()
    ends = Counter((ended.kind, ended.at) for ended in gated.ended)
    print(f"seed {seed}: {gated.runs:,} runs through the gates", file=sys.stderr, flush=True)
    return Played(
        seed=seed,
        runs=gated.runs,
        rollbacks=rollbacks,
        ends=[(kind, at, count) for (kind, at), count in sorted(ends.items())],
        course=course,
    )


def keep(result: Result, where: dict[str, object], text: str, out: Path | None) -> None:
    """Write the figures, their page and the chart."""
    folder, image = (RESULTS, IMAGE) if out is None else (out, out / "gates.svg")
    write: list[tuple[Path, Callable[[], str]]] = [
        (folder / "gates.json", lambda: json.dumps({**where, **msgspec.to_builtins(result)}, indent=1) + "\n"),
        (folder / "gates.md", lambda: text),
        (image, lambda: chart(result)),
    ]
    for path, content in write:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content(), encoding="utf-8")


def _worth(found: Reference) -> Worth:
    return Worth(success=found.success, utility=found.utility)


if __name__ == "__main__":
    sys.exit(main())
