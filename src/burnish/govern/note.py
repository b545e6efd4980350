"""Signed checkpoints of the audit log as text: C2SP tlog-checkpoint in a C2SP signed note.

    burnish/019ab5a0-…            the log, by the id of its first event
    60                            how many events
    base64                        root of their tree
    time 2026-11-24T11:05:54.123456Z
    key base64                    the public key that signs
    previous base64               SHA-256 of the note before it in the same file; absent in the first

    — name base64                 4 bytes of key hash and the Ed25519 signature of all lines above the empty one

The lines after the root are extension lines of tlog-checkpoint, so any reader of such notes reads these. As a reader
this is stricter: one signature, and only the one way of writing, so that no byte can be changed and still pass.
"""

from __future__ import annotations

import base64
from datetime import datetime
from hashlib import sha256
from typing import Protocol

import msgspec

from burnish.errors import InvalidValue
from burnish.govern.entry import shown_time

ORIGIN = "burnish/"
SIGNATURE = "— "
_ED25519 = b"\x01"


class NoteSigner(Protocol):
    """A private key and whose it is."""

    @property
    def name(self) -> str:
        """Return whose it is."""
        ...

    @property
    def public(self) -> str:
        """Return the base64 of the 32 bytes of its public key."""
        ...

    def sign(self, message: bytes, /) -> bytes:
        """Return the 64 bytes of an Ed25519 signature."""
        ...


class NoteVerifier(Protocol):
    """Knows whose signatures count, and when."""

    def verify(self, key_id: str, message: bytes, signature: bytes, *, at: datetime, now: datetime) -> None:
        """Check a signature made at `at`; raises a `BurnishError` that says why it does not count."""
        ...


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What a key says of the log at one time."""

    origin: str
    size: int
    root: bytes
    at: datetime
    public: str
    previous: str | None
    signature: bytes
    note: str
    where: str = ""
    """Where it was found, for people, such as `lines 7 to 13 of checkpoints.txt`."""

    @property
    def key_id(self) -> str:
        """Return the id of the key that is said to have signed it: `sha256:` and 64 hexadecimal digits."""
        return "sha256:" + sha256(base64.b64decode(self.public)).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Return the base64 SHA-256 of the note, which the next one in its file repeats."""
        return _b64(sha256(self.note.encode()).digest())

    @property
    def shown(self) -> str:
        """Return what people call it."""
        return f"the checkpoint of size {self.size:,}" + (f" ({self.where})" if self.where else "")

    def check(self, verifier: NoteVerifier, now: datetime) -> None:
        """Check the signature.

        Raises:
            BurnishError: It does not count; says why.
        """
        verifier.verify(self.key_id, _signed_text(self.note).encode(), self.signature, at=self.at, now=now)


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """Lines among checkpoints that are none."""

    where: str
    why: str


def signed(
    signer: NoteSigner, *, origin: str, size: int, root: bytes, at: datetime, previous: Checkpoint | None
) -> Checkpoint:
    """Return a checkpoint, signed."""
    lines = [origin, str(size), _b64(root), f"time {shown_time(at)}", f"key {signer.public}"]
    if previous is not None:
        lines.append(f"previous {previous.fingerprint}")
    text = "\n".join(lines) + "\n"
    name = "_".join(signer.name.replace("+", " ").split()) or "burnish"
    signature = key_hash(name, base64.b64decode(signer.public)) + signer.sign(text.encode())
    return read(f"{text}\n{SIGNATURE}{name} {_b64(signature)}\n")


def read(note: str, where: str = "") -> Checkpoint:
    """Return the checkpoint that a note holds. Its signature is not checked.

    Raises:
        InvalidValue: It is none, or is not written as Burnish writes it.
    """
    try:
        found = _parsed(note, where)
    except (ValueError, LookupError) as error:
        raise InvalidValue("checkpoint", note, f"it is damaged ({error})") from error
    return found


def key_hash(name: str, public: bytes) -> bytes:
    """Return the 4 bytes by which a signature line names its key (C2SP signed-note, Ed25519)."""
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def _parsed(note: str, where: str) -> Checkpoint:
    text = _signed_text(note)
    last = note[len(text) + 1 :]
    lines = text.split("\n")[:-1]
    fields = dict(line.split(" ", 1) for line in lines[3:])
    mark, name, encoded = last.removesuffix("\n").split(" ")
    signature = _bytes(encoded, 68)
    found = Checkpoint(
        origin=lines[0],
        size=int(lines[1]),
        root=_bytes(lines[2], 32),
        at=datetime.fromisoformat(fields["time"]),
        public=fields["key"],
        previous=fields.get("previous"),
        signature=signature[4:],
        note=note,
        where=where,
    )
    if signature[:4] != key_hash(name, _bytes(found.public, 32)):
        raise ValueError("the key of its signature is another one")
    if note != _written(found, mark, name, encoded) or found.size < 1:
        raise ValueError("it is not written as Burnish writes it")
    return found


def _written(found: Checkpoint, mark: str, name: str, encoded: str) -> str:
    if mark + " " != SIGNATURE or not found.origin.startswith(ORIGIN):
        raise ValueError("it is not of a Burnish log")
    lines = [found.origin, str(found.size), _b64(found.root), f"time {shown_time(found.at)}", f"key {found.public}"]
    if found.previous is not None:
        lines.append(f"previous {_b64(_bytes(found.previous, 32))}")
    return "\n".join([*lines, "", f"{mark} {name} {encoded}", ""])


def _signed_text(note: str) -> str:
    """Return what the signature covers: all up to the last empty line."""
    end = note.rfind("\n\n")
    if end < 0:
        raise ValueError("it has no empty line before a signature")
    return note[: end + 1]


def _bytes(text: str, length: int) -> bytes:
    found = base64.b64decode(text, validate=True)
    if len(found) != length or _b64(found) != text:
        raise ValueError(f"{text[:80]!r} is not {length} bytes of base64")
    return found


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()
