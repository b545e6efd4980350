"""Whatever is done to policies behind Burnish's back, nothing unverified is served, and nothing crashes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

import burnish
from burnish.govern.key_folder import revoke
from burnish.propose.policy import Policy
from burnish.store.schema.govern import learning_audit_log
from burnish.store.schema.propose import policies, policy_slots
from burnish.testing.clock import FakeClock
from tests.conftest import OpenLoop
from tests.trial_scene import AGENT, CONTROL, GOOD, QUICK, Scene, audited, tamper

PATIENT = {"models": ["small"], "flush_seconds": 3_600.0}


@pytest.fixture
def scene(open_loop: OpenLoop) -> Scene:
    """A loop with a first policy, and a second one that replaced it."""
    clock = FakeClock()
    made = Scene(open_loop(**PATIENT, clock=clock), clock)
    made.first()
    return made


def problems(loop: burnish.Loop) -> list[str]:
    """Return a list that fills with what the loop reports of policies."""
    found: list[str] = []
    loop.on(burnish.CaptureProblem, lambda event: found.append(event.message) if event.what == "policy" else None)
    return found


def served(policy: Policy | None) -> str | None:
    """Return a policy's prompt."""
    return None if policy is None else policy.prompts["system"]


def flipped(text: str, at: float = 0.5) -> str:
    """Change one character of a text, keeping its length."""
    place = int(len(text) * at)
    return text[:place] + ("b" if text[place] != "b" else "c") + text[place + 1 :]


@pytest.mark.parametrize("column", ["content", "envelope"])
@pytest.mark.parametrize("at", [0.02, 0.3, 0.6, 0.97])
def test_one_changed_byte_of_the_active_policy_and_the_last_verified_one_is_served(
    scene: Scene, column: str, at: float, open_loop: OpenLoop
) -> None:
    record = scene.promoted(GOOD)
    assert served(scene.loop.active_policy(AGENT)) == GOOD
    told = problems(scene.loop)
    changed = flipped(getattr(scene.loop.policy(record), column), at)
    tamper(scene.loop.store, policies, {"digest": record.digest}, **{column: changed})
    scene.loop.refresh()
    assert served(scene.loop.active_policy(AGENT)) == CONTROL
    assert len(told) == 1
    assert f"policy {record.digest[:19]} is not served" in told[0]
    assert set(scene.play(20)) == {CONTROL}

    fresh = open_loop(**PATIENT, seed=2)
    assert served(fresh.active_policy(AGENT)) == CONTROL
    assert set(Scene(fresh).play(20)) == {CONTROL}


def test_a_changed_digest_is_not_served(scene: Scene, open_loop: OpenLoop) -> None:
    record = scene.promoted(GOOD)
    other = flipped(record.digest)
    tamper(scene.loop.store, policies, {"digest": record.digest}, digest=other)
    told = problems(scene.loop)
    scene.loop.refresh()
    assert any("is not in the store" in message for message in told)
    tamper(scene.loop.store, policy_slots, {"active": record.digest}, active=other)
    fresh = open_loop(**PATIENT, seed=2)
    assert served(fresh.active_policy(AGENT)) == CONTROL
    assert set(Scene(fresh).play(20)) == {CONTROL}


@pytest.mark.parametrize("status", ["draft", "canary"])
def test_a_policy_made_active_by_sql_is_not_served(scene: Scene, status: str, open_loop: OpenLoop) -> None:
    first = scene.slot().active
    record = scene.draft("evil") if status == "draft" else scene.canary("evil")
    store, told = scene.loop.store, problems(scene.loop)
    tamper(store, policies, {"digest": first}, status="archived")
    tamper(store, policies, {"digest": record.digest}, status="active")
    tamper(store, policy_slots, {"active": first}, active=record.digest, deployment=None)
    scene.loop.refresh()
    assert served(scene.loop.active_policy(AGENT)) == CONTROL
    assert any("is not served" in message for message in told)
    fresh = open_loop(**PATIENT, seed=2)
    assert served(fresh.active_policy(AGENT)) == CONTROL


def test_the_envelope_of_another_policy_does_not_help(scene: Scene) -> None:
    first = scene.loop.policies(status="active")[0]
    record = scene.draft("evil")
    tamper(scene.loop.store, policies, {"digest": record.digest}, envelope=first.envelope, status="active")
    tamper(scene.loop.store, policies, {"digest": first.digest}, status="archived")
    tamper(scene.loop.store, policy_slots, {"active": first.digest}, active=record.digest)
    scene.loop.refresh()
    assert served(scene.loop.active_policy(AGENT)) == CONTROL


@pytest.mark.parametrize("column", ["content", "envelope"])
def test_the_canary_of_a_tampered_candidate_assigns_nobody(scene: Scene, column: str, open_loop: OpenLoop) -> None:
    record = scene.canary(GOOD, msgspec.structs.replace(QUICK, auto_promote=False))
    assert set(scene.play(50)) == {CONTROL, GOOD}
    assigned = scene.deployment().assigned
    changed = flipped(getattr(scene.loop.policy(record), column))
    tamper(scene.loop.store, policies, {"digest": record.digest}, **{column: changed})
    scene.loop.refresh()
    assert set(scene.play(50)) == {CONTROL}
    assert scene.deployment().assigned == assigned
    fresh = Scene(open_loop(**PATIENT, seed=2))
    assert set(fresh.play(50)) == {CONTROL}
    scene.loop.rollback(record, reason="tampered with")
    assert scene.status(record) == "archived"
    assert scene.faults() == []


def test_a_compromised_key_stops_serving_what_it_signed(scene: Scene, open_loop: OpenLoop) -> None:
    told = problems(scene.loop)
    folder = scene.loop.home / "keys"
    signer = scene.loop.keys.signer()
    assert signer is not None
    revoke(folder, signer.key_id, "compromised", now=datetime.now(UTC))
    scene.loop.refresh()
    assert any("compromised" in message for message in told)
    fresh = open_loop(**PATIENT, seed=2)
    assert fresh.active_policy(AGENT) is None
    assert set(Scene(fresh).play(10)) == {"nothing"}


def test_a_machine_that_trusts_another_key_serves_nothing(scene: Scene, tmp_path: Path, open_loop: OpenLoop) -> None:
    record = scene.promoted(GOOD)
    (scene.loop.home / "keys").rename(tmp_path / "elsewhere")
    fresh = open_loop(**PATIENT, seed=2)
    told = problems(fresh)
    fresh.keys.ensure()
    fresh.refresh()
    assert fresh.active_policy(AGENT) is None
    assert set(Scene(fresh).play(10)) == {"nothing"}
    assert fresh.rollback(record, reason="cannot be verified")[0].to_status == "archived"
    assert all("is not served" in message for message in told)


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe\x00", b'{"keys": 3}'])
def test_a_damaged_key_ring_serves_nothing_unverified(scene: Scene, damage: bytes, open_loop: OpenLoop) -> None:
    rings = [file for file in (scene.loop.home / "keys").iterdir() if file.is_file() and not file.name.startswith(".")]
    kept = {file: file.read_bytes() for file in rings if file.stat().st_size}
    assert kept
    for file in kept:
        file.write_bytes(damage)
    told = problems(scene.loop)
    scene.loop.refresh()
    assert told
    fresh = open_loop(**PATIENT, seed=2)
    assert fresh.active_policy(AGENT) is None
    assert set(Scene(fresh).play(10)) == {"nothing"}
    for file, content in kept.items():
        file.write_bytes(content)
    fresh.refresh()
    assert served(fresh.active_policy(AGENT)) == CONTROL


def test_a_tampered_audit_event_is_named(scene: Scene) -> None:
    record = scene.promoted(GOOD)
    assert audited(scene.loop).issues == []
    table = learning_audit_log
    with scene.loop.store.read() as connection:
        rows = connection.execute(select(table).where(table.c.subject == record.digest)).mappings().all()
    promoted = next(row for row in rows if row["kind"] == "policy.active")
    tamper(scene.loop.store, table, {"id": promoted["id"]}, actor="person:ann")
    issues = audited(scene.loop).issues
    assert [issue.seq for issue in issues][:1] == [promoted["seq"]]


@pytest.mark.parametrize("at", [0.3, 0.97])
def test_a_tampered_policy_can_be_rolled_back_but_never_signed_anew(scene: Scene, at: float) -> None:
    record, draft = scene.promoted(GOOD), scene.draft("better")
    scene.quality["better"] = 1.0
    scene.quality[GOOD] = 0.5
    scene.replay(draft)
    for digest in (record.digest, draft.digest):
        content = flipped(scene.loop.policy(digest).content, at)
        tamper(scene.loop.store, policies, {"digest": digest}, content=content)
    with pytest.raises(burnish.GateRefused, match="its content in the store is not what was signed"):
        scene.loop.start_shadow(draft)
    scene.loop.rollback(record, reason="tampered with")
    scene.loop.rollback(draft, reason="tampered with")
    assert served(scene.loop.active_policy(AGENT)) == CONTROL
    assert (scene.status(record), scene.status(draft)) == ("archived", "archived")
    assert scene.faults() == []


def test_a_tampered_predecessor_does_not_stop_a_rollback_and_is_not_served(scene: Scene) -> None:
    first = scene.slot().active
    record = scene.promoted(GOOD)
    content = scene.loop.policy(str(first)).content.replace(CONTROL, "subtly")
    tamper(scene.loop.store, policies, {"digest": first}, content=content)
    scene.loop.rollback(record, reason="smells")
    assert scene.slot().active == first
    assert scene.loop.active_policy(AGENT) is None  # neither what was tampered with nor what was just withdrawn
    with burnish.open(scene.loop.store.url.removeprefix("sqlite:///").rpartition("/")[0]) as fresh:
        assert fresh.active_policy(AGENT) is None
    assert scene.faults() == []
