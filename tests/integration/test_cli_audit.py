"""The audit commands: what they print, when they fail, and that a stranger can check what they hand out."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, text, update

from burnish.cli.audit import command
from burnish.clock import SystemClock
from burnish.govern import audit, merkle
from burnish.govern.checkpoint import read_checkpoints, write_checkpoint
from burnish.govern.note import Checkpoint
from burnish.ids import UuidV7Source
from burnish.store.schema.govern import learning_audit_log as table
from burnish.store.store import Store

NOW = datetime(2026, 11, 24, 11, 0, tzinfo=UTC)
IDS = UuidV7Source(SystemClock())


class Signer:
    """An Ed25519 key with a name."""

    def __init__(self) -> None:
        private = Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes_raw()
        self.name, self.public = "acme prod", base64.b64encode(public).decode()
        self.key_id, self.sign = "sha256:" + sha256(public).hexdigest(), private.sign


SIGNER = Signer()


@pytest.fixture
def at(store: Store, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a store with seven events, of which six were signed; `key` and `signed` are in the folder."""
    monkeypatch.chdir(tmp_path)
    for number in range(7):
        if number == 6:
            write_checkpoint(store, SIGNER, Path("signed"), ids=IDS, now=NOW)
        with store.write() as connection:
            audit.append(
                connection,
                store.kind,
                event="policy.promoted" if number % 2 else "policy.retired",
                tenant="other" if number == 3 else "default",
                actor="person:ann",
                subject=f"coder/{number % 3}",
                payload={"gain": 0.25, "text": "\x1b[31mred"},
                ids=IDS,
                now=NOW + timedelta(seconds=number),
            )
    Path("key").write_text(SIGNER.public)
    return store_url


def run(*arguments: str, store: str | None = None) -> Result:
    located = [] if store is None else ["--store", store]
    return CliRunner().invoke(command, [*arguments, *located])


def done(*arguments: str, store: str | None = None) -> str:
    result = run(*arguments, store=store)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def refused(*arguments: str, store: str | None = None) -> str:
    result = run(*arguments, store=store)
    assert result.exit_code == 1
    return str(result.exception)


def test_verify_counts_what_it_verified_and_says_what_it_could_not(at: str) -> None:
    said = done("verify", "--checkpoints", "signed", "--key", "key", store=at).splitlines()
    assert said[-1] == "7 events verified, 1 checkpoint, 0 issues"
    assert said[0].startswith("note: events after 6 are not covered")


def test_verify_says_that_truncation_cannot_be_excluded_without_checkpoints(at: str) -> None:
    assert "cannot be excluded" in done("verify", "--key", "key", store=at)


def test_verify_fails_and_names_what_was_changed(at: str, store: Store) -> None:
    with store.write() as connection:
        connection.execute(update(table).where(table.c.seq == 2).values(actor="person:eve"))
        connection.execute(delete(table).where(table.c.seq > 4))
    result = run("verify", "--checkpoints", "signed", "--key", "key", store=at)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == "event 2 was changed: its leaf does not match"
    assert "events 5 and later are missing: the checkpoint of size 6" in result.stdout
    assert result.stdout.splitlines()[-1] == "4 events verified, 0 checkpoints, 2 issues"


def test_verify_does_not_count_checkpoints_by_keys_that_are_not_given(at: str) -> None:
    result = run("verify", "--checkpoints", "signed", store=at)
    assert result.exit_code == 1
    assert "does not count" in result.stdout


def test_verify_prints_json(at: str) -> None:
    found = json.loads(done("verify", "--checkpoints", "signed", "--key", "key", "--json", store=at))
    assert (found["events"], found["checkpoints"], found["issues"]) == (7, 1, [])


def test_an_export_is_verified_without_a_store(at: str) -> None:
    assert done("export", "log.jsonl", store=at) == "7 events written to log.jsonl\n"
    arguments = ("verify", "--file", "log.jsonl", "--checkpoints", "signed", "--key", "key")
    assert done(*arguments).splitlines()[-1] == "7 events verified, 1 checkpoint, 0 issues"
    lines = Path("log.jsonl").read_bytes().splitlines(keepends=True)
    for changed, said in (
        ([*lines[:3], *lines[4:]], "event 4 is missing"),
        ([*lines[:2], lines[3], lines[2], *lines[4:]], "event 3 is missing"),
        (lines[:5], "event 6 is missing: the checkpoint of size 6"),
        ([*lines[:3], lines[2], *lines[3:]], "event 3 is out of order"),
        ([lines[0].replace(b"0.25", b"0.35"), *lines[1:]], "event 1 was changed: its payload does not match"),
        ([lines[0].replace(b'"seq":1', b'"seq": 1'), *lines[1:]], "event 1 was changed: its line in the export is not"),
        ([lines[0], b"{torn\n", *lines[2:]], "event 2 was changed: its line in the export cannot be read"),
    ):
        Path("log.jsonl").write_bytes(b"".join(changed))
        result = run(*arguments)
        assert result.exit_code == 1
        assert result.stdout.splitlines()[0].startswith(said)


def test_no_bit_of_an_export_can_be_changed(at: str) -> None:
    done("export", "log.jsonl", store=at)
    arguments = ("verify", "--file", "log.jsonl", "--checkpoints", "signed", "--key", "key")
    good = Path("log.jsonl").read_bytes()
    for position in range(0, len(good), 29):
        changed = bytearray(good)
        changed[position] ^= 1 << (position % 8)
        Path("log.jsonl").write_bytes(changed)
        assert run(*arguments).exit_code == 1, changed


def test_a_file_that_is_there_is_not_written_over_and_a_damaged_log_is_not_exported(at: str, store: Store) -> None:
    Path("log.jsonl").write_text("mine")
    assert "exists" in refused("export", "log.jsonl", store=at)
    assert Path("log.jsonl").read_text() == "mine"
    if store.kind == "sqlite":
        with store.write() as connection:
            connection.execute(text("UPDATE learning_audit_log SET payload = '{' WHERE seq = 5"))
        assert "event 5" in refused("export", "other.jsonl", store=at)
        assert not Path("other.jsonl").exists()
        assert "audit verify" in refused("show", store=at)


def test_show_lists_the_events_of_a_tenant(at: str) -> None:
    listed = done("show", store=at)
    assert "coder/0" in listed
    assert "\x1b" not in listed
    found = json.loads(done("show", "--json", store=at))
    assert [event["seq"] for event in found] == [1, 2, 3, 5, 6, 7]
    found = json.loads(done("show", "--subject", "coder/1", "--event", "policy.promoted", "--json", store=at))
    assert [event["seq"] for event in found] == [2]
    assert [e["seq"] for e in json.loads(done("show", "--after", "2", "--limit", "1", "--json", store=at))] == [3]
    assert "no events yet" in done("show", "--tenant", "nobody", store=at)


def test_a_proof_convinces_somebody_who_has_only_a_checkpoint(at: str) -> None:
    signed = read_checkpoints(Path("signed"))[0]
    assert isinstance(signed, Checkpoint)
    proof = json.loads(done("proof", "2", "--size", "6", store=at))
    leaf, path = merkle.leaf_hash(proof["leaf"].encode()), [base64.b64decode(part) for part in proof["inclusion"]]
    assert merkle.verify_inclusion(leaf, proof["leaf_index"], 6, path, signed.root)
    assert json.loads(proof["leaf"])["event"] == "policy.promoted"
    later = json.loads(done("proof", "7", "--from", "6", store=at))
    path = [base64.b64decode(part) for part in later["consistency"]]
    assert merkle.verify_consistency(6, 7, signed.root, base64.b64decode(later["root"]), path)
    assert base64.b64decode(later["from_root"]) == signed.root


def test_what_is_not_there_is_refused(at: str, tmp_path: Path) -> None:
    assert "a log of 7 events has 1 to 7" in refused("proof", "8", store=at)
    assert "none yet" in refused("verify", store=str(tmp_path / "nowhere"))
    assert "cannot be read" in refused("verify", "--checkpoints", "nowhere", store=at)
    assert "cannot be read" in refused("verify", "--file", "nowhere")
