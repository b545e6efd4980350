"""Checkpoints as signed notes: the shape others read, and no byte that can be changed."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, strategies as st

from burnish.errors import BurnishError, InvalidValue
from burnish.govern import checkpoint, note
from burnish.govern.note import Checkpoint, Unreadable
from burnish.govern.public_keys import PublicKeys

NOW = datetime(2026, 11, 24, 11, 5, 54, 120000, tzinfo=UTC)
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()
TRUSTED = PublicKeys([PUBLIC])
ORIGIN = "burnish/019ab5a0-0000-7000-8000-000000000001"


class Signer:
    """An Ed25519 key with a name."""

    def __init__(self, name: str = "acme-prod", private: Ed25519PrivateKey = PRIVATE) -> None:
        self.name = name
        self.public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
        self.key_id = "sha256:" + sha256(private.public_key().public_bytes_raw()).hexdigest()
        self.sign = private.sign


def a_checkpoint(size: int = 60, previous: Checkpoint | None = None, name: str = "acme-prod") -> Checkpoint:
    root = sha256(str(size).encode()).digest()
    return note.signed(Signer(name), origin=ORIGIN, size=size, root=root, at=NOW, previous=previous)


FIRST = a_checkpoint(60)
SECOND = a_checkpoint(75, FIRST)


def test_a_checkpoint_is_a_signed_note_as_others_read_it() -> None:
    text, _, signature = SECOND.note.partition("\n\n")
    assert (text + "\n").split("\n") == [
        ORIGIN,
        "75",
        base64.b64encode(sha256(b"75").digest()).decode(),
        "time 2026-11-24T11:05:54.120000Z",
        "key " + base64.b64encode(PUBLIC).decode(),
        "previous " + base64.b64encode(sha256(FIRST.note.encode()).digest()).decode(),
        "",
    ]
    dash, name, encoded = signature.rstrip("\n").split(" ")
    raw = base64.b64decode(encoded)
    assert (dash, name) == ("—", "acme-prod")
    assert raw[:4] == sha256(b"acme-prod\n\x01" + PUBLIC).digest()[:4]
    PRIVATE.public_key().verify(raw[4:], (text + "\n").encode())


def test_the_key_hash_is_that_of_the_published_sum_database_key() -> None:
    """sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8 is a verifier key in the same format."""
    public = base64.b64decode("Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")
    assert note.key_hash("sum.golang.org", public[1:]).hex() == "033de0ae"


def test_a_checkpoint_reads_back_and_its_signature_counts() -> None:
    found = note.read(SECOND.note)
    assert found == SECOND
    assert (found.size, found.at, found.key_id) == (75, NOW, Signer().key_id)
    found.check(TRUSTED, NOW)


@given(st.integers(0, len(SECOND.note) - 1), st.integers(0, 7))
def test_no_bit_of_a_note_can_be_changed(position: int, bit: int) -> None:
    raw = bytearray(SECOND.note.encode())
    raw[position] ^= 1 << bit
    try:
        found = note.read(raw.decode(errors="replace"))
        found.check(TRUSTED, NOW)
    except BurnishError:
        return
    raise AssertionError(found.note)


def test_a_signature_by_a_key_that_is_not_trusted_does_not_count() -> None:
    other = PublicKeys([Ed25519PrivateKey.generate().public_key().public_bytes_raw()])
    with pytest.raises(InvalidValue, match="none of those that are trusted"):
        SECOND.check(other, NOW)


def test_a_name_that_a_signature_line_cannot_hold_is_made_to_fit() -> None:
    assert note.read(a_checkpoint(name="Ops  team+1").note).note.split("\n")[-2].startswith("— Ops_team_1 ")


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "x", SECOND.note * 2, SECOND.note[:-1], "\n" + SECOND.note, SECOND.note.replace("\n75\n", "\n075\n")],
)
def test_what_is_no_note_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="checkpoint"):
        note.read(text)


def test_a_checkpoint_is_due_after_enough_events_or_enough_time_with_any() -> None:
    soon, late = NOW + timedelta(seconds=59), NOW + timedelta(seconds=60)
    assert not checkpoint.due(0, NOW, None)
    assert checkpoint.due(1, NOW, None)
    assert not checkpoint.due(60, late, FIRST)
    assert not checkpoint.due(61, soon, FIRST)
    assert checkpoint.due(61, late, FIRST)
    assert checkpoint.due(61, NOW - timedelta(minutes=2), FIRST)
    assert checkpoint.due(160, NOW, FIRST)
    assert not checkpoint.due(159, NOW, FIRST)


def test_a_file_of_checkpoints_reads_back_in_order(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints.txt"
    file.write_text(FIRST.note + SECOND.note, encoding="utf-8")
    found = checkpoint.read_checkpoints(file)
    assert [one.note for one in found if isinstance(one, Checkpoint)] == [FIRST.note, SECOND.note]
    assert [one.where for one in found] == ["lines 1 to 7 of checkpoints.txt", "lines 8 to 15 of checkpoints.txt"]


@pytest.mark.parametrize("length", range(1, len(FIRST.note.encode())))
def test_a_torn_checkpoint_costs_neither_neighbour(tmp_path: Path, length: int) -> None:
    file = tmp_path / "checkpoints.txt"
    torn = FIRST.note.encode()[:length]
    file.write_bytes(FIRST.note.encode() + torn + (b"" if torn.endswith(b"\n") else b"\n") + SECOND.note.encode())
    found = checkpoint.read_checkpoints(file)
    whole = [one.note for one in found if isinstance(one, Checkpoint)]
    if length == len(FIRST.note.encode()) - 1:  # only its last newline was torn off, and is put back
        assert whole == [FIRST.note, FIRST.note, SECOND.note]
    else:
        assert whole == [FIRST.note, SECOND.note]
        assert [one for one in found if isinstance(one, Unreadable)]


@given(st.binary(max_size=300), st.integers(0, 2))
def test_rubbish_between_checkpoints_is_named_and_hides_no_other(
    tmp_path_factory: pytest.TempPathFactory, rubbish: bytes, place: int
) -> None:
    file = tmp_path_factory.mktemp("notes") / "checkpoints.txt"
    parts = [FIRST.note.encode(), SECOND.note.encode()]
    parts.insert(place, rubbish.replace(b"burnish/", b"") + b"\n")
    file.write_bytes(b"".join(parts))
    found = checkpoint.read_checkpoints(file)
    assert [one.note for one in found if isinstance(one, Checkpoint)] == [FIRST.note, SECOND.note]
    assert rubbish.strip(b"\n") == b"" or any(isinstance(one, Unreadable) for one in found)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"none\.txt"):
        checkpoint.read_checkpoints(tmp_path / "none.txt")


def test_public_keys_are_read_from_pem_or_base64_and_nothing_else(tmp_path: Path) -> None:
    pem, plain, other, junk = (tmp_path / name for name in ("a.pem", "a.txt", "other.pem", "junk"))
    kinds = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    pem.write_bytes(PRIVATE.public_key().public_bytes(*kinds))
    plain.write_text(Signer().public + "\n")
    other.write_bytes(generate_private_key(SECP256R1()).public_key().public_bytes(*kinds))
    junk.write_text("AAAA")
    for file in (pem, plain):
        FIRST.check(PublicKeys.from_files([file]), NOW)
    for file in (other, junk, tmp_path / "none"):
        with pytest.raises(InvalidValue, match=file.name):
            PublicKeys.from_files([file])
