"""Policy files: what is written is what is read, and every file ever signed stays valid."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from burnish.errors import SignatureInvalid
from burnish.govern.keyring import trusting
from burnish.propose.policy import Policy, read
from burnish.propose.portable import bundle, open_bundle
from burnish.propose.statement import Statement, verify_transition

CORPUS = Path(__file__).parents[2] / "data" / "signed_policies"
RING = trusting((CORPUS / "key.pem").read_text(encoding="utf-8"), "rfc8032")
"""The first test key of RFC 8032 §7.1: its private half is public, trust it with nothing else."""
NOW = datetime(2026, 6, 1, tzinfo=UTC)
POLICY = Policy(tenant="t", agent="a", author="person:x", created="2026-01-01T00:00:00Z", note="ä\n")


def verify(text: bytes | str) -> Statement:
    content, envelope = open_bundle(text)
    return verify_transition(envelope, content, RING, to_status=None, now=NOW)


@pytest.mark.parametrize(
    ("name", "digest", "to_status", "evidence"),
    [
        ("first", "sha256:e90859422c6210d8d0c952f338451e529d08d89609d08efb63e767f21b6b3a20", "active", []),
        (
            "full",
            "sha256:8da52f176e19178ad54089c923fb71fc1719149f5939b24252e9c440f40e89e3",
            "active",
            ["data_digest", "e_value", "interval", "loss_delta", "runs"],
        ),
        (
            "odd",
            "sha256:1f536df91eabdd82fb3efd0e8aa449838c72694ae82cb3718266a5f781f4217e",
            "shadow",
            ["big", "nan", "ü"],
        ),
    ],
)
def test_a_policy_that_was_signed_once_is_valid_for_ever(
    name: str, digest: str, to_status: str, evidence: list[str]
) -> None:
    raw = (CORPUS / f"{name}.json").read_bytes()
    found = verify(raw)
    assert (found.digest, found.transition.to_status, sorted(found.transition.evidence)) == (
        digest,
        to_status,
        evidence,
    )
    assert found.at == datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    assert read(open_bundle(raw)[0]).slot == tuple(
        json.loads(open_bundle(raw)[0])[k] for k in ("tenant", "agent", "task_type")
    )


@given(data=st.data(), name=st.sampled_from(["first", "full", "odd"]))
def test_no_byte_of_a_signed_file_can_change_what_is_trusted(data: st.DataObject, name: str) -> None:
    original = (CORPUS / f"{name}.json").read_bytes()
    position = data.draw(st.integers(0, len(original) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != original[position]))
    changed = original[:position] + bytes([byte]) + original[position + 1 :]
    try:
        verify(changed)
    except SignatureInvalid:
        return
    assert open_bundle(changed) == open_bundle(original), "only white space between the parts may differ"


@given(name=st.sampled_from(["first", "full", "odd"]), share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_was_cut_off_is_refused(name: str, share: float) -> None:
    original = (CORPUS / f"{name}.json").read_bytes().rstrip()
    with pytest.raises(SignatureInvalid, match="the policy file cannot be trusted: it is not an exported policy"):
        open_bundle(original[: int(len(original) * share)])


def test_a_policy_of_one_file_does_not_pass_with_the_signature_of_another() -> None:
    first, _ = open_bundle((CORPUS / "first.json").read_bytes())
    _, full = open_bundle((CORPUS / "full.json").read_bytes())
    with pytest.raises(SignatureInvalid, match="its digest is"):
        verify(bundle(first, full))


def test_a_file_holds_the_policy_as_it_was_stored() -> None:
    assert open_bundle(bundle(POLICY, "envelope")) == (POLICY.canonical.decode(), "envelope")
    assert bundle(POLICY.canonical.decode(), "envelope") == bundle(POLICY, "envelope")
    assert bundle(POLICY, "envelope").endswith("}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "it is not an exported policy"),
        (b"\xff", "it is not an exported policy"),
        (b"[" * 100_000, "it is not an exported policy"),
        ("\ud800", "it is not an exported policy"),
        ('{"format":"burnish-policy/2","content":"","envelope":""}', "its format is 'burnish-policy/2'"),
        ('{"format":"burnish-policy/1","content":"","envelope":"","key":""}', "unknown field `key`"),
    ],
)
def test_another_file_is_refused(text: bytes | str, said: str) -> None:
    with pytest.raises(SignatureInvalid, match=said):
        open_bundle(text)
