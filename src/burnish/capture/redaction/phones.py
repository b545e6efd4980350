"""Find telephone numbers of any country in UTF-8 bytes.

A number is taken by its shape when the shape says so (a plus, an area code in brackets, 3-3-4 digits, an extension, a
trunk zero with three groups), else only beside a word that names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from burnish.capture.redaction.patterns import Span, after, before, compiled, is_word

_GAP = rb"(?:[ ./-]|\xc2\xa0|\xe2\x80[\x90-\x93\xaf])"
RUN = rb"\+?\(?\d(?:(?:[()]|" + _GAP + rb"){0,3}\d){5,}(?: ?(?:x|ext\.?) ?\d{1,6})?"
SHAPED = (
    rb"\+\(?\d|\b00[1-9]|\(\d{1,5}\) ?\d|\d" + _GAP + rb"\d{3}" + _GAP + rb"\d{4}|\d{4}x\d|"
    rb"\b0[1-9]\d{0,4}" + _GAP + rb"\d{2,4}(?:" + _GAP + rb"|\d)\d{2}|\b1[3-9]\d" + _GAP + rb"\d{4}" + _GAP + rb"\d{4}"
)
"""Some of this is in every text with a number that is taken by its shape."""
_STRONG = (
    rb"phone|\btel\b|telefon|t\xc3\xa9l|tel\xc3\xa9fono|mobil|m\xc3\xb3vil|movil|celular|\bcell\b|cellular|\bfax\b|"
    rb"\bdesk:|whatsapp|\bgsm\b|\bsms\b|handy|rufnummer|hotline|portable|"
    rb"\xd1\x82\xd0\xb5\xd0\xbb|\xe7\x94\xb5\xe8\xaf\x9d|\xe6\x89\x8b\xe6\x9c\xba|\xe9\x9b\xbb\xe8\xa9\xb1"
)
_WHOM = rb"me|us|him|her|them|at|on|back|now"
_WEAK = (
    rb"\breach|answering|messages? (?:to|on|at)|\btext (?:me|him|her|us|them)|contact|\bdial|\bring\b|\bdesk\b|"
    rb"\b(?:office|home|work)(?: is|:)|\bnumber is\b"
)
NAMED = (
    rb"(?i)"
    + _STRONG
    + rb"|"
    + _WEAK
    + rb"|\bcall (?:"
    + _WHOM
    + rb"|[+(0-9])|[0-9][ ,(-]{1,3}(?:office|home|work|desk)\b"
)
BEFORE = rb"(?i)(" + _STRONG + rb")|" + _WEAK + rb"|\bcall (?:$|" + _WHOM + rb")"
BEHIND = rb"(?i)^[ ,(-]{0,3}(?:(fax|mobile|cell|phone|tel)|office|home|work|desk)\b"
ALL = (RUN, SHAPED, NAMED, BEFORE, BEHIND)

_GAPS = re.compile(rb"[ ./-]{1,2}| - | ?\(|\)[ -]?| \(\d{0,4}\) ?|(?:\xc2\xa0|\xe2\x80[\x90-\x93\xaf])+")
_DIGITS = re.compile(rb"\d+")
_EXTENSION = re.compile(rb" ?(?:x|ext\.?) ?\d{1,6}$", re.IGNORECASE)
_CENTURIES = frozenset({b"19", b"20"})
_AFTER_YEAR = ([2], [2, 2], [2, 2, 2], [1, 2], [2, 1], [1, 1])
_BEFORE_YEAR = ([2, 2, 4], [1, 2, 4], [2, 1, 4], [1, 1, 4], [4, 4])
_REACH = 40
_JOINS = b"_.-/#$%\\@&"
_ONE_GAP = frozenset({b" ", b"-", b"."})


class _Number(msgspec.Struct, frozen=True):
    """A run of digits: its groups, what stands between them, and how it begins."""

    text: bytes
    groups: list[bytes]
    gaps: list[bytes]
    extension: bool

    @property
    def size(self) -> int:
        return sum(map(len, self.groups))

    @property
    def lengths(self) -> list[int]:
        return [len(group) for group in self.groups]


def phones(data: bytes) -> Iterator[Span]:
    """Yield telephone numbers, extensions included."""
    for first, end in _runs(data):
        start = first + 1 if data[first] == 40 and b")" not in data[first:end] else first  # (0171-…)
        if _is_phone(data, start, end):
            yield start, end
        elif b" " in data[start:end]:
            yield from _parts(data, start, end)


def _runs(data: bytes) -> Iterator[Span]:
    """Yield runs of six digits and more: all of them when one may be taken by its shape, else those near a name."""
    runs = compiled(RUN)
    if compiled(SHAPED).search(data) is not None:
        for match in runs.finditer(data):
            yield match.span()
        return
    done = 0
    for name in compiled(NAMED).finditer(data):
        first, last = max(done, name.start() - _REACH), min(len(data), name.end() + 2 * _REACH)
        for match in runs.finditer(data, first, last):
            if match.start() >= done:
                done = match.end()
                yield match.span()


def _parts(data: bytes, start: int, end: int) -> Iterator[Span]:
    """Yield the numbers of a run that is several of them, or one with something else before it."""
    for piece in re.finditer(rb"[^ ]+", data[start:end]):
        first, last = start + piece.start(), start + piece.end()
        if last - first >= 7 and _is_phone(data, first, last):
            yield first, last


def _is_phone(data: bytes, start: int, end: int) -> bool:
    if not _stands_alone(data, start, end):
        return False
    number = _read(data[start:end])
    if number is None or _is_date(number) or _is_decimal(number):
        return False
    if _is_shaped(number):
        return after(data, end) != 45 or not is_word(after(data, end + 1)) or _behind(data, end) > 0
    return _is_named(data, start, end, number)


def _stands_alone(data: bytes, start: int, end: int) -> bool:
    previous, following = before(data, start), after(data, end)
    if end - start == 10 and data[start + 4] == data[start + 7] == 45:
        return False  # 2026-11-24, by far the most frequent
    if is_word(previous) and previous < 128:
        return False
    if previous in _JOINS and not _opened(data, start):
        return False
    return not is_word(following) and not (following in b"-./:%" and 48 <= after(data, end + 1) <= 57)


def _opened(data: bytes, start: int) -> bool:
    """Tell whether a mark before the number is prose, such as the dash of `Phone - 555 …` or of a list."""
    return before(data, start) == 45 and before(data, start - 1) in b" \n"


def _read(text: bytes) -> _Number | None:
    extension = _EXTENSION.search(text)
    body = text[: extension.start()] if extension else text
    groups = _DIGITS.findall(body)
    number = _Number(body, groups, _DIGITS.split(body)[1:-1], extension is not None)
    if not 6 <= number.size <= 17 or not all(map(_GAPS.fullmatch, number.gaps)):
        return None
    return number


def _is_date(number: _Number) -> bool:
    lengths, first, last = number.lengths, number.groups[0], number.groups[-1]
    if first[:2] in _CENTURIES:
        stamp = lengths[0] in {8, 14} and len(lengths) <= 2 and b"." not in number.gaps
        if stamp or (lengths[0] == 4 and lengths[1:] in _AFTER_YEAR):
            return True
    if last[:2] in _CENTURIES and lengths in _BEFORE_YEAR:
        return True
    return lengths == [2, 2, 2] and number.gaps[0] != b" "


def _is_decimal(number: _Number) -> bool:
    dots = number.gaps.count(b".")
    if len(number.groups) == 2 and dots:
        return True
    return len(number.groups) == 4 and dots == 3 and max(number.lengths) <= 3


def _is_shaped(number: _Number) -> bool:
    groups, lengths, size = number.groups, number.lengths, number.size
    if lengths == [3, 2, 4]:
        return False  # a social security number
    if number.text[:1] == b"+":
        return 8 <= size <= 15
    if number.text[:1] == b"(":
        return lengths[0] <= 5 and 7 <= size <= 12 and len(groups) >= 3
    if lengths in ([3, 3, 4], [1, 3, 3, 4]) and _is_north_american(number):
        return True
    if lengths == [3, 4, 4] and groups[0][:1] == b"1" and groups[0][1:2] in b"3456789":
        return True  # a mobile of China
    return (number.extension and 9 <= size <= 12) or _has_exit_code(number) or _has_trunk_zero(number)


def _has_exit_code(number: _Number) -> bool:
    first = number.groups[0]
    return first[:2] == b"00" and first[2:3] not in {b"", b"0"} and len(number.groups) >= 2 and 10 <= number.size <= 17


def _is_north_american(number: _Number) -> bool:
    local = number.groups[-3:]
    if len(number.groups) == 4 and number.groups[0] != b"1":
        return False
    if set(number.gaps[-2:]) <= {b"-", b"."} or number.extension:
        return True
    return local[0][:1] in b"23456789" and local[1][:1] in b"23456789" and number.gaps[-1] in {b" ", b"-"}


def _has_trunk_zero(number: _Number) -> bool:
    first = number.groups[0]
    if first[:1] != b"0" or first[1:2] in {b"", b"0"} or not 9 <= number.size <= 12:
        return False
    if len(number.groups) <= 2:
        return len(number.groups) == 2 and len(first) <= 6 and len(number.groups[1]) >= 5 and number.gaps[0] in _ONE_GAP
    same = len(set(number.gaps)) == 1 or number.gaps[0] in {b"-", b"/"}
    return same and set(number.gaps[1:]) <= _ONE_GAP and all(2 <= length <= 5 for length in number.lengths)


def _is_named(data: bytes, start: int, end: int, number: _Number) -> bool:
    strength = max(_ahead(data, start), _behind(data, end))
    if strength == 0 or number.size > 15:
        return False
    if number.lengths == [3, 2, 4] or (len(number.groups) == 2 and number.size < 7):
        return False
    grouped = len(number.groups) >= 2 and min(number.lengths) >= 2
    return grouped or (strength == 2 and number.size >= 7 and len(number.groups) == 1)


def _ahead(data: bytes, start: int) -> int:
    """Return 2 when a word that means telephone stands before, 1 when one that may; no other number between."""
    reach = data[max(0, start - _REACH) : start]
    last = max((position for position, byte in enumerate(reach) if 48 <= byte <= 57), default=-1)
    strength = 0
    for match in compiled(BEFORE).finditer(reach[last + 1 :]):
        strength = max(strength, 2 if match.span(1)[0] >= 0 else 1)
    return strength


def _behind(data: bytes, end: int) -> int:
    match = compiled(BEHIND).search(data[end : end + 16])
    return 0 if match is None else 2 if match.span(1)[0] >= 0 else 1
