"""One atomic change of a slot: policies take other statuses, pointers move, and all of it is signed and audited.

Whatever happens in a change happens in one transaction that begins by taking the slot's row. A process that is killed
anywhere leaves either the state before or the state after, never two active policies or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from burnish.errors import GateRefused, SigningKeyMissing
from burnish.govern import audit
from burnish.govern.signing import Signer
from burnish.ids import IdSource
from burnish.propose import policy as policies
from burnish.propose.statement import seal_transition
from burnish.trial import ledger, lifecycle
from burnish.trial.lifecycle import Case
from burnish.trial.records import DeploymentRecord, PolicyRecord, PromotionRecord, Slot, SlotRecord


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A write transaction in which policies may change, and what it takes to change them."""

    connection: Connection
    kind: str
    ids: IdSource
    now: datetime
    signer: Signer | None
    """Without one nothing can be put in charge; a rollback still works."""


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """One policy that took another status, for whoever wants to be told after the commit."""

    tenant: str
    agent: str
    task_type: str
    policy: str
    from_status: str
    to_status: str
    reason: str
    actor: str


class SlotChange:
    """A slot while it is changed. Make it with `changing`.

    Attributes:
        slot: The slot as it was taken.
        active: Digest of the policy in charge; set it to put another one there.
        deployment: Id of the deployment that runs; likewise.
        changed: What took another status so far.
    """

    def __init__(self, session: Session, slot: SlotRecord) -> None:
        self.session = session
        self.slot = slot
        self.active = slot.active
        self.deployment = slot.deployment
        self.changed: list[Changed] = []

    def policy(self, digest: str) -> PolicyRecord:
        """Return a policy as it is now."""
        return ledger.policies_by_digest(self.session.connection, [digest])[digest]

    def move(
        self,
        record: PolicyRecord,
        to_status: str,
        *,
        reason: str,
        actor: str,
        evidence: Mapping[str, object] | None = None,
        restoring: bool = False,
    ) -> PolicyRecord:
        """Give a policy another status, if its gate lets it pass.

        Raises:
            GateRefused: It does not; nothing was changed.
            SigningKeyMissing: The status needs a signature and this machine has no key.
            TransitionConflict: The policy was changed meanwhile.
        """
        case = self.case(record, actor, restoring=restoring)
        why = lifecycle.refusal(case, to_status)
        if why is not None:
            raise GateRefused(record.digest, to_status, why)
        facts = dict(evidence or {})
        approver = next((name for name in case.approvers if name != record.author), None)
        envelope = self._envelope(record, to_status, facts, actor, approver)
        moved = ledger.set_status(self.session.connection, record, to_status, envelope, self.session.now)
        self._note(record, record.status, to_status, reason, facts, actor, approver, envelope)
        return moved

    def add(self, policy: policies.Policy, *, reason: str, actor: str) -> PolicyRecord:
        """Add a policy as a draft; one that is already there is returned as it is.

        Raises:
            SigningKeyMissing: This machine has no key to sign it with.
        """
        session, digest = self.session, policy.digest
        known = ledger.policies_by_digest(session.connection, [digest])
        if known:
            return known[digest]
        if session.signer is None:
            raise SigningKeyMissing("a policy")
        envelope = self._seal(policy, "new", "draft", {}, actor, None)
        record = PolicyRecord(
            id=session.ids(),
            created_at=session.now,
            tenant=policy.tenant,
            agent=policy.agent,
            task_type=policy.task_type,
            digest=digest,
            version=ledger.next_version(session.connection, policy.slot),
            status="draft",
            high_stakes=policy.high_stakes,
            author=policy.author,
            parent=policy.parent,
            experiment=policy.experiment,
            content=policy.canonical.decode(),
            envelope=envelope,
            updated_at=session.now,
        )
        ledger.add_policy(session.connection, record)
        self._note(record, "new", "draft", reason, {}, actor, None, envelope)
        return record

    def case(self, record: PolicyRecord, actor: str, *, restoring: bool = False) -> Case:
        """Return what the gates may look at."""
        connection = self.session.connection
        shadows = ledger.deployments_of(connection, record, "shadow")
        canaries = ledger.deployments_of(connection, record, "canary")
        return Case(
            policy=record,
            slot=self.slot,
            actor=actor,
            in_charge=ledger.in_charge(connection, self.slot),
            restoring=restoring,
            ever_active=ledger.ever_active(connection, record.slot),
            replay=ledger.latest_replay(connection, record.digest),
            shadow=shadows[-1] if shadows else None,
            canary=canaries[-1] if canaries else None,
            approvers=ledger.approvers_of(connection, record.digest),
        )

    def begin(self, deployment: DeploymentRecord, actor: str) -> None:
        """Start a deployment; a shadow takes no traffic and so does not occupy the slot."""
        ledger.add_deployment(self.session.connection, deployment)
        if deployment.mode != "shadow":
            self.deployment = deployment.id
        self.audit(f"{deployment.mode}.started", deployment.id, actor, _facts(deployment))

    def end(self, deployment: DeploymentRecord, status: str, *, reason: str, actor: str) -> DeploymentRecord:
        """End a deployment that was taken."""
        now = self.session.now
        ended = msgspec.structs.replace(deployment, status=status, reason=reason, updated_at=now, ended_at=now)
        saved = ledger.save_deployment(self.session.connection, deployment, ended)
        if self.deployment == deployment.id:
            self.deployment = None
        self.audit(f"{deployment.mode}.{status}", deployment.id, actor, {"reason": reason, **_facts(saved)})
        return saved

    def audit(self, event: str, subject: str, actor: str, payload: Mapping[str, object]) -> None:
        """Add an event to the audit log, in the same transaction."""
        session = self.session
        audit.append(
            session.connection,
            session.kind,
            event=event,
            tenant=self.slot.tenant,
            actor=actor,
            subject=subject,
            payload=payload,
            ids=session.ids,
            now=session.now,
        )

    def finish(self) -> None:
        """Write the pointers, if nobody changed the slot meanwhile; where nothing changed, nothing is written."""
        if not self.changed and (self.active, self.deployment) == (self.slot.active, self.slot.deployment):
            return
        self.slot = ledger.change_slot(
            self.session.connection,
            self.slot,
            active=self.active,
            deployment=self.deployment,
            now=self.session.now,
        )

    def _envelope(
        self,
        record: PolicyRecord,
        to_status: str,
        evidence: Mapping[str, object],
        actor: str,
        approver: str | None,
    ) -> str:
        """Return a signed statement of the change; without a key, one that is already there and says the same.

        Content that is not what its digest says is never signed; such a policy can still be withdrawn.
        """
        intact = policies.digest_of(record.content.encode("utf-8", "surrogatepass")) == record.digest
        if self.session.signer is not None and intact:
            policy = policies.read(record.content)
            return self._seal(policy, record.status, to_status, evidence, actor, approver)
        if to_status == "archived":
            return record.envelope
        before = ledger.promotions_of(self.session.connection, policy=record.digest, to_status=to_status)
        if to_status == "active" and before:
            return before[-1].envelope
        if not intact:
            raise GateRefused(record.digest, to_status, "its content in the store is not what was signed")
        raise SigningKeyMissing(f"a policy that becomes {to_status}")

    def _seal(
        self,
        policy: policies.Policy,
        from_status: str,
        to_status: str,
        evidence: Mapping[str, object],
        actor: str,
        approver: str | None,
    ) -> str:
        if self.session.signer is None:
            raise SigningKeyMissing("a policy")
        return seal_transition(
            policy,
            from_status=from_status,
            to_status=to_status,
            evidence=evidence,
            actor=actor,
            approver=approver,
            at=self.session.now,
            revision=self.slot.revision + 1,
            signer=self.session.signer,
        )

    def _note(
        self,
        record: PolicyRecord,
        from_status: str,
        to_status: str,
        reason: str,
        evidence: dict[str, object],
        actor: str,
        approver: str | None,
        envelope: str,
    ) -> None:
        promotion = PromotionRecord(
            id=self.session.ids(),
            created_at=self.session.now,
            tenant=record.tenant,
            agent=record.agent,
            task_type=record.task_type,
            policy=record.digest,
            revision=self.slot.revision + 1,
            from_status=from_status,
            to_status=to_status,
            reason=reason,
            evidence=evidence,
            actor=actor,
            approver=approver,
            envelope=envelope,
        )
        ledger.add_promotion(self.session.connection, promotion)
        told = {name: getattr(promotion, name) for name in Changed.__struct_fields__}
        self.changed.append(Changed(**told))
        details = {"from": from_status, "to": to_status, "reason": reason, "approver": approver, "evidence": evidence}
        self.audit(f"policy.{to_status}", record.digest, actor, details)


@contextmanager
def changing(session: Session, slot: Slot) -> Iterator[SlotChange]:
    """Take a slot and change it; its pointers are written when the block ends well.

    Raises:
        TransitionConflict: The slot was changed by somebody who did not take it.
    """
    change = SlotChange(
        session, ledger.take_slot(session.connection, session.kind, slot, ids=session.ids, now=session.now)
    )
    yield change
    change.finish()


def _facts(deployment: DeploymentRecord) -> dict[str, object]:
    return {
        "control": deployment.control,
        "candidates": list(deployment.candidates),
        "assigned": deployment.assigned,
        "processed": deployment.processed,
        "plan": dict(deployment.plan),
    }
