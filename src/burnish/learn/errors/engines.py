"""The two engines behind matching, typed: google-re2 (linear time, captures) and an Aho-Corasick automaton.

RE2 has no look-around and no back-references, so no pattern can take more than linear time in the message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Protocol, TypeVar, cast

import ahocorasick  # type: ignore[import-not-found]  # a module in C, without stubs
import re2  # type: ignore[import-untyped]  # it ships no types

from burnish.errors import InvalidValue

PATTERN_MEMORY = 1 << 20
"""Bytes one compiled pattern may take."""

Value_co = TypeVar("Value_co", covariant=True)


Text = TypeVar("Text", str, bytes)
Text_co = TypeVar("Text_co", str, bytes, covariant=True)


class Match(Protocol[Text_co]):
    """What a search found."""

    def group(self, group: int = 0, /) -> Text_co | None:
        """Return the text of a group."""
        ...

    def groups(self) -> Sequence[Text_co | None]:
        """Return the text of every group; None where it took no part."""
        ...

    def start(self, group: int = 0, /) -> int:
        """Return where it begins."""
        ...

    def end(self, group: int = 0, /) -> int:
        """Return where it ends."""
        ...


class Regex(Protocol):
    """A compiled RE2 pattern."""

    groups: int
    groupindex: Mapping[str, int]

    def search(self, text: Text) -> Match[Text] | None:
        """Return the first match."""
        ...

    def finditer(self, text: Text) -> Iterator[Match[Text]]:
        """Return every match from left to right."""
        ...


class Literals(Protocol[Value_co]):
    """An automaton over many literals."""

    def iter(self, text: str) -> Iterator[tuple[int, Value_co]]:
        """Return (index of its last character, value) of every literal found, by position."""
        ...


def compiled(source: str) -> Regex:
    """Compile RE2 source; `^` and `$` stand at line ends.

    Raises:
        InvalidValue: RE2 refuses it: look-around, back-reference, or too large.
    """
    try:
        return cast("Regex", re2.compile(f"(?m){source}", _options()))
    except re2.error as error:
        said = error.args[0] if error.args else error
        said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise InvalidValue(
            "pattern", source, f"RE2 refuses it: {said}; look-around and back-references do not exist"
        ) from error


@cache
def _options() -> Any:  # noqa: ANN401 - re2 has no types
    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_MEMORY
    return options


def automaton(words: Iterable[tuple[str, Value_co]]) -> Literals[Value_co] | None:
    """Return the automaton of these literals, or None when there are none."""
    built: Any = ahocorasick.Automaton()
    for word, value in words:
        built.add_word(word, value)
    if not len(built):
        return None
    built.make_automaton()
    return cast("Literals[Value_co]", built)


def escaped(text: str) -> str:
    """Return text as RE2 source that matches it and nothing else."""
    return "".join(c if c.isalnum() or c in " _" or ord(c) > 127 else f"\\{c}" for c in text)


def encodable(text: str) -> str:
    """Return text that UTF-8 and every database can hold: lone surrogates and NUL are replaced."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\0", "\ufffd")
