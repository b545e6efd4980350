"""Accept or refuse a regular expression that somebody configured.

What is accepted runs on RE2 in time linear in the text, and each match is bounded, so no pattern can stall capture.
"""

from __future__ import annotations

from burnish.errors import InvalidValue

LONGEST = 500
MEMORY = 1 << 20
_BOUND = "bound it, such as \\d{1,20} instead of \\d+"


def bounded(field: str, pattern: object) -> str:
    """Return a pattern that RE2 accepts, that is bounded, and that matches no empty text.

    Raises:
        InvalidValue: It is not text, too long, without a bound, matches nothing at all, or RE2 refuses it (look-around,
            back-references, a repetition that grows too large).
    """
    if not isinstance(pattern, str) or not 0 < len(pattern) <= LONGEST:
        raise InvalidValue(field, pattern, f"give a regular expression of 1 to {LONGEST} characters")
    loose = _unbounded(pattern)
    if loose is not None:
        raise InvalidValue(field, pattern, f"{loose} repeats without end: {_BOUND}")
    compile_bounded(field, pattern)
    return pattern


def compile_bounded(field: str, pattern: str) -> object:
    """Return the pattern compiled by RE2 for UTF-8 bytes.

    Raises:
        InvalidValue: RE2 refuses it, or it matches the empty text.
    """
    import re2  # type: ignore[import-untyped]  # it ships none

    options = re2.Options()
    options.max_mem = MEMORY
    options.log_errors = False
    try:
        compiled = re2.compile(pattern.encode(), options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise InvalidValue(field, pattern, f"RE2 does not accept it: {reason}") from error
    if compiled.search(b"") is not None:
        raise InvalidValue(field, pattern, "it matches the empty text: let it require at least one character")
    found: object = compiled
    return found


def _unbounded(pattern: str) -> str | None:
    """Return the first quantifier without an upper bound that stands outside of escapes and character classes."""
    position, in_class = 0, False
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            if pattern[position + 1 : position + 2] == "Q":
                return "\\Q"
            position += 2
            continue
        if in_class:
            in_class = character != "]" or pattern[position - 1] == "[" or pattern[position - 2 : position] == "[^"
        elif character == "[":
            in_class = True
        elif character in "*+":
            return character
        elif character == "{":
            inside = pattern[position + 1 : pattern.find("}", position)]
            if inside.endswith(",") and inside[:-1].isdigit():
                return "{" + inside + "}"
        position += 1
    return None
