"""Give content one form in bytes (RFC 8785), so that the same content has the same digest on every machine."""

from __future__ import annotations

import hashlib
import re

import msgspec

from burnish.errors import InvalidValue

EXACT = 2**53
"""From here on, whole numbers are no longer exact as JSON numbers."""

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""The escape of NUL, which JSON can write and PostgreSQL cannot keep; an escaped backslash before it is text."""


def canonical(field: str, value: object) -> bytes:
    """Return the RFC 8785 bytes of a value made of records, dicts, lists, text, numbers, booleans and None.

    Raises:
        InvalidValue: It has no such form: another type, NaN, infinity, a whole number of 2⁵³ or more, a lone surrogate,
            or it is nested without end.
    """
    import rfc8785

    try:
        return rfc8785.dumps(msgspec.to_builtins(value, str_keys=True))
    except (ValueError, TypeError, RecursionError) as error:  # rfc8785's and Unicode's errors are ValueErrors
        cause = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidValue(field, _beginning(value), f"it cannot be written as canonical JSON: {cause}") from error


def digest(content: bytes) -> str:
    """Return the identity of canonical bytes: `sha256:` and 64 hexadecimal digits."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def storable(field: str, value: object) -> bytes:
    """Return canonical bytes that every database keeps.

    Raises:
        InvalidValue: It has no canonical form, or holds a NUL character.
    """
    content = canonical(field, value)
    if _NUL.search(content):
        raise InvalidValue(field, "\0", "take out the NUL characters: databases do not keep them")
    return content


def as_written(value: object) -> object:
    """Return what a database gave back with the numbers that were written.

    JSON numbers are doubles, but PostgreSQL writes a large one out as a whole number: 1e21 comes back as an integer.
    """
    if isinstance(value, dict):
        return {name: as_written(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_written(item) for item in value]
    if isinstance(value, int) and abs(value) >= EXACT:
        return float(value)
    return value


def _beginning(value: object) -> object:
    """Return what of a value can be shown: a thing nested without end has no text."""
    try:
        return repr(value)[:60]
    except RecursionError:
        return type(value).__name__
