"""The policies in force, as a decision reads them: an immutable snapshot of policies that were verified when read.

Nothing unverified is ever served. When the signature of the policy in charge does not hold, the last one in charge
whose signature does takes its place; a trial one of whose policies cannot be trusted assigns nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from burnish.errors import InvalidValue, SignatureInvalid
from burnish.govern.keyring import KeyRing
from burnish.propose.policy import Policy, digest_of, read
from burnish.propose.statement import verify_transition
from burnish.stats.assignment import SEPARATOR, arm_of, unit_number
from burnish.trial import ledger
from burnish.trial.plan import CanaryPlan, HoldbackPlan, ShadowPlan
from burnish.trial.records import DeploymentRecord, PolicyRecord, PromotionRecord, Slot, SlotRecord


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A verified policy."""

    digest: str
    version: int
    policy: Policy

    @property
    def name(self) -> str:
        """Return what people call it."""
        return f"policy v{self.version}"


class Assigned(msgspec.Struct, frozen=True, kw_only=True):
    """The policy of one run, and the arm that gave it, when a deployment did."""

    served: Served | None
    deployment: str | None = None
    unit: str = ""
    arm: int = 0
    probabilities: tuple[float, ...] = ()


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment that assigns runs."""

    id: str
    arms: Sequence[Served | None]
    """The control and each candidate; None stands for the host's own behaviour."""
    unit: str
    epoch_s: float
    schedule: Sequence[tuple[int, Sequence[float]]]
    """(from, in microseconds since 1970; share of each candidate)."""

    def assign(self, run_id: str, keys: Mapping[str, object], micros: int) -> Assigned:
        """Return the arm of a run; none when no candidate has a share now.

        Args:
            run_id: The run's id.
            keys: Its conversation, project and user, as far as known.
            micros: Now, in microseconds since 1970.
        """
        shares = next((shares for start, shares in reversed(self.schedule) if start <= micros), ())
        if not any(shares):
            return Assigned(served=self.arms[0])
        unit = run_id
        if self.unit != "run":
            epoch = micros // int(self.epoch_s * 1_000_000)
            unit = f"{str(keys.get(self.unit) or run_id)[:600]}{SEPARATOR}{epoch}"
        arm = arm_of(unit_number(self.id, unit), shares)
        return Assigned(
            served=self.arms[arm],
            deployment=self.id,
            unit=unit,
            arm=arm,
            probabilities=(1.0 - sum(shares), *shares),
        )


class Shadowing(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate that is run beside the policy in charge."""

    id: str
    candidate: Served
    plan: ShadowPlan


class SlotView(msgspec.Struct, frozen=True, kw_only=True):
    """One slot as decisions see it."""

    slot: Slot
    active: Served | None = None
    running: Running | None = None
    shadows: Sequence[Shadowing] = ()


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """Every slot in which there is something to serve."""

    slots: Mapping[Slot, SlotView] = {}
    distrusted: Mapping[str, str] = {}
    """Digest → why the policy is not served."""

    def view(self, tenant: str, agent: str, task_type: str) -> SlotView | None:
        """Return the slot that a run belongs to: that of its task type, else the agent's."""
        if not self.slots:
            return None
        own = self.slots.get((tenant, agent, task_type))
        general = self.slots.get((tenant, agent, ""))
        if own is None or general is None or own.active is not None:
            return own or general
        # Nothing of its own is in charge: what is of the agent is, beside the type's own trials.
        return msgspec.structs.replace(own, active=general.active, running=own.running or general.running)

    def assign(
        self, tenant: str, agent: str, task_type: str, *, run_id: str, keys: Mapping[str, object], micros: int
    ) -> Assigned:
        """Return the policy of a run."""
        view = self.view(tenant, agent, task_type)
        if view is None:
            return Assigned(served=None)
        if view.running is None:
            return Assigned(served=view.active)
        return view.running.assign(run_id, keys, micros)


def _rolled_back(history: Sequence[PromotionRecord]) -> set[str]:
    """Return the policies that were taken out of charge without another one having earned their place."""
    earned = {p.revision for p in history if p.to_status == "active" and p.from_status != "archived"}
    back = {p.policy: p.revision for p in history if p.to_status == "active"}
    left = {p.policy: p.revision for p in history if p.from_status == "active"}
    return {policy for policy, at in left.items() if at not in earned and at > back.get(policy, -1)}


def _plan(deployment: DeploymentRecord) -> CanaryPlan | HoldbackPlan:
    if deployment.mode == "holdback":
        return msgspec.convert(deployment.plan, HoldbackPlan)
    return msgspec.convert(deployment.plan, CanaryPlan)


class Reader:
    """Reads books; remembers what it verified, because verifying costs near a millisecond."""

    def __init__(self, ring: Callable[[], KeyRing], distrusted: Callable[[str, str], None]) -> None:
        self._ring = ring
        self._distrusted = distrusted
        self._verified: dict[bytes, Policy] = {}
        self._last = Book()

    def read(self, connection: Connection, now: datetime) -> Book:
        """Return the book as it stands in the store."""
        slots = ledger.slots(connection)
        if not slots:
            return Book()
        opened = ledger.open_deployments(connection)
        wanted = {slot.active for slot in slots} | {d for o in opened for d in (o.control, *o.candidates)}
        records = ledger.policies_by_digest(connection, sorted(found for found in wanted if found is not None))
        page = _Page(self, connection, self._ring(), records, self._last, now)
        views = {view.slot: view for view in (page.view(slot, opened) for slot in slots)}
        useful = {key: view for key, view in views.items() if view.active or view.running or view.shadows}
        for digest, why in page.distrusted.items():
            if self._last.distrusted.get(digest) != why:
                self._distrusted(digest, why)
        self._last = Book(slots=useful, distrusted=page.distrusted)
        return self._last

    def verified(self, content: str, envelope: str, ring: KeyRing, to_status: str, now: datetime) -> Policy:
        """Return a policy whose envelope says that it took this status.

        Raises:
            SignatureInvalid: It does not, or it cannot be trusted.
        """
        parts = content, envelope, to_status, msgspec.json.encode(ring).decode()
        key = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
        if key not in self._verified:
            verify_transition(envelope, content, ring, to_status=to_status, now=now)
            self._verified[key] = read(content)
        return self._verified[key]


class _Page:
    """One reading of the book."""

    def __init__(
        self,
        reader: Reader,
        connection: Connection,
        ring: KeyRing,
        records: Mapping[str, PolicyRecord],
        last: Book,
        now: datetime,
    ) -> None:
        self._reader, self._connection, self._ring = reader, connection, ring
        self._records, self._last, self._now = records, last, now
        self.distrusted: dict[str, str] = {}

    def view(self, slot: SlotRecord, opened: Sequence[DeploymentRecord]) -> SlotView:
        """Return one slot."""
        key = slot.tenant, slot.agent, slot.task_type
        mine = [deployment for deployment in opened if deployment.slot == key]
        running = next((d for d in mine if d.id == slot.deployment and d.status != "paused"), None)
        return SlotView(
            slot=key,
            active=self._active(key, slot.active),
            running=None if running is None else self._running(running),
            shadows=[found for d in mine if d.mode == "shadow" if (found := self._shadowing(d)) is not None],
        )

    def _active(self, slot: Slot, digest: str | None) -> Served | None:
        if digest is None:
            return None
        found = self._served(digest, "active")
        return found if found is not None else self._last_trusted(slot, digest)

    def _last_trusted(self, slot: Slot, distrusted: str) -> Served | None:
        """Return what this process served last, else the newest former policy in charge that verifies.

        One that was rolled back is out of the question, whoever signed it.
        """
        history = ledger.promotions_of(self._connection, slot=slot)
        refused = {distrusted, *_rolled_back(history)}
        known = self._last.slots.get(slot)
        if known is not None and known.active is not None and known.active.digest not in {*refused, *self.distrusted}:
            return known.active
        risen = [promotion for promotion in history if promotion.to_status == "active"]
        records = ledger.policies_by_digest(self._connection, [promotion.policy for promotion in risen])
        for promotion in reversed(risen):
            record = records.get(promotion.policy)
            if record is not None and promotion.policy not in refused:
                found = self._check(record, promotion.envelope, "active")
                if found is not None:
                    return found
        return None

    def _running(self, deployment: DeploymentRecord) -> Running | None:
        plan = _plan(deployment)
        control = None if deployment.control is None else self._control(deployment.control)
        candidates = [self._candidate(deployment, digest) for digest in deployment.candidates]
        gone = set(msgspec.convert(deployment.state.get("out", ()), list[int]))
        missing = [k for k, found in enumerate(candidates) if found is None and k not in gone]
        if missing or (deployment.control is not None and control is None):
            return None
        schedule = msgspec.convert(deployment.state["schedule"], list[tuple[int, list[float]]])
        return Running(
            id=deployment.id,
            arms=[control, *candidates],
            unit=plan.unit,
            epoch_s=plan.epoch_s,
            schedule=schedule,
        )

    def _control(self, digest: str) -> Served | None:
        """Return a control. That of a hold-back is archived: it is served on the statement that put it in charge."""
        record = self._records.get(digest)
        if record is None or record.status == "active":
            return self._served(digest, "active")
        before = ledger.promotions_of(self._connection, policy=digest, to_status="active")
        return self._check(record, before[-1].envelope, "active") if before else None

    def _candidate(self, deployment: DeploymentRecord, digest: str) -> Served | None:
        record = self._records.get(digest)
        if record is not None and record.status == "archived":
            return None  # rolled back while others go on; its share is 0
        return self._served(digest, "active" if deployment.mode == "holdback" else "canary")

    def _shadowing(self, deployment: DeploymentRecord) -> Shadowing | None:
        candidate = self._served(deployment.candidates[0], "shadow")
        if candidate is None:
            return None
        return Shadowing(id=deployment.id, candidate=candidate, plan=msgspec.convert(deployment.plan, ShadowPlan))

    def _served(self, digest: str, to_status: str) -> Served | None:
        record = self._records.get(digest)
        if record is None:
            self.distrusted[digest] = "it is not in the store"
            return None
        return self._check(record, record.envelope, to_status)

    def _check(self, record: PolicyRecord, envelope: str, to_status: str) -> Served | None:
        try:
            policy = self._reader.verified(record.content, envelope, self._ring, to_status, self._now)
        except (SignatureInvalid, InvalidValue) as error:
            self.distrusted[record.digest] = str(error)
            return None
        if policy.slot != record.slot or digest_of(record.content.encode()) != record.digest:
            self.distrusted[record.digest] = "its row in the store names another slot or digest than was signed"
            return None
        return Served(digest=record.digest, version=record.version, policy=policy)
