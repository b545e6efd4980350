"""Check digits and ranges that tell a card or an account from any other number."""

from __future__ import annotations

from collections.abc import Mapping

_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_ISSUERS: tuple[tuple[int, int, int, frozenset[int]], ...] = (
    (1, 4, 4, frozenset({13, 16, 19})),  # Visa
    (2, 51, 55, frozenset({16})),  # Mastercard
    (4, 2221, 2720, frozenset({16})),
    (2, 34, 34, frozenset({15})),  # American Express
    (2, 37, 37, frozenset({15})),
    (4, 6011, 6011, frozenset({16, 19})),  # Discover
    (3, 644, 649, frozenset({16, 19})),
    (2, 65, 65, frozenset({16, 19})),
    (2, 35, 35, frozenset({16, 19})),  # JCB
    (4, 1800, 1800, frozenset({15})),
    (4, 2131, 2131, frozenset({15})),
    (3, 300, 305, frozenset({14, 16, 19})),  # Diners Club
    (4, 3095, 3095, frozenset({14, 16, 19})),
    (2, 36, 36, frozenset({14, 16, 19})),
    (2, 38, 39, frozenset({14, 16, 19})),
    (2, 62, 62, frozenset({16, 17, 18, 19})),  # UnionPay
    (2, 81, 81, frozenset({16, 17, 18, 19})),
    (4, 2200, 2204, frozenset({16, 17, 18, 19})),  # Mir
    (4, 5018, 5018, frozenset({13, 15, 16, 19})),  # Maestro
    (4, 5020, 5020, frozenset({13, 15, 16, 19})),
    (4, 5038, 5038, frozenset({13, 15, 16, 19})),
    (4, 5893, 5893, frozenset({13, 15, 16, 19})),
    (4, 6304, 6304, frozenset({13, 15, 16, 19})),
    (4, 6759, 6763, frozenset({13, 15, 16, 19})),
)
"""Issuer ranges (ISO/IEC 7812): digits of the prefix, lowest, highest, lengths."""

IBAN_LENGTHS: Mapping[str, int] = {
    country: int(length)
    for length, countries in (
        ("15", "NO"),
        ("16", "BE"),
        ("18", "DK FI FO GL NL SD FK"),
        ("19", "MK SI"),
        ("20", "AT BA EE KZ LT LU XK MN"),
        ("21", "CH CR HR LI LV"),
        ("22", "BG BH DE GB GE IE ME RS VA"),
        ("23", "AE GI IL IQ OM TL SO"),
        ("24", "AD CZ ES MD PK RO SA SE SK TN VG"),
        ("25", "LY PT ST"),
        ("26", "IS TR"),
        ("27", "BI DJ FR GR IT MC MR SM"),
        ("28", "AL AZ BY CY DO GT HN HU LB NI PL SV"),
        ("29", "BR EG PS QA UA"),
        ("30", "JO KW MU YE"),
        ("31", "MT SC"),
        ("32", "LC"),
        ("33", "RU"),
    )
    for country in countries.split()
}
"""Length of an IBAN by country (the SWIFT IBAN registry)."""


def luhn(digits: str) -> bool:
    """Tell whether the last digit is the Luhn check digit (ISO/IEC 7812-1, annex B) of the others."""
    total = 0
    for position, character in enumerate(reversed(digits)):
        digit = ord(character) - 48
        total += _DOUBLED[digit] if position % 2 else digit
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Tell whether digits are a payment card number: an issuer's range, a length it uses, the check digit."""
    size = len(digits)
    issued = any(
        size in lengths and low <= int(digits[:width]) <= high for width, low, high, lengths in _ISSUERS if size > width
    )
    return issued and luhn(digits)


def is_iban(compact: str) -> bool:
    """Tell whether letters and digits without spaces are an IBAN: its country's length, and mod 97 (ISO 13616)."""
    value = compact.upper()
    if IBAN_LENGTHS.get(value[:2]) != len(value):
        return False
    moved = value[4:] + value[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def is_ssn(area: str, group: str, serial: str) -> bool:
    """Tell whether three parts may be a US social security or taxpayer number: no part all zeros, not area 666."""
    return area not in {"000", "666"} and group != "00" and serial != "0000"
