"""How well redaction finds, what it costs, and what hostile text does to it; beside presidio-analyzer where installed.

    uv run python -m benchmarks.redaction            # writes benchmarks/results/redaction.json and redaction.md
    uv run python -m benchmarks.redaction --quick    # prints only
    uv run --with presidio-analyzer python -m benchmarks.redaction     # with the peer

A value counts as found when nine tenths of it are covered by findings of its kind; a finding is right when it touches a
value of its kind. presidio runs without a language model (its NoOpNlpEngine), eight regions of telephone numbers.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

import burnish
from benchmarks.latency import environment, keep, measured
from benchmarks.redaction_data import Labelled, decoy_lines, presidio_research, run_texts, secrets
from burnish.capture.records import Bundle
from burnish.capture.redaction.redactor import Redactor
from burnish.capture.redaction.scanner import KINDS, Scanner, scanner
from burnish.cli.redact import found
from burnish.govern.configuration import Configuration

Find = Callable[[str], list[tuple[str, int, int]]]
PERSONAL = ("ssn", "email", "card", "phone", "iban", "ip")
BAR_RECALL, BAR_PRECISION = 0.97, 0.95
HOSTILE = {
    "a.a.a.…@": "a.",
    "digits": "1",
    "groups of digits": "4111 ",
    "colons": "1:",
    "open private keys": "-----BEGIN PRIVATE KEY-----",
    "open passwords": 'password:"',
    "keys": "apikey=abcdefghij1234567890 ",
    "curl": "curl -u ",
    "é": "é",
}
ENTITIES = {
    "US_SSN": "ssn",
    "EMAIL_ADDRESS": "email",
    "CREDIT_CARD": "card",
    "PHONE_NUMBER": "phone",
    "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip",
}


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """Recall and precision of one tool on one kind of one set."""

    tool: str
    dataset: str
    kind: str
    values: int
    recall: float
    precision: float | None


def judge(tool: str, dataset: str, texts: Sequence[Labelled], find: Find, kinds: Sequence[str]) -> list[Quality]:
    """Count what a tool finds of what is there."""
    there: Counter[str] = Counter()
    covered: Counter[str] = Counter()
    right: Counter[str] = Counter()
    given: Counter[str] = Counter()
    for labelled in texts:
        spans = find(labelled.text)
        for kind, start, end in labelled.spans:
            there[kind] += 1
            overlap = sum(max(0, min(end, e) - max(start, s)) for k, s, e in spans if k == kind)
            covered[kind] += overlap >= 0.9 * (end - start)
        for kind, start, end in spans:
            given[kind] += 1
            right[kind] += any(k == kind and s < end and start < e for k, s, e in labelled.spans)
    return [
        Quality(
            tool=tool,
            dataset=dataset,
            kind=kind,
            values=there[kind],
            recall=covered[kind] / there[kind],
            precision=right[kind] / given[kind] if given[kind] else None,
        )
        for kind in kinds
    ]


def ours(redactor: Redactor) -> Find:
    return lambda text: [(item.kind, item.start, item.end) for item in found(redactor, text, "default")]


def presidio() -> Find | None:
    """Return presidio's analyzer, or None when it is not installed."""
    try:
        package: Any = import_module("presidio_analyzer")
        engines: Any = import_module("presidio_analyzer.nlp_engine")
    except ImportError:
        return None
    analyzer: Any = package.AnalyzerEngine(
        nlp_engine=engines.NoOpNlpEngine(models=[{"lang_code": "en", "model_name": "none"}]), supported_languages=["en"]
    )
    entities = list(ENTITIES)

    def find(text: str) -> list[tuple[str, int, int]]:
        results = analyzer.analyze(text=text, language="en", entities=entities, score_threshold=0.4)
        return [(ENTITIES[item.entity_type], item.start, item.end) for item in results]

    return find


def speed(find: Callable[[str], object], texts: Sequence[str], seconds: float) -> float:
    """Return megabytes of text a second of this process's CPU."""
    done, began = 0, time.process_time()
    while True:
        for text in texts:
            find(text)
            done += len(text.encode())
            spent = time.process_time() - began
            if spent >= seconds:
                return done / 1e6 / spent


def opening(times: int) -> list[float]:
    """Return seconds of CPU that compiling every rule takes, patterns not cached."""
    from burnish.capture.redaction import patterns

    spent = []
    for _ in range(times):
        patterns.compiled.cache_clear()
        began = time.process_time()
        Scanner()
        spent.append(time.process_time() - began)
    return spent


def bundles(loop: burnish.Loop, count: int, task: str, output: str) -> list[Bundle]:
    made = []
    for step in range(count):
        facts = {"size": step % 7}
        run = loop.run(agent="coder", task=task, task_type=f"type{step % 5}", project="shop", features=facts)
        model = run.decide().model
        reply = {"model": model, "id": f"c-{step}", "cost_usd": 0.01, "input_tokens": 900, "output_tokens": 120}
        run.call({**reply, "text": output}, latency_s=0.5)
        run.gate("tests", passed=True, reason="all of them")
        run.outcome(success=True, summary="done")
        made.append(run._bundle())
    return made


def prose(characters: int) -> str:
    """Return text as an agent writes it: sentences, dates, a traceback, an id, amounts."""
    piece = (
        "I checked the order and the policy. It was placed on 2026-11-02 and delivered on 2026-11-20, inside the "
        "30-day window. The refund of $129.90 takes 3-5 business days. Traceback (most recent call last): File "
        "\"/srv/app/orders.py\", line 214, in cancel: raise OrderError('state is shipped') in run "
        "0192f3a4-7b1c-7def-8a90-123456789012, 1.284 s, 912 tokens. The access key was not needed. "
    )
    return (piece * (characters // len(piece) + 1))[:characters]


def costs(count: int) -> list[dict[str, object]]:
    """Time redaction of a whole bundle: as it is most often, with findings, and long."""
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        burnish.open(folder, models=[f"m{k}" for k in range(10)], seed=3) as loop,
    ):
        cases = {
            "task 300, output 1,500 characters, nothing in it": (prose(300), prose(1_500)),
            "the same with an e-mail address and a password": (
                prose(300),
                prose(1_430) + " a.b@example.com password=hunter22!",
            ),
            "output 65,536 characters, nothing in it": (prose(300), prose(65_536)),
        }
        for name, (task, output) in cases.items():
            made = bundles(loop, count, task, output)
            spent = []
            for bundle in made:
                began = time.perf_counter()
                loop.redactor.bundle(bundle)
                spent.append(time.perf_counter() - began)
            bar = 100.0 if "1,500" in name else None
            rows.append(msgspec.structs.asdict(measured(name, spent, bar_p50=bar)))
    return rows


def hostile(redactor: Redactor, sizes: Sequence[int]) -> list[dict[str, object]]:
    """Time repeated hostile pieces at several sizes."""
    rows = []
    for name, piece in HOSTILE.items():
        row: dict[str, object] = {"text": name}
        for size in sizes:
            text = (piece * (size // len(piece) + 1))[:size]
            began = time.process_time()
            redactor.text(text, "default")
            row[f"ms at {size:,}"] = round((time.process_time() - began) * 1e3, 1)
        rows.append(row)
    return rows


def false_hits(find: Find, lines: Sequence[str]) -> dict[str, int]:
    hits: Counter[str] = Counter(kind for line in lines for kind, _, _ in find(line))
    return {kind: hits[kind] for kind in KINDS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the figures; exit 1 when a bar is missed, unless quick."""
    parser = argparse.ArgumentParser(description="Measure redaction.")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions; prints only")
    parser.add_argument("--out", default="redaction", help="name of the result files")
    given = parser.parse_args(arguments)
    scale = 1 if given.quick else 4
    where = environment("uv run --with presidio-analyzer python -m benchmarks.redaction")
    with tempfile.TemporaryDirectory() as folder:
        redactor = Redactor(Path(folder) / "key", configuration=Configuration, problem=_stop)
        redactor.prepare()
        result = {**where, **_measure(redactor, scale, quick=given.quick)}
    text = page(result)
    print(text)
    if not given.quick:
        keep(given.out, result, text)
    # Microseconds are judged on a quiet machine only: a quick run, which CI makes, does not fail for them.
    return 0 if given.quick or met(result) else 1


def _measure(redactor: Redactor, scale: int, *, quick: bool) -> dict[str, Any]:
    public, runs, keys = presidio_research(), run_texts(500 * scale), secrets(400 * scale)
    decoys = decoy_lines(3_000 * scale)
    tools: dict[str, Find] = {"burnish": ours(redactor)}
    peer = presidio()
    if peer is not None:
        tools["presidio-analyzer"] = peer
    quality: list[Quality] = []
    for tool, find in tools.items():
        some = public if tool == "burnish" or not quick else public[::4]
        quality += judge(tool, "presidio-research", some, find, PERSONAL)
        quality += judge(tool, "run records", runs if tool == "burnish" else runs[:200], find, PERSONAL)
    quality += judge("burnish", "secrets", keys, tools["burnish"], ["secret"])
    samples = [labelled.text for labelled in runs]
    random.Random(1).shuffle(samples)
    megabytes = {tool: speed(find, samples, 1.0 * scale) for tool, find in tools.items()}
    return {
        "peer": _version("presidio-analyzer"),
        "quality": [msgspec.structs.asdict(row) for row in quality],
        "decoys": {
            "lines": len(decoys),
            "megabytes": sum(map(len, decoys)) / 1e6,
            "hits": false_hits(tools["burnish"], decoys),
        },
        "mb_per_core_s": megabytes,
        "compile_s": statistics.median(opening(3 * scale)),
        "costs": costs(100 * scale),
        "hostile": hostile(redactor, (64_000, 256_000) if quick else (64_000, 1_000_000)),
        "rules": len(scanner()._rules),
    }


def met(result: dict[str, Any]) -> bool:
    """Tell whether recall and precision on the public set, and the cost of a run, are as promised."""
    good = [
        row["recall"] >= BAR_RECALL and row["precision"] >= BAR_PRECISION
        for row in result["quality"]
        if row["tool"] == "burnish" and row["dataset"] == "presidio-research"
    ]
    return all(good) and all(row["met"] is not False for row in result["costs"])


def page(result: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    lines = ["# Redaction", "", f"{result['date']}, Python {result['python']}, {result['cores']} shared cores, load "]
    lines[-1] += f"{result['load_1min']} at the start. Reproduce with `{result['command']}`."
    lines += [
        "",
        "The public set is in-sample: the rules were written with it in view. The run records and secrets were made",
        "afterwards by the same hand; telephone rules were corrected once after their misses were seen (recall .918",
        "before). presidio saw 200 of the run records. No text is of a real person.",
        "",
    ]
    lines += ["| tool | set | " + " | ".join((*PERSONAL, "secret")) + " |", "|---|---|" + "---|" * 7]
    pairs = dict.fromkeys((row["tool"], row["dataset"]) for row in result["quality"])
    for tool, dataset in pairs:
        cells = {r["kind"]: r for r in result["quality"] if (r["tool"], r["dataset"]) == (tool, dataset)}
        lines.append(f"| {tool} | {dataset} | " + " | ".join(_cell(cells.get(k)) for k in (*PERSONAL, "secret")) + " |")
    hits = ", ".join(f"{kind} {count}" for kind, count in result["decoys"]["hits"].items() if count) or "none"
    lines += ["", "Each cell: recall / precision (values). Bar on the public set: recall ≥ .97, precision ≥ .95.", ""]
    lines += [f"False hits in {result['decoys']['lines']:,} lines of decoys: {hits}.", ""]
    lines += [
        f"{tool}: {speed:.2f} MB a core-second of run records. " for tool, speed in result["mb_per_core_s"].items()
    ]
    compiling = result["compile_s"] * 1e3
    lines += [
        "",
        f"Compiling all {result['rules']} secret rules and the rest, at `burnish.open`: {compiling:.0f} ms of CPU.",
        "",
    ]
    lines += ["| redaction of one bundle, µs | n | p50 | p99 | bar |", "|---|---|---|---|---|"]
    for row in result["costs"]:
        bar = row["bar"] and f"{row['bar']}: {'met' if row['met'] else '**missed**'}"
        lines.append(f"| {row['what']} | {row['n']} | {row['p50']:,.0f} | {row['p99']:,.0f} | {bar} |")
    names = list(result["hostile"][0])
    lines += ["", "| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in result["hostile"]]
    return "\n".join([*lines, ""])


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "–"
    precision = "–" if row["precision"] is None else f"{row['precision']:.3f}"
    return f"{row['recall']:.3f} / {precision} ({row['values']})"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _stop(what: str, message: str) -> None:
    raise SystemExit(f"{what}: {message}")


if __name__ == "__main__":
    sys.exit(main())
