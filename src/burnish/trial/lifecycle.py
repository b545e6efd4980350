"""The life of a policy as a table: which change of status there is, and the gate each one has to pass.

    draft ──replay──▶ shadow ──shadow──▶ canary ──canary (+ approval)──▶ active ──▶ archived
      └── first of its slot, by a person ───────────────────────────────▶ active
    any of them ──withdrawn──▶ archived                    archived ──rollback──▶ active

A gate reads what the ledger holds and answers with the reason for a refusal, or with None. It cannot be configured
away, and no result counts that was won against another control than the one in charge now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from burnish.trial.records import DeploymentRecord, PolicyRecord, SlotRecord

STATUSES = ("draft", "shadow", "canary", "active", "archived")
PERSON = "person:"


class ReplayResult(msgspec.Struct, frozen=True, kw_only=True):
    """The newest offline replay of a policy."""

    id: str
    verdict: str
    baseline: str | None


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate may look at."""

    policy: PolicyRecord
    slot: SlotRecord
    actor: str
    in_charge: str | None = None
    """Digest of the policy that the slot's runs are under now."""
    restoring: bool = False
    """The change is the second half of a rollback."""
    ever_active: bool = False
    """The slot has had an active policy."""
    replay: ReplayResult | None = None
    shadow: DeploymentRecord | None = None
    """The newest shadow of the policy."""
    canary: DeploymentRecord | None = None
    """The newest canary of the policy."""
    approvers: Sequence[str] = ()


Gate = Callable[[Case], str | None]


def replayed(case: Case) -> str | None:
    """Ask for an offline replay against the policy in charge, and that it passed."""
    found = case.replay
    if found is None:
        return "it was not replayed offline yet: run loop.replay() or `burnish replay` first"
    if found.verdict != "pass":
        return f"its newest offline replay ended as {found.verdict}"
    return _against(found.baseline, case, "offline replay")


def shadowed(case: Case) -> str | None:
    """Ask for a shadow beside the policy in charge, and that it passed."""
    found = case.shadow
    if found is None:
        return "it was not run in shadow yet: start one with loop.start_shadow()"
    if found.status != "passed":
        return f"its newest shadow is {found.status}: {found.reason or 'no verdict yet'}"
    return _against(found.control, case, "shadow")


def proven(case: Case) -> str | None:
    """Ask for a canary that was won on the evidence, and for a person's approval where stakes are high."""
    found = case.canary
    if found is None:
        return "it has had no canary yet: start one with loop.start_canary()"
    if not found.open:
        return f"its newest canary ended as {found.status}: {found.reason or 'no reason was kept'}"
    if found.plan.get("dry_run"):
        return "its canary is a dry run, which promotes nothing"
    if found.state.get("won") != found.candidates.index(case.policy.digest):
        return "the evidence of its canary does not suffice yet: see the canary's report"
    if found.state.get("frozen"):
        return f"its canary is frozen: {found.state['frozen']}"
    return _against(found.control, case, "canary") or approved(case)


def approved(case: Case) -> str | None:
    """Ask for the approval of a person who did not propose the policy, where stakes are high."""
    if not case.policy.high_stakes:
        return None
    others = [name for name in case.approvers if name.startswith(PERSON) and name != case.policy.author]
    return None if others else "it is a high-stakes policy and waits for the approval of a person other than its author"


def first_of_slot(case: Case) -> str | None:
    """Let a person put the first policy of a slot in charge: there is nothing to compare it with."""
    if case.ever_active:
        return "the slot has had an active policy: a new one has to pass replay, shadow and canary"
    if not case.actor.startswith(PERSON):
        return "only a person may put the first policy of a slot in charge"
    return None


def replaced(case: Case) -> str | None:
    """Let the active policy go only while another one takes its place, or on rollback."""
    del case
    return None


def withdrawn(case: Case) -> str | None:
    """Let anybody withdraw a candidate, at any time."""
    del case
    return None


def restored(case: Case) -> str | None:
    """Let an archived policy come back only as the second half of a rollback."""
    return None if case.restoring else "an archived policy comes back only by rolling back the one that replaced it"


TRANSITIONS: Mapping[tuple[str, str], Gate] = {
    ("draft", "shadow"): replayed,
    ("shadow", "canary"): shadowed,
    ("canary", "active"): proven,
    ("draft", "active"): first_of_slot,
    ("active", "archived"): replaced,
    ("draft", "archived"): withdrawn,
    ("shadow", "archived"): withdrawn,
    ("canary", "archived"): withdrawn,
    ("archived", "active"): restored,
}


def refusal(case: Case, to_status: str) -> str | None:
    """Return why the policy may not take this status, or None when it may."""
    gate = TRANSITIONS.get((case.policy.status, to_status))
    if gate is None:
        ways = [to for start, to in TRANSITIONS if start == case.policy.status]
        return f"from {case.policy.status} a policy can only become {' or '.join(ways)}"
    return gate(case)


def _against(control: str | None, case: Case, what: str) -> str | None:
    if control == case.in_charge:
        return None
    return f"its {what} was against {control or 'no policy'}, and {case.in_charge or 'no policy'} is in charge now"
