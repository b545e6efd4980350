"""Ten thousand patterns from real code: every `raise X(f"…")` of this Python's library and packages, and tracebacks.

The f-strings give the places that vary; one example of each is learned as any error would be.
"""

from __future__ import annotations

import ast
import random
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from burnish.clock import SystemClock
from burnish.errors import InvalidValue
from burnish.ids import UuidV7Source
from burnish.learn.errors.pattern import LEARNED_CONFIDENCE, ErrorPattern, key_of
from burnish.learn.errors.templating import draft

VALUES = ("user_id", "/srv/app/main.py", "42", "3.7", "Config", "utf-8", "item", "10.0.0.7", "b5f0c1d2", "left")
FOLDERS = ("app", "core", "api", "lib/python3.11/site-packages/requests", "worker/jobs", "tests/unit")
NAMES = ("load", "handle_request", "run", "_dispatch", "send", "parse_value", "validate", "commit", "fetch_all")


class Template(msgspec.Struct, frozen=True):
    """A message of an exception: its fixed parts, None for a value."""

    kind: str
    parts: tuple[str | None, ...]

    def filled(self, rng: random.Random) -> str:
        """Return a message with values in it."""
        return f"{self.kind}: " + "".join(rng.choice(VALUES) if part is None else part for part in self.parts)


def templates() -> list[Template]:
    """Read the sources of the standard library and of the installed packages, in a fixed order."""
    roots = dict.fromkeys(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib"))
    found: dict[Template, None] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for root in roots:
            for path in sorted(root.rglob("*.py")):
                found.update(dict.fromkeys(_raised(path)))
    return list(found)


def learned(found: Sequence[Template], count: int, seed: int = 7) -> tuple[list[ErrorPattern], list[Template]]:
    """Learn from one example of each until there are so many patterns; returns them and their templates."""
    clock = SystemClock()
    ids = UuidV7Source(clock, seed=seed)
    rng = random.Random(seed)
    patterns: dict[str, ErrorPattern] = {}
    used: list[Template] = []
    for template in rng.sample(found, len(found)):
        if len(patterns) == count:
            break
        pattern = _pattern(template.filled(rng), ids())
        if pattern is not None and pattern.template not in patterns:
            patterns[pattern.template] = pattern
            used.append(template)
    return list(patterns.values()), used


def message(template: Template, rng: random.Random) -> str:
    """Return a traceback of 500 to 4,000 characters that ends in this error."""
    lines = ["Traceback (most recent call last):"]
    size = rng.randrange(400, 3_800)
    while sum(map(len, lines)) < size:
        where = f"/srv/{rng.choice(FOLDERS)}/{rng.choice(NAMES)}.py"
        lines.append(f'  File "{where}", line {rng.randrange(1, 900)}, in {rng.choice(NAMES)}')
        lines.append(f"    return self.{rng.choice(NAMES)}({rng.choice(NAMES)}, timeout={rng.randrange(60)})")
    return "\n".join([*lines, template.filled(rng)])


def _pattern(error: str, pattern_id: str) -> ErrorPattern | None:
    try:
        made = draft(error, "look at the documentation")
    except InvalidValue:
        return None
    return ErrorPattern(
        id=pattern_id,
        tenant="bench",
        key=key_of(made.template, None, "replace", made.fix_template),
        name=made.shown[:200],
        category="runtime",
        template=made.template,
        shape=made.shown,
        literal=made.literal,
        fix_type="replace",
        fix_template=made.fix_template,
        confidence=LEARNED_CONFIDENCE,
    )


def _raised(path: Path) -> Iterator[Template]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            parts = _parts(node.exc.args[0])
            if parts is not None and isinstance(node.exc.func, ast.Name):
                yield Template(node.exc.func.id, parts)


def _parts(argument: ast.expr) -> tuple[str | None, ...] | None:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        parts: list[str | None] = [argument.value]
    elif isinstance(argument, ast.JoinedStr):
        parts = [str(part.value) if isinstance(part, ast.Constant) else None for part in argument.values]
    else:
        return None
    text = "".join(part or "" for part in parts)
    return tuple(parts) if 12 <= len(text) <= 300 and "\n" not in text else None
