"""Find e-mail addresses, social security numbers, payment cards, IBANs and IP addresses in UTF-8 bytes.

Patterns are bounded and only propose; a validator decides.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

from burnish.capture.redaction.numbers import IBAN_LENGTHS, is_card, is_iban, is_ssn, luhn
from burnish.capture.redaction.patterns import Span, after, before, compiled, is_word, stands_alone

EMAIL = (
    rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\x80-\xff-]{1,64}@"
    rb"[A-Za-z0-9\x80-\xff](?:[A-Za-z0-9\x80-\xff-]{0,62}\.){1,8}[A-Za-z\x80-\xff][A-Za-z0-9\x80-\xff-]{1,62}"
)
SSN = rb"\b\d{3}(?:-\d{2}-| \d{2} |\.\d{2}\.)\d{4}\b"
SSN_NAMED = (
    rb"(?i)\b(?:ssn|social[ _-]?security|itin|tin|tax[ _-]?(?:payer)?[ _-]?id)[^0-9\n]{0,24}"
    rb"\b(\d{3}[ .-]?\d{2}[ .-]?\d{4})\b"
)
CARD = rb"\d{4,19}(?:[ -]?\d){9,15}"
CARD_NAMED = (
    rb"(?i)\b(?:card|cc|visa|maestro|mastercard|amex)\b[^0-9\n]{0,24}"
    rb"\b(\d{4}[ -]?\d{4}[ -]?\d{4}(?:[ -]?\d){0,7})\b"
)
RUN = rb"\d{1,24}(?:[ -]\d{1,24}){0,24}"
IBAN = rb"\b[A-Za-z]{2}\d{2}[ -]?[A-Za-z0-9]{4}[ -]?[A-Za-z0-9]{3}"
IPV4 = rb"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b"
IPV6 = (
    rb"(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|"
    rb"(?:[0-9A-Fa-f]{1,4}:){1,6}(?::[0-9A-Fa-f]{1,4}){1,6}(?:\.\d{1,3}\.\d{1,3}\.\d{1,3})?|"
    rb"::[Ff]{4}:\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}"
)
NUMBERED = b"|".join(b"(?:" + part + b")" for part in (SSN, SSN_NAMED, CARD, CARD_NAMED, IBAN, IPV4, IPV6))
"""Some of this is in every text with a card, an IBAN, a social security number or an IP address."""
ALL = (NUMBERED, EMAIL, SSN, SSN_NAMED, CARD, CARD_NAMED, RUN, IBAN, IPV4, IPV6)

_NOT_DOMAINS = frozenset({b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"ico", b"avif", b"css", b"js"})
_LEADING_MARKS = b"!#$%&'*+/=?^`{|}~."
_VERSION = rb"(?i)(?:\bv|\bver|version|release|build|[=~^<>]=)[\s\"':=]{0,3}$"


def emails(data: bytes) -> Iterator[Span]:
    """Yield e-mail addresses, international ones included; not `icon@2x.png`, `package@1.2.3` or `git@host:path`."""
    if b"@" not in data:
        return
    for match in compiled(EMAIL).finditer(data):
        start, end = match.span()
        while data[start] in _LEADING_MARKS and data[start] != 64:
            start += 1
        local = data[start : data.index(b"@", start, end)]
        ending = data[start:end].rpartition(b".")[2].lower()
        if not local or local == b"git" or ending in _NOT_DOMAINS:
            continue
        yield start, end


def numbered(data: bytes) -> bool:
    """Tell whether a text may hold a card, an IBAN, a social security number or an IP address."""
    return compiled(NUMBERED).search(data) is not None


def ssns(data: bytes) -> Iterator[Span]:
    """Yield US social security and taxpayer numbers: 3-2-4 digits, or nine digits that are named so."""
    for match in compiled(SSN).finditer(data):
        start, end = match.span()
        if stands_alone(data, start, end) and _is_ssn(data[start:end]):
            yield start, end
    for match in compiled(SSN_NAMED).finditer(data):
        if _is_ssn(match.group(1)):
            yield match.span(1)


def _is_ssn(text: bytes) -> bool:
    digits = "".join(chr(byte) for byte in text if 48 <= byte <= 57)
    return is_ssn(digits[:3], digits[3:5], digits[5:])


def cards(data: bytes) -> Iterator[Span]:
    """Yield payment card numbers, together or in groups; beside the word card any issuer's, from twelve digits."""
    for match in compiled(CARD_NAMED).finditer(data):
        if luhn("".join(chr(byte) for byte in match.group(1) if 48 <= byte <= 57)):
            yield match.span(1)
    if compiled(CARD).search(data) is None:
        return
    for match in compiled(RUN).finditer(data):
        start, end = match.span()
        if end - start >= 13 and stands_alone(data, start, end, closed=b"."):
            yield from _cards_in(data, start, end)


def _cards_in(data: bytes, start: int, end: int) -> Iterator[Span]:
    groups = _groups(data, start, end)
    position = 0
    while position < len(groups):
        found = _card_from(data, groups, position)
        if found is None:
            position += 1
        else:
            yield groups[position][0], groups[found][1]
            position = found + 1


def _groups(data: bytes, start: int, end: int) -> list[Span]:
    found: list[Span] = []
    while start < end:
        stop = start
        while stop < end and 48 <= data[stop] <= 57:
            stop += 1
        found.append((start, stop))
        start = stop + 1
    return found


def _card_from(data: bytes, groups: list[Span], first: int) -> int | None:
    """Return the last group of the card that begins with a group, or None."""
    digits = b""
    for position in range(first, len(groups)):
        group = data[slice(*groups[position])]
        digits += group
        if len(digits) > 19 or len(group) < (4 if position == first else 2):
            return None
        if len(digits) >= 13 and is_card(digits.decode()):
            return position
    return None


def ibans(data: bytes) -> Iterator[Span]:
    """Yield international bank account numbers, in any case, compact or in groups."""
    position = 0
    proposed = compiled(IBAN)
    while (match := proposed.search(data, position)) is not None:
        start = match.start()
        position = start + 2
        length = IBAN_LENGTHS.get(data[start : start + 2].decode("latin-1").upper())
        end = None if length is None else _iban_end(data, start, length)
        if end is not None:
            yield start, end
            position = end


def _iban_end(data: bytes, start: int, length: int) -> int | None:
    kept = bytearray()
    position = start
    while position < len(data) and len(kept) < length:
        byte = data[position]
        if byte < 128 and is_word(byte) and byte != 95:
            kept.append(byte)
        elif byte not in b" -" or data[position - 1] in b" -":
            return None
        position += 1
    whole = len(kept) == length and not is_word(after(data, position)) and not is_word(before(data, start))
    return position if whole and is_iban(kept.decode()) else None


def addresses(data: bytes) -> Iterator[Span]:
    """Yield IP addresses, versions 4 and 6; not those of the machine itself, and not four-part version numbers."""
    for match in compiled(IPV4).finditer(data):
        start, end = match.span()
        if _is_ipv4(data[start:end]) and _is_address(data, start, end):
            yield start, end
    for match in compiled(IPV6).finditer(data):
        start, end = match.span()
        if _joined(data, start, end, b":.") or not _is_ipv6(data[start:end].decode()):
            continue
        yield start, end


def _joined(data: bytes, start: int, end: int, marks: bytes) -> bool:
    previous, following = before(data, start), after(data, end)
    return is_word(previous) or is_word(following) or previous in marks or (following == 58 and 58 in marks)


def _is_ipv4(text: bytes) -> bool:
    parts = text.split(b".")
    if any(len(part) > 1 and part[0] == 48 for part in parts) or any(int(part) > 255 for part in parts):
        return False
    return parts[0] != b"127" and text not in {b"0.0.0.0", b"255.255.255.255"}


def _is_address(data: bytes, start: int, end: int) -> bool:
    previous = before(data, start)
    named = previous == 47 and is_word(before(data, start - 1))  # Chrome/1.2.3.4
    return (
        not named
        and stands_alone(data, start, end)
        and compiled(_VERSION).search(data[max(0, start - 16) : start]) is None
    )


def _is_ipv6(text: str) -> bool:
    if "::" in text and (len(text) < 5 or not any(character.isdigit() for character in text)):
        return False  # ab::cd is a name in many languages
    try:
        packed = socket.inet_pton(socket.AF_INET6, text)
    except OSError:
        return False
    return packed[:-1] != bytes(15)
