"""`burnish errors`, as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from burnish.cli import main
from burnish.cli.errors import command
from burnish.clock import SystemClock
from burnish.errors import BurnishError, InvalidValue, NotFound
from burnish.ids import UuidV7Source
from burnish.learn.errors.builtin import built_in
from burnish.learn.errors.escalation import Escalations
from burnish.store.opening import open_store

ERROR = "LaunchError: engine 'left' did not ignite after 30 s"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a store, which the commands run in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BURNISH_URL", raising=False)
    assert CliRunner().invoke(main, ["init"]).exit_code == 0
    return tmp_path


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(command, arguments, input=text)


def done(*arguments: str, text: str | None = None) -> str:
    result = run(*arguments, text=text)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: str) -> BurnishError:
    result = run(*arguments)
    assert isinstance(result.exception, BurnishError)
    return result.exception


def test_an_error_on_standard_input_gets_its_fix() -> None:
    shown = done("match", text="Traceback …\nKeyError: 'user_id'\n")
    assert "read it with .get('user_id', default)" in shown
    assert "builtin:py-key-error" in shown


def test_a_log_file_of_any_size_gets_the_fix_of_its_end(folder: Path) -> None:
    (folder / "log").write_bytes(b"fine \xff\n" * 2_000_000 + b"KeyError: 'user_id'\n")
    (fix,) = json.loads(done("match", "log", "--file", "src/a.py", "--json"))
    assert fix["captures"] == ["user_id"]
    assert json.loads(done("match", "log", "--file", "src/a.ts", "--json")) == []
    assert "no known error fits" in done("match", "log", "--file", "src/a.ts")


def test_what_is_taught_is_matched_listed_counted_and_pruned() -> None:
    taught = json.loads(done("learn", ERROR, "check the fuel line of left", "--name", "No ignition", "--json"))
    assert "‹name›" in done("learn", ERROR, "check the fuel line of left")
    (fix,) = json.loads(done("match", "--json", text=ERROR.replace("left", "rear")))
    assert (fix["fix"], fix["pattern_id"]) == ("check the fuel line of rear", taught["id"])
    assert "did not ignite" in done("list", "--learned")
    for _ in range(4):
        shown = done("record", taught["id"], "--failed")
    assert "after 4 uses" in shown
    assert done("prune") == "1 pattern retired\n"
    assert json.loads(done("prune", "--json")) == {"retired": 0}
    assert done("list", "--learned") == "no patterns yet\n"


def test_the_built_in_patterns_are_listed() -> None:
    assert len(json.loads(done("list", "--limit", "1000", "--json"))) == len(built_in())
    assert json.loads(done("record", "builtin:py-key-error", "--ok", "--json"))["successes"] == 1


def test_a_project_has_patterns_of_its_own() -> None:
    done("learn", ERROR, "check it", "--project", "a", "--type", "insert", "--category", "build")
    assert json.loads(done("match", "--project", "b", "--json", text=ERROR)) == []
    (fix,) = json.loads(done("match", "--project", "a", "--json", text=ERROR))
    assert (fix["scope"], fix["fix_type"], fix["category"]) == ("project", "insert", "build")


def test_fixes_of_several_projects_are_listed_masked() -> None:
    assert "no fix was found by 3 projects yet" in done("shared")
    clock = SystemClock()
    store = open_store(".burnish")
    history = Escalations(store, tenant="default", clock=clock, ids=UuidV7Source(clock))
    for project, key in [("a", "sk-11aa22bb"), ("b", "sk-33cc44dd"), ("c", "sk-55ee66ff")]:
        history.record(ERROR, level=2, resolved=True, project=project, fix=f"rotate {key}")
    store.close()
    shown = done("shared")
    assert "rotate ‹id›" in shown
    assert "another model" in shown
    (fix,) = json.loads(done("shared", "--json", "--from", "3"))
    assert (fix["projects"], fix["frequency"], fix["level"]) == (3, 3, 2)


def test_mistakes_are_named() -> None:
    assert isinstance(refused("learn", "Error: 1", "fix"), InvalidValue)
    assert isinstance(refused("record", "nobody", "--ok"), NotFound)
    assert run("record", "nobody").exit_code == 2
    assert run("match", "no-such-file").exit_code == 2
    assert isinstance(refused("list", "--store", "elsewhere"), InvalidValue)
