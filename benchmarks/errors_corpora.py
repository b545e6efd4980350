"""Real error messages: learn from the earlier or one part of each corpus, match the rest. Every message is new.

Beside the library stands what a person would write first: the message itself with its numbers left open.
"""

from __future__ import annotations

import gzip
import json
import re
import tempfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from burnish.clock import SystemClock
from burnish.errors import InvalidValue
from burnish.ids import UuidV7Source
from burnish.learn.errors.library import ErrorLibrary
from burnish.store import migrate
from burnish.store.opening import open_store

DATA = Path(__file__).parent / "data"
CORPORA = ("ruff", "clippy", "svelte", "moatless", "tau2")
LEARNED_SHARE = 0.6


class Message(msgspec.Struct, frozen=True):
    """One distinct message of a corpus."""

    code: str
    error: str
    fix: str | None = None
    time: str | None = None

    @property
    def remedy(self) -> str:
        """Return what is learned for it: its fix, or where none was recorded the name of its kind."""
        return self.fix or f"see {self.code}"


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """How one method did on one corpus. Shares are None where there is nothing to divide by."""

    corpus: str
    method: str
    split: str
    learned: int
    refused: int
    patterns: int
    matched_from: int
    coverage: float
    """Share of the new messages that something matched."""
    coverage_of_known: float | None
    """The same over messages of a kind that was learned."""
    precision: float | None
    """Share of the matched whose best pattern was learned from an error of the same kind."""
    with_fix: int
    """Matched messages whose own fix is known."""
    right_fix: float | None
    """Share of those whose best fix is that very text."""
    right_in_five: float | None


Guess = Callable[[Message], Sequence[tuple[str, frozenset[str]]]]
"""Message → (fix, kinds it was learned from), the best first."""


def load(corpus: str) -> list[Message]:
    """Read a corpus."""
    with gzip.open(DATA / f"errors_{corpus}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [msgspec.convert(json.loads(line), Message) for line in file]


def split(messages: Sequence[Message]) -> tuple[list[Message], list[Message], str]:
    """Return (to learn, to match, how they were parted): by time where all have one, else by a hash of the text."""
    if all(message.time for message in messages):
        cut = int(LEARNED_SHARE * len(messages))
        return list(messages[:cut]), list(messages[cut:]), "time"
    drawn = sorted(messages, key=lambda message: zlib.crc32(message.error.encode()))
    cut = int(LEARNED_SHARE * len(drawn))
    return drawn[:cut], drawn[cut:], "hash of the message"


@contextmanager
def empty_library() -> Iterator[ErrorLibrary]:
    """Open a library on a fresh SQLite store."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        migrate.upgrade(store)
        yield ErrorLibrary(store, tenant="bench", clock=clock, ids=UuidV7Source(clock))
        store.close()


def scores(corpus: str, *, most: int) -> list[Score]:
    """Run both methods on one corpus; at most so many messages on either side."""
    known, new, how = split(load(corpus))
    known, new = known[:most], new[:most]
    with empty_library() as library:
        kinds: dict[str, set[str]] = defaultdict(set)
        refused = 0
        for message in known:
            try:
                kinds[library.learn(message.error, message.remedy, project="p").id].add(message.code)
            except InvalidValue:
                refused += 1

        def guess(message: Message) -> Sequence[tuple[str, frozenset[str]]]:
            found = library.match(message.error, project="p", limit=10)
            return [(fix.fix, frozenset(kinds[fix.pattern_id])) for fix in found if fix.scope == "project"][:5]

        ours = _scored(corpus, "error library", how, known, new, guess, patterns=len(kinds), refused=refused)
    return [ours, _numbers_open(corpus, how, known, new)]


def _numbers_open(corpus: str, how: str, known: Sequence[Message], new: Sequence[Message]) -> Score:
    fixes: dict[str, Counter[str]] = defaultdict(Counter)
    kinds: dict[str, set[str]] = defaultdict(set)
    for message in known:
        key = re.sub(r"\d+", "0", message.error)
        fixes[key][message.remedy] += 1
        kinds[key].add(message.code)

    def guess(message: Message) -> Sequence[tuple[str, frozenset[str]]]:
        key = re.sub(r"\d+", "0", message.error)
        return [(fix, frozenset(kinds[key])) for fix, _ in fixes[key].most_common(5)] if key in fixes else []

    return _scored(corpus, "message, numbers open", how, known, new, guess, patterns=len(kinds), refused=0)


def _scored(
    corpus: str,
    method: str,
    how: str,
    known: Sequence[Message],
    new: Sequence[Message],
    guess: Guess,
    *,
    patterns: int,
    refused: int,
) -> Score:
    learned = {message.code for message in known}
    matched = [(message, found) for message in new if (found := guess(message))]
    of_known = [message for message in new if message.code in learned]
    with_fix = [(message, found) for message, found in matched if message.fix]
    return Score(
        corpus=corpus,
        method=method,
        split=how,
        learned=len(known),
        refused=refused,
        patterns=patterns,
        matched_from=len(new),
        coverage=len(matched) / len(new),
        coverage_of_known=_share(sum(m.code in learned for m, _ in matched), len(of_known)),
        precision=_share(sum(m.code in found[0][1] for m, found in matched), len(matched)),
        with_fix=len(with_fix),
        right_fix=_share(sum(m.fix == found[0][0] for m, found in with_fix), len(with_fix)),
        right_in_five=_share(sum(any(m.fix == fix for fix, _ in found) for m, found in with_fix), len(with_fix)),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
