"""What may be configured of redaction: hostile patterns are refused with a reason."""

from __future__ import annotations

import pytest

from burnish.errors import InvalidValue
from burnish.govern.keys import checked


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"\d+", "repeats without end"),
        ("(a*)*b", "repeats without end"),
        ("x{2,}", "repeats without end"),
        (r"[\]*]{1,3}y+", "repeats without end"),
        (r"\Qa*", "repeats without end"),
        ("(?<=a)b", "RE2 does not accept it"),
        (r"(a)\1", "RE2 does not accept it"),
        ("((a{1,100}){1,100}){1,100}", "RE2 does not accept it"),
        ("[", "RE2 does not accept it"),
        ("a?", "matches the empty text"),
        ("", "1 to 500"),
        ("a" * 501, "1 to 500"),
        (3, "1 to 500"),
        ("\ud800", "RE2 does not accept it"),
    ],
)
def test_a_pattern_that_could_stall_or_match_all_is_refused(pattern: object, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        checked("redact.custom", [{"name": "mine", "pattern": pattern}])


@pytest.mark.parametrize("pattern", [r"ORD-\d{8}", r"[+*]{1,3}x", r"a\+b", r"[]*]x", "(?i)müller", "[^]+]x"])
def test_a_bounded_pattern_is_taken(pattern: str) -> None:
    assert checked("redact.custom", [{"name": "mine", "pattern": pattern}]) == [{"name": "mine", "pattern": pattern}]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("redact.enabled", "no"),
        ("redact.kinds", ["names"]),
        ("redact.kinds", ["ip", "ip"]),
        ("redact.allow", "example.com"),
        ("redact.allow", [""]),
        ("redact.custom", [{"name": "email", "pattern": "x"}]),
        ("redact.custom", [{"name": "Mine>", "pattern": "x"}]),
        ("redact.custom", [{"pattern": "x"}]),
        ("redact.custom", {"name": "x", "pattern": "x"}),
    ],
)
def test_a_wrong_value_is_refused(key: str, value: object) -> None:
    with pytest.raises(InvalidValue):
        checked(key, value)


def test_good_values_are_kept_as_they_are() -> None:
    assert checked("redact.enabled", False) is False
    assert checked("redact.kinds", ["ip", "secret"]) == ["ip", "secret"]
    assert checked("redact.allow", ["example.com"]) == ["example.com"]
