"""The commands that answer questions: JSON that round-trips, tables that are safe to print, errors in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

import burnish
from burnish.act.routing_table import Routing
from burnish.answers import Explanation, RouteReport
from burnish.capture.records import RunRecord
from burnish.cli import COMMANDS, main
from burnish.cli.config import Value
from burnish.cli.models import Learned
from burnish.cli.options import Where, reading
from burnish.cli.shown import adding_up, safe
from burnish.govern.keys import KEYS

BURNISH = Path(sys.executable).with_name("burnish")
ESCAPE = "\x1b[31m"
Answer = TypeVar("Answer")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BURNISH_URL", raising=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def play(url: str) -> burnish.Loop:
    """A loop with a little of everything in it."""
    loop = burnish.open(url, models=["small", "large"], strict=True, seed=3)
    for step in range(12):
        with loop.run(agent="coder", task=f"{ESCAPE}task {step}", task_type="code", estimated_cost_usd=0.2) as outer:
            model = outer.decide().model
            outer.call(model=model, cost_usd=0.1, latency_s=0.5)
            if step % 4 == 3 and (following := outer.fallback("timeout", error="too [slow]")) is not None:
                outer.call(model=following.model, cost_usd=0.3)
            outer.gate("tests", passed=step % 3 > 0, reason="3 of 4")
            outer.signal("contradictions", 1)
            outer.outcome(success=step % 2 == 0)
            with loop.run(agent="critic", task_type="review") as inner:
                inner.call(model="small", cost_usd=0.01)
                inner.outcome(success=True)
    loop.flush()
    return loop


@pytest.fixture
def loop(store_url: str) -> Iterator[burnish.Loop]:
    with play(store_url) as played:
        yield played


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for inner in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), inner)
            assert found is not None
            yield from commands(found, f"{name} {inner}".strip())


def test_every_command_has_help() -> None:
    for name, command in commands(main, ""):
        assert run(*name.split(), "--help").exit_code == 0
        assert command.help, name
        for option in command.params:
            assert isinstance(option, click.Argument) or getattr(option, "help", None), f"{name}: {option.name}"


def test_the_list_of_commands_says_what_their_own_help_says() -> None:
    for name, summary in COMMANDS.items():
        command = main.get_command(click.Context(main), name)
        assert command is not None
        assert command.get_short_help_str(200) == summary


def test_json_is_exactly_what_the_loop_answers(loop: burnish.Loop, store_url: str) -> None:
    def asked(kind: type[Answer], *arguments: str) -> Answer:
        done = run(*arguments, "--json", "--store", store_url)
        assert done.exit_code == 0, done.output
        return msgspec.json.decode(done.stdout, type=kind)

    newest = loop.runs(agent="coder")
    assert asked(list[RunRecord], "runs") == loop.runs()
    assert asked(list[RunRecord], "runs", "--agent", "coder", "--limit", "2") == newest[:2]
    assert asked(list[RunRecord], "runs", "--task-type", "code", "--before", newest[3].id) == newest[4:]
    assert asked(Explanation, "explain", newest[0].id) == loop.explain(newest[0].id)
    learned = asked(Learned, "models")
    routes = asked(list[RouteReport], "route", "review")
    with reading(Where(url=store_url)) as same:  # it was not told of models that no run has used
        assert learned.models == same.models()
        assert routes == same.route("review")
    assert [trend.runs for trend in learned.trends] == [12, 12]
    assert {"code", "review"} <= {row.task_type for row in asked(list[Routing], "routing", "list")}
    values = asked(list[Value], "config", "list")
    assert [(value.key, value.default) for value in values] == [(name, key.default) for name, key in KEYS.items()]
    assert all(value.meaning for value in values)
    for command in ("status", "doctor", "db verify", "config get route.floor"):
        json.loads(run(*command.split(), "--json", "--store", store_url).stdout)


def test_tables_show_what_happened_and_why(loop: burnish.Loop, store_url: str) -> None:
    found = next(r for r in loop.runs(agent="coder") if len(loop.explain(r.id).decisions) == 2)
    shown = run("explain", found.id, "--store", store_url).output
    for words in ("by rule", "attempt 2", "failed: timeout", "too [slow]", "3 of 4", "contradictions", "× weight"):
        assert words in shown
    assert loop.explain(found.id).children[0] in shown
    assert ESCAPE not in shown
    for command, words in {
        "runs": "started (UTC)",
        "models": "Loss by agent",
        "route code": "routing row: learned",
        "routing list": "low in a row",
        "config list": "route.cap_usd_per_month",
    }.items():
        assert words in run(*command.split(), "--store", store_url).stdout


def test_a_beginning_of_a_run_id_is_enough_when_no_other_shares_it(tmp_path: Path) -> None:
    with play(str(tmp_path / "s")) as loop:
        newest = loop.runs(limit=1)[0]
    assert newest.id in run("explain", newest.id[:23], "--store", str(tmp_path / "s")).output
    assert run("explain", newest.id[:2], "--store", str(tmp_path / "s")).stderr.startswith("error: ")


def test_the_printed_contributions_add_up_to_the_printed_loss() -> None:
    for parts in ([1 / 3, 1 / 3, 1 / 3], [0.00004, 0.00004, 0.00004], [0.12345, 0.2], [0.0], []):
        assert sum(adding_up(parts, sum(parts))) == pytest.approx(round(sum(parts), 4), abs=1e-9)


def test_text_of_others_cannot_steer_the_terminal() -> None:
    assert safe("a\x1b[2Jb\x07c\td\u202ee\nf") == "a�[2Jb�c d�e\nf"
    assert len(safe("x" * 10_000)) < 3_000


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["runs"], 1, "burnish init"),
        (["runs", "--store", "mysql://somewhere"], 1, "is not supported"),
        (["runs", "--store", "postgresql://u:secret@127.0.0.1:1/x"], 1, "cannot be reached"),
        (["config", "get", "route.flor"], 1, "the configuration keys are"),
        (["nonsense"], 2, "No such command"),
        (["runs", "--limit", "0"], 2, "--limit"),
    ],
)
def test_an_error_is_one_line_and_creates_nothing(arguments: list[str], code: int, words: str, tmp_path: Path) -> None:
    done = run(*arguments)
    assert done.exit_code == code
    assert words in done.stderr
    assert "secret" not in done.stderr
    if code == 1:
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_is_quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    play(str(tmp_path / "s")).close()
    monkeypatch.setattr(burnish.Loop, "models", interrupt)
    done = run("models", "--store", str(tmp_path / "s"))
    assert (done.exit_code, done.output) == (130, "")


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    play(str(tmp_path / "s")).close()
    piped = f"'{BURNISH}' runs --store '{tmp_path}/s' | true"
    assert subprocess.run(["bash", "-c", piped], capture_output=True, check=True).stderr == b""


def test_help_and_version_are_quick() -> None:
    def took() -> float:
        before = os.times()
        subprocess.run([BURNISH, "--help"], check=True, capture_output=True)
        after = os.times()
        return sum(after[2:4]) - sum(before[2:4])  # processor time, so that a busy machine does not fail it

    assert min(took() for _ in range(5)) < 0.2
    assert subprocess.check_output([BURNISH, "--version"], text=True) == f"burnish {burnish.__version__}\n"
    light = "import sys, burnish.cli; print({'numpy', 'sqlalchemy', 'rich'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", light], text=True) == "set()\n"
