"""The commands of `burnish policy` on a store: what is there, how it came there, and what moves it on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from burnish.cli import shown
from burnish.cli.options import Where, as_json, located, of_agent, reading, writing
from burnish.cli.policy_given import by, bytes_of
from burnish.clock import SystemClock
from burnish.errors import InvalidValue, SignatureInvalid
from burnish.govern.keyring import KeyRing
from burnish.propose.policy import Policy
from burnish.propose.portable import bundle
from burnish.propose.statement import verify_transition
from burnish.trial.lifecycle import STATUSES
from burnish.trial.records import PolicyRecord, PromotionRecord

FIELDS = (
    "prompts",
    "parameters",
    "model_parameters",
    "models",
    "routing",
    "fallbacks",
    "tools",
    "context",
    "loss_weights",
    "high_stakes",
    "experiment",
)
"""What a policy says of how an agent acts: the fields of the file that `create` reads."""
_EMPTY: tuple[object, ...] = (None, "", False, [], {})


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a trusted key signed a policy for the status it has."""

    valid: bool
    key_id: str | None = None
    key_name: str | None = None
    reason: str | None = None


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A policy with everything that is known of it."""

    digest: str
    version: int
    tenant: str
    agent: str
    task_type: str
    status: str
    author: str
    high_stakes: bool
    signature: Signature
    content: object
    history: Sequence[PromotionRecord]


@click.command("list")
@of_agent
@click.option("--status", type=click.Choice(STATUSES), help="Only those that stand so.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, metavar="N", help="How many.")
@as_json
@located
def list_(*, agent: str | None, status: str | None, limit: int, as_json: bool, where: Where) -> None:
    """List the newest policies."""
    with reading(where) as loop:
        found = loop.policies(agent=agent, status=status, limit=limit)
    if as_json:
        shown.print_json(found)
        return
    columns = ("policy!", "version>", "agent", "task type", "status", "stakes", "author", "created (UTC)")
    empty = "no policies yet: write one as JSON and run `burnish policy create FILE.json --agent NAME --author NAME`"
    shown.table(columns, [_row(record) for record in found], empty=empty)


@click.command("show")
@click.argument("policy")
@as_json
@located
def show(*, policy: str, as_json: bool, where: Where) -> None:
    """Show a policy: what it says, its status, who signed it, and how it came there.

    POLICY is its digest, or the beginning of it.
    """
    with reading(where) as loop:
        record = loop.policy(policy)
        history = loop.policy_history(record)
        signature = _signature(record, loop.keys.ring())
    content = _content(record)
    if as_json:
        told = {name: getattr(record, name) for name in Shown.__struct_fields__ if hasattr(record, name)}
        shown.print_json(Shown(**{**told, "content": content}, signature=signature, history=history))
        return
    stakes = ", high stakes" if record.high_stakes else ""
    shown.line(f"{record.digest}: {record.status}{stakes}")
    shown.line(f"version {record.version} of agent {record.agent}, {record.task_type or 'every task type'}")
    signed = f"signed by {signature.key_name}" if signature.valid else f"NOT TRUSTED: {signature.reason}"
    shown.line(signed)
    shown.title("What it says")
    said = content.items() if isinstance(content, dict) else [("text", content)]
    shown.table(("", "*"), [(str(name), _said(value)) for name, value in said if value not in _EMPTY])
    shown.title("How it came there")
    _print_history(history)


@click.command("history")
@click.argument("policy")
@as_json
@located
def history(*, policy: str, as_json: bool, where: Where) -> None:
    """Show each change of a policy's status, with its evidence."""
    with reading(where) as loop:
        found = loop.policy_history(policy)
    if as_json:
        shown.print_json(found)
        return
    _print_history(found)


@click.command("create")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--agent", required=True, metavar="NAME", help="Whose runs it is for.")
@click.option("--author", required=True, metavar="WHO", help="Who proposes it: person:NAME or learner:NAME.")
@click.option("--task-type", default="", metavar="NAME", help="Only runs of this task type. [default: all]")
@click.option("--parent", metavar="POLICY", help="What it is made from. [default: the policy in charge]")
@click.option("--note", default="", metavar="TEXT", help="Why.")
@located
def create(*, file: Path, agent: str, author: str, task_type: str, parent: str | None, note: str, where: Where) -> None:
    """Add a policy as a draft: the one in charge, with the fields in FILE changed.

    FILE is a JSON object of fields of a policy: prompts, parameters, model_parameters, models, routing, fallbacks,
    tools, context, loss_weights, high_stakes, experiment.
    """
    content = _fields(file)
    with writing(where) as loop:
        record = loop.create_policy(agent, author=author, task_type=task_type, note=note, parent=parent, **content)
    shown.line(f"{record.digest} {record.status}")


@click.command("promote")
@click.argument("policy")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the history.")
@by
@located
def promote(*, policy: str, reason: str, by: str, where: Where) -> None:
    """Take a policy to its next status, if it has earned it.

    The first of its slot is put in charge. Any other goes from draft to shadow after a replay, to canary after its
    shadow, and in charge once its canary is won.
    """
    with writing(where) as loop:
        record = loop.promote_policy(policy, reason=reason, by=by)
    shown.line(f"{record.digest} {record.status}")


@click.command("approve")
@click.argument("policy")
@click.option("--by", required=True, metavar="person:NAME", help="Who approves; not its author.")
@click.option("--note", metavar="TEXT", help="Why.")
@located
def approve(*, policy: str, by: str, note: str | None, where: Where) -> None:
    """Approve of a high-stakes policy, so that it may be put in charge once its canary is won."""
    with writing(where) as loop:
        record = loop.approve_policy(policy, by=by, note=note)
    shown.line(f"{record.digest} {record.status}, approved by {by}")


@click.command("rollback")
@click.argument("policy")
@click.option("--reason", required=True, metavar="TEXT", help="Why.")
@by
@located
def rollback(*, policy: str, reason: str, by: str, where: Where) -> None:
    """Take a policy out of use, at once; the one before it is in charge again. Needs no signing key."""
    with writing(where) as loop:
        changed = loop.rollback(policy, reason=reason, by=by)
    for change in changed:
        shown.line(f"{change.policy} {change.from_status} → {change.to_status}")
    if not changed:
        shown.line("nothing to do: it is archived already")


@click.command("export")
@click.argument("policy")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@located
def export(*, policy: str, file: Path, where: Where) -> None:
    """Write a policy and its signature to FILE, as `burnish policy verify` reads it anywhere."""
    with reading(where) as loop:
        record = loop.policy(policy)
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(bundle(record.content, record.envelope))
    except OSError as error:
        raise InvalidValue("file", str(file), f"it cannot be made: {error.strerror}") from error
    shown.line(f"{record.digest} written to {file}")


STORED = (list_, show, history, create, promote, approve, rollback, export)


def _fields(file: Path) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(bytes_of(file), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValue(file.name, str(error), "give a JSON object with fields of a policy") from error
    for name in found:
        if name in Policy.__struct_fields__ and name not in FIELDS:
            raise InvalidValue(name, found[name], "give it as an option or leave it out: Burnish sets it")
        if name not in FIELDS:
            raise InvalidValue(name, found[name], f"there is no such field; the fields are {', '.join(FIELDS)}")
    return found


def _signature(record: PolicyRecord, ring: KeyRing) -> Signature:
    # An archived policy keeps its last statement where no key was at hand to sign that it was archived.
    status = None if record.status == "archived" else record.status
    try:
        found = verify_transition(record.envelope, record.content, ring, to_status=status, now=SystemClock().now())
    except SignatureInvalid as error:
        return Signature(valid=False, reason=f"{error.what}: {error.reason}")
    return Signature(valid=True, key_id=found.signed_by.key_id, key_name=found.signed_by.name)


def _content(record: PolicyRecord) -> object:
    try:
        return msgspec.json.decode(record.content)
    except (msgspec.DecodeError, RecursionError):
        return record.content


def _said(value: object) -> str:
    return value if isinstance(value, str) else shown.plain(value)


def _row(record: PolicyRecord) -> tuple[str, ...]:
    return (
        record.digest,
        str(record.version),
        record.agent,
        record.task_type or "all",
        record.status,
        "high" if record.high_stakes else "",
        record.author,
        shown.when(record.created_at),
    )


def _print_history(found: Sequence[PromotionRecord]) -> None:
    columns = ("at (UTC)!", "from", "to", "actor", "approver", "reason*", "evidence*")
    rows = [
        (
            shown.when(one.created_at),
            one.from_status,
            one.to_status,
            one.actor,
            one.approver or shown.NOTHING,
            one.reason,
            shown.plain(one.evidence) if one.evidence else shown.NOTHING,
        )
        for one in found
    ]
    shown.table(columns, rows)
