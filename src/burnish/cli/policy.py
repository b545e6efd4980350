"""`burnish policy`: policies as files, checked and compared without a store; those of a store in `policy_store`."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from burnish.cli import shown
from burnish.cli.keys import text_of, with_keys
from burnish.cli.options import Where, as_json, located
from burnish.cli.policy_given import bytes_of, given
from burnish.cli.policy_store import STORED
from burnish.clock import SystemClock
from burnish.errors import SignatureInvalid
from burnish.govern.key_folder import load_ring
from burnish.govern.keyring import KeyRing, trusting
from burnish.propose.difference import diff, rendered
from burnish.propose.portable import open_bundle
from burnish.propose.statement import Statement, Transition, verify_transition

policy_file = click.Path(exists=True, dir_okay=False, path_type=Path)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a policy file can be trusted, and what was signed or what is wrong."""

    valid: bool
    digest: str | None = None
    transition: Transition | None = None
    key_id: str | None = None
    key_name: str | None = None
    what: str | None = None
    reason: str | None = None
    remedy: str | None = None


@click.group()
def command() -> None:
    """Propose, check, promote and roll back policies."""


@command.command("verify")
@click.argument("file", type=policy_file)
@click.option("--key", metavar="PUBLIC", help="Trust only this public key: a file, or the text, in PEM or base64.")
@click.option("--status", metavar="NAME", help="The status that it has to be signed for. [default: any]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_keys
def verify(*, file: Path, key: str | None, status: str | None, as_json: bool, folder: Path) -> None:
    """Check offline that a trusted key signed a policy.

    FILE is an exported policy. Prints who signed what, when, and on which evidence.
    """
    ring = load_ring(folder) if key is None else trusting(text_of(key), "the key given")
    try:
        found = _verified(file, ring, status)
    except SignatureInvalid as error:
        if as_json:
            shown.print_json(Verdict(valid=False, what=error.what, reason=error.reason, remedy=error.remedy))
        raise
    if as_json:
        signer = found.signed_by
        shown.print_json(
            Verdict(
                valid=True,
                digest=found.digest,
                transition=found.transition,
                key_id=signer.key_id,
                key_name=signer.name,
            )
        )
        return
    shown.line(f"valid: signed by {found.signed_by.name}")
    shown.table(("", "*"), _facts(found))


@command.command("diff")
@click.argument("old")
@click.argument("new")
@as_json
@located
def diff_(*, old: str, new: str, as_json: bool, where: Where) -> None:
    """Show what differs between two policies.

    Each is the digest of a policy in the store, or a file: an exported policy or the JSON of one. Signatures are not
    checked.
    """
    changes = diff(given(old, where), given(new, where))
    if as_json:
        shown.print_json(changes)
        return
    for text in rendered(changes).split("\n"):
        shown.line(text)


for stored in STORED:
    command.add_command(stored)


def _verified(file: Path, ring: KeyRing, status: str | None) -> Statement:
    content, envelope = open_bundle(bytes_of(file))
    return verify_transition(envelope, content, ring, to_status=status, now=SystemClock().now())


def _facts(found: Statement) -> list[tuple[str, str]]:
    signed, slot = found.transition, found.transition.policy
    evidence = [(f"evidence: {name}", shown.plain(value)) for name, value in signed.evidence.items()]
    return [
        ("policy", found.digest),
        ("for", f"tenant {slot.tenant}, agent {slot.agent}, {slot.task_type or 'every task type'}"),
        ("from", signed.from_status),
        ("to", f"{signed.to_status}, revision {signed.revision}"),
        ("signed (UTC)", shown.when(found.at)),
        ("key", found.signed_by.key_id),
        ("actor", signed.actor),
        ("approver", signed.approver or shown.NOTHING),
        ("parent", signed.parent or shown.NOTHING),
        *(evidence or [("evidence", "none")]),
    ]
