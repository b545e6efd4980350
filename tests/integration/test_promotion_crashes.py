"""Kill -9 at every statement of a promotion: the store holds the state before or the state after, never one between."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import burnish
from burnish.testing.clock import FakeClock
from tests.conftest import OpenLoop
from tests.trial_scene import GOOD, QUICK, Scene, audited, faults

DIE = """
import os, shutil, signal, sys
from pathlib import Path
import burnish
from sqlalchemy import event

action, url, home, digest, run_id = sys.argv[1:6]
moments = [int(k) for k in sys.argv[6:]]


def act(loop):
    if action == "promote":
        loop.promote_policy(digest)
    elif action == "rollback":
        loop.rollback(digest, reason="smells")
    else:
        loop.feedback(run_id, success=True)
        loop.flush()


def die_at(moment, folder):
    loop = burnish.open(folder, home=home, strict=True, flush_seconds=3600.0)
    seen = 0

    def count(*_):
        nonlocal seen
        seen += 1
        if seen == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(loop.store.engine, "before_cursor_execute", count)
    event.listen(loop.store.engine, "commit", count)
    act(loop)


# Load once what every child needs; the connections are closed before the first fork.
burnish.open(f"{home}/warm").close()
import alembic, cryptography, numpy, psycopg, rfc8785
import burnish.act.router, burnish.govern.signing, burnish.propose.statement, burnish.trial.intake

moment = 0
while True:
    moment = moments.pop(0) if moments else moment + 1
    folder = url
    if "://" not in url:
        folder = f"{url}.{moment}"
        shutil.copytree(url, folder)
    child = os.fork()
    if not child:
        die_at(moment, folder)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    print(moment, "killed" if killed else f"ended {status}", flush=True)
    if not killed or ("://" in url and not moments):
        break
"""
ROOT = Path(__file__).parents[2]
BY_HAND = msgspec.structs.replace(QUICK, auto_promote=False, holdback=0.05, deadline_s=1e9)
AT_ONCE = msgspec.structs.replace(BY_HAND, auto_promote=True)
PATIENT = {"models": ["small"], "flush_seconds": 3_600.0}


def killed_at(action: str, url: str, home: Path, digest: str, run_id: str, *moments: int) -> list[int]:
    """Do something in processes that die at one statement each; returns at which ones they did."""
    command = [sys.executable, "-c", DIE, action, url, str(home), digest, run_id, *map(str, moments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert all(how in {"killed", "ended 0"} for _, how in lines), (done.stdout, done.stderr)
    return [int(moment) for moment, how in lines if how == "killed"]


def won(loop: burnish.Loop, clock: FakeClock) -> tuple[str, str, str]:
    """Bring a candidate to where only a promotion is missing: first policy, candidate, any run."""
    scene = Scene(loop, clock)
    first = scene.first()
    record = scene.canary(GOOD, BY_HAND)
    scene.play(200)
    assert loop.canary_report(record).recommendation == "promote"
    return first.digest, record.digest, "none"


def active(loop: burnish.Loop, clock: FakeClock) -> tuple[str, str, str]:
    """Bring a candidate into charge, with a hold-back."""
    first, record, run_id = won(loop, clock)
    loop.promote_policy(record)
    return first, record, run_id


def about_to_win(loop: burnish.Loop, clock: FakeClock) -> tuple[str, str, str]:
    """Bring a candidate to where one late result lets a whole canary be read, which it wins."""
    scene = Scene(loop, clock)
    first = scene.first()
    record = scene.canary(GOOD, AT_ONCE)
    with loop.run(agent="support", task_type="retail") as run:
        run.decide()
    loop.flush()
    scene.play(200)
    assert loop.canary_report(record).units == 0
    return first.digest, record.digest, run.id


PREPARED: dict[str, tuple[Callable[[burnish.Loop, FakeClock], tuple[str, str, str]], str, str]] = {
    "promote": (won, "canary", "active"),
    "rollback": (active, "active", "archived"),
    "intake": (about_to_win, "canary", "active"),
}
"""What is done → how it is prepared, and the candidate's status before and after."""


def again(action: str, loop: burnish.Loop, digest: str, run_id: str) -> None:
    """Do in this process what the killed one did."""
    if action == "promote":
        loop.promote_policy(digest)
    elif action == "rollback":
        loop.rollback(digest, reason="smells")
    else:
        loop.feedback(run_id, success=True)
        loop.flush()


@pytest.mark.parametrize("action", sorted(PREPARED))
def test_a_process_killed_at_any_statement_leaves_the_state_before_or_after(
    action: str, tmp_path: Path, open_loop: OpenLoop
) -> None:
    prepare, before, after = PREPARED[action]
    folder, clock = tmp_path / "store", FakeClock()
    loop = open_loop(str(folder), **PATIENT, clock=clock)
    first, digest, run_id = prepare(loop, clock)
    assert loop.policy(digest).status == before
    loop.close()

    moments = killed_at(action, str(folder), tmp_path, digest, run_id)
    assert len(moments) > 20, "statements and commits of the action, and of what reads it afterwards"
    found: set[str] = set()
    for moment in moments:
        with burnish.open(f"{folder}.{moment}", strict=True, seed=moment, **PATIENT) as restarted:  # type: ignore[arg-type]
            assert faults(restarted.store) == [], moment
            assert audited(restarted).issues == [], moment
            status = restarted.policy(digest).status
            found.add(status)
            active_now = restarted.active_policy("support")
            assert active_now is not None
            assert active_now.digest == (digest if status == "active" else first), moment
            if status == before and moment % 6 == 1:
                again(action, restarted, digest, run_id)
                assert restarted.policy(digest).status == after, moment
                assert faults(restarted.store) == [], moment
                assert audited(restarted).issues == [], moment
        shutil.rmtree(f"{folder}.{moment}")
    assert before in found <= {before, after}


@pytest.mark.parametrize("action", sorted(PREPARED))
def test_postgresql_forgets_what_a_killed_process_began(action: str, postgres_url: str, open_loop: OpenLoop) -> None:
    prepare, before, after = PREPARED[action]
    clock = FakeClock()
    loop = open_loop(postgres_url, **PATIENT, clock=clock)
    _, digest, run_id = prepare(loop, clock)
    pointers = Scene(loop).slot()
    sample = (2, 9, 14, 19, 24)
    assert killed_at(action, postgres_url, loop.home, digest, run_id, *sample) == list(sample)
    loop.refresh()
    assert loop.policy(digest).status == before
    assert Scene(loop).slot() == pointers
    assert audited(loop).issues == []
    again(action, loop, digest, run_id)
    assert loop.policy(digest).status == after
    assert faults(loop.store) == []
    assert audited(loop).issues == []
