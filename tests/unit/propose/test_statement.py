"""Signed transitions: what a signature covers, and that it counts for one policy, one status and one slot only."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import numpy as np
import pytest
import rfc8785
from hypothesis import given, strategies as st

from burnish.errors import InvalidValue, SignatureInvalid
from burnish.govern.keyring import Key, KeyRing, trusting
from burnish.govern.signing import Signer, seal
from burnish.propose.policy import Policy
from burnish.propose.statement import (
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    Statement,
    make,
    seal_transition,
    verify_transition,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, 250, tzinfo=UTC)
SIGNER = Signer.generate("alice")
RING = trusting(SIGNER.public, "alice")
POLICY = Policy(
    tenant="acme",
    agent="coder",
    task_type="review",
    prompts={"system": "Be brief.\n"},
    author="learner:prompts",
    created="2026-03-01T00:00:00Z",
    parent="sha256:" + "0" * 64,
)


def sealed(policy: Policy = POLICY, *, evidence: object = None, signer: Signer = SIGNER, at: datetime = NOW) -> str:
    return seal_transition(
        policy,
        signer,
        from_status="canary",
        to_status="active",
        evidence={"e_value": 20.5, "runs": 300} if evidence is None else evidence,
        actor="learner:gate",
        approver="person:bo",
        at=at,
        revision=4,
    )


def verify(
    envelope: str, content: bytes | str = POLICY.canonical, ring: KeyRing = RING, status: str | None = "active"
) -> Statement:
    return verify_transition(envelope, content, ring, to_status=status, now=NOW)


def payload_of(envelope: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    return found


def resealed(change: Mapping[str, object], predicate: Mapping[str, object] | None = None) -> str:
    """A statement that was changed before a trusted key signed it."""
    whole = payload_of(sealed())
    whole["predicate"] = {**whole["predicate"], **(predicate or {})}  # type: ignore[dict-item]  # JSON of ours
    return seal(json.dumps({**whole, **change}).encode(), PAYLOAD_TYPE, SIGNER)


def test_a_statement_says_who_did_what_when_on_which_evidence() -> None:
    found = verify(sealed())
    assert (found.digest, found.at, found.signed_by.name) == (POLICY.digest, NOW, "alice")
    assert payload_of(sealed()) == {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "policy/acme/coder/review", "digest": {"sha256": POLICY.digest[7:]}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "policy": {"tenant": "acme", "agent": "coder", "task_type": "review"},
            "from": "canary",
            "to": "active",
            "parent": POLICY.parent,
            "evidence": {"e_value": 20.5, "runs": 300},
            "actor": "learner:gate",
            "approver": "person:bo",
            "at": "2026-03-01T12:00:00.000250Z",
            "revision": 4,
        },
    }
    assert msgspec.to_builtins(found.transition) == payload_of(sealed())["predicate"]


def test_the_same_transition_is_the_same_bytes_in_every_zone() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-7)))
    assert sealed(at=elsewhere) == sealed()
    raw = base64.b64decode(json.loads(sealed())["payload"])
    assert rfc8785.dumps(json.loads(raw)) == raw


def test_no_single_bit_of_a_signed_payload_can_change() -> None:
    whole = json.loads(sealed())
    original = base64.b64decode(whole["payload"])
    for position in range(len(original) * 8):
        changed = bytearray(original)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(SignatureInvalid, match="the signature of the policy cannot be trusted: key alice"):
            verify(json.dumps({**whole, "payload": base64.b64encode(changed).decode()}))


def test_no_single_bit_of_a_signed_policy_can_change() -> None:
    envelope = sealed()
    for position in range(len(POLICY.canonical) * 8):
        changed = bytearray(POLICY.canonical)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(SignatureInvalid, match="the policy cannot be trusted: its digest is"):
            verify(envelope, bytes(changed))


def test_no_single_bit_of_an_envelope_can_change() -> None:
    original = sealed().encode()
    for position in range(0, len(original) * 8, 3):
        changed = bytearray(original)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(SignatureInvalid, match="the signature of the policy cannot be trusted: "):
            verify(changed.decode("utf-8", "surrogateescape"))


@given(content=st.one_of(st.binary(max_size=80), st.text(max_size=80)))
def test_any_other_content_is_refused(content: bytes | str) -> None:
    with pytest.raises(SignatureInvalid, match="the policy cannot be trusted"):
        verify(sealed(), content)


def test_a_signature_counts_for_one_status_only() -> None:
    with pytest.raises(SignatureInvalid, match="it was signed as 'active', where 'canary' is wanted"):
        verify(sealed(), status="canary")
    assert verify(sealed(), status=None).transition.to_status == "active"


@pytest.mark.parametrize(
    ("slot", "shown"),
    [
        ({"tenant": "other", "agent": "coder", "task_type": "review"}, "other/coder/review"),
        ({"tenant": "acme", "agent": "coder", "task_type": ""}, "acme/coder/"),
    ],
)
def test_a_signature_counts_for_one_slot_only(slot: dict[str, str], shown: str) -> None:
    with pytest.raises(SignatureInvalid, match=f"it was signed for {shown}, it is for acme/coder/review"):
        verify(resealed({}, {"policy": slot}))


def test_a_signature_counts_for_one_lineage_only() -> None:
    with pytest.raises(SignatureInvalid, match="its parent is not the one that was signed"):
        verify(resealed({}, {"parent": None}))


@pytest.mark.parametrize(
    "change",
    [
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"predicateType": "https://slsa.dev/provenance/v1"},
        {"subject": []},
        {"subject": [{"name": "a", "digest": {"sha256": "x"}}] * 2},
        {"subject": [{"name": "a", "digest": {"sha512": "x"}}]},
        {"predicate": {}},
        {"surprise": 1},
        {"subject": [{"name": "a", "digest": {"sha256": "\u0000" * 64}}]},
    ],
)
def test_another_statement_by_a_trusted_key_is_no_policy_transition(change: dict[str, object]) -> None:
    with pytest.raises(SignatureInvalid):
        verify(resealed(change))


@pytest.mark.parametrize("payload", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"_type":' * 100_000])
def test_a_trusted_key_may_have_signed_anything(payload: bytes) -> None:
    with pytest.raises(SignatureInvalid, match="what was signed is not a policy transition"):
        verify(seal(payload, PAYLOAD_TYPE, SIGNER))


@pytest.mark.parametrize(
    "at",
    [
        "",
        "yesterday",
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00.000000",
        "2026-03-01T12:00:00.000000+00:00",
        "9" * 99,
    ],
)
def test_a_time_of_signing_is_written_the_one_way_it_can_be(at: str) -> None:
    with pytest.raises(SignatureInvalid, match="its time"):
        verify(resealed({}, {"at": at}))


def test_the_time_that_counts_is_that_of_signing() -> None:
    key = RING.keys[0]

    def ring(**changes: object) -> KeyRing:
        return KeyRing((msgspec.structs.replace(key, **changes),))

    hour = timedelta(hours=1)
    assert verify(sealed(at=NOW - 2 * hour), ring=ring(valid_until=NOW - hour)).at == NOW - 2 * hour
    with pytest.raises(SignatureInvalid, match="expired at"):
        verify(sealed(), ring=ring(valid_until=NOW - hour))
    with pytest.raises(SignatureInvalid, match="was revoked at"):
        verify(sealed(), ring=ring(revoked_at=NOW - hour, revocation_reason="unused"))
    with pytest.raises(SignatureInvalid, match="revoked as compromised"):
        verify(sealed(at=NOW - 2 * hour), ring=ring(revoked_at=NOW - hour, revocation_reason="compromised"))
    with pytest.raises(SignatureInvalid, match="in the future"):
        verify(sealed(at=NOW + hour))


def test_a_signature_by_another_key_is_refused_whatever_it_calls_itself() -> None:
    mallory = Signer.generate("alice")
    with pytest.raises(SignatureInvalid, match="is not known here"):
        verify(sealed(signer=mallory))
    with pytest.raises(SignatureInvalid, match="did not sign this"):
        verify(sealed(signer=mallory).replace(mallory.key_id, SIGNER.key_id))
    disguised = Key(key_id=SIGNER.key_id, name="alice", public=SIGNER.public, valid_from=NOW)
    with pytest.raises(SignatureInvalid):
        verify(sealed(signer=mallory), ring=KeyRing((disguised,)))


def test_a_policy_that_is_signed_but_not_in_canonical_form_is_refused() -> None:
    loose = json.dumps(json.loads(POLICY.canonical)).encode()
    whole = make(
        POLICY, from_status="draft", to_status="active", evidence={}, actor="a", approver=None, at=NOW, revision=0
    )
    swapped = whole.replace(POLICY.digest[7:].encode(), hashlib.sha256(loose).hexdigest().encode())
    with pytest.raises(SignatureInvalid, match="it is not in canonical form"):
        verify(seal(swapped, PAYLOAD_TYPE, SIGNER), loose)
    no_policy = b'{"agent":"coder"}'
    swapped = whole.replace(POLICY.digest[7:].encode(), hashlib.sha256(no_policy).hexdigest().encode())
    with pytest.raises(SignatureInvalid, match=r"it is not a policy: .*; install the release that signed it"):
        verify(seal(swapped, PAYLOAD_TYPE, SIGNER), no_policy)


def test_evidence_keeps_what_json_can_hold_exactly() -> None:
    evidence = {
        "nan": math.nan,
        "worst": [-math.inf, {"deep": math.inf}],
        "count": 2**53,
        "safe": -(2**53) + 1,
        "huge": 1e300,
        "wide": 1e20,
        "numpy": np.float64(0.5),
        "array": np.array([1.5, np.nan]),
        "of": np.int64(2**62),
        "flag": np.bool_(True),
        "at": NOW,
        7: "seven",
        "odd": "a\ud800b",
        "none": None,
    }
    assert verify(sealed(evidence=evidence)).transition.evidence == {
        "nan": None,
        "worst": [None, {"deep": None}],
        "count": "9007199254740992",
        "safe": -9007199254740991,
        "huge": 1e300,
        "wide": 10**20,
        "numpy": 0.5,
        "array": [1.5, None],
        "of": "4611686018427387904",
        "flag": True,
        "at": "2026-03-01T12:00:00.000250Z",
        "7": "seven",
        "odd": "a?b",
        "none": None,
    }


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(evidence=st.dictionaries(st.text(max_size=5), ANYTHING, max_size=4))
def test_any_evidence_can_be_signed_and_verified(evidence: dict[str, object]) -> None:
    assert verify(sealed(evidence=evidence)).transition.actor == "learner:gate"


def nested(levels: int) -> dict[str, object]:
    found: dict[str, object] = {}
    for _ in range(levels):
        found = {"in": found}
    return found


@pytest.mark.parametrize("evidence", [[1], "text", 3, {"o": object()}, nested(100_000)])
def test_evidence_that_is_no_mapping_of_json_is_refused(evidence: object) -> None:
    with pytest.raises(InvalidValue, match="evidence="):
        sealed(evidence=evidence)


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(InvalidValue, match="give a time with its zone"):
        sealed(at=NOW.replace(tzinfo=None))
