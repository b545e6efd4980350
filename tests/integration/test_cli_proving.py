"""Policies on the command line as a person would use them: propose, try, read, roll back, and verify the log."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

import burnish
from burnish.cli import main
from burnish.cli.canary_shown import BARS, sparkline
from burnish.propose.policy import Policy
from burnish.trial.replay_record import ReplayItem, ReplayOutcome

BETTER = "be kind and precise"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the commands run in, with an empty store and two files of fields."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BURNISH_URL", raising=False)
    burnish.open(".burnish").close()
    (tmp_path / "first.json").write_text(json.dumps({"prompts": {"system": "be kind"}}))
    (tmp_path / "second.json").write_text(json.dumps({"prompts": {"system": BETTER}}))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def done(*arguments: str) -> str:
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (0, ""), (result.output, result.exception)
    return result.stdout


def refused(*arguments: str) -> str:
    result = run(*arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    return result.stderr


def read(*arguments: str) -> Any:
    return json.loads(done(*arguments, "--json"))


def create(file: str, *options: str) -> str:
    digest, status = done("policy", "create", file, "--agent", "support", "--author", "person:ann", *options).split()
    assert status == "draft"
    return digest


def good(policy: Policy | None) -> bool:
    return policy is not None and policy.prompts["system"] == BETTER


def outcome(policy: Policy | None, item: ReplayItem, seed: int) -> ReplayOutcome:
    chance = random.Random(f"{item.id} {seed} {good(policy)}").random()
    return ReplayOutcome(loss=float(chance > (0.95 if good(policy) else 0.4)), cost_usd=0.001)


def play(loop: burnish.Loop, runs: int) -> None:
    rng = random.Random(3)
    for number in range(runs):
        with loop.run(agent="support", task=f"t{number}", task_type="retail") as one:
            decision = one.decide()
            one.call(model=decision.model, cost_usd=0.002)
            served = None if decision.served is None else decision.served.policy
            one.outcome(success=rng.random() < (0.95 if good(served) else 0.4))
        if number % 50 == 49:
            loop.flush()
    loop.flush()


def opened() -> burnish.Loop:
    return burnish.open(".burnish", models=["small", "large"], seed=1, strict=True, flush_seconds=3600.0)


def test_a_policy_goes_from_a_file_through_its_gates_and_back() -> None:
    first = create("first.json")
    assert done("policy", "promote", first[:20], "--by", "person:ann") == f"{first} active\n"
    second = create("second.json", "--note", "precision helps")
    assert "it was not replayed offline yet" in refused("policy", "promote", second)
    with opened() as loop:
        loop.replay_policy(second, [ReplayItem(id=str(n)) for n in range(100)], outcome)
        loop.shadow_with(outcome, agent="support")
        shadow = done("shadow", "start", second, "--pairs", "500", "--sample", "1").split()[0]
        loop.refresh()
        play(loop, 100)
        told = read("shadow", "show", shadow)
        assert (told["status"], told["pairs_max"], told["candidate"]) == ("passed", 500, second)
        assert told["passing"] >= told["pass_at"] > told["failing"]
        assert "The shadow passed: it is not worse by more than 0.02" in done("shadow", "show", shadow)
        assert second[:19] in done("shadow", "list")
        assert [one["id"] for one in read("shadow", "list")] == [shadow]

        canary = done("canary", "start", second, "--ramp", "0.5:5000", "--auto-promote").split()[0]
        assert "served no run yet" in done("canary", "report", canary)
        assert done("canary", "pause", canary, "--reason", "lunch") == f"{canary} paused\n"
        assert done("canary", "resume", canary, "--reason", "back") == f"{canary} running\n"
        loop.refresh()
        play(loop, 400)

    reads_the_canary(canary, second)
    reads_the_policy(first, second)

    back = done("policy", "rollback", second, "--reason", "smells", "--by", "person:bo")
    assert f"{second} active → archived" in back
    assert f"{first} archived → active" in back
    assert read("policy", "history", second)[-1]["actor"] == "person:bo"
    assert done("policy", "rollback", second, "--reason", "again") == "nothing to do: it is archived already\n"
    verifies_the_log()


def reads_the_canary(canary: str, second: str) -> None:
    report = read("canary", "report", canary)
    assert (report["status"], report["recommendation"]) == ("promoted", "promote")
    text = done("canary", "report", second[7:20])
    (candidate,) = report["candidates"]
    assert candidate["low"] < candidate["delta"] < 0.0
    assert candidate["delta"] < candidate["high"]
    for said in ("It was promoted", "of 20", "a description only", "guardrail cost", "█"):
        assert said in text
    modes = [(one["mode"], one["status"]) for one in read("canary", "list")]
    assert modes == [("holdback", "running"), ("canary", "promoted")]
    assert done("canary", "monitor") == "nothing was due\n"


def reads_the_policy(first: str, second: str) -> None:
    assert [one["to_status"] for one in read("policy", "history", second)] == ["draft", "shadow", "canary", "active"]
    assert {one["digest"]: one["status"] for one in read("policy", "list")} == {first: "archived", second: "active"}
    assert [one["digest"] for one in read("policy", "list", "--status", "active", "--agent", "support")] == [second]
    known = read("policy", "show", second)
    assert known["signature"]["valid"]
    assert known["content"]["parent"] == first
    shown = done("policy", "show", second)
    for said in ("signed by this machine", BETTER, "precision helps", "person:ann", "evidence"):
        assert said in shown
    assert f'- "be kind"\n  + "{BETTER}"' in done("policy", "diff", first, second)
    assert "written to" in done("policy", "export", second, "v2.json")
    assert done("policy", "verify", "v2.json", "--status", "active").startswith("valid: signed by this machine")
    assert done("policy", "diff", second, "v2.json") == "no difference\n"
    assert "it cannot be made: File exists" in refused("policy", "export", second, "v2.json")


def verifies_the_log() -> None:
    audit = run("audit", "verify")
    assert audit.exit_code == 0, audit.output
    assert "0 issues" in audit.stdout
    assert "excluded" not in audit.stdout
    assert "policy.archived" in done("audit", "show")
    assert read("audit", "verify")["checkpoints"] > 0
    assert done("audit", "checkpoint").startswith("nothing to sign")


def test_the_log_is_signed_on_demand_and_never_by_reading(folder: Path) -> None:
    create("first.json")
    file = folder / ".burnish" / "audit.checkpoints"
    file.unlink()
    done("policy", "list")
    assert not file.exists()
    assert "cut off" in done("audit", "verify")
    assert "signed by this machine, in" in done("audit", "checkpoint")
    assert file.exists()


def test_without_a_key_nothing_is_signed() -> None:
    assert "this machine has no valid signing key" in refused("audit", "checkpoint")


def test_an_empty_store_says_what_to_do() -> None:
    assert "burnish policy create" in done("policy", "list")
    assert "burnish canary start" in done("canary", "list")
    assert "burnish shadow start" in done("shadow", "list")
    for group in ("policy", "canary", "shadow"):
        assert read(group, "list") == []


def test_what_is_not_there_or_not_clear_is_refused() -> None:
    first = create("first.json")
    with burnish.open(".burnish", strict=True) as loop:
        digits = [loop.create_policy("many", author="person:ann", note=str(n)).digest[7] for n in range(17)]
    twice = max(digits, key=digits.count)
    assert "several policies in" in refused("policy", "show", twice)
    assert "several policies in" in refused("canary", "report", f"sha256:{twice}")
    for command in ("show", "history", "promote"):
        assert "burnish policy list" in refused("policy", command, "sha256:beef")
        assert "no policy ''" in refused("policy", command, "")
    assert "no policy ''" in refused("policy", "rollback", "", "--reason", "an unset variable")
    assert "no such file" in refused("policy", "diff", first, "zzz").lower()
    assert "no canary" in refused("canary", "report", "ffff")
    assert "no canary" in refused("canary", "report", first)
    assert "burnish canary list" in refused("canary", "abort", "ffff", "--reason", "x")
    assert "burnish canary list" in refused("canary", "pause", "", "--reason", "x")
    assert "may not become canary" in refused("canary", "start", first)


def test_wrong_values_are_named(folder: Path) -> None:
    first = create("first.json")
    assert run("policy", "list", "--status", "old").exit_code == 2
    assert run("canary", "start").exit_code == 2
    assert run("policy", "rollback", first).exit_code == 2
    assert "write steps as SHARE:RUNS" in refused("canary", "start", first, "--ramp", "half")
    for content, said in (
        ("[]", "give a JSON object"),
        ("{", "give a JSON object"),
        ('{"agent": "x"}', "give it as an option"),
        ('{"colour": 1}', "the fields are prompts, parameters"),
        ('{"models": 5}', "models"),
    ):
        (folder / "bad.json").write_text(content)
        assert said in refused("policy", "create", "bad.json", "--agent", "a", "--author", "person:ann")
    assert "person:NAME or learner:NAME" in refused("policy", "create", "first.json", "--agent", "a", "--author", "ann")


def test_approval_is_a_persons_who_is_not_the_author(folder: Path) -> None:
    (folder / "high.json").write_text('{"high_stakes": true}')
    digest = create("high.json")
    assert "its author may not approve it" in refused("policy", "approve", digest, "--by", "person:ann")
    assert "only a person" in refused("policy", "approve", digest, "--by", "learner:x")
    assert done("policy", "approve", digest, "--by", "person:bo") == f"{digest} draft, approved by person:bo\n"


def test_text_of_others_does_not_steer_the_terminal(folder: Path) -> None:
    red = "\x1b[31mred\x1b]0;owned\x07\u202e"
    (folder / "red.json").write_text(json.dumps({"prompts": {"system": red}}))
    digest = create("red.json", "--note", red)
    done("policy", "promote", digest, "--reason", red)
    for output in (
        done("policy", "show", digest),
        done("policy", "list"),
        done("policy", "history", digest),
        refused("policy", "show", f"x{red}"),
        refused("policy", "create", "red.json", "--agent", "a", "--author", red),
        refused("canary", "report", red),
    ):
        assert "\x1b" not in output
        assert "\x07" not in output
        assert "\u202e" not in output


def test_a_policy_of_the_store_is_replayed_by_its_digest(folder: Path) -> None:
    rows = [f"t{n},hard,{model},{int(model == 'large')},0.1" for n in range(50) for model in ("small", "large")]
    (folder / "matrix.csv").write_text("\n".join(["task_id,task_type,model,success,cost_usd", *rows]))
    for name in ("small", "large"):
        (folder / f"{name}.json").write_text(msgspec.json.encode({"models": [name]}).decode())
    first = create("small.json")
    done("policy", "promote", first)
    second = create("large.json")
    assert done("replay", second, "--against", first, "--data", "matrix.csv", "--record").startswith("PASS")
    assert done("policy", "promote", second) == f"{second} shadow\n"
    (shadow,) = read("shadow", "list")
    assert "No run was shadowed yet" in shadow["words"]
    assert done("shadow", "abort", shadow["id"], "--reason", "enough") == f"{shadow['id']} aborted\n"
    assert "it is a shadow" in refused("canary", "report", shadow["id"])


def test_a_curve_is_drawn_between_nothing_and_what_promotes() -> None:
    assert sparkline([0.1, 1.0, 5.0, 20.0, 900.0], 20.0) == f"{BARS[0]}{BARS[0]}{BARS[4]}{BARS[7]}{BARS[7]}"
    drawn = sparkline([20.0 ** (n / 499) for n in range(500)], 20.0)
    assert len(drawn) <= 61
    assert list(drawn) == sorted(drawn)
