"""The commands that start, change and look after a store."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

import burnish
from burnish.capture.records import Bundle
from burnish.capture.spool import Spool
from burnish.cli import main
from burnish.settings import Settings, load
from burnish.store.version import HEAD

KILLED = """
import os, signal
from pathlib import Path
from burnish.capture.counters import Counters

counters = Counters(Path(".burnish/processes"), "00-dead")
for field, amount in (("started", 5), ("finished", 4), ("stored", 1)):
    counters.add(field, amount)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the commands run in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BURNISH_URL", raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def done(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    return result.stderr


def record(url: str = ".burnish", model: str = "small") -> str:
    """Record one run, and return its id."""
    with burnish.open(url, strict=True) as loop, loop.run(agent="coder", task_type="code") as one:
        one.call(model=model)
        one.outcome(success=True)
    return one.id


def levels() -> dict[str, str]:
    return {check["name"]: check["level"] for check in json.loads(run("doctor", "--json").stdout)}


def test_init_starts_a_project_whose_example_runs(folder: Path) -> None:
    (folder / ".gitignore").write_text("dist/")
    assert "python example.py" in done("init")
    assert (folder / ".gitignore").read_text() == "dist/\n.burnish/\n"
    example = (folder / "example.py").read_text()
    assert len(example.splitlines()) <= 25
    subprocess.run([sys.executable, "-W", "error", "example.py"], check=True, capture_output=True)
    assert len(json.loads(done("runs", "--json", "--limit", "1000"))) == 300
    assert json.loads(done("status", "--json"))["processes"][0]["stored"] == 300


def test_the_settings_file_of_init_names_every_setting_with_its_default(folder: Path) -> None:
    done("init", "sub/project")
    text = (folder / "sub/project/burnish.toml").read_text()
    assert load(environ={}, file=folder / "sub/project/burnish.toml") == Settings()
    lines = [line.removeprefix("# ") for line in text.splitlines() if " = " in line]
    assert tomllib.loads("\n".join(lines)) == msgspec.structs.asdict(Settings())


def test_init_never_overwrites(folder: Path) -> None:
    (folder / "example.py").write_text("mine")
    assert "example.py is there already" in refused("init")
    assert [path.name for path in folder.iterdir()] == ["example.py"]
    assert (folder / "example.py").read_text() == "mine"


def test_a_configured_value_is_in_force_where_it_was_set_and_nowhere_else() -> None:
    done("db", "upgrade")
    assert done("config", "set", "route.floor", "0.2", "--agent", "coder") == "route.floor = 0.2\n"
    assert done("config", "get", "route.floor", "--agent", "coder") == "0.2\n"
    assert done("config", "get", "route.floor") == "0.03\n"
    assert done("config", "set", "route.models", '["a", "b"]') == 'route.models = ["a","b"]\n'
    assert "it was not set" in done("config", "reset", "route.floor")
    assert done("config", "reset", "route.floor", "--agent", "coder") == "route.floor = 0.03\n"
    assert "give JSON" in refused("config", "set", "route.floor", "high")
    assert "from 0 to 1" in refused("config", "set", "route.floor", "7")
    assert "the configuration keys are" in refused("config", "reset", "route.flor")


def test_a_pinned_task_type_is_routed_as_pinned() -> None:
    record(model="small")
    record(model="large")
    done("routing", "set", "code", "--mode", "pinned", "--model", "large")
    route = json.loads(done("route", "code", "--json"))[0]
    assert (route["rule"], route["candidates"][0]["probability"]) == ("configured", 1.0)
    assert "pinned large" in done("route", "code")
    assert "note: no model called lrge" in done("routing", "set", "code", "--mode", "start", "--model", "lrge")
    assert "needs a model" in refused("routing", "set", "code", "--mode", "pinned")
    assert run("routing", "set", "code", "--mode", "maybe").exit_code == 2


def test_feedback_changes_the_loss_of_a_run(store_url: str) -> None:
    run_id = record(store_url)
    said = done("feedback", run_id, "--rating", "1", "--comment", "slow", "--store", store_url)
    assert said == f"{run_id}: loss 0.000 → 1.000\n"
    assert "slow" in done("explain", run_id, "--store", store_url)
    assert "0.000 (run recorded) → 1.000 (late evidence)" in done("explain", run_id, "--store", store_url)
    assert "rating" in refused("feedback", run_id, "--rating", "9", "--store", store_url)
    assert "no run" in refused("feedback", "ffff", "--accepted", "--store", store_url)
    assert run("feedback", run_id, "--store", store_url).exit_code == 2


def test_db_moves_and_verifies_the_schema(store_url: str) -> None:
    assert f"schema {HEAD} (was none)" in done("db", "upgrade", "--store", store_url)
    assert f"schema {HEAD}\n" in done("db", "upgrade", "--store", store_url)
    assert done("db", "verify", "--store", store_url).endswith(" tables verified. 0 issues found.\n")
    with burnish.open(store_url) as loop, loop.store.write() as connection:
        connection.execute(text("DROP INDEX ix_runs_parent_id"))
    damaged = run("db", "verify", "--store", store_url)
    assert damaged.exit_code == 1
    assert damaged.stdout.startswith("missing index runs.ix_runs_parent_id\n  declared: ")
    assert "\n  remedy: put it back" in damaged.stdout
    assert damaged.stdout.endswith(" tables verified. 1 issue found.\n")
    assert f"schema none (was {HEAD})" in done("db", "downgrade", "base", "--yes", "--store", store_url)
    assert "run `burnish db upgrade`" in refused("runs", "--store", store_url)
    assert "7777" in refused("db", "upgrade", "7777", "--store", store_url)


def test_drain_writes_what_waits_in_the_spool(folder: Path) -> None:
    run_id = record()
    with burnish.open() as loop:
        known = loop.explain(run_id).run
    waiting = msgspec.structs.replace(known, id=run_id[:-1] + "z")
    Spool(folder / ".burnish" / "spool", "dead").append([Bundle(run=waiting)])
    assert json.loads(done("status", "--json"))["spool"]["records"] == 1
    assert levels()["spool"] == "warning"
    assert done("db", "drain") == "1 record written from the spool\n"
    assert waiting.id in done("runs")
    assert levels()["spool"] == "ok"


def test_status_counts_what_died_with_its_process() -> None:
    record()
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run([sys.executable, "-c", KILLED], check=True)
    dead = json.loads(done("status", "--json"))["processes"][0]
    assert (dead["process_id"], dead["alive"], dead["lost"], dead["waiting"]) == ("00-dead", False, 3, 0)
    assert "all: 6 started, 5 finished, 2 stored" in done("status")
    assert levels()["account"] == "warning"


def test_doctor_finds_what_is_wrong_and_names_the_remedy(folder: Path) -> None:
    nothing = run("doctor")
    assert nothing.exit_code == 1
    assert "burnish init" in nothing.stdout
    assert list(folder.iterdir()) == []
    run_id = record(model="my-own-model")
    assert set(levels()) >= {"store", "folder", "schema", "clock", "prices", "spool", "account"}
    assert levels()["prices"] == "warning"
    assert "my-own-model (1 run)" in done("doctor")
    with burnish.open() as loop, loop.store.write() as connection:
        later = loop.explain(run_id).run.created_at + timedelta(hours=3)
        connection.execute(text("UPDATE runs SET created_at = :t"), {"t": int(later.timestamp() * 1e6)})
    assert levels()["clock"] == "warning"
    (folder / ".burnish" / "burnish.db").write_bytes(b"not a database")
    assert run("doctor").exit_code == 1
    assert "is damaged" in run("doctor").stdout
