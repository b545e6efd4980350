"""`burnish keys` and `burnish policy` on files, without a store."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from burnish import cli
from burnish.cli.keys import Listed
from burnish.cli.policy import Verdict
from burnish.govern.key_folder import ensure_signer
from burnish.propose.policy import Policy
from burnish.propose.portable import bundle
from burnish.propose.statement import seal_transition

CORPUS = Path(__file__).parents[1] / "data" / "signed_policies"
FULL, KEY = str(CORPUS / "full.json"), str(CORPUS / "key.pem")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BURNISH_URL", raising=False)
    monkeypatch.setattr(cli, "COMMANDS", {**cli.COMMANDS, "keys": "Keys.", "policy": "Policies."})


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments)


def answer(*arguments: str) -> str:
    done = run(*arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


def listed() -> list[Listed]:
    return msgspec.json.decode(answer("keys", "list", "--json"), type=list[Listed])


def test_keys_are_made_listed_and_exported(tmp_path: Path) -> None:
    assert "make one with `burnish keys new NAME`" in answer("keys", "list")
    made = answer("keys", "new", "alice", "--days", "30")
    (row,) = listed()
    assert made == f"{row.key.key_id} alice\n"
    assert (row.state, row.private) == ("valid", True)
    assert (tmp_path / ".burnish" / "keys" / "ring.json").is_file()
    assert answer("keys", "export", "alice").startswith("-----BEGIN PUBLIC KEY-----\n")
    assert answer("keys", "export", row.key.key_id[:20], "--raw") == f"{row.key.public}\n"
    assert re.search(rf"{row.key.key_id}\s+\*\s+alice\s+valid", answer("keys", "list"))


def test_keys_are_imported_from_a_file_and_from_text_and_revoked_for_good() -> None:
    answer("keys", "import", KEY, "--name", "rfc8032", "--until", "2030-01-01")
    (row,) = listed()
    assert (row.key.name, row.private, row.key.valid_until) == ("rfc8032", False, datetime(2030, 1, 1, tzinfo=UTC))
    assert answer("keys", "retire", "rfc8032").endswith("rfc8032: expired\n")
    assert answer("keys", "revoke", "rfc8032", "--reason", "compromised").endswith("rfc8032: compromised\n")
    again = answer("keys", "import", row.key.public, "--name", "rfc8032")
    assert again.endswith("rfc8032: compromised\n")
    assert len(listed()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("keys", "export", "zoe"), "no key 'zoe' in"),
        (("keys", "export", ""), "no key '' in"),
        (("keys", "import", "nonsense", "--name", "x"), "public key='nonsense' is not valid"),
        (("keys", "import", "/" * 5_000, "--name", "x"), "public key="),
        (("policy", "verify", FULL, "--key", "nonsense"), "public key='nonsense' is not valid"),
        (("policy", "diff", KEY, FULL), "it is not a policy"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert said in done.stderr


def test_several_keys_of_one_name_have_to_be_told_apart() -> None:
    answer("keys", "new", "alice")
    answer("keys", "new", "alice")
    assert "several keys in" in run("keys", "export", "alice").stderr


def test_a_policy_is_verified_with_the_ring_and_with_one_key() -> None:
    refused = run("policy", "verify", FULL)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert re.fullmatch(
        r"error: the signature of the policy cannot be trusted: key 'sha256:\w+' is not known here; .*\n",
        refused.stderr,
    )
    shown = answer("policy", "verify", FULL, "--key", KEY)
    assert shown.startswith("valid: signed by the key given\n")
    for fact in (
        "tenant acme, agent coder, review",
        "canary",
        "active, revision 1",
        "2026-01-02 03:04:05",
        "person:bo",
    ):
        assert fact in shown
    assert re.search(r"evidence: e_value\s+41\.25", shown)
    answer("keys", "import", KEY, "--name", "rfc8032")
    assert answer("policy", "verify", FULL, "--status", "active").startswith("valid: signed by rfc8032\n")
    assert "where 'shadow' is wanted" in run("policy", "verify", FULL, "--status", "shadow").stderr


def test_a_verdict_is_json_also_when_it_is_no() -> None:
    good = msgspec.json.decode(answer("policy", "verify", FULL, "--key", KEY, "--json"), type=Verdict)
    assert good.valid
    assert good.transition is not None
    assert (good.transition.to_status, good.transition.evidence["e_value"]) == ("active", 41.25)
    done = run("policy", "verify", FULL, "--json")
    bad = msgspec.json.decode(done.stdout, type=Verdict)
    assert (done.exit_code, bad.valid, bad.what) == (1, False, "the signature of the policy")
    assert bad.reason is not None
    assert bad.reason in done.stderr


def test_keys_in_a_policy_file_are_not_believed(tmp_path: Path) -> None:
    whole = json.loads(Path(FULL).read_text(encoding="utf-8"))
    file = tmp_path / "own.json"
    file.write_text(json.dumps({**whole, "key": Path(KEY).read_text(encoding="utf-8")}), encoding="utf-8")
    assert "unknown field `key`" in run("policy", "verify", str(file), "--key", KEY).stderr


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{}", b"\x00" * 1_000, b"[" * 100_000])
def test_a_file_of_garbage_is_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "garbage"
    file.write_bytes(content)
    done = run("policy", "verify", str(file))
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "the policy file cannot be trusted" in done.stderr
    done = run("policy", "diff", str(file), FULL)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)


def test_what_a_key_of_this_machine_signed_is_valid_here(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    signer = ensure_signer(tmp_path / "k", "host", now=now)
    policy = Policy(tenant="t", agent="a", author="person:x", created="2026-01-01T00:00:00Z")
    envelope = seal_transition(
        policy,
        signer,
        from_status="draft",
        to_status="shadow",
        evidence={"text": "\x1b[31mred"},
        actor="person:x",
        approver=None,
        at=now,
        revision=0,
    )
    (tmp_path / "policy.json").write_text(bundle(policy, envelope), encoding="utf-8")
    shown = answer("policy", "verify", "policy.json", "--keys", "k")
    assert "\x1b" not in shown
    assert "agent a, every task type" in shown


def test_two_files_are_compared_whether_exported_or_written_by_hand(tmp_path: Path) -> None:
    whole = json.loads(json.loads(Path(FULL).read_text(encoding="utf-8"))["content"])
    whole["parameters"]["temperature"] = 0.9
    (tmp_path / "mine.json").write_text(json.dumps(whole), encoding="utf-8")
    assert answer("policy", "diff", FULL, "mine.json") == "parameters.temperature\n  - 0.2\n  + 0.9\n"
    assert answer("policy", "diff", FULL, FULL) == "no difference\n"
    assert json.loads(answer("policy", "diff", FULL, "mine.json", "--json")) == [
        {"path": "parameters.temperature", "before": 0.2, "after": 0.9, "text": None}
    ]
