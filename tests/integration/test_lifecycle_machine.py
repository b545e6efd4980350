"""Whatever order people, runs, clocks and restarts come in, a slot is never in a state that must not be."""

from __future__ import annotations

import shutil
import tempfile

import msgspec
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import burnish
from burnish.errors import GateRefused
from burnish.testing.clock import FakeClock
from burnish.trial import ledger
from burnish.trial.plan import CanaryPlan, Step
from burnish.trial.records import PolicyRecord
from tests.trial_scene import AGENT, BAD, GOOD, OFF, SLOT, Scene, audited, faults

PLAN = CanaryPlan(
    ramp=(Step(0.25, 20), Step(0.5, 200)), n_max=150, guardrails=OFF, promote_at=5.0, deadline_s=600.0, holdback=0.2,
    holdback_units=40,
)  # fmt: skip
KINDS = st.sampled_from([GOOD, BAD, "same"])


class Lifecycle(RuleBasedStateMachine):
    """A loop on SQLite, and everything that can happen to its policies."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.clock = FakeClock()
        self.opened = 0
        self.scene = self.open()
        self.drafts = 0

    def open(self) -> Scene:
        """Open a loop on the folder."""
        self.opened += 1
        options = {"models": ["small"], "flush_seconds": 3_600.0, "strict": True}
        return Scene(burnish.open(self.folder, seed=self.opened, clock=self.clock, **options), self.clock)  # type: ignore[arg-type]

    def teardown(self) -> None:
        """Verify the whole log, and clean up."""
        report = audited(self.scene.loop)
        self.scene.loop.close()
        shutil.rmtree(self.folder)
        assert report.issues == []
        assert report.events > 0

    def any_of(self, *statuses: str) -> PolicyRecord | None:
        """Return the newest policy of these statuses."""
        return next((found for found in self.scene.loop.policies() if found.status in statuses), None)

    @initialize()
    def begin(self) -> None:
        """Put a first policy in charge."""
        self.scene.first()

    @rule(kind=KINDS, high_stakes=st.booleans())
    def propose(self, kind: str, high_stakes: bool) -> None:
        """Propose a policy."""
        self.drafts += 1
        self.scene.draft(f"{kind} {self.drafts}", high_stakes=high_stakes)

    @rule(passes=st.booleans())
    def replay(self, passes: bool) -> None:
        """Replay the newest draft, and start its shadow if that may be."""
        record = self.any_of("draft")
        if record is None:
            return
        worth = {**dict.fromkeys(self.scene.quality, 0.5), self.kind(record): 1.0 if passes else 0.0}
        kept, self.scene.quality = self.scene.quality, worth
        verdict = self.scene.replay(record).verdict if self.others(record) else "inconclusive"
        self.scene.quality = kept
        try:
            self.scene.loop.start_shadow(record)
            assert verdict == "pass" or not self.others(record)
        except GateRefused:
            assert verdict != "pass"

    @rule(kind=KINDS, high_stakes=st.booleans(), auto=st.booleans())
    def bring_to_canary(self, kind: str, high_stakes: bool, auto: bool) -> None:
        """Take a new policy all the way to its canary, as far as the slot is free."""
        self.drafts += 1
        active = self.scene.loop.active_policy(AGENT)
        if active is None or active.prompts["system"].split()[0] == kind:
            return
        record = self.scene.shadowed(f"{kind} {self.drafts}", high_stakes=high_stakes)
        busy = self.scene.slot().deployment is not None and self.scene.deployment().mode == "canary"
        try:
            self.scene.loop.start_canary(record, plan=msgspec.structs.replace(PLAN, auto_promote=auto))
            assert not busy
        except GateRefused:
            assert busy

    @rule(missing=st.sampled_from([0.0, 0.0, 0.5]))
    def runs(self, missing: float) -> None:
        """Let runs come in, some without a result."""
        self.scene.play(60, every=30, unscored={GOOD: missing, BAD: missing, "same": missing})

    @rule(kind=KINDS, quality=st.sampled_from([0.0, 0.5, 1.0]))
    def the_world_changes(self, kind: str, quality: float) -> None:
        """Let a kind of policy be worth something else."""
        self.scene.quality[kind] = quality

    @rule(seconds=st.sampled_from([60.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        """Let time pass, and the monitor look."""
        self.clock.advance(seconds)
        self.scene.loop.monitor()

    @rule(by=st.sampled_from(["person:bob", "learner:director"]))
    def approve(self, by: str) -> None:
        """Approve of the newest candidate."""
        record = self.any_of("shadow", "canary")
        if record is not None:
            refused = False
            try:
                self.scene.loop.approve_policy(record, by=by)
            except GateRefused:
                refused = True
            assert refused == (by != "person:bob")

    @rule()
    def promote(self) -> None:
        """Ask for the next status of the newest candidate."""
        record = self.any_of("draft", "shadow", "canary")
        if record is None:
            return
        try:
            after = self.scene.loop.promote_policy(record)
            assert after.status != record.status
        except GateRefused:
            assert self.scene.status(record) == record.status

    @rule(what=st.sampled_from(["pause", "resume", "abort"]))
    def switch(self, what: str) -> None:
        """Pause, resume or abort what runs."""
        found = self.scene.slot().deployment
        if found is None:
            return
        loop = self.scene.loop
        change = {"pause": loop.pause_canary, "resume": loop.resume_canary, "abort": loop.abort_deployment}[what]
        before = self.scene.deployment()
        try:
            assert change(found, reason="by chance").status != before.status
        except GateRefused:
            assert self.scene.deployment() == before

    @precondition(lambda self: self.scene.loop.active_policy(AGENT) is not None)
    @rule(status=st.sampled_from(["draft", "shadow", "canary", "active", "archived"]))
    def roll_back(self, status: str) -> None:
        """Roll the newest policy of a status back."""
        record = self.any_of(status)
        if record is not None and (status != "active" or record.version > 1):
            changed = self.scene.loop.rollback(record, reason="by chance")
            assert bool(changed) == (status != "archived")
            assert self.scene.status(record) == "archived"

    @rule()
    def reopen(self) -> None:
        """Close the loop and open it again."""
        quality = self.scene.quality
        self.scene.loop.close()
        self.scene = self.open()
        self.scene.quality = quality

    def kind(self, record: PolicyRecord) -> str:
        """Return what a policy is."""
        return self.scene.policy(record).prompts["system"].split()[0]

    def others(self, record: PolicyRecord) -> bool:
        """Tell whether the policy in charge is of another kind."""
        active = self.scene.loop.active_policy(AGENT)
        return active is None or active.prompts["system"].split()[0] != self.kind(record)

    @invariant()
    def pointers_and_history_agree(self) -> None:
        """At most one active policy, no orphan deployment, every status explained by the history."""
        assert faults(self.scene.loop.store) == []

    @invariant()
    def who_is_in_charge_earned_it(self) -> None:
        """A policy in charge won its canary on the evidence, was the first, or was put back by a rollback."""
        with self.scene.loop.store.read() as connection:
            slot = ledger.find_slot(connection, SLOT)
            history = ledger.promotions_of(connection, slot=SLOT)
        for step in history:
            if (step.from_status, step.to_status) == ("canary", "active"):
                assert float(str(step.evidence["promote_evidence"])) >= float(str(step.evidence["promote_at"]))
                assert not self.scene.loop.policy(step.policy).high_stakes or step.approver == "person:bob"
            elif step.to_status == "active":
                assert step.from_status == "archived" or step.evidence == {"first_of_slot": True}
        if slot is not None and slot.active is not None:
            assert history
            risen = [step for step in history if step.to_status == "active"][-1]
            assert risen.policy == slot.active

    @invariant()
    def only_the_active_policy_is_served(self) -> None:
        """What the loop serves is what the slot names."""
        served = self.scene.loop.active_policy(AGENT)
        expected = [found.digest for found in self.scene.loop.policies(status="active")]
        assert expected == ([] if served is None else [served.digest])

    @invariant()
    def every_change_is_in_the_audit_log(self) -> None:
        """As many events as promotions, of the same policies and statuses."""
        from sqlalchemy import select

        from burnish.store.schema.govern import learning_audit_log as table

        with self.scene.loop.store.read() as connection:
            told = connection.execute(select(table.c.subject, table.c.kind).order_by(table.c.seq)).all()
            history = ledger.promotions_of(connection, slot=SLOT)
        moves = sorted((subject, kind) for subject, kind in told if kind in MOVES)
        assert moves == sorted((step.policy, f"policy.{step.to_status}") for step in history)


MOVES = {f"policy.{status}" for status in ("draft", "shadow", "canary", "active", "archived")}


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(
    max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
