"""The commands of replays, experiments and golden datasets, as a person would use them."""

from __future__ import annotations

import json
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

import burnish
from burnish.cli import experiments as experiments_cli, goldens as goldens_cli, replay as replay_cli
from burnish.cli.experiments import Registry
from burnish.clock import SystemClock
from burnish.curate.goldens import GoldenDataset
from burnish.demo.performance import world_of
from burnish.errors import BurnishError, InvalidValue, NotFound
from burnish.ids import UuidV7Source
from burnish.propose.experiment_run import experiment
from burnish.propose.experiments import Experiment, SeedResult
from burnish.propose.policy import Policy, RoutingRule
from burnish.store.opening import open_store
from burnish.trial import replay_ledger
from burnish.trial.replay_record import ReplayReport

CLOCK = SystemClock()
HEADER = "task_id,task_type,model,success,cost_usd\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the commands run in, with a store, a matrix and two policies."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BURNISH_URL", raising=False)
    burnish.open(".burnish").close()
    rows = [
        f"{kind}{n},{kind},{model},{int(model == 'large' or kind == 'easy')},{cost}\n"
        for n in range(100)
        for kind in ("easy", "hard")
        for model, cost in (("small", 0.1), ("large", 1.0))
    ]
    (tmp_path / "matrix.csv").write_text(HEADER + "".join(rows))
    write(tmp_path / "small.json", policy("small"))
    write(tmp_path / "large.json", policy("large"))
    return tmp_path


def policy(*models: str, **by_type: str) -> Policy:
    rules = [RoutingRule(when={"task_type": name}, model=model) for name, model in by_type.items()]
    return Policy(
        tenant="default", agent="a", models=models, routing=rules, author="person:x", created="2026-01-01T00:00:00Z"
    )


def write(path: Path, content: object) -> None:
    path.write_bytes(msgspec.json.encode(content))


def run(command: click.Command, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def done(command: click.Command, *arguments: str) -> str:
    result = run(command, *arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def refused(command: click.Command, *arguments: str) -> BurnishError:
    result = run(command, *arguments)
    assert isinstance(result.exception, BurnishError), result.output
    return result.exception


def replayed(*arguments: str) -> tuple[int, ReplayReport]:
    result = run(replay_cli.command, *arguments, "--data", "matrix.csv", "--json")
    return result.exit_code, msgspec.json.decode(result.stdout, type=ReplayReport)


def test_a_better_policy_passes_a_worse_one_fails_and_too_little_data_is_neither(folder: Path) -> None:
    code, report = replayed("large.json", "--against", "small.json")
    assert (code, report.verdict, report.mean_delta) == (0, "pass", -0.5)
    code, report = replayed("small.json", "--against", "large.json", "--seeds", "2", "--workers", "2")
    assert (code, report.verdict, list(report.seeds), report.regressed) == (1, "fail", [0, 1], 100)
    (folder / "matrix.csv").write_text(HEADER + "t,hard,small,0,1\nt,hard,large,1,1\n")
    code, report = replayed("large.json")
    assert (code, report.verdict, report.baseline) == (3, "inconclusive", None)


def test_the_report_is_printed_in_words(folder: Path) -> None:  # noqa: ARG001 - the fixture's files
    result = run(replay_cli.command, "small.json", "--data", "matrix.csv", "--against", "large.json")
    assert result.exit_code == 1
    assert result.stdout.startswith("FAIL: the loss is surely higher: by +0.500")
    assert [line.split() for line in result.stdout.splitlines() if line.startswith("hard ")] == [
        ["hard", "100", "+1.000"]
    ]
    assert "Items that got worse (100)" in result.stdout
    assert sum(line.startswith("hard1") for line in result.stdout.splitlines()) > 5


def test_what_counts_for_a_task_can_be_set(folder: Path) -> None:  # noqa: ARG001 - the fixture's files
    code, report = replayed("large.json", "--against", "small.json", "--budget", "0.5", "--margin", "0.3")
    assert code == 0
    assert report.margin == 0.3
    assert report.mean_delta == pytest.approx((0.15 / 0.45 + (0.15 / 0.45 - 0.3 / 0.45)) / 2)


def test_goldens_that_get_worse_fail_the_policy_and_the_report_is_kept(folder: Path) -> None:
    items = [{"id": "hard1", "task_type": "hard", "baseline_loss": 0.0}, {"id": "easy1", "task_type": "easy"}]
    (folder / "g.jsonl").write_text("\n".join(json.dumps(item) for item in items))
    assert "core, version 1, 2 items, sha256:" in done(goldens_cli.command, "freeze", "g.jsonl", "core", "--note", "n")
    code, report = replayed("small.json", "--against", "small.json", "--goldens", "core", "--record")
    assert (code, report.verdict) == (1, "fail")
    assert report.goldens is not None
    assert [one.id for one in report.goldens.regressions] == ["hard1"]
    with open_store(".burnish").read() as connection:
        kept = replay_ledger.latest(connection, policy("small").digest)
    assert kept is not None
    assert kept.report == report
    assert kept.method == "recorded"


def test_the_demo_recording_can_be_replayed(folder: Path) -> None:
    world, _ = world_of(None)
    source = Path(burnish.__file__).parent / "demo" / "data" / "demo_openhands.csv.gz"
    write(folder / "routed.json", policy(**world.references(price=0.0).type_oracle.models))
    said = done(replay_cli.command, "routed.json", "--data", str(source))
    assert said.startswith("PASS")
    assert "over 1,112 items × 3 seeds" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{}", "it is not a policy"),
        (b"\xff", "it is not a policy"),
        (msgspec.json.encode(policy("nobody")), "the recording has no such model; it has large, small"),
    ],
)
def test_a_policy_that_cannot_be_replayed_is_refused(folder: Path, content: bytes, said: str) -> None:
    (folder / "bad.json").write_bytes(content)
    assert said in str(refused(replay_cli.command, "bad.json", "--data", "matrix.csv"))
    assert "give a file with a policy" in str(refused(replay_cli.command, "none.json", "--data", "matrix.csv"))
    assert "No such file" in str(refused(replay_cli.command, "small.json", "--data", "none.csv"))


def test_golden_datasets_are_frozen_listed_and_shown(folder: Path) -> None:
    assert "no golden datasets yet" in done(goldens_cli.command, "list")
    (folder / "g.jsonl").write_text('{"id": "a", "task": "Do it", "expected": 42}\n\n', encoding="utf-8-sig")
    first = done(goldens_cli.command, "freeze", "g.jsonl", "core")
    assert done(goldens_cli.command, "freeze", "g.jsonl", "core") == first
    (folder / "g.jsonl").write_text('{"id": "a", "task": "Do that", "baseline_loss": 0.5}')
    assert "version 2" in done(goldens_cli.command, "freeze", "g.jsonl", "core")
    assert [one["version"] for one in json.loads(done(goldens_cli.command, "list", "--json"))] == [1, 2]
    assert "0.500" in done(goldens_cli.command, "show", "core")
    shown = msgspec.json.decode(
        done(goldens_cli.command, "show", "core", "--version", "1", "--json"), type=GoldenDataset
    )
    assert shown.items[0].expected == 42
    assert isinstance(refused(goldens_cli.command, "show", "other"), NotFound)


def test_a_file_that_is_no_set_of_items_is_refused(folder: Path) -> None:
    (folder / "bad.jsonl").write_text('{"id": "a"}\n{"id": 7}\n')
    assert "bad.jsonl, line 2" in str(refused(goldens_cli.command, "freeze", "bad.jsonl", "core"))
    (folder / "bad.jsonl").write_bytes(b"\xe4")
    assert "UTF-8" in str(refused(goldens_cli.command, "freeze", "bad.jsonl", "core"))
    assert isinstance(refused(goldens_cli.command, "freeze", "none.jsonl", "core"), InvalidValue)
    (folder / "bad.jsonl").write_text("")
    assert "0 items" in str(refused(goldens_cli.command, "freeze", "bad.jsonl", "core"))


def test_experiments_are_listed_with_how_they_end_and_shown_whole() -> None:
    assert "no experiments yet" in done(experiments_cli.command, "list")
    ids, store = UuidV7Source(CLOCK), open_store(".burnish")
    facts = {"tenant": "default", "agent": "coder", "ids": ids, "clock": CLOCK}
    with experiment(store, "prompt_synthesis", configuration={"rounds": 2}, **facts) as first:  # type: ignore[arg-type]  # facts of a test
        first.spend(0.5)
        first.finish(policy="sha256:1", loss_before=0.5, loss_after=0.25, seeds=[SeedResult(0, 0.5, 0.25)], note="so")
    with experiment(store, "tool_tuning", **facts):  # type: ignore[arg-type]  # facts of a test
        pass
    found = msgspec.json.decode(done(experiments_cli.command, "list", "--json"), type=Registry)
    assert [one.kind for one in found.experiments] == ["tool_tuning", "prompt_synthesis"]
    assert [one.rate for one in found.success_rates] == [1.0, 0.0]
    assert "100%" in done(experiments_cli.command, "list")
    only = done(experiments_cli.command, "list", "--kind", "tool_tuning", "--status", "failed", "--json")
    assert len(json.loads(only)["experiments"]) == 1
    said = done(experiments_cli.command, "show", first.id)
    assert "loss 0.500 before, 0.250 after, -0.250" in said
    assert '{"rounds":2}' in said
    assert msgspec.json.decode(done(experiments_cli.command, "show", first.id, "--json"), type=Experiment).note == "so"
    assert isinstance(refused(experiments_cli.command, "show", "nothing"), NotFound)
