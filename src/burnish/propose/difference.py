"""What differs between two policies, field by field, for people who decide about it.

Both are compared in canonical form: there is a difference exactly when the digests differ.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from burnish.propose.policy import Policy

MOST_LINES = 5_000
"""Texts of more lines than this, both together, are not compared line by line: that takes quadratic time."""
_PLAIN = re.compile(r"\w+")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not the same."""

    path: str
    """Where: `parameters.temperature`, `routing[0]`, `model_parameters["small-1.5"].top_p`."""
    before: object = None
    """None, or null, where there was nothing."""
    after: object = None
    """None, or null, where there is nothing any more."""
    text: str | None = None
    """For texts of several lines: a unified diff."""


def diff(old: Policy, new: Policy) -> list[Change]:
    """Return the changes that lead from one policy to the other, in the order of a policy's fields.

    Positions in lists are those of the new policy; of what was removed, those of the old.

    Raises:
        InvalidValue: One of them has no canonical form.
    """
    before, after = json.loads(old.canonical), json.loads(new.canonical)
    return [change for field in Policy.__struct_fields__ for change in _between(field, before[field], after[field])]


def rendered(changes: Sequence[Change]) -> str:
    """Return changes as text: `- ` before what was, `+ ` before what is, prompts as a unified diff."""
    return "\n".join(line for change in changes for line in (change.path, *_lines(change))) or "no difference"


def _between(path: str, before: object, after: object) -> Iterator[Change]:
    if _bytes(before) == _bytes(after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            yield from _between(_joined(path, name), before.get(name), after.get(name))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _lists(path, before, after)
    else:
        yield Change(path=path, before=before, after=after, text=_unified(before, after))


def _lists(path: str, before: list[object], after: list[object]) -> Iterator[Change]:
    """Align two lists, so that a rule put first is one change and not a change of every rule."""
    matcher = difflib.SequenceMatcher(None, [*map(_bytes, before)], [*map(_bytes, after)], autojunk=False)
    for kind, i, i_end, j, j_end in matcher.get_opcodes():
        if kind == "equal":
            continue
        both = min(i_end - i, j_end - j)
        for step in range(both):
            yield Change(path=f"{path}[{j + step}]", before=before[i + step], after=after[j + step])
        for position in range(i + both, i_end):
            yield Change(path=f"{path}[{position}]", before=before[position])
        for position in range(j + both, j_end):
            yield Change(path=f"{path}[{position}]", after=after[position])


def _unified(before: object, after: object) -> str | None:
    """Return a unified diff of two texts when one has several lines."""
    old, new = ("" if value is None else value for value in (before, after))
    if not isinstance(old, str) or not isinstance(new, str) or "\n" not in old + new:
        return None
    old_lines, new_lines = old.split("\n"), new.split("\n")
    if len(old_lines) + len(new_lines) > MOST_LINES:
        return f"@@ {len(old_lines):,} lines were replaced by {len(new_lines):,} @@"
    return "\n".join(difflib.unified_diff(old_lines, new_lines, "before", "after", lineterm="", n=2))


def _lines(change: Change) -> Iterator[str]:
    if change.text is not None:
        yield from (f"  {line}" for line in change.text.split("\n"))
        return
    if change.before is not None:
        yield f"  - {_shown(change.before)}"
    if change.after is not None:
        yield f"  + {_shown(change.after)}"


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if _PLAIN.fullmatch(name) else f"{path}[{json.dumps(name, ensure_ascii=False)}]"


def _bytes(value: object) -> bytes:
    return msgspec.json.encode(value)


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
