"""A small world for tests of trials: policies whose quality is known, and the shortest honest way to each status."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Table, update

import burnish
from burnish.clock import SystemClock
from burnish.govern.audit_report import AuditReport, verify
from burnish.govern.checkpoint import read_checkpoints
from burnish.ids import UuidV7Source
from burnish.propose.policy import Policy
from burnish.store.store import Store
from burnish.testing.clock import FakeClock
from burnish.trial import ledger
from burnish.trial.plan import CanaryPlan, Guardrails, ShadowPlan, Step
from burnish.trial.records import DeploymentRecord, PolicyRecord, SlotRecord
from burnish.trial.replay_record import ReplayItem, ReplayOutcome, ReplayReport
from burnish.trial.shadow_pairs import Pair, add_pair

AGENT = "support"
SLOT = ("default", AGENT, "")
GOOD, BAD, CONTROL = "good", "bad", "control"
QUALITY: Mapping[str, float] = {"nothing": 0.5, CONTROL: 0.5, GOOD: 1.0, BAD: 0.0, "same": 0.5}
IDS = UuidV7Source(SystemClock())
OFF = Guardrails(cost=None, latency=None, errors=None, vetoes=None)
QUICK = CanaryPlan(ramp=(Step(0.5, 1_000),), n_max=2_000, guardrails=OFF, auto_promote=True, holdback=0.0)
"""Half of the traffic at once: what is clear is decided within some hundred runs."""


def text_of(policy: Policy | None) -> str:
    """Return the system prompt, by which this world knows a policy."""
    return "nothing" if policy is None else policy.prompts.get("system", "nothing")


def kind_of(policy: Policy | None) -> str:
    """Return the first word of the prompt: what the policy is worth."""
    return text_of(policy).split(maxsplit=1)[0]


class Scene:
    """A loop with policies of known quality."""

    def __init__(self, loop: burnish.Loop, clock: FakeClock | None = None, seed: int = 5) -> None:
        self.loop = loop
        self.clock = clock
        self.rng = random.Random(seed)
        self.quality = dict(QUALITY)
        self.runs = 0

    # -- to a status --------------------------------------------------------------------------------------------------

    def draft(self, text: str, *, author: str = "learner:director", high_stakes: bool = False) -> PolicyRecord:
        """Propose a policy that is worth what the first word of its prompt says."""
        return self.loop.create_policy(AGENT, author=author, prompts={"system": text}, high_stakes=high_stakes)

    def first(self) -> PolicyRecord:
        """Put a first policy in charge."""
        return self.loop.promote_policy(self.draft(CONTROL, author="person:ann"))

    def runner(self, policy: Policy | None, item: ReplayItem, seed: int) -> ReplayOutcome:
        """Do an item in replay or shadow."""
        lucky = random.Random(f"{item.id}{seed}").random() < self.quality[kind_of(policy)]
        return ReplayOutcome(loss=0.0 if lucky else 1.0)

    def replay(self, record: PolicyRecord, items: int = 40) -> ReplayReport:
        """Replay a policy against the one in charge."""
        return self.loop.replay_policy(record, [ReplayItem(id=str(k)) for k in range(items)], self.runner, seeds=[0])

    def shadow(self, record: PolicyRecord, *, candidate: float = 0.0, control: float = 0.5) -> DeploymentRecord:
        """Start a policy's shadow and count pairs of these losses until it is decided."""
        shadow = self.loop.start_shadow(record, ShadowPlan(pairs=400))
        with self.loop.store.write() as connection:
            session = self.loop._turn.session(connection)
            for _ in range(400):
                pair = Pair(run_id=IDS(), task_type="t", control=control, outcome=ReplayOutcome(loss=candidate))
                shadow = add_pair(session, shadow, pair)
                if not shadow.open:
                    break
        self.loop.refresh()
        return shadow

    def shadowed(self, text: str, *, high_stakes: bool = False, author: str = "learner:director") -> PolicyRecord:
        """Return a policy whose replay and shadow were passed (whatever it is worth in the canary)."""
        record = self.draft(text, high_stakes=high_stakes, author=author)
        kept, self.quality = self.quality, {**dict.fromkeys(self.quality, 0.5), kind_of(self.policy(record)): 1.0}
        assert self.replay(record).verdict == "pass"
        self.quality = kept
        assert self.shadow(record).status == "passed"
        return record

    def canary(self, text: str, plan: CanaryPlan = QUICK, *, high_stakes: bool = False) -> PolicyRecord:
        """Return a policy with a running canary."""
        record = self.shadowed(text, high_stakes=high_stakes)
        self.loop.start_canary(record, plan=plan)
        return record

    def promoted(self, text: str, plan: CanaryPlan = QUICK) -> PolicyRecord:
        """Return a policy that won its canary and is in charge."""
        record = self.canary(text, plan)
        self.until(record, "active")
        return record

    # -- runs ---------------------------------------------------------------------------------------------------------

    def play(
        self,
        runs: int,
        *,
        every: int = 50,
        agent: str = AGENT,
        cost: Mapping[str, float] | None = None,
        seconds: Mapping[str, float] | None = None,
        errors: Mapping[str, float] | None = None,
        vetoes: Mapping[str, float] | None = None,
        unscored: Mapping[str, float] | None = None,
        unfinished: Mapping[str, float] | None = None,
        facts: Mapping[str, object] | None = None,
    ) -> dict[str, int]:
        """Play runs whose result depends on the policy that served them; returns how many each kind of policy served.

        Args:
            runs: How many.
            every: Runs to a flush.
            agent: Whose they are.
            cost: Kind of policy → cost of a run in USD.
            seconds: Kind → how long a run takes (with a FakeClock).
            errors: Kind → share of runs that end with an error.
            vetoes: Kind → share with a critical security finding.
            unscored: Kind → share that end without any evidence.
            unfinished: Kind → share of the failing runs that never end.
            facts: Further facts of the runs.
        """

        def chance(shares: Mapping[str, float] | None, kind: str) -> bool:
            return self.rng.random() < (shares or {}).get(kind, 0.0)

        served: dict[str, int] = {}
        for _ in range(runs):
            self.runs += 1
            run = self.loop.run(agent=agent, task="do it", task_type="retail", **(facts or {}))  # type: ignore[arg-type]
            decision = run.decide()
            kind = kind_of(None if decision.served is None else decision.served.policy)
            served[kind] = served.get(kind, 0) + 1
            success = self.rng.random() < self.quality[kind]
            if not success and chance(unfinished, kind):
                continue
            run.call(model=decision.model, cost_usd=(cost or {}).get(kind, 0.01))
            if self.clock is not None:
                self.clock.advance((seconds or {}).get(kind, 1.0))
            if chance(vetoes, kind):
                run.signal("security_criticals", 1)
            if not chance(unscored, kind):
                run.outcome(success=success)
            if chance(errors, kind):
                run.outcome(error=RuntimeError("it broke"))
            run.finish()
            if self.runs % every == 0:
                self.loop.flush()
        self.loop.flush()
        return served

    def until(self, record: PolicyRecord, status: str, most: int = 2_000) -> None:
        """Play until a policy has a status."""
        for _ in range(most // 50):
            self.play(50)
            if self.loop.policy(record).status == status:
                return
        raise AssertionError(f"{self.loop.policy(record).status} after {most} runs, not {status}")

    # -- looking ------------------------------------------------------------------------------------------------------

    def policy(self, record: PolicyRecord) -> Policy:
        """Return a record's policy."""
        from burnish.propose.policy import read

        return read(record.content)

    def status(self, record: PolicyRecord) -> str:
        """Return a policy's status now."""
        return self.loop.policy(record).status

    def deployment(self) -> DeploymentRecord:
        """Return the newest canary or hold-back."""
        return next(found for found in self.loop.deployments() if found.mode != "shadow")

    def slot(self) -> SlotRecord:
        """Return the slot's pointers."""
        with self.loop.store.read() as connection:
            found = ledger.find_slot(connection, SLOT)
        assert found is not None
        return found

    def faults(self) -> list[str]:
        """Return what must never be: two policies in charge, pointers that lead nowhere, changes without a trace."""
        return faults(self.loop.store)


def faults(store: Store) -> list[str]:
    """Return what must never be in a store, in words."""
    found: list[str] = []
    with store.read() as connection:
        slot = ledger.find_slot(connection, SLOT)
        if slot is None:
            return []
        policies = ledger.list_policies(connection, tenant="default", limit=10_000)
        opened = [d for d in ledger.open_deployments(connection, ["default"]) if d.mode != "shadow"]
        history = ledger.promotions_of(connection, slot=SLOT)
    active = [record.digest for record in policies if record.status == "active"]
    if active != ([] if slot.active is None else [slot.active]):
        found.append(f"active are {active}, the slot points to {slot.active}")
    if [d.id for d in opened] != ([] if slot.deployment is None else [slot.deployment]):
        found.append(f"open are {[d.id for d in opened]}, the slot points to {slot.deployment}")
    for record in policies:
        steps = [(p.from_status, p.to_status) for p in history if p.policy == record.digest]
        states = ["new", *(to for _, to in steps)]
        if states[-1] != record.status or [start for start, _ in steps] != states[:-1]:
            found.append(f"policy v{record.version} is {record.status}, its history says {states}")
    return found


def audited(loop: burnish.Loop) -> AuditReport:
    """Verify the audit log of a loop against its checkpoints."""
    return audited_store(loop.store, loop.checkpoints, loop)


def audited_store(store: Store, checkpoints: Path, loop: burnish.Loop) -> AuditReport:
    """Verify the audit log of a store."""
    kept = read_checkpoints(checkpoints) if checkpoints.exists() else None
    return verify(store, kept, loop.keys.ring(), now=loop._clock.now())


def tamper(store: Store, table: Table, where: Mapping[str, object], **values: object) -> None:
    """Change rows behind Burnish's back."""
    query = update(table).values(**values)
    for name, value in where.items():
        query = query.where(table.c[name] == value)
    with store.write() as connection:
        assert connection.execute(query).rowcount > 0
