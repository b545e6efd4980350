"""A policy's life through the public interface: it earns every status in order, and every step can be looked up."""

from __future__ import annotations

import threading
import time

import msgspec
import pytest

import burnish
from burnish.errors import GateRefused, TransitionConflict
from burnish.testing.clock import FakeClock
from tests.conftest import OpenLoop
from tests.trial_scene import AGENT, CONTROL, GOOD, QUICK, Scene, audited

BY_HAND = msgspec.structs.replace(QUICK, auto_promote=False)


@pytest.fixture
def scene(open_loop: OpenLoop) -> Scene:
    """A loop on SQLite that writes when it is told to; its clock, and so its ids and arms, are the test's."""
    clock = FakeClock()
    return Scene(open_loop(models=["small", "large"], flush_seconds=3_600.0, clock=clock), clock)


def test_a_policy_goes_from_draft_to_active_on_either_database(store_url: str, open_loop: OpenLoop) -> None:
    clock = FakeClock()
    scene = Scene(open_loop(store_url, models=["small", "large"], flush_seconds=3_600.0, clock=clock), clock)
    told: list[burnish.PolicyChanged] = []
    scene.loop.on(burnish.PolicyChanged, told.append)
    first = scene.first()
    record = scene.draft(f"{GOOD} and brief")
    assert (record.version, record.status, record.parent) == (2, "draft", first.digest)
    replay = scene.replay(record)
    scene.loop.shadow_with(scene.runner, agent=AGENT)
    shadow = scene.loop.start_shadow(record, burnish.ShadowPlan(pairs=400))
    while scene.loop.deployments()[0].open:
        scene.play(50)
    assert scene.loop.deployments()[0].status == "passed"
    canary = scene.loop.start_canary(record, plan=QUICK)
    scene.until(record, "active")

    now_active = scene.loop.active_policy(AGENT)
    assert now_active is not None
    assert now_active.digest == record.digest
    assert scene.status(first) == "archived"
    assert set(scene.play(20)) == {GOOD}
    history = scene.loop.policy_history(record)
    assert [(p.from_status, p.to_status) for p in history] == [
        ("new", "draft"),
        ("draft", "shadow"),
        ("shadow", "canary"),
        ("canary", "active"),
    ]
    evidence = history[-1].evidence
    assert evidence["canary"] == canary.id
    assert evidence["shadow"] == shadow.id
    assert evidence["replay"] is not None
    assert replay.verdict == "pass"
    assert float(str(evidence["promote_evidence"])) >= float(str(evidence["promote_at"])) == 20.0
    replaced = scene.loop.policy_history(first)[-1]
    assert (replaced.to_status, replaced.revision) == ("archived", history[-1].revision)
    assert [(e.policy, e.to_status) for e in told[-2:]] == [(record.digest, "active"), (first.digest, "archived")]
    assert scene.faults() == []
    assert audited(scene.loop).issues == []


def test_every_gate_says_what_is_missing(scene: Scene) -> None:
    scene.first()
    record = scene.draft(GOOD)
    with pytest.raises(GateRefused, match="may not become shadow: it was not replayed offline yet"):
        scene.loop.start_shadow(record)
    with pytest.raises(GateRefused, match="may not become shadow: it was not replayed"):
        scene.loop.promote_policy(record)
    with pytest.raises(GateRefused, match="from draft a policy can only become shadow"):
        scene.loop.start_canary(record)
    scene.replay(record)
    shadow = scene.loop.start_shadow(record)
    with pytest.raises(GateRefused, match="its newest shadow is running"):
        scene.loop.start_canary(record)
    with pytest.raises(GateRefused, match="runs already"):
        scene.loop.start_shadow(record)
    scene.loop.abort_deployment(shadow.id, reason="again with other pairs")
    with pytest.raises(GateRefused, match="its newest shadow is aborted: again with other pairs"):
        scene.loop.promote_policy(record)
    scene.shadow(record)
    scene.loop.start_canary(record, plan=BY_HAND)
    with pytest.raises(GateRefused, match="may not become active: the evidence of its canary does not suffice yet"):
        scene.loop.promote_policy(record)
    assert scene.status(record) == "canary"
    assert scene.faults() == []


def test_what_failed_its_replay_or_shadow_gets_no_further(scene: Scene) -> None:
    scene.first()
    bad = scene.draft("bad")
    assert scene.replay(bad).verdict == "fail"
    with pytest.raises(GateRefused, match="its newest offline replay ended as fail"):
        scene.loop.start_shadow(bad)
    good = scene.draft(GOOD)
    scene.replay(good)
    assert scene.shadow(good, candidate=1.0, control=0.0).status == "failed"
    with pytest.raises(GateRefused, match="its newest shadow is failed: it is worse"):
        scene.loop.start_canary(good)


def test_a_second_policy_is_not_installed_as_the_first_was(scene: Scene) -> None:
    learned = scene.draft(GOOD)
    with pytest.raises(GateRefused, match="only a person"):
        scene.loop.promote_policy(learned, by="learner:director")
    first = scene.loop.promote_policy(learned, by="person:ann")
    scene.loop.rollback(first, reason="wrong")
    assert scene.loop.active_policy(AGENT) is None
    with pytest.raises(GateRefused, match="not replayed"):
        scene.loop.promote_policy(scene.draft(CONTROL))


def test_results_against_another_control_do_not_count(scene: Scene) -> None:
    scene.first()
    scene.quality["better"] = 1.0
    drafted, waiting = scene.draft("better elsewhere"), scene.shadowed("good and ready")
    scene.replay(drafted)
    scene.promoted("good and first")
    with pytest.raises(GateRefused, match=r"its offline replay was against sha256:\w+, and sha256:\w+ is in charge"):
        scene.loop.start_shadow(drafted)
    with pytest.raises(GateRefused, match=r"its shadow was against sha256:\w+, and sha256:\w+ is in charge now"):
        scene.loop.start_canary(waiting)
    scene.quality[GOOD] = 0.5
    assert scene.replay(drafted).verdict == "pass"
    assert scene.loop.start_shadow(drafted).control == scene.slot().active


def test_high_stakes_wait_for_a_person_who_did_not_propose_it(scene: Scene) -> None:
    scene.first()
    record = scene.canary(GOOD, high_stakes=True)
    scene.play(300)
    assert scene.status(record) == "canary"
    assert scene.deployment().status == "awaiting_approval"
    with pytest.raises(GateRefused, match="waits for the approval of a person"):
        scene.loop.promote_policy(record)
    for approver in ("learner:director", "learner:other", "system:monitor", "ann"):
        with pytest.raises(GateRefused, match="only a person may approve"):
            scene.loop.approve_policy(record, by=approver)
    assert scene.loop.approve_policy(record, by="person:bob", note="read it").status == "active"
    assert scene.loop.policy_history(record)[-1].approver == "person:bob"
    assert scene.faults() == []


def test_the_author_of_a_high_stakes_policy_cannot_approve_it(scene: Scene) -> None:
    scene.first()
    record = scene.shadowed(GOOD, high_stakes=True, author="person:eve")
    with pytest.raises(GateRefused, match="its author may not approve it"):
        scene.loop.approve_policy(record, by="person:eve")
    scene.loop.start_canary(record, plan=QUICK)
    scene.play(300)
    assert scene.status(record) == "canary"
    assert scene.loop.approve_policy(record, by="person:bob").status == "active"


def test_of_two_who_promote_at_once_one_wins(store_url: str, open_loop: OpenLoop) -> None:
    clock = FakeClock()
    scene = Scene(open_loop(store_url, models=["small", "large"], flush_seconds=3_600.0, clock=clock), clock)
    first = scene.first()
    record = scene.canary(GOOD, BY_HAND)
    scene.play(300)
    loops = [open_loop(store_url, flush_seconds=3_600.0, clock=clock, seed=seed) for seed in (2, 3, 4, 5)]
    ready = threading.Barrier(len(loops))
    outcomes: list[str] = []

    def promote(loop: burnish.Loop) -> None:
        ready.wait()
        try:
            loop.promote_policy(record)
            outcomes.append("won")
        except (TransitionConflict, GateRefused) as error:
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=promote, args=(loop,)) for loop in loops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outcomes.count("won") == 1
    assert len(outcomes) == 4
    assert (scene.status(record), scene.status(first)) == ("active", "archived")
    assert [p.to_status for p in scene.loop.policy_history(record)].count("active") == 1
    assert scene.faults() == []


def test_two_candidates_share_one_canary_with_a_higher_bar(scene: Scene) -> None:
    scene.first()
    good, bad = scene.shadowed("good one"), scene.shadowed("bad one")
    scene.loop.start_canary(good, bad, plan=QUICK)
    seen: set[str] = set()
    for _ in range(30):
        seen |= set(scene.play(50))
        if scene.status(good) == "active":
            break
    assert seen == {GOOD, "bad", CONTROL}
    report = scene.loop.canary_report(good)
    assert [found.better_at for found in report.candidates] == [40.0, 40.0]
    assert (scene.status(good), scene.status(bad)) == ("active", "archived")
    lost = scene.loop.policy_history(bad)[-1].evidence
    assert float(str(lost["rollback_evidence"])) >= 10.0
    assert float(str(scene.loop.policy_history(good)[-1].evidence["promote_evidence"])) >= 40.0
    assert scene.faults() == []


def test_a_canary_can_be_paused_resumed_and_aborted(scene: Scene) -> None:
    scene.first()
    record = scene.canary(GOOD, BY_HAND)
    canary = scene.deployment()
    assert set(scene.play(50)) == {GOOD, CONTROL}
    assert scene.loop.pause_canary(canary.id, reason="release day").status == "paused"
    assert set(scene.play(50)) == {CONTROL}
    with pytest.raises(GateRefused, match="its canary is paused"):
        scene.loop.pause_canary(canary.id, reason="twice")
    assert scene.loop.resume_canary(canary.id, reason="release done").status == "running"
    assert set(scene.play(50)) == {GOOD, CONTROL}
    assert scene.loop.canary_report(record).units == 100
    assert scene.loop.abort_deployment(canary.id, reason="no time").status == "aborted"
    assert set(scene.play(50)) == {CONTROL}
    with pytest.raises(GateRefused, match="has ended already as aborted"):
        scene.loop.abort_deployment(canary.id, reason="twice")
    assert scene.status(record) == "canary"
    assert scene.faults() == []


def test_a_dry_run_only_tells(scene: Scene) -> None:
    scene.first()
    plan = msgspec.structs.replace(QUICK, dry_run=True, n_max=400)
    good = scene.canary("good dry", plan)
    scene.play(300)
    report = scene.loop.canary_report(good)
    assert "This is a dry run; it would have: its loss is lower than the control's" in report.words
    assert scene.status(good) == "canary"
    with pytest.raises(GateRefused, match="dry run, which promotes nothing"):
        scene.loop.promote_policy(good)
    scene.loop.rollback(good, reason="seen enough")
    bad = scene.canary("bad dry", plan)
    scene.play(300)
    assert "its loss is higher" in scene.loop.canary_report(bad).words
    assert (scene.status(bad), scene.deployment().status) == ("canary", "running")


def test_a_changed_metric_starts_the_test_anew(scene: Scene) -> None:
    scene.first()
    record = scene.canary("same", msgspec.structs.replace(BY_HAND, rollback_at=1e12))
    scene.play(100)
    before = scene.loop.canary_report(record)
    assert before.units == 100
    weights = {"gate_failures": 0.9, "security": 0.1}
    scene.loop.configure("score.weights", weights)
    scene.play(30)
    after = scene.loop.canary_report(record)
    assert after.units == 30
    assert after.control.units + after.candidates[0].arm.units == 30
    assert after.status == "running"


def test_a_project_keeps_its_arm_for_an_epoch_and_counts_once(open_loop: OpenLoop) -> None:
    clock = FakeClock()
    scene = Scene(open_loop(models=["small"], flush_seconds=3_600.0, clock=clock), clock)
    scene.first()
    plan = msgspec.structs.replace(BY_HAND, rollback_at=1e12, unit="project", epoch_s=3_600.0, deadline_s=60.0)
    record = scene.shadowed("same")
    scene.loop.start_canary(record, plan=plan)
    projects = [f"p{k}" for k in range(30)]

    def epoch() -> dict[str, str]:
        arms = {}
        for project in projects:
            kinds = scene.play(3, facts={"project": project})
            assert len(kinds) == 1
            arms[project] = next(iter(kinds))
        return arms

    start = epoch()
    assert set(start.values()) == {"same", CONTROL}
    assert scene.loop.canary_report(record).units == 0
    clock.advance(3_600)
    other = epoch()
    assert other != start
    report = scene.loop.canary_report(record)
    assert report.units == 30
    assert report.candidates[0].arm.units == sum(kind == "same" for kind in start.values())
    assert report.waiting == 90
    clock.advance(3_600)
    scene.loop.monitor()
    assert scene.loop.canary_report(record).units == 60


def test_another_process_serves_a_rollback_within_a_second(open_loop: OpenLoop) -> None:
    scene = Scene(open_loop(models=["small"]))
    first = scene.first()
    record = scene.promoted(GOOD)
    other = open_loop(models=["small"])

    def served() -> str:
        with other.run(agent=AGENT) as run:
            found = run.decide().served
        return "nothing" if found is None else found.digest

    assert served() == record.digest
    other.flush()
    time.sleep(0.6)
    began = time.monotonic()
    scene.loop.rollback(record, reason="smells")
    while served() != first.digest:
        assert time.monotonic() - began < 2.0, "a second, and another for a busy machine"
        time.sleep(0.02)


def test_a_policy_is_found_by_the_beginning_of_its_digest(scene: Scene) -> None:
    record = scene.first()
    assert scene.loop.policy(record.digest[:20]).digest == record.digest
    assert scene.loop.policies(agent=AGENT, status="active") == [scene.loop.policy(record)]
    with pytest.raises(burnish.BurnishError, match="no policy"):
        scene.loop.policy("sha256:beef")
