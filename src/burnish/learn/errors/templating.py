"""From the message of an error to a pattern that is general and safe, or a refusal that says why.

The last line that names an error comes first. Where a line without its quoted text would match nearly every error, that
text stays fixed; where even that says nothing, the next line is tried.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from burnish.errors import InvalidValue
from burnish.learn.errors import shape as shapes
from burnish.learn.errors.engines import compiled, encodable
from burnish.learn.errors.message import LONGEST_LINE, error_lines
from burnish.learn.errors.pattern import filled, with_references
from burnish.learn.errors.shape import Gap, Shape

SHORTEST_LITERAL = 6
SHORTEST_WORDS = 4
"""Letters that telling words must have; below six, the fixed text around the gaps must make up for it."""
SHORTEST_FIXED = 12
LONGEST_LITERAL = 120
_GENERIC = """
instead should must replace replaced undefined consider prefer avoid try
and are but call called can could debug did does during error errors exception exceptions exit exited failed
failure fatal file following for found from got has have info internal invalid last line message most near non none
not occurred operation process recent reason request requested result returned stack status the this thrown trace
traceback true false null unable unexpected unknown use using value warning was when which while with
without you your code
"""
GENERIC = frozenset(_GENERIC.split())
"""Words that say nothing of what went wrong."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern with its fix, not kept yet."""

    shape: Shape
    template: str
    literal: str
    fix_template: str
    line: str
    captures: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Return the shape as text."""
        return shapes.written(self.shape)


def draft(message: str, fix: str) -> Draft:
    """Make a pattern from one example.

    Raises:
        InvalidValue: No line of the message tells this error from others.
    """
    fix = encodable(fix)
    for line in error_lines(message):
        for quotes in (True, False):
            made = _made(shapes.trimmed(shapes.masked(line, fix, quotes=quotes)), line, fix)
            if made is not None:
                return made
    first = next(iter(error_lines(message)), message.strip()[:80])
    raise InvalidValue(
        "error", first, "it would match nearly every error: give the line that says what went wrong, with its words"
    )


def generalised(shape: Shape, fix_template: str, example: Draft, fix: str) -> Draft | None:
    """Return a pattern that fits an earlier one and a new example, when both fill in the same fix; else None."""
    found = shapes.aligned(shape, example.shape)
    if found is None:
        return None
    both, earlier, _ = found
    both = shapes.trimmed(both)
    dropped = len(earlier) - sum(isinstance(token, Gap) for token in both)
    made = _made(both, example.line, encodable(fix))
    if made is None or made.template == shapes.source_of(shape, whole_line=True):
        return None
    return made if _renumbered(fix_template, earlier[dropped:]) == made.fix_template else None


def signature(message: str) -> str:
    """Return what an error has in common with others of its kind: its telling line with ‹kind› for what varies."""
    lines = list(error_lines(message))
    for line in lines:
        for quotes in (True, False):
            shape = shapes.trimmed(shapes.masked(line, quotes=quotes))
            if refusal(shape) is None:
                return shapes.written(shape)[:500]
    return shapes.written(shapes.masked(lines[0]))[:500] if lines else ""


def digest_of(signature: str) -> str:
    """Return the SHA-256 of a signature, as 64 hexadecimal digits."""
    return hashlib.sha256(signature.encode("utf-8", "replace")).hexdigest()


def refusal(shape: Shape) -> str | None:
    """Return why a shape is too general, or None when it is not."""
    literal = _literal(shape)
    if literal is None:
        return f"no fixed text of {SHORTEST_LITERAL} characters that says something"
    words = [word for run in shapes.literals_of(shape) for word in _telling(run)]
    said = sum(map(len, words))
    fixed = sum(map(str.isalpha, "".join(shapes.literals_of(shape))))
    if said < SHORTEST_WORDS or (said < SHORTEST_LITERAL and fixed < SHORTEST_FIXED and _has_gaps(shape)):
        return "its fixed words are too general"
    typed = any(isinstance(token, Gap) and token.kind not in {"rest", "word"} for token in shape)
    if not typed and all(map(_is_class, words)):
        return "it says no more than the class of the error"
    return None


def _made(shape: Shape, line: str, fix: str) -> Draft | None:
    literal = None if refusal(shape) else _literal(shape)
    if literal is None:
        return None
    whole = len(line) < LONGEST_LINE
    for template in (shapes.source_of(shape, whole_line=whole), shapes.source_of(shape, whole_line=False)):
        found = compiled(template).search(line)
        if found is None:
            continue
        captures = tuple(text or "" for text in found.groups())
        fix_template = with_references(fix, dict(enumerate(captures, 1)))
        if filled(fix_template, captures) != fix:
            fix_template = fix.replace("$", "$$")
        return Draft(
            shape=shape, template=template, literal=literal, fix_template=fix_template, line=line, captures=captures
        )
    return None


def _renumbered(fix_template: str, earlier: list[str]) -> str:
    """Return an earlier fix with the numbers of the wider shape; what became a gap becomes a reference."""
    numbers = {text: group for group, text in enumerate(earlier, 1) if text}
    fixed = re.sub(r"\$[1-9][0-9]?", lambda found: f"\ue000{numbers.get(found[0], 0)}", fix_template)
    words = {group: text for text, group in numbers.items() if not text.startswith("$")}
    plain = with_references(fixed.replace("$$", "$"), words)
    return plain.replace("\ue000", "$")


def _literal(shape: Shape) -> str | None:
    """Return the stretch of fixed text that says most; None when none is long enough."""
    runs = [run for run in shapes.literals_of(shape) if len(run.strip()) >= SHORTEST_LITERAL and _telling(run)]
    if not runs:
        return None
    best = max(runs, key=lambda run: (sum(len(word) for word in _telling(run) if not _is_class(word)), len(run)))
    return best[:LONGEST_LITERAL]


def _has_gaps(shape: Shape) -> bool:
    return any(isinstance(token, Gap) for token in shape)


def _is_class(word: str) -> bool:
    return word.endswith(("error", "exception", "warning"))


def _telling(text: str) -> list[str]:
    words = (word.lower() for word in re.findall(r"[^\W\d_]{3,}", text))
    return [word for word in words if word not in GENERIC]
