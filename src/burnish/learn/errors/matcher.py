"""Find which patterns a message fits: one pass of an automaton over fixed texts, then RE2 on the lines it points at.

A `Matcher` is immutable. Adding a pattern makes a new one that shares the large automaton and rebuilds only a small
one of recent patterns; `merged()` makes one automaton of both, and may run on another thread meanwhile.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType

import msgspec

from burnish.errors import InvalidValue
from burnish.learn.errors.engines import Literals, Regex, automaton, compiled, encodable
from burnish.learn.errors.pattern import ErrorPattern

MOST_RECENT = 256
"""New templates after which the two automata are due to be merged."""

MOST_MESSAGE = 1_000_000
"""Characters of a message that are looked at: the first quarter of this and the last three."""

TAIL = 32_768
"""A longer message has its end looked at first, where errors stand."""

MOST_HITS = 50_000
"""Literals found in one pass before it stops: patterns made to overlap must not cost without bound."""

MOST_PLACES = 8
"""Last places of a literal at which its templates are tried."""

MOST_SEARCHES = 1_000
WINDOW = 2_048
"""Characters either side of a literal that a template may span."""


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A template that a message fits."""

    patterns: Sequence[ErrorPattern]
    captures: tuple[str, ...]
    line: str
    position: int
    literal: str


class Rule:
    """One template, compiled when it is first tried."""

    __slots__ = ("_regex", "literal", "template")

    def __init__(self, template: str, literal: str) -> None:
        self.template = template
        self.literal = literal
        self._regex: Regex | None = None

    @property
    def regex(self) -> Regex | None:
        """Return the compiled template, or None when RE2 refuses what a store holds."""
        if self._regex is None:
            try:
                self._regex = compiled(self.template)
            except InvalidValue:
                return None
        return self._regex


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
    ) -> None:
        """Put a matcher together.

        Args:
            offers: Template → id → the patterns that have it.
            rules: Template → its rule.
            main: The automaton of all rules but the recent.
            recent: Rules that are not in it yet.
        """
        self._offers = offers
        self._rules = rules
        self._main = main
        self._recent = tuple(recent)
        self._new = _automaton(recent)

    def __len__(self) -> int:
        return sum(map(len, self._offers.values()))

    @property
    def merge_due(self) -> bool:
        """Tell whether so many templates are recent that they should be merged."""
        return len(self._recent) >= MOST_RECENT

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
        if len(fresh) > MOST_RECENT:
            return built((pattern for group in offers.values() for pattern in group.values()), self._rules)
        rules = {**self._rules, **fresh} if fresh else self._rules
        return Matcher(offers, rules, self._main, (*self._recent, *fresh.values()))

    def merged(self) -> Matcher:
        """Return the same patterns in one automaton; templates that no pattern uses any more are left out."""
        return built(self.patterns(), self._rules)

    def search(self, message: str) -> list[Hit]:
        """Return every template that the message fits, each once, the last place first.

        The time is bounded by the length of the message, whatever the patterns are.
        """
        text = encodable(_clipped(message))
        found: list[Hit] = []
        fits: set[str] = set()
        searches = 0
        for group, places in self._places(text):
            for rule in group.rules:
                offers = self._offers.get(rule.template)
                if not offers or rule.template in fits or searches >= MOST_SEARCHES:
                    continue
                for end in reversed(places):
                    searches += 1
                    hit = _verified(rule, text, end, tuple(offers.values()))
                    if hit is not None:
                        fits.add(rule.template)
                        found.append(hit)
                        break
        return found

    def _places(self, text: str) -> Iterator[tuple[Group, Sequence[int]]]:
        offset = max(0, len(text) - TAIL)
        spans = [(offset, text[offset:]), (0, text)] if offset else [(0, text)]
        for start, part in spans:
            for literals in (self._new, self._main):
                if literals is None:
                    continue
                places: dict[Group, deque[int]] = {}
                for end, group in islice(literals.iter(part), MOST_HITS):
                    seen = places.get(group)
                    if seen is None:
                        seen = places[group] = deque(maxlen=MOST_PLACES)
                    seen.append(start + end)
                yield from sorted(places.items(), key=_last, reverse=True)


def built(patterns: Iterable[ErrorPattern], known: Mapping[str, Rule] = MappingProxyType({})) -> Matcher:
    """Return the matcher of these patterns; rules that are known already keep what was compiled."""
    offers: dict[str, dict[str, ErrorPattern]] = defaultdict(dict)
    rules: dict[str, Rule] = {}
    for pattern in patterns:
        offers[pattern.template][pattern.id] = pattern
        if pattern.template not in rules:
            rules[pattern.template] = known.get(pattern.template) or Rule(pattern.template, pattern.literal)
    return Matcher(dict(offers), rules, _automaton(rules.values()))


def _automaton(rules: Iterable[Rule]) -> Literals[Group] | None:
    by_literal: dict[str, list[Rule]] = defaultdict(list)
    for rule in rules:
        by_literal[rule.literal].append(rule)
    return automaton((literal, Group(literal, group)) for literal, group in by_literal.items())


def _verified(rule: Rule, text: str, end: int, offers: Sequence[ErrorPattern]) -> Hit | None:
    start = max(text.rfind("\n", max(0, end - WINDOW), end) + 1, end - WINDOW, 0)
    stop = text.find("\n", end, end + WINDOW)
    if "\\n" in rule.template:
        start, stop = max(0, end - WINDOW), min(len(text), end + WINDOW)
    line = text[start : stop if stop >= 0 else end + WINDOW]
    found = rule.regex.search(line) if rule.regex is not None else None
    if found is None:
        return None
    return Hit(
        patterns=offers,
        captures=tuple(capture or "" for capture in found.groups()),
        line=(found.group() or "").strip(),
        position=start + found.start(),
        literal=rule.literal,
    )


def _clipped(message: str) -> str:
    if len(message) <= MOST_MESSAGE:
        return message
    return f"{message[: MOST_MESSAGE // 4]}\n{message[-3 * MOST_MESSAGE // 4 :]}"


def _last(place: tuple[Group, Sequence[int]]) -> int:
    return place[1][-1]
