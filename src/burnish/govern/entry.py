"""One entry of the audit log: what is hashed of it, and how.

The leaf of an entry is RFC 8785 bytes of everything but the payload, of which it holds only a salted digest. So a
payload can be erased and every proof stays valid; without the salt, which is erased too, nobody can find out what it
was by trying.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256

import msgspec

from burnish.errors import InvalidValue
from burnish.govern import merkle

LARGEST_INTEGER = 2**53 - 1
"""Beyond it RFC 8785 has no exact form."""
LARGEST_PAYLOAD = 16 * 1024 * 1024
DEEPEST_PAYLOAD = 100
_ERASED = ""
_NAMES = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_LONGEST = {"tenant": 200, "event": 100, "actor": 200, "subject": 500}


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One governed change. The order of the entries is `seq`, from 1, without gaps."""

    seq: int
    id: str
    at: datetime
    tenant: str
    event: str
    """What was done, such as `policy.promoted`."""
    actor: str
    """Who did it: `person:NAME` or `learner:NAME`."""
    subject: str
    """What it was done to."""
    payload: Mapping[str, object] | None
    """The particulars; None when they were erased."""
    salt: str
    """32 random bytes in hexadecimal; empty when the payload was erased."""
    payload_digest: str
    leaf: str
    """Hash of the leaf, as it was stored."""

    @property
    def erased(self) -> bool:
        """Tell whether the payload was erased."""
        return self.payload is None and self.salt == _ERASED

    def leaf_bytes(self, seq: int | None = None) -> bytes:
        """Return the RFC 8785 bytes that the tree covers; with another seq, those that it would have there."""
        return msgspec.json.encode(
            _Leaf(
                actor=self.actor,
                at=shown_time(self.at),
                event=self.event,
                id=self.id,
                payload_digest=self.payload_digest,
                seq=self.seq if seq is None else seq,
                subject=self.subject,
                tenant=self.tenant,
            )
        )

    def leaf_hash(self, seq: int | None = None) -> bytes:
        """Return the hash of the leaf, computed anew."""
        return merkle.leaf_hash(self.leaf_bytes(seq))

    def payload_fits(self) -> bool:
        """Tell whether the payload is the one whose digest is in the leaf; an erased one is."""
        if self.payload is None:
            return self.erased
        try:
            return digest(self.salt, canonical(self.payload)) == self.payload_digest
        except (InvalidValue, ValueError):
            return False


class Damaged(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that cannot be read."""

    seq: int | None
    why: str


class _Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """The fields in the order of RFC 8785, so that plain JSON of it is canonical."""

    actor: str
    at: str
    event: str
    id: str
    payload_digest: str
    seq: int
    subject: str
    tenant: str


def made(
    *,
    seq: int,
    event: str,
    tenant: str,
    actor: str,
    subject: str,
    payload: Mapping[str, object],
    salt: str,
    id: str,  # noqa: A002 - the field's name
    at: datetime,
) -> Entry:
    """Return an entry with its digest and leaf.

    Raises:
        InvalidValue: A text is empty, too long or not text, the time has no zone, or the payload cannot be kept.
    """
    for field, text in (("tenant", tenant), ("event", event), ("actor", actor), ("subject", subject)):
        _check_text(field, text)
    if at.tzinfo is None:
        raise InvalidValue("now", at, "give a time with its zone")
    kept = safe(payload)
    entry = Entry(
        seq=seq,
        id=id,
        at=at.astimezone(UTC),
        tenant=tenant,
        event=event,
        actor=actor,
        subject=subject,
        payload=kept,
        salt=salt,
        payload_digest=digest(salt, canonical(kept)),
        leaf="",
    )
    return msgspec.structs.replace(entry, leaf=entry.leaf_hash().hex())


def digest(salt: str, payload: bytes) -> str:
    """Return the salted digest of a payload: SHA-256 of the salt's bytes and the payload's, in hexadecimal.

    Raises:
        ValueError: The salt is not the hexadecimal of 32 bytes.
    """
    salted = bytes.fromhex(salt)
    if len(salted) != 32 or salted.hex() != salt:
        raise ValueError("a salt is 32 bytes in lower-case hexadecimal")
    return sha256(salted + payload).hexdigest()


def canonical(payload: Mapping[str, object]) -> bytes:
    """Return the RFC 8785 bytes of a payload that was made safe, also when a database has rewritten its numbers.

    Raises:
        InvalidValue: It was not made safe.
    """
    import rfc8785

    try:
        if _same_in_json(payload):  # five times as fast
            return msgspec.json.encode(payload, order="sorted")
        return rfc8785.dumps(_restored(payload))  # type: ignore[arg-type]  # what is no JSON is refused there
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise InvalidValue("payload", str(error), "give JSON values") from error


def safe(payload: Mapping[str, object]) -> dict[str, object]:
    """Return a payload as it can be kept and hashed anywhere.

    NaN and the infinities become their names and integers beyond 2⁵³ their digits, as text; NUL and lone surrogates,
    which no PostgreSQL keeps, become U+FFFD; times, UUIDs and records become what JSON has.

    Raises:
        InvalidValue: It holds something that has no JSON form, is nested too deeply, or is too large.
    """
    try:
        plain = msgspec.to_builtins(dict(payload), str_keys=True, enc_hook=_plain)
        kept = {_safe_text(key): _safe(value, 1) for key, value in plain.items()}
    except (TypeError, ValueError, RecursionError, AttributeError) as error:
        if isinstance(error, InvalidValue):  # which is a ValueError
            raise
        raise InvalidValue("payload", payload, f"give a dict of JSON values ({error})") from error
    if len(msgspec.json.encode(kept)) > LARGEST_PAYLOAD:
        raise InvalidValue("payload", payload, f"it is larger than {LARGEST_PAYLOAD:,} bytes: give a digest of it")
    return kept


def shown_time(moment: datetime) -> str:
    """Return a time as RFC 3339 in UTC, to the microsecond."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _plain(value: object) -> object:
    """Return a number or text of another library, such as numpy, as Python's own."""
    for own in (float, int, str):
        if isinstance(value, own):
            return own(value)
    item = getattr(value, "item", None)
    found = item() if callable(item) else None
    if isinstance(found, (bool, int, float)):
        return found
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _safe(value: object, depth: int) -> object:
    if depth > DEEPEST_PAYLOAD:
        raise InvalidValue("payload", "…", f"it is nested deeper than {DEEPEST_PAYLOAD} levels")
    if isinstance(value, str):
        return _safe_text(value)
    if isinstance(value, dict):
        return {_safe_text(key): _safe(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_safe(inner, depth + 1) for inner in value]
    return _safe_number(value) if isinstance(value, (int, float)) else value


def _safe_number(value: float) -> object:
    if not isinstance(value, int):
        return value if math.isfinite(value) else _NAMES[str(value)]
    if abs(value) <= LARGEST_INTEGER:
        return value
    return str(value) if value.bit_length() <= 8192 else hex(value)  # Python refuses to write more than 4,300 digits


def _safe_text(text: str) -> str:
    if "\0" in text or not text.isascii():
        return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _same_in_json(value: object) -> bool:
    """Tell whether plain JSON with sorted keys is RFC 8785: with ASCII keys, and numbers that all write alike."""
    if isinstance(value, str) or value is None or value is True or value is False:
        return True
    if isinstance(value, dict):
        return all(map(str.isascii, value)) and all(map(_same_in_json, value.values()))
    if isinstance(value, list):
        return all(map(_same_in_json, value))
    if isinstance(value, float):
        return 1e-3 <= abs(value) < 1e15 and not value.is_integer()
    return isinstance(value, int) and -LARGEST_INTEGER <= value <= LARGEST_INTEGER


def _restored(value: object) -> object:
    """Return a value as it was made safe: PostgreSQL writes 1e22 as an integer."""
    if isinstance(value, Mapping):
        return {key: _restored(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_restored(inner) for inner in value]
    if isinstance(value, int) and not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
        return float(value)
    return value


def _check_text(field: str, text: object) -> None:
    good = isinstance(text, str) and 0 < len(text) <= _LONGEST[field] and _safe_text(text) == text
    if not good:
        raise InvalidValue(field, text, f"give text of 1 to {_LONGEST[field]} characters, without NUL")
