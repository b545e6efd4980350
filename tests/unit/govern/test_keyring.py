"""Whose signatures count: unknown, wrong, expired, revoked and compromised keys, each with its own sentence."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from hypothesis import given, strategies as st

from burnish.errors import InvalidValue, SignatureInvalid
from burnish.govern.keyring import Key, KeyRing, Reason, key_id_of, pem_of, raw, read_public, trusting
from burnish.govern.signing import Signer

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SIGNER = Signer.generate("alice")


def key(*, until: datetime | None = None, revoked: datetime | None = None, reason: Reason | None = None) -> Key:
    return Key(
        key_id=SIGNER.key_id,
        name="alice",
        public=SIGNER.public,
        valid_from=START,
        valid_until=until,
        revoked_at=revoked,
        revocation_reason=reason,
    )


def verify(found: Key, at: datetime, now: datetime = START + 100 * HOUR) -> None:
    KeyRing((found,)).verify(SIGNER.key_id, b"message", SIGNER.sign(b"message"), at=at, now=now)


def test_a_signature_by_a_known_key_in_its_time_counts() -> None:
    verify(key(until=START + 2 * HOUR), START)
    verify(key(until=START + 2 * HOUR), START + HOUR)
    verify(key(revoked=START + 2 * HOUR, reason="superseded"), START + HOUR)


@pytest.mark.parametrize(
    ("found", "at", "reason"),
    [
        (key(), START - HOUR, r"valid only from 2026-01-01 00:00:00 UTC, it was signed at 2025-12-31 23:00:00 UTC"),
        (key(until=START + HOUR), START + HOUR, r"expired at 2026-01-01 01:00:00 UTC"),
        (key(revoked=START + HOUR, reason="superseded"), START + HOUR, r"was revoked at .* \(superseded\)"),
        (key(revoked=START + 9 * HOUR, reason="compromised"), START, r"revoked as compromised: none of its signatures"),
        (key(), START + 101 * HOUR, r"it was signed in the future, at 2026-01-05 05:00:00 UTC"),
    ],
)
def test_a_key_out_of_its_time_says_why(found: Key, at: datetime, reason: str) -> None:
    with pytest.raises(SignatureInvalid, match=reason):
        verify(found, at)


def test_clocks_may_differ_by_five_minutes_and_no_more() -> None:
    verify(key(), START + timedelta(minutes=5), now=START)
    with pytest.raises(SignatureInvalid, match="in the future"):
        verify(key(), START + timedelta(minutes=5, microseconds=1), now=START)


def test_an_unknown_key_and_a_changed_message_are_told_apart() -> None:
    ring, signature = KeyRing((key(),)), SIGNER.sign(b"message")
    with pytest.raises(SignatureInvalid, match="is not known here"):
        ring.verify("sha256:" + "0" * 64, b"message", signature, at=START, now=START)
    with pytest.raises(SignatureInvalid, match="did not sign this"):
        ring.verify(SIGNER.key_id, b"massage", signature, at=START, now=START)


def test_only_a_key_whose_signatures_count_now_serves() -> None:
    assert key().serves(START)
    assert not key().serves(START - HOUR)
    assert not key(until=START).serves(START)
    assert not key(revoked=START + HOUR, reason="unused").serves(START)


@given(at=st.integers(-50, 150), revoked=st.integers(0, 99), until=st.integers(1, 99))
def test_revoking_or_expiring_never_makes_a_signature_count(at: int, revoked: int, until: int) -> None:
    moment, now = START + at * HOUR, START + 100 * HOUR
    plain = key().refusal(moment, now)
    softer = key(revoked=START + revoked * HOUR, reason="unused").refusal(moment, now)
    ended = key(until=START + until * HOUR).refusal(moment, now)
    harder = key(revoked=START + revoked * HOUR, reason="compromised").refusal(moment, now)
    assert (plain is None) == (0 <= at <= 100)
    assert (softer is None) == (0 <= at < revoked)
    assert (ended is None) == (0 <= at < until)
    assert harder is not None


def test_a_public_key_is_read_as_pem_and_as_base64_and_is_its_own_name() -> None:
    assert read_public(f" {SIGNER.public}\n") == SIGNER.public
    assert read_public(pem_of(SIGNER.public)) == SIGNER.public
    assert key_id_of(raw(SIGNER.public)) == SIGNER.key_id
    assert trusting(pem_of(SIGNER.public), "alice").find(SIGNER.key_id) is not None


def test_a_private_key_is_refused_without_being_shown() -> None:
    pem = SIGNER.to_pem().decode()
    with pytest.raises(InvalidValue, match="it stays where it was made") as caught:
        read_public(pem)
    assert pem.splitlines()[1] not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "alice", "ä", "AAAA", base64.b64encode(bytes(33)).decode(), SIGNER.public[:-1], "-----BEGIN PUBLIC KEY-----"],
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="public key="):
        read_public(text)


def test_a_key_of_another_kind_is_refused() -> None:
    other = generate_private_key(SECP256R1()).public_key()
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    with pytest.raises(InvalidValue, match="give an Ed25519 key"):
        read_public(other.public_bytes(encoding, form).decode())


@pytest.mark.parametrize("y", [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18, 2**255, 2**255 + 1])
def test_keys_under_which_anybody_can_sign_are_refused(y: int) -> None:
    with pytest.raises(InvalidValue, match="small order"):
        read_public(base64.b64encode(y.to_bytes(32, "little")).decode())


def test_a_ring_is_readable_and_keeps_every_field() -> None:
    found = key(until=START + HOUR, revoked=START, reason="compromised")
    assert msgspec.json.decode(msgspec.json.encode(found), type=Key) == found
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(found).replace(b"00Z", b"00"), type=Key)
