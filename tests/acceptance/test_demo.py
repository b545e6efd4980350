"""The newcomer's demo: repeatable, honest about its figures, and told through the public interface."""

from __future__ import annotations

import ast
import csv
import gzip
import io
import json
import random
import re
import socket
import sqlite3
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from markupsafe import escape
from rich.console import Console

from burnish import CanaryPlan, demo
from burnish.cli import main
from burnish.demo.figures import report_of
from burnish.demo.page import page
from burnish.demo.performance import repeat, world_of
from burnish.demo.records import Plan, Story
from burnish.demo.report import Report
from burnish.demo.story import tell
from burnish.demo.terminal import show
from burnish.demo.trust_report import lives
from burnish.testing.world import RecordedWorld

FOLDER = Path(demo.__file__).parent
MOST_MB = 300
EVIL = '<script>alert("x")</script>'
GOOD = {
    "alpha": {"parse": 0.95, "prove": 0.3},
    "beta": {"parse": 0.5, "prove": 0.9},
    "gamma": {"parse": 0.4, "prove": 0.4},
}
COST = {"alpha": 0.02, "beta": 0.4, "gamma": 0.2}
SHORT = Plan(seed=3, learn_rounds=3, drift_rounds=1, trust=False)
TRUST = Plan(seed=3, learn_rounds=3, check_rounds=0, drift_rounds=0)


MEASURED = """
import pathlib, resource, sys
from burnish.cli import main
main(['demo', '--quick', '--json'], standalone_mode=False)
status = pathlib.Path('/proc/self/status')
if status.exists():  # ru_maxrss of a child counts what its parent held when it forked; VmHWM starts anew with exec
    peak = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith('VmHWM:')) / 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == 'darwin' else 1024)
print(peak, file=sys.stderr)
"""


def matrix(tasks: int = 60, evil: str = "") -> list[dict[str, object]]:
    """A user's matrix: alpha is best at one kind of task, beta at the other, gamma at neither."""
    rng = random.Random(11)
    return [
        {
            "task_id": f"{kind}{evil}/{i}",
            "task_type": f"{kind}{evil}",
            "model": f"{model}{evil}",
            "success": rng.random() < chances[kind],
            "cost_usd": COST[model] * rng.uniform(0.5, 1.5),
        }
        for kind in ("parse", "prove")
        for i in range(tasks)
        for model, chances in GOOD.items()
    ]


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def told(folder: Path, world: RecordedWorld, plan: Plan = SHORT, until: datetime | None = None) -> tuple[Story, Report]:
    story, loop = tell(folder, world, plan, until=until)
    loop.close()
    return story, report_of(story, world, name="mine", shipped=False)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, without settings from the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BURNISH_URL", raising=False)
    return tmp_path


def burnish(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_the_same_seed_gives_the_same_report_and_page_on_any_day(tmp_path: Path) -> None:
    world = RecordedWorld.of(matrix())
    today = datetime(2026, 3, 1, tzinfo=UTC)
    _, first = told(tmp_path / "a", world, until=today)
    _, second = told(tmp_path / "b", world, until=today + timedelta(days=400))
    assert msgspec.json.encode(first) == msgspec.json.encode(second)
    assert page(first) == page(second)
    _, other = told(tmp_path / "c", world, msgspec.structs.replace(SHORT, seed=4))
    assert msgspec.json.encode(other) != msgspec.json.encode(first)


@pytest.mark.parametrize("act", ["story.py", "trust.py"])
def test_the_story_uses_nothing_private(act: str) -> None:
    tree = ast.parse((FOLDER / act).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {name for name in names if name.startswith("burnish")}
    opening = ("burnish.settings", "burnish.store.opening", "burnish.capture.prices")
    allowed = ("burnish.testing.", "burnish.demo.", "burnish.trial.records", "burnish.trial.replay_record", *opening)
    assert {name for name in ours if name != "burnish" and not name.startswith(allowed)} == set()
    touched = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr.startswith("_")}
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert touched <= own


def test_the_ledger_equals_an_independent_count_of_the_csv(tmp_path: Path) -> None:
    world, _ = world_of(None)
    _, report = told(tmp_path / "store", world, Plan(learn_rounds=1, check_rounds=0, drift_rounds=0, trust=False))
    truth, known = {}, defaultdict(list)
    with gzip.open(FOLDER / "data" / "demo_openhands.csv.gz", "rt", newline="") as stream:
        for row in csv.DictReader(stream):
            truth[row["task_id"], row["model"]] = row
            if row["cost_usd"]:
                known[row["task_type"], row["model"]].append((row["task_id"], float(row["cost_usd"])))
    whole = {task.id for task in world.tasks}
    success = cost = 0.0
    with sqlite3.connect(tmp_path / "store" / "burnish.db") as ledger:
        runs = ledger.execute("SELECT extra, task_type, model, success, cost_usd FROM runs").fetchall()
    for extra, task_type, model, solved, spent in runs:
        row = truth[json.loads(extra)["task_id"], model]
        costs = [value for task, value in known[task_type, model] if task in whole]
        assert spent == pytest.approx(float(row["cost_usd"]) if row["cost_usd"] else sum(costs) / len(costs))
        assert bool(solved) is (row["success"] == "True")
        success, cost = success + (row["success"] == "True"), cost + spent
    assert len(runs) == report.total.runs == len(whole)
    assert report.total.success == pytest.approx(success / len(runs))
    assert report.total.cost_usd == pytest.approx(cost / len(runs))


def test_the_reported_loss_is_that_of_the_ledger_and_of_the_formula(tmp_path: Path) -> None:
    world = RecordedWorld.of(matrix())
    story, report = told(tmp_path / "store", world)
    with sqlite3.connect(tmp_path / "store" / "burnish.db") as ledger:
        mean = ledger.execute("SELECT avg(loss) FROM runs").fetchone()[0]
    assert report.total.loss == pytest.approx(mean)
    budget = report.budget_usd
    assert budget is not None
    for step in story.steps:
        overrun = min(1.0, max(0.0, step.cost_usd - budget) / budget)
        if step.act != "check":
            assert story.losses[step.run_id] == pytest.approx((0.3 * (1 - step.quality) + 0.15 * overrun) / 0.45)


def test_it_beats_the_best_single_model_and_closes_half_of_the_gap(tmp_path: Path) -> None:
    world = RecordedWorld.of(matrix(tasks=150))
    _, report = told(tmp_path / "store", world, Plan(learn_rounds=4, check_rounds=0, drift_rounds=0, trust=False))
    seeds = repeat(world, report.plan, report.learning, 4)
    assert seeds.ahead == seeds.count == 4
    assert seeds.gap_closed[0] >= 0.5


def test_a_checker_and_fallbacks_solve_what_no_single_model_solves(tmp_path: Path) -> None:
    _, report = told(tmp_path / "store", RecordedWorld.of(matrix(tasks=150)))
    assert report.checked is not None
    assert report.checked.rescued > 0
    assert report.checked.means.success > report.checked.strongest.success
    assert all(len({model for model, _ in line.chain}) == len(line.chain) for line in report.types)


def test_a_model_that_gets_worse_is_noticed_and_routed_around(tmp_path: Path) -> None:
    plan = Plan(learn_rounds=3, check_rounds=0, drift_rounds=3, share_lost=0.9, trust=False)
    _, report = told(tmp_path / "store", RecordedWorld.of(matrix(tasks=150)), plan)
    drift = report.drift
    assert drift is not None
    assert drift.noticed_after is not None
    assert drift.share_after < drift.share_before
    assert drift.means.utility > drift.stayed.utility


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """The act of trust on the user's matrix, and the folder of its store."""
    folder = tmp_path_factory.mktemp("trust") / "store"
    return folder, told(folder, RecordedWorld.of(matrix(tasks=150)), TRUST)[1]


def test_a_better_policy_earns_promotion_with_the_defaults(proved: tuple[Path, Report]) -> None:
    trust = proved[1].trust
    assert trust is not None
    better = trust.trials[0]
    assert (better.replay, better.shadow) == ("pass", "passed")
    assert better.canary is not None
    assert better.canary.status == "promoted"
    assert better.canary.better >= better.canary.better_at == CanaryPlan().promote_at
    assert better.canary.low < better.canary.delta < 0  # one draw in twenty misses the truth; see tests of effect.py
    assert trust.drafted.loss < trust.first.loss


def test_a_policy_that_turns_harmful_after_its_shadow_is_rolled_back(proved: tuple[Path, Report]) -> None:
    trust = proved[1].trust
    assert trust is not None
    harmful = trust.trials[1]
    assert (harmful.replay, harmful.shadow) == ("pass", "passed")
    assert harmful.canary is not None
    assert harmful.canary.status == "rolled_back"
    assert harmful.canary.worse >= harmful.canary.worse_at == CanaryPlan().rollback_at
    assert harmful.canary.own < harmful.canary.units / 4
    assert trust.in_charge == "v2"


def test_the_told_lives_are_those_of_the_ledger_and_the_evidence_is_the_canarys(proved: tuple[Path, Report]) -> None:
    folder, report = proved
    trust = report.trust
    assert trust is not None
    with sqlite3.connect(folder / "burnish.db") as ledger:
        status = dict(ledger.execute("SELECT 'v' || version, status FROM policies"))
        canaries = ledger.execute(
            "SELECT id, processed FROM deployments WHERE mode = 'canary' ORDER BY created_at"
        ).fetchall()
        arms = [
            ledger.execute("SELECT sum(arm), sum(used) FROM deployment_assignments WHERE deployment = ?", (one,))
            for one, _ in canaries
        ]
        runs = ledger.execute("SELECT count(*) FROM runs WHERE agent = ?", (trust.agent,)).fetchone()[0]
    assert {name: changes[-1].to_status for name, changes in lives(trust).items()} == status
    assert sum(change.to_status == "active" for change in trust.changes) == 2
    assert runs == trust.runs
    proofs = [trial.canary for trial in trust.trials if trial.canary is not None]
    assert [proof.units for proof in proofs] == [used for cursor in arms for _, used in cursor]
    for proof in proofs:
        assert max(better for _, better, _ in proof.evidence) <= proof.better
        assert proof.evidence[-1][0] == proof.units
        shares = [share for _, share in proof.ramp]
        assert shares == sorted(shares)
        assert set(shares) <= {step.share for step in CanaryPlan().ramp}


def test_the_act_of_trust_is_the_same_each_time_and_changes_nothing_before_it(
    proved: tuple[Path, Report], tmp_path: Path
) -> None:
    _, first = proved
    world = RecordedWorld.of(matrix(tasks=150))
    again = told(tmp_path / "again", world, TRUST, until=datetime(2026, 3, 1, tzinfo=UTC))[1]
    assert msgspec.json.encode(again) == msgspec.json.encode(first)
    assert page(again) == page(first)
    without = told(tmp_path / "without", world, msgspec.structs.replace(TRUST, trust=False))[1]
    assert without.learning == first.learning
    assert without.types == first.types
    assert without.decisions == first.decisions
    assert without.total == first.total


def test_no_digest_key_or_root_is_shown(proved: tuple[Path, Report]) -> None:
    shown = msgspec.json.encode(proved[1]).decode() + page(proved[1])
    assert "sha256:" not in shown
    assert not re.search(r"[0-9a-f]{32}", shown)


def test_candidates_that_do_not_pass_get_no_traffic_and_that_is_said(tmp_path: Path) -> None:
    _, report = told(tmp_path / "store", RecordedWorld.of(matrix(tasks=3)), TRUST)
    assert report.trust is not None
    stopped = [trial for trial in report.trust.trials if trial.canary is None]
    assert stopped
    console = Console(file=io.StringIO(), width=200)
    show(report, console)
    assert "It got no traffic." in console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO given above
    assert "It got no traffic." in page(report)


def test_ten_decisions_are_explained_each_with_rule_reason_and_probabilities(tmp_path: Path) -> None:
    _, report = told(tmp_path / "store", RecordedWorld.of(matrix(tasks=150)))
    assert len(report.decisions) == len({decided.at for decided in report.decisions}) == 10
    attempts = [attempt for decided in report.decisions for attempt in decided.attempts]
    assert {"learned", "fallback"} <= {attempt.rule for attempt in attempts}
    assert any(attempt.rule == "learned" and attempt.propensity < 0.1 for attempt in attempts)
    for attempt in attempts:
        assert attempt.reason
        assert sum(share for _, share in attempt.candidates) == pytest.approx(1.0)


def test_the_command_leaves_a_page_and_a_store_that_the_other_commands_read(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the demo used the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    data = written(here / "mine.csv", matrix())
    done = burnish("demo", "--data", str(data), "--quick", "--seeds", "2")
    assert done.exit_code == 0, done.output
    assert "Over 2 seeds" in done.output
    assert "burnish-demo.html" in done.output
    commands = [line.split("  ")[1].split() for line in done.output.splitlines() if line.startswith("  burnish ")]
    asked = [command[1:] for command in commands if command[1] != "demo"]
    policies = {"policy", "canary", "audit"}
    assert {command[0] for command in asked} == {"runs", "explain", "models", "route"} | policies
    assert "events verified, no issues" in " ".join(done.output.split())
    for command in asked:
        answered = burnish(*command)
        assert answered.exit_code == 0, answered.output
        assert answered.output.strip()
    assert (here / "burnish-demo.html").stat().st_size > 10_000


def test_a_store_with_runs_is_left_alone(here: Path) -> None:
    data = written(here / "mine.csv", matrix(tasks=8))
    first = burnish("demo", "--data", str(data), "--rounds", "1")
    before = (here / ".burnish" / "burnish.db").read_bytes()
    second = burnish("demo", "--data", str(data), "--rounds", "1")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert (here / ".burnish" / "burnish.db").read_bytes() == before
    assert "burnish runs --store .burnish-demo-1" in second.output
    refused = burnish("demo", "--data", str(data), "--store", ".burnish")
    assert refused.exit_code == 1
    assert "give an empty folder" in refused.output


def test_json_is_the_report_and_nothing_else(here: Path) -> None:
    data = written(here / "mine.csv", matrix(tasks=8))
    done = burnish("demo", "--data", str(data), "--rounds", "2", "--json")
    report = msgspec.json.decode(done.stdout, type=Report)
    assert report.plan.learn_rounds == 2
    assert not (here / "burnish-demo.html").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("task_id,model\n", "line 1"),
        ("task_id,task_type,model,success,cost_usd\nt,a,m,perhaps,1\n", "line 2, column success"),
        ("task_id,task_type,model,success,cost_usd\nt,a,m,1,1\n", "at least two models"),
    ],
)
def test_a_bad_file_gives_one_clear_line_and_leaves_nothing(here: Path, text: str | None, said: str) -> None:
    if text is not None:
        (here / "mine.csv").write_text(text, encoding="utf-8")
    done = burnish("demo", "--data", "mine.csv", "--html", "out.html")
    assert done.exit_code == 1
    assert said in done.output
    assert done.output.startswith("error: ")
    assert done.output.count("\n") == 1
    assert not (here / ".burnish").exists()
    assert not (here / "out.html").exists()


def test_a_page_that_cannot_be_written_is_said_before_the_story(here: Path) -> None:
    done = burnish("demo", "--html", str(here / "no" / "where.html"))
    assert done.exit_code == 1
    assert "file that can be written" in done.output


class Reader(HTMLParser):
    """Collects tags and the addresses that a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag and what it refers to."""
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src", "srcset", "data", "action"}]


@pytest.mark.parametrize("evil", ["", EVIL, "'\"&{{ 7*7 }}[red]"])
def test_the_page_needs_nothing_else_and_hostile_names_stay_text(tmp_path: Path, evil: str) -> None:
    _, report = told(tmp_path / "store", RecordedWorld.of(matrix(tasks=20, evil=evil)))
    html = page(report)
    reader = Reader()
    reader.feed(html)
    assert not reader.tags & {"script", "link", "iframe", "img", "object", "embed", "form"}
    assert reader.addresses == []
    assert set(re.findall(r"https?://[^\"'\s<]+", html)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(|javascript:", html)
    assert evil == "" or str(escape(evil)) in html


def test_the_terminal_prints_names_as_they_are(tmp_path: Path) -> None:
    _, report = told(tmp_path / "store", RecordedWorld.of(matrix(tasks=20, evil="[red]x[/red]")))
    console = Console(file=io.StringIO(), width=200)
    show(report, console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO given above
    assert "parse[red]x[/red]" in printed
    assert "alpha[red]x[/red]" in printed


def test_the_page_of_the_shipped_data_names_its_source(tmp_path: Path) -> None:
    story, _ = told(tmp_path / "store", RecordedWorld.of(matrix(tasks=8)))
    html = page(report_of(story, RecordedWorld.of(matrix(tasks=8)), name="x", shipped=True))
    reader = Reader()
    reader.feed(html)
    assert reader.addresses == ["https://github.com/OpenHands/openhands-index-results"]


def test_it_needs_little_memory(here: Path) -> None:
    done = subprocess.run([sys.executable, "-c", MEASURED], cwd=here, check=True, capture_output=True, text=True)
    report = msgspec.json.decode(done.stdout, type=Report)
    assert report.source.tasks == 1112
    assert float(done.stderr.split()[-1]) < MOST_MB
