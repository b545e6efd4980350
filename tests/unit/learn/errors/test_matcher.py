"""Matching finds what fits, in time that no pattern and no message can blow up."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, strategies as st

from burnish.errors import InvalidValue
from burnish.learn.errors import matcher as module
from burnish.learn.errors.handwritten import literal_of
from burnish.learn.errors.matcher import Matcher, built
from burnish.learn.errors.pattern import ErrorPattern, filled, with_references

SECONDS = 2.0
"""What a hostile search may take here; it takes milliseconds."""


def pattern(template: str, literal: str | None = None, name: str = "", **fields: object) -> ErrorPattern:
    return ErrorPattern(
        id=name or template,
        tenant="t",
        key=name or template,
        name=name or template,
        category="runtime",
        template=template,
        shape=template,
        literal=literal if literal is not None else literal_of(template),
        fix_type="replace",
        fix_template="$1",
        confidence=0.7,
        **fields,  # type: ignore[arg-type]  # options of a test
    )


def names(matcher: Matcher, message: str) -> set[str]:
    return {offer.name for hit in matcher.search(message) for offer in hit.patterns}


def test_captures_come_from_the_line_that_matched() -> None:
    (hit,) = built([pattern(r"widget (\w+) is broken in (\S+)")]).search("a\nb: widget w7 is broken in x.py\nc")
    assert hit.captures == ("w7", "x.py")
    assert hit.line == "widget w7 is broken in x.py"


def test_a_group_that_took_no_part_is_empty() -> None:
    (hit,) = built([pattern(r"widget broken(?: in (\w+))?")]).search("widget broken")
    assert hit.captures == ("",)


def test_the_last_place_that_fits_wins() -> None:
    (hit,) = built([pattern(r"widget (\d+) broke")]).search("widget 1 broke\nwidget 2 broke\nwidget x broke")
    assert hit.captures == ("2",)


def test_line_ends_are_where_anchors_stand() -> None:
    matcher = built([pattern(r"^gateway closed$")])
    assert names(matcher, "so:\ngateway closed\nbye")
    assert not names(matcher, "the gateway closed early")


def test_patterns_that_share_a_template_are_found_together() -> None:
    matcher = built([pattern("gateway closed", name="one"), pattern("gateway closed", name="two")])
    assert names(matcher, "gateway closed") == {"one", "two"}


def test_a_pattern_that_was_added_is_found_at_once_and_the_old_matcher_is_unchanged() -> None:
    before = built([pattern("gateway closed")])
    after = before.with_patterns([pattern("spigot jammed")])
    assert names(after, "gateway closed, spigot jammed") == {"gateway closed", "spigot jammed"}
    assert not names(before, "spigot jammed")
    assert names(after.merged(), "gateway closed, spigot jammed") == {"gateway closed", "spigot jammed"}


def test_a_pattern_that_is_gone_is_not_found() -> None:
    one, two = pattern("gateway closed", name="one"), pattern("gateway closed", name="two")
    assert names(built([one, two]).with_patterns([], [one]), "gateway closed") == {"two"}
    assert len(built([one]).with_patterns([], [one]).merged()) == 0


def test_many_new_patterns_are_due_to_be_merged() -> None:
    matcher = built([])
    for number in range(module.MOST_RECENT * module.MOST_FROZEN):
        assert not matcher.merge_due
        matcher = matcher.with_patterns([pattern(f"widget number {number} broke")])
    assert matcher.merge_due
    assert names(matcher, "widget number 7 broke, widget number 255 broke") == {
        f"widget number {n} broke" for n in (7, 255)
    }
    assert not matcher.merged().merge_due
    at_once = built([]).with_patterns(pattern(f"widget number {number} broke") for number in range(1_000))
    assert not at_once.merge_due
    assert names(at_once, "widget number 999 broke") == {"widget number 999 broke"}


def test_the_end_of_a_message_of_any_length_is_looked_at() -> None:
    matcher = built([pattern("gateway closed")])
    assert names(matcher, "x" * 3_000_000 + "\ngateway closed")
    assert names(matcher, "gateway closed\n" + "x\n" * 1_500_000)


@given(st.text(max_size=400))
def test_any_text_can_be_searched(message: str) -> None:
    matcher = built([pattern(r"widget (\w+) broke")])
    assert not names(matcher, message)
    assert names(matcher, f"{message}\nwidget w1 broke") == {r"widget (\w+) broke"}


HOSTILE = {
    "nested repetition": (r"aaaaaa(a+)+$", "a" * 1_000_000 + "!"),
    "alternation of the same": (r"aaaaaa(a|a)*b", "a" * 1_000_000),
    "many optional": (r"aaaaaa" + "(?:a?){40}" + "a{40}", "a" * 1_000_000),
    "gaps": (r"aaaaaa.*.*.*.*=.*.*b", "a" * 1_000_000),
    "literal everywhere": (r"failed (.*)x(.*)y(.*)z", "failed " * 150_000),
    "one literal a line": (r"failed (.+) then (.+) twice", "failed a\n" * 120_000),
}


@pytest.mark.parametrize(("template", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_pattern_cannot_hang_a_search(template: str, message: str) -> None:
    matcher = built([pattern(template)])
    began = time.perf_counter()
    matcher.search(message)
    assert time.perf_counter() - began < SECONDS


def test_patterns_made_to_overlap_cannot_hang_a_search() -> None:
    matcher = built(pattern(f"{'a' * n}b?") for n in range(7, 600))
    many = built(pattern(f"widget failed {n}(x+)+y", literal="widget failed ") for n in range(3_000))
    began = time.perf_counter()
    matcher.search("a" * 1_000_000)
    many.search("widget failed \n" * 50_000)
    assert time.perf_counter() - began < 2 * SECONDS


def test_a_template_in_the_store_that_re2_refuses_is_skipped() -> None:
    matcher = built([pattern(r"(?=gateway) closed", literal="gateway"), pattern("gateway closed")])
    assert names(matcher, "gateway closed") == {"gateway closed"}


REFUSED = {
    r"(?=look) ahead here": "RE2 refuses",
    r"(\w+) and \1 again here": "RE2 refuses",
    r"(?<!x)behind here": "RE2 refuses",
    r"(a+)+$": "6 characters",
    r".*gateway closed": "begins with a gap",
    r"(.+?) is not defined": "begins with a gap",
    r"\S+ is not defined": "begins with a gap",
    r"gateway closed|spigot jammed": "alternatives",
    r"(?i)gateway closed": "alternatives",
    r"err: \d+": "6 characters",
    r"(gateway closed)": "6 characters",
    r"gateway[": "RE2 refuses",
    "x" * 3_000: "at most 2,000",
}


@pytest.mark.parametrize(("source", "said"), REFUSED.items(), ids=[source[:20] for source in REFUSED])
def test_a_pattern_that_cannot_be_matched_fast_is_refused(source: str, said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        literal_of(source)


@pytest.mark.parametrize(
    ("source", "literal"),
    [
        (r"error TS2304: Cannot find name '([^']+)'", "error TS2304: Cannot find name '"),
        (r"missing \d+ required arguments?: (.+)", " required argument"),
        (r"asyncio\.run\(\) cannot be called", "asyncio.run() cannot be called"),
        (r"\bgateway[ -]closed{2} (now|later) for good", " for good"),
        (r"wait+ here (?:a|b) over there", " over there"),
        (r"wait{100,200} x{100,200} or (?:not) at all", " at all"),
    ],
)
def test_the_fixed_text_of_a_pattern_is_what_every_match_holds(source: str, literal: str) -> None:
    assert literal_of(source) == literal


@given(st.lists(st.text(max_size=20), max_size=5), st.text(max_size=60))
def test_references_are_filled_in_and_nothing_else_changes(captures: list[str], fix: str) -> None:
    template = with_references(fix, dict(enumerate(captures, 1)))
    assert filled(template, captures) == fix


def test_a_reference_past_the_captures_is_empty_and_a_long_capture_is_cut() -> None:
    assert filled("a$3b$$c", ["x"]) == "ab$c"
    assert len(filled("$1", ["x" * 10_000])) == 500


@pytest.mark.parametrize(
    ("wanted", "file", "fits"),
    [
        ("*.py", "src/a.py", True),
        ("*.py", "a.ts", False),
        ("src/*", "src/a.ts", True),
        (None, "a", True),
        ("*.py", None, True),
    ],
)
def test_a_pattern_may_be_for_some_files_only(wanted: str | None, file: str | None, *, fits: bool) -> None:
    assert pattern("gateway closed", file_pattern=wanted).concerns(file) is fits


def test_the_belief_starts_at_the_confidence_and_moves_with_use() -> None:
    fresh = pattern("gateway closed")
    assert fresh.success == pytest.approx(0.7)
    assert pattern("gateway closed", successes=8).success > 0.89
    assert pattern("gateway closed", failures=8).success < 0.25
    assert pattern("gateway closed", learned=3).success > fresh.success
    assert pattern("gateway closed", successes=80, failures=20).success_sd < fresh.success_sd
