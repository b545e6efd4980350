"""Find secrets with gitleaks' rules: a keyword has to be there, then a pattern, then enough entropy, and no allowlist.

The rules are data (`rules/gitleaks.json`, MIT, see the notice beside it). They run on RE2, so their cost is linear in
the text.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any, Protocol

import msgspec

from burnish.capture.redaction.patterns import Match, Span, compiled

_ENDS = r"""(?:[\x60'"\s;]|\\[nr]|$)"""
_MORE_ENDS = r"""(?:[\x60'"\s;,.:)\]}<>&|*\x00]|\\[nr]|$)"""
"""What may end a secret. In source code the shorter list is enough; in prose and logs a comma or a bracket may."""


_SHARPER = {
    "jwt": ("eyj", "eya", "ewo"),
    "vault-service-token": ("hvs.", "vault", "token", " s.", "=s.", ":s.", '"s.'),
}
"""Keywords that say more than the published ones, `ey` and `s.`, which are in every other sentence.

A token begins with the base64 of an opened JSON object; the older tokens of Vault stand behind a space or a mark.
"""
_NEAR = 300
_AROUND = b"\"'\x60 \t\r\n"


class Allowed(msgspec.Struct, frozen=True):
    """What is no secret although a rule matched: patterns of the secret, its match or its line, and words in it."""

    target: str = "secret"
    regexes: tuple[str, ...] = ()
    stopwords: tuple[str, ...] = ()


class Rule(msgspec.Struct, frozen=True):
    """One rule as it is published."""

    id: str
    regex: str
    keywords: tuple[str, ...]
    entropy: float = 0.0
    group: int = 0
    allow: tuple[Allowed, ...] = ()


class Document(msgspec.Struct, frozen=True):
    """The rule file."""

    allow: Allowed
    rules: tuple[Rule, ...]


def load() -> Document:
    """Read the rule file that is part of the package."""
    data = files("burnish.capture.redaction").joinpath("rules", "gitleaks.json").read_bytes()
    return msgspec.json.decode(data, type=Document)


class Detector:
    """One rule, compiled."""

    def __init__(self, rule: Rule, everywhere: Allowed) -> None:
        self.name = rule.id
        self.keywords = _SHARPER.get(rule.id, tuple(keyword.lower() for keyword in rule.keywords))
        self._entropy = rule.entropy
        self._group = rule.group
        self._pattern = compiled(rule.regex.replace(_ENDS, _MORE_ENDS).encode())
        self._allow = [_Allowlist(entry) for entry in (everywhere, *rule.allow)]

    def find(self, data: bytes) -> Iterator[Span]:
        """Yield where secrets of this kind stand."""
        for match in self._pattern.finditer(data):
            start, end = _bare(data, *self._secret(match))
            if start < end and self._counts(data, match, data[start:end]):
                yield start, end

    def _secret(self, match: Match) -> Span:
        if self._group:
            return match.span(self._group)
        groups = (match.span(number) for number in range(1, self._pattern.groups + 1))
        return next((span for span in groups if 0 <= span[0] < span[1]), match.span())

    def _counts(self, data: bytes, match: Match, secret: bytes) -> bool:
        if self._entropy and entropy(secret) <= self._entropy:
            return False
        return not any(allowed.covers(data, match, secret) for allowed in self._allow)


def _bare(data: bytes, start: int, end: int) -> Span:
    """Return a span without the quotes and spaces around it."""
    while start < end and data[start] in _AROUND:
        start += 1
    while end > start and data[end - 1] in _AROUND:
        end -= 1
    return start, end


class _Allowlist:
    """An allowlist, its patterns compiled when one is first needed."""

    def __init__(self, allowed: Allowed) -> None:
        self._target = allowed.target
        self._regexes = tuple(regex.encode() for regex in allowed.regexes)
        self._stopwords = _automaton({word.lower(): word for word in allowed.stopwords}) if allowed.stopwords else None

    def covers(self, data: bytes, match: Match, secret: bytes) -> bool:
        target = secret
        if self._target != "secret":
            target = match.group() if self._target == "match" else _line(data, match)
        if any(compiled(regex).search(target) is not None for regex in self._regexes):
            return True
        return self._stopwords is not None and next(self._stopwords.iter(_lowered(secret)), None) is not None


def _line(data: bytes, match: Match) -> bytes:
    """Return the line around a match; of a very long one only what is near, so that the cost stays linear."""
    start, end = match.span()
    first, last = max(0, start - _NEAR), min(len(data), end + _NEAR)
    stop = data.find(b"\n", end, last)
    return data[max(first, data.rfind(b"\n", first, start) + 1) : last if stop < 0 else stop]


class Keyed(Protocol):
    """A rule that needs one of some keywords."""

    @property
    def keywords(self) -> tuple[str, ...]:
        """Return the keywords, in lower case."""


class Keywords:
    """Which detectors have a keyword in a text: one pass, however many there are."""

    def __init__(self, detectors: Sequence[Keyed]) -> None:
        wanted: dict[str, list[int]] = {}
        for position, detector in enumerate(detectors):
            for keyword in detector.keywords:
                wanted.setdefault(keyword, []).append(position)
        self._automaton = _automaton({keyword: tuple(positions) for keyword, positions in wanted.items()})
        self.pattern = b"(?i)" + b"|".join(_literal(keyword) for keyword in wanted)
        """Matches where any keyword stands."""

    def present(self, data: bytes) -> list[int]:
        """Return the positions of the detectors that may find something, in order."""
        hit: set[tuple[int, ...]] = {positions for _, positions in self._automaton.iter(_lowered(data))}
        return sorted({position for positions in hit for position in positions})


def _automaton(words: Mapping[str, object]) -> Any:  # noqa: ANN401 - pyahocorasick is untyped
    import ahocorasick  # type: ignore[import-not-found]  # it ships none

    made = ahocorasick.Automaton()
    for word, value in words.items():
        made.add_word(word, value)
    made.make_automaton()
    return made


def _lowered(data: bytes) -> str:
    return data.lower().decode("latin-1")


def _literal(keyword: str) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in keyword.encode())


def entropy(value: bytes) -> float:
    """Return the Shannon entropy of the bytes of a value, in bits a byte."""
    size = len(value)
    return -sum(count / size * math.log2(count / size) for count in Counter(value).values())
