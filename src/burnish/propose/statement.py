"""What is signed when a policy changes status: an in-toto Statement (v1) whose subject is the policy's digest.

The statement says which policy went from which status to which, for what slot, on what evidence, by whom and when. It
does not decide whether that was right: it makes what was decided impossible to alter or to move to another policy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from burnish.errors import InvalidValue, SignatureInvalid
from burnish.govern.keyring import Key, KeyRing
from burnish.govern.signing import Signer, opened, seal
from burnish.propose.policy import Policy, digest_of, read

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://burnish.dev/policy-transition/v1"
SAFE_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (RFC 7493 §2.2)."""
_AGAIN = "get the original again from its source"
_WHAT = "the signed policy"


class Slot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a policy competes for."""

    tenant: str
    agent: str
    task_type: str


class Transition(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"from_status": "from", "to_status": "to"},
):
    """How a policy came to a status: the predicate."""

    policy: Slot
    from_status: str
    to_status: str
    parent: str | None
    """Digest of the policy that it was made from."""
    evidence: Mapping[str, object]
    actor: str
    approver: str | None
    at: str
    """When it was signed, RFC 3339 in UTC with microseconds."""
    revision: int


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement whose signature was checked."""

    digest: str
    """Of the policy: `sha256:` and 64 hexadecimal digits."""
    transition: Transition
    at: datetime
    signed_by: Key


class _Digest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: str


class _Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    digest: _Digest


class _Statement(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"type_": "_type", "predicate_type": "predicateType"},
):
    type_: str
    subject: list[_Subject]
    predicate_type: str
    predicate: Transition


def make(
    policy: Policy,
    *,
    from_status: str,
    to_status: str,
    evidence: object,
    actor: str,
    approver: str | None,
    at: datetime,
    revision: int,
) -> bytes:
    """Return the statement of a transition as RFC 8785 bytes: what is signed.

    Args:
        policy: What changes status.
        from_status: Its status so far.
        to_status: Its status from now on.
        evidence: Why, as a mapping or record. NaN and infinities become null, integers beyond ±(2⁵³ − 1) text.
        actor: Who or what did it.
        approver: The person that approved it, when one had to.
        at: When; aware.
        revision: Of the policy's status, counted from 0.

    Raises:
        InvalidValue: The evidence is no mapping or cannot be written as JSON, the time is naive, or the policy has no
            canonical form.
    """
    if at.tzinfo is None:
        raise InvalidValue("at", at.isoformat(), "give a time with its zone")
    tenant, agent, task_type = policy.slot
    transition = Transition(
        policy=Slot(tenant=tenant, agent=agent, task_type=task_type),
        from_status=from_status,
        to_status=to_status,
        parent=policy.parent,
        evidence=_evidence(evidence),
        actor=actor,
        approver=approver,
        at=_written(at),
        revision=revision,
    )
    subject = _Subject("/".join(("policy", *policy.slot)), _Digest(policy.digest.removeprefix("sha256:")))
    return _canonical(_Statement(STATEMENT_TYPE, [subject], PREDICATE_TYPE, transition))


def seal_transition(
    policy: Policy,
    signer: Signer,
    *,
    from_status: str,
    to_status: str,
    evidence: object,
    actor: str,
    approver: str | None,
    at: datetime,
    revision: int,
) -> str:
    """Return the DSSE envelope of a transition; arguments and errors as of `make`."""
    statement = make(
        policy,
        from_status=from_status,
        to_status=to_status,
        evidence=evidence,
        actor=actor,
        approver=approver,
        at=at,
        revision=revision,
    )
    return seal(statement, PAYLOAD_TYPE, signer)


def verify_transition(
    envelope: str, content: bytes | str, ring: KeyRing, *, to_status: str | None, now: datetime
) -> Statement:
    """Check that a policy is, to the byte, what a trusted key signed, and return what it signed.

    Args:
        envelope: What `seal_transition` returned.
        content: The policy's canonical bytes, as they were stored or sent.
        ring: The keys that are trusted.
        to_status: The status that has to have been signed; None takes any.
        now: The current time.

    Raises:
        SignatureInvalid: No trusted key signed this transition of this policy; names what is wrong.
    """
    found = opened(envelope, PAYLOAD_TYPE, ring, signed_at=_signed_at, now=now, what="the signature of the policy")
    statement = _parsed(found.payload)
    policy = _policy(content, statement)
    slot = statement.predicate.policy
    if statement.predicate.parent != policy.parent:
        raise SignatureInvalid(_WHAT, "its parent is not the one that was signed", "have this very policy signed")
    if (slot.tenant, slot.agent, slot.task_type) != policy.slot:
        reason = f"it was signed for {slot.tenant}/{slot.agent}/{slot.task_type}, it is for {'/'.join(policy.slot)}"
        raise SignatureInvalid(_WHAT, reason, "have this very policy signed")
    if to_status is not None and statement.predicate.to_status != to_status:
        reason = f"it was signed as {statement.predicate.to_status!r}, where {to_status!r} is wanted"
        raise SignatureInvalid(_WHAT, reason, "promote it through its gates; a signature counts for one status only")
    digest = f"sha256:{statement.subject[0].digest.sha256}"
    return Statement(digest=digest, transition=statement.predicate, at=found.at, signed_by=found.key)


def _policy(content: bytes | str, statement: _Statement) -> Policy:
    """Return the policy that a statement is about."""
    try:
        raw = content.encode() if isinstance(content, str) else content
    except UnicodeError as error:
        raise SignatureInvalid("the policy", "it is not UTF-8", _AGAIN) from error
    signed = statement.subject[0].digest.sha256
    if digest_of(raw) != f"sha256:{signed}":
        reason = f"its digest is {digest_of(raw)[:19]}…, what was signed is sha256:{signed[:12]}…: it was changed"
        raise SignatureInvalid("the policy", reason, _AGAIN)
    if not is_canonical(raw):
        raise SignatureInvalid("the policy", "it is not in canonical form (RFC 8785)", "have its canonical form signed")
    try:
        return read(raw)
    except InvalidValue as error:
        raise SignatureInvalid("the policy", str(error), "install the release that signed it") from error


def _signed_at(payload: bytes) -> datetime:
    """Return the time that a statement gives, which is written the one way it can be."""
    text = _parsed(payload).predicate.at
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise SignatureInvalid(_WHAT, f"its time {text[:40]!r} is none", _AGAIN) from error
    if found.tzinfo is None or _written(found) != text:
        raise SignatureInvalid(_WHAT, f"its time {text[:40]!r} is not RFC 3339 in UTC with microseconds", _AGAIN)
    return found


def _parsed(payload: bytes) -> _Statement:
    try:
        found = msgspec.json.decode(payload, type=_Statement)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise SignatureInvalid(_WHAT, f"what was signed is not a policy transition ({error})", _AGAIN) from error
    if found.type_ != STATEMENT_TYPE or found.predicate_type != PREDICATE_TYPE or len(found.subject) != 1:
        reason = f"what was signed is {found.predicate_type[:80]!r} of {len(found.subject)} subjects"
        raise SignatureInvalid(_WHAT, reason, f"hand over {PREDICATE_TYPE!r} of one policy")
    return found


def _evidence(evidence: object) -> dict[str, object]:
    try:
        plain = _exact(msgspec.to_builtins(evidence, str_keys=True, enc_hook=_from_numpy))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidValue("evidence", type(evidence).__name__, f"it cannot be written as JSON: {error}") from error
    if not isinstance(plain, dict):
        raise InvalidValue("evidence", evidence, "give a mapping of name to value")
    return plain


def _exact(value: object) -> object:
    """Return a JSON value of which nothing is lost in its canonical form."""
    if isinstance(value, Mapping):
        return {_text(name): _exact(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and abs(value) > SAFE_INTEGER:
        return str(value)
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    """Return text without lone surrogates, which UTF-8 cannot hold."""
    return value.encode("utf-8", "replace").decode()


def _from_numpy(value: object) -> object:
    """Return the Python value of a NumPy scalar or array."""
    listed = getattr(value, "tolist", None)
    if listed is None:
        raise TypeError(f"{type(value).__name__} is no JSON value")
    return listed()


def _canonical(statement: _Statement) -> bytes:
    import rfc8785

    try:
        return rfc8785.dumps(msgspec.to_builtins(statement))
    except (ValueError, RecursionError) as error:
        raise InvalidValue("statement", statement.subject[0].name, f"it has no canonical form: {error}") from error


def is_canonical(raw: bytes) -> bool:
    """Tell whether JSON is written the one way of RFC 8785, where every number is a double."""
    import rfc8785

    try:
        return bool(rfc8785.dumps(json.loads(raw, parse_int=_number)) == raw)
    except (ValueError, RecursionError):
        return False


def _number(digits: str) -> float:
    number = float(digits)
    return int(number) if abs(number) <= SAFE_INTEGER else number


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
