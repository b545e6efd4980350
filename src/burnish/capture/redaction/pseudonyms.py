"""Name a value so that the same value always has the same name, and the name gives nothing away.

A name is an HMAC-SHA-256 of kind and value under a secret of the store and the tenant. Without the secret nobody can
find a value by hashing guesses. The secret is a file of its own, readable by its owner alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from burnish.errors import RedactionFailed

KEY_BYTES = 32
_LETTERS = bytes.maketrans(b"0123456789abcdef", b"bcdfghjklmnpqrst")
"""Marks are consonants: no digits that a rule might read as a number, no words."""
_LENGTH = 10  # 40 bits: two of a million values share a mark with a chance of .37


def read_key(path: Path) -> bytes:
    """Return the secret in a file, made when there is none; many processes may ask at once.

    Raises:
        OSError: The file cannot be read or made.
        RedactionFailed: It holds less than 32 bytes.
    """
    if not path.exists():
        _make(path)
    key = path.read_bytes()
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    if len(key) < KEY_BYTES:
        raise RedactionFailed(f"{path} holds {len(key)} bytes, not {KEY_BYTES}; restore it, or remove it for a new one")
    return key


def _make(path: Path) -> None:
    """Write a new secret beside the path and link it there, so that it is never seen half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first: its secret counts
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


class Pseudonyms:
    """Names under one secret."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._tenants: dict[str, bytes] = {}

    def mark(self, tenant: str, kind: str, value: bytes) -> bytes:
        """Return the marker that stands for a value, such as `<email:kdfmrtbnqs>`."""
        key = self._tenants.get(tenant)
        if key is None:
            key = self._tenants[tenant] = hmac.digest(
                self._key, tenant.encode("utf-8", "surrogatepass"), hashlib.sha256
            )
        digest = hmac.digest(key, kind.encode() + b"\0" + _plain(kind, value), hashlib.sha256)
        return b"<%s:%s>" % (kind.encode(), digest.hex()[:_LENGTH].encode().translate(_LETTERS))


def _plain(kind: str, value: bytes) -> bytes:
    """Return a value without what differs only in how it is written: case, spaces, separators."""
    if kind in {"card", "ssn", "phone"}:
        return bytes(byte for byte in value if 48 <= byte <= 57)
    if kind == "iban":
        return value.upper().replace(b" ", b"").replace(b"-", b"")
    return value.lower() if kind in {"email", "ip"} else value
