"""The folder that holds the key ring and this installation's private keys.

`ring.json` is replaced by rename, so that a reader sees the old ring or the new one. Writers take an flock on
`ring.lock`. Private keys lie in `private/`, one file each, for their owner only; one that the ring does not list is
never used.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from burnish.errors import InvalidValue
from burnish.govern.keyring import ALWAYS, REASONS, Key, KeyRing, Reason, key_id_of, raw, read_public
from burnish.govern.signing import Signer

RING = "ring.json"
FORMAT = "burnish-keyring/1"
MOST_DAYS = 36_500
_OTHERS = stat.S_IWGRP | stat.S_IRWXO


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: str
    keys: list[Key]


def load_ring(folder: Path) -> KeyRing:
    """Return the key ring of a folder; an empty one when there is none.

    Raises:
        InvalidValue: The file is not a key ring, or an id does not belong to its key. Nothing is trusted then.
    """
    file = folder / RING
    try:
        text = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return KeyRing()
    except OSError as error:
        raise InvalidValue("key ring", str(file), f"it cannot be read: {error.strerror}") from error
    try:
        found = msgspec.json.decode(text, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValue("key ring", str(file), f"it is damaged ({error}): restore it from a backup") from error
    if found.format != FORMAT:
        raise InvalidValue("key ring", str(file), f"its format is {found.format!r}, this release reads {FORMAT!r}")
    for key in found.keys:
        if key_id_of(raw(key.public)) != key.key_id:
            raise InvalidValue("key ring", str(file), f"{key.key_id!r} is not the id of its key: restore a backup")
    return KeyRing(tuple(found.keys))


def new_key(folder: Path, name: str, *, now: datetime, valid_days: int | None = None) -> Signer:
    """Make a key pair, keep both halves in the folder, and trust it from now on.

    Raises:
        InvalidValue: The name is empty or too long, the days are out of range, or the folder cannot be written.
    """
    with _locked(folder):
        return _added(folder, _named(name), now, valid_days)


def ensure_signer(folder: Path, name: str, *, now: datetime) -> Signer:
    """Return what signs in this folder; the first of any number of processes to ask makes the key.

    Raises:
        InvalidValue: As of `load_signer` and `new_key`.
    """
    found = load_signer(folder, now=now)
    if found is not None:
        return found
    with _locked(folder):
        return load_signer(folder, now=now) or _added(folder, _named(name), now, None)


def load_signer(folder: Path, *, now: datetime) -> Signer | None:
    """Return the newest private key here whose signatures count now; None when there is none.

    Raises:
        InvalidValue: The private key is damaged, is another one, or may be read or changed by other users.
    """
    own = [key for key in load_ring(folder).keys if key.serves(now) and _private(folder, key.key_id).is_file()]
    if not own:
        return None
    newest = max(own, key=lambda key: (key.valid_from, key.key_id))
    return _opened(_private(folder, newest.key_id), newest)


def import_key(
    folder: Path,
    public: str,
    name: str,
    *,
    valid_from: datetime = ALWAYS,
    valid_until: datetime | None = None,
) -> Key:
    """Trust a public key of somebody else; one that is already here is left as it is, also when it was revoked.

    Args:
        folder: Where the ring is.
        public: PEM, or base64 of the 32 raw bytes.
        name: Whose key it is.
        valid_from: Earlier signatures do not count.
        valid_until: Signatures of this time and later do not count.

    Raises:
        InvalidValue: It is not an Ed25519 public key, or is here under another name.
    """
    text = read_public(public)
    key_id = key_id_of(raw(text))
    if valid_until is not None and valid_until <= valid_from:
        raise InvalidValue("valid_until", valid_until.isoformat(), "give a time after valid_from")
    with _locked(folder):
        ring = load_ring(folder)
        known = ring.find(key_id)
        if known is not None and known.name != name:
            raise InvalidValue("name", name, f"this key is here already, as {known.name!r}")
        if known is not None:
            return known
        key = Key(key_id=key_id, name=_named(name), public=text, valid_from=valid_from, valid_until=valid_until)
        _write(folder, KeyRing((*ring.keys, key)))
    return key


def revoke(folder: Path, key_id: str, reason: Reason, *, now: datetime) -> Key:
    """Take back the trust in a key, from now on, or wholly when it is compromised. There is no way back.

    Revoking again can only make it worse: the earlier time stands, and `compromised` replaces another reason.

    Raises:
        InvalidValue: There is no such key, or no such reason.
    """
    if reason not in REASONS:
        raise InvalidValue("reason", reason, f"give one of {', '.join(REASONS)}")
    with _locked(folder):
        key = _known(folder, key_id)
        worst: Reason = reason if key.revocation_reason is None or reason == "compromised" else key.revocation_reason
        return _replaced(folder, key, revoked_at=key.revoked_at or now, revocation_reason=worst)


def retire(folder: Path, key_id: str, *, now: datetime) -> Key:
    """End the time of a key now: what it signed before still counts.

    Raises:
        InvalidValue: There is no such key.
    """
    with _locked(folder):
        key = _known(folder, key_id)
        return _replaced(folder, key, valid_until=now if key.valid_until is None else min(now, key.valid_until))


def holds_private(folder: Path, key_id: str) -> bool:
    """Tell whether the private half of a key is here."""
    return _private(folder, key_id).is_file()


def _added(folder: Path, name: str, now: datetime, valid_days: int | None) -> Signer:
    if valid_days is not None and not 0 < valid_days <= MOST_DAYS:
        raise InvalidValue("valid_days", valid_days, f"give 1 to {MOST_DAYS:,} days")
    ring, signer = load_ring(folder), Signer.generate(name)
    until = None if valid_days is None else now + timedelta(days=valid_days)
    key = Key(key_id=signer.key_id, name=name, public=signer.public, valid_from=now, valid_until=until)
    _place(folder / "private" / ".gitignore", b"*\n")
    _place(_private(folder, key.key_id), signer.to_pem())
    _write(folder, KeyRing((*ring.keys, key)))
    return signer


def _opened(file: Path, key: Key) -> Signer:
    mode = file.stat().st_mode
    if mode & _OTHERS:
        raise InvalidValue("private key", str(file), f"other users may use it ({mode & 0o777:04o}): chmod 600 it")
    signer = Signer.from_pem(key.name, _bytes(file), str(file))
    if signer.key_id != key.key_id:
        raise InvalidValue("private key", str(file), "it is not the key that its name says: restore it from a backup")
    return signer


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidValue("private key", str(file), f"it cannot be read: {error.strerror}") from error


def _known(folder: Path, key_id: str) -> Key:
    key = load_ring(folder).find(key_id)
    if key is None:
        raise InvalidValue("key", key_id, f"there is none of this id in {folder}: see `burnish keys list`")
    return key


def _replaced(folder: Path, key: Key, **changes: object) -> Key:
    new = msgspec.structs.replace(key, **changes)
    _write(folder, KeyRing(tuple(new if old.key_id == key.key_id else old for old in load_ring(folder).keys)))
    return new


def _named(name: str) -> str:
    if not 0 < len(name) <= 200 or not name.isprintable():
        raise InvalidValue("name", name, "give a name of 1 to 200 printable characters")
    return name


def _private(folder: Path, key_id: str) -> Path:
    return folder / "private" / f"{key_id.removeprefix('sha256:')}.pem"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the flock of the folder, which is made when it is missing."""
    try:
        for place in (folder, folder / "private"):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "ring.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InvalidValue("keys", str(folder), f"it cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(folder: Path, ring: KeyRing) -> None:
    text = msgspec.json.encode(_File(format=FORMAT, keys=list(ring.keys)))
    _place(folder / RING, msgspec.json.format(text, indent=2) + b"\n")


def _place(file: Path, content: bytes) -> None:
    """Write a file whole and durably, for its owner only, then give it its name."""
    fresh = file.with_suffix(f".{os.getpid()}.new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        fresh.replace(file)
        parent = os.open(file.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise InvalidValue("keys", str(file), f"it cannot be written: {error.strerror}") from error
