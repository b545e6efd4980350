"""How a loop proves policies: propose, replay, shadow, canary, approve, promote, roll back, and ask how it stands.

`Loop` inherits these. Each one opens a transaction, calls one function of `trial` and tells who listens; the gates are
in `trial/lifecycle.py`. A policy is named by its digest, the beginning of it, its record, or the policy itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection

from burnish.clock import Clock
from burnish.errors import BurnishError, InvalidValue, NotFound, SigningKeyMissing
from burnish.govern import audit
from burnish.govern.checkpoint import write_checkpoint
from burnish.govern.key_folder import ensure_signer, load_ring, load_signer
from burnish.govern.keyring import KeyRing
from burnish.govern.signing import Signer
from burnish.ids import IdSource, UuidV7Source
from burnish.propose.policy import Policy, read
from burnish.score.loss import Loss
from burnish.score.scoring import score_again
from burnish.settings import Settings
from burnish.shadowing import ShadowRunner
from burnish.store.store import Store
from burnish.trial import deployments, ledger, replay_ledger
from burnish.trial.change import Changed
from burnish.trial.offpolicy import off_policy
from burnish.trial.offpolicy_record import OffPolicyReport
from burnish.trial.plan import CanaryPlan, ShadowPlan
from burnish.trial.records import DeploymentRecord, PolicyRecord, PromotionRecord, Slot
from burnish.trial.replay import replay
from burnish.trial.replay_record import ReplayItem, ReplayReport, Runner
from burnish.trial.report import CanaryReport, report
from burnish.turn import Turn

HOST = "person:host"
"""Who acts when the host's code does not say who."""


class Keys:
    """The key folder of a machine: whose signatures count, and what signs here."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self._clock = clock
        self._signer: Signer | None = None
        self._looked = False

    def ring(self) -> KeyRing:
        """Return the keys that are trusted; none when the ring is damaged, so that nothing unverified is served."""
        try:
            return load_ring(self.folder)
        except InvalidValue:
            return KeyRing()

    def signer(self) -> Signer | None:
        """Return what signs here, or None; read from disk once."""
        if not self._looked:
            try:
                self._signer = load_signer(self.folder, now=self._clock.now())
            except InvalidValue:
                self._signer = None
            self._looked = True
        return self._signer

    def ensure(self) -> Signer:
        """Return what signs here; the first policy of a machine without any keys makes one."""
        if self.signer() is None and not self.ring().keys:
            self._signer = ensure_signer(self.folder, "this machine", now=self._clock.now())
        found = self.signer()
        if found is None:
            raise SigningKeyMissing("a policy")
        return found


class Proving:
    """The part of a loop that proves policies."""

    store: Store
    settings: Settings
    keys: Keys
    shadows: ShadowRunner
    _turn: Turn
    _problem: Callable[..., None]
    _clock: Clock
    _ids: IdSource

    @property
    def home(self) -> Path:
        """Return the folder of this machine's spool, counters and keys."""
        if self.store.kind == "sqlite":
            return Path(self.store.url.removeprefix("sqlite:///")).parent
        return Path(self.settings.home).absolute()

    @property
    def checkpoints(self) -> Path:
        """Return the file of signed checkpoints of the audit log: `audit_file`, or one beside the keys."""
        return Path(self.settings.audit_file) if self.settings.audit_file else self.home / "audit.checkpoints"

    # -- policies -----------------------------------------------------------------------------------------------------

    def active_policy(self, agent: str = "default", *, task_type: str = "") -> Policy | None:
        """Return the policy in charge of an agent's runs of a task type, verified; None when there is none."""
        self._turn.refresh()
        view = self._turn.book.view(self.settings.tenant, agent, task_type)
        return None if view is None or view.active is None else view.active.policy

    def create_policy(
        self,
        agent: str = "default",
        *,
        author: str,
        task_type: str = "",
        note: str = "",
        parent: str | Policy | PolicyRecord | None = None,
        **content: Any,  # noqa: ANN401 - fields of Policy, checked there
    ) -> PolicyRecord:
        """Add a policy as a draft: the one in charge (or `parent`) with these fields changed.

        Args:
            agent: Whose runs it is for.
            author: Who proposes it: person:NAME or learner:NAME.
            task_type: The one task type it is for; empty means all that have none of their own.
            note: Why.
            parent: What it is made from; the policy in charge of the same slot by default.
            **content: Fields of `Policy`: prompts, parameters, models, routing, fallbacks, tools, context,
                loss_weights, high_stakes, experiment.

        Raises:
            InvalidValue: A field is unknown or out of range.
            SigningKeyMissing: This machine has no key and trusts those of others.
        """
        self._turn.prepare()
        base = self._base(parent, agent, task_type)
        inherited = {} if base is None else msgspec.to_builtins(base)
        lineage = [] if base is None else [base.digest, *base.lineage]
        values = {
            **inherited,
            "high_stakes": False,
            "experiment": None,
            **msgspec.to_builtins(content),
            "tenant": self.settings.tenant,
            "agent": agent,
            "task_type": task_type,
            "author": author,
            "note": note,
            "parent": lineage[0] if lineage else None,
            "lineage": lineage[:100],
            "created": self._clock.now().astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
        try:
            policy = msgspec.convert(values, Policy)
        except msgspec.ValidationError as error:
            raise InvalidValue("policy", sorted(content), str(error)) from error
        return self.add_policy(policy, by=author)

    def add_policy(self, policy: Policy, *, by: str = HOST) -> PolicyRecord:
        """Add a policy as a draft, as it is; one that is already there is returned.

        Raises:
            InvalidValue: A field is out of range, or its parent is not in the store.
            SigningKeyMissing: This machine has no key and trusts those of others.
        """
        self._turn.prepare()
        self.keys.ensure()
        with self.store.write() as connection:
            record = deployments.propose(self._turn.session(connection), policy, reason="proposed", actor=by)
        self._turn.refresh()
        return record

    def policy(self, reference: str | Policy | PolicyRecord) -> PolicyRecord:
        """Return a policy's record as it is now.

        Raises:
            NotFound: There is none of that digest.
            Ambiguous: Several digests start so.
        """
        digest = reference if isinstance(reference, str) else reference.digest
        with self.store.read() as connection:
            return ledger.find_policy(connection, digest, tenant=self.settings.tenant, where=self.store.url)

    def policies(self, *, agent: str | None = None, status: str | None = None, limit: int = 50) -> list[PolicyRecord]:
        """Return the newest policies first."""
        with self.store.read() as connection:
            return ledger.list_policies(
                connection, tenant=self.settings.tenant, agent=agent, status=status, limit=limit
            )

    def policy_history(self, reference: str | Policy | PolicyRecord) -> list[PromotionRecord]:
        """Return how a policy came to its status, oldest first, with the evidence of each step."""
        digest = self.policy(reference).digest
        with self.store.read() as connection:
            return ledger.promotions_of(connection, policy=digest)

    # -- trials -------------------------------------------------------------------------------------------------------

    def replay_policy(
        self,
        reference: str | Policy | PolicyRecord,
        items: Sequence[ReplayItem],
        runner: Runner,
        **options: Any,  # noqa: ANN401 - those of `trial.replay.replay`
    ) -> ReplayReport:
        """Do known tasks again under a policy and under the one in charge; the report opens the way to its shadow.

        Args:
            reference: The candidate.
            items: What to do.
            runner: Does one item under a policy (None: as the host does without one).
            **options: seeds, workers, cost_cap_usd, timeout_s, margin, tolerance, goldens, method, progress, cancel.

        Raises:
            InvalidValue: An option is out of range.
        """
        record = self.policy(reference)
        with self.store.read() as connection:
            _, base = self._in_charge(connection, record.slot)
        found = replay(read(record.content), base, items, runner, **options)
        with self.store.write() as connection:
            replay_ledger.record(connection, self.store.kind, found, ids=self._ids, now=self._clock.now())
        return found

    def evaluate_policy(
        self,
        reference: str | Policy | PolicyRecord,
        **options: Any,  # noqa: ANN401 - those of `off_policy`
    ) -> OffPolicyReport:
        """Say what a policy's routing would have done with the runs that were served, from logged probabilities.

        It costs no call, and says nothing of prompts and parameters: for a policy that differs from the one in charge
        only in its routing it counts as its offline replay, for any other it only informs.

        Args:
            reference: The candidate.
            **options: since, until, limit, margin, alpha, planned.

        Raises:
            InvalidValue: An option is out of range.
        """
        record = self.policy(reference)
        policy = read(record.content)
        with self.store.read() as connection:
            active, base = self._in_charge(connection, record.slot)
            found = off_policy(
                connection,
                policy,
                tenant=record.tenant,
                agent=record.agent,
                task_type=record.task_type or None,
                **options,
            )
        if base is not None and policy.differs_only_in_routing(base):
            with self.store.write() as connection:
                replay_ledger.record_off_policy(
                    connection,
                    self.store.kind,
                    found,
                    policy=record.digest,
                    baseline=active,
                    ids=self._ids,
                    now=self._clock.now(),
                )
        return found

    def shadow_with(self, runner: Runner, *, agent: str = "default") -> None:
        """Say how an agent's task is done under a candidate, for its shadows. It must have no side effects."""
        self.shadows.register(self.settings.tenant, agent, runner)

    def start_shadow(
        self,
        reference: str | Policy | PolicyRecord,
        plan: ShadowPlan | None = None,
        *,
        reason: str = "replay passed",
        by: str = HOST,
    ) -> DeploymentRecord:
        """Run a candidate beside the policy in charge on the same inputs, with no traffic of its own.

        Raises:
            GateRefused: It has not passed an offline replay against the policy in charge.
        """
        with self.store.write() as connection:
            session = self._turn.session(connection)
            record = self._taken(connection, reference)
            found, changed = deployments.start_shadow(session, record, plan or ShadowPlan(), reason=reason, actor=by)
        self._told(changed)
        return found

    def start_canary(
        self,
        *references: str | Policy | PolicyRecord,
        plan: CanaryPlan | None = None,
        reason: str = "shadow passed",
        by: str = HOST,
    ) -> DeploymentRecord:
        """Give one or several candidates a growing share of the traffic, beside the policy in charge.

        Raises:
            GateRefused: One has not passed its shadow, or a canary runs in the slot.
        """
        with self.store.write() as connection:
            session = self._turn.session(connection)
            records = [self._taken(connection, reference) for reference in references]
            found, changed = deployments.start_canary(session, records, plan or CanaryPlan(), reason=reason, actor=by)
        self._told(changed)
        return found

    def canary_report(self, reference: str | Policy | PolicyRecord | DeploymentRecord) -> CanaryReport:
        """Return what a canary has shown so far; `reference` is its id, or its candidate.

        Raises:
            NotFound: There is none.
        """
        with self.store.read() as connection:
            if isinstance(reference, DeploymentRecord):
                reference = reference.id
            if isinstance(reference, str) and not reference.startswith("sha256:"):
                found = ledger.find_deployment(connection, reference, tenant=self.settings.tenant, where=self.store.url)
            else:
                record = self._taken(connection, reference)
                canaries = ledger.deployments_of(connection, record, "canary")
                if not canaries:
                    raise NotFound("canary", record.digest, self.store.url)
                found = canaries[-1]
            if found.mode != "canary":
                raise InvalidValue("deployment", found.id, f"it is a {found.mode}: see loop.deployments()")
            return report(connection, found)

    def deployments(self, *, agent: str | None = None, limit: int = 50) -> list[DeploymentRecord]:
        """Return the newest deployments first: shadows, canaries and hold-backs."""
        with self.store.read() as connection:
            return ledger.list_deployments(connection, tenant=self.settings.tenant, agent=agent, limit=limit)

    def promote_policy(
        self, reference: str | Policy | PolicyRecord, *, reason: str = "", by: str = HOST
    ) -> PolicyRecord:
        """Take a policy to its next status: in charge when it is the first of its slot, else shadow, canary, active.

        Raises:
            GateRefused: It has not earned it; names what is missing.
        """
        record = self.policy(reference)
        if record.status == "shadow":
            self.start_canary(record, reason=reason or "shadow passed", by=by)
        else:
            with self.store.write() as connection:
                session = self._turn.session(connection)
                if record.status == "draft" and not ledger.ever_active(connection, record.slot):
                    changed = deployments.install(session, record, reason=reason or "first of its slot", actor=by)
                elif record.status == "draft":
                    _, changed = deployments.start_shadow(
                        session, record, ShadowPlan(), reason=reason or "replay passed", actor=by
                    )
                else:
                    changed = deployments.promote(session, record, reason=reason or "canary won", actor=by)
            self._told(changed)
        return self.policy(record)

    def approve_policy(
        self, reference: str | Policy | PolicyRecord, *, by: str, note: str | None = None
    ) -> PolicyRecord:
        """Approve of a high-stakes policy; its author cannot. A canary that waits for it goes on at once.

        Raises:
            GateRefused: `by` is its author, or not person:NAME.
        """
        with self.store.write() as connection:
            record = self._taken(connection, reference)
            deployments.approve(self._turn.session(connection), record, approver=by, note=note)
        self._turn.monitor()
        return self.policy(record)

    def rollback(self, reference: str | Policy | PolicyRecord, *, reason: str, by: str = HOST) -> list[Changed]:
        """Take a policy out of use, whatever its status; the one before it is in charge again if it was active.

        In force here at once, in every other process within a second. Needs no signing key.
        """
        with self.store.write() as connection:
            record = self._taken(connection, reference)
            changed = deployments.rollback(self._turn.session(connection), record, reason=reason, actor=by)
        self._told(changed)
        return changed

    def pause_canary(self, deployment_id: str, *, reason: str, by: str = HOST) -> DeploymentRecord:
        """Stop assigning runs; those assigned are still counted, and may still roll the candidate back."""
        return self._switched(deployments.pause, deployment_id, reason, by)

    def resume_canary(self, deployment_id: str, *, reason: str, by: str = HOST) -> DeploymentRecord:
        """Assign runs again after a pause."""
        return self._switched(deployments.resume, deployment_id, reason, by)

    def abort_deployment(self, deployment_id: str, *, reason: str, by: str = HOST) -> DeploymentRecord:
        """End a shadow, canary or hold-back without a finding; its candidates may be tried again."""
        return self._switched(deployments.abort, deployment_id, reason, by)

    def monitor(self) -> list[Changed]:
        """Act on what is due in running deployments now; every process does so by itself once a minute."""
        return self._turn.monitor()

    def compute_loss(self, run_id: str) -> Loss | None:
        """Compute a run's loss from all its evidence and the weights in force now; stores nothing. None without any."""
        with self.store.read() as connection:
            return score_again(
                connection,
                run_id,
                configuration=self._turn.configuration,
                terms=self._turn.terms,
                weights_of=self._turn.weights_of,
            )

    # -- what the host never calls ------------------------------------------------------------------------------------

    def _sign_log(self) -> None:
        """Sign the audit log as it stands, and keep the checkpoint in a file outside the store."""
        signer = self.keys.signer() if self._turn.ready else None
        if signer is None:
            return
        try:
            write_checkpoint(self.store, signer, self.checkpoints, ids=UuidV7Source(self._clock), now=self._clock.now())
        except (BurnishError, OSError) as error:
            self._problem("audit", f"the log was not signed: {error}")

    def _audit(
        self,
        connection: Connection,
        event: str,
        subject: str,
        actor: str,
        payload: Mapping[str, object],
        tenant: str | None = None,
    ) -> None:
        """Add an event to the audit log, in the transaction of the change; the last thing in it."""
        audit.append(
            connection,
            self.store.kind,
            event=event,
            tenant=tenant or str(payload.get("tenant") or self.settings.tenant),
            actor=actor,
            subject=subject,
            payload=payload,
            ids=self._ids,
            now=self._clock.now(),
        )

    def _base(self, parent: str | Policy | PolicyRecord | None, agent: str, task_type: str) -> Policy | None:
        if parent is not None:
            return read(self.policy(parent).content)
        with self.store.read() as connection:
            return self._in_charge(connection, (self.settings.tenant, agent, task_type))[1]

    def _in_charge(self, connection: Connection, slot: Slot) -> tuple[str | None, Policy | None]:
        """Return the policy that a slot's runs are under, by its digest and as it is."""
        own = ledger.find_slot(connection, slot) or ledger.find_slot(connection, (*slot[:2], ""))
        active = None if own is None else ledger.in_charge(connection, own)
        if active is None:
            return None, None
        return active, read(ledger.policies_by_digest(connection, [active])[active].content)

    def _taken(self, connection: Connection, reference: str | Policy | PolicyRecord) -> PolicyRecord:
        digest = reference if isinstance(reference, str) else reference.digest
        return ledger.find_policy(connection, digest, tenant=self.settings.tenant, where=self.store.url)

    def _switched(self, change: Any, deployment_id: str, reason: str, by: str) -> DeploymentRecord:  # noqa: ANN401 - one of trial.deployments
        with self.store.write() as connection:
            found = ledger.find_deployment(connection, deployment_id, tenant=self.settings.tenant, where=self.store.url)
            done: DeploymentRecord = change(self._turn.session(connection), found, reason=reason, actor=by)
        self._told([])
        return done

    def _told(self, changed: Sequence[Changed]) -> None:
        self._turn.refresh()
        self._turn.announce(changed)
