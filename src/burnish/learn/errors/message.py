"""Reading the message of an error: its telling lines, the class or code it goes by, its kind."""

from __future__ import annotations

import re
from collections.abc import Iterator

from burnish.learn.errors.engines import encodable
from burnish.learn.errors.pattern import Category

LONGEST_LINE = 600
MOST_MESSAGE = 65_536
"""Characters from the end of a message that are looked at."""

FIRST_LINES = 5
LAST_LINES = 60

_NAMED = re.compile(
    r"^\W*(?:error|fatal|panic|critical)\b|\w(?:Error|Exception|Warning|Fault)\b|\b(?:error|fatal)(?:\[\w+\])?:|\bE\d{4}\b"
    r"|^npm (?:ERR!|error)",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"\b(?:cannot|can't|could ?n[o']t|unable|not found|denied|failed|failure|refused|undefined|invalid|missing|no such"
    r"|unexpected|unknown|expected|exceeded|unsupported|conflict|timed out|must|should)\b",
    re.IGNORECASE,
)
_NOISE = re.compile(
    r"complete log of this run|^\s*(?:note|hint|help|warning)\b|^\s*(?:at|File|from|-->|\|) "
    r"|for more (?:information|details)|run with|stack ?trace|^\s*\^+\s*$|^\W*$",
    re.IGNORECASE,
)
_TYPE = re.compile(
    r"\b((?:[a-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Warning|Fault|Panic))\b"
    r"|\b(TS\d{3,5}|ERR_[A-Z_]+|E[A-Z]{4,}|E\d{4})\b"
)
_WORDS_OF: tuple[tuple[Category, str], ...] = (
    ("import", r"\bmodule\b.*not found|no module named|cannot (?:find|resolve) (?:module|package)|import"),
    ("type", r"TypeError|\bTS\d{4}|error\[E\d{4}|not assignable|incompatible type|mismatched types"),
    ("syntax", r"syntax|unexpected (?:token|indent|eof|end)|parse error|unterminated|invalid character"),
    ("style", r"prettier|black would|code style|formatting|whitespace|line too long"),
    ("lint", r"eslint|lint|clippy|\b[A-Z]{1,4}\d{3,4}\b|never used|unused"),
    ("build", r"npm|yarn|pnpm|\bpip\b|docker|linker|compil|make:|build|gradle|cargo|dependenc"),
)
_CATEGORIES = tuple((category, re.compile(words, re.IGNORECASE)) for category, words in _WORDS_OF)


def error_lines(message: str) -> Iterator[str]:
    """Yield lines worth matching on: those that name an error from the last to the first, then what is left."""
    text = encodable(message[-MOST_MESSAGE:])
    if len(message) > MOST_MESSAGE:
        text = text.partition("\n")[2] or text
    lines = [line.strip(" \t\r")[:LONGEST_LINE] for line in text.split("\n")]
    lines = [line for line in dict.fromkeys(lines[:FIRST_LINES] + lines[-LAST_LINES:]) if line]
    clean = [line for line in lines if not _NOISE.search(line)]
    named = [line for line in reversed(clean) if _NAMED.search(line)]
    said = [line for line in clean if _SAID.search(line)]
    yield from dict.fromkeys([*named, *said, *clean, *lines])


def error_type(message: str) -> str:
    """Return the class or code that an error goes by, or `error`."""
    for line in error_lines(message):
        found = _TYPE.search(line)
        if found:
            return str(found[1] or found[2]).rpartition(".")[2][:200]
    return "error"


def category_of(message: str) -> Category:
    """Return the kind of an error by its words; `runtime` where none tells."""
    line = next(error_lines(message), "")
    return next((category for category, words in _CATEGORIES if words.search(line)), "runtime")
