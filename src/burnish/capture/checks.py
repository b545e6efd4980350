"""Values at the door: each check returns a clean value or names the field and the remedy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from burnish.errors import InvalidValue

NAME_CHARS = 200
KEY_CHARS = 500
ID_CHARS = 36
CLOCK_SKEW = timedelta(minutes=5)
MAX_FACTS = 64


def number(field: str, value: object, low: float = 0.0, high: float = math.inf) -> float:
    """Return a finite float within [low, high].

    Raises:
        InvalidValue: Not a number, NaN, infinite or out of range.
    """
    try:
        result = float(value)  # type: ignore[arg-type]  # numbers of any kind have __float__; the rest raises
    except Exception as error:
        raise InvalidValue(field, value, "give a number") from error
    if not math.isfinite(result):
        raise InvalidValue(field, value, "give a finite number, or leave it out when it is not known")
    if not low <= result <= high:
        bound = f"between {low:g} and {high:g}" if math.isfinite(high) else f"of at least {low:g}"
        raise InvalidValue(field, value, f"give a number {bound}")
    return result


def integer(field: str, value: object, low: int = 0, high: int = 2**53) -> int:
    """Return a whole number within [low, high]."""
    result = number(field, value, low, high)
    if result != int(result):
        raise InvalidValue(field, value, "give a whole number")
    return int(result)


def flag(field: str, value: object) -> bool:
    """Return a bool; numbers and words are refused, so that success="no" is not true."""
    if type(value).__name__ in {"bool", "bool_"}:
        return bool(value)
    raise InvalidValue(field, value, "give True or False")


def text(field: str, value: object, limit: int) -> str:
    """Return text that every database stores: no NUL, no lone surrogates, at most `limit` characters.

    A longer text keeps its head and tail around a note of how much was cut.
    """
    if isinstance(value, bytes):
        value = value[: limit * 4].decode("utf-8", "replace")
    if not isinstance(value, str):
        raise InvalidValue(field, value, "give text")
    if len(value) > limit:
        value = _clipped(value, limit)
    if "\0" in value:
        value = value.replace("\0", "\ufffd")
    if not value.isascii():
        value = value.encode("utf-8", "replace").decode("utf-8")
    return value


def _clipped(value: str, limit: int) -> str:
    note = f"\n… {len(value) - limit:,} of {len(value):,} characters cut …\n"
    if limit <= 4 * len(note):
        return value[:limit]
    tail = limit // 4
    return value[: limit - tail - len(note)] + note + value[-tail:]


def name(field: str, value: object) -> str:
    """Return a short name of 1 to 200 characters."""
    result = text(field, value, NAME_CHARS).strip()
    if not result:
        raise InvalidValue(field, value, "give a name of 1 to 200 characters")
    return result


def identity(field: str, value: object) -> str:
    """Return the id of a run, of 1 to 36 characters."""
    result = text(field, str(value), ID_CHARS + 1).strip()
    if not 0 < len(result) <= ID_CHARS:
        raise InvalidValue(field, value, "give the id of a run")
    return result


def moment(field: str, value: object, now: datetime) -> datetime:
    """Return an aware UTC time that is not in the future (5 minutes of clock skew are forgiven)."""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidValue(field, value, "give a datetime with a time zone, such as datetime.now(UTC)")
    try:
        result = value.astimezone(UTC)
    except OverflowError as error:
        raise InvalidValue(field, value.isoformat(), "in UTC it lies outside the years 1 to 9999") from error
    if result > now + CLOCK_SKEW:
        raise InvalidValue(field, value.isoformat(), f"it lies in the future (now {now.isoformat()}); check the clock")
    return result


def facts(field: str, value: object, limit: int = 1_000) -> dict[str, object]:
    """Return a flat mapping of names to text, finite numbers, booleans or None.

    Nested values become their text. At most 64 entries.
    """
    if not isinstance(value, Mapping):
        raise InvalidValue(field, value, "give a dict of names to text, numbers or booleans")
    if len(value) > MAX_FACTS:
        raise InvalidValue(field, f"{len(value)} entries", f"give at most {MAX_FACTS}")
    return {name(f"{field} key", str(key)): _fact(f"{field}[{key!r}]", item, limit) for key, item in value.items()}


def _fact(field: str, value: object, limit: int) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text(field, value, limit)
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    if isinstance(value, (int, float)):
        return number(field, value, -math.inf)
    return text(field, repr(value), limit)
