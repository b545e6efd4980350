"""How rollouts have gone wrong elsewhere, one test each: none of it happens here."""

from __future__ import annotations

import shutil
import threading

import msgspec
import pytest

import burnish
from burnish.capture.records import Bundle
from burnish.errors import GateRefused
from burnish.store.schema.trial import deployment_assignments, deployments
from burnish.testing.clock import FakeClock
from burnish.trial.plan import CanaryPlan, Guardrails, Step
from tests.conftest import OpenLoop
from tests.trial_scene import CONTROL, GOOD, OFF, QUICK, Scene, audited, tamper

BY_HAND = msgspec.structs.replace(QUICK, auto_promote=False)
NEVER = 1e12
"""A threshold that is out of reach, where a test is about another one."""


@pytest.fixture
def scene(open_loop: OpenLoop) -> Scene:
    """A loop on SQLite with a clock of its own and a first policy in charge."""
    clock = FakeClock()
    made = Scene(open_loop(models=["small", "large"], flush_seconds=3_600.0, clock=clock), clock)
    made.first()
    return made


def test_an_inconclusive_canary_never_promotes(scene: Scene) -> None:
    scene.quality["same"] = scene.quality[CONTROL] = 1.0
    record = scene.canary("same", msgspec.structs.replace(QUICK, n_max=100))
    scene.play(200)
    assert scene.deployment().status == "inconclusive"
    assert scene.status(record) == "canary"
    with pytest.raises(GateRefused, match="its newest canary ended as inconclusive: 100 runs showed neither"):
        scene.loop.promote_policy(record)
    scene.loop.monitor()
    assert set(scene.play(50)) == {CONTROL}
    assert scene.faults() == []


def test_a_failed_check_stops_the_rollout(scene: Scene) -> None:
    record = scene.canary("bad")
    scene.play(400)
    assert (scene.status(record), scene.deployment().status) == ("archived", "rolled_back")
    with pytest.raises(GateRefused, match="from archived a policy can only become active"):
        scene.loop.start_canary(record)
    with pytest.raises(GateRefused, match="comes back only by rolling back the one that replaced it"):
        scene.loop.promote_policy(record)
    assert set(scene.play(50)) == {CONTROL}


def test_harm_while_an_approval_is_awaited_rolls_back(scene: Scene) -> None:
    record = scene.canary(GOOD, high_stakes=True)
    while scene.deployment().status != "awaiting_approval":
        scene.play(50)
    scene.quality[GOOD], scene.quality[CONTROL] = 0.0, 1.0
    for _ in range(40):
        scene.play(50)
        if scene.status(record) == "archived":
            break
    assert (scene.status(record), scene.deployment().status) == ("archived", "rolled_back")
    assert scene.loop.policy_history(record)[-1].actor == "system:monitor"
    with pytest.raises(GateRefused):
        scene.loop.promote_policy(record)
    scene.loop.approve_policy(record, by="person:bob")
    assert scene.status(record) == "archived"


PLACES = ["draft", "shadow", "canary", "paused", "awaiting", "active", "active with hold-back", "archived"]


def brought(scene: Scene, place: str) -> str:
    """Bring a policy to a place in its life; returns its digest."""
    if place == "draft":
        return scene.draft(GOOD).digest
    if place == "shadow":
        record = scene.draft(GOOD)
        scene.replay(record)
        scene.loop.start_shadow(record)
        return record.digest
    if place in {"canary", "paused"}:
        record = scene.canary(GOOD, BY_HAND)
        scene.play(20)
        if place == "paused":
            scene.loop.pause_canary(scene.deployment().id, reason="release day")
        return record.digest
    if place == "awaiting":
        record = scene.canary(GOOD, high_stakes=True)
        scene.play(300)
        assert scene.deployment().status == "awaiting_approval"
        return record.digest
    held = msgspec.structs.replace(QUICK, holdback=0.05)
    record = scene.promoted(GOOD, held if place.endswith("hold-back") else QUICK)
    if place == "archived":
        scene.loop.rollback(record, reason="before")
    return record.digest


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("keyless", [False, True])
def test_a_rollback_works_from_everywhere_and_without_a_key(
    scene: Scene, place: str, keyless: bool, open_loop: OpenLoop
) -> None:
    first = scene.slot().active
    digest = brought(scene, place)
    loop = scene.loop
    if keyless:
        shutil.rmtree(loop.home / "keys" / "private")
        loop = open_loop(models=["small", "large"], flush_seconds=3_600.0, clock=scene.clock, seed=9)
        assert loop.keys.signer() is None
    before = scene.slot()
    changed = loop.rollback(digest, reason="smells", by="person:ann")
    scene.loop.refresh()
    if place == "archived":
        assert changed == []
        assert scene.slot() == before
    else:
        assert (changed[0].policy, changed[0].to_status) == (digest, "archived")
    active = loop.active_policy("support")
    assert active is not None
    assert active.digest == first == scene.slot().active
    assert scene.slot().deployment is None
    assert not any(found.open for found in loop.deployments())
    assert set(scene.play(50)) == {CONTROL}
    assert scene.faults() == []
    assert audited(scene.loop).issues == []


def test_a_metric_that_never_arrives_counts_as_loss_1(scene: Scene) -> None:
    record = scene.canary(GOOD)
    scene.quality[CONTROL] = 1.0
    scene.play(300, unscored={GOOD: 1.0})
    report = scene.loop.canary_report(record)
    assert report.units < 20, "the first run without a result holds up those after it"
    assert report.candidates[0].worse < 10
    assert scene.clock is not None
    scene.clock.advance(3_700)
    scene.loop.monitor()
    report = scene.loop.canary_report(record)
    arm = report.candidates[0].arm
    assert arm.loss == 1.0
    assert arm.unscored == arm.units > 0
    assert scene.status(record) == "archived"


def test_no_data_is_neither_pass_nor_fail(scene: Scene) -> None:
    record = scene.canary(GOOD)
    assert scene.clock is not None
    for _ in range(5):
        scene.clock.advance(86_400)
        assert scene.loop.monitor() == []
    report = scene.loop.canary_report(record)
    assert (report.units, report.recommendation, report.status) == (0, "continue", "running")
    assert (report.candidates[0].better, report.candidates[0].worse) == (1.0, 1.0)
    assert "has served no run yet" in report.words


def test_a_ramp_is_no_sample_ratio_alarm(scene: Scene) -> None:
    scene.quality["same"] = scene.quality[CONTROL] = 1.0
    ramp = (Step(0.01, 100), Step(0.05, 200), Step(0.10, 200), Step(0.25, 200), Step(0.5, 300))
    record = scene.canary("same", CanaryPlan(ramp=ramp, n_max=1_000, guardrails=OFF))
    scene.play(950)
    report = scene.loop.canary_report(record)
    assert list(report.shares) == [0.5]
    assert report.sample_ratio < 20
    assert "frozen" not in str(report.words)
    assert scene.deployment().state["frozen"] is None


def test_lost_logs_of_one_arm_freeze_promotion_but_not_rollback(scene: Scene) -> None:
    record = scene.shadowed(GOOD)
    scene.loop.start_canary(record, plan=msgspec.structs.replace(QUICK, promote_at=1e6, rollback_at=NEVER))
    absorb = scene.loop.recorder._sink

    def lossy(bundles: list[Bundle]) -> None:
        kept = [b for b in bundles if not any(a.arm == 1 and scene.rng.random() < 0.8 for a in b.assignments)]
        absorb(kept)

    scene.loop.recorder._sink = lossy
    scene.quality[GOOD] = scene.quality[CONTROL] = 0.5
    for _ in range(10):
        scene.play(50)
    scene.loop.recorder._sink = absorb
    scene.quality[GOOD], scene.quality[CONTROL] = 1.0, 0.0
    scene.play(400)
    report = scene.loop.canary_report(record)
    assert report.sample_ratio >= 1_000
    assert report.candidates[0].better >= 1e6
    assert scene.status(record) == "canary"
    assert "Nothing is promoted any more: the arms do not hold the runs they were assigned" in report.words
    with pytest.raises(GateRefused):
        scene.loop.promote_policy(record)
    scene.loop.rollback(record, reason="logs are lost")
    assert scene.status(record) == "archived"
    assert scene.faults() == []


def test_a_frozen_canary_still_rolls_back_on_harm(scene: Scene) -> None:
    record = scene.canary("bad")
    canary = scene.deployment()
    state = {**canary.state, "frozen": "logs of one arm are lost"}
    tamper(scene.loop.store, deployments, {"id": canary.id}, state=state)
    scene.play(300)
    assert scene.status(record) == "archived"


def test_two_monitors_act_once(store_url: str, open_loop: OpenLoop) -> None:
    clock = FakeClock()
    options = {"models": ["small"], "flush_seconds": 3_600.0, "clock": clock}
    scene = Scene(open_loop(store_url, **options), clock)
    scene.first()
    record = scene.canary(GOOD)
    scene.quality[CONTROL] = 1.0
    scene.play(200, unscored={GOOD: 1.0})
    others = [open_loop(store_url, seed=seed, **options) for seed in (2, 3, 4)]
    clock.advance(3_700)
    ready = threading.Barrier(len(others))
    done: list[int] = []

    def watch(loop: burnish.Loop) -> None:
        ready.wait()
        done.append(len(loop.monitor()))

    threads = [threading.Thread(target=watch, args=(loop,)) for loop in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == [0, 0, 1]
    assert [p.to_status for p in scene.loop.policy_history(record)].count("archived") == 1
    assert scene.loop.monitor() == []
    assert scene.faults() == []


def test_failures_that_take_long_or_never_end_do_not_favour_a_candidate(scene: Scene) -> None:
    scene.quality.update({"slow": 0.3, CONTROL: 0.5})
    record = scene.canary("slow", msgspec.structs.replace(QUICK, n_max=5_000))
    assert scene.clock is not None
    for _ in range(60):
        scene.play(20, unfinished={"slow": 1.0})
        scene.clock.advance(120)
        assert scene.status(record) != "active"
    scene.clock.advance(3_700)
    scene.loop.monitor()
    arm = scene.loop.canary_report(record).candidates[0].arm
    assert scene.status(record) == "archived"
    assert arm.unscored > 0
    assert arm.loss is not None
    assert arm.loss > 0.6, "its successes alone would have had loss 0"


def test_late_harm_is_rolled_back_by_the_hold_back(scene: Scene) -> None:
    first = scene.slot().active
    record = scene.promoted(GOOD, msgspec.structs.replace(QUICK, holdback=0.2, holdback_units=5_000))
    assert scene.deployment().mode == "holdback"
    served = scene.play(200)
    assert served[CONTROL] < served[GOOD]
    scene.quality[GOOD], scene.quality[CONTROL] = 0.0, 1.0
    for _ in range(40):
        scene.play(50)
        if scene.status(record) == "archived":
            break
    assert (scene.status(record), scene.deployment().status) == ("archived", "rolled_back")
    assert "its loss became higher than that of the policy it replaced" in scene.loop.policy_history(record)[-1].reason
    assert scene.slot().active == first
    assert set(scene.play(50)) == {CONTROL}
    assert scene.faults() == []


def test_a_hold_back_without_harm_ends_by_itself(scene: Scene) -> None:
    record = scene.promoted(GOOD, msgspec.structs.replace(QUICK, holdback=0.2, holdback_units=100))
    scene.play(150)
    assert (scene.deployment().mode, scene.deployment().status) == ("holdback", "finished")
    assert scene.status(record) == "active"
    assert set(scene.play(50)) == {GOOD}


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("cost", {"cost": {"same": 0.05, CONTROL: 0.01}}),
        ("latency", {"seconds": {"same": 30.0, CONTROL: 1.0}}),
        ("errors", {"errors": {"same": 0.6}}),
        ("vetoes", {"vetoes": {"same": 0.6}}),
    ],
)
def test_each_guardrail_rolls_back(scene: Scene, name: str, harm: dict[str, dict[str, float]]) -> None:
    only = {"cost": None, "latency": None, "errors": None, "vetoes": None}
    limits = Guardrails(**{**only, name: getattr(Guardrails(), name)})
    plan = msgspec.structs.replace(QUICK, guardrails=limits, promote_at=NEVER, rollback_at=NEVER)
    record = scene.canary("same", plan)
    for _ in range(40):
        scene.play(50, **harm)  # type: ignore[arg-type]  # one of the facts of `play`
        if scene.status(record) == "archived":
            break
    assert scene.status(record) == "archived"
    assert scene.loop.policy_history(record)[-1].reason.startswith(f"guardrail {name}: evidence")


def test_an_aborted_canary_can_be_tried_again(scene: Scene) -> None:
    record = scene.canary(GOOD)
    scene.play(20)
    first = scene.deployment()
    scene.loop.abort_deployment(first.id, reason="release day")
    second = scene.loop.start_canary(record, plan=QUICK)
    assert second.id != first.id
    assert scene.loop.canary_report(record).units == 0
    scene.until(record, "active")
    assert scene.faults() == []


def test_runs_of_an_ended_canary_change_nothing_any_more(scene: Scene) -> None:
    record = scene.canary(GOOD)
    late = [scene.loop.run(agent="support", task_type="retail") for _ in range(20)]
    for run in late:
        run.decide()
    scene.loop.flush()
    scene.loop.rollback(record, reason="smells")
    before = scene.loop.canary_report(record).units
    for run in late:
        run.outcome(success=True)
        run.finish()
    scene.loop.flush()
    assert scene.loop.canary_report(record).units == before
    with scene.loop.store.read() as connection:
        rows = connection.execute(deployment_assignments.select()).all()
    assert len([row for row in rows if row.deployment == scene.deployment().id]) == 20
    assert scene.faults() == []
