"""Find which patterns a message fits: one pass of an automaton over fixed texts, then RE2 on the lines it points at.

A `Matcher` is immutable. Adding a pattern makes a new one that shares the large automaton and rebuilds only a small
one of recent patterns; `merged()` makes one automaton of both, and may run on another thread meanwhile.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import TypeVar

import msgspec

from burnish.errors import InvalidValue
from burnish.learn.errors.engines import Literals, Match, Regex, automaton, compiled, encodable
from burnish.learn.errors.handwritten import fixed_texts
from burnish.learn.errors.pattern import ErrorPattern

MOST_RECENT = 64
"""New templates that share the automaton which is rebuilt with each of them."""

MOST_FROZEN = 4
"""Automata of that size after which all are due to be merged into the large one."""

MOST_MESSAGE = 1_000_000
"""Characters of a message that are looked at: the first quarter of this and the last three."""

TAIL = 32_768
"""A longer message has its end looked at first, where errors stand."""

MOST_HITS = 50_000
"""Literals found in one pass before it stops: patterns made to overlap must not cost without bound."""

MOST_PLACES = 8
"""Last places of a literal at which its templates are tried."""

MOST_SEARCHES = 1_000
STRETCH = 100
PAUSE = 0.001
"""Patterns between two rests of a merge in the background, and seconds of a rest."""

MOST_NEEDS = 3
SHORTEST_NEED = 3
WINDOW = 2_048
"""Characters either side of a literal that a template may span."""


Item = TypeVar("Item")


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A template that a message fits."""

    patterns: Sequence[ErrorPattern]
    captures: tuple[str, ...]
    line: str
    position: int
    """Where its line begins."""
    literal: str


class Rule:
    """One template. What it needs is read, and it is compiled, when it is first tried."""

    __slots__ = ("_needs", "_regex", "literal", "template")

    def __init__(self, template: str, literal: str) -> None:
        self.template = template
        self.literal = literal
        self._needs: tuple[bytes, ...] | None = None
        self._regex: Regex | None = None

    def search(self, line: bytes) -> Match[bytes] | None:
        """Return the first match in a line; None also for a template that RE2 refuses, whatever a store holds."""
        if self._needs is None:
            self._needs = _needs(self.template, self.literal)
        for text in self._needs:
            if text not in line:
                return None
        if self._regex is None:
            try:
                self._regex = compiled(self.template)
            except InvalidValue:
                return None
        return self._regex.search(line)


class Group:
    """The templates that share one literal."""

    __slots__ = ("literal", "rules")

    def __init__(self, literal: str, rules: list[Rule]) -> None:
        self.literal = literal
        self.rules = rules


class Matcher:
    """Many patterns, ready to be matched. Immutable, so any thread may use it; `built` makes the first."""

    def __init__(
        self,
        offers: Mapping[str, Mapping[str, ErrorPattern]],
        rules: Mapping[str, Rule],
        main: Literals[Group] | None,
        recent: Sequence[Rule] = (),
        frozen: Sequence[Literals[Group]] = (),
    ) -> None:
        """Put a matcher together.

        Args:
            offers: Template → id → the patterns that have it.
            rules: Template → its rule.
            main: The automaton of all rules but the recent.
            recent: The newest rules, in a small automaton that is rebuilt with each.
            frozen: Automata of the rules in between, the oldest first.
        """
        self._offers = offers
        self._rules = rules
        self._main = main
        self._recent = tuple(recent)
        self._frozen = tuple(frozen)
        newest = _automaton(recent)
        self._automata = [one for one in (newest, *reversed(self._frozen), main) if one is not None]

    def __len__(self) -> int:
        return sum(map(len, self._offers.values()))

    @property
    def merge_due(self) -> bool:
        """Tell whether so many templates are recent that they should be merged."""
        return len(self._frozen) >= MOST_FROZEN

    def patterns(self) -> Iterator[ErrorPattern]:
        """Yield every pattern."""
        for offers in self._offers.values():
            yield from offers.values()

    def with_patterns(self, changed: Iterable[ErrorPattern], gone: Iterable[ErrorPattern] = ()) -> Matcher:
        """Return a matcher in which these patterns replace those of the same id and template; others are gone."""
        offers = dict(self._offers)
        fresh: dict[str, Rule] = {}
        for pattern in gone:
            offers[pattern.template] = {k: v for k, v in offers.get(pattern.template, {}).items() if k != pattern.id}
        for pattern in changed:
            offers[pattern.template] = {**offers.get(pattern.template, {}), pattern.id: pattern}
            if pattern.template not in self._rules and pattern.template not in fresh:
                fresh[pattern.template] = Rule(pattern.template, pattern.literal)
        if len(fresh) > MOST_RECENT * MOST_FROZEN:
            return built((pattern for group in offers.values() for pattern in group.values()), self._rules)
        rules = {**self._rules, **fresh} if fresh else self._rules
        recent, frozen = (*self._recent, *fresh.values()), self._frozen
        if len(recent) >= MOST_RECENT:
            full = _automaton(recent)
            recent, frozen = (), (*frozen, full) if full is not None else frozen
        return Matcher(offers, rules, self._main, recent, frozen)

    def merged(self) -> Matcher:
        """Return the same patterns in one automaton; templates that no pattern uses any more are left out.

        Rests every few patterns, so that other threads run; only the last step, 30 ms at 10,000 patterns, stops them.
        """
        return built(self.patterns(), self._rules, pause=PAUSE)

    def search(self, message: str) -> list[Hit]:
        """Return every template that the message fits, each once, the last place first.

        The time is bounded by the length of the message, whatever the patterns are.
        """
        text = encodable(_clipped(message))
        found: dict[str, Hit] = {}
        left = MOST_SEARCHES
        for group, places in self._places(text):
            live = [rule for rule in group.rules if rule.template not in found and self._offers.get(rule.template)]
            for end in places[: -MOST_PLACES - 1 : -1]:
                if not live or left <= 0:
                    break
                left -= len(live)
                start, line = _line(text, end)
                hits = {rule.template: hit for rule in live if (hit := self._verified(rule, start, line)) is not None}
                if hits:
                    found |= hits
                    live = [rule for rule in live if rule.template not in hits]
        return list(found.values())

    def _verified(self, rule: Rule, start: int, line: bytes) -> Hit | None:
        found = rule.search(line)
        if found is None:
            return None
        return Hit(
            patterns=tuple(self._offers[rule.template].values()),
            captures=tuple((capture or b"").decode("utf-8", "replace") for capture in found.groups()),
            line=(found.group() or b"").decode("utf-8", "replace").strip(),
            position=start,
            literal=rule.literal,
        )

    def _places(self, text: str) -> Iterator[tuple[Group, Sequence[int]]]:
        offset = max(0, len(text) - TAIL)
        spans = [(offset, text[offset:]), (0, text)] if offset else [(0, text)]
        for start, part in spans:
            for literals in self._automata:
                places: dict[Group, list[int]] = {}
                for end, group in islice(literals.iter(part), MOST_HITS):
                    if group in places:
                        places[group].append(start + end)
                    else:
                        places[group] = [start + end]
                found = places.items()
                yield from found if len(found) < 2 else sorted(found, key=_last, reverse=True)


def built(
    patterns: Iterable[ErrorPattern], known: Mapping[str, Rule] = MappingProxyType({}), *, pause: float = 0.0
) -> Matcher:
    """Return the matcher of these patterns; rules that are known already keep what was compiled.

    Args:
        patterns: What is to be found.
        known: Template → its rule, of an earlier matcher.
        pause: Seconds to rest every few patterns, for a thread in the background.
    """
    offers: dict[str, dict[str, ErrorPattern]] = defaultdict(dict)
    rules: dict[str, Rule] = {}
    for pattern in _resting(patterns, pause):
        offers[pattern.template][pattern.id] = pattern
        if pattern.template not in rules:
            rules[pattern.template] = known.get(pattern.template) or Rule(pattern.template, pattern.literal)
    return Matcher(dict(offers), rules, _automaton(rules.values(), pause))


def _automaton(rules: Iterable[Rule], pause: float = 0.0) -> Literals[Group] | None:
    by_literal: dict[str, list[Rule]] = defaultdict(list)
    for rule in _resting(rules, pause):
        by_literal[rule.literal].append(rule)
    groups = ((literal, Group(literal, group)) for literal, group in by_literal.items())
    return automaton(_resting(groups, pause))


def _resting(items: Iterable[Item], pause: float) -> Iterator[Item]:
    """Yield the items, with a rest every few of them."""
    for number, item in enumerate(items):
        if pause and number % STRETCH == STRETCH - 1:
            time.sleep(pause)
        yield item


def _needs(template: str, literal: str) -> tuple[bytes, ...]:
    """Return the longest fixed texts of a template besides its literal: to look for them costs less than a search."""
    others = [text for text in fixed_texts(template) if len(text) >= SHORTEST_NEED and literal not in text]
    return tuple(text.encode() for text in sorted(others, key=len, reverse=True)[:MOST_NEEDS])


def _line(text: str, end: int) -> tuple[int, bytes]:
    """Return where the line around a place begins, and the line."""
    start = max(text.rfind("\n", max(0, end - WINDOW), end) + 1, end - WINDOW, 0)
    stop = text.find("\n", end, end + WINDOW)
    return start, text[start : stop if stop >= 0 else end + WINDOW].encode()


def _clipped(message: str) -> str:
    if len(message) <= MOST_MESSAGE:
        return message
    return f"{message[: MOST_MESSAGE // 4]}\n{message[-3 * MOST_MESSAGE // 4 :]}"


def _last(place: tuple[Group, Sequence[int]]) -> int:
    return place[1][-1]
