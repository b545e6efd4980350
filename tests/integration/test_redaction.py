"""A secret handed over on any path is nowhere: not in the store, not in the spool, not in the log."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

import burnish
from burnish.capture.records import Bundle, RunRecord, SignalRecord
from burnish.capture.redaction import selftest
from burnish.capture.spool import Spool
from burnish.cli import redact
from burnish.errors import InvalidValue, RedactionFailed
from burnish.events import CaptureProblem, PoolClosed, PoolCreated, TaskCompleted

OpenLoop = Callable[..., burnish.Loop]
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
SECRET = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"  # noqa: S105 - a canary
MAIL = "canary.bird@example.com"
CANARY = f"{MAIL} has {SECRET}"


def everywhere(loop: burnish.Loop, text: str) -> None:
    """Hand the text over in every argument of every way in."""
    with loop.run(
        agent=text,
        task=text,
        task_type=text,
        project=text,
        phase=text,
        conversation=text,
        user=text,
        features={"note": text, text: 1},
        extra={"note": text, "nested": {"deep": [text]}},
        tier=MAIL,
        pool=text,
        embedding_text=text,
        model=text,
        policy_id=text,
    ) as run:
        run.decide(["small", "large"])
        run.call({"model": text, "output_text": text, "id": text, "stop_reason": text, "tool_calls": [{"name": text}]})
        run.call(kind="tool", name=text, error=ValueError(text))
        run.gate(text, passed=False, reason=text)
        run.signal(text, 1.0, label=text, reason=text, source=text)
        run.outcome(success=False, output=text, summary=text, error=RuntimeError(text))
        run.outcome(quality=text)  # type: ignore[arg-type]  # refused, and reported
    loop.feedback(run.id, rating=2, correction=text, comment=text, source=text)
    loop.feedback(MAIL, rating=text)  # type: ignore[arg-type]  # refused, and reported
    loop.feedback(MAIL, rating=1)
    loop.signal(run.id, "seen", 1.0, label=text, reason=text)
    facts = {"extra": {"note": text}, "project": text, "conversation": text}
    loop.publish(TaskCompleted(task_type=text, agent=text, model=text, task=text, task_id=text, facts=facts))
    loop.publish(PoolCreated(pool=text, facts={"host": text}))
    loop.publish(PoolClosed(pool=text, facts={text: "host"}))
    with pytest.raises(ValueError, match="canary"), loop.run(task=text):
        int(text)


def files_with(folder: Path, text: str) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


def test_a_canary_on_every_path_is_not_in_the_store_nor_in_the_log(
    open_loop: OpenLoop, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    loop = open_loop(strict=False)
    problems: list[CaptureProblem] = []
    loop.on(CaptureProblem, problems.append)
    everywhere(loop, CANARY)
    assert loop.flush().durable
    kept = loop.runs()
    loop.close()
    assert len(kept) == 3
    assert len(problems) == 2
    assert kept[-1].task is not None
    assert kept[-1].task.startswith("<email:")
    assert kept[-1].task.count("<secret:") == 1
    for text in (SECRET, MAIL):
        assert files_with(tmp_path, text) == []
        assert text not in log.text
        assert not any(text in problem.message for problem in problems)


def test_a_canary_is_not_in_the_spool_while_the_store_is_away(
    open_loop: OpenLoop, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    loop = open_loop(NOWHERE, strict=False)
    everywhere(loop, CANARY)
    assert loop.flush().spooled == 3
    assert files_with(tmp_path, "<secret:") != []
    for text in (SECRET, MAIL):
        assert files_with(tmp_path, text) == []
        assert text not in log.text


def test_a_canary_is_not_in_postgresql(store_url: str, open_loop: OpenLoop) -> None:
    loop = open_loop(store_url, strict=False)
    everywhere(loop, CANARY)
    assert loop.flush().durable
    with loop.store.read() as connection:
        from burnish.store.schema.base import metadata

        rows = [str(tuple(row)) for table in metadata.sorted_tables for row in connection.execute(table.select())]
    assert any("<secret:" in row for row in rows)
    assert [row for row in rows if SECRET in row or MAIL in row] == []


def test_what_an_older_release_spooled_is_redacted_when_it_is_drained(open_loop: OpenLoop, tmp_path: Path) -> None:
    loop = open_loop()
    with loop.run(task="clean") as run:
        pass
    loop.flush()
    record = msgspec.structs.replace(loop.runs()[0], id=run.id[:-1] + "0", task=CANARY, root_id=run.id[:-1] + "0")
    Spool(tmp_path / "loop" / "spool", "older").append([Bundle(run=record)])
    assert loop.recorder.drain() == 1
    loop.close()
    assert files_with(tmp_path, MAIL) == []


def test_learning_is_keyed_by_the_name_that_stands_for_a_label(open_loop: OpenLoop) -> None:
    loop = open_loop(models=["small", "large"])
    for _ in range(20):
        with loop.run(agent=MAIL, task_type="t") as run:
            run.decide()
            run.outcome(success=True)
    loop.flush()
    agents = {report.agent for report in loop.models()}
    assert len(agents) == 1
    assert agents.pop().startswith("<email:")
    with loop.run(agent=MAIL, task_type="t") as run:
        assert run.decide().rule == "learned"


def test_runs_of_one_conversation_stay_joined(open_loop: OpenLoop) -> None:
    loop = open_loop()
    for _ in range(2):
        with loop.run(conversation=f"chat with {MAIL}", user=MAIL):
            pass
    loop.flush()
    keys = {run.conversation for run in loop.runs()}
    assert len(keys) == 1
    assert "<email:" in str(keys.pop())


def test_a_policy_is_in_force_at_once(open_loop: OpenLoop) -> None:
    loop = open_loop()
    loop.configure("redact.custom", [{"name": "order", "pattern": "ORD-[0-9]{8}"}])
    loop.configure("redact.allow", ["example.com"])
    with loop.run(task=f"ORD-12345678 of {MAIL}"):
        pass
    loop.flush()
    task = str(loop.runs()[0].task)
    assert task.startswith("<order:")
    assert task.endswith(MAIL)
    with pytest.raises(InvalidValue, match="per tenant"):
        loop.configure("redact.enabled", False, agent="a")
    loop.configure("redact.enabled", False)
    with loop.run(task=CANARY):
        pass
    loop.flush()
    assert loop.runs()[0].task == CANARY


def test_a_failing_self_test_stops_capture_of_text_and_says_so(
    open_loop: OpenLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(selftest, "SAMPLES", (("email", "nothing here", "nobody@example.com"),))
    with pytest.raises(RedactionFailed, match="self-test did not find the sample of email"):
        open_loop(strict=True)
    loop = open_loop(strict=False)
    assert "self-test" in log.text
    with loop.run(task="harmless", agent="coder") as run:
        run.outcome(success=True, output="harmless")
    assert loop.flush().durable
    kept = loop.runs()[0]
    assert (kept.task, kept.output, kept.agent, kept.success) == (
        "<redaction failed>",
        "<redaction failed>",
        "coder",
        True,
    )
    assert files_with(tmp_path, "harmless") == []


def test_a_forked_child_redacts_while_the_parent_does(open_loop: OpenLoop) -> None:
    loop = open_loop()
    for _ in range(5):
        child = os.fork()
        if child == 0:
            good = loop.redactor.text(CANARY, "default").startswith("<email:")
            os._exit(0 if good else 1)
        loop.redactor.text(CANARY, "default")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_importing_the_package_loads_no_rules() -> None:
    heavy = ("re2", "ahocorasick", "burnish.capture.redaction")
    script = f"import sys, burnish; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_text_field_of_every_record_is_looked_at(open_loop: OpenLoop) -> None:
    loop = open_loop()
    for kind, required in ((RunRecord, {"duration_s": 1.0}), (SignalRecord, {})):
        names = [name for name, hint in kind.__annotations__.items() if "str" in str(hint) and "dict" not in str(hint)]
        values = {name: CANARY for name in names if name not in {"id", "tenant", "process_id"}}
        ours = {"id": "i", "tenant": "default", "process_id": "p", "created_at": None, "started_at": None}
        known = {
            name: value for name, value in {**values, **ours, **required}.items() if name in kind.__struct_fields__
        }
        record = kind(**known)  # type: ignore[arg-type]  # every field by its name
        bundle = Bundle(run=record) if isinstance(record, RunRecord) else Bundle(signals=[record])
        after = loop.redactor.bundle(bundle)
        assert MAIL not in str(after)


def test_the_command_shows_what_redaction_makes_of_a_text(tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    file.write_text(f"é {MAIL}\n", encoding="utf-8")
    nowhere = str(tmp_path / "none")
    printed = CliRunner().invoke(redact.command, [str(file), "--store", nowhere])
    assert printed.output.startswith("é <email:")
    listed = CliRunner().invoke(redact.command, ["-", "--json", "--store", nowhere], input=f"é {MAIL}")
    assert msgspec.json.decode(listed.output) == [{"kind": "email", "start": 2, "end": 2 + len(MAIL)}]
    assert not (tmp_path / "none").exists()
    with burnish.open(str(tmp_path / "store"), strict=True) as loop:
        expected = loop.redactor.text(MAIL, "default")
    again = CliRunner().invoke(redact.command, ["-", "--store", str(tmp_path / "store")], input=MAIL)
    assert again.output == expected
