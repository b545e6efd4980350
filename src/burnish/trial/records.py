"""What the ledger holds of policies and trials: one frozen record a table row, fields in the order of its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

Slot: TypeAlias = tuple[str, str, str]
"""(tenant, agent, task type); an empty task type stands for all that have no policy of their own."""


class PolicyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A policy, its status, and the signed statement by which it got there."""

    id: str
    created_at: datetime
    tenant: str
    agent: str
    task_type: str
    digest: str
    version: int
    status: str
    high_stakes: bool
    author: str
    parent: str | None
    experiment: str | None
    content: str
    envelope: str
    updated_at: datetime

    @property
    def slot(self) -> Slot:
        """Return what the policy competes for."""
        return self.tenant, self.agent, self.task_type


class SlotRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The one place that says which policy is active and which deployment runs."""

    id: str
    created_at: datetime
    tenant: str
    agent: str
    task_type: str
    active: str | None
    deployment: str | None
    revision: int
    updated_at: datetime


class PromotionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one policy's status, with what justified it."""

    id: str
    created_at: datetime
    tenant: str
    agent: str
    task_type: str
    policy: str
    revision: int
    from_status: str
    to_status: str
    reason: str
    evidence: dict[str, object]
    actor: str
    approver: str | None
    envelope: str


class DeploymentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A trial on real runs: shadow, canary, or the hold-back after a promotion."""

    id: str
    created_at: datetime
    tenant: str
    agent: str
    task_type: str
    mode: str
    status: str
    control: str | None
    candidates: Sequence[str]
    plan: Mapping[str, object]
    state: Mapping[str, object]
    assigned: int
    processed: int
    revision: int
    reason: str | None
    updated_at: datetime
    ended_at: datetime | None

    @property
    def slot(self) -> Slot:
        """Return the slot whose runs take part."""
        return self.tenant, self.agent, self.task_type

    @property
    def open(self) -> bool:
        """Tell whether it has not ended."""
        return self.ended_at is None


class AssignmentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run that takes part in a deployment."""

    id: str
    created_at: datetime
    tenant: str
    deployment: str
    seq: int
    run_id: str
    unit: str
    task_type: str
    arm: int
    """0 is the control, 1 the first candidate."""
    probabilities: tuple[float, ...]
    """Of the control and of each candidate, as they were when the run was assigned."""
    loss: float | None
    candidate_loss: float | None
    """Shadow only: what the candidate came to on the same input."""
    facts: dict[str, object]
    scored_at: datetime | None
    used: bool
